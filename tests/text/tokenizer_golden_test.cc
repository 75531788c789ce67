// Every golden encoding and decoding, made by Hugging Face tokenizers, must come out equal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "runtime/text/detokenizer.h"
#include "runtime/text/utf8.h"
#include "tests/text/tokenizer_fixture.h"

namespace qiao::text {
namespace {

std::vector<int32_t> Ids(const Json& line, const char* field = "ids") {
  return line.at(field).get<std::vector<int32_t>>();
}

// The text as a stream of single tokens decodes it.
std::string Streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip_special) {
  Detokenizer detokenizer(&tokenizer, skip_special);
  std::string out;
  for (const int32_t id : ids) {
    const std::string part = detokenizer.Push(id);
    EXPECT_TRUE(IsValidUtf8(part)) << "a character was split at id " << id;
    out += part;
  }
  return out + detokenizer.Finish();
}

class GoldenTest : public testing::TestWithParam<const char*> {
 protected:
  static std::string Folder() { return std::string("golden/tokenizers/") + GetParam() + "/"; }
  const Tokenizer& tokenizer_ = GoldenTokenizer(GetParam());
};

TEST_P(GoldenTest, EncodesAsHuggingFace) {
  const std::vector<Json> lines = JsonLines(Folder() + "encode.jsonl");
  ASSERT_GT(lines.size(), 100u);
  for (const Json& line : lines) {
    const std::string text = line.at("text");
    SCOPED_TRACE(line.at("text").dump());
    const auto plain = tokenizer_.Encode(text, false);
    ASSERT_TRUE(plain.ok()) << plain.status();
    EXPECT_EQ(*plain, Ids(line));
    const auto with_special = tokenizer_.Encode(text, true);
    ASSERT_TRUE(with_special.ok()) << with_special.status();
    EXPECT_EQ(*with_special, Ids(line, line.contains("ids_with_special") ? "ids_with_special" : "ids"));
    EXPECT_EQ(tokenizer_.Decode(Ids(line), false), line.at("decoded").get<std::string>());
    EXPECT_EQ(Streamed(tokenizer_, Ids(line), false), line.at("decoded").get<std::string>());
    if (line.contains("decoded_skip_special")) {
      EXPECT_EQ(tokenizer_.Decode(Ids(line), true), line.at("decoded_skip_special").get<std::string>());
      EXPECT_EQ(Streamed(tokenizer_, Ids(line), true), line.at("decoded_skip_special").get<std::string>());
    }
  }
}

TEST_P(GoldenTest, DecodesAsHuggingFace) {
  const std::vector<Json> lines = JsonLines(Folder() + "decode.jsonl");
  ASSERT_GE(lines.size(), 100u);
  for (const Json& line : lines) {
    SCOPED_TRACE(line.at("ids").dump());
    EXPECT_EQ(tokenizer_.Decode(Ids(line), false), line.at("decoded").get<std::string>());
    EXPECT_EQ(Streamed(tokenizer_, Ids(line), false), line.at("decoded").get<std::string>());
  }
}

TEST_P(GoldenTest, AnyIdsStreamAsTheyDecode) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int32_t> any(-2, tokenizer_.vocab_size() + 2), low(0, 300);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int32_t> ids(random() % 12);
    for (int32_t& id : ids) id = random() % 2 ? any(random) : low(random);
    const bool skip = random() % 2 != 0;
    ASSERT_EQ(Streamed(tokenizer_, ids, skip), tokenizer_.Decode(ids, skip)) << testing::PrintToString(ids);
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, GoldenTest,
                         testing::Values("deepseek_v3", "deepseek_v4", "llama3", "qwen", "sentencepiece",
                                         "metaspace", "falcon", "kimi"),
                         [](const auto& info) { return std::string(info.param); });

// The text of a chat that a template has rendered holds special tokens; encoding it must find each of them.
TEST(TokenizerGolden, DeepSeekChatsEncode) {
  const std::vector<Json> lines = JsonLines("golden/tokenizers/deepseek_v3/chat.jsonl");
  ASSERT_GT(lines.size(), 20u);
  for (const Json& line : lines) {
    const auto ids = GoldenTokenizer("deepseek_v3").Encode(line.at("rendered").get<std::string>(), false);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*ids, Ids(line)) << line.at("rendered").dump();
  }
}

TEST(TokenizerGolden, ConfigurationOfDeepSeekV3) {
  const Tokenizer& tokenizer = GoldenTokenizer("deepseek_v3");
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_EQ(tokenizer.pad_id(), 1);
  EXPECT_TRUE(tokenizer.add_bos_token());
  EXPECT_FALSE(tokenizer.add_eos_token());
  EXPECT_EQ(tokenizer.vocab_size(), 128815);
  EXPECT_EQ(tokenizer.PieceOf(128803), "<｜User｜>");
  EXPECT_EQ(tokenizer.IdOf("<｜User｜>"), 128803);
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(128803));
  EXPECT_EQ(tokenizer.TokenBytes(19923), "Hello");
  EXPECT_EQ(tokenizer.TokenBytes(223), " ");
}

TEST(TokenizerGolden, DemoModelRoundTrips) {
  const auto tokenizer = Tokenizer::FromDir(std::string(QIAO_MODELS) + "/demo");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(tokenizer->bos_id(), 0);
  EXPECT_EQ(tokenizer->eos_id(), 1);
  EXPECT_EQ(tokenizer->pad_id(), 2);
  for (const Json& line : JsonLines("golden/tokenizers/deepseek_v3/encode.jsonl")) {
    const std::string text = line.at("text");
    const auto ids = tokenizer->Encode(text, true);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ASSERT_FALSE(ids->empty());
    EXPECT_EQ(ids->front(), 0);
    EXPECT_EQ(tokenizer->Decode(absl::MakeConstSpan(*ids).subspan(1), false), text);
  }
}

}  // namespace
}  // namespace qiao::text
