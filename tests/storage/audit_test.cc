// No change to an exported chain goes unnoticed, be it one bit.
#include "common/storage/audit.h"

#include <gtest/gtest.h>

#include "common/turn/reply.h"

namespace consilium {
namespace {

std::vector<std::string> Lines() {
  ChainHead head;
  std::vector<std::string> lines;
  for (int i = 0; i < 4; ++i) {
    const Value row =
        Value().Set("event", "upload").Set("at_ms", 1000 + i).Set("round", i).Set("note", "caf\u00e9 \"x\"");
    lines.push_back(AuditLine(&head, View(CanonicalJson(row))));
  }
  lines.push_back(AuditEnd(head));
  return lines;
}

std::string Join(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line;
  return out;
}

TEST(AuditTest, AnExportVerifies) {
  const AuditVerdict verdict = VerifyExport(Join(Lines()));
  EXPECT_TRUE(verdict.valid) << verdict.reason;
  EXPECT_EQ(verdict.rows, 4U);
  EXPECT_EQ(verdict.first_bad_row, 0U);
  EXPECT_TRUE(VerifyExport(AuditEnd({})).valid);
}

TEST(AuditTest, EveryFlippedBitIsFoundInItsLine) {
  const std::string good = Join(Lines());
  std::uint64_t line = 1;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      const AuditVerdict verdict = VerifyExport(bad);
      ASSERT_FALSE(verdict.valid) << "byte " << i << " bit " << bit;
      ASSERT_EQ(verdict.first_bad_row, line) << "byte " << i << " bit " << bit;
      ASSERT_FALSE(verdict.reason.empty());
    }
    line += good[i] == '\n';
  }
}

TEST(AuditTest, EveryCutIsFound) {
  const std::string good = Join(Lines());
  for (std::size_t size = 0; size < good.size(); ++size) ASSERT_FALSE(VerifyExport(good.substr(0, size)).valid) << size;
  EXPECT_FALSE(VerifyExport(good + "\n").valid);
  EXPECT_FALSE(VerifyExport(good + good).valid);
}

TEST(AuditTest, DeletedDoubledAndSwappedRowsAreFound) {
  const std::vector<std::string> good = Lines();
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    std::vector<std::string> deleted = good;
    deleted.erase(deleted.begin() + static_cast<std::ptrdiff_t>(i));
    const AuditVerdict verdict = VerifyExport(Join(deleted));
    EXPECT_FALSE(verdict.valid);
    EXPECT_EQ(verdict.first_bad_row, i + 1);
    EXPECT_EQ(verdict.rows, i);
    std::vector<std::string> doubled = good;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), good[i]);
    EXPECT_EQ(VerifyExport(Join(doubled)).first_bad_row, i + 2);
    std::vector<std::string> swapped = good;
    std::swap(swapped[i], swapped[i + 1]);
    EXPECT_FALSE(VerifyExport(Join(swapped)).valid);
  }
  EXPECT_NE(VerifyExport(Join({good[0], good[2], good[3], good[4]})).reason.find("missing"), std::string::npos);
}

}  // namespace
}  // namespace consilium
