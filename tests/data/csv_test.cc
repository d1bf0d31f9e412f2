// RFC 4180: what is well formed is read whole, what is not is named by its line and never echoed.
#include "hospital_node/data/csv.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace consilium::node {
namespace {

using Rows = std::vector<std::vector<std::string>>;

class Csv : public ::testing::Test {
 protected:
  Csv()
      : folder_(std::filesystem::path(::testing::TempDir()) /
                ("csv-" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Csv() override { std::filesystem::remove_all(folder_); }

  Result<Rows> Read(std::string_view text, char delimiter = ',') {
    const std::string path = (folder_ / "t.csv").string();
    std::ofstream(path, std::ios::binary) << text;
    CsvReader reader = TRY(CsvReader::Open(path, delimiter));
    Rows rows;
    std::vector<std::string> fields;
    lines_.clear();
    while (TRY(reader.Next(&fields))) {
      rows.push_back(fields);
      lines_.push_back(reader.line());
    }
    return rows;
  }
  std::string Fault(std::string_view text) {
    const auto rows = Read(text);
    return rows ? "no fault" : rows.error().what.substr((folder_ / "t.csv").string().size());
  }

  std::filesystem::path folder_;
  std::vector<std::uint64_t> lines_;
};

TEST_F(Csv, PlainQuotedAndEmptyFields) {
  EXPECT_EQ(*Read("a,b,c\n1,,\"x, \"\"y\"\"\"\n"), (Rows{{"a", "b", "c"}, {"1", "", "x, \"y\""}}));
  EXPECT_EQ(*Read("a,\n,b"), (Rows{{"a", ""}, {"", "b"}}));
  EXPECT_EQ(*Read("\"\"\n"), (Rows{{""}}));
}

TEST_F(Csv, AllLineEndsAndTheByteOrderMark) {
  EXPECT_EQ(*Read("\xEF\xBB\xBF"
                  "a,b\r\n1,2\r\n"),
            (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(*Read("a\n\n\r\nb"), (Rows{{"a"}, {"b"}}));
  EXPECT_EQ(lines_, (std::vector<std::uint64_t>{1, 4}));
  EXPECT_EQ(*Read(""), Rows{});
}

TEST_F(Csv, LinesAreCountedThroughQuotedLineBreaks) {
  EXPECT_EQ(*Read("\"a\r\nb\",1\nc,2\n"), (Rows{{"a\nb", "1"}, {"c", "2"}}));
  EXPECT_EQ(lines_, (std::vector<std::uint64_t>{1, 3}));
}

TEST_F(Csv, CrlfAcrossTheEdgeOfTheBufferIsOneLineEnd) {
  for (const std::size_t length : {65533U, 65534U, 65535U, 65536U, 131071U}) {
    const std::string field(length, 'x');
    EXPECT_EQ(*Read(field + "\r\n1\r\n"), (Rows{{field}, {"1"}})) << length;
  }
}

TEST_F(Csv, OtherDelimiters) { EXPECT_EQ(*Read("a;b,c\n", ';'), (Rows{{"a", "b,c"}})); }

TEST_F(Csv, FaultsNameTheirLine) {
  EXPECT_TRUE(Fault("a\nb,\"c\nd\n").starts_with(":2: a quoted field opens here"));
  EXPECT_TRUE(Fault("a\nb\"c\n").starts_with(":2: a '\"' inside a field"));
  EXPECT_TRUE(Fault("a\n\"b\"c\n").starts_with(":2: text after a closing"));
  EXPECT_TRUE(Fault("a\rb\r").starts_with(":1: a carriage return"));
  EXPECT_TRUE(Fault(std::string_view("a\n\0b\n", 5)).starts_with(":2: a zero byte"));
}

TEST_F(Csv, LengthAndNumberOfFieldsAreBounded) {
  EXPECT_EQ((*Read(std::string(kMaxFieldBytes, 'x')))[0][0].size(), kMaxFieldBytes);
  EXPECT_TRUE(Fault("a\n" + std::string(kMaxFieldBytes + 1, 'x')).starts_with(":2: a field longer than 1 MiB"));
  EXPECT_TRUE(Fault("\"" + std::string(kMaxFieldBytes + 1, 'x')).starts_with(":1: a field longer than 1 MiB"));
  EXPECT_EQ((*Read(std::string(kMaxFields - 1, ',')))[0].size(), kMaxFields);
  EXPECT_TRUE(Fault(std::string(kMaxFields, ',')).starts_with(":1: more than 4096 columns"));
}

TEST_F(Csv, WhatIsNoFileIsRefused) {
  EXPECT_FALSE(CsvReader::Open(folder_.string(), ',').has_value());
  EXPECT_FALSE(CsvReader::Open((folder_ / "absent").string(), ',').has_value());
}

}  // namespace
}  // namespace consilium::node
