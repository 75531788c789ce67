// infer run, chat and their options, on the shipped model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/base/json.h"
#include "tests/tools/infer_process.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json RunJson(std::vector<std::string> options, const std::string& input = "") {
  std::vector<std::string> args = {"run", DemoModel(), "--json"};
  args.insert(args.end(), options.begin(), options.end());
  const Finished finished = Infer(args, input);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  return Json::parse(finished.out, nullptr, false);
}

TEST(Run, GreedyIsDeterministic) {
  const Json first = RunJson({"--temp", "0", "--max-tokens", "24", "SQLite is a"});
  const Json second = RunJson({"--temp", "0", "--max-tokens", "24", "--threads", "1", "SQLite is a"});
  ASSERT_TRUE(first.is_object());
  EXPECT_EQ(first["ids"], second["ids"]);
  EXPECT_EQ(first["ids"].size(), 24u);
  EXPECT_EQ(first["finish"], "length");
  EXPECT_EQ(first["prompt_tokens"], 4);
  EXPECT_EQ(first["kv_bytes_per_token"], 768);  // 4 layers of 96 bf16 values
  EXPECT_GT(first["peak_memory_bytes"], 1 << 20);
  EXPECT_GT(first["decode_tokens_per_s"], 0);
}

// However the prompt comes, however it is cut, and however the cache is paged.
TEST(Run, ThePromptCanComeFromAnywhere) {
  const std::string file = Scratch() + "/prompt.txt";
  WriteText(file, "A transaction is\n");
  const std::vector<std::string> greedy = {"--temp", "0", "--max-tokens", "8"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), greedy.begin(), greedy.end());
    return more;
  };
  const Json argument = RunJson(with({"A transaction is"}));
  EXPECT_EQ(RunJson(with({"--file", file}))["ids"], argument["ids"]);
  EXPECT_EQ(RunJson(with({}), "A transaction is\n")["ids"], argument["ids"]);
  EXPECT_EQ(RunJson(with({"-"}), "A transaction is")["ids"], argument["ids"]);
  EXPECT_EQ(RunJson(with({"--chunk", "1", "--page-tokens", "16", "A transaction is"}))["ids"],
            argument["ids"]);
}

TEST(Run, SamplesAsTheModelAsksAndRepeatsASeed) {
  const Json first = RunJson({"--max-tokens", "16", "--seed", "7", "In the beginning"});
  EXPECT_DOUBLE_EQ(first["temperature"], 0.7);  // generation_config.json
  EXPECT_EQ(first["seed"], 7);
  EXPECT_EQ(RunJson({"--max-tokens", "16", "--seed", "7", "In the beginning"})["ids"], first["ids"]);
  EXPECT_NE(RunJson({"--max-tokens", "16", "--seed", "8", "In the beginning"})["ids"], first["ids"]);
  // One candidate is no choice.
  EXPECT_EQ(RunJson({"--max-tokens", "16", "--top-k", "1", "In the beginning"})["ids"],
            RunJson({"--max-tokens", "16", "--temp", "0", "In the beginning"})["ids"]);
}

TEST(Run, StopsBeforeAText) {
  const Json whole = RunJson({"--temp", "0", "--max-tokens", "24", "SQLite is a"});
  const std::string text = whole["text"];
  ASSERT_THAT(text, HasSubstr("connection"));
  const Json cut = RunJson(
      {"--temp", "0", "--max-tokens", "24", "--stop", "connection", "--stop", "nowhere", "SQLite is a"});
  EXPECT_EQ(cut["finish"], "stop");
  EXPECT_EQ(cut["text"], text.substr(0, text.find("connection")));
}

TEST(Run, GuessesAreCheckedAndCounted) {
  const std::vector<std::string> greedy = {"--temp", "0", "--max-tokens", "100", "SQLite is a"};
  const Json plain = RunJson(greedy);
  EXPECT_EQ(plain["drafted_tokens"], 0);
  for (const char* draft : {"mtp", "lookup", "auto"}) {
    std::vector<std::string> options = greedy;
    options.insert(options.end(), {"--draft", draft, "--draft-tokens", "3"});
    const Json guessed = RunJson(options);
    EXPECT_EQ(guessed["ids"], plain["ids"]) << draft;
    EXPECT_GT(guessed["accepted_tokens"], 0) << draft;
    EXPECT_GE(guessed["drafted_tokens"], guessed["accepted_tokens"]) << draft;
  }
}

