// Tables, models, queries and answers.
#include <cmath>
#include <map>

#include "common/algorithms/algorithm.h"
#include "common/model/spec.h"
#include "common/privacy/encode.h"
#include "common/wire/records.h"
#include "hospital_node/data/csv.h"
#include "hospital_node/data/infer.h"
#include "hospital_node/data/table.h"
#include "hospital_node/queries/queries.h"
#include "hospital_node/training/control.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

namespace consilium::fuzz {
namespace {

constexpr std::string_view kSchema = R"([file]
missing = ["", "?"]
[patient]
id = "id"
[columns.id]
type = "text"
[columns.age]
type = "number"
minimum = 0
maximum = 100
[columns.dose]
type = "number"
minimum = -1
maximum = 1
[columns.grade]
type = "category"
levels = ["1", "2", "3"]
[columns.sick]
type = "label"
positive = ["1"]
negative = ["0"]
)";
constexpr std::string_view kCanary = "QZXQ";  // In tests/fuzz/fuzz.dict: a value that no message may repeat.

// What is read is written with every field quoted and read as the same.
void TryRecords(const MemoryFile& file, char delimiter) {
  auto reader = node::CsvReader::Open(file.path(), delimiter);
  CHECK(reader.has_value());
  std::string quoted;
  std::vector<std::vector<std::string>> records;
  std::vector<std::string> fields;
  while (true) {
    const auto more = reader->Next(&fields);
    CHECK(Says(more));
    if (!more) return;
    if (!*more) break;
    CHECK(!fields.empty() && fields.size() <= node::kMaxFields);
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) quoted += delimiter;
      quoted += '"';
      for (const char c : fields[i]) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
      quoted += '"';
    }
    quoted += "\n";
    records.push_back(fields);
  }
  if (delimiter == '"') return;
  const MemoryFile again(View(quoted));
  auto second = node::CsvReader::Open(again.path(), delimiter);
  CHECK(second.has_value());
  for (const auto& record : records) {
    const auto more = second->Next(&fields);
    CHECK(more.has_value() && *more && fields == record);
  }
  const auto more = second->Next(&fields);
  CHECK(more.has_value() && !*more);
}

void CheckCell(const node::Series& series, std::size_t row, const std::uint8_t* bytes) {
  const Column& column = series.column;
  const auto inside = [&](double v) { return v >= column.minimum && v <= column.maximum; };
  if (column.type == Column::Type::kCategory)
    CHECK(series.Level(bytes) >= -1 && series.Level(bytes) < static_cast<int>(column.levels.size()));
  if (column.type == Column::Type::kNumber) CHECK(series.Missing(row, bytes) || inside(series.Number(bytes)));
  if (column.type != Column::Type::kTensor) return;
  series.Elements(bytes, [&](auto zero, const std::uint8_t* at, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto value = zero;
      std::memcpy(&value, at + i * sizeof value, sizeof value);
      CHECK(inside(static_cast<double>(value)));
    }
  });
}

}  // namespace

void CheckTable(const node::Table& table, const Schema& schema) {
  CHECK(table.rows() >= 1 && table.rows() <= node::kMaxRows && table.patients() <= table.rows());
  std::set<std::string> ids;
  for (std::size_t i = 0; i < table.patients(); ++i) ids.insert(table.patient_ids[i]);
  CHECK(ids.size() == table.patients() && table.store.rows() == table.rows());
  for (const std::uint32_t patient : table.patient) CHECK(patient < table.patients());
  if (!schema.split_column.empty()) CHECK(table.declared_side.size() == table.patients());
  for (const node::Series& series : table.series) {
    const double values = series.column.classes.empty() ? 2 : static_cast<double>(series.column.classes.size());
    CHECK(series.numbers.size() == (series.IsLabel() ? table.rows() : 0));
    for (const double v : series.numbers) CHECK(std::isnan(v) || (v >= 0 && v < values && v == std::floor(v)));
  }
  node::RowCursor cursor(table.store);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    const std::uint8_t* bytes = cursor.At(row);
    for (const node::Series& series : table.series) CheckCell(series, row, bytes);
  }
}

