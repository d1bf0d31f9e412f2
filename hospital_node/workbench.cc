// The workbench.
#include "hospital_node/workbench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/algorithms/derive.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/crypto/hash.h"
#include "common/model/metrics.h"
#include "hospital_node/data/profile.h"
#include "hospital_node/data/source.h"
#include "hospital_node/data/table_file.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/design.h"
#include "hospital_node/training/table_rows.h"

namespace consilium::node {

// What a file was when it was read; any difference reads it again.
struct FileMark {
  std::string path;
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t seconds = 0, nanoseconds = 0;
  bool operator==(const FileMark&) const = default;
};

struct LoadedFiles {
  LoadedData data;
  std::vector<FileMark> marks;
};

namespace {

constexpr std::size_t kListedProblems = 10;
constexpr std::size_t kFewPatients = 10;
constexpr const char* kTableFile = ".table";

std::shared_ptr<const LoadedData> DataOf(const std::shared_ptr<const LoadedFiles>& files) { return {files, &files->data}; }

// No exception leaves the workbench: what is left of them is a disk that fails, and memory running out.
template <class Work>
auto Guarded(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const StoreUnreadable& e) {
    return Fail(Code::kIo, e.what());
  } catch (const std::exception& e) {
    return Fail(Code::kIo, fmt::format("the data set could not be worked on ({}); is there enough memory?", e.what()));
  }
}

Result<std::vector<FileMark>> MarksOf(const std::vector<std::string>& files) {
  std::vector<FileMark> out;
  for (const std::string& file : files) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0)
      return Fail(Code::kIo, fmt::format("{}: cannot be read; was it moved?", file));
    out.push_back({file, status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
                   status.st_mtim.tv_sec, status.st_mtim.tv_nsec});
  }
  return out;
}

// Of the files' contents, in order: what was registered is what is computed on.
Result<std::string> ContentOf(const std::vector<std::string>& files) {
  Fields fields("consilium/dataset");
  for (const std::string& file : files) fields.Add(TRY(Sha256OfFile(file)));
  return fields.Hash().Hex();
}

Result<Schema> SchemaOf(const DataSetSpec& spec) {
  return ParseSchema(spec.schema, fmt::format("the schema of data set \"{}\"", spec.name));
}

std::vector<std::string> ColumnsOf(const Plan& plan) {
  if (plan.task == Plan::Task::kDescribe) return plan.describe_columns;
  std::vector<std::string> out = plan.features;
  out.push_back(plan.label);
  if (!plan.time.empty()) out.push_back(plan.time);
  return out;
}

Status FitsPlan(const Plan& plan, const Schema& local, const std::string& name) {
  for (const std::string& column : ColumnsOf(plan)) {
    if (Status same = Compatible(plan.schema, local, column); !same) {
      return Fail(same.error().code, fmt::format("data set \"{}\" does not fit the plan: {}", name, same.error().what));
    }
  }
  if (plan.task == Plan::Task::kTrain && plan.use_split_column && local.split_column.empty()) {
    return Fail(Code::kInvalid, fmt::format("data set \"{}\" does not fit the plan: it splits by a column, and the "
                                            "data set's schema has no [split]; add it",
                                            name));
  }
  return {};
}

Value Counts(const std::vector<std::string>& names, const std::vector<std::uint64_t>& counts, const char* what) {
  Value out{Value::Array{}};
  for (std::size_t i = 0; i < names.size(); ++i) out.Push(Value().Set(what, names[i]).Set("count", counts[i]));
  return out;
}

Value ColumnReport(const Series& series, const Profile& profile) {
  const Column& column = series.column;
  Value out;
  out.Set("name", column.name).Set("missing", profile.missing);
  if (column.type == Column::Type::kCategory)
    return out.Set("type", "category").Set("levels", Counts(column.levels, profile.counts, "level"));
  if (!column.classes.empty())
    return out.Set("type", "label").Set("classes", Counts(column.classes, profile.counts, "class"));
  if (series.IsLabel())
    return out.Set("type", "label").Set("positive", profile.counts[1]).Set("negative", profile.counts[0]);
  const bool tensor = column.type == Column::Type::kTensor;
  out.Set("type", tensor ? "tensor" : "number").Set("unit", column.unit);
  if (tensor) out.Set("shape", Value(Value::Array(column.shape.begin(), column.shape.end())));
  if (profile.count > 0)
    out.Set("mean", Number(profile.mean)).Set("minimum", Number(profile.least)).Set("maximum", Number(profile.most));
  return out;
}