TEST(Run, TheAnswerHasTheFormThatWasAskedFor) {
  EXPECT_THAT(std::string(RunJson({"--choice", "red", "--choice", "green", "A colour:"})["text"]),
              ::testing::AnyOf("red", "green"));
  EXPECT_THAT(std::string(RunJson({"--regex", "[0-9]{4}", "The year"})["text"]),
              ::testing::MatchesRegex("[0-9]+"));
  const std::string schema = Scratch() + "/schema.json";
  WriteText(schema, R"({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})");
  const Json answer = RunJson({"--json-schema", schema, "--temp", "1", "A number:"});
  EXPECT_TRUE(Json::parse(std::string(answer["text"]))["n"].is_number_integer()) << answer["text"];
  EXPECT_EQ(answer["finish"], "end_of_text");

  const Finished both = Infer({"run", DemoModel(), "--regex", "a", "--json-object", "x"});
  EXPECT_NE(both.exit, 0);
  EXPECT_THAT(both.err, HasSubstr("excludes"));
  WriteText(schema, R"({"type": "objekt"})");
  const Finished broken = Infer({"run", DemoModel(), "--json-schema", schema, "x"});
  EXPECT_NE(broken.exit, 0);
  EXPECT_THAT(broken.err, HasSubstr("type"));
}

TEST(Run, LogProbabilitiesComeWithJson) {
  const Json json = RunJson({"--temp", "0", "--max-tokens", "5", "--logprobs", "2", "SQLite is a"});
  ASSERT_EQ(json["logprobs"].size(), 5u);
  ASSERT_EQ(json["top_logprobs"].size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_LT(json["logprobs"][i], 0);
    EXPECT_EQ(json["top_logprobs"][i].size(), 2u);
    EXPECT_EQ(json["top_logprobs"][i][0]["id"], json["ids"][i]);
  }
}

TEST(Run, TextGoesToStdoutAndTheSummaryToStderr) {
  const Finished plain =
      Infer({"run", "--model", DemoModel(), "--temp", "0", "--max-tokens", "8", "SQLite is a"});
  EXPECT_EQ(plain.exit, 0);
  EXPECT_THAT(plain.out, Not(HasSubstr("tok/s")));
  EXPECT_THAT(plain.err, HasSubstr("tok/s"));
  EXPECT_THAT(plain.err, HasSubstr("KV cache 768 B per token"));
  EXPECT_THAT(plain.err, HasSubstr("peak memory"));
  EXPECT_THAT(plain.out + plain.err, Not(HasSubstr("\x1b")));  // no terminal, no colours
  EXPECT_EQ(Infer({"run", DemoModel(), "-q", "--max-tokens", "2", "x"}).err, "");
  EXPECT_THAT(Infer({"run", DemoModel(), "-q", "-v", "--max-tokens", "2", "x"}).err, HasSubstr("info"));
}

TEST(Run, FallsBackOnlyWhenAllowed) {
  const Finished refused = Infer({"run", DemoModel(), "--backend", "null", "--max-tokens", "4", "x"});
  EXPECT_EQ(refused.exit, 5);
  EXPECT_THAT(refused.err, HasSubstr("layers.0"));
  EXPECT_THAT(refused.err, HasSubstr("--allow-fallback"));
  const std::vector<std::string> greedy = {"--temp", "0", "--max-tokens", "4", "SQLite is a"};
  Finished allowed = Infer({"run", DemoModel(), "--json", "--backend", "null", "--allow-fallback",
                            "--placement", "--temp", "0", "--max-tokens", "4", "SQLite is a"});
  ASSERT_EQ(allowed.exit, 0) << allowed.err;
  EXPECT_THAT(allowed.err, HasSubstr("fallback"));
  EXPECT_THAT(allowed.err, HasSubstr("layers.1-3."));  // equal layers are one line
  EXPECT_THAT(allowed.err, HasSubstr("launches fell back"));
  const Json json = Json::parse(allowed.out, nullptr, false);
  EXPECT_GT(json["fallback_launches"], 0);
  EXPECT_EQ(json["ids"], RunJson(greedy)["ids"]);
}

