// The rules of the house: who may include whom, each library behind its door, one way out of a hospital.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = CONSILIUM_SOURCE_DIR;

// Arrows point from a higher level to a lower one, or stay within a folder: so there is no circle and no arrow upwards.
const std::map<std::string, int> kLevels = {
    {"common/base", 0},
    {"common/crypto", 1},
    {"common/settings", 1},
    {"common/model", 2},
    {"common/query", 2},
    {"common/privacy", 3},
    {"common/plan", 3},
    {"common/algorithms", 4},
    {"common/roster", 4},
    {"common/onnx", 5},
    {"common/wire", 5},
    {"common/secagg", 6},
    {"common/turn", 6},
    {"common/transfer", 7},
    {"common/storage", 7},
    {"common/transport", 7},
    {"common/http", 7},
    {"hospital_node/data", 8},
    {"hospital_node/training", 9},
    {"hospital_node/queries", 10},
    {"hospital_node/gate", 11},
    {"coordinator", 12},
    {"hospital_node", 12},
    {"cli", 13},
};

// A library's headers are included behind its door only.
const std::vector<std::pair<std::regex, std::string>> kDoors = {
    {std::regex("^(zmq|zmq_addon)\\.(h|hpp)$"), "common/transport"},
    {std::regex("^(capnp|kj|schemas)/.*"), "common/wire"},
    {std::regex("^sodium(\\.h|/.*)$"), "common/crypto"},
    {std::regex("^openssl/.*"), "common/crypto"},
    {std::regex("^sqlite3\\.h$"), "common/storage"},
    {std::regex("^httplib\\.h$"), "common/http"},
    {std::regex("^(toml\\+\\+|nlohmann)/.*"), "common/settings"},
    {std::regex("^spdlog/.*"), "common/base"},
    {std::regex("^zlib\\.h$"), "hospital_node/data"},
    {std::regex("^(dnnl|oneapi/).*"), "common/model"},
    {std::regex("^(onnx|google/protobuf)/.*"), "common/onnx"},
};

struct Include {
  std::string file, folder, target;
  bool quoted;
};

std::string FolderOf(const std::string& path) { return fs::path(path).parent_path().string(); }

std::vector<Include> AllIncludes() {
  std::vector<Include> all;
  const std::regex line_form("^\\s*#\\s*include\\s*([<\"])([^>\"]+)[>\"]");
  for (const char* top : {"common", "coordinator", "hospital_node", "cli"}) {
    if (!fs::exists(kRoot / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc") continue;
      const std::string file = fs::relative(entry.path(), kRoot);
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) {
        std::smatch match;
        if (std::regex_search(line, match, line_form))
          all.push_back({file, FolderOf(file), match[2], match[1] == "\""});
      }
    }
  }
  return all;
}

TEST(House, ArrowsPointDownwards) {
  const std::vector<Include> all = AllIncludes();
  ASSERT_GT(all.size(), 100U);
  for (const Include& include : all) {
    if (!include.quoted) continue;
    const std::string target = FolderOf(include.target);
    ASSERT_TRUE(kLevels.contains(include.folder)) << include.file << " lies in a folder that has no level here";
    if (target == include.folder || target == "schemas") continue;  // Generated; a door of its own, below.
    ASSERT_TRUE(kLevels.contains(target))
        << include.file << " includes " << include.target << ", which has no level here";
    EXPECT_LT(kLevels.at(target), kLevels.at(include.folder)) << include.file << " includes " << include.target;
  }
}

TEST(House, CoordinatorAndNodeNeverIncludeEachOther) {
  for (const Include& include : AllIncludes()) {
    EXPECT_FALSE(include.folder.starts_with("coordinator") && include.target.starts_with("hospital_node"))
        << include.file;
    EXPECT_FALSE(include.folder.starts_with("hospital_node") && include.target.starts_with("coordinator"))
        << include.file;
  }
}

TEST(House, LibrariesStayBehindTheirDoors) {
  for (const Include& include : AllIncludes()) {
    for (const auto& [library, door] : kDoors) {
      if (std::regex_match(include.target, library)) {
        EXPECT_EQ(include.folder, door) << include.file << " includes " << include.target;
      }
    }
  }
}

