// Who is in, with the real programs: hospitals' officers sign the roster, a revoked hospital is out at once and the
// study goes on, officers and keys change while the daemons run.
#include "common/roster/roster.h"
#include "coordinator/config.h"
#include "coordinator/daemon.h"
#include "tests/e2e/federation.h"

namespace consilium::e2e {
namespace {

// Waits until a change is proposed at node i, and signs it there.
Value Sign(Federation& federation, int i, std::vector<std::string> more = {}) {
  EXPECT_TRUE(WaitUntil([&] { return federation.NodeJson(i, {"roster", "show", "DIR"})["proposal"].IsObject(); }));
  std::vector<std::string> args = {"roster", "sign", "DIR", "--yes"};
  args.insert(args.end(), more.begin(), more.end());
  return federation.NodeJson(i, args);
}

std::string Words(Federation& federation, std::size_t i) {
  return federation.CliJson({"hospital", "list"})["hospitals"].AsArray().at(i)["fingerprint"].AsString();
}

bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Membership, TwoOfThreeOfficersRevokeAHospitalInMidStudyAndTheStudyGoesOn) {
  Federation federation;
  federation.StartAll();
  PlanOptions options;
  options.rounds = 400;
  options.minimum_hospitals = 2;
  const std::string study = federation.Submit(options);
  federation.ApproveAll(study);
  ASSERT_TRUE(federation.WaitReleases(study, 2));

  EXPECT_EQ(federation.Cli({"hospital", "revoke", "hospital-c"}, "n\n").status, 3);
  EXPECT_EQ(federation.Cli({"hospital", "revoke", "hospital-z", "--yes"}).status, 5);
  const ProgramOutput proposed = federation.Cli({"hospital", "revoke", "hospital-c", "--yes"});
  EXPECT_EQ(proposed.status, 0) << proposed.err;
  EXPECT_TRUE(Contains(proposed.out, "Still needed: officers of 2 more of hospital-a, hospital-b, hospital-c"))
      << proposed.out;
  EXPECT_FALSE(Sign(federation, 0)["complete"].AsBool());
  const ProgramOutput shown = federation.Node(1, {"roster", "show", "DIR"});
  EXPECT_TRUE(Contains(shown.out, "revokes hospital-c, for good")) << shown.out;
  EXPECT_TRUE(Contains(shown.out, "Signed by hospital-a.")) << shown.out;
  EXPECT_TRUE(Contains(federation.Cli({"roster", "show"}).out, "officers of 2 of 3 hospitals"));
  EXPECT_TRUE(federation.WaitOnline(2)) << "one signature revokes nobody";
  EXPECT_TRUE(Sign(federation, 1)["complete"].AsBool());
  EXPECT_TRUE(federation.WaitOnline(2, false));

  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
  bool revoked = false, after = false;
  for (const Value& row : federation.CoordinatorAudit()) {
    revoked |= row["event"].AsString() == "revoked" && row["hospital"].AsString() == "hospital-c";
    if (!revoked || row["event"].AsString() != "attempt") continue;
    after = true;
    ASSERT_EQ(row["cohort"].AsArray().size(), 2U) << "an attempt after the revocation";
  }
  EXPECT_TRUE(revoked && after) << "the study was over before the revocation; give it more rounds";
  federation.ExpectOneAnswerPerRound(study);

  // The hospital knows by the roster itself, and has no say any more.
  EXPECT_EQ(federation.NodeJson(2, {"status", "DIR"})["standing"].AsString(), "revoked");
  EXPECT_TRUE(Contains(federation.Node(2, {"status", "DIR"}).out, "this hospital was revoked, which is for good"));
  EXPECT_EQ(federation.Node(2, {"roster", "sign", "DIR", "--yes"}).status, 3);
  EXPECT_EQ(federation.Node(0, {"roster", "sign", "DIR", "--yes"}).status, 5) << "nothing is proposed";
  EXPECT_EQ(federation.Cli({"hospital", "revoke", "hospital-c", "--yes"}).status, 1);
  EXPECT_EQ(federation.Cli({"hospital", "confirm", "hospital-c", "--yes"}).status, 1);
  EXPECT_EQ(federation.Cli({"invite", "hospital-c"}).status, 1);
  EXPECT_EQ(federation.Cli({"roster", "withdraw"}).status, 5);
}

TEST(Membership, OfficersComeAndGoAndKeysAreRotatedWhileTheNodesRun) {
  Federation federation;
  federation.StartAll();
  EXPECT_EQ(federation.Node(0, {"officer", "remove", "DIR", "officer"}).status, 2) << "the only one";
  EXPECT_EQ(federation.Node(0, {"officer", "add", "DIR", "Night Shift"}).status, 2);
  EXPECT_EQ(federation.Node(0, {"officer", "add", "DIR", "night"}).status, 0);
  EXPECT_EQ(federation.Node(1, {"officer", "add", "DIR", "day"}).status, 1) << "one proposal at a time";
  EXPECT_EQ(federation.Node(0, {"roster", "sign", "DIR", "--yes", "--officer", "night"}).status, 3) << "no officer yet";
  EXPECT_EQ(federation.Node(0, {"roster", "sign", "DIR", "--yes", "--officer", "nobody"}).status, 5);
  EXPECT_TRUE(Sign(federation, 2)["complete"].AsBool());
  const Value officers = federation.NodeJson(0, {"officer", "list", "DIR"})["officers"];
  ASSERT_EQ(officers.AsArray().size(), 2U);
  for (const Value& officer : officers.AsArray()) EXPECT_TRUE(officer["in_roster"].AsBool()) << PrettyJson(officer);

  // Keys, proposed by the new officer; the same process goes over to them.
  const std::string before = Words(federation, 0);
  EXPECT_EQ(federation.Node(0, {"key", "rotate", "DIR", "--officer", "night"}).status, 0);
  EXPECT_EQ(Words(federation, 0), before) << "not before enough have signed";
  EXPECT_TRUE(Sign(federation, 1)["complete"].AsBool());
  EXPECT_NE(Words(federation, 0), before);
  EXPECT_TRUE(federation.WaitOnline(0));
  EXPECT_TRUE(federation.node_process(0).Running());
  EXPECT_FALSE(std::filesystem::exists(federation.node(0) / "keys" / "identity.next"));

  // A node that was away while its keys were signed finds out at the door.
  EXPECT_EQ(federation.Node(1, {"key", "rotate", "DIR"}).status, 0);
  federation.KillNode(1);
  EXPECT_TRUE(federation.WaitOnline(1, false));
  EXPECT_TRUE(Sign(federation, 2)["complete"].AsBool());
  federation.StartNode(1);
  EXPECT_TRUE(federation.WaitOnline(1));
  EXPECT_TRUE(WaitUntil([&] {  // It takes the new keys' files and begins once more.
    const ProgramOutput status = federation.Node(1, {"status", "DIR", "--json"});
    const bool settled = !std::filesystem::exists(federation.node(1) / "keys" / "identity.next");
    return settled && status.status == 0 && ParseJson(status.out).value_or(Value())["connected"].AsBool();
  }));

  // With its new keys a hospital takes part as before.
  EXPECT_EQ(federation.Node(0, {"officer", "remove", "DIR", "officer", "--officer", "night"}).status, 0);
  EXPECT_TRUE(Sign(federation, 1)["complete"].AsBool());
  EXPECT_EQ(federation.Node(0, {"officer", "remove", "DIR", "night", "--officer", "night"}).status, 2);
  PlanOptions options;
  options.rounds = 2;
  const std::string study = federation.Submit(options);
  federation.ApproveAll(study);
  EXPECT_EQ(federation.WaitEnd(study)["phase"].AsString(), "complete");
}

TEST(Membership, AFederationWhereOneOfficerDecidesSaysSoEverywhere) {
  const std::string notice = "DEMO FEDERATION: ONE OFFICER ALONE DECIDES WHO IS A MEMBER";
  Federation federation({.hospitals = 2});
  federation.StartCoordinator();
  federation.StartNode(0);
  ASSERT_TRUE(federation.WaitOnline(0));
  PlanOptions options;
  options.minimum_hospitals = 2;
  const std::string study = federation.Submit(options);
  ASSERT_TRUE(WaitUntil([&] { return !federation.NodeJson(0, {"plan", "list", "DIR"})["plans"].AsArray().empty(); }));
  for (const std::vector<std::string>& screen : std::vector<std::vector<std::string>>{
           {"status"}, {"hospital", "list"}, {"roster", "show"}, {"study", "list"}, {"study", "show", study}}) {
    EXPECT_TRUE(Contains(federation.Cli(screen).out, notice)) << screen[0] << " " << screen.back();
  }
  for (const std::vector<std::string>& screen : std::vector<std::vector<std::string>>{{"status", "DIR"},
                                                                                      {"plan", "list", "DIR"},
                                                                                      {"plan", "show", "DIR"},
                                                                                      {"officer", "list", "DIR"},
                                                                                      {"roster", "show", "DIR"}}) {
    EXPECT_TRUE(Contains(federation.Node(0, screen).out, notice)) << screen[0] << " " << screen[1];
  }
  // One command revokes, because one officer decides.
  const Value revoked = federation.CliJson({"hospital", "revoke", "hospital-b", "--yes"});
  EXPECT_TRUE(revoked["complete"].AsBool());
  EXPECT_EQ(federation.CliJson({"hospital", "list"})["hospitals"].AsArray().at(1)["state"].AsString(), "revoked");
}

// Its validity is signed to end in some seconds; the same process is let in again once an officer gives it more.
TEST(Membership, AnExpiredHospitalIsOutUntilAnOfficerGivesItMoreTime) {
  Federation federation({.hospitals = 2});
  federation.StartCoordinator();
  for (int i : {0, 1}) federation.StartNode(i);
  ASSERT_TRUE(federation.WaitAllOnline());
  const std::string token = ReadText(coordinator::AdminTokenFile(federation.coordinator()));
  const auto endpoints = coordinator::ReadEndpoints(federation.coordinator());
  const auto api = cli::HttpApi::Open({endpoints->http, token.substr(0, token.find('\n')), ""});
  const auto officer = cli::LoadOfficerKey(coordinator::OfficerKeyFile(federation.coordinator()));
  ASSERT_TRUE(api && officer);
  const Bytes current = *FromBase64(api->Get("/v1/roster").value()["roster"].AsString());
  Roster next = *ParseRoster(current);
  next.previous = Blake2b(current);
  ++next.seq;
  next.members[1].valid_until_ms = WallMilliseconds() + 3000;
  const Bytes roster = Canonical(next);
  const RosterSignature signature = SignRoster(roster, *officer);
  const Value one = Value().Set("key", signature.key.Hex()).Set("signature", signature.signature.Hex());
  const auto posted =
      api->Post("/v1/roster", Value().Set("roster", Base64(roster)).Set("signatures", Value().Push(one)));
  ASSERT_TRUE(posted.has_value()) << posted.error().what;
  EXPECT_TRUE((*posted)["complete"].AsBool());

  EXPECT_TRUE(federation.WaitOnline(1, false)) << "its session ends with its keys' validity";
  const auto state = [&] {
    return federation.CliJson({"hospital", "list"})["hospitals"].AsArray()[1]["state"].AsString();
  };
  EXPECT_EQ(state(), "expired");
  ASSERT_TRUE(WaitUntil([&] { return federation.NodeJson(1, {"status", "DIR"})["standing"].AsString() == "expired"; }));
  EXPECT_TRUE(Contains(federation.Node(1, {"status", "DIR"}).out, "consilium hospital confirm"));
  EXPECT_TRUE(federation.node_process(1).Running());
  EXPECT_TRUE(federation.WaitOnline(0)) << "the other stays";

  EXPECT_EQ(federation.Cli({"hospital", "confirm", "hospital-b", "--yes"}).status, 0);
  EXPECT_EQ(state(), "member");
  EXPECT_TRUE(federation.WaitOnline(1)) << "the same process";
}

}  // namespace
}  // namespace consilium::e2e