TEST(Run, ControlCStopsCleanly) {
  const Finished stopped =
      InferInterrupted({"run", DemoModel(), "--ignore-eos", "--max-tokens", "1900", "In the beginning"});
  EXPECT_EQ(stopped.exit, 130) << stopped.err;
  EXPECT_NE(stopped.out, "");
  EXPECT_THAT(stopped.err, HasSubstr("tok/s"));
  EXPECT_THAT(stopped.err, HasSubstr("interrupted"));
}

TEST(Run, RendersAMessageWithTheTemplate) {
  // The demo's template puts begin-of-text before the message and an empty line after it.
  const Json chat = RunJson({"--chat", "--temp", "0", "--max-tokens", "4", "Hello"});
  const Json text = RunJson({"--temp", "0", "--max-tokens", "4", "Hello\n\n"});
  EXPECT_EQ(chat["prompt_tokens"], text["prompt_tokens"]);
  EXPECT_EQ(chat["ids"], text["ids"]);
}

TEST(Run, WhatIsWrongIsSaid) {
  struct Case {
    std::vector<std::string> args;
    int exit;
    std::string says;
  };
  const std::string empty = Scratch();
  const Case cases[] = {
      {{"run"}, 2, "which model"},
      {{"run", DemoModel(), "x", "--nonsense"}, 2, "--nonsense"},
      {{"run", DemoModel(), "x", "--top-p", "2"}, 2, "--top-p"},
      {{"run", DemoModel(), "x", "--numerics", "f13"}, 2, "--numerics"},
      {{"run", DemoModel(), "x", "--ctx", "4096"}, 2, "2048"},
      {{"run", DemoModel(), "x", "--file", "y"}, 2, "twice"},
      {{"run", DemoModel(), "--ctx", "8", "a b c d e f g h i j k l m n o p"}, 2, "context of 8"},
      {{"run", DemoModel(), "--file", empty + "/none.txt"}, 3, "none.txt"},
      {{"run", empty + "/none", "x"}, 3, empty + "/none"},
      {{"run", empty, "x"}, 3, "config.json"},
      {{"run", DemoModel(), "x", "--memory-budget", "100k"}, 4, "budget"},
      {{"run", DemoModel(), "x", "--backend", "abacus"}, 5, "abacus"},
      {{"run", Golden("deepseek_v3"), "x"}, 3, "tokenizer.json"},
  };
  for (const Case& c : cases) {
    const Finished finished = Infer(c.args);
    EXPECT_EQ(finished.exit, c.exit) << testing::PrintToString(c.args) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr("error: ")) << testing::PrintToString(c.args);
    EXPECT_THAT(finished.err, HasSubstr(c.says));
    EXPECT_EQ(finished.out, "");
  }
}

TEST(Chat, KeepsTheConversationUntilItIsReset) {
  const Finished talk = Infer({"chat", DemoModel(), "--temp", "0", "--max-tokens", "6"},
                              "Hello\nHello\n/reset\nHello\n/exit\nlost\n");
  ASSERT_EQ(talk.exit, 0) << talk.err;
  std::vector<std::string> prompts;
  for (size_t at = 0; (at = talk.err.find("prompt ", at)) != std::string::npos; ++at) {
    prompts.push_back(talk.err.substr(at, talk.err.find(" tokens", at) - at));
  }
  ASSERT_EQ(prompts.size(), 3u) << talk.err;
  EXPECT_NE(prompts[0], prompts[1]);  // the second turn has the first before it
  EXPECT_EQ(prompts[0], prompts[2]);
  EXPECT_EQ(Infer({"chat", DemoModel()}, "/help\n/nonsense\n").exit, 0);
  EXPECT_EQ(Infer({"chat", Golden("deepseek_v3")}, "Hello\n").exit, 3);  // no tokenizer, no template
}

}  // namespace
}  // namespace qiao::tools
