// What config.json may say, and what is refused because it would give other text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/model.h"
#include "runtime/base/json.h"
#include "runtime/engine/parameter_count.h"

namespace qiao::models {
namespace {

using testing::HasSubstr;

Json Preset(std::string_view name) { return Json::parse(*PresetConfig(name)); }

absl::Status Make(const Json& config) {
  auto reader = formats::ConfigReader::Parse(config.dump(), "config.json");
  if (!reader.ok()) return reader.status();
  return MakeModel(*reader).status();
}

absl::Status With(std::string_view key, Json value, std::string_view preset = "tiny-v3") {
  Json config = Preset(preset);
  config[std::string(key)] = std::move(value);
  return Make(config);
}

TEST(DeepseekConfig, AllPresetsAreModels) {
  for (const std::string& name : PresetNames()) {
    auto reader = formats::ConfigReader::Parse(*PresetConfig(name), name);
    ASSERT_TRUE(reader.ok());
    EXPECT_TRUE(MakeModel(*reader).ok()) << name << ": " << MakeModel(*reader).status();
    EXPECT_THAT(reader->UnreadKeys(), testing::IsEmpty()) << name;
  }
  EXPECT_THAT(std::string(PresetConfig("gpt-7").status().message()), HasSubstr("deepseek-v3"));
}

// The numbers that the releases are known by.
TEST(DeepseekConfig, ParameterCountsOfTheReleases) {
  auto count = [](std::string_view name) {
    auto reader = formats::ConfigReader::Parse(*PresetConfig(name), name);
    return engine::CountParameters(**MakeModel(*reader));
  };
  EXPECT_EQ(count("deepseek-v2-lite").stored, 15'706'484'224u);
  // What its files hold (3,918,786,560 bf16, 680,571,043,840 f8) and the gates' biases: 671 G and the MTP
  // layer.
  EXPECT_EQ(count("deepseek-v3").stored, 684'489'845'504u);
  const double active = static_cast<double>(count("deepseek-v3").active);
  EXPECT_NEAR(active, 37e9, 1.0e9);
  EXPECT_NEAR(static_cast<double>(count("kimi-k2").stored), 1.026e12, 0.002e12);
}

TEST(DeepseekConfig, RefusesWhatItWouldComputeWrongly) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"hidden_act", "gelu"},
                                                                            {"attention_bias", true},
                                                                            {"moe_layer_freq", 2},
                                                                            {"scoring_func", "softmax"},
                                                                            {"topk_method", "greedy"},
                                                                            {"index_topk", 2048},
                                                                            {"sliding_window", 128},
                                                                            {"swiglu_limit", 7.0}}) {
    const absl::Status status = With(key, value);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << key << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(key));
  }
  EXPECT_THAT(std::string(With("model_type", "gpt2").message()),
              testing::AllOf(HasSubstr("gpt2"), HasSubstr("deepseek_v3")));
}

TEST(DeepseekConfig, NamesTheFieldThatIsWrong) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{{"hidden_size", 0},
                                                                            {"hidden_size", "128"},
                                                                            {"hidden_size", -5},
                                                                            {"hidden_size", 1e18},
                                                                            {"vocab_size", nullptr},
                                                                            {"num_hidden_layers", 1 << 20},
                                                                            {"qk_rope_head_dim", 15},
                                                                            {"num_experts_per_tok", 17},
                                                                            {"n_group", 3},
                                                                            {"topk_group", 9},
                                                                            {"eos_token_id", 512},
                                                                            {"rms_norm_eps", "tiny"}}) {
    const absl::Status status = With(key, value);
    EXPECT_FALSE(status.ok()) << key << " = " << value;
    EXPECT_THAT(std::string(status.message()),
                testing::AnyOf(HasSubstr(key), HasSubstr("n_group"), HasSubstr("experts")))
        << status;
  }
}

TEST(DeepseekConfig, OldAndNewWaysToSayRopeMeanTheSame) {
  Json config = Preset("tiny-v3");
  Json rope = config["rope_scaling"];
  rope["rope_type"] = rope["type"];
  rope.erase("type");
  rope["rope_theta"] = config["rope_theta"];
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["rope_parameters"] = rope;
  EXPECT_TRUE(Make(config).ok()) << Make(config);
}

}  // namespace
}  // namespace qiao::models
