// See world.h: the federation's officer, each hospital's officer, and the researcher.
#include <algorithm>

#include "tests/sim/world.h"

namespace consilium::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kAdmin = "admin-token";
constexpr int kOk = 200, kConflict = 409;

}  // namespace

void World::Ask(Process& process, std::string method, std::string path, Value body, Then then) {
  RequestReceived request;
  request.method = std::move(method);
  if (const auto question = path.find('?'); question != std::string::npos) {
    const auto equals = path.find('=', question);
    request.query[path.substr(question + 1, equals - question - 1)] = path.substr(equals + 1);
    path.resize(question);
  }
  request.path = std::move(path);
  request.body = std::move(body);
  request.local = &process != coordinator_.get();
  if (!request.local) request.token = kAdmin;
  process.Request(request, [this, request, &process, then = std::move(then)](int status, const Bytes& answer) {
    context_.Note("{} {}: {}", request.method, request.path, status);
    if (status != 0 && status != kOk) context_.Note("  {}", Text(answer));
    auto& known = answers_[{&process, request.path}];  // People ask again and again, and mostly nothing is new.
    if (known.first != answer) known = {answer, ParseJson(Text(answer)).value_or(Value())};
    then(status, known.second);
  });
}

void World::Again(Duration least, Duration most, std::function<void()> act) {
  context_.scheduler.After(context_.Within(least, most), std::move(act));
}

// ---- the roster ----

Member World::MemberOf(std::uint32_t number) const {
  const auto& name = hospitals_[number - 1]->name;
  Member member;
  member.number = number;
  member.id = *HospitalId::From(ByteView(Fields("sim/hospital").AddText(name).Hash()).first(HospitalId::kSize));
  member.name = name;
  member.identity = Identity(name).verify_key();
  member.transport = Transport(name);
  member.officers = {Identity(name + "/officer").verify_key()};
  return member;
}

RosterSignature World::MembershipSignature(const Member& member) const {
  const Bytes bytes =
      MembershipBytes(founding_.federation, member.name, member.identity, member.transport, member.officers.front());
  const auto& key = Identity(member.name);
  return {key.verify_key(), key.Sign(Fields("HSA1/msg").AddText("Enroll").Add(Blake2b(bytes)).bytes())};
}

// Done, or known by others already, when it is complete or conflicts with what is.
void World::PostRoster(const SignedRoster& roster, std::function<void(bool complete)> then) {
  Value body;
  body.Set("signatures", Value(Value::Array{}));
  body.Set("roster", Base64(roster.roster));
  for (const auto& signature : roster.signatures) {
    Value one;
    one.Set("key", signature.key.Hex()).Set("signature", signature.signature.Hex());
    Value list = body["signatures"];
    body.Set("signatures", list.Push(one));
  }
  Ask(*coordinator_, "POST", "/v1/roster", body, [this, roster, then](int status, const Value& answer) {
    if (status == kOk || status == kConflict) return then(status == kConflict || answer["complete"].AsBool());
    if (status != 0) return context_.Fail("requests", fmt::format("the roster is answered with {}", status));
    Again(milliseconds(100), milliseconds(500), [this, roster, then] { PostRoster(roster, then); });
  });
}

// Roster 1: all hospitals but those that come late.
void World::StartHospitals() {
  Roster roster = founding_;
  roster.seq = 1;
  roster.previous = roster0_.hash();
  SignedRoster signed_roster;
  for (std::uint32_t number = 1; number <= hospitals_.size(); ++number) {
    if (context_.scenario.hospitals[number - 1].enrols_late) continue;
    roster.members.push_back(MemberOf(number));
    signed_roster.signatures.push_back(MembershipSignature(roster.members.back()));
  }
  signed_roster.roster = Canonical(roster);
  signed_roster.signatures.insert(signed_roster.signatures.begin(),
                                  SignRoster(signed_roster.roster, Identity("founder")));
  PostRoster(signed_roster, [this](bool) {
    const auto& scenario = context_.scenario;
    const bool changes =
        scenario.revoked != 0 || std::ranges::any_of(scenario.hospitals, &HospitalScenario::enrols_late);
    if (scenario.revoked != 0) {
      context_.scheduler.At(scenario.revoke_at, [this] { Revoke(context_.scenario.revoked); });
    }
    for (auto& hospital : hospitals_) {
      const auto number = hospital->number;
      if (context_.scenario.hospitals[number - 1].enrols_late) {
        Again(seconds(1), seconds(12), [this, number] { EnrolLate(number); });
        continue;
      }
      hospital->process->Start();
      Again(milliseconds(1), milliseconds(500), [this, number] { Register(number); });
      if (scenario.put_back != 0 || scenario.rogue()) Again(seconds(1), seconds(8), [this, number] { Unlock(number); });
      if (changes) Again(milliseconds(500), milliseconds(2500), [this, number] { SignRosters(number); });
    }
  });
}

