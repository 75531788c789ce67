// Help, versions and the state of the machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/base/json.h"
#include "tests/tools/infer_process.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CommandLine, EverySubcommandHasHelpWithExamples) {
  const Finished top = Infer({"--help"});
  EXPECT_EQ(top.exit, 0);
  EXPECT_THAT(top.out, HasSubstr("Exit codes:"));
  for (const char* name : {"run", "chat", "inspect", "logits", "tokenize", "perplexity", "bench", "synth",
                           "convert", "backends", "doctor"}) {
    EXPECT_THAT(top.out, HasSubstr(name));
    const Finished help = Infer({name, "--help"});
    EXPECT_EQ(help.exit, 0) << name;
    EXPECT_THAT(help.out, HasSubstr("Examples:")) << name;
    EXPECT_THAT(help.out, HasSubstr("infer " + std::string(name))) << name;
    EXPECT_EQ(help.err, "");
  }
}

TEST(CommandLine, TheVersionNeedsNoDevice) {
  const Finished version = Infer({"--version"}, "", {"QIAO_BACKEND_PATH=/nonexistent"});
  EXPECT_EQ(version.exit, 0);
  EXPECT_THAT(version.out, StartsWith("infer 0."));
}

TEST(CommandLine, NoOrAWrongSubcommandIsAUsageError) {
  EXPECT_EQ(Infer({}).exit, 2);
  const Finished wrong = Infer({"fly"});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_THAT(wrong.err, HasSubstr("error: "));
  EXPECT_THAT(wrong.err, HasSubstr("hint: infer --help"));
}

TEST(Backends, TellsDevicesAndWhatDoesNotLoad) {
  const Finished text = Infer({"backends"});
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("cpu"));
  EXPECT_THAT(text.out, HasSubstr("reference"));
  const std::string folder = Scratch();
  WriteText(folder + "/libqiao_backend_broken.so", "not a library");
  const Finished finished = Infer({"backends", "--json"}, "", {"QIAO_BACKEND_PATH=" + folder});
  const Json json = Json::parse(finished.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << finished.out;
  bool found = false;
  for (const Json& backend : json["backends"]) {
    if (backend["name"] != "broken") continue;
    found = true;
    EXPECT_NE(backend["error"], "");
  }
  EXPECT_TRUE(found);
}

TEST(Doctor, ReportsTheMachine) {
  const Finished text = Infer({"doctor"});
  EXPECT_EQ(text.exit, 0) << text.err;
  for (const char* says : {"qiao", "abseil", "memory", "huge pages", "cpu"})
    EXPECT_THAT(text.out, HasSubstr(says));
  const Json json = Json::parse(Infer({"doctor", "--json"}).out, nullptr, false);
  EXPECT_GT(json["machine"]["memory_bytes"], 0);
  EXPECT_FALSE(json["search_path"].empty());
}

}  // namespace
}  // namespace qiao::tools
