// infer inspect, logits, perplexity, tokenize, synth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_join.h"
#include "runtime/base/json.h"
#include "runtime/formats/checkpoint.h"
#include "runtime/formats/safetensors.h"
#include "tests/tools/infer_process.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename T>
std::vector<T> Read(const formats::SafetensorsFile& file, std::string_view name) {
  const formats::TensorView* tensor = file.Find(name);
  if (tensor == nullptr) return {};
  std::vector<T> values(tensor->data.size() / sizeof(T));
  std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
  return values;
}

// "3,17,5"
std::string List(absl::Span<const int32_t> ids) { return absl::StrJoin(ids, ","); }

Json InspectJson(const std::string& model, std::vector<std::string> options = {}) {
  options.insert(options.begin(), {"inspect", model, "--json"});
  const Finished finished = Infer(options);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

// The figures of models/demo/README.md.
TEST(Inspect, CountsTheShippedModel) {
  const Json json = InspectJson(DemoModel());
  EXPECT_EQ(json["parameters"], Json::parse(R"({"stored": 9179648, "unique": 7082496, "active": 4160560})"));
  EXPECT_EQ(json["kv_bytes_per_token"], 2 * 96 * 4);
  EXPECT_EQ(json["mha_kv_bytes_per_token"], 2 * 512 * 4);
  EXPECT_THAT(json["unknown_tensors"], IsEmpty());
  EXPECT_THAT(json["missing_tensors"], IsEmpty());
  uint64_t bytes = 0;
  for (const Json& part : json["parts"]) bytes += part["bytes"].get<uint64_t>();
  EXPECT_EQ(json["bytes"], bytes);
  EXPECT_EQ(json["memory"]["context"], 2048);
  EXPECT_GE(json["memory"]["cache"], 2048 * 768);
  // f32 keeps numbers of twice the size.
  EXPECT_EQ(InspectJson(DemoModel(), {"--numerics", "f32", "--ctx", "128"})["kv_bytes_per_token"],
            4 * 96 * 4);
  // Latents of 64 in E4M3 with a scale each, rope keys of 32 in bf16.
  const Json fp8 = InspectJson(DemoModel(), {"--kv-dtype", "fp8"});
  EXPECT_EQ(fp8["kv_bytes_per_token"], (64 + 4 + 2 * 32) * 4);
  EXPECT_EQ(fp8["mha_kv_bytes_per_token"], json["mha_kv_bytes_per_token"]);
  EXPECT_EQ(fp8["memory"]["kv_dtype"], "f8_e4m3");
  EXPECT_LT(fp8["memory"]["cache"], json["memory"]["cache"]);
}

TEST(Inspect, ReadsAsText) {
  const Finished text = Infer({"inspect", DemoModel()});
  EXPECT_EQ(text.exit, 0);
  for (const char* says :
       {"9,179,648", "7,082,496", "4,160,560", "routed experts", "5.3 times as much", "768 B"}) {
    EXPECT_THAT(text.out, HasSubstr(says));
  }
  const Finished program = Infer({"inspect", DemoModel(), "--program"});
  EXPECT_EQ(program.exit, 0) << program.err;
  EXPECT_THAT(program.out, HasSubstr("Step of up to 1 rows"));
  EXPECT_THAT(program.out, HasSubstr("Step of up to 512 rows"));
  EXPECT_THAT(program.out, HasSubstr("latent_attention("));
  EXPECT_THAT(program.out, HasSubstr("layers.3"));
}

TEST(Inspect, ListsWhatIsMissingAndWhatIsStrange) {
  const std::string folder = Scratch();
  ASSERT_EQ(Infer({"synth", "--like", "tiny-v2", "--out", folder + "/m"}).exit, 0);
  std::ifstream config_file(folder + "/m/config.json");
  Json config = Json::parse(config_file);
  config["num_hidden_layers"] = 4;
  config["wonderful"] = true;
  WriteText(folder + "/m/config.json", config.dump());
  Finished finished = Infer({"inspect", folder + "/m"});
  EXPECT_EQ(finished.exit, 3);
  EXPECT_THAT(finished.out, HasSubstr("model.layers.3.input_layernorm.weight"));
  EXPECT_THAT(finished.out, HasSubstr("wonderful"));
  config["num_hidden_layers"] = 2;
  WriteText(folder + "/m/config.json", config.dump());
  const Json json = InspectJson(folder + "/m");
  EXPECT_THAT(json["unknown_tensors"].dump(), HasSubstr("model.layers.2.self_attn"));
  EXPECT_EQ(json["unread_config_keys"], Json({"wonderful"}));
}

TEST(Logits, AreThoseOfTheReferenceImplementation) {
  const std::string golden = Golden("deepseek_v3"), out = Scratch() + "/logits.safetensors";
  auto expected = formats::SafetensorsFile::Open(golden + "/expected.safetensors");
  ASSERT_TRUE(expected.ok()) << expected.status();
  const std::vector<int32_t> ids = Read<int32_t>(*expected, "p0.input_ids");
  const std::vector<int32_t> next = Read<int32_t>(*expected, "p0.gen.ids");
  const std::vector<float> want =
      Read<float>(*expected, "p0.gen.logits");  // row 0 is that of the prompt's last token
  ASSERT_FALSE(ids.empty());
  ASSERT_FALSE(next.empty());
  const Finished finished = Infer({"logits", "--model", golden, "--ids", List(ids), "--generate", "32",
                                   "--numerics", "f32", "--chunk", "5", "--out", out});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  auto file = formats::SafetensorsFile::Open(out);
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<int32_t> got_ids = Read<int32_t>(*file, "ids");
  const std::vector<float> got = Read<float>(*file, "logits");
  const size_t total = ids.size() + 32, vocab = got.size() / total;
  EXPECT_EQ(file->Find("ids")->shape, Shape({static_cast<int64_t>(total)}));
  EXPECT_EQ(file->Find("logits")->shape, Shape({static_cast<int64_t>(total), static_cast<int64_t>(vocab)}));
  ASSERT_EQ(got_ids.size(), total);
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), got_ids.begin()));
  EXPECT_EQ(std::vector<int32_t>(got_ids.begin() + static_cast<ptrdiff_t>(ids.size()), got_ids.end()), next);
  ASSERT_EQ(want.size(), 32 * vocab);
  double worst = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(want[i]) - got[(ids.size() - 1) * vocab + i]));
    largest = std::max(largest, std::fabs(static_cast<double>(want[i])));
  }
  EXPECT_LE(worst, 1e-4 * largest);
}

