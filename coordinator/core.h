// The coordinator's core behind service.h: sessions, enrolment, studies and requests in one event loop's hands.
//
//   frame --(verify under the member's key)--> message --> study --> effects --> one TurnResult
//   request --(admin token)--> the same
#pragma once

#include <map>
#include <set>

#include "common/transfer/transfer.h"
#include "common/turn/reply.h"
#include "coordinator/service.h"
#include "coordinator/study.h"

namespace consilium::coordinator {

inline constexpr Duration kHeartbeat = std::chrono::seconds(10);
inline constexpr int kMissedHeartbeats = 3;

struct Invitation {
  std::string name;
  TransportKey key;  // Derived from the token; the secret itself was never here.
  std::int64_t expires_ms = 0;
  bool spent = false;
};
struct Enrolment {
  std::string name;
  Bytes frame;  // As received: repeated bytes get the repeated answer.
  Enroll enroll;
};
// What a hospital said of its ledger: a witness, should its directory be put back to an earlier state.
struct Witness {
  ChainHead head;       // The highest one, unless its officer let go of it.
  bool told = false;    // Since the last transaction.
  bool behind = false;  // The last Hello's ledger does not have that row.
};
struct Session {
  std::uint32_t number = 0;  // Roster number; 0 while only a token's key is known.
  bool greeted = false;      // Hello was accepted.
  Instant heard;
  Heartbeat last;  // What the hospital said it is doing.
};

class CoordinatorCore final : public Service {
 public:
  CoordinatorCore(ServiceOptions options, RosterChain chain, Now now);
  Status RestoreAll();
  Status RestoreOne(const std::string& core, const std::string& key, const Bytes& blob);
  TurnResult Turn(std::vector<Event> events, Now now) override;

 private:
  // events
  void OnFrame(const PeerKey& peer, const Bytes& frame);
  void OnMemberFrame(const PeerKey& peer, const Member& member, const Bytes& frame);
  void OnChunkFrame(const PeerKey& peer, const Bytes& frame);
  void OnEnrollFrame(const PeerKey& peer, const Invitation& invitation, const Bytes& frame);
  void OnHello(const PeerKey& peer, const Member& member, const Hello& hello);
  void OnMessage(const PeerKey& peer, std::uint32_t number, const Message& message);
  void OnPull(const PeerKey& peer, const Pull& pull);
  void KeepWitnesses();
  void OnPeerLost(const PeerKey& peer);
  void OnJob(const JobFinished& job);
  void OnClock();
  // requests (requests.cc)
  void OnRequest(const RequestReceived& request);
  Result<Reply> Answer(const RequestReceived& request);
  Result<Value> PostStudy(const RequestReceived& request);
  Result<Reply> StudyRequest(const RequestReceived& request, std::string_view rest);
  [[nodiscard]] Result<Reply> ExportAudit(const RequestReceived& request) const;
  [[nodiscard]] Result<Value> GetAudit(const RequestReceived& request) const;
  [[nodiscard]] Value GetStatus() const;
  [[nodiscard]] std::string Metrics() const;
  [[nodiscard]] Value GetHospitals() const;
  [[nodiscard]] Value ToValue(const Study& study, bool whole) const;
  [[nodiscard]] std::string Trouble(const Study& study) const;
  [[nodiscard]] Status Authorise(const RequestReceived& request) const;
  [[nodiscard]] Result<Study*> FindStudy(std::string_view name_or_id) const;
  // the roster (membership.cc)
  Result<Value> PostInvitation(const RequestReceived& request);
  [[nodiscard]] Result<Value> GetNextRoster(const RequestReceived& request) const;
  Status ProposeMember(const std::string& name, std::int64_t until_ms, Roster* next,
                       std::vector<RosterSignature>* signatures) const;
  Result<Value> PostRoster(const RequestReceived& request);
  Result<Value> WithdrawDraft();
  void OnRosterDraft(const PeerKey& peer, const RosterDraft& message);
  Status TakeSignatures(const SignedRoster& given);
  Status ExtendChain(const SignedRoster& next);
  void ForgetDraft();
  void CloseUnfit();
  void SendDraft(const PeerKey& peer);
  // effects
  void Carry(Study& study);
  void SendMessage(const PeerKey& peer, const Message& message);
  void RefusePeer(const PeerKey& peer, Reason reason, bool close);
  void SendRosters(const PeerKey& peer, std::uint64_t first);
  Blob ServeBlob(const PeerKey& peer, const Bytes& bytes);  // Inline, or stored and to be pulled.
  void Audit(Value row);
  void Admit();
  void DropUnused();
  [[nodiscard]] const Invitation* InvitationFor(const TransportKey& key) const;
  [[nodiscard]] Member AsMember(const Enroll& enroll, std::size_t number) const;  // As a next roster would have it.
  [[nodiscard]] std::string HospitalName(std::uint32_t number) const;
  [[nodiscard]] std::optional<PeerKey> PeerOf(std::uint32_t number) const;  // When its session is greeted.

  ServiceOptions options_;
  RosterChain chain_;
  std::optional<SignedRoster> draft_;  // The next roster as it is proposed, with its signatures so far.
  std::map<std::string, Invitation> invitations_;
  std::map<std::string, Enrolment> enrolments_;
  std::map<std::string, Digest> tokens_;  // Name -> SHA-256 of an admin token.
  std::map<StudyId, std::unique_ptr<Study>> studies_;
  std::map<PeerKey, Session> sessions_;
  std::map<std::uint32_t, std::int64_t> last_seen_ms_;
  std::map<std::uint32_t, Witness> witnesses_;
  std::map<StudyId, std::pair<Instant, Instant>> run_times_;  // First attempt of this process's life, last release.
  Inbox inbox_;
  Outbox outbox_;
  std::set<Digest> kept_;    // Blobs in the store, or on their way into it, that this core lets go of when unneeded.
  std::set<PeerKey> liars_;  // To be refused at the end of this turn.
  std::map<PeerKey, Instant> refused_at_;  // When a refusal of this key was audited last.
  ChainHead audit_head_;
  struct Counts {  // Since the start, for metrics.
    std::uint64_t attempts = 0, attempts_failed = 0, uploads = 0, answers = 0, refused = 0;
  } counts_;
  struct Folding {
    StudyId study;
    std::uint32_t number, attempt;
    Digest root;
  };
  std::map<std::uint64_t, Folding> jobs_;
  std::uint64_t next_job_ = 1;
  Instant next_heartbeat_;
  Now now_;
  TurnResult result_;
  bool admitted_ = false;  // ZAP knows the roster.
};

// The study's report for people (report.cc).
// For people: why a study failed and how to go on, where its reason needs more than a word; "" otherwise.
std::string WhyEnded(const Study& study);
std::string Report(const Study& study, const RosterChain& chain);
// The algorithm's results, the hospitals of "released" with their "name".
Value NamedResults(const Study& study, const RosterChain& chain);

}  // namespace consilium::coordinator