// ---- a late hospital, through the API ----

void World::EnrolLate(std::uint32_t number) {
  Value body;
  const auto& name = At(number).name;
  body.Set("name", name).Set("key", Transport(name + "/token").Hex()).Set("expires_s", 3600);
  Ask(*coordinator_, "POST", "/v1/invitations", body, [this, number](int status, const Value&) {
    if (status == kOk || status == kConflict) return Join(number);
    Again(milliseconds(100), seconds(1), [this, number] { EnrolLate(number); });
  });
}

// `consilium-node join`: an end of its own under the token's key, which says Enroll until it is welcomed.
void World::Join(std::uint32_t number) {
  const auto end = std::make_shared<std::size_t>(0);
  const auto welcomed = std::make_shared<bool>(false);
  const auto member = MemberOf(number);
  const Enroll enroll{.token = Transport(member.name + "/token"),
                      .name = member.name,
                      .identity = member.identity,
                      .transport = member.transport,
                      .officer = member.officers.front(),
                      .roster_fingerprint = roster0_.hash(),
                      .membership = MembershipSignature(member).signature};
  const Bytes frame = EncodeFrame(enroll, Identity(member.name));
  *end = network_.AddEnd(enroll.token, [this, number, end, welcomed, frame](const Event& event) {
    if (std::holds_alternative<PeerConnected>(event)) return network_.FromEnd(*end, frame);
    const auto* received = std::get_if<FrameReceived>(&event);
    if (received == nullptr || *welcomed) return;
    const auto message = ReadFrame(received->frame, founding_.server_identity);
    if (!message || !std::holds_alternative<Welcome>(*message)) return;
    *welcomed = true;
    Again(Duration(1), Duration(2), [this, end] { network_.EndStopped(*end); });
    Confirm(number);
  });
  network_.EndStarted(*end);
}

// What the consortium posts of a proposed roster: with the founding officer's signature only where it counts.
SignedRoster World::Proposed(const Value& next) const {
  SignedRoster roster;
  roster.roster = FromBase64(next["roster"].AsString()).value_or(Bytes{});
  if (next["founder"].AsBool()) roster.signatures.push_back(SignRoster(roster.roster, Identity("founder")));
  for (const auto& signature : next["membership"].AsArray()) {
    roster.signatures.push_back({VerifyKey::FromHexText(signature["key"].AsString()).value_or(VerifyKey{}),
                                 Signature::FromHexText(signature["signature"].AsString()).value_or(Signature{})});
  }
  return roster;
}

// `consilium hospital confirm`: signed at once while the founding officer counts, else proposed to the officers.
void World::Confirm(std::uint32_t number) {
  Ask(*coordinator_, "GET", "/v1/roster/next?add=" + At(number).name, {},
      [this, number](int status, const Value& next) {
        if (status == kConflict) return AwaitMember(number);  // Confirmed before, and the answer was lost.
        if (status != kOk) return Again(milliseconds(100), seconds(1), [this, number] { Confirm(number); });
        PostRoster(Proposed(next), [this, number](bool) { AwaitMember(number); });
      });
}

