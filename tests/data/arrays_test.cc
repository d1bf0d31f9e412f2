// idx and npz files become the table that their schema declares, or an error that names file, place and the mend.
#include <gtest/gtest.h>

#include <functional>

#include "hospital_node/data/profile.h"
#include "hospital_node/data/table.h"
#include "tests/data/archives.h"
#include "tests/data/scratch.h"
#include "tests/data/tables.h"

namespace consilium::node {
namespace {

using testing::Gzip;
using testing::Idx;
using testing::Npy;
using testing::NpyWith;
using testing::Raw;
using testing::Zip;

constexpr const char* kSchema = R"([columns.image]
type = "tensor"
array = "images"
shape = [2, 2]
minimum = -100
maximum = 100
[columns.digit]
type = "label"
array = "labels"
classes = ["0", "1", "2"]
)";

Schema SchemaFrom(const std::string& toml) {
  const auto schema = ParseSchema(toml, "schema.toml");
  EXPECT_TRUE(schema.has_value()) << schema.error().what;
  return schema.value_or(Schema{});
}

// All elements of a tensor column, row after row.
std::vector<double> ElementsOf(const Table& table, std::string_view name) {
  std::vector<double> out;
  RowCursor cursor(table.store);
  for (std::size_t row = 0; row < table.rows(); ++row) {
    table.Find(name)->Elements(cursor.At(row), [&](auto zero, const std::uint8_t* at, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) {
        std::memcpy(&zero, at + i * sizeof zero, sizeof zero);
        out.push_back(static_cast<double>(zero));
      }
    });
  }
  return out;
}

class ArraysTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& bytes) {
    scratch_.Write(name, bytes);
    return (scratch_.path() / name).string();
  }
  Result<Table> Pair(const std::string& images, const std::string& labels, const ReadOptions& options = {}) {
    return ReadIdx({File("images", images), File("labels", labels)}, schema_, options);
  }
  Result<Table> Archive(const std::string& zip, const ReadOptions& options = {}) {
    return ReadNpz(File("set.npz", zip), schema_, options);
  }
  // The message without the folder's name; it must be kInvalid.
  std::string Fault(const Result<Table>& table) {
    if (table) return "no fault";
    EXPECT_EQ(table.error().code, Code::kInvalid) << table.error().what;
    std::string what = table.error().what;
    const std::string folder = (scratch_.path() / "").string();
    for (std::size_t at = what.find(folder); at != std::string::npos; at = what.find(folder))
      what.erase(at, folder.size());
    return what;
  }
  void ExpectFault(const Result<Table>& table, const std::string& says) {
    const std::string what = Fault(table);
    EXPECT_NE(what.find(says), std::string::npos) << what;
  }

  const std::vector<std::uint8_t> bytes_ = {1, 2, 3, 4, 50, 60, 70, 80};
  const std::string images_ = Idx<std::uint8_t>(0x08, {2, 2, 2}, bytes_);
  const std::string labels_ = Idx<std::uint8_t>(0x08, {2}, {2, 0});
  const std::string npy_images_ = Npy("|u1", "(2, 2, 2)", Raw(bytes_));
  const std::string npy_labels_ = Npy("<i8", "(2, 1)", Raw<std::int64_t>({2, 0}));
  testing::Scratch scratch_;
  Schema schema_ = SchemaFrom(kSchema);
};

