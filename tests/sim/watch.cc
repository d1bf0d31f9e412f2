// See watch.h: what is seen at the hospitals, and what holds even when the coordinator lies.
#include "tests/sim/watch.h"

#include "common/algorithms/derive.h"
#include "common/secagg/variant.h"
#include "tests/sim/workbench.h"

namespace consilium::sim {

Result<Message> Peek(ByteView frame) {
  const auto envelope = TRY(OpenEnvelope(frame));
  return ParsePayload(envelope.payload);
}

Watch::Watch(Context& context, VerifyKey coordinator) : context_(context), coordinator_(coordinator) {}

void Watch::AddStudy(const Plan& plan) {
  auto& book = studies_[plan.id()];
  book.plan = plan;
  auto reference = MakeAlgorithm(plan);
  if (!reference) return context_.Fail("scenario", "no algorithm for the plan: " + reference.error().what);
  book.reference = std::move(*reference);
}

void Watch::AddHospital(std::uint32_t number) { hospitals_[number]; }

std::string Watch::NameOf(const StudyId& study) const { return study.Hex().substr(0, 8); }

// ---- what a hospital does ----

// Nothing is computed at a hospital that has not approved, durably; nothing from other inputs than the query names.
void Watch::OnCompute(std::uint32_t number, const Query& query, const std::map<Digest, Bytes>& inputs) {
  auto& hospital = hospitals_[number];
  queries_.try_emplace(HashOf(query), query);
  context_.Note("{} computes {} of round {}", number, query.kind, query.round);
  if (!hospital.asked.contains(query.plan) || !hospital.reserved.contains(query.plan)) {
    context_.Fail("approval", fmt::format("hospital {} computes for study {}, which it has not approved", number,
                                          NameOf(query.plan)));
  }
  for (const auto& [name, root] : query.params["inputs"].AsObject()) {
    const auto digest = Digest::FromHexText(root.AsString());
    const auto input = digest ? inputs.find(*digest) : inputs.end();
    if (input == inputs.end() || BlobRoot(input->second) != *digest) {
      context_.Fail("inputs", fmt::format("hospital {} computes with another '{}' than the query names", number, name));
    }
  }
}

void Watch::OnHospitalCommitted(std::uint32_t number, const std::vector<Write>& writes) {
  for (const auto& write : writes) {
    if (const auto* append = std::get_if<AppendChain>(&write); append != nullptr && append->name == "ledger") {
      OnLedgerRow(number, append->row);
    }
    if (const auto* put = std::get_if<PutState>(&write); put != nullptr && put->core == "roster")
      OnRoster(put->blob, fmt::format("hospital {}", number), &hospitals_[number].revoked);
    if (const auto* put = std::get_if<PutState>(&write); put != nullptr && put->core == "study") {
      auto record = DecodeParticipantRecord(put->blob);
      if (!record) return context_.Fail("stored records", "a hospital's study does not decode: " + record.error().what);
      OnParticipant(number, *record);
    }
  }
}

// Counted here once more, without the chain's rules: the founding officer's signature until three hospitals had
// officers, then those of more than half of the hospitals that have some.
void Watch::OnRoster(ByteView signed_roster, const std::string& where, std::map<std::uint32_t, Duration>* revoked) {
  const auto link = ParseSignedRoster(signed_roster);
  const auto roster = link ? ParseRoster(link->roster) : std::unexpected(link.error());
  if (!roster) return context_.Fail("stored records", where + ": a roster does not parse: " + roster.error().what);
  for (const Member& member : roster->members) {
    if (member.revoked) revoked->try_emplace(member.number, context_.now());
  }
  if (!rosters_.emplace(link->hash(), *roster).second) return;
  const auto before = rosters_.find(roster->previous);
  std::set<std::uint32_t> voters, may;
  bool founder = false;
  for (const RosterSignature& s : link->signatures) {
    if (!Verify(s.key, Fields("HSA1/msg").AddText("Roster").Add(link->hash()).bytes(), s.signature)) continue;
    founder |= s.key == roster->founder;
    for (const Member& member : before == rosters_.end() ? std::vector<Member>() : before->second.members) {
      if (!member.revoked && std::ranges::find(member.officers, s.key) != member.officers.end())
        voters.insert(member.number);
    }
  }
  for (const Member& member : before == rosters_.end() ? std::vector<Member>() : before->second.members) {
    if (!member.revoked && member.HasOfficer()) may.insert(member.number);
  }
  founder_counts_ &= may.size() < 3;
  const bool enough = founder_counts_ ? founder : 2 * voters.size() > may.size();
  if (!enough) {
    context_.Fail("roster signatures", fmt::format("{}: roster {} has {} of {} hospitals' officers", where, roster->seq,
                                                   voters.size(), may.size()));
  }
}

void Watch::OnInviteSent(const Invite& invite) {
  const auto roster = rosters_.find(invite.roster);
  if (roster == rosters_.end()) return;
  const Digest context =
      PlainContext(roster->second.federation, invite.roster, invite.study, invite.round, invite.attempt,
                   Blake2b(invite.query.content), invite.last_release, invite.cohort);
  const auto [book, first] = invites_.try_emplace(context, InviteBook{invite.cohort, context_.now(), {}});
  if (!first || Text(invite.query.content).find("\"release\":\"hospital\"") == std::string_view::npos) return;
  if (auto query = ParseQuery(invite.query.content)) {
    queries_.try_emplace(Blake2b(invite.query.content), *query);  // All may withhold: then nobody computes it.
    book->second.own = std::move(*query);
  }
}

// One COMMIT an attempt, always above the last, never above the plan's maximum, never without a RESERVE.
void Watch::OnLedgerRow(std::uint32_t number, ByteView bytes) {
  auto& hospital = hospitals_[number];
  const auto row = DecodeLedgerRow(bytes);
  if (!row) return context_.Fail("stored records", "a ledger row does not decode: " + row.error().what);
  if (row->kind == LedgerRow::Kind::kUnlock) hospital.lost.clear();
  if (row->kind == LedgerRow::Kind::kReserve) hospital.reserved.insert(row->study);
  if (row->kind == LedgerRow::Kind::kRelease) hospital.released.insert(row->study);
  if (row->kind != LedgerRow::Kind::kCommit) return;
  auto& attempts = hospital.committed[row->study];
  const std::uint32_t most = studies_.contains(row->study) ? studies_[row->study].plan.maximum_attempts : 0;
  for (std::uint32_t attempt = row->first_attempt; attempt <= row->last_attempt; ++attempt) {
    const auto where = fmt::format("hospital {}, study {}, attempt {}", number, NameOf(row->study), attempt);
    if (attempts.contains(attempt)) return context_.Fail("one commit an attempt", where + ": a second COMMIT");
    if (!attempts.empty() && attempt < *attempts.rbegin())
      return context_.Fail("attempts rise", where + ": committed after a higher one");
    if (attempt > most)
      return context_.Fail("attempts within the maximum", where + fmt::format(": the plan allows {}", most));
    if (!hospital.reserved.contains(row->study)) return context_.Fail("reserve before commit", where);
    for (const auto& [study, forgotten] : hospital.lost) {
      for (const std::uint32_t other : forgotten) {
        const auto counted = counted_.find({study, other});
        if (!context_.scenario.CoordinatorHonest() || context_.scenario.rogue() || counted == counted_.end() ||
            !counted->second.contains(number))
          continue;
        return context_.Fail("ledger covers what left",
                             fmt::format("{}: its ledger forgot attempt {}, which is in an answer", where, other));
      }
    }
    attempts.insert(attempt);
    hospital.lost[row->study].erase(attempt);  // Computed once more: the same bytes.
  }
}

void Watch::OnParticipant(std::uint32_t number, const ParticipantRecord& record) {
  auto& hospital = hospitals_[number];
  const StudyId study(Blake2b(record.plan).bytes);
  auto& before = hospital.records[study];
  if (record.releases != before.releases || record.last_release != before.last_release) OnMark(number, before, record);
  before = record;
}

// What its durable state says from now on.
void Watch::OnHospitalPutBack(std::uint32_t number, const Disk::Backup& backup) {
  auto& hospital = hospitals_[number];
  const auto before = std::move(hospital.committed);
  hospital.put_back = true;
  hospital.committed.clear();
  hospital.reserved.clear();
  hospital.released.clear();
  hospital.records.clear();
  hospital.revoked.clear();
  for (const auto& [where, blob] : backup.stored.state) {
    if (where.first == "roster") OnRoster(blob, fmt::format("hospital {}'s backup", number), &hospital.revoked);
    if (where.first != "study") continue;
    const auto record = DecodeParticipantRecord(blob);
    if (record) hospital.records[StudyId(Blake2b(record->plan).bytes)] = *record;
  }
  const auto rows = backup.rows.find("ledger");
  for (const Bytes& row : rows == backup.rows.end() ? std::vector<Bytes>() : rows->second) OnLedgerRow(number, row);
  for (const auto& [study, attempts] : before) {
    for (const std::uint32_t attempt : attempts) {
      if (!hospital.committed[study].contains(attempt)) hospital.lost[study].insert(attempt);
    }
  }
}

// A hospital's releases are one chain, the same one everywhere.
void Watch::OnMark(std::uint32_t number, const ParticipantRecord& before, const ParticipantRecord& after) {
  const StudyId study(Blake2b(after.plan).bytes);
  const auto where =
      fmt::format("hospital {}, study {}, release {} after {}", number, NameOf(study), after.releases, before.releases);
  if (after.releases <= before.releases) return context_.Fail("releases go forward", where);
  const auto release = releases_.find(after.last_release);
  if (release == releases_.end() || release->second.study != study || release->second.seq != after.releases) {
    return context_.Fail("release chain", where + ": no such release was sent");
  }
  if (after.releases == before.releases + 1 && release->second.previous != before.last_release) {
    return context_.Fail("release chain", where + ": it does not continue what the hospital holds");
  }
  if (!context_.scenario.CoordinatorHonest()) return;
  const auto [agreed, first] = agreed_.try_emplace({study, after.releases}, after.last_release);
  if (agreed->second != after.last_release)
    context_.Fail("one answer everywhere", where + ": another hospital holds another one");
}

void Watch::OnHospitalSends(std::uint32_t number, ByteView frame) {
  auto& hospital = hospitals_[number];
  if (IsChunk(frame)) {
    const auto chunk = ReadChunk(frame);
    if (!chunk || !hospital.offered_roots.contains(chunk->root)) {
      context_.Fail("ledger covers what left",
                    fmt::format("hospital {} sends a chunk of what it has not offered", number));
    }
    return;
  }
  const auto message = Peek(frame);
  if (!message)
    return context_.Fail("wire",
                         fmt::format("hospital {} sends a frame that does not read: {}", number, message.error().what));
  context_.Note("{} -> coordinator: {}", number, KindName(*message));
  if (const auto* offer = std::get_if<Offer>(&*message)) OnOffer(number, *offer);
}

// What leaves is in the durable ledger; under one attempt number always the same bytes leave.
void Watch::OnOffer(std::uint32_t number, const Offer& offer) {
  auto& hospital = hospitals_[number];
  const auto where = fmt::format("hospital {}, study {}, attempt {}", number, NameOf(offer.study), offer.attempt);
  if (!hospital.committed[offer.study].contains(offer.attempt)) {
    return context_.Fail("ledger covers what left", where + ": an offer without a durable COMMIT");
  }
  const auto [known, first] =
      hospital.offered.try_emplace({offer.study, offer.attempt}, offer.context, offer.vector.root);
  if (known->second.first != offer.context) return context_.Fail("one context an attempt", where);
  if (known->second.second != offer.vector.root) return context_.Fail("one vector an attempt", where);
  hospital.offered_roots.insert(offer.vector.root);
  const auto invite = invites_.find(offer.context);
  if (invite == invites_.end()) return;
  if (first && invite->second.own) OnOwnOffered(number, offer, *invite->second.own);  // Repeated: the same bytes.
  for (const std::uint32_t other : invite->second.cohort) {
    const auto revoked = hospital.revoked.find(other);
    if (revoked != hospital.revoked.end() && invite->second.first_sent > revoked->second)
      return context_.Fail("revoked stays out", fmt::format("{}: in the company of {}", where, other));
  }
}

bool Watch::Withholds(std::uint32_t number, const Query& query) const {
  return query.release == ReleaseTo::kHospital && !context_.scenario.hospitals[number - 1].releases_own;
}

// One hospital's own vector leaves only for a plan that asks for it, as its last query and of the model that the last
// release published; and with nothing in it where the policy withholds.
void Watch::OnOwnOffered(std::uint32_t number, const Offer& offer, const Query& query) {
  const auto where = fmt::format("hospital {}, study {}, attempt {}", number, NameOf(offer.study), offer.attempt);
  const Plan& plan = studies_[offer.study].plan;
  const auto& record = hospitals_[number].records[offer.study];
  const Digest model = record.model.root;
  const bool asked = plan.per_hospital == "released" && query.kind == "evaluate" && query.round == TotalSums(plan) &&
                     query.params["inputs"]["model"].AsString() == model.Hex() && record.releases + 1 == query.round;
  if (!asked) return context_.Fail("own figures as the plan says", where);
  const Query expected = OwnFiguresQuery(plan, plan.rounds, model, {}, 1);
  if (query.blocks != expected.blocks) return context_.Fail("own figures as the plan says", where + ": other blocks");
  if (Withholds(number, query) && offer.vector.root != BlobRoot(TrueVector(number, query, false, true)))
    context_.Fail("own figures stay", where + ": its policy withholds them");
}

void Watch::OnForged(std::uint32_t number, Bytes vector) { hospitals_[number].forged.push_back(std::move(vector)); }
void Watch::OnOfficerApproves(std::uint32_t number, const StudyId& study) { hospitals_[number].asked.insert(study); }
void Watch::OnAbortAsked(const StudyId& study) { studies_[study].abort_asked = true; }

void Watch::OnForgedInvite(const Invite& invite) { OnInviteSent(invite); }

void Watch::OnForgedRelease(ByteView frame) {
  const auto message = Peek(frame);
  if (!message) return;
  if (const auto* release = std::get_if<Release>(&*message)) releases_[Blake2b(frame)] = *release;
}

const ParticipantRecord* Watch::RecordOf(std::uint32_t number, const StudyId& study) const {
  const auto hospital = hospitals_.find(number);
  if (hospital == hospitals_.end()) return nullptr;
  const auto record = hospital->second.records.find(study);
  return record == hospital->second.records.end() ? nullptr : &record->second;
}

}  // namespace consilium::sim
