// The invariants. Watch sees what every process makes durable and what it sends, computes what should have come out,
// and names the first thing that is not so. What must hold even when the coordinator lies is kept apart from the rest.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "common/algorithms/algorithm.h"
#include "common/wire/codec.h"
#include "common/wire/records.h"
#include "tests/sim/context.h"
#include "tests/sim/disk.h"

namespace consilium::sim {

// What a frame says; its signature is the receiver's business, and verifying twice would double the cost of a run.
Result<Message> Peek(ByteView frame);

class Watch {
 public:
  Watch(Context& context, VerifyKey coordinator);
  void AddStudy(const Plan& plan);
  void AddHospital(std::uint32_t number);

  // What happens.
  void OnCompute(std::uint32_t number, const Query& query, const std::map<Digest, Bytes>& inputs);
  void OnHospitalCommitted(std::uint32_t number, const std::vector<Write>& writes);
  void OnHospitalSends(std::uint32_t number, ByteView frame);
  void OnCoordinatorCommitted(const std::vector<Write>& writes);
  void OnCoordinatorSends(ByteView frame);
  void OnCoordinatorRestored(const Disk::Backup& backup);  // From an old backup.
  void OnCoordinatorStarted();
  void OnCoordinatorStopped();
  void OnTime();
  void OnHospitalPutBack(std::uint32_t number, const Disk::Backup& backup);
  void OnForged(std::uint32_t number, Bytes vector);                   // A rogue hospital offered this as its own.
  void OnForgedInvite(const Invite& invite);                           // Likewise.
  void OnForgedRelease(ByteView frame);                                // Under the coordinator's key.
  void OnOfficerApproves(std::uint32_t number, const StudyId& study);  // Asked for, perhaps lost.
  void OnAbortAsked(const StudyId& study);

  // Whether every study has ended, here and at its hospitals.
  [[nodiscard]] bool Ended() const;
  [[nodiscard]] std::string WhatIsLeft() const;
  [[nodiscard]] bool CoordinatorEnded(const StudyId& study) const;
  void AtEnd();
  [[nodiscard]] std::uint32_t Answers() const;

  // For forgers.
  [[nodiscard]] const ParticipantRecord* RecordOf(std::uint32_t number, const StudyId& study) const;

 private:
  struct StudyBook {
    Plan plan;
    std::unique_ptr<Algorithm> reference;  // Fed with the sums that should have come out.
    StudyRecord record;                    // As last committed.
    bool known = false, abort_asked = false;
    std::map<std::uint32_t, Digest> releases;  // seq -> H(envelope), as the coordinator made them durable.
    std::set<std::uint32_t> answered;          // Rounds with an answer in the audit chain.
    Duration over_by{0};                       // When the open attempt must have ended, should the coordinator stay up.
  };
  struct HospitalBook {
    std::map<StudyId, std::set<std::uint32_t>> committed;  // Attempts, as the durable ledger has them.
    std::set<StudyId> reserved, released, asked;           // Asked: an officer said yes at least once.
    std::map<StudyId, ParticipantRecord> records;
    std::map<std::pair<StudyId, std::uint32_t>, std::pair<Digest, Digest>> offered;  // -> (context, root)
    std::set<Digest> offered_roots;
    std::vector<Bytes> forged;
    bool put_back = false;                            // Its directory was, to an earlier state.
    std::map<StudyId, std::set<std::uint32_t>> lost;  // Attempts that its ledger forgot and no officer let go of.
    std::map<std::uint32_t, Duration> revoked;        // Who, by its durable rosters, and since when they are.
  };
  struct InviteBook {
    std::vector<std::uint32_t> cohort;
    Duration first_sent{0};
    std::optional<Query> own;  // With release = hospital.
  };
  void OnRoster(ByteView signed_roster, const std::string& where, std::map<std::uint32_t, Duration>* revoked);
  void OnInviteSent(const Invite& invite);
  void OnLedgerRow(std::uint32_t number, ByteView row);
  void OnParticipant(std::uint32_t number, const ParticipantRecord& record);
  void OnMark(std::uint32_t number, const ParticipantRecord& before, const ParticipantRecord& after);
  void OnOffer(std::uint32_t number, const Offer& offer);
  void OnOwnOffered(std::uint32_t number, const Offer& offer, const Query& query);
  void OnReleasedFigures(const Value& row);
  [[nodiscard]] bool Withholds(std::uint32_t number, const Query& query) const;
  void OnStudy(StudyRecord record);
  void OnAnswer(StudyBook& book, const StudyRecord& before, const StudyRecord& after);
  void OnAuditRow(ByteView row);
  void OnAnswerAudited(const Value& row);
  void OnAttemptFailed(const Value& row);
  void OnDeclined(const Value& row);
  void OnRoundOpened(StudyBook& book, const StudyRecord& after);
  void SetDeadline(StudyBook& book, const Query& query) const;
  // The words that the survivors' true vectors sum to, or that they are; nullopt when they do not give `answer`.
  [[nodiscard]] std::optional<Bytes> SumOf(const Query& query, const std::vector<std::uint32_t>& survivors,
                                           const Digest& answer);
  bool SumWith(const Query& query, const std::vector<std::uint32_t>& survivors, std::size_t next, Bytes words,
               const Digest& answer, Bytes* out);
  [[nodiscard]] std::string NameOf(const StudyId& study) const;

  Context& context_;
  VerifyKey coordinator_;
  std::map<StudyId, StudyBook> studies_;
  std::map<std::uint32_t, HospitalBook> hospitals_;
  std::map<std::uint32_t, Duration> revoked_;  // As the coordinator's durable rosters have it.
  std::map<Digest, InviteBook> invites_;       // By context; forged ones too.
  std::map<Digest, Roster> rosters_;           // Every durable one, by hash.
  std::optional<Duration> coordinator_down_;   // Since when.
  bool founder_counts_ = true;                 // Three hospitals never had officers.
  std::map<Digest, Query> queries_;            // Every query that was computed, by hash.
  std::map<Digest, Release> releases_;         // Every release that was sent, forged ones too, by H(envelope).
  std::map<std::pair<StudyId, std::uint32_t>, std::set<std::uint32_t>> counted_;  // (study, attempt) of answers -> who.
  std::map<std::pair<StudyId, std::uint32_t>, Digest> agreed_;  // (study, seq) -> H, as the first hospital holds it.
};

}  // namespace consilium::sim