TEST_F(ArraysTest, IdxOfEveryTypeIsRead) {
  const std::vector<double> expected = {1, -2, 3, 4, 50, 60, 70, 80};
  const auto expect = [&](const std::string& images) {
    const auto table = Pair(images, labels_);
    ASSERT_TRUE(table.has_value()) << table.error().what;
    EXPECT_EQ(ElementsOf(*table, "image"), expected);
    EXPECT_EQ(table->Find("digit")->numbers, (std::vector<double>{2, 0}));
    EXPECT_EQ(table->patients(), 2U);
  };
  const std::vector<std::uint32_t> axes = {2, 2, 2};
  expect(Idx<std::int8_t>(0x09, axes, {1, -2, 3, 4, 50, 60, 70, 80}));
  expect(Idx<std::int16_t>(0x0B, axes, {1, -2, 3, 4, 50, 60, 70, 80}));
  expect(Idx<std::int32_t>(0x0C, axes, {1, -2, 3, 4, 50, 60, 70, 80}));
  expect(Idx<float>(0x0D, axes, {1, -2, 3, 4, 50, 60, 70, 80}));
  expect(Idx<double>(0x0E, axes, {1, -2, 3, 4, 50, 60, 70, 80}));
  const auto bytes = Pair(images_, labels_);
  ASSERT_TRUE(bytes.has_value()) << bytes.error().what;
  EXPECT_EQ(ElementsOf(*bytes, "image"), std::vector<double>(bytes_.begin(), bytes_.end()));
  EXPECT_EQ(bytes->Find("image")->element, Element::kU8) << "it is kept as narrow as it came";
}

TEST_F(ArraysTest, GzippedIdxIsTheSame) {
  const auto table = Pair(Gzip(images_), Gzip(labels_));
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(ElementsOf(*table, "image"), std::vector<double>(bytes_.begin(), bytes_.end()));
}

TEST_F(ArraysTest, WrongIdxIsNamedWithItsPlace) {
  const auto images = [&](const std::string& bytes) { return Fault(Pair(bytes, labels_)); };
  EXPECT_TRUE(images("").starts_with("images: ends at byte 0, in the middle of an idx file's first four bytes"));
  EXPECT_TRUE(images("P5 28 28").starts_with("images: this is no idx file: its first bytes are 50 35 20 32"));
  EXPECT_TRUE(images(std::string("\0\0\x07\3", 4) + images_.substr(4)).starts_with("images: this is no idx file"));
  EXPECT_TRUE(images(images_.substr(0, 11)).starts_with("images: ends at byte 11, in the middle of the lengths"));
  EXPECT_TRUE(images(images_.substr(0, images_.size() - 1))
                  .starts_with("images: the header says 2 x 2 x 2, which is 8 bytes, and at most 7 can follow"));
  EXPECT_TRUE(
      images(images_ + "x").starts_with("images: more bytes follow the last row that its header names, from byte "));
  EXPECT_TRUE(
      images(Idx<std::uint8_t>(0x08, {0, 2, 2}, {})).starts_with("images: the header says that there are no rows"));
  EXPECT_TRUE(images(Idx<std::uint8_t>(0x08, {2, 2, 2, 1}, bytes_))
                  .starts_with("images: is 2 x 2 x 2 x 1, and column \"image\" is declared as rows of 2 x 2"));
  const std::string many = Fault(Pair(Idx<std::uint8_t>(0x08, {3, 2, 2}, std::vector<std::uint8_t>(12)), labels_));
  EXPECT_TRUE(many.starts_with("images has 3 rows and labels has 2; they must belong together")) << many;
  ExpectFault(Pair(images_, Idx<std::uint8_t>(0x08, {2, 2}, {1, 1, 1, 1})), "labels: is 2 x 2, and column \"digit\"");
}

TEST_F(ArraysTest, AHeaderThatPromisesTooMuchIsNotBelieved) {
  ExpectFault(Pair(Idx<std::uint8_t>(0x08, {0xffffffff, 2, 2}, {}), labels_),
              "4294967295 rows; one data set has at most");
  ExpectFault(Pair(Idx<std::uint8_t>(0x08, {2, 0xffffffff, 0xffffffff}, {}), labels_), "a row has 1 to");
  // A gzip of 50 bytes cannot inflate to 4 million rows.
  ExpectFault(Pair(Gzip(Idx<std::uint8_t>(0x08, {1U << 22, 2, 2}, {})), labels_), "can follow; the file was cut off");
  ExpectFault(Archive(Zip({{"images.npy", Npy("|u1", "(1000000000000, 2, 2)", "")}, {"labels.npy", npy_labels_}})),
              "1000000000000 rows; one data set has at most");
}