namespace {

const std::vector<Plan>& Plans() {
  static const std::vector<Plan> plans = [] {
    const std::string head = "[study]\nname = 't'\npurpose = 'p'\nresearcher = 'r'\nminimum_patients = 1\n";
    const std::string foot = "[privacy]\nmode = 'none'\n[aggregation]\nprofile = 'visible'\n";
    const std::string data = "[data]\ndataset = 'd'\nschema = 's'\n";
    const std::string train = "label = 'sick'\nfeatures = ['age', 'grade', 'dose']\n[training]\nweight_cap = 100\n";
    std::vector<Plan> out;
    for (const std::string& text :
         {head + data + "[describe]\ncolumns = ['age', 'grade', 'sick']\nbins = 4\n" + foot,
          head + "rounds = 2\n" + data + train + "[evaluation]\nevery = 1\n" + foot,
          head + "rounds = 1\n" + data + train + "[preprocessing]\nstandardize = 'none'\nimpute = 'constant'\n" + foot,
          head + "rounds = 1\n" + data + train + "[preprocessing]\nstandardize = 'site'\n" + foot}) {
      auto plan = ParsePlanToml(text, "plan.toml",
                                [](const std::string&) -> Result<std::string> { return std::string(kSchema); });
      CHECK(plan.has_value());
      out.push_back(std::move(*plan));
    }
    return out;
  }();
  return plans;
}

const node::Table& Patients() {
  static const node::Table table = [] {
    std::string text = "id,age,dose,grade,sick\n";
    for (int i = 0; i < 40; ++i) {
      text += "p" + std::to_string(i / 2) + "," + (i % 7 == 3 ? "" : std::to_string(i * 2)) + ",0." +
              std::to_string(i % 10) + "," + (i % 5 == 2 ? "?" : std::to_string(1 + i % 3)) + "," +
              std::to_string(i % 3 == 0 ? 1 : 0) + "\n";
    }
    const MemoryFile file(View(text));
    auto read = node::ReadTable(file.path(), Plans().front().schema);
    CHECK(read.has_value());
    return std::move(*read);
  }();
  return table;
}

}  // namespace

// [schema TOML, then a zero byte,] CSV.
void Csv(ByteView input) {
  const std::string_view text = Text(input);
  const std::size_t zero = text.find('\0');
  const std::string_view toml = zero == std::string_view::npos ? kSchema : text.substr(0, zero);
  const ByteView csv = zero == std::string_view::npos ? input : input.subspan(zero + 1);
  const Result<Schema> schema = ParseSchema(toml, "schema.toml");
  if (!schema) return;
  const MemoryFile file(csv);
  TryRecords(file, schema->delimiter);
  const auto table = node::ReadTable(file.path(), *schema, {.maximum_problems = 3});
  if (!table) {
    CHECK(!table.error().what.empty());
    const std::string_view body = Text(csv);  // Its header may be repeated, its values not.
    const bool in_header = body.substr(0, body.find('\n')).find(kCanary) != std::string_view::npos;
    if (toml.find(kCanary) == std::string_view::npos && !in_header && body.starts_with("id,"))
      CHECK(table.error().what.find(kCanary) == std::string::npos);
    return;
  }
  CheckTable(*table, *schema);
  if (schema->patient_id == "row") return;
  const std::set<std::string> excluded = {node::PatientMark(table->patient_ids[0])};
  const auto rest = node::ReadTable(file.path(), *schema, {.excluded = &excluded});
  CHECK(rest.has_value() == (table->patients() > 1));
  if (rest) CHECK(rest->patients() == table->patients() - 1);
}

// A draft is a schema, and the file satisfies it.
void Infer(ByteView input) {
  const MemoryFile file(input);
  const Result<std::string> toml = node::InferCsv(file.path());
  CHECK(Says(toml));
  if (!toml) return;
  const Result<Schema> schema = ParseSchema(*toml, "draft.toml");
  CHECK(schema.has_value());
  const auto table = node::ReadTable(file.path(), *schema);
  CHECK(table.has_value());
  CheckTable(*table, *schema);
}

void Safetensors(ByteView input) {
  const Result<ModelFile> model = ReadSafetensors(input);
  CHECK(Says(model));
  if (model) {
    CHECK(SizeOf(model->layout) == model->parameters.size());
    const Bytes written = WriteSafetensors(model->layout, model->parameters, model->metadata);
    const Result<ModelFile> again = ReadSafetensors(written);
    CHECK(again.has_value() && again->layout == model->layout && again->parameters == model->parameters);
    CHECK(again->metadata == model->metadata);
  }
  const Layout layout = LayoutOf({.inputs = 3});
  if (const auto blob = ParseParameterBlob(input, layout)) CHECK(std::ranges::equal(ParameterBlob(*blob), input));
}

