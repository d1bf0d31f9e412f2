// One study at the coordinator: consent, then round after round, one answer each, until the algorithm is done.
//
//   AwaitingConsent -> Running (idle <-> attempt open) <-> Paused -> Complete
//          \______________\_________________________________\----> Aborted | Failed(reason)
//
// Pure: verdicts, presence, offers, job results and the time go in; effects come out. Everything is in the StudyRecord,
// so a restart goes on where the last commit was; an open attempt is repeated as it was, in the time that it has left.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "common/algorithms/algorithm.h"
#include "common/roster/roster.h"
#include "common/turn/turn.h"
#include "common/wire/codec.h"
#include "coordinator/round.h"

namespace consilium::coordinator {

// What a study wants done, in order. The owner signs messages, numbers jobs, chains audit rows.
struct Effects {
  std::vector<BlobWrite> blob_writes;
  std::vector<Digest> blob_seals;
  std::vector<Write> writes;
  std::vector<Value> audits;
  struct ToHospital {
    std::uint32_t number;
    std::variant<Message, Bytes> what;  // A message to sign, or a frame as it was.
  };
  std::vector<ToHospital> sends;
  struct Serve {
    std::uint32_t number;
    Blob blob;  // May be pulled by this hospital from now on.
  };
  std::vector<Serve> serves;
  struct Fetch {
    std::uint32_t number;
    Blob blob;  // To be pulled; OnUploadArrived when whole.
  };
  std::vector<Fetch> fetches;
  struct Fold {
    std::uint32_t number;
    Digest root;
    Ring ring;
    std::shared_ptr<Bytes> sum;  // The job's alone until OnFolded.
    std::size_t offset, bytes;   // The upload is added to these bytes of it.
  };
  std::vector<Fold> folds;
};

struct StudyContext {
  const IdentityKey* key = nullptr;  // Signs releases, whose envelope the chain is over.
  const RosterChain* roster = nullptr;
};

class Study {
 public:
  static Result<std::unique_ptr<Study>> Submit(ByteView canonical_plan, StudyContext context, Now now);
  // From its record; kCorrupt when it does not fit. Members count as just lost, so an open attempt waits for them.
  static Result<std::unique_ptr<Study>> Restore(const StudyRecord& record, StudyContext context, Now now);

  // A member's session began (after Hello): sends it what it lacks.
  void OnHello(std::uint32_t number, const StudyMark* mark, Now now);
  void OnLost(std::uint32_t number, Now now);
  void OnVerdict(std::uint32_t number, const PlanVerdict& verdict, Now now);
  void OnOffer(std::uint32_t number, const Offer& offer, Now now);
  void OnUploadArrived(const Digest& root, Now now);              // A fetched blob is whole and sealed.
  void OnFetchRefused(std::uint32_t number, const Digest& root);  // The root is somebody else's blob.
  void OnFolded(std::uint32_t number, const Digest& root, bool intact, std::uint32_t attempt, Now now);
  void OnDecline(std::uint32_t number, std::uint32_t attempt, Reason reason, Now now);
  void OnRosterChanged(Now now);
  void Abort(Now now);
  // No new attempt until Resume; the one in flight ends as it would. Repeated calls are harmless. kConflict when the
  // study is not running (or not paused).
  Status Pause(Now now);
  Status Resume(Now now);
  void OnTime(Now now);
  // The next time that OnTime could change something; later than `now`, at which OnTime was called.
  [[nodiscard]] std::optional<Instant> NextDeadline(Instant now) const;
  Effects TakeEffects();
  // Adds the roots of the blobs that this study still serves, fetches or reads; the owner lets go of all others.
  void AddNeeded(std::set<Digest>* roots) const;

  [[nodiscard]] const StudyId& id() const { return id_; }
  [[nodiscard]] const Plan& plan() const { return plan_; }
  [[nodiscard]] const StudyRecord& record() const { return record_; }
  [[nodiscard]] const Algorithm& algorithm() const { return *algorithm_; }
  [[nodiscard]] const Round* round() const { return round_.get(); }
  [[nodiscard]] const std::map<std::uint32_t, Absence>& absences() const { return last_absences_; }
  // Hospitals that hold more releases of this study than it has here, as they said: a rolled-back database, or a lie.
  [[nodiscard]] const std::map<std::uint32_t, std::uint32_t>& ahead() const { return ahead_; }
  [[nodiscard]] bool Running() const { return record_.phase == StudyPhase::kRunning; }
  [[nodiscard]] bool Ended() const {
    return record_.phase == StudyPhase::kComplete || record_.phase == StudyPhase::kAborted ||
           record_.phase == StudyPhase::kFailed;
  }
  [[nodiscard]] std::uint32_t quorum() const { return plan_.minimum_hospitals; }

 private:
  Study(StudyContext context, Plan plan, StudyRecord record, std::unique_ptr<Algorithm> algorithm);
  [[nodiscard]] std::vector<std::uint32_t> Approved() const;  // Approved and not revoked, ascending.
  // The most of `candidates` that all pinned one another's membership: a hospital computes only in company that its
  // officer was shown, so inviting one that came later than somebody's approval would make that hospital decline.
  [[nodiscard]] std::vector<std::uint32_t> Acquainted(const std::vector<std::uint32_t>& candidates) const;
  [[nodiscard]] StudyState State() const;
  void ConsiderStart(Now now);
  void ConsiderBegin(Now now);
  void Begin(std::vector<std::uint32_t> cohort, Now now);
  [[nodiscard]] Instant OpenedAt(Now now) const;
  Status OpenRound(Instant opened);
  void Invite1(std::uint32_t number, Now now);
  void RepeatRelease(std::uint32_t number);  // The last one, with its model to pull.
  void Advance(Now now);
  void StartFold(std::uint32_t number, const Digest& root);
  void NextFold(Now now);
  void Refuse(std::uint32_t number, std::uint32_t attempt, Reason reason, Now now);
  void Conclude(Now now);
  void AuditReleased(const RoundRecord& open, Now now);
  void FailAttempt(Reason reason, Now now);
  void End(StudyPhase phase, Reason reason, Now now);
  void Tell(std::uint32_t number, Message message);
  void TellApproved(const Message& message);
  void Audit(std::string_view event, Value fields, Now now);
  Blob Publish(const Bytes& content);  // Inline, or stored and named.
  void ForgetUploads();
  void Attach(std::uint32_t number, const Blob& blob);  // Lets the hospital pull it when it is not inline.

  StudyContext context_;
  Plan plan_;
  StudyId id_;
  StudyRecord record_;
  std::unique_ptr<Algorithm> algorithm_;
  std::unique_ptr<Round> round_;
  std::map<std::uint32_t, Instant> last_seen_;  // Members that are offline, and since when.
  std::set<std::uint32_t> online_;
  Digest plan_root_, query_root_, model_root_;             // Of what is too large for its message; zero otherwise.
  std::map<Digest, std::set<std::uint32_t>> arriving_;     // Root -> who offered it.
  std::vector<std::pair<std::uint32_t, Digest>> to_fold_;  // Arrived, waiting for the running fold.
  std::map<std::uint32_t, Absence> last_absences_;
  std::map<std::uint32_t, std::uint32_t> ahead_;
  Instant last_verdict_, retry_at_;
  Duration pause_{};
  Effects effects_;
  bool dirty_ = false;
};

}  // namespace consilium::coordinator