Value Warnings(const Table& table, const std::vector<Profile>& profiles) {
  Value out{Value::Array{}};
  if (table.patients() < kFewPatients)
    out.Push(fmt::format("only {} patients: most plans ask for at least {}", table.patients(), kFewPatients));
  for (const std::string& name : table.ignored_columns)
    out.Push(fmt::format("column \"{}\" is in the files, but not in the schema: it is ignored", name));
  for (std::size_t i = 0; table.rows() > 0 && i < profiles.size(); ++i) {
    const Series& series = table.series[i];
    const std::uint64_t missing = profiles[i].missing;
    if (missing == table.rows()) {
      out.Push(fmt::format("column \"{}\" is missing in every row", series.column.name));
      continue;
    }
    if (const std::string only = series.IsLabel() ? OnlyClass(series) : ""; !only.empty()) {
      out.Push(fmt::format(
          "all \"{}\" are {}: this hospital can train with others, but its own AUROC is not defined; if both "
          "should occur, compare [columns.{}] in the schema with the files",
          series.column.name, only, series.column.name));
    }
    if (series.IsLabel() && missing > 0) {
      out.Push(
          fmt::format("{} rows have no \"{}\": training and evaluation leave them out", missing, series.column.name));
    } else if (missing * 2 > table.rows()) {
      out.Push(fmt::format("column \"{}\" is missing in {} of {} rows", series.column.name, missing, table.rows()));
    }
  }
  return out;
}

// One hospital's rows, ready to be read; the table is the caller's.
struct Site {
  const Table& table;
  Rows rows;
  Preprocessing preprocessing;
  [[nodiscard]] TableRows Train(const Plan& plan) const { return {plan, table, rows.train, preprocessing}; }
  [[nodiscard]] TableRows Test(const Plan& plan) const { return {plan, table, rows.test, preprocessing}; }
};

Value MetricsValue(const Vector& scores, const Vector& labels) {
  const BinaryMetrics m = Evaluate(scores, labels);
  const auto share = [&](double v) { return m.rows > 0 ? Number(v) : Value(); };
  return Value()
      .Set("rows", m.rows)
      .Set("positives", m.positives)
      .Set("auroc", m.auroc_defined ? Number(m.auroc) : Value())
      .Set("auroc_defined", m.auroc_defined)
      .Set("accuracy", share(m.accuracy))
      .Set("brier", share(m.brier))
      .Set("log_loss", share(m.log_loss));
}

Value ClassMetrics(const ClassCounts& counts, Eigen::Index rows) {
  const auto classes = static_cast<std::size_t>(std::sqrt(static_cast<double>(counts.confusion.size())));
  double correct = 0, recalls = 0, met = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    const auto row = counts.confusion.begin() + static_cast<std::ptrdiff_t>(c * classes);
    const auto all = std::accumulate(row, row + static_cast<std::ptrdiff_t>(classes), std::uint64_t{0});
    const auto right = static_cast<double>(counts.confusion[c * classes + c]);
    correct += right;
    if (all == 0) continue;
    recalls += right / static_cast<double>(all);
    met += 1;
  }
  const auto share = [](double part, double whole) { return whole > 0 ? Number(part / whole) : Value(); };
  const auto all = static_cast<double>(rows);
  return Value()
      .Set("rows", rows)
      .Set("accuracy", share(correct, all))
      .Set("balanced_accuracy", share(recalls, met))
      .Set("log_loss", share(counts.log_loss, all));
}

Value MetricsOf(const Plan& plan, const std::vector<TableRows>& test, const std::vector<double>& model) {
  const auto [outputs, labels, times] = PredictRows(RoundRecipe(plan, 0, {}), test, model);
  if (LabelOf(plan) == LabelKind::kClasses) return ClassMetrics(CountClasses(outputs, labels), labels.size());
  const Vector predicted = outputs.col(0);
  if (LabelOf(plan) == LabelKind::kBinary) return MetricsValue(predicted, labels);
  if (LabelOf(plan) == LabelKind::kSurvival) {
    const PairCounts counts = CountPairs(predicted, labels, times);
    const double right = static_cast<double>(counts.concordant) + static_cast<double>(counts.tied) / 2;
    return Value()
        .Set("rows", labels.size())
        .Set("events", counts.events)
        .Set("c_index", counts.pairs > 0 ? Number(right / static_cast<double>(counts.pairs)) : Value());
  }
  const Column& label = *plan.schema.Find(plan.label);
  const NumberMetrics m = EvaluateNumbers(predicted, labels, label.minimum, label.maximum);
  return Value()
      .Set("rows", m.rows)
      .Set("rmse", m.rows > 0 ? Number(m.rmse) : Value())
      .Set("mae", m.rows > 0 ? Number(m.mae) : Value())
      .Set("r2", m.r2_defined ? Number(m.r2) : Value());
}

