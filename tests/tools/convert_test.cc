// infer convert, and .qiao files in every command that takes a model.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runtime/base/json.h"
#include "runtime/formats/qiao_file.h"
#include "tests/tools/infer_process.h"

namespace qiao::tools {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Converts and expects that to work.
std::string Converted(std::vector<std::string> options, const std::string& name = "m.qiao",
                      const std::string& from = DemoModel()) {
  const std::string out = Scratch() + "/" + name;
  options.insert(options.begin(), {"convert", from, out});
  const Finished finished = Infer(options);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return out;
}

std::string Logits(const std::string& model, std::vector<std::string> options = {}) {
  const std::string out = Scratch() + "/l.safetensors";
  options.insert(options.begin(),
                 {"logits", "--model", model, "--ids", "3,17,5,200,500", "--generate", "4", "--out", out});
  const Finished finished = Infer(options);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return ReadText(out);
}

double Perplexity(const std::string& model) {
  // A tenth of the test text, in f32, so that only the weights differ.
  const std::string lines = Scratch() + "/text.jsonl";
  std::ifstream in(DemoModel() + "/eval/test.jsonl");
  std::string text, line;
  for (int i = 0; i < 4 && std::getline(in, line); ++i) text += line + "\n";
  WriteText(lines, text);
  const Finished finished =
      Infer({"perplexity", "--model", model, "--jsonl", lines, "--numerics", "f32", "--json"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false).value("perplexity", 0.0);
}

Json InspectJson(const std::string& model, std::vector<std::string> options = {}) {
  options.insert(options.begin(), {"inspect", model, "--json"});
  const Finished finished = Infer(options);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

TEST(Convert, AFileGivesTheSameBitsAsItsFolder) {
  const std::string file = Converted({});
  const std::string want = Logits(DemoModel());
  EXPECT_TRUE(Logits(file) == want);
  EXPECT_TRUE(Logits(file, {"--load", "map", "--verify", "header"}) == want);
  // From a file into another: the same behind the prologue, which tells what it was made of.
  EXPECT_TRUE(ReadText(Converted({}, "again.qiao", file)).substr(64) == ReadText(file).substr(64));
}

TEST(Convert, EveryCommandTakesAFile) {
  const std::string file = Converted({});
  for (const std::vector<std::string>& options : std::vector<std::vector<std::string>>{
           {"run", "--temp", "0", "--max-tokens", "8", "--model", "MODEL", "SQLite is a"},
           {"run", "--chat", "--temp", "0", "--max-tokens", "8", "--model", "MODEL", "Hello"},
           {"chat", "--temp", "0", "--max-tokens", "8", "MODEL"},
           {"tokenize", "--model", "MODEL", "--text", "Hello, world!"},
           {"perplexity", "--model", "MODEL", "--file", DemoModel() + "/generation_config.json"},
           {"inspect", "--program", "MODEL"}}) {
    auto with = [&](const std::string& model) {
      std::vector<std::string> args = options;
      for (std::string& arg : args) {
        if (arg == "MODEL") arg = model;
      }
      return Infer(args, "Hello\n");
    };
    const Finished a = with(DemoModel()), b = with(file);
    EXPECT_EQ(a.exit, 0) << a.err;
    EXPECT_EQ(b.exit, 0) << b.err;
    EXPECT_EQ(a.out, b.out) << options[0];
    EXPECT_FALSE(b.out.empty());
  }
  const Json json = InspectJson(file);
  EXPECT_EQ(json["parameters"], InspectJson(DemoModel())["parameters"]);
  EXPECT_EQ(json["verified"], false);
  EXPECT_EQ(InspectJson(file, {"--verify", "all"})["verified"], true);
}

TEST(Convert, OtherFormatsPredictAsWell) {
  const double official = Perplexity(DemoModel());
  ASSERT_GT(official, 5);
  const std::string bf16 = Converted({"--dtype", "bf16"}, "bf16.qiao");
  EXPECT_NEAR(Perplexity(bf16), official, 0.005 * official);
  EXPECT_EQ(InspectJson(bf16)["scales"]["tensors"], 0);
  // Quantised once more: the scales are not those of the training, so the weights are rounded a second time.
  const std::string f8 = Converted({"--dtype", "fp8"}, "f8.qiao", bf16);
  EXPECT_NEAR(Perplexity(f8), official, 0.005 * official);
  EXPECT_EQ(InspectJson(f8)["scales"]["tensors"], InspectJson(DemoModel())["scales"]["tensors"]);
  const std::string head = Converted({"--head", "fp8"}, "head.qiao");
  EXPECT_NEAR(Perplexity(head), official, 0.01 * official);
  const Json json = InspectJson(head);
  EXPECT_EQ(json["unknown_tensors"].size(), 0u);
  for (const Json& part : json["parts"]) {
    const bool is_head = part["name"] == "head";
    EXPECT_TRUE(!is_head || part["dtypes"] == Json::parse(R"(["F8_E4M3"])")) << part;
  }
  // And the head back.
  EXPECT_NEAR(Perplexity(Converted({"--head", "bf16"}, "back.qiao", head)), official, 0.01 * official);
  // What has the format is left as it is.
  EXPECT_TRUE(Logits(Converted({"--dtype", "fp8"}, "same.qiao")) == Logits(DemoModel()));
}

TEST(Convert, AModelOfAnotherDTypeBecomesAReleasesLayout) {
  const std::string folder = Scratch() + "/f32";
  ASSERT_EQ(Infer({"synth", "--like", "tiny-v2", "--dtype", "f32", "--out", folder}).exit, 0);
  const std::string file = Converted({"--dtype", "fp8"}, "f8.qiao", folder);
  auto opened = formats::QiaoFile::Open(file);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(opened->VerifyTensors().ok());
  int quantised = 0;
  for (const formats::TensorView& tensor : opened->tensors()) {
    if (tensor.dtype == DType::kF8E4M3) ++quantised;
    if (tensor.name == "model.embed_tokens.weight" || tensor.name == "lm_head.weight" ||
        tensor.name.ends_with("norm.weight") || tensor.name.ends_with("mlp.gate.weight")) {
      EXPECT_EQ(tensor.dtype, DType::kBF16) << tensor.name;
    }
  }
  EXPECT_GT(quantised, 10);
  EXPECT_THAT(**opened->Read("config.json", 1 << 20),
              AllOf(HasSubstr("\"weight_block_size\""), HasSubstr("\"torch_dtype\": \"bfloat16\"")));
  EXPECT_FALSE(Logits(file, {"--verify", "all"}).empty());
}

TEST(Convert, SaysWhatDoesNotGoTogether) {
  const std::string out = Scratch() + "/m.qiao";
  auto refused = [&](std::vector<std::string> options, int exit, const std::string& text) {
    options.insert(options.begin(), {"convert", DemoModel(), out});
    const Finished finished = Infer(options);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(text));
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  refused({"--pack", "cpu"}, 5, "--pack neutral");
  refused({"--dtype", "bf16", "--head", "fp8"}, 3, "add --dtype fp8");
  refused({"--dtype", "fp4"}, 2, "--dtype");
  EXPECT_EQ(Infer({"convert", "/nonexistent", out}).exit, 3);
  EXPECT_EQ(Infer({"convert", DemoModel(), Scratch() + "/no/m.qiao"}).exit, 1);
  EXPECT_EQ(Infer({"convert", DemoModel(), Scratch()}).exit, 2);
  const std::string file = Converted({});
  const Finished again = Infer({"convert", DemoModel(), file});
  EXPECT_EQ(again.exit, 2);
  EXPECT_THAT(again.err, HasSubstr("--force"));
  EXPECT_EQ(Infer({"convert", DemoModel(), file, "--force", "--dtype", "bf16"}).exit, 0);
  EXPECT_EQ(Infer({"convert", file, file, "--force"}).exit, 2);
}

TEST(Convert, DamageIsFoundBeforeAnythingRuns) {
  const std::string file = Converted({});
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(6'000'000);
  stream.write("damage", 6);
  stream.close();
  const Finished run = Infer({"run", file, "--max-tokens", "1", "x"});
  EXPECT_EQ(run.exit, 3);
  EXPECT_THAT(run.err, AllOf(HasSubstr("m.qiao: tensor \""), HasSubstr("damaged")));
  EXPECT_EQ(Infer({"run", file, "--max-tokens", "1", "--verify", "header", "x"}).exit, 0);
  EXPECT_EQ(Infer({"inspect", file}).exit, 0);
  EXPECT_EQ(Infer({"inspect", file, "--verify", "all"}).exit, 3);
  EXPECT_EQ(Infer({"convert", file, file + "2"}).exit, 3) << "damage must not get new checksums";
  std::filesystem::resize_file(file, 5'000'000);
  const Finished cut = Infer({"inspect", file});
  EXPECT_EQ(cut.exit, 3);
  EXPECT_THAT(cut.err, HasSubstr("cut short"));
}

// kill -9 after ever longer times, until a run is quick enough to end.
TEST(Convert, GoesOnAfterKills) {
  const std::string want = Converted({"--dtype", "bf16"}, "want.qiao");
  const std::string out = Scratch() + "/m.qiao", partial = out + ".partial";
  int killed = 0, continued = 0;
  bool done = false;
  for (int us = 2000; !done && us < 60'000'000; us = us * 5 / 4 + 1000) {
    if (std::filesystem::exists(partial)) ++continued;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, STDERR_FILENO);
      ::execl(QIAO_BIN "/infer", "infer", "convert", DemoModel().c_str(), out.c_str(), "--dtype", "bf16",
              nullptr);
      ::_exit(127);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(us));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    done = WIFEXITED(status);
    if (done) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
    } else {
      ++killed;
      EXPECT_FALSE(std::filesystem::exists(out) && std::filesystem::exists(partial)) << us;
      done = std::filesystem::exists(out);
    }
  }
  EXPECT_TRUE(done);
  EXPECT_GT(killed, 0);
  EXPECT_TRUE(ReadText(out) == ReadText(want));
  EXPECT_FALSE(std::filesystem::exists(partial));
  RecordProperty("killed", killed);
  RecordProperty("continued", continued);
}

}  // namespace
}  // namespace qiao::tools
