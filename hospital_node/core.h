// The node's core behind service.h: the session with the coordinator, the studies, the jobs and the requests in one
// event loop's hands.
//
//   frame --(verify under the roster's server key)--> message --> participant --> effects --> one TurnResult
//   request (control socket) --> officer's word, data sets, views
//
// Everything that a message depends on is in the transaction of the same TurnResult, which is durable before it leaves.
#pragma once

#include <map>
#include <set>

#include "common/transfer/transfer.h"
#include "common/turn/reply.h"
#include "hospital_node/participant.h"
#include "hospital_node/service.h"

namespace consilium::node {

inline constexpr int kMissedHeartbeats = 3;
inline constexpr std::size_t kMaxStudies = kMaxStudyMarks;
inline constexpr std::size_t kMaxWaiting = 64;                     // Messages kept back for what they need.
inline constexpr std::uint64_t kMaxControlBlob = kMaxRosterBytes;  // Rosters, plans, queries too large to ride inline.

struct DataSet {
  DataSetSpec spec;
  std::int64_t patients = 0, rows = 0, added_ms = 0;
};

class NodeCore final : public Service {
 public:
  static Result<std::unique_ptr<NodeCore>> Restore(ServiceOptions options);
  TurnResult Turn(std::vector<Event> events, Now now) override;

 private:
  struct Session {
    bool connected = false, greeted = false;  // Greeted: Welcome has come.
    Instant heard, next_beat;
    Duration period = std::chrono::seconds(10);
    std::string lost = "not connected yet";  // Why there is none, for people.
  };
  struct ComputeJob {
    StudyId study;
    Digest context;
  };
  struct PreflightJob {
    std::uint64_t request;
    StudyId study;
    std::string officer;
  };
  struct ResultsJob {
    StudyId study;
  };
  struct DataJob {
    std::uint64_t request;
    DataSetSpec spec;
    bool add;
  };
  struct RemovalJob {
    std::uint64_t request;
    std::string name;
  };
  using Job = std::variant<ComputeJob, PreflightJob, ResultsJob, DataJob, RemovalJob>;

  explicit NodeCore(ServiceOptions options) : options_(std::move(options)) {}

  // What is stored (service.cc).
  Status RestoreLock();
  Status RestoreRosters();
  Status RestoreStudies();
  Status RestoreDataSets();

  // The session (session.cc).
  void OnConnected();
  void OnLost(std::string reason);
  void CloseSession(const std::string& reason);
  void OnFrame(const Bytes& frame);
  void OnFrameBeforeRoster(const Bytes& frame);
  void OnChunkFrame(const Bytes& frame);
  void OnMessage(Message message, const Bytes& frame);
  void OnWelcome(const Welcome& welcome);
  void OnRefused(const Refused& refused);
  void KeepLocked();  // A lock that the rows themselves do not show survives a restart.
  void OnPull(const Pull& pull);
  void SendHello();
  void Beat(bool due);
  [[nodiscard]] Heartbeat BeatOf(const Participant& participant) const;
  void OnTime();
  void AskForMissed();
  [[nodiscard]] std::optional<Instant> NextDeadline() const;

  // The roster (membership.cc).
  bool TakeRosters(const RosterUpdate& update);
  void FindSelf();
  void TakeDraft(const RosterDraft& message);
  [[nodiscard]] Value GetRoster() const;
  Status StartSigning(const RequestReceived& request, bool* later);
  void SettleSigning(const Result<Value>& answer, const std::optional<Digest>& only = {});
  void ReplaceKeys(const std::string& why);
  [[nodiscard]] std::string Standing() const;  // "member", "revoked", "expired" or "not confirmed".
  [[nodiscard]] std::string LinkText() const;  // Why there is no connection, and the mend.

  // Messages that must wait for a blob that does not ride inside them (session.cc).
  void Queue(Message message);
  void ServeQueue();
  bool Assemble(Blob* blob);

