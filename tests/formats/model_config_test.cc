#include "runtime/formats/model_config.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/base/json_cases.h"
#include "tests/base/temp_folder.h"

namespace qiao::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ConfigReader Config(std::string_view text) {
  absl::StatusOr<ConfigReader> config = ConfigReader::Parse(text, "c.json");
  EXPECT_TRUE(config.ok()) << config.status();
  return *std::move(config);
}

template <typename T>
std::string Error(const absl::StatusOr<T>& result) {
  EXPECT_TRUE(absl::IsInvalidArgument(result.status())) << result.status();
  return std::string(Message(result.status()));
}

TEST(ConfigReader, RequiredValues) {
  const ConfigReader c = Config(
      R"({"i":7,"whole":8.0,"d":1e-6,"b":true,"s":"silu","il":[1,2],"sl":["x"],"o":{"x":1},"null":null,"big":18446744073709551615})");
  EXPECT_EQ(*c.GetInt("i", 0, 10), 7);
  EXPECT_EQ(*c.GetInt("whole", 0, 10), 8);
  EXPECT_EQ(*c.GetDouble("d", 0, 1), 1e-6);
  EXPECT_EQ(*c.GetDouble("i", 0, 10), 7.0);
  EXPECT_TRUE(*c.GetBool("b"));
  EXPECT_EQ(*c.GetString("s"), "silu");
  EXPECT_THAT(*c.GetIntList("il", 0, 5), ElementsAre(1, 2));
  EXPECT_THAT(*c.GetStringList("sl"), ElementsAre("x"));
  EXPECT_EQ(*c.GetObject("o")->GetInt("x", 0, 1), 1);
  EXPECT_TRUE(c.Has("i"));
  EXPECT_FALSE(c.Has("null"));

  EXPECT_EQ(Error(c.GetInt("missing", 0, 1)), "c.json: missing: is missing, and this model needs it");
  EXPECT_EQ(Error(c.GetInt("null", 0, 1)), "c.json: null: is missing, and this model needs it");
  EXPECT_EQ(Error(c.GetInt("i", 8, 10)), "c.json: i: is 7, should be from 8 to 10");
  EXPECT_EQ(Error(c.GetInt("i", 0, 6)), "c.json: i: is 7, should be from 0 to 6");
  EXPECT_EQ(Error(c.GetInt("d", 0, 1)), "c.json: d: should be a whole number, is another number");
  EXPECT_EQ(Error(c.GetInt("big", 0, INT64_MAX)), "c.json: big: should be a whole number, is another number");
  EXPECT_EQ(Error(c.GetInt("b", 0, 1)), "c.json: b: should be a whole number, is true or false");
  EXPECT_EQ(Error(c.GetInt("s", 0, 1)), "c.json: s: should be a whole number, is a string");
  EXPECT_EQ(Error(c.GetDouble("s", 0, 1)), "c.json: s: should be a number, is a string");
  EXPECT_EQ(Error(c.GetDouble("d", 1, 2)), "c.json: d: is 1e-06, should be from 1 to 2");
  EXPECT_EQ(Error(c.GetBool("i")), "c.json: i: should be true or false, is a number");
  EXPECT_EQ(Error(c.GetString("o")), "c.json: o: should be a string, is an object");
  EXPECT_EQ(Error(c.GetIntList("i", 0, 1)), "c.json: i: should be a list, is a number");
  EXPECT_EQ(Error(c.GetIntList("il", 0, 1)), "c.json: il: element 1 should be a whole number from 0 to 1");
  EXPECT_EQ(Error(c.GetStringList("il")), "c.json: il: element 0 should be a string, is a number");
  EXPECT_EQ(Error(c.GetObject("il")), "c.json: il: should be an object, is a list");
  EXPECT_EQ(Error(c.GetObject("o")->GetInt("x", 2, 3)), "c.json: o.x: is 1, should be from 2 to 3");
}

