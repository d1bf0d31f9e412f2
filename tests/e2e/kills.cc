#include "tests/e2e/kills.h"

#include <algorithm>
#include <csignal>
#include <fstream>

#include "common/base/check.h"
#include "common/wire/codec.h"

namespace consilium::e2e {
namespace {

constexpr int kKilledNode = 1;

PlanOptions Plan() { return {.name = "effects", .rounds = 3, .released = true}; }
constexpr std::uint32_t kMoments = 1, kEvaluation = 5;  // With three rounds of training between them.

std::string PhaseOfStep(std::uint32_t step) {
  return step <= kMoments      ? "moments"
         : step < kEvaluation  ? "training"
         : step == kEvaluation ? "evaluation"
                               : "own figures";
}

// Which phase a message tells of; empty when that follows from its neighbours.
std::string PhaseOf(const Message& message) {
  if (std::holds_alternative<Hello>(message) || std::holds_alternative<Welcome>(message)) return "greeting";
  if (std::holds_alternative<PlanOffer>(message) || std::holds_alternative<PlanVerdict>(message)) return "consent";
  if (const auto* invite = std::get_if<Invite>(&message)) return PhaseOfStep(invite->round);
  if (const auto* offer = std::get_if<Offer>(&message)) return PhaseOfStep(offer->attempt);
  if (const auto* receipt = std::get_if<Receipt>(&message)) return PhaseOfStep(receipt->attempt);
  if (const auto* release = std::get_if<Release>(&message)) return release->last ? "end" : PhaseOfStep(release->round);
  if (std::holds_alternative<Pull>(message)) return "evaluation";
  return "";
}

// The shim's lines, read with the real codec. An effect without a phase of its own belongs to the next one that has it.
std::vector<Effect> ReadTrace(const std::filesystem::path& file) {
  std::vector<Effect> effects;
  long commits = 0, sends = 0;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line == "commit") {
      effects.push_back({"", "commit", ++commits});
      continue;
    }
    const auto frame = FromHex(line.substr(line.find(' ') + 1));
    CHECK(frame.has_value());
    if (IsChunk(*frame)) {
      effects.push_back({"evaluation", "Chunk", ++sends});
      continue;
    }
    const auto envelope = OpenEnvelope(*frame);
    const auto message = envelope ? ParsePayload(envelope->payload) : std::unexpected(envelope.error());
    EXPECT_TRUE(message.has_value()) << line.substr(0, 100);
    if (message) effects.push_back({PhaseOf(*message), std::string(KindName(*message)), ++sends});
  }
  std::string phase = "end";
  for (auto effect = effects.rbegin(); effect != effects.rend(); ++effect) {
    if (effect->phase.empty()) effect->phase = phase;
    phase = effect->phase;
  }
  return effects;
}

// Of the effect to be killed at; effects.size() when it never came.
std::size_t IndexOf(const std::vector<Effect>& effects, const Kill& kill) {
  const auto found = std::ranges::find_if(effects, [&](const Effect& effect) {
    return effect.k == kill.k && (effect.what == "commit") == kill.point.ends_with("-commit");
  });
  return static_cast<std::size_t>(found - effects.begin());
}

// A study whose people try again when a daemon dies under them, as people do.
class Disturbed {
 public:
  Disturbed(Side side, std::vector<std::string> environment) : side_(side) {
    environment.emplace_back("LD_PRELOAD=" CONSILIUM_KILL_SHIM);
    environment.push_back("CONSILIUM_TRACE=" + trace().string());
    for (int i = 0; i < kHospitals - 1; ++i) federation_.SetPolicy(i, "release_own_figures = true");
    const Launch watched{.environment = std::move(environment)};
    federation_.LaunchCoordinator(side == Side::kCoordinator ? watched : Launch{});
    for (int i = 0; i < kHospitals; ++i)
      federation_.LaunchNode(i, side == Side::kNode && i == kKilledNode ? watched : Launch{});
  }

  [[nodiscard]] std::filesystem::path trace() const { return federation_.root() / "trace"; }
  [[nodiscard]] bool died() const { return died_; }
  [[nodiscard]] const std::string& model() const { return model_; }
  [[nodiscard]] const std::string& released() const { return released_; }

