// Data sets as the control socket registers them, leaves patients out of them and removes them, and as they are kept.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/log.h"
#include "hospital_node/core.h"

namespace consilium::node {
namespace {

constexpr std::size_t kMaxName = 64;

bool IsName(std::string_view name) {
  const auto fine = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return !name.empty() && name.size() <= kMaxName && name.front() != '.' && std::ranges::all_of(name, fine);
}

Value ListOf(const std::vector<std::string>& texts) { return Value(Value::Array(texts.begin(), texts.end())); }

// Without a format, as it was before there were others, it is CSV.
Status ReadFormat(const Value& value, DataSetSpec* spec) {
  if (value.Has("format")) spec->format = TRY(FormatFrom(value["format"].AsString()));
  for (const Value& file : value["files"].AsArray()) spec->files.push_back(file.AsString());
  return {};
}

// A check, and what is kept of data sets afterwards.
std::any CheckAndKeep(const Workbench& workbench, DataSetSpec spec, bool add, std::vector<DataSetSpec> registered) {
  Result<Value> report = workbench.Check(spec);
  if (add && report) {
    spec.sha256 = (*report)["sha256"].AsString();
    std::erase_if(registered, [&](const DataSetSpec& other) { return other.name == spec.name; });
    registered.push_back(std::move(spec));
  }
  workbench.Keep(registered);
  return report;
}

}  // namespace

Bytes EncodeDataSet(const DataSet& data_set) {
  Value value;
  value.Set("name", data_set.spec.name).Set("folder", data_set.spec.folder).Set("schema", data_set.spec.schema);
  value.Set("format", std::string(NameOf(data_set.spec.format))).Set("files", ListOf(data_set.spec.files));
  Value excluded{Value::Array{}};
  for (const std::string& mark : data_set.spec.excluded) excluded.Push(mark);
  value.Set("excluded", std::move(excluded));
  value.Set("sha256", data_set.spec.sha256)
      .Set("patients", data_set.patients)
      .Set("rows", data_set.rows)
      .Set("added_ms", data_set.added_ms);
  return ToBytes(View(CanonicalJson(value)));
}

Result<DataSet> DecodeDataSet(ByteView bytes) {
  const Value value = TRY(ParseJson(Text(bytes), {.bytes = std::size_t{512} << 20}));
  DataSet out;
  out.spec = {
      value["name"].AsString(), value["folder"].AsString(), value["schema"].AsString(), value["sha256"].AsString(), {}};
  for (const Value& mark : value["excluded"].AsArray()) out.spec.excluded.insert(mark.AsString());
  TRY(ReadFormat(value, &out.spec));
  out.patients = value["patients"].AsInteger();
  out.rows = value["rows"].AsInteger();
  out.added_ms = value["added_ms"].AsInteger();
  if (out.spec.name.empty()) return Fail(Code::kCorrupt, "it has no name");
  return out;
}

Status NodeCore::StartDataJob(const RequestReceived& request, bool add) {
  DataSetSpec spec{request.body["name"].AsString(), request.body["folder"].AsString(),
                   request.body["schema"].AsString()};
  if (!IsName(spec.name)) {
    return Fail(Code::kInvalid,
                "a data set's name has 1 to 64 letters, digits, '-', '_' or '.'; give it the name that plans use");
  }
  TRY(ReadFormat(request.body, &spec));
  const std::vector<std::string> paths =
      spec.format == Format::kCsv ? std::vector<std::string>{spec.folder} : spec.files;
  if (paths.empty() || !std::ranges::all_of(paths, [](const std::string& path) { return path.starts_with('/'); }))
    return Fail(Code::kInvalid, "the data set's folder or files must be absolute paths");
  if (spec.schema.empty()) return Fail(Code::kInvalid, "the data set needs a schema: give its file with --schema FILE");
  const auto known = data_sets_.find(spec.name);
  if (known != data_sets_.end())
    spec.excluded = known->second.spec.excluded;  // Who withdrew stays out of new files too.
  if (add && known != data_sets_.end() &&
      (SourceWords(known->second.spec) != SourceWords(spec) || known->second.spec.schema != spec.schema)) {
    for (const auto& [id, participant] : studies_) {
      if (participant.plan().dataset != spec.name || !participant.Approved() || participant.Ended()) continue;
      return Fail(Code::kConflict,
                  fmt::format("the running study \"{}\" was approved with other data under the name \"{}\"; reject it "
                              "first (consilium-node plan reject) or use another name",
                              participant.plan().name, spec.name));
    }
  }
  StartJob(DataJob{request.id, spec, add}, [spec, add, registered = Registered(), workbench = options_.workbench] {
    return CheckAndKeep(*workbench, spec, add, registered);
  });
  return {};
}

Result<DataSet*> NodeCore::FindDataSet(const std::string& name) {
  const auto found = data_sets_.find(name);
  if (found != data_sets_.end()) return &found->second;
  return Fail(Code::kNotFound,
              fmt::format("no data set \"{}\" is registered here; see: consilium-node data list", name));
}

// Withdrawn patients: from the next attempt on their rows are not read. What they contributed to stays as it is.
Status NodeCore::StartExclusion(const RequestReceived& request) {
  const DataSet* known = TRY(FindDataSet(request.body["name"].AsString()));
  DataSetSpec spec = known->spec;
  if (TRY(ParseSchema(spec.schema, "the schema of data set " + spec.name)).patient_id == "row") {
    return Fail(Code::kInvalid,
                fmt::format("data set \"{}\" has no column of patient ids (patient id = \"row\"); take the "
                            "rows out of the file and register it again",
                            spec.name));
  }
  for (const Value& mark : request.body["marks"].AsArray()) {
    const auto digest = Digest::FromHexText(mark.AsString());
    if (!digest) return Fail(Code::kInvalid, "marks are hashes of patient ids, in hex");
    spec.excluded.insert(digest->Hex());  // As PatientMark writes it.
  }
  if (spec.excluded.size() == known->spec.excluded.size())
    return Fail(Code::kInvalid, "no patient is named that was not excluded before");
  StartJob(DataJob{request.id, spec, true}, [spec, registered = Registered(), workbench = options_.workbench] {
    return CheckAndKeep(*workbench, spec, true, registered);
  });
  return {};
}

std::vector<DataSetSpec> NodeCore::Registered() const {
  std::vector<DataSetSpec> out;
  for (const auto& [name, data_set] : data_sets_) out.push_back(data_set.spec);
  return out;
}

Status NodeCore::RemoveDataSet(const RequestReceived& request) {
  const std::string name = request.body["name"].AsString();
  TRY(FindDataSet(name));
  for (const auto& [id, participant] : studies_) {
    if (participant.plan().dataset != name || !participant.Approved() || participant.Ended()) continue;
    return Fail(Code::kConflict,
                fmt::format("the running study \"{}\" uses it; reject that first: consilium-node plan reject",
                            participant.plan().name));
  }
  result_.transaction.emplace_back(EraseState{"dataset", name});
  data_sets_.erase(name);
  Audit("data_removed", Value().Set("name", name));
  Log(LogLevel::kInfo, "data_removed", {{"name", name}});
  StartJob(RemovalJob{request.id, name}, [registered = Registered(), workbench = options_.workbench] {
    workbench->Keep(registered);
    return std::any();
  });
  return {};
}

void NodeCore::OnDataChecked(const DataJob& job, const std::any& result) {
  const auto& report = std::any_cast<const Result<Value>&>(result);
  if (!report) {
    result_.replies.push_back(ErrorReply(job.request, report.error()));
    return;
  }
  if (job.add) {
    DataSet data_set{job.spec, (*report)["patients"].AsInteger(), (*report)["rows"].AsInteger(), now_.wall_ms};
    data_set.spec.sha256 = (*report)["sha256"].AsString();
    const auto before = data_sets_.find(job.spec.name);
    std::set<std::string>& marks = data_set.spec.excluded;
    const std::size_t excluded = before == data_sets_.end() ? 0 : before->second.spec.excluded.size();
    // Who withdrew while this job ran stays out too.
    if (before != data_sets_.end())
      marks.insert(before->second.spec.excluded.begin(), before->second.spec.excluded.end());
    if (marks.size() != excluded) {
      Audit("data_excluded", Value().Set("name", job.spec.name).Set("patients", std::uint64_t{marks.size()}));
    }
    result_.transaction.emplace_back(PutState{"dataset", job.spec.name, EncodeDataSet(data_set)});
    data_sets_.insert_or_assign(job.spec.name, std::move(data_set));
    Log(LogLevel::kInfo, "data_added", {{"name", job.spec.name}});
    for (auto& [id, participant] : studies_) TryConclude(participant);
  }
  result_.replies.push_back(JsonReply(job.request, *report));
}

Value NodeCore::GetDataSets() const {
  Value list{Value::Array{}};
  for (const auto& [name, data_set] : data_sets_) {
    Value row;
    row.Set("name", name).Set("folder", data_set.spec.folder).Set("patients", data_set.patients);
    row.Set("format", std::string(NameOf(data_set.spec.format))).Set("files", ListOf(data_set.spec.files));
    row.Set("schema", data_set.spec.schema);
    row.Set("excluded", std::uint64_t{data_set.spec.excluded.size()});
    list.Push(row.Set("rows", data_set.rows).Set("added_ms", data_set.added_ms));
  }
  return Value().Set("datasets", std::move(list));
}

}  // namespace consilium::node