TEST(ConfigReader, OptionalValues) {
  const ConfigReader c = Config(R"({"i":7,"s":"x","null":null})");
  EXPECT_EQ(*c.GetOptionalInt("null", 0, 1), std::nullopt);
  EXPECT_EQ(*c.GetOptionalInt("i", 0, 10), 7);
  EXPECT_EQ(*c.GetIntOr("missing", 5, 0, 1), 5);
  EXPECT_EQ(*c.GetDoubleOr("null", 0.5, 0, 1), 0.5);
  EXPECT_TRUE(*c.GetBoolOr("missing", true));
  EXPECT_EQ(*c.GetStringOr("missing", "silu"), "silu");
  EXPECT_EQ(*c.GetStringOr("s", "silu"), "x");
  EXPECT_FALSE(*c.GetOptionalObject("null"));
  EXPECT_EQ(*c.GetOptionalIntList("missing", 0, 1), std::nullopt);
  EXPECT_EQ(*c.GetOptionalStringList("null"), std::nullopt);
  // A wrong value is never replaced by the fallback.
  EXPECT_FALSE(c.GetIntOr("s", 5, 0, 1).ok());
  EXPECT_FALSE(c.GetIntOr("i", 5, 0, 1).ok());
  EXPECT_FALSE(c.GetBoolOr("s", true).ok());
}

TEST(ConfigReader, IntOrList) {
  const ConfigReader c = Config(R"({"one":1,"two":[1,2],"none":null,"bad":"x","far":[1,99]})");
  EXPECT_THAT(*c.GetIntOrList("one", 0, 9), ElementsAre(1));
  EXPECT_THAT(*c.GetIntOrList("two", 0, 9), ElementsAre(1, 2));
  EXPECT_THAT(*c.GetIntOrList("none", 0, 9), IsEmpty());
  EXPECT_THAT(*c.GetIntOrList("missing", 0, 9), IsEmpty());
  EXPECT_FALSE(c.GetIntOrList("bad", 0, 9).ok());
  EXPECT_FALSE(c.GetIntOrList("far", 0, 9).ok());
}

TEST(ConfigReader, SaysWhatNobodyRead) {
  const ConfigReader c = Config(
      R"({"a":1,"b":2,"null":null,"opened":{"x":1,"y":{"z":1},"w":2},"closed":{"x":1},"ignored":3,"wrong":"x"})");
  EXPECT_THAT(c.UnreadKeys(), ElementsAre("a", "b", "closed", "ignored", "opened", "wrong"));
  (void)*c.GetInt("a", 0, 9);
  (void)c.GetInt("wrong", 0, 9);
  c.Ignore({"ignored"});
  const ConfigReader opened = *c.GetObject("opened");
  (void)*opened.GetInt("x", 0, 9);
  EXPECT_THAT(c.UnreadKeys(), ElementsAre("b", "closed", "opened.w", "opened.y"));
  (void)*opened.GetObject("y")->GetInt("z", 0, 9);
  EXPECT_THAT(opened.UnreadKeys(), ElementsAre("opened.w"));
}

TEST(ConfigReader, OpensFilesWithinLimits) {
  const TempFolder folder;
  EXPECT_TRUE(ConfigReader::Open(folder.Write("c.json", "{}")).ok());
  EXPECT_TRUE(absl::IsNotFound(ConfigReader::Open(folder / "missing").status()));
  EXPECT_TRUE(absl::IsResourceExhausted(
      ConfigReader::Open(folder.Write("big.json", std::string(kMaxConfigBytes + 1, ' '))).status()));
  EXPECT_FALSE(ConfigReader::Parse("[]", "c").ok());
  EXPECT_FALSE(ConfigReader::Parse(std::string(40, '['), "c").ok());
  for (const std::string& text : BadJson()) EXPECT_FALSE(ConfigReader::Parse(text, "c").ok()) << text;
}