  // To the end: the study complete, every hospital with its results, and nobody dead.
  void Run() {
    Until("the coordinator to answer", [&] { return federation_.CoordinatorAnswers(); });
    Until("the study to be submitted", [&] { return Submit(); });
    for (int i = 0; i < kHospitals; ++i) Until(Federation::Name(i) + " to approve", [&] { return Approve(i); });
    Until("the study's end", [&] { return federation_.Study(study_)["phase"].AsString() == "complete"; });
    for (int i = 0; i < kHospitals; ++i)
      Until(Federation::Name(i) + " to have its results", [&] { return HasResults(i); });
    if (::testing::Test::HasFatalFailure()) return;
    Until("everybody to be there", [&] { return federation_.CoordinatorAnswers() && AllNodesAnswer(); });
    const Value end = federation_.Study(study_);
    EXPECT_EQ(end["phase"].AsString(), "complete");
    model_ = end["model_sha256"].AsString();
    released_ = CanonicalJson(end["results"]["released"]);
    federation_.ExpectOneAnswerPerRound(study_);
  }

 private:
  void Until(const std::string& what, const std::function<bool()>& done) {
    const bool came = WaitUntil([&] {
      Mend();
      return done();
    });
    EXPECT_TRUE(came) << "waited in vain for " << what;
  }

  void Mend() {
    const bool coordinator = side_ == Side::kCoordinator;
    Process& process = coordinator ? federation_.coordinator_process() : federation_.node_process(kKilledNode);
    if (process.Running()) return;
    EXPECT_FALSE(died_) << "it died a second time, by itself";
    EXPECT_EQ(process.Wait({}), 128 + SIGKILL);
    died_ = true;
    if (coordinator) {
      federation_.LaunchCoordinator();
    } else {
      federation_.LaunchNode(kKilledNode);
    }
  }

  bool Submit() {
    if (plan_.empty()) plan_ = federation_.WritePlan(PlanText(Plan()));
    const ProgramOutput output = federation_.Cli({"study", "submit", plan_, "--json"});
    if (output.status != 0) return false;
    study_ = ParseJson(output.out).value_or(Value())["study"].AsString();
    return !study_.empty();
  }
  bool Approve(int i) {
    const auto reply = HttpClient::Unix(federation_.node(i) / "control.sock").Get("/v1/plans/" + study_);
    if (!reply || reply->status != 200) return false;
    if (JsonOf(*reply).value_or(Value())["consent"].AsString() == "approved") return true;
    federation_.Node(i, {"plan", "approve", "DIR", study_, "--officer", "officer-1"});
    return false;  // Look again.
  }
  bool HasResults(int i) {
    const auto reply = HttpClient::Unix(federation_.node(i) / "control.sock").Get("/v1/results");
    return reply && JsonOf(*reply).value_or(Value())["results"].AsArray().size() == 1;
  }
  bool AllNodesAnswer() {
    for (int i = 0; i < kHospitals; ++i) {
      if (!federation_.NodeAnswers(i)) return false;
    }
    return true;
  }

  const Side side_;
  Federation federation_;
  std::filesystem::path plan_;
  std::string study_, model_, released_;
  bool died_ = false;
};

// Two hospitals' figures, and the third's silence, as they were in every run before.
void ExpectSameReleased(const Disturbed& run) {
  static std::string first;
  if (first.empty()) first = run.released();
  EXPECT_EQ(run.released(), first);
  const auto released = ParseJson(run.released()).value_or(Value()).AsArray();
  ASSERT_EQ(released.size(), std::size_t{kHospitals});
  for (int i = 0; i < kHospitals; ++i)
    EXPECT_EQ(released[static_cast<std::size_t>(i)]["released"].AsBool(), i < kHospitals - 1);
}

}  // namespace

std::string Name(Side side) { return side == Side::kCoordinator ? "coordinator" : "node"; }

std::vector<Effect> UndisturbedEffects(Side side) {
  const std::string undisturbed = UndisturbedModel(Plan());  // First: it runs on the same ports.
  Disturbed run(side, {});
  run.Run();
  EXPECT_FALSE(run.died());
  EXPECT_EQ(run.model(), undisturbed);
  ExpectSameReleased(run);
  return ReadTrace(run.trace());
}

std::optional<Effect> KillAt(const Kill& kill) {
  const std::string undisturbed = UndisturbedModel(Plan());
  Disturbed run(kill.side, {"CONSILIUM_KILL=" + kill.point + ":" + std::to_string(kill.k)});
  run.Run();
  EXPECT_EQ(run.model(), undisturbed);
  ExpectSameReleased(run);
  const std::vector<Effect> effects = ReadTrace(run.trace());
  EXPECT_EQ(run.died(), IndexOf(effects, kill) < effects.size());
  return run.died() ? std::optional(effects.at(IndexOf(effects, kill))) : std::nullopt;
}

}  // namespace consilium::e2e