TEST(Logits, ChecksTheIds) {
  const std::string out = Scratch() + "/l.safetensors";
  const Finished outside = Infer({"logits", "--model", DemoModel(), "--ids", "3,4096", "--out", out});
  EXPECT_EQ(outside.exit, 2);
  EXPECT_THAT(outside.err, HasSubstr("4096"));
  EXPECT_EQ(Infer({"logits", "--model", DemoModel(), "--ids", "3,x", "--out", out}).exit, 2);
  EXPECT_EQ(Infer({"logits", "--model", DemoModel(), "--ids", "3", "--generate", "2048", "--out", out}).exit,
            2);
  EXPECT_EQ(Infer({"logits", "--model", DemoModel(), "--ids", "3", "--out", Scratch() + "/no/l"}).exit, 3);
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(Perplexity, FollowsTheProtocol) {
  const std::string text =
      "In the beginning God created the heaven and the earth. And the earth was without form, and void.";
  const std::string file = Scratch() + "/text.txt", lines = Scratch() + "/text.jsonl",
                    out = Scratch() + "/l.safetensors";
  WriteText(file, text);
  WriteText(lines, Json({{"text", text}}).dump() + "\n\n" + Json({{"text", text}}).dump() + "\n");
  auto measure = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"perplexity", "--model", DemoModel(), "--numerics", "f32", "--json"});
    const Finished finished = Infer(options);
    EXPECT_EQ(finished.exit, 0) << finished.err;
    return Json::parse(finished.out, nullptr, false);
  };
  const Json once = measure({"--file", file}), twice = measure({"--jsonl", lines});
  EXPECT_EQ(twice["tokens"].get<int64_t>(), 2 * once["tokens"].get<int64_t>());
  EXPECT_NEAR(twice["perplexity"], once["perplexity"].get<double>(), 1e-6);

  // The same from logits: begin-of-text is 0 and end-of-text 1.
  const Json tokens = Json::parse(Infer({"tokenize", "--model", DemoModel(), "--text", text}).out);
  std::vector<int32_t> ids = tokens["ids"];
  ids.insert(ids.begin(), 0);
  ids.push_back(1);
  EXPECT_EQ(once["tokens"], ids.size() - 1);
  double loss = 0;
  for (size_t start = 0; start + 1 < ids.size(); start += 8) {  // windows of 8
    const size_t n = std::min<size_t>(8, ids.size() - 1 - start);
    const std::string list = List(absl::MakeConstSpan(ids).subspan(start, n));
    ASSERT_EQ(
        Infer({"logits", "--model", DemoModel(), "--ids", list, "--numerics", "f32", "--out", out}).exit, 0);
    auto made = formats::SafetensorsFile::Open(out);
    ASSERT_TRUE(made.ok());
    const std::vector<float> logits = Read<float>(*made, "logits");
    const size_t vocab = logits.size() / n;
    for (size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (size_t v = 0; v < vocab; ++v) sum += std::exp(static_cast<double>(logits[i * vocab + v]));
      loss += std::log(sum) - logits[i * vocab + static_cast<size_t>(ids[start + i + 1])];
    }
  }
  const double expected = std::exp(loss / static_cast<double>(ids.size() - 1));
  EXPECT_NEAR(measure({"--file", file, "--window", "8", "--chunk", "3"})["perplexity"], expected,
              1e-4 * expected);
}