TEST(House, CoresTouchNeitherDiskNorNetworkNorClock) {
  const std::set<std::string> edges = {"main.cc",      "daemon.cc",   "daemon.h",          "config.cc",  "config.h",
                                       "workbench.cc", "workbench.h", "commands.cc",       "commands.h", "join.cc",
                                       "join.h",       "control.cc",  "control.h",         "backup.cc",  "backup.h",
                                       "doctor.cc",    "doctor.h",    "roster_commands.cc"};
  const std::set<std::string> closed = {"common/storage", "common/transport", "common/http"};
  const std::set<std::string> closed_headers = {"thread", "mutex", "fstream", "random", "future", "condition_variable"};
  for (const Include& include : AllIncludes()) {
    const bool application =
        include.folder == "coordinator" || include.folder == "hospital_node" || include.folder == "hospital_node/gate";
    const bool pure = application || include.folder == "common/algorithms" || include.folder == "common/secagg" ||
                      include.folder == "common/transfer" || include.folder == "common/turn" ||
                      include.folder == "common/query";
    if (!pure || edges.contains(fs::path(include.file).filename())) continue;
    EXPECT_FALSE(closed.contains(FolderOf(include.target))) << include.file << " includes " << include.target;
    EXPECT_FALSE(closed_headers.contains(include.target)) << include.file << " includes " << include.target;
  }
}

TEST(House, CoresIterateOverNoHashMap) {
  for (const Include& include : AllIncludes()) {
    EXPECT_FALSE(include.target.starts_with("unordered_")) << include.file << ": its order differs between machines";
  }
}

// Compiles a snippet with the rules of the build; true when it is accepted.
bool Compiles(const std::string& name, const std::string& body) {
  const fs::path file =
      fs::temp_directory_path() / ("consilium_house_" + name + "_" + std::to_string(getpid()) + ".cc");
  std::ofstream(file) << body;
  const std::string command = std::string(CONSILIUM_CXX) + " -std=c++23 -fsyntax-only -I" + kRoot.string() +
                              " -I/usr/include/eigen3 " + file.string() + " >/dev/null 2>&1";
  const int status = std::system(command.c_str());  // NOLINT: a fixed command of this test.
  fs::remove(file);
  return status == 0;
}

TEST(House, OnlyTheGateMakesSealed) {
  const std::string head = "#include \"hospital_node/gate/sealed.h\"\nusing consilium::node::Sealed;\n";
  EXPECT_TRUE(Compiles("read", head + "auto Root(const Sealed& s) { return s.vector().root; }\n"));
  EXPECT_FALSE(Compiles("make", head + "Sealed Make() { return Sealed(); }\n"));
  EXPECT_FALSE(Compiles("braces", head + "Sealed Make() { return {}; }\n"));
  EXPECT_FALSE(Compiles("fill", head + "void Fill(Sealed& s) { s.vector_ = {}; }\n"));
}

TEST(House, NothingNamesAHardWiredHomeOrRegistry) {
  const std::regex forbidden("(/home/[a-z]|/root/)");
  for (const char* top : {"common", "coordinator", "hospital_node", "cli", "schemas", "deploy", "docs"}) {
    if (!fs::exists(kRoot / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / top)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);)
        EXPECT_FALSE(std::regex_search(line, forbidden)) << entry.path() << ": " << line;
    }
  }
}

// docs/bad-input.md says which test holds what comes of each fault.
TEST(House, BadInputNamesTestsThatExist) {
  std::set<std::string> tests;
  const std::regex definition("^(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP)\\((\\w+), *(\\w+)");
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "tests")) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      std::smatch match;
      if (std::regex_search(line, match, definition)) tests.insert(match[1].str() + "." + match[2].str());
    }
  }
  const std::regex name("`([A-Z]\\w+\\.[A-Z]\\w+)`");
  std::size_t named = 0;
  std::ifstream in(kRoot / "docs" / "bad-input.md");
  for (std::string line; std::getline(in, line);) {
    for (std::sregex_iterator at(line.begin(), line.end(), name), end; at != end; ++at, ++named)
      EXPECT_TRUE(tests.contains((*at)[1])) << "there is no test " << (*at)[1];
  }
  EXPECT_GT(named, 60U);
}

}  // namespace
