// What a hospital's board reads before it says yes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "common/plan/strategy.h"

namespace consilium {
namespace {

// "12", "3.5": as people write numbers.
std::string Plain(double v) { return fmt::format("{}", v); }
std::string Many(std::uint64_t n, std::string_view one) { return fmt::format("{} {}{}", n, one, n == 1 ? "" : "s"); }

std::string Joined(const std::vector<std::string>& texts, std::size_t most = 8) {
  std::string out;
  for (std::size_t i = 0; i < texts.size() && i < most; ++i) out += (i == 0 ? "" : ", ") + texts[i];
  if (texts.size() > most) out += fmt::format(", ... ({} in all)", texts.size());
  return out;
}

std::string ColumnLine(const Plan& plan, const std::string& name) {
  const Column* column = plan.schema.Find(name);
  if (column == nullptr) return "  * " + name + "\n";
  const std::string unit = column->unit.empty() ? "" : " " + column->unit;
  std::string out = "  * " + name;
  if (!column->meaning.empty()) out += " (" + column->meaning + ")";
  switch (column->type) {
    case Column::Type::kNumber:
      out += fmt::format(": a number from {} to {}{}", Plain(column->minimum), Plain(column->maximum), unit);
      break;
    case Column::Type::kCategory:
      out += ": one of " + Joined(column->levels);
      break;
    case Column::Type::kTensor:
      out += fmt::format(": {} of {} numbers from {} to {}{}", column->shape.size() == 2 ? "an image" : "an array",
                         ShapeText(column->shape), Plain(column->minimum), Plain(column->maximum), unit);
      break;
    case Column::Type::kLabel:
      if (!column->classes.empty()) {
        out += fmt::format(": one of {} classes, {}", column->classes.size(), Joined(column->classes));
        break;
      }
      out += fmt::format(": yes is {}, no is {}", Joined(column->positive), Joined(column->negative));
      break;
    case Column::Type::kText:
      out += ": text";
      break;
  }
  return out + "\n";
}

// Top lines: nobody may miss them.
std::string WarningBox(const Plan& plan) {
  const std::string warning = Warning(plan);
  if (warning.empty()) return "";
  const std::string rule(std::min<std::size_t>(warning.size() + 4, 120), '!');
  std::string out = rule + "\n! " + warning + " !\n" + rule + "\n";
  if (plan.privacy == Plan::Privacy::kNone) {
    out += "No noise is added: what leaves may show whether a certain patient was among the data.\n";
  }
  if (plan.profile == Plan::Profile::kVisible) {
    out += "Nothing is masked: whoever runs the coordinator can read this hospital's own figures in every sum.\n";
  }
  if (ShowsSingleHospitals(plan)) {
    out +=
        "EACH STEP SHOWS ONE HOSPITAL'S MODEL, to the coordinator and to everybody who sees two releases in a row: no "
        "sum hides it.\n";
  }
  if (ReleasesOwnFigures(plan)) {
    out +=
        "THIS HOSPITAL'S OWN FIGURES ARE ASKED FOR, to be shown under its name to everybody in the study. They leave "
        "only "
        "where the\nsite's policy lets them (release_own_figures in node.toml); the rest of the study is the same "
        "either "
        "way.\n";
  }
  return out + "\n";
}

std::string Heading(const Plan& plan) {
  const char* task = plan.task == Plan::Task::kDescribe ? "describe the patients" : "train a model to predict";
  std::string out = fmt::format("STUDY  {} (run {})\n  asked by      {}\n  purpose       {}\n", plan.name, plan.run,
                                plan.researcher, plan.purpose);
  out += fmt::format("  what it does  {}", task);
  if (plan.task == Plan::Task::kTrain)
    out += fmt::format(" '{}' ({} by {})", plan.label, InWords(plan.model, ModelOf(plan).inputs, ModelOf(plan).outputs),
                       TitleOf(plan));
  out += fmt::format("\n  data set      {}\n  identity      {}\n\n", plan.dataset, plan.id().Hex());
  return out;
}

std::string Columns(const Plan& plan) {
  const bool describe = plan.task == Plan::Task::kDescribe;
  std::string out = describe ? "COLUMNS that are summarised\n" : "COLUMNS that are read\n";
  if (!describe) out += ColumnLine(plan, plan.label);
  if (!plan.time.empty()) out += ColumnLine(plan, plan.time);
  for (const std::string& name : describe ? plan.describe_columns : plan.features) out += ColumnLine(plan, name);
  out += "  No other column is used";
  std::vector<std::string> inside;
  if (plan.schema.patient_id != "row") {
    inside.push_back(fmt::format("'{}', which tells patients apart", plan.schema.patient_id));
  }
  if (plan.use_split_column && !plan.schema.SplitByPart()) {
    inside.push_back(fmt::format("'{}', which marks the patients held back", plan.schema.split_column));
  }
  if (!inside.empty()) out += fmt::format(" (but, inside the hospital only, {})", fmt::join(inside, " and "));
  return out + ".\n\n";
}

std::string Training(const Plan& plan) {
  std::string out =
      fmt::format("  * {}: how training here changed the model's {}, and the number of patients (at most {}).\n",
                  Many(plan.rounds, "sum"), Many(SizeOf(LayoutOf(ModelOf(plan))), "parameter"), plan.weight_cap);
  std::string numbers;
  for (const StrategyKey& key : KeysOf(plan.algorithm))
    numbers += fmt::format("{}{} {}", numbers.empty() ? " (" : ", ", key.name, Plain(plan.*key.field));
  out += fmt::format("    {}{}: {}.\n", TitleOf(plan), numbers.empty() ? "" : numbers + ")", ExplanationOf(plan));
  if (KeepsMemory(plan))
    out +=
        "    The memory is erased when the study ends here; a hospital that lost it takes no further part in "
        "training.\n";
  return out;
}

const char* EvaluatedAs(const Plan& plan) {
  switch (LabelOf(plan)) {
    case LabelKind::kNumber:
      return "sums of its errors";
    case LabelKind::kClasses:
      return "counts of patients by class and predicted class";
    case LabelKind::kSurvival:
      return "counts of pairs of patients in the right order";
    case LabelKind::kBinary:
      break;
  }
  return "counts and histograms of its scores";
}

std::string EarlyStopping(const Plan& plan) {
  std::string out =
      fmt::format("  Training stops early, with fewer sums, when {} did not improve", plan.early_stopping);
  if (plan.min_delta > 0) out += fmt::format(" by more than {}", Plain(plan.min_delta));
  out += fmt::format(" in {} in a row; the study's model is then {}.\n", Many(plan.patience, "evaluation"),
                     plan.restore_best ? "the best one that was evaluated" : "the last one");
  return out;
}

std::string WhatLeaves(const Plan& plan) {
  const std::uint32_t released = ReleasesOwnFigures(plan) ? 1 : 0, sums = TotalSums(plan) - released;
  std::string out = fmt::format("WHAT LEAVES THE HOSPITAL: {}{}{}, and nothing else. No patient's row leaves.\n",
                                plan.early_stopping == "none" ? "" : "at most ", Many(sums, "sum"),
                                released > 0 ? " and THIS HOSPITAL'S OWN FIGURES" : "");
  if (plan.task == Plan::Task::kDescribe) {
    out += fmt::format(
        "  * 1 sum: for each column the number of patients and of missing values; for a number its mean, standard\n"
        "    deviation and a histogram of {} bins (of a tensor, over all its elements, without one); for a category "
        "or\n"
        "    label the count of each value.\n",
        plan.describe_bins);
  } else {
    const std::uint32_t moments = NeedsMoments(plan) ? 1 : 0;
    const std::uint32_t evaluations = sums - moments - plan.rounds;
    if (moments > 0)
      out +=
          "  * 1 sum: for each number used (a tensor's elements taken together), the count, the mean and the spread of "
          "its\n    values, to bring hospitals to one scale; and the count of each label, since nothing can be learnt "
          "where all are\n    alike.\n";
    out += Training(plan);
    out += fmt::format("  * {}: how good the model is on patients held back ({}), as {}.\n", Many(evaluations, "sum"),
                       Joined(plan.metrics), EvaluatedAs(plan));
    out +=
        !plan.use_split_column
            ? fmt::format("    Held back is a share of {} of the patients, drawn by a hash of the patient id.\n",
                          Plain(plan.test_fraction))
        : plan.schema.SplitByPart()
            ? fmt::format("    Held back are the patients of the data set's own test part ({}).\n",
                          Joined(plan.schema.split_test))
            : fmt::format("    Held back are the patients that column '{}' marks as test.\n", plan.schema.split_column);
  }
  if (plan.early_stopping != "none") out += EarlyStopping(plan);
  if (released > 0) {
    out += fmt::format(
        "  * THIS HOSPITAL'S OWN FIGURES, under its name, once, at the end: how good the final model is on its own "
        "patients held\n    back (AUROC, accuracy, Brier score, log loss, calibration), as counts of them by score. "
        "Everybody who is in the\n    study sees them: the coordinator, the researcher and the other hospitals.\n"
        "    They leave only where node.toml has release_own_figures = true and at least {} (or the site's own\n"
        "    minimum) are held back; else the report says \"not released\", and does not say which of the two it "
        "was.\n",
        Many(plan.minimum_patients, "patient"));
  }
  out += fmt::format("  A sum that fails is tried again, at most {} in all; the hospital's ledger counts each.\n\n",
                     Many(plan.maximum_attempts, "attempt"));
  return out;
}

std::string WhoSees(const Plan& plan) {
  std::string out = "WHO CAN SEE IT\n";
  out += plan.profile == Plan::Profile::kVisible
             ? "  * The coordinator: the sums AND THIS HOSPITAL'S OWN CONTRIBUTION to each of them.\n"
             : "  * The coordinator: the sums, not this hospital's contribution.\n";
  out +=
      "  * The other hospitals and the researcher: the sums and what is computed from them (model, figures, tables).\n";
  if (ReleasesOwnFigures(plan)) {
    out +=
        "  * Of single hospitals' figures: the coordinator, the other hospitals and the researcher, each with the "
        "hospital's name.\n";
  }
  out += fmt::format(
      "  At least {} must contribute, else there is no sum; at least {} must be here, checked once at approval.\n\n",
      Many(plan.minimum_hospitals, "hospital"), Many(plan.minimum_patients, "patient"));
  return out;
}

std::string NotProtected(const Plan& plan) {
  std::string out = "WHAT IS NOT PROTECTED\n";
  if (plan.privacy == Plan::Privacy::kNone) {
    out +=
        "  * There is no differential privacy: from the model or the sums one may learn whether a patient took part,\n"
        "    and with enough other knowledge something about that patient.\n";
  }
  if (plan.profile == Plan::Profile::kVisible) {
    out += "  * The coordinator is trusted: it sees each contribution, and it adds them up.\n";
  }
  out += "  * A coordinator that lies can steer the model: it may send a model made to draw out particular patients.\n";
  if (plan.rounds > 1) {
    out +=
        "  * Differences between successive rounds are not protected: a hospital or patient that comes or goes shows "
        "in them.\n";
  }
  out += "  * With few hospitals the others can subtract their own figures; of two, each learns the other's.\n";
  if (ReleasesOwnFigures(plan)) {
    out +=
        "  * Released figures can be subtracted from the pooled ones by everybody: where all hospitals but one release "
        "theirs,\n    the figures of that one can be computed although it does not.\n";
  }
  out += "\n";
  return out;
}

std::string HowToAnswer(const Plan& plan) {
  const std::string id = plan.id().Hex().substr(0, 12);
  return fmt::format(
      "YES OR NO\n"
      "  Nothing is computed here until an officer of this hospital approves. A changed byte is another study.\n"
      "  to refuse:   consilium-node plan reject DIR {0}\n"
      "  to approve:  consilium-node plan approve DIR {0}\n",
      id);
}

}  // namespace

std::string TooFewMembers(const Plan& plan, std::size_t members) {
  return fmt::format(
      "[study] minimum_hospitals is {}, and the federation has {} hospital{}: no sum could ever be made; lower it in "
      "the "
      "plan (2 at least), or invite hospitals first: consilium invite NAME",
      plan.minimum_hospitals, members, members == 1 ? "" : "s");
}

std::string Warning(const Plan& plan) {
  std::string out = plan.privacy == Plan::Privacy::kNone ? "NO DIFFERENTIAL PRIVACY" : "";
  if (plan.profile == Plan::Profile::kVisible) {
    out += std::string(out.empty() ? "" : "; ") + "THE COORDINATOR SEES EACH HOSPITAL'S CONTRIBUTION";
  }
  if (ReleasesOwnFigures(plan))
    out += std::string(out.empty() ? "" : "; ") + "FIGURES OF SINGLE HOSPITALS ARE RELEASED";
  return out;
}

std::string Summary(const Plan& plan) {
  return WarningBox(plan) + Heading(plan) + Columns(plan) + WhatLeaves(plan) + WhoSees(plan) + NotProtected(plan) +
         HowToAnswer(plan);
}

}  // namespace consilium