TEST_F(ArraysTest, DamagedGzipIsNamed) {
  std::string cut = Gzip(images_);
  ExpectFault(Pair(cut.substr(0, cut.size() - 10), labels_), "images: the compressed data end in the middle at byte");
  ExpectFault(Pair(cut + "more", labels_), "images: more bytes follow the compressed data");
  cut[cut.size() - 6] = static_cast<char>(cut[cut.size() - 6] ^ 1);  // In the CRC.
  ExpectFault(Pair(cut, labels_), "images: the compressed data are damaged (incorrect data check)");
}

TEST_F(ArraysTest, FilesCutOffAnywhereAreRefusedWithTheMend) {
  const auto expect = [&](const std::string& whole, const std::function<Result<Table>(const std::string&)>& read) {
    ASSERT_TRUE(read(whole).has_value()) << read(whole).error().what;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string what = Fault(read(whole.substr(0, size)));
      const bool mend = what.contains("copy it again") || what.contains("copy the file again") ||
                        what.contains("numpy.savez") || what.contains("this is no idx file");
      EXPECT_TRUE(mend) << size << " of " << whole.size() << " bytes: " << what;
    }
  };
  for (const std::string& images : {images_, Gzip(images_)})
    expect(images, [&](const std::string& bytes) { return Pair(bytes, labels_); });
  expect(labels_, [&](const std::string& bytes) { return Pair(images_, bytes); });
  for (const bool deflated : {false, true}) {
    expect(Zip({{"images.npy", npy_images_, deflated}, {"labels.npy", npy_labels_, deflated}}),
           [&](const std::string& bytes) { return Archive(bytes); });
  }
}

TEST_F(ArraysTest, PairsOfPartsAreReadInTurnAndSplit) {
  schema_ =
      SchemaFrom(std::string("[file]\nparts = [\"train\", \"t10k\"]\n[split]\ncolumn = \"part\"\ntrain = [\"train\"]\n"
                             "test = [\"t10k\"]\n") +
                 kSchema);
  const std::string images = File("a", images_), labels = File("b", labels_);
  const auto table = ReadIdx({images, labels, images, labels}, schema_);
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(table->declared_side, (std::vector<Side>{Side::kTrain, Side::kTrain, Side::kTest, Side::kTest}));
  ExpectFault(ReadIdx({images, labels}, schema_),
              "2 idx files were given, and 4 are needed: images and labels of each part");
}

TEST_F(ArraysTest, NpzStoredDeflatedAndZip64AreTheSame) {
  for (const bool deflated : {false, true}) {
    for (const bool zip64 : {false, true}) {
      const auto table = Archive(Zip({{"images.npy", npy_images_, deflated},
                                      {"labels.npy", npy_labels_, deflated},
                                      {"more.npy", npy_labels_, deflated}},
                                     {.zip64 = zip64}));
      ASSERT_TRUE(table.has_value()) << table.error().what;
      EXPECT_EQ(ElementsOf(*table, "image"), std::vector<double>(bytes_.begin(), bytes_.end()));
      EXPECT_EQ(table->Find("digit")->numbers, (std::vector<double>{2, 0}));
      EXPECT_EQ(table->ignored_columns, std::vector<std::string>{"more.npy"});
    }
  }
}

TEST_F(ArraysTest, NpyOfEveryTypeIsRead) {
  const auto expect = [&]<class T>(const std::string& type, T /*zero*/, bool big = false, int version = 1) {
    const std::string images = Npy(type, "(2, 2, 2)", Raw(std::vector<T>(bytes_.begin(), bytes_.end()), big), version);
    const auto table = Archive(Zip({{"images.npy", images}, {"labels.npy", npy_labels_}}));
    ASSERT_TRUE(table.has_value()) << table.error().what;
    EXPECT_EQ(ElementsOf(*table, "image"), std::vector<double>(bytes_.begin(), bytes_.end())) << type;
  };
  expect("|u1", std::uint8_t{});
  expect("|i1", std::int8_t{});
  expect("<u2", std::uint16_t{}, false, 2);
  expect(">i2", std::int16_t{}, true);
  expect("<u4", std::uint32_t{}, false, 3);
  expect("<i4", std::int32_t{});
  expect("<u8", std::uint64_t{});
  expect(">i8", std::int64_t{}, true);
  expect("<f4", float{});
  expect(">f4", float{}, true);
  expect("<f8", double{});
}

