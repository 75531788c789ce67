#include "runtime/formats/generation_config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/base/temp_folder.h"

namespace qiao::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(GenerationConfig, ReadsWhatIsThere) {
  const auto config = ParseGenerationConfig(
      R"({"do_sample":true,"temperature":0.6,"top_p":0.95,"top_k":40,"min_p":0.05,"repetition_penalty":1.1,"max_length":4096,)"
      R"("max_new_tokens":100,"bos_token_id":0,"pad_token_id":null,"eos_token_id":[1,5],"num_beams":4,"transformers_version":"4.46"})",
      "g.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->do_sample, true);
  EXPECT_EQ(config->temperature, 0.6);
  EXPECT_EQ(config->top_p, 0.95);
  EXPECT_EQ(config->top_k, 40);
  EXPECT_EQ(config->min_p, 0.05);
  EXPECT_EQ(config->repetition_penalty, 1.1);
  EXPECT_EQ(config->max_length, 4096);
  EXPECT_EQ(config->max_new_tokens, 100);
  EXPECT_EQ(config->bos_token_id, 0);
  EXPECT_EQ(config->pad_token_id, std::nullopt);
  EXPECT_THAT(config->eos_token_ids, ElementsAre(1, 5));
}

TEST(GenerationConfig, NothingIsRequired) {
  const auto empty = ParseGenerationConfig("{}", "g.json");
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(empty->temperature, std::nullopt);
  EXPECT_THAT(empty->eos_token_ids, IsEmpty());
  EXPECT_THAT(ParseGenerationConfig(R"({"eos_token_id":7})", "g")->eos_token_ids, ElementsAre(7));
}

TEST(GenerationConfig, IsOpenedWhereThereIsOne) {
  const TempFolder folder;
  EXPECT_TRUE(OpenGenerationConfig(FolderFiles(folder / "missing")).ok());
  EXPECT_TRUE(OpenGenerationConfig(FolderFiles(folder.path())).ok());
  folder.Write("a/generation_config.json", R"({"top_k":3})");
  EXPECT_EQ(OpenGenerationConfig(FolderFiles(folder / "a"))->top_k, 3);
  folder.Write("b/generation_config.json", "{");
  const absl::Status broken = OpenGenerationConfig(FolderFiles(folder / "b")).status();
  EXPECT_THAT(std::string(Message(broken)), StartsWith(folder / "b/generation_config.json: "));
  folder.Write("c/generation_config.json/x", "");  // a folder of that name
  EXPECT_FALSE(OpenGenerationConfig(FolderFiles(folder / "c")).ok());
}

TEST(GenerationConfig, RangesAreChecked) {
  for (const char* field : {R"("temperature":-0.1)", R"("temperature":"hot")", R"("top_p":1.5)",
                            R"("top_k":-1)", R"("top_k":0.5)", R"("min_p":2)", R"("repetition_penalty":0)",
                            R"("max_length":0)", R"("eos_token_id":-1)", R"("eos_token_id":[1,"2"])",
                            R"("bos_token_id":2147483648)", R"("do_sample":1)"}) {
    const absl::Status status = ParseGenerationConfig(absl::StrCat("{", field, "}"), "g.json").status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field;
    EXPECT_EQ(Message(status).substr(0, 8), "g.json: ") << status;
  }
}

}  // namespace
}  // namespace qiao::formats
