// Files that must be refused, texts that must be survived, and what goldens do not show.
#include "runtime/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "runtime/text/bpe.h"
#include "runtime/text/normalizer.h"
#include "runtime/text/utf8.h"
#include "tests/text/tokenizer_fixture.h"

namespace qiao::text {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json Small() {
  return {{"version", "1.0"},
          {"added_tokens", {{{"id", 5}, {"content", "<s>"}, {"special", true}, {"normalized", false}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"abc", 4}}},
            {"merges", {"a b", "ab c"}}}}};
}

absl::StatusOr<Tokenizer> Load(const Json& json) { return Tokenizer::FromJson(json.dump(), "t.json"); }

TEST(Tokenizer, SmallFile) {
  const auto tokenizer = Load(Small());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_THAT(*tokenizer->Encode("abcab<s>ba", false), ElementsAre(4, 3, 5, 1, 0));
  EXPECT_THAT(*tokenizer->Encode("zaz", false), ElementsAre(0)) << "no unk_token: unknown characters vanish";
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  const std::vector<int32_t> ids = {4, 5, -1, 99, 1};
  EXPECT_EQ(tokenizer->Decode(ids, false), "abc<s>b");
  EXPECT_EQ(tokenizer->Decode(ids, true), "abcb");
  EXPECT_EQ(tokenizer->IdOf("zz"), std::nullopt);
  EXPECT_EQ(tokenizer->PieceOf(-7), "");
}