TEST_F(ArraysTest, WrongNpyIsNamedWithItsMember) {
  const auto images = [&](const std::string& npy) {
    return Fault(Archive(Zip({{"images.npy", npy}, {"labels.npy", npy_labels_}})));
  };
  EXPECT_TRUE(images("no array at all").starts_with("set.npz: images.npy: this is no npy array"));
  EXPECT_TRUE(images(npy_images_.substr(0, 40))
                  .starts_with("set.npz: images.npy: ends at byte 40, in the middle of its header"));
  EXPECT_NE(images(NpyWith("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 2), }", Raw(bytes_)))
                .find("Fortran order); save numpy.ascontiguousarray(array) instead"),
            std::string::npos);
  EXPECT_NE(images(Npy("<f2", "(2, 2, 2)", std::string(16, '\0'))).find("type '<f2'; convert them with astype"),
            std::string::npos);
  EXPECT_NE(images(Npy("|O", "(2, 2, 2)", "")).find("type '|O'"), std::string::npos);
  EXPECT_NE(images(NpyWith("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }", "")).find("records"),
            std::string::npos);
  EXPECT_NE(images(NpyWith("{'descr': '|u1', 'shape': (2, 2, 2), }", Raw(bytes_))).find("not of numpy's form"),
            std::string::npos);
  EXPECT_NE(images(NpyWith("__import__('os')", Raw(bytes_))).find("not of numpy's form"), std::string::npos);
  EXPECT_NE(images(npy_images_ + "x").find("more bytes follow the last row"), std::string::npos);
  EXPECT_NE(images(npy_images_.substr(0, npy_images_.size() - 1)).find("and at most 7 can follow"), std::string::npos);
  EXPECT_NE(images(Npy("|u1", "()", "x")).find("0 axes"), std::string::npos);
}

TEST_F(ArraysTest, WrongArchivesAreNamedWithTheirPlace) {
  const std::vector<testing::ZipEntry> both = {{"images.npy", npy_images_}, {"labels.npy", npy_labels_}};
  const std::string good = Zip(both);
  ASSERT_TRUE(Archive(good).has_value());
  ExpectFault(Archive(""), "this is no zip archive");
  ExpectFault(Archive(good.substr(0, good.size() - 5)), "no zip directory ends here; the file was cut off");
  ExpectFault(Archive(good + "x"), "no zip directory ends here");
  ExpectFault(Archive("x" + good), "the directory does not end where its end is marked");
  ExpectFault(Archive(Zip(both, {.claim_size = 1U << 30})), "images.npy cannot be 1073741824 bytes, packed in");
  ExpectFault(Archive(Zip(both, {.claim_size = npy_images_.size() + 1})), "images.npy: ends at byte");
  ExpectFault(Archive(Zip(both, {.claim_size = npy_images_.size() - 1})), "and at most 7 can follow");
  ExpectFault(Archive(Zip(both, {.flags = 1})), "images.npy is encrypted");
  ExpectFault(Archive(Zip(both, {.method = 12})), "images.npy is packed by method 12");
  ExpectFault(Archive(Zip(both, {.shift = 20})), "overlaps another member");
  ExpectFault(Archive(Zip(both, {.wrong_crc = true})), "images.npy: damaged: its checksum");
  ExpectFault(Archive(Zip(both, {.local_name = "imagez.npy"})), "images.npy has another name at its place");
  ExpectFault(Archive(Zip({both[0], both[0]})), "images.npy is there twice");
  ExpectFault(Archive(Zip({{"pictures.npy", npy_images_}, both[1]})),
              "there is no array images for column \"image\"; there are pictures.npy, labels.npy");
  std::string damaged = good;
  damaged[50] = static_cast<char>(damaged[50] ^ 0x55);
  EXPECT_FALSE(Archive(damaged).has_value());
}