TEST(Perplexity, SaysWhichLineIsWrong) {
  const std::string lines = Scratch() + "/bad.jsonl";
  WriteText(lines, "{\"text\":\"a\"}\n{\"txt\":\"b\"}\n");
  const Finished finished = Infer({"perplexity", "--model", DemoModel(), "--jsonl", lines});
  EXPECT_EQ(finished.exit, 3);
  EXPECT_THAT(finished.err, HasSubstr("line 2"));
  EXPECT_EQ(Infer({"perplexity", "--model", DemoModel(), "--file", lines, "--window", "4096"}).exit, 2);
  EXPECT_EQ(Infer({"perplexity", "--model", DemoModel()}).exit, 2);
}

TEST(Tokenize, ConvertsEveryKindOfLine) {
  // Only the tokenizer's files.
  const std::string folder = Scratch() + "/tokenizer";
  std::filesystem::create_directories(folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    std::filesystem::copy_file(DemoModel() + "/" + name, folder + "/" + name);
  }
  const Finished text = Infer({"tokenize", "--model", folder, "--text", "Hello, w\xc3\xb6rld"});
  ASSERT_EQ(text.exit, 0) << text.err;
  const std::string request = Json({{"text", "Hello, w\xc3\xb6rld"}}).dump() + "\n" + text.out +
                              R"({"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":true})"
                              "\n"
                              R"({"messages":[{"role":"user","content":"hi"}]})"
                              "\n";
  const Finished lines = Infer({"tokenize", "--model", folder, "--jsonl", "-"}, request);
  EXPECT_EQ(lines.exit, 0) << lines.err;
  EXPECT_EQ(lines.out, text.out +
                           "{\"text\":\"Hello, w\xc3\xb6rld\"}\n"
                           "{\"rendered\":\"<\xef\xbd\x9c"
                           "begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>hi\\n\\n\"}\n"
                           "{\"rendered\":\"<\xef\xbd\x9c"
                           "begin\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>hi\"}\n");
}