TEST(Tokenizer, RefusesBadFiles) {
  struct Case {
    const char* message;
    std::function<void(Json&)> damage;
  };
  const Case cases[] = {
      {"t.json: model: must be an object", [](Json& j) { j.erase("model"); }},
      {"model.type: \"Unigram\"", [](Json& j) { j["model"]["type"] = "Unigram"; }},
      {"model.vocab: must be an object", [](Json& j) { j["model"]["vocab"] = Json::array(); }},
      {"model.vocab[\"a\"]: the id must be", [](Json& j) { j["model"]["vocab"]["a"] = -1; }},
      {"model.vocab[\"a\"]: the id must be", [](Json& j) { j["model"]["vocab"]["a"] = 0.5; }},
      {"model.vocab[\"a\"]: the id must be", [](Json& j) { j["model"]["vocab"]["a"] = "0"; }},
      {"model.vocab[\"a\"]: the id must be", [](Json& j) { j["model"]["vocab"]["a"] = kMaxTokenId + 1; }},
      {"model.vocab[\"a\"]: the id must be", [](Json& j) { j["model"]["vocab"]["a"] = UINT64_MAX; }},
      {"have the same id 1", [](Json& j) { j["model"]["vocab"]["a"] = 1; }},
      {"a piece of 70000 bytes", [](Json& j) { j["model"]["vocab"][std::string(70'000, 'x')] = 9; }},
      {"model.merges: must be an array", [](Json& j) { j["model"].erase("merges"); }},
      {"model.merges[1]: \"d\" is not in vocab", [](Json& j) { j["model"]["merges"][1] = "ab d"; }},
      {"model.merges[0]: \"ba\" is not in vocab", [](Json& j) { j["model"]["merges"][0] = "b a"; }},
      {"model.merges[0]: \"ab\" is not two pieces", [](Json& j) { j["model"]["merges"][0] = "ab"; }},
      {"model.merges[0]: \"a b c\" is not two", [](Json& j) { j["model"]["merges"][0] = "a b c"; }},
      {"model.merges[0]: must be",
       [](Json& j) {
         j["model"]["merges"][0] = {"a", "b", "c"};
       }},
      {"model.merges[0]: must be", [](Json& j) { j["model"]["merges"][0] = 3; }},
      {"model.dropout: must be null", [](Json& j) { j["model"]["dropout"] = 0.1; }},
      {"model.unk_token: \"?\" is not in vocab", [](Json& j) { j["model"]["unk_token"] = "?"; }},
      {"model.fuse_unk: must be true or false", [](Json& j) { j["model"]["fuse_unk"] = 1; }},
      {"added_tokens[0].id: must be an integer", [](Json& j) { j["added_tokens"][0]["id"] = -1; }},
      {"added_tokens[0].id: must be an integer", [](Json& j) { j["added_tokens"][0]["id"] = UINT64_MAX; }},
      {"added_tokens[0].id: must be an integer", [](Json& j) { j["added_tokens"][0].erase("id"); }},
      {"added_tokens[0].content: is empty", [](Json& j) { j["added_tokens"][0]["content"] = ""; }},
      {"added_tokens[0].content: 2000 bytes",
       [](Json& j) { j["added_tokens"][0]["content"] = std::string(2000, 'x'); }},
      {"which model.vocab gives to \"b\"", [](Json& j) { j["added_tokens"][0]["id"] = 1; }},
      {"but model.vocab gives it 0", [](Json& j) { j["added_tokens"][0]["content"] = "a"; }},
      {"added_tokens[1].id: 5 was given",
       [](Json& j) {
         j["added_tokens"].push_back({{"id", 5}, {"content", "<t>"}});
       }},
      {"added_tokens[1].content: \"<s>\" was added",
       [](Json& j) {
         j["added_tokens"].push_back({{"id", 6}, {"content", "<s>"}});
       }},
      {"normalizer type \"Precompiled\"",
       [](Json& j) {
         j["normalizer"] = {{"type", "Precompiled"}};
       }},
      {"pre-tokenizer type \"X\"",
       [](Json& j) {
         j["pre_tokenizer"] = {{"type", "X"}};
       }},
      {"post-processor type \"BertProcessing\"",
       [](Json& j) {
         j["post_processor"] = {{"type", "BertProcessing"}};
       }},
      {"decoder type \"CTC\"",
       [](Json& j) {
         j["decoder"] = {{"type", "CTC"}};
       }},
      {"is not among t.json: post_processor.special_tokens",
       [](Json& j) {
         j["post_processor"] = {
             {"type", "TemplateProcessing"},
             {"single", {{{"SpecialToken", {{"id", "<x>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
             {"special_tokens", Json::object()}};
       }},
      {"id 77 is not in the vocabulary",
       [](Json& j) {
         j["post_processor"] = {
             {"type", "TemplateProcessing"},
             {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
             {"special_tokens", {{"<s>", {{"ids", {77}}}}}}};
       }},
  };
  for (const Case& c : cases) {
    Json json = Small();
    c.damage(json);
    const auto tokenizer = Load(json);
    ASSERT_FALSE(tokenizer.ok()) << c.message;
    EXPECT_THAT(std::string(Message(tokenizer.status())), HasSubstr(c.message));
    EXPECT_THAT(std::string(Message(tokenizer.status())), HasSubstr("t.json"));
  }
  EXPECT_FALSE(Tokenizer::FromJson("", "t.json").ok());
  EXPECT_FALSE(Tokenizer::FromJson("[]", "t.json").ok());
  EXPECT_FALSE(Tokenizer::FromJson(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})", "t.json").ok());
  EXPECT_EQ(Tokenizer::FromDir("/nonexistent").status().code(), absl::StatusCode::kNotFound);
}

TEST(Tokenizer, CutFilesAreRefused) {
  const std::string text = Small().dump();
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_FALSE(Tokenizer::FromJson(std::string_view(text).substr(0, n), "t.json").ok()) << n;
  }
}

TEST(Tokenizer, VocabularyMayHaveGaps) {
  Json json = Small();
  json["added_tokens"][0]["id"] = 1000;
  const auto tokenizer = Load(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(tokenizer->vocab_size(), 1001);
  const std::vector<int32_t> ids = {500, 0};
  EXPECT_EQ(tokenizer->Decode(ids, false), "a");
}

TEST(Tokenizer, ConfigurationOfAFolder) {
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("qiao_text_" + std::to_string(getpid()));
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "tokenizer.json") << Small().dump();
  const auto with = [&](const char* config) {
    std::ofstream(dir / "tokenizer_config.json") << config;
    return Tokenizer::FromDir(dir.string());
  };
  const auto good = with(
      R"({"bos_token": "<s>", "eos_token": {"content": "c"}, "pad_token": null, "add_eos_token": true})");
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->bos_id(), 5);
  EXPECT_EQ(good->eos_id(), 2);
  EXPECT_EQ(good->pad_id(), std::nullopt);
  EXPECT_FALSE(good->add_bos_token());
  EXPECT_TRUE(good->add_eos_token());
  EXPECT_THAT(std::string(Message(with(R"({"bos_token": "<q>"})").status())),
              HasSubstr("\"<q>\" is not a token"));
  EXPECT_THAT(std::string(Message(with(R"({"bos_token": 1})").status())), HasSubstr("bos_token"));
  EXPECT_FALSE(with("[").ok());
  std::filesystem::remove_all(dir);
}

TEST(Tokenizer, SpecialTokensCanCountAsText) {
  const Tokenizer& tokenizer = GoldenTokenizer("deepseek_v3");
  const std::string text = "a<｜begin▁of▁sentence｜>b";
  const auto ids = tokenizer.Encode(text, false, /*special_as_text=*/true);
  ASSERT_TRUE(ids.ok());
  EXPECT_THAT(*ids, testing::Not(testing::Contains(0)));
  EXPECT_EQ(tokenizer.Decode(*ids, true), text);
}

TEST(Tokenizer, AnyBytesComeBackRepaired) {
  std::mt19937 random(11);
  const Tokenizer& tokenizer = GoldenTokenizer("deepseek_v3");
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t n = random() % 40; n > 0; --n) {
      text.push_back(static_cast<char>(random() % 4 ? random() % 256 : 0xE4 + random() % 3));
    }
    const auto ids = tokenizer.Encode(text, false);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ASSERT_EQ(tokenizer.Decode(*ids, false), ReplaceInvalidUtf8(text));
  }
}

TEST(Tokenizer, LongWordsAreNoTrouble) {
  std::mt19937 random(3);
  std::string letters, marks;
  for (int i = 0; i < 1'000'000; ++i) letters.push_back(static_cast<char>('a' + random() % 26));
  for (int i = 0; i < 200'000; ++i) AppendUtf8(0x300 + random() % 0x30, &marks);
  for (const char* style : {"deepseek_v3", "qwen", "sentencepiece"}) {
    const Tokenizer& tokenizer = GoldenTokenizer(style);
    for (const std::string& text :
         {letters, marks, std::string(1'000'000, 'a'), std::string(1'000'000, ' ') + "x",
          std::string(1'000'000, '\n'), std::string(300'000, '\xff')}) {
      const auto ids = tokenizer.Encode(text, false);
      ASSERT_TRUE(ids.ok()) << ids.status();
    }
  }
}

TEST(Tokenizer, ThreadsShareIt) {
  const Tokenizer& tokenizer = GoldenTokenizer("llama3");
  const std::vector<Json> lines = JsonLines("golden/tokenizers/llama3/encode.jsonl");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 3; ++round) {
        for (const Json& line : lines) {
          const auto ids = tokenizer.Encode(line.at("text").get<std::string>(), false);
          wrong[static_cast<size_t>(t)] += !ids.ok() || *ids != line.at("ids").get<std::vector<int32_t>>();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

// The queue against the definition: join the lowest-ranked pair, leftmost first, until there is none.
TEST(Bpe, EqualsTheDefinition) {
  std::mt19937 random(17);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> pieces = {"a", "b", "c"};
    Json vocab = {{"a", 0}, {"b", 1}, {"c", 2}};
    Json merges = Json::array();
    std::map<std::pair<std::string, std::string>, int> rank;
    for (int m = 0; m < 12; ++m) {
      const std::string left = pieces[random() % pieces.size()], right = pieces[random() % pieces.size()];
      if (vocab.contains(left + right)) continue;  // so that a piece has one origin and ranks are in order
      vocab[left + right] = pieces.size();
      pieces.push_back(left + right);
      rank[{left, right}] = static_cast<int>(merges.size());
      merges.push_back(Json::array({left, right}));
    }
    const auto bpe = Bpe::FromJson({{"vocab", vocab}, {"merges", merges}}, "model");
    ASSERT_TRUE(bpe.ok()) << bpe.status();
    std::string word;
    for (size_t n = 1 + random() % 30; n > 0; --n) word.push_back("abc"[random() % 3]);
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    for (;;) {
      size_t best = symbols.size();
      int best_rank = INT32_MAX;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        const auto it = rank.find({symbols[i], symbols[i + 1]});
        if (it != rank.end() && it->second < best_rank) best = i, best_rank = it->second;
      }
      if (best == symbols.size()) break;
      symbols[best] += symbols[best + 1];
      symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
    std::vector<int32_t> want, ids;
    for (const std::string& s : symbols) want.push_back(vocab.at(s));
    Bpe::Scratch scratch;
    ASSERT_TRUE(bpe->EncodeWord(word, false, &scratch, &ids).ok());
    EXPECT_EQ(ids, want) << word << " " << merges.dump();
  }
}

TEST(Bpe, PrefixAndSuffixOfPieces) {
  const auto bpe = Bpe::FromJson({{"vocab", {{"a", 0}, {"##b", 1}, {"##c</w>", 2}, {"ab", 3}, {"a</w>", 4}}},
                                  {"merges", {"a ##b"}},
                                  {"continuing_subword_prefix", "##"},
                                  {"end_of_word_suffix", "</w>"}},
                                 "model");
  ASSERT_TRUE(bpe.ok()) << bpe.status();
  Bpe::Scratch scratch;
  std::vector<int32_t> ids;
  ASSERT_TRUE(bpe->EncodeWord("abc", false, &scratch, &ids).ok());
  ASSERT_TRUE(bpe->EncodeWord("a", false, &scratch, &ids).ok());
  EXPECT_THAT(ids, ElementsAre(3, 2, 4));
}

TEST(Normalizer, Steps) {
  const auto apply = [](const Json& spec, const char* text) {
    const auto normalizer = Normalizer::FromJson(spec, "normalizer");
    EXPECT_TRUE(normalizer.ok()) << normalizer.status();
    return *normalizer->Apply(text);
  };
  EXPECT_EQ(apply(nullptr, "Ab"), "Ab");
  EXPECT_EQ(apply({{"type", "Sequence"}, {"normalizers", Json::array()}}, "Ab"), "Ab");
  EXPECT_EQ(apply({{"type", "NFC"}}, "e\u0301"), "é");
  EXPECT_EQ(apply({{"type", "NFD"}}, "é"), "e\u0301");
  EXPECT_EQ(apply({{"type", "NFKC"}}, "ﬁ①"), "fi1");
  EXPECT_EQ(apply({{"type", "NFKC"}}, "\u32FF"), "\u32FF") << "younger than Unicode 9: as Hugging Face";
  EXPECT_EQ(apply({{"type", "Lowercase"}}, "ÀİΣ"), "ài\u0307σ");
  EXPECT_EQ(apply({{"type", "Strip"}}, " \u3000a b\n"), "a b");
  EXPECT_EQ(apply({{"type", "Prepend"}, {"prepend", "_"}}, "a"), "_a");
  EXPECT_EQ(apply({{"type", "Prepend"}, {"prepend", "_"}}, ""), "");
  EXPECT_EQ(apply({{"type", "Replace"}, {"pattern", {{"Regex", "a+"}}}, {"content", "x"}}, "baab"), "bxb");
  EXPECT_EQ(apply({{"type", "Replace"}, {"pattern", {{"String", "a+"}}}, {"content", "x"}}, "ba+b"), "bxb");
}

// Long runs take a way of their own to the same result: a short run is in order when it is one of many equal
// parts.
TEST(Normalizer, LongRunsOfMarks) {
  const auto nfc = Normalizer::FromJson({{"type", "NFC"}}, "normalizer");
  const auto nfkd = Normalizer::FromJson({{"type", "NFKD"}}, "normalizer");
  ASSERT_TRUE(nfc.ok() && nfkd.ok());
  std::string mixed, below, above;
  for (int i = 0; i < 200; ++i) mixed += "\u0301\u0323", below += "\u0323", above += "\u0301";
  EXPECT_EQ(*nfkd->Apply("a" + mixed), "a" + below + above);
  // U+1EA1 is a with a dot below; the first acute accent that follows does not compose with it.
  EXPECT_EQ(*nfc->Apply("a" + mixed + "b"), "\u1EA1" + below.substr(2) + above + "b");
  // U+0F73 is a starter that decomposes into two marks of different classes.
  std::string tibetan, first, second;
  for (int i = 0; i < 100; ++i) tibetan += "\u0F73", first += "\u0F71", second += "\u0F72";
  EXPECT_EQ(*nfkd->Apply(tibetan), first + second);
}

TEST(Normalizer, GrowthIsBounded) {
  Json steps = Json::array();
  const std::string many(1000, 'a');
  for (int i = 0; i < 5; ++i) {
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", many}});
  }
  const auto normalizer = Normalizer::FromJson({{"type", "Sequence"}, {"normalizers", steps}}, "normalizer");
  ASSERT_TRUE(normalizer.ok());
  EXPECT_EQ(normalizer->Apply("a").status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace qiao::text