  // The studies (studies.cc).
  bool OnPlanOffer(PlanOffer offer);
  bool OnInvite(const Invite& invite);
  void OnRelease(const Release& release, const Bytes& frame);
  void OnJob(const JobFinished& finished);
  void OnComputed(const ComputeJob& job, const std::any& result);
  void OnPreflight(const PreflightJob& job, const std::any& result);
  void OnResults(const ResultsJob& job, const std::any& result);
  void Carry(Participant& participant);
  void TryCompute(Participant& participant);
  void TryConclude(Participant& participant);
  void OnBlobWhole();
  bool Obtain(const std::vector<Blob>& blobs);  // True when all are here; starts the transfer of those that are not.
  [[nodiscard]] bool IsHere(const Blob& blob) const;
  [[nodiscard]] std::set<Digest> Needed() const;
  void DropUnused();
  Participant* Find(const StudyId& study);
  [[nodiscard]] Site Here() const;

  // Requests of the control socket (api.cc).
  void OnRequest(const RequestReceived& request);
  Result<Reply> Answer(const RequestReceived& request, bool* later);
  Result<Reply> AnswerPlans(const RequestReceived& request, std::string_view rest, bool* later);
  Status StartApproval(const RequestReceived& request, Participant& participant);
  Result<Value> Reject(const RequestReceived& request, Participant& participant);
  Status StartDataJob(const RequestReceived& request, bool add);
  Status StartExclusion(const RequestReceived& request);
  Status RemoveDataSet(const RequestReceived& request);
  [[nodiscard]] std::vector<DataSetSpec> Registered() const;
  Result<DataSet*> FindDataSet(const std::string& name);
  void OnDataChecked(const DataJob& job, const std::any& result);
  Result<Participant*> FindPlan(std::string_view name_or_id);
  [[nodiscard]] Value GetStatus() const;
  [[nodiscard]] std::string Metrics() const;
  [[nodiscard]] Value GetPlan(const Participant& participant, bool whole) const;
  [[nodiscard]] Value GetDataSets() const;
  Result<Value> GetResults(const RequestReceived& request);
  [[nodiscard]] Value GetBudget() const;
  Result<Value> Unlock(const RequestReceived& request);
  [[nodiscard]] Result<Reply> ExportAudit(const RequestReceived& request) const;

  // Effects.
  void SendMessage(const Message& message);
  void Audit(std::string_view event, Value row);
  std::uint64_t StartJob(Job job, std::function<std::any()> work);

  ServiceOptions options_;
  std::optional<RosterChain> chain_;
  std::uint32_t number_ = 0;
  std::optional<SignedRoster> draft_;  // The proposed next roster, as the coordinator last said; nothing relies on it.
  struct Signing {                     // A request that waits for the coordinator's word on its signatures.
    std::uint64_t request;
    Digest hash;
    VerifyKey key;  // One of those that signed.
    Instant until;
  };
  std::vector<Signing> signing_;
  Reason turned_away_ = Reason::kNone;  // Why the coordinator closed the last session, when it is for the keys' sake.
  int keys_refused_ = 0;                // In a row, by the coordinator's door.
  Ledger ledger_;
  ChainHead audit_head_, audit_durable_;  // The second one as of the turn's beginning: rows up to it can be read.
  std::map<StudyId, Participant> studies_;
  std::map<std::string, DataSet> data_sets_;
  Session session_;
  std::vector<Bytes> before_roster_;  // Frames that cannot be verified before the first roster is here.
  Inbox inbox_;
  Outbox outbox_;
  std::map<Digest, Bytes> assembling_;  // Control blobs on their way ...
  std::map<Digest, Bytes> assembled_;   // ... and whole, until the queue has used them.
  std::vector<Message> queue_;
  std::set<Digest> kept_;        // Blobs in the store that this core is answerable for.
  std::set<Digest> fetching_;    // Blobs on their way into the store.
  std::set<Digest> sealed_now_;  // Sealed by this very turn.
  std::map<std::uint64_t, Job> jobs_;
  std::uint64_t next_job_ = 1;
  std::uint64_t contributions_ = 0;   // Committed since the start, for metrics.
  std::set<StudyId> results_failed_;  // Not tried again before a restart.
  struct Missing {
    std::uint64_t releases = 0;  // As the coordinator says.
    int asked = 0;
  };
  std::map<StudyId, Missing> missed_;  // Ended studies whose last release is not here.
  std::map<StudyId, Phase> told_;      // The phase that the coordinator was last told.
  bool started_ = false;
  Now now_;
  TurnResult result_;
};

Bytes EncodeDataSet(const DataSet& data_set);
Result<DataSet> DecodeDataSet(ByteView bytes);

}  // namespace consilium::node