// A hospital's memory of a study that is read is written as the same, and corrects gradients by finite numbers.
void StudyMemory(ByteView input) {
  constexpr std::size_t kParameters = 5;
  const Result<node::Control> control = node::ReadControl(input, kParameters);
  CHECK(Says(control));
  if (!control) return;
  CHECK(control->sum.size() == kParameters && control->weight >= 0);
  if (!input.empty()) CHECK(std::ranges::equal(node::Encode(*control), input));
}

// A query with exactly these bytes for which a contribution can be encoded and answered; and what a hospital with
// patients would make of it under each plan: nothing, or a contribution of the query's shape.
void QueryJson(ByteView input) {
  const Result<Query> query = ParseQuery(input);
  CHECK(Says(query));
  if (!query) return;
  CHECK(std::ranges::equal(Canonical(*query), input));
  constexpr std::uint64_t kSmall = 1 << 12;
  if (query->Coordinates() > kSmall) return;
  RawContribution raw;
  for (const Block& block : query->blocks) raw.blocks.emplace_back(block.length, 2 * block.bound);
  raw.blocks.pop_back();
  EncodeReport report;
  const Result<Bytes> words = Encode(*query, raw, &report);
  CHECK(words.has_value() && report.saturated == query->Coordinates() - 1);
  const Result<Answer> answer = Answer::Create(*query, {0}, *words);
  CHECK(answer.has_value());
  for (const Block& block : query->blocks) CHECK(answer->Values(block.name).front() >= 0);
  for (const Plan& plan : Plans()) {
    const Bytes model = ParameterBlob(std::vector<double>(5, 0.5));
    const node::Given given{.inputs = {{BlobRoot(model), model}}};
    const auto computed = node::ComputeQuery(plan, Patients(), *query, given);
    CHECK(Says(computed));
    if (computed) CHECK(Encode(*query, *computed, &report).has_value() && report.not_finite == 0);
  }
}

// An algorithm from its first query to its end, with any words for answers: what it keeps is always written and read
// as the same, its results are JSON, its model is a file.
void AnswerWords(ByteView input) {
  Source source(input);
  const Plan& plan = Plans()[source.Below(static_cast<std::uint32_t>(Plans().size()))];
  auto algorithm = MakeAlgorithm(plan);
  CHECK(algorithm.has_value());
  for (std::uint32_t round = 1; round < 12 && !source.done(); ++round) {
    const std::uint32_t hospitals = 2 + source.Below(4);
    auto step = (*algorithm)->Next(hospitals);
    if (!step) break;
    Query& query = step->query;
    query.plan = plan.id();
    query.round = round;
    const auto parsed = ParseQuery(Canonical(query));
    CHECK(parsed.has_value() && *parsed == query);
    const std::size_t word = query.ring == Ring::kU32 ? 4 : 8;
    const int style = static_cast<int>(source.Below(4));
    std::vector<std::uint32_t> survivors;
    for (std::uint32_t i = 1; i <= hospitals; ++i) survivors.push_back(i);
    Bytes words(query.AnswerBytes(hospitals));
    for (std::size_t at = 0; at + word < words.size(); at += word) {
      std::uint64_t value = style == 0 ? source.Number(1) : style == 1 ? source.Number(8) : source.Number(2);
      if (style == 3) value <<= 8 * source.Below(8);
      std::memcpy(words.data() + at, &value, word);
    }
    const std::uint64_t each = query.release == ReleaseTo::kHospital ? 1 : hospitals;
    for (std::size_t end = query.WireBytes(); end <= words.size(); end += query.WireBytes())
      std::memcpy(words.data() + end - word, &each, word);
    const auto answer = Answer::Create(query, survivors, words);
    CHECK(answer.has_value());
    const AlgorithmState before = (*algorithm)->Save();
    const Status absorbed = (*algorithm)->Absorb(query, *answer);
    CHECK(Says(absorbed));
    if (!absorbed) {  // As the coordinator does: back to where it was.
      algorithm = RestoreAlgorithm(plan, before);
      CHECK(algorithm.has_value());
      continue;
    }
    const AlgorithmState state = (*algorithm)->Save();
    const Bytes bytes = Encode(state);
    const auto decoded = DecodeAlgorithmState(bytes);
    CHECK(decoded.has_value() && Encode(*decoded) == bytes);
    algorithm = RestoreAlgorithm(plan, *decoded);
    CHECK(algorithm.has_value() && Encode((*algorithm)->Save()) == bytes);
    CHECK(ParseJson(CanonicalJson((*algorithm)->Results()), {.bytes = 64 << 20}).has_value());
    if (const auto file = (*algorithm)->ModelFile()) CHECK(ReadSafetensors(*file).has_value());
  }
}

}  // namespace consilium::fuzz