TEST(ReadRope, BothSpellings) {
  const Rope plain = *ReadRope(Config("{}"));
  EXPECT_EQ(plain.theta, 10000.0);
  EXPECT_EQ(plain.scaling.type, RopeType::kNone);
  EXPECT_EQ(ReadRope(Config("{}"), 50000.0)->theta, 50000.0);
  EXPECT_EQ(ReadRope(Config(R"({"rope_theta":500000,"rope_scaling":null})"))->theta, 500000.0);

  // The hub's spelling, and that of transformers 5.
  const char* const kHub =
      R"({"rope_theta":50000.0,"max_position_embeddings":131072,"rope_scaling":{"type":"yarn","factor":32.0,)"
      R"("original_max_position_embeddings":4096,"beta_fast":1.0,"beta_slow":2.0,"mscale":1.0,"mscale_all_dim":0.707}})";
  const char* const kNew =
      R"({"max_position_embeddings":131072,"rope_parameters":{"rope_type":"yarn","rope_theta":50000.0,"factor":32.0,)"
      R"("original_max_position_embeddings":4096,"beta_fast":1.0,"beta_slow":2.0,"mscale":1.0,"mscale_all_dim":0.707}})";
  for (const char* text : {kHub, kNew}) {
    const ConfigReader config = Config(text);
    const absl::StatusOr<Rope> rope = ReadRope(config);
    ASSERT_TRUE(rope.ok()) << rope.status();
    EXPECT_EQ(rope->theta, 50000.0);
    EXPECT_EQ(rope->scaling.type, RopeType::kYarn);
    EXPECT_EQ(rope->scaling.factor, 32.0);
    EXPECT_EQ(rope->scaling.original_max_position_embeddings, 4096);
    EXPECT_EQ(rope->scaling.beta_fast, 1.0);
    EXPECT_EQ(rope->scaling.beta_slow, 2.0);
    EXPECT_EQ(rope->scaling.mscale, 1.0);
    EXPECT_EQ(rope->scaling.mscale_all_dim, 0.707);
    EXPECT_EQ(rope->scaling.attention_factor, std::nullopt);
    EXPECT_TRUE(rope->scaling.truncate);
    EXPECT_THAT(config.UnreadKeys(), IsEmpty());
  }
}

TEST(ReadRope, OtherTypes) {
  const Rope gpt_oss = *ReadRope(Config(
      R"({"max_position_embeddings":131072,"rope_scaling":{"rope_type":"yarn","factor":32,"truncate":false,"attention_factor":1.5}})"));
  EXPECT_FALSE(gpt_oss.scaling.truncate);
  EXPECT_EQ(gpt_oss.scaling.attention_factor, 1.5);
  EXPECT_EQ(gpt_oss.scaling.original_max_position_embeddings, 131072);
  EXPECT_EQ(gpt_oss.scaling.beta_fast, 32.0);
  EXPECT_EQ(gpt_oss.scaling.mscale, 0.0);

  const Rope llama =
      *ReadRope(Config(R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":1,)"
                       R"("high_freq_factor":4,"original_max_position_embeddings":8192}})"));
  EXPECT_EQ(llama.scaling.type, RopeType::kLlama3);
  EXPECT_EQ(llama.scaling.high_freq_factor, 4.0);
  EXPECT_EQ(ReadRope(Config(R"({"rope_scaling":{"type":"linear","factor":2}})"))->scaling.type,
            RopeType::kLinear);
  EXPECT_EQ(ReadRope(Config(R"({"rope_scaling":{"type":"dynamic","factor":2}})"))->scaling.type,
            RopeType::kDynamic);
  const Rope partial = *ReadRope(
      Config(R"({"rope_parameters":{"rope_type":"default","partial_rotary_factor":0.25,"rope_theta":1e7}})"));
  EXPECT_EQ(partial.scaling.type, RopeType::kNone);
  EXPECT_EQ(partial.partial_rotary_factor, 0.25);
  EXPECT_EQ(partial.theta, 1e7);
}

TEST(ReadRope, Refusals) {
  const auto error = [](std::string_view text) {
    return std::string(Message(ReadRope(Config(text)).status()));
  };
  EXPECT_THAT(error(R"({"rope_scaling":{"type":"yarn"}})"), HasSubstr("rope_scaling.factor: is missing"));
  EXPECT_THAT(error(R"({"rope_scaling":{"type":"yarn","factor":0}})"),
              HasSubstr("rope_scaling.factor: is 0"));
  EXPECT_THAT(error(R"({"rope_scaling":{"type":"yarn","factor":4}})"),
              HasSubstr("original_max_position_embeddings"));
  EXPECT_THAT(error(R"({"rope_scaling":{"type":"longrope","factor":4}})"),
              HasSubstr("\"longrope\" is not supported"));
  EXPECT_THAT(error(R"({"rope_parameters":{"full_attention":{"rope_type":"yarn"}}})"),
              HasSubstr("each kind of layer"));
  EXPECT_THAT(error(R"({"rope_theta":"x"})"), HasSubstr("rope_theta: should be a number"));
  EXPECT_THAT(error(R"({"rope_theta":-1})"), HasSubstr("rope_theta: is -1"));
  EXPECT_THAT(error(R"({"rope_scaling":[]})"), HasSubstr("rope_scaling: should be an object"));
  EXPECT_THAT(
      error(R"({"rope_scaling":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,)"
            R"("original_max_position_embeddings":8192}})"),
      HasSubstr("high_freq_factor"));
}