TEST_F(ArraysTest, ValuesAreCheckedAgainstTheSchema) {
  const auto with = [&](const std::string& images, const std::string& labels, bool show = false) {
    return Archive(Zip({{"images.npy", images}, {"labels.npy", labels}}), {.show_values = show});
  };
  const std::string strange = Npy("|u1", "(2,)", Raw<std::uint8_t>({1, 7}));
  ExpectFault(
      with(npy_images_, strange),
      "labels.npy: row 1 (from 0): column \"digit\": a label that is no declared class; the schema knows \"0\", ");
  ExpectFault(with(npy_images_, strange, true), "a label that is no declared class (\"7\")");
  ExpectFault(
      with(Npy("|u1", "(2, 2, 2)", Raw<std::uint8_t>({0, 0, 0, 0, 0, 0, 101, 0})), npy_labels_),
      "images.npy: row 1 (from 0): column \"image\": an element above the declared range; the schema allows -100 to");
  ExpectFault(with(Npy("<i2", "(2, 2, 2)", Raw<std::int16_t>({-101, 0, 0, 0, 0, 0, 0, 0})), npy_labels_),
              "row 0 (from 0): column \"image\": an element below the declared range");
  ExpectFault(with(Npy("<f4", "(2, 2, 2)", Raw<float>({0, 0, 0, NAN, 0, 0, 0, 0})), npy_labels_),
              "an element that is not a number");
}

TEST_F(ArraysTest, AnArrayOfIdsMakesPatientsWhoCanWithdraw) {
  schema_ = SchemaFrom(std::string("[patient]\nid = \"person\"\n[columns.person]\ntype = \"text\"\n") + kSchema);
  const std::string images = Npy("|u1", "(3, 2, 2)", std::string(12, '\1')), labels = Npy("|u1", "(3,)", "\1\2\1");
  const std::string zip = Zip({{"images.npy", images},
                               {"labels.npy", labels},
                               {"person.npy", Npy("<i4", "(3,)", Raw<std::int32_t>({700, -5, 700}))}});
  const auto table = Archive(zip);
  ASSERT_TRUE(table.has_value()) << table.error().what;
  EXPECT_EQ(table->patient_ids.names, (std::vector<std::string>{"700", "-5"}));
  EXPECT_EQ(table->patient, (std::vector<std::uint32_t>{0, 1, 0}));
  const std::set<std::string> excluded = {PatientMark("700")};
  const auto rest = Archive(zip, {.excluded = &excluded});
  ASSERT_TRUE(rest.has_value()) << rest.error().what;
  EXPECT_EQ(rest->rows(), 1U);
  EXPECT_EQ(rest->Find("digit")->numbers, std::vector<double>{2});
  ExpectFault(Archive(Zip({{"images.npy", images},
                           {"labels.npy", labels},
                           {"person.npy", Npy("<f8", "(3,)", Raw<double>({1, 2, 3}))}})),
              "patients' ids must be whole numbers");
}

TEST_F(ArraysTest, SourcesThatDoNotFitTheSchemaSaySo) {
  EXPECT_NE(ReadTable(File("p.csv", "image,digit\n1,2\n"), schema_).error().what.find("which no CSV file holds"),
            std::string::npos);
  schema_ = SchemaFrom(std::string(kSchema) + "[columns.age]\ntype = \"number\"\nminimum = 0\nmaximum = 1\n");
  ExpectFault(Pair(images_, labels_), "a pair of idx files holds one tensor and one label a row");
}

TEST_F(ArraysTest, ProfilesOfTensorsAreOverAllElements) {
  const auto table = Pair(images_, labels_);
  ASSERT_TRUE(table.has_value());
  const std::vector<Profile> profiles = ProfilesOf(*table);
  EXPECT_EQ(profiles[0].least, 1);
  EXPECT_EQ(profiles[0].most, 80);
  EXPECT_EQ(profiles[0].mean, 33.75);
  EXPECT_EQ(profiles[1].counts, (std::vector<std::uint64_t>{1, 0, 1}));
}

}  // namespace
}  // namespace consilium::node