// As much optimisation as the whole study, in one place. nullopt when it diverges.
std::optional<std::vector<double>> TrainAlone(const Plan& plan, const std::vector<TableRows>& train) {
  Recipe recipe = RoundRecipe(plan, 0, {});
  recipe.optimizer.learning_rate = plan.learning.optimizer.learning_rate;  // A schedule is the rounds' own.
  recipe.training.epochs *= plan.rounds;
  recipe.training.steps *= plan.rounds;
  const std::vector<double> start = InitialParameters(recipe.model, plan.seed);
  auto trained = FitRows(recipe, train, start);
  if (!trained) return std::nullopt;
  return std::move(*trained);
}

Value MetricsOf(const Plan& plan, const std::vector<TableRows>& test, const std::optional<std::vector<double>>& model) {
  return model ? MetricsOf(plan, test, *model) : Value();
}

Result<std::vector<double>> FinalModel(const Plan& plan, ByteView model) {
  const Layout layout = LayoutOf(ModelOf(plan));
  if (model.size() == SizeOf(layout) * 4) return ParseParameterBlob(model, layout);
  ModelFile file = TRY(ReadSafetensors(model));
  if (file.layout != layout) return Fail(Code::kInvalid, "the model's layout is not the plan's");
  return std::move(file.parameters);
}

// From the last query, else from the model file, else what the plan alone fixes.
std::optional<Preprocessing> FinalPreprocessing(const Plan& plan, const Query& last_query, ByteView model) {
  if (last_query.kind == "train") {
    if (auto request = ReadTrainQuery(plan, last_query)) return request->preprocessing;
  }
  if (const auto file = ReadSafetensors(model)) {
    const auto text = file->metadata.find("preprocessing");
    const auto value = text == file->metadata.end() ? Result<Value>(Value()) : ParseJson(text->second);
    if (value) {
      if (auto preprocessing = PreprocessingFromValue(plan, *value)) return *preprocessing;
    }
  }
  if (MomentColumns(plan).empty()) return MakePreprocessing(plan, {});
  return std::nullopt;
}

Preprocessing ForSite(const Plan& plan, const Table& table, const Rows& rows, const Preprocessing& preprocessing) {
  return plan.standardize == "site" ? SiteScaled(plan, table, rows.train, preprocessing) : preprocessing;
}

Value SiteCounts(const Table& table, const Rows& rows) {
  return Value()
      .Set("patients", table.patients())
      .Set("train_patients", PatientsIn(table, rows.train))
      .Set("test_patients", PatientsIn(table, rows.test))
      .Set("train_rows", rows.train.size())
      .Set("test_rows", rows.test.size())
      .Set("unlabelled_rows", rows.unlabelled);
}

Result<NamedTable> ReadNamed(const Plan& plan, const DataSetSpec& spec) {
  const Schema schema = TRY(SchemaOf(spec));
  TRY(FitsPlan(plan, schema, spec.name));
  return NamedTable{spec.name,
                    std::make_shared<const Table>(TRY(ReadSource(spec, schema, {.excluded = &spec.excluded})))};
}

}  // namespace