TEST(Tokenize, ABadLineIsAnsweredAndTheRestGoesOn) {
  const Finished lines =
      Infer({"tokenize", "--model", DemoModel(), "--jsonl", "-"},
            "{\"text\":\"a\"}\nnonsense\n{\"ids\":[-1]}\n{\"ids\":3}\n{\"x\":1}\n[]\n{\"text\":\"a\"}\n");
  EXPECT_EQ(lines.exit, 1);
  std::vector<std::string> answers;
  std::istringstream stream(lines.out);
  for (std::string line; std::getline(stream, line);) answers.push_back(line);
  ASSERT_EQ(answers.size(), 7u) << lines.out;
  EXPECT_EQ(answers[0], answers[6]);
  for (size_t i = 1; i < 6; ++i)
    EXPECT_THAT(answers[i], HasSubstr("{\"error\":\"line " + std::to_string(i + 1)));
  EXPECT_THAT(lines.err, HasSubstr("5 of 7 lines failed"));
  EXPECT_EQ(Infer({"tokenize", "--model", Scratch(), "--text", "a"}).exit, 3);
  EXPECT_EQ(Infer({"tokenize", "--model", DemoModel(), "--text", "a", "--file", "b"}).exit, 2);
}

class SynthDTypes : public testing::TestWithParam<std::string> {};

TEST_P(SynthDTypes, MakesAModelThatRuns) {
  const std::string model = Scratch() + "/m", out = Scratch() + "/l.safetensors";
  const Finished made =
      Infer({"synth", "--like", "tiny-v3", "--dtype", GetParam(), "--seed", "5", "--out", model});
  ASSERT_EQ(made.exit, 0) << made.err;
  const Json json = InspectJson(model);
  EXPECT_THAT(json["missing_tensors"], IsEmpty());
  EXPECT_THAT(json["unknown_tensors"], IsEmpty());
  EXPECT_EQ(json["missing_mtp_tensors"], 0);
  EXPECT_EQ(json["scales"]["tensors"] > 0, GetParam() == "fp8");
  const Finished run =
      Infer({"logits", "--model", model, "--ids", "3,17,5,200", "--numerics", "f32", "--out", out});
  ASSERT_EQ(run.exit, 0) << run.err;
  auto file = formats::SafetensorsFile::Open(out);
  ASSERT_TRUE(file.ok());
  const std::vector<float> logits = Read<float>(*file, "logits");
  double squares = 0;
  for (const float x : logits) squares += static_cast<double>(x) * x;
  // A head of variance 1/hidden over normed states: logits of variance 1.
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(logits.size())), 1.0, 0.2);
}

INSTANTIATE_TEST_SUITE_P(All, SynthDTypes, testing::Values("fp8", "bf16", "f32"),
                         [](const auto& info) { return info.param; });

TEST(Synth, FullSizeOfHoles) {
  const std::string model = Scratch() + "/v3";
  const Finished made =
      Infer({"synth", "--like", "deepseek-v3", "--dtype", "fp8", "--sparse", "--out", model});
  ASSERT_EQ(made.exit, 0) << made.err;
  const Json json = InspectJson(model);
  EXPECT_GT(json["bytes"], 680'000'000'000);
  EXPECT_GT(json["files"], 150);
  EXPECT_EQ(json["parameters"]["stored"], 684'489'845'504);  // as the hub counts DeepSeek-V3, without scales
  EXPECT_EQ(json["kv_bytes_per_token"], 61 * 576 * 2);
  EXPECT_GT(
      json["memory"]["mapped_weights"].get<uint64_t>() + json["memory"]["stored_weights"].get<uint64_t>(),
      600'000'000'000);
}

TEST(Synth, OverwritesNothingAndLeavesNothingBehind) {
  const std::string model = Scratch() + "/m";
  ASSERT_EQ(Infer({"synth", "--like", "tiny-v2", "--layers", "1", "--vocab", "64", "--out", model}).exit, 0);
  EXPECT_EQ(InspectJson(model)["vocab"], 64);
  const Finished again = Infer({"synth", "--like", "tiny-v2", "--out", model});
  EXPECT_EQ(again.exit, 2);
  EXPECT_THAT(again.err, HasSubstr("already holds a model"));
  EXPECT_EQ(Infer({"synth", "--like", "gpt-5", "--out", model + "2"}).exit, 2);
  EXPECT_EQ(Infer({"synth", "--like", "tiny-v2", "--set", "hidden_size=-3", "--out", model + "2"}).exit, 2);
  EXPECT_FALSE(std::filesystem::exists(model + "2"));
}

}  // namespace
}  // namespace qiao::tools
