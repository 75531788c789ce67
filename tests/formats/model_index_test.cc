#include "runtime/formats/model_index.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/base/json_cases.h"

namespace qiao::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Error(const std::string& text) {
  const absl::Status status = ParseModelIndex(text, "i.json").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << text << status;
  return std::string(Message(status));
}

TEST(ModelIndex, ReadsTheMap) {
  absl::StatusOr<ModelIndex> parsed = ParseModelIndex(
      R"({"metadata":{"total_size":1e300},"weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors","\u0063":"m-2.safetensors"}})",
      "i.json");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const ModelIndex index = *std::move(parsed);
  EXPECT_THAT(index.files, ElementsAre("m-1.safetensors", "m-2.safetensors"));
  ASSERT_EQ(index.tensors.size(), 3u);
  EXPECT_EQ(index.tensors[0].tensor, "b");
  EXPECT_EQ(index.tensors[0].file, 1u);
  EXPECT_EQ(index.tensors[1].file, 0u);
  EXPECT_EQ(index.tensors[2].tensor, "c");
  EXPECT_EQ(index.tensors[2].file, 1u);
  EXPECT_TRUE(ParseModelIndex(R"({"weight_map":{}})", "i").ok());
}

TEST(ModelIndex, FileNamesStayInTheFolder) {
  for (const char* name : {"", ".", "..", "/etc/passwd", "../m", "a/m", "a\\\\m", "./m", "..\\\\m",
                           "m\\u0000", "m\\n", "\\u007f"}) {
    EXPECT_THAT(Error(absl::StrCat(R"({"weight_map":{"a":")", name, R"("}})")), HasSubstr("plain name"))
        << name;
  }
  EXPECT_THAT(Error(absl::StrCat(R"({"weight_map":{"a":")", std::string(256, 'm'), R"("}})")),
              HasSubstr("plain name"));
  EXPECT_TRUE(ParseModelIndex(R"({"weight_map":{"a":"..m..safetensors","b":".hidden"}})", "i").ok());
}

TEST(ModelIndex, RefusesOtherForms) {
  EXPECT_THAT(Error("{}"), HasSubstr("no \"weight_map\""));
  EXPECT_THAT(Error("[]"), HasSubstr("'{'"));
  EXPECT_THAT(Error(R"({"weight_map":[]})"), HasSubstr("'{'"));
  EXPECT_THAT(Error(R"({"weight_map":{"a":1}})"), HasSubstr("'\"'"));
  EXPECT_THAT(Error(R"({"weight_map":{"a":"m","a":"m"}})"), HasSubstr("twice"));
  EXPECT_THAT(Error(R"({"weight_map":{},"weight_map":{}})"), HasSubstr("duplicate"));
  EXPECT_THAT(Error(absl::StrCat(R"({"weight_map":{")", std::string(1025, 'n'), R"(":"m"}})")),
              HasSubstr("1024"));
  std::string many = R"({"weight_map":{)";
  for (int i = 0; i <= 10'000; ++i) absl::StrAppend(&many, i > 0 ? "," : "", "\"", i, "\":\"f", i, "\"");
  EXPECT_THAT(Error(many + "}}"), HasSubstr("more than 10000 files"));
  for (const std::string& text : BadJson()) {
    EXPECT_FALSE(ParseModelIndex(text, "i").ok()) << text;
    EXPECT_FALSE(ParseModelIndex(absl::StrCat(R"({"weight_map":{},"x":)", text, "}"), "i").ok()) << text;
  }
}

}  // namespace
}  // namespace qiao::formats
