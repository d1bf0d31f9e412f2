// One study at this hospital, from the plan's arrival to the hospital's own results.
//
//   Pending --approve--> Approved --invite--> Joining -> Computing -> Offered -> Receipted --release--> Approved ...
//      \---reject--> Rejected (a later approval replaces it)          ended: Complete | Aborted | Failed
//
// Pure: messages, an officer's word and job results go in; effects come out, in order. What must survive is the
// ParticipantRecord; Joining and Computing are forgotten at a restart, because the coordinator repeats the invitation.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "hospital_node/gate/gate.h"

namespace consilium::node {

// What the participant is told of its surroundings with every call.
struct Site {
  const RosterChain* rosters = nullptr;  // Null before the first roster has come.
  std::uint32_t number = 0;              // Own roster number; 0 when not in it.
  const SitePolicy* policy = nullptr;
  const Ledger* ledger = nullptr;
  std::int64_t wall_ms = 0;
};

// ---- effects ----
struct Charge {  // A row of the ledger, in the transaction of the record.
  LedgerRow row;
};
struct Say {
  Message message;
};
struct Note {  // A row of the audit chain.
  std::string event;
  Value fields;
};
struct Fetch {};     // Get the standing invitation's inputs, then call Compute().
struct Conclude {};  // The hospital's own results can be computed.
using Effect = std::variant<Charge, Say, Note, Fetch, Conclude>;

class Participant {
 public:
  enum class Stage : std::uint8_t { kIdle, kJoining, kComputing, kOffered, kReceipted };
  struct Standing {  // The invitation that is being answered.
    Invite invite;
    Query query;
    Digest context;
  };

  // A plan that was offered: canonical bytes whose hash is the study. kProtocol otherwise.
  static Result<Participant> Offered(const StudyId& study, ByteView plan);
  // From its record; kCorrupt when the plan in it does not parse.
  static Result<Participant> Restore(const StudyId& study, ParticipantRecord record);

  // The officer's word; the caller has checked policy and data. `pinned` is the roster whose members were shown.
  void Approve(const std::string& officer, const Site& site);
  void Reject(const std::string& officer, const Site& site);
  // What the coordinator should know of the consent; nothing while pending or after the end.
  [[nodiscard]] std::optional<PlanVerdict> Verdict() const;

  void OnInvite(const Invite& invite, const Site& site);
  // The inputs are here: the standing invitation is now being computed.
  void OnInputs();
  // The job of `context` has ended. False when it is not wanted any more (the owner may drop its blob).
  bool OnJob(const Digest& context, const Result<Sealed>& sealed, const Site& site);
  void OnUnlocked(const Site& site);  // The ledger stands as it is: its word on attempts used is the last one.
  void OnReceipt(const Receipt& receipt);
  void OnAbandon(const Abandon& abandon);
  // `envelope` is H of the frame as received.
  void OnRelease(const Release& release, const Digest& envelope, const Site& site);
  void OnStudyState(const StudyState& state, const Site& site);
  void OnResults(const Value& results);
  // The data set is not there (any more): declines the standing invitation.
  void DeclineStanding(Reason reason);

  std::vector<Effect> TakeEffects();
  bool TakeChanged();  // The record must be stored; asked once a turn.

  [[nodiscard]] const StudyId& id() const { return id_; }
  [[nodiscard]] const Plan& plan() const { return *plan_; }
  [[nodiscard]] const ParticipantRecord& record() const { return record_; }
  [[nodiscard]] const std::optional<Standing>& standing() const { return standing_; }
  [[nodiscard]] Stage stage() const { return stage_; }
  [[nodiscard]] bool Approved() const { return record_.consent == ParticipantRecord::Consent::kApproved; }
  [[nodiscard]] bool Ended() const;
  [[nodiscard]] bool LacksResults() const;  // Complete, trained here, and the figures are not there yet.
  // The study ended with releases that this hospital, which took part, does not have.
  [[nodiscard]] bool Missed(const StudyState& state) const;
  [[nodiscard]] StudyMark mark() const { return {id_, record_.releases, record_.last_release}; }

 private:
  Participant(const StudyId& study, std::shared_ptr<const Plan> plan, ParticipantRecord record);
  // What the attempt's number alone says: kNone goes on to Judge.
  [[nodiscard]] Reason JudgeAttempt(const Invite& invite, const Digest& context) const;
  void Decline(const Invite& invite, Reason reason);
  void Repeat();
  void Leave();  // The standing invitation does not stand any more.
  void End(StudyPhase phase, Reason reason, const Site& site);
  void Audit(std::string event, Value fields);

  StudyId id_;
  std::shared_ptr<const Plan> plan_;
  ParticipantRecord record_;
  std::optional<Standing> standing_;
  Stage stage_ = Stage::kIdle;
  std::optional<std::pair<std::uint32_t, Reason>> declined_;  // The last one audited: repetitions fill no log.
  std::vector<Effect> effects_;
  bool changed_ = false;
};

std::string_view Name(ParticipantRecord::Consent consent);  // "approved"
std::string_view Name(ParticipantRecord::OwnFigures own);   // "withheld"
std::string_view Name(Participant::Stage stage);            // "computing"

}  // namespace consilium::node