Result<TableWorkbench::Loaded> FileWorkbench::Load(const DataSetSpec& spec) const {
  auto fresh = std::make_shared<LoadedFiles>();
  fresh->data.schema = TRY(SchemaOf(spec));
  const std::vector<std::string> files = TRY(FilesOf(spec, fresh->data.schema));
  fresh->marks = TRY(MarksOf(files));
  const std::string key = SourceWords(spec) + '\0' + spec.schema + '\0' + spec.sha256 + '\0' +
                          fmt::format("{}", fmt::join(spec.excluded, " "));
  {
    const std::lock_guard lock(mutex_);
    const auto found = cache_.find(key);
    if (found != cache_.end() && found->second->marks == fresh->marks) return DataOf(found->second);
  }
  const std::string content = spec.sha256.empty() ? "" : TRY(ContentOf(files));
  if (content != spec.sha256) {
    return Fail(
        Code::kRefused,
        fmt::format("the files of data set \"{0}\" are not those that were registered; look at them, then type: "
                    "consilium-node data add DIR {0} {1} --schema FILE",
                    spec.name, SourceWords(spec)));
  }
  const ReadOptions options{.excluded = &spec.excluded, .spool = SpoolFor(spec, fresh->data.schema, content)};
  fresh->data.table = TRY(ReadSource(spec, fresh->data.schema, options));
  const std::lock_guard lock(mutex_);
  if (cache_.size() >= cached_) cache_.clear();
  cache_[key] = fresh;
  return DataOf(fresh);
}

Spool FileWorkbench::SpoolFor(const DataSetSpec& spec, const Schema& schema, const std::string& content) const {
  if (spool_.empty() || content.empty()) return {spool_, ""};
  return {spool_, TableKey(content, schema, spec.excluded) + kTableFile};
}

void FileWorkbench::Keep(const std::vector<DataSetSpec>& registered) const {
  std::set<std::string> names;
  for (const DataSetSpec& spec : registered) {
    if (const auto schema = SchemaOf(spec)) names.insert(SpoolFor(spec, *schema, spec.sha256).name);
  }
  std::error_code ignored;
  if (spool_.empty()) return;
  for (const auto& entry : std::filesystem::directory_iterator(spool_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kTableFile) && !names.contains(name)) std::filesystem::remove(entry.path(), ignored);
  }
}

Result<TableWorkbench::Loaded> TableWorkbench::LoadFor(const Plan& plan, const DataSetSpec& spec) const {
  const Schema schema = TRY(SchemaOf(spec));
  TRY(FitsPlan(plan, schema, spec.name));
  return Load(spec);
}

Result<Value> FileWorkbench::Check(const DataSetSpec& spec) const {
  return Guarded([&]() -> Result<Value> {
    const Schema schema = TRY(SchemaOf(spec));
    const std::vector<std::string> sources = TRY(FilesOf(spec, schema));
    const std::string content = TRY(ContentOf(sources));
    const ReadOptions options{.show_values = true,
                              .maximum_problems = kListedProblems,
                              .excluded = &spec.excluded,
                              .spool = SpoolFor(spec, schema, content)};
    const Table table = TRY(ReadSource(spec, schema, options));
    const std::vector<Profile> profiles = ProfilesOf(table);
    Value files{Value::Array{}}, columns{Value::Array{}};
    for (const std::string& file : sources) files.Push(file);
    for (std::size_t i = 0; i < profiles.size(); ++i) columns.Push(ColumnReport(table.series[i], profiles[i]));
    return Value()
        .Set("rows", table.rows())
        .Set("patients", table.patients())
        .Set("sha256", content)
        .Set("kept_bytes", table.store.InMemory() ? 0 : table.store.rows() * table.store.row_bytes())
        .Set("files", std::move(files))
        .Set("columns", std::move(columns))
        .Set("warnings", Warnings(table, profiles));
  });
}

Status TableWorkbench::Preflight(const Plan& plan, const DataSetSpec& spec) const {
  return Guarded([&]() -> Status {
    const Loaded data = TRY(LoadFor(plan, spec));
    const auto enough = [&](std::size_t patients, const char* which) -> Status {
      if (patients >= plan.minimum_patients) return {};
      return Fail(
          Code::kRefused,
          fmt::format("data set \"{}\" has {} {}, and the plan asks for at least {}; add patients or decline the plan",
                      spec.name, patients, which, plan.minimum_patients));
    };
    TRY(enough(data->table.patients(), "patients"));
    if (plan.task != Plan::Task::kTrain) return {};
    const Rows rows = TRY(SplitRows(plan, data->table));
    const std::string only = OnlyClass(*data->table.Find(plan.label));
    if (!only.empty()) {  // For the hospital's own log: it trains on, and no score ranks its patients.
      Log(LogLevel::kWarning, "single_class",
          {{"dataset", spec.name}, {"column", plan.label}, {"only", only}, {"auroc", "not defined"}});
    }
    TRY(CheckBatch(plan, RoundRecipe(plan, 0, {}), rows.train.size()));
    return enough(PatientsIn(data->table, rows.train), "patients to train on (labelled, not in the test part)");
  });
}

