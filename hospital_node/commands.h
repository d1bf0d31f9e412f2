// What `consilium-node` prints: each command asks the node (daemon or not) and shows the answer.
#pragma once

#include <string>

#include "common/settings/terminal.h"
#include "hospital_node/data/workbench.h"

namespace consilium::node {

struct DataOptions {  // One of csv, idx and npz is given.
  std::string name = {};
  std::string csv = {};                 // A file, or a folder whose files match the schema's pattern.
  std::vector<std::string> idx = {};    // Images and labels of each part in turn.
  std::string npz = {}, schema = {};    // Files. No schema: the one that is registered.
  std::vector<std::string> files = {};  // Of `data infer`.
};

// What a data set is registered as: a single CSV file becomes its folder with the file's name as the schema's pattern.
Result<DataSetSpec> SpecOf(const DataOptions& options);
// `source`: a CSV file, a folder of them, or a file whose name ends in .npz.
Result<DataSetSpec> SpecOf(const std::string& name, const std::string& source, Schema schema);
// What registers it: the body of POST /v1/datasets.
Value RegistrationOf(const DataSetSpec& spec);

int JoinCommand(const Terminal& terminal, const std::string& directory, const std::string& token_file);
int StatusCommand(const Terminal& terminal, const std::string& directory);
int DataCommand(const Terminal& terminal, const std::string& directory, const DataOptions& options, bool check_only);
int DataInferCommand(const Terminal& terminal, const std::vector<std::string>& files);
// `ids`: a file with a patient's id a line; "": standard input.
int DataExcludeCommand(const Terminal& terminal, const std::string& directory, const std::string& name,
                       const std::string& ids);
int DataRemoveCommand(const Terminal& terminal, const std::string& directory, const std::string& name);
int DataListCommand(const Terminal& terminal, const std::string& directory);
int PlanListCommand(const Terminal& terminal, const std::string& directory);
// `plan`: an id, an unambiguous prefix of one, or a name; "": the only one that waits for consent.
int PlanShowCommand(const Terminal& terminal, const std::string& directory, const std::string& plan);
int PlanDecideCommand(const Terminal& terminal, const std::string& directory, const std::string& plan,
                      const std::string& officer, bool approve);
int ResultsCommand(const Terminal& terminal, const std::string& directory, const std::string& study);
// `crypto`: what StartCrypto said. The exit status is 1 when a check is bad.
// The roster (roster_commands.cc). `officer` is the label of the key that signs; "": the one of the enrolment.
int RosterShowCommand(const Terminal& terminal, const std::string& directory);
int RosterSignCommand(const Terminal& terminal, const std::string& directory, const std::string& officer, bool yes);
int OfficerListCommand(const Terminal& terminal, const std::string& directory);
int OfficerAddCommand(const Terminal& terminal, const std::string& directory, const std::string& label,
                      const std::string& officer);
// `wanted`: a label of a key here, or the beginning of the words of one.
int OfficerRemoveCommand(const Terminal& terminal, const std::string& directory, const std::string& wanted,
                         const std::string& officer);
int KeyRotateCommand(const Terminal& terminal, const std::string& directory, const std::string& officer);
int UnlockCommand(const Terminal& terminal, const std::string& directory, const std::string& officer, bool yes);
int BudgetCommand(const Terminal& terminal, const std::string& directory);

}  // namespace consilium::node