void World::AwaitMember(std::uint32_t number) {
  Ask(*coordinator_, "GET", "/v1/roster", {}, [this, number](int status, const Value& roster) {
    const auto again = [this, number] { AwaitMember(number); };
    if (status != kOk) return Again(milliseconds(100), seconds(1), again);
    for (const auto& member : roster["members"].AsArray()) {
      if (member["name"].AsString() != At(number).name) continue;
      At(number).process->Start();
      Again(milliseconds(500), milliseconds(2500), [this, number] { SignRosters(number); });
      return Register(number);
    }
    if (roster["proposal"].IsObject()) return Again(milliseconds(500), seconds(2), again);
    Again(milliseconds(100), seconds(1), [this, number] { Confirm(number); });
  });
}

// `consilium hospital revoke`, typed until it is done.
void World::Revoke(std::uint32_t number) {
  const auto again = [this, number] { Again(milliseconds(500), seconds(3), [this, number] { Revoke(number); }); };
  Ask(*coordinator_, "GET", "/v1/roster/next?revoke=" + At(number).name, {},
      [this, again](int status, const Value& next) {
        if (status == kConflict) return;  // It is revoked.
        if (status != kOk) return again();
        PostRoster(Proposed(next), [again](bool) { again(); });
      });
}

// `consilium-node roster sign` by a hospital's officer, who looks now and then.
void World::SignRosters(std::uint32_t number) {
  if (context_.now() > context_.scenario.faults_until + seconds(120)) return;
  const auto again = [this, number] {
    Again(milliseconds(500), milliseconds(2500), [this, number] { SignRosters(number); });
  };
  Ask(*At(number).process, "GET", "/v1/roster", {}, [this, number, again](int status, const Value& view) {
    const auto& proposal = view["proposal"];
    const bool asked = proposal.IsObject() &&
                       std::ranges::any_of(proposal["may_sign"].AsArray(),
                                           [&](const Value& name) { return name.AsString() == At(number).name; });
    if (status != kOk || !asked) return again();
    const Bytes roster = FromBase64(proposal["roster"].AsString()).value_or(Bytes{});
    const auto signature = SignRoster(roster, Identity(At(number).name + "/officer"));
    Value one, list{Value::Array{}};
    one.Set("key", signature.key.Hex()).Set("signature", signature.signature.Hex());
    Ask(*At(number).process, "POST", "/v1/roster",
        Value().Set("roster", Base64(roster)).Set("signatures", list.Push(one)),
        [again](int, const Value&) { again(); });
  });
}

// `consilium-node budget DIR unlock` by a hospital's officer, who looks now and then.
void World::Unlock(std::uint32_t number) {
  if (context_.now() > context_.scenario.faults_until + seconds(120)) return;
  const auto again = [this, number] { Again(seconds(1), seconds(8), [this, number] { Unlock(number); }); };
  Ask(*At(number).process, "GET", "/v1/budget", {}, [this, number, again](int status, const Value& budget) {
    if (status != kOk || budget["locked"].AsString().empty()) return again();
    context_.Note("{} is locked: {}", number, budget["locked"].AsString());
    Ask(*At(number).process, "POST", "/v1/budget/unlock", Value().Set("officer", "officer-1"),
        [again](int, const Value&) { again(); });
  });
}

// ---- the researcher ----

void World::Submit(std::size_t index) {
  const Plan& plan = context_.scenario.plans[index];
  Value body;
  body.Set("plan", Base64(Canonical(plan)));
  Ask(*coordinator_, "POST", "/v1/studies", body, [this, index](int status, const Value& answer) {
    const auto id = context_.scenario.plans[index].id();
    if (status == 0) return Again(milliseconds(100), milliseconds(500), [this, index] { Submit(index); });
    if (status != kOk || answer["study"].AsString() != id.Hex()) {
      return context_.Fail("requests", fmt::format("the plan is answered with {}", status));
    }
    if (index > 0) return;
    const auto& scenario = context_.scenario;
    if (scenario.aborts) context_.scheduler.At(scenario.abort_at, [this, id] { Abort(id); });
    std::size_t willing = 0;
    for (const auto& hospital : scenario.hospitals) {
      using Says = HospitalScenario::Officer;
      const bool stays = scenario.revoked == 0 || &hospital != &scenario.hospitals[scenario.revoked - 1];
      if (stays && !hospital.unfit &&
          (hospital.officer == Says::kApproves || hospital.officer == Says::kRejectsThenApproves))
        ++willing;
    }
    for (const auto& each : scenario.plans) {
      if (willing >= each.minimum_hospitals) continue;  // Else it would wait for ever: the researcher gives up.
      context_.scheduler.At(scenario.faults_until + seconds(30), [this, study = each.id()] { Abort(study); });
    }
  });
}