TEST(ReadQuantization, DeepSeekAndNone) {
  const auto none = ReadQuantization(Config(R"({"quantization_config":null})"));
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->has_value());
  const auto fp8 = ReadQuantization(
      Config(R"({"quantization_config":{"activation_scheme":"dynamic","fmt":"e4m3",)"
             R"("quant_method":"fp8","weight_block_size":[128,64],"modules_to_not_convert":["lm_head"]}})"));
  ASSERT_TRUE(fp8.ok()) << fp8.status();
  EXPECT_EQ((*fp8)->quant_method, "fp8");
  EXPECT_EQ((*fp8)->fmt, "e4m3");
  EXPECT_EQ((*fp8)->activation_scheme, "dynamic");
  EXPECT_EQ((*fp8)->weight_block_size[0], 128);
  EXPECT_EQ((*fp8)->weight_block_size[1], 64);
  EXPECT_THAT((*fp8)->modules_to_not_convert, ElementsAre("lm_head"));
  const auto error = [](std::string_view text) {
    return std::string(Message(ReadQuantization(Config(text)).status()));
  };
  EXPECT_THAT(error(R"({"quantization_config":{}})"),
              HasSubstr("quantization_config.quant_method: is missing"));
  EXPECT_THAT(error(R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[128]}})"),
              HasSubstr("[rows, columns]"));
  EXPECT_THAT(error(R"({"quantization_config":{"quant_method":"fp8","weight_block_size":[0,128]}})"),
              HasSubstr("element 0"));
}

TEST(ReadQuantization, CompressedTensorsInt8ByChannelAndTokenOnly) {
  const Json good = *ParseJson(R"({"quantization_config": {
      "quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
      "kv_cache_scheme": null, "sparsity_config": {}, "global_compression_ratio": 1.5, "ignore": ["lm_head"],
      "config_groups": {"group_0": {
        "targets": ["Linear"], "output_activations": null,
        "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false,
                    "group_size": -1, "actorder": null, "block_structure": null, "observer": "minmax",
                    "observer_kwargs": {}},
        "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token",
                              "dynamic": true, "group_size": null, "observer": null}}}}})",
                               "good");
  const ConfigReader config = Config(good.dump());
  const auto read = ReadQuantization(config);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE((*read)->int8_channel());
  EXPECT_THAT(config.UnreadKeys(), ElementsAre());
  const std::string group = "/quantization_config/config_groups/group_0";
  for (const auto& [at, value] : std::vector<std::pair<std::string, std::string>>{
           {"/quantization_config/format", R"("pack-quantized")"},
           {"/quantization_config/quantization_status", R"("frozen")"},
           {"/quantization_config/kv_cache_scheme", R"({"num_bits": 8})"},
           {"/quantization_config/sparsity_config", R"({"format": "dense"})"},
           {"/quantization_config/config_groups", "{}"},
           {group + "/targets", R"(["re:.*experts.*"])"},
           {group + "/output_activations", "{}"},
           {group + "/input_activations", "null"},
           {group + "/weights/num_bits", "4"},
           {group + "/weights/num_bits", R"({"mlp.experts": 4})"},
           {group + "/weights/type", R"("float")"},
           {group + "/weights/symmetric", "false"},
           {group + "/weights/strategy", R"("tensor")"},
           {group + "/weights/group_size", "128"},
           {group + "/weights/actorder", R"("weight")"},
           {group + "/input_activations/strategy", R"("tensor")"},
           {group + "/input_activations/dynamic", "false"},
           {group + "/input_activations/dynamic", R"("local")"}}) {
    Json changed = good;
    changed[Json::json_pointer(at)] = *ParseJson(value, "value");
    const auto status = ReadQuantization(Config(changed.dump())).status();
    EXPECT_FALSE(status.ok()) << at << " = " << value;
    EXPECT_THAT(std::string(Message(status)), HasSubstr(at.substr(at.rfind('/') + 1))) << value;
  }
}

TEST(ReadTorchDType, BothNames) {
  EXPECT_EQ(*ReadTorchDType(Config(R"({"torch_dtype":"bfloat16"})")), "bfloat16");
  EXPECT_EQ(*ReadTorchDType(Config(R"({"dtype":"float32"})")), "float32");
  EXPECT_EQ(*ReadTorchDType(Config("{}")), "");
}

}  // namespace
}  // namespace qiao::formats