Result<RawContribution> TableWorkbench::Compute(const Plan& plan, const DataSetSpec& spec, const Query& query,
                                                const Given& given) const {
  return Guarded([&]() -> Result<RawContribution> {
    const Loaded data = TRY(LoadFor(plan, spec));
    if (data->table.patients() < plan.minimum_patients) {  // Excluded since, say. In mode none nothing hides that.
      return Fail(Code::kRefused, fmt::format("data set \"{}\" has {} patients now, and {} are the minimum", spec.name,
                                              data->table.patients(), plan.minimum_patients));
    }
    return ComputeQuery(plan, data->table, query, given);
  });
}

Result<Value> TableWorkbench::OwnResults(const Plan& plan, const DataSetSpec& spec, const Query& last_query,
                                         ByteView model) const {
  return Guarded([&]() -> Result<Value> {
    const Loaded data = TRY(LoadFor(plan, spec));
    const Table& table = data->table;
    if (plan.task != Plan::Task::kTrain) return Value().Set("patients", table.patients()).Set("rows", table.rows());
    Site site{table, TRY(SplitRows(plan, table)), {}};
    Value out = SiteCounts(table, site.rows);
    site.preprocessing = OwnPreprocessing(plan, table, site.rows.train);
    out.Set("local", MetricsOf(plan, {site.Test(plan)}, TrainAlone(plan, {site.Train(plan)})));
    out.Set("federated", Value());
    if (const auto preprocessing = FinalPreprocessing(plan, last_query, model)) {
      site.preprocessing = ForSite(plan, table, site.rows, *preprocessing);
      const std::vector<double> federated = TRY(FinalModel(plan, model));
      out.Set("federated", MetricsOf(plan, {site.Test(plan)}, federated));
    }
    return out;
  });
}

Result<std::unique_ptr<Workbench>> MakeWorkbench(const std::filesystem::path& spool) {
  TRY(EnsurePrivateDirectory(spool));
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(spool, ignored)) {
    if (entry.path().filename().string().contains(kPartialMark)) std::filesystem::remove(entry.path(), ignored);
  }
  return std::make_unique<FileWorkbench>(spool);
}

Result<Value> PooledResults(const Plan& plan, const std::vector<DataSetSpec>& specs, const Query& last_query,
                            ByteView model) {
  return Guarded([&]() -> Result<Value> {
    std::vector<NamedTable> hospitals;
    for (const DataSetSpec& spec : specs) hospitals.push_back(TRY(ReadNamed(plan, spec)));
    return PooledResults(plan, hospitals, last_query, model);
  });
}

Result<Value> PooledResults(const Plan& plan, const std::vector<NamedTable>& hospitals, const Query& last_query,
                            ByteView model) {
  return Guarded([&]() -> Result<Value> {
    const auto preprocessing = FinalPreprocessing(plan, last_query, model);
    if (!preprocessing)
      return Fail(Code::kInvalid, "the study's preprocessing is not known: there was no round of training");
    const std::vector<double> federated = TRY(FinalModel(plan, model));
    std::vector<Site> sites;
    std::vector<TableRows> train, test;
    sites.reserve(hospitals.size());
    for (const NamedTable& hospital : hospitals) {
      Rows rows = TRY(SplitRows(plan, *hospital.table));
      Preprocessing own = ForSite(plan, *hospital.table, rows, *preprocessing);
      sites.push_back({*hospital.table, std::move(rows), std::move(own)});
    }
    for (const Site& site : sites) {
      train.push_back(site.Train(plan));
      test.push_back(site.Test(plan));
    }
    const std::optional<std::vector<double>> pooled = TrainAlone(plan, train);
    Value each{Value::Array{}};
    for (std::size_t i = 0; i < sites.size(); ++i) {
      each.Push(Value()
                    .Set("name", hospitals[i].name)
                    .Set("patients", sites[i].table.patients())
                    .Set("pooled", MetricsOf(plan, {sites[i].Test(plan)}, pooled))
                    .Set("federated", MetricsOf(plan, {sites[i].Test(plan)}, federated)));
    }
    Value all = Value().Set("pooled", MetricsOf(plan, test, pooled)).Set("federated", MetricsOf(plan, test, federated));
    return Value().Set("hospitals", std::move(each)).Set("all", std::move(all));
  });
}

}  // namespace consilium::node