void World::Abort(StudyId study) {
  watch_.OnAbortAsked(study);
  Ask(*coordinator_, "POST", "/v1/studies/" + study.Hex() + "/abort", {}, [this, study](int status, const Value&) {
    if (status == 0 || status == 404) Again(milliseconds(100), seconds(1), [this, study] { Abort(study); });
  });
}

// ---- a hospital's officer ----

void World::Register(std::uint32_t number) {
  Value body;
  body.Set("name", "cohort").Set("folder", "/data").Set("schema", SchemaToml(context_.scenario.plans[0].schema));
  Ask(*At(number).process, "POST", "/v1/datasets", body, [this, number](int status, const Value&) {
    if (status == kOk || status == kConflict) return Officer(number);
    if (status != 0) return context_.Fail("requests", fmt::format("the data set is answered with {}", status));
    Again(milliseconds(100), milliseconds(500), [this, number] { Register(number); });
  });
}

// Looks at the plans now and then, and says what it has to say; again when the roster has a newcomer to be approved.
void World::Officer(std::uint32_t number) {
  const auto& scenario = context_.scenario;
  const bool newcomers = std::ranges::any_of(scenario.hospitals, &HospitalScenario::enrols_late);
  const auto again = [this, number] {
    if (context_.now() < context_.scenario.faults_until + seconds(120)) {
      Again(milliseconds(500), milliseconds(2500), [this, number] { Officer(number); });
    }
  };
  Ask(*At(number).process, "GET", "/v1/roster", {}, [this, number, newcomers, again](int status, const Value& answer) {
    if (status != kOk) return again();
    const bool complete = !newcomers || answer["members"].AsArray().size() == hospitals_.size();
    Ask(*At(number).process, "GET", "/v1/plans", {},
        [this, number, complete, again](int plans_status, const Value& plans) {
          bool settled =
              plans_status == kOk && plans["plans"].AsArray().size() == context_.scenario.plans.size() && complete;
          for (const auto& plan : plans["plans"].AsArray()) settled = Decide(number, plan, complete) && settled;
          if (!settled) again();
        });
  });
}

// Whether nothing is left to be said.
bool World::Decide(std::uint32_t number, const Value& plan, bool roster_complete) {
  using Says = HospitalScenario::Officer;
  const auto& scenario = context_.scenario.hospitals[number - 1];
  auto& hospital = At(number);
  const auto study = StudyId::FromHexText(plan["study"].AsString());
  if (!study || scenario.officer == Says::kSilent || context_.now() < scenario.decides_at) return false;
  const auto consent = plan["consent"].AsString();
  bool approve = scenario.officer != Says::kRejects;
  if (scenario.officer == Says::kRejectsThenApproves) {
    if (consent == "rejected") hospital.rejected_at.try_emplace(*study, context_.now());
    const auto rejected = hospital.rejected_at.find(*study);
    approve = rejected != hospital.rejected_at.end() && context_.now() > rejected->second + seconds(3);
  }
  const bool ended = plan["phase"].AsString() != "running" && plan["phase"].AsString() != "awaiting consent";
  const bool said = consent == (approve ? "approved" : "rejected");
  if (ended || (said && (!approve || !roster_complete || hospital.approved_all.contains(*study)))) {
    return approve || scenario.officer == Says::kRejects;
  }
  if (approve) watch_.OnOfficerApproves(number, *study);
  Value body;
  body.Set("officer", "officer-" + hospital.name.substr(hospital.name.size() - 1));
  Ask(*hospital.process, "POST", "/v1/plans/" + study->Hex() + (approve ? "/approve" : "/reject"), body,
      [this, number, study = *study, all = approve && roster_complete](int status, const Value&) {
        if (status == kOk && all) At(number).approved_all.insert(study);
      });
  return false;
}

}  // namespace consilium::sim
