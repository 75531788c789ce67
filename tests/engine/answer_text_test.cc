// What an answer's text holds, and what ended it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>

#include "tests/engine/demo.h"

namespace qiao {
namespace {

using testing::HasSubstr;

constexpr char kPad[] = "<｜▁pad▁｜>", kEnd[] = "<｜end▁of▁sentence｜>";

class AnswerText : public testing::Test {
 protected:
  void SetUp() override {
    engine_ = Loaded(Demo());
    pad_ = Id(kPad);
    end_ = Id(kEnd);
  }
  int32_t Id(const char* text) {
    const auto ids = engine_->Tokenize(text, false);
    EXPECT_EQ(ids->size(), 1u) << text;
    return ids->front();
  }
  // An answer of `token` over and over.
  GenerateRequest Always(int32_t token) {
    GenerateRequest request;
    request.prompt = "SQLite is a";
    request.max_tokens = 3;
    request.sampling.logit_bias = {{token, 100.0f}};
    return request;
  }
  GenerateResult Get(const GenerateRequest& request, std::string* streamed = nullptr) {
    auto result = engine_->Generate(request, [&](const Token& token) {
      if (streamed != nullptr) *streamed += token.text;
      return true;
    });
    EXPECT_TRUE(result.ok()) << result.status().message();
    return result.ok() ? *std::move(result) : GenerateResult();
  }

  std::unique_ptr<Engine> engine_;
  int32_t pad_ = -1, end_ = -1;
};

TEST_F(AnswerText, SpecialTokensAreWrittenOutWhereThatIsAskedFor) {
  GenerateRequest request = Always(pad_);
  EXPECT_EQ(Get(request).text, "");
  EXPECT_EQ(Get(request).ids.size(), 3u);
  request.special_text = true;
  std::string streamed;
  const GenerateResult result = Get(request, &streamed);
  EXPECT_EQ(result.text, std::string(kPad) + kPad + kPad);
  EXPECT_EQ(streamed, result.text);
  EXPECT_EQ(result.finish, Finish::kLength);
  EXPECT_EQ(result.stop, "");
  EXPECT_EQ(result.stop_token, -1);
  request.stop = {"pad▁"};
  EXPECT_EQ(Get(request).text, "<｜▁") << "stop strings see them";
}

TEST_F(AnswerText, TheTokenThatEndsItIsToldAndNotWritten) {
  GenerateRequest request = Always(end_);
  request.special_text = true;
  GenerateResult result = Get(request);
  EXPECT_EQ(result.finish, Finish::kEndOfText);
  EXPECT_EQ(result.stop_token, end_);
  EXPECT_EQ(result.text, "");
  EXPECT_TRUE(result.ids.empty());
  request.ignore_end = true;
  EXPECT_EQ(Get(request).text, std::string(kEnd) + kEnd + kEnd) << "then it ends nothing";
  request = Always(pad_);
  request.stop_tokens = {7, pad_};
  result = Get(request);
  EXPECT_EQ(result.finish, Finish::kStop);
  EXPECT_EQ(result.stop_token, pad_);
  EXPECT_EQ(result.stop, "");
}

TEST_F(AnswerText, TheStopStringThatEndedItIsTold) {
  GenerateRequest request;
  request.prompt = "SQLite is a";
  request.max_tokens = 24;
  const std::string all = Get(request).text;
  ASSERT_GT(all.size(), 20u);
  const std::string wanted = all.substr(10, 6);
  request.stop = {"never said", "", wanted};
  GenerateResult result = Get(request);
  EXPECT_EQ(result.finish, Finish::kStop);
  EXPECT_EQ(result.stop, wanted);
  EXPECT_EQ(result.stop_token, -1);
  // A callback that ends it first takes the end away.
  const auto cut = engine_->Generate(request, [](const Token&) { return false; });
  EXPECT_EQ(cut->finish, Finish::kCancelled);
  EXPECT_EQ(cut->stop, "");
}

TEST_F(AnswerText, TokensAndTextsBecomeEachOther) {
  EXPECT_EQ(*engine_->TokenBytes(pad_), kPad);
  EXPECT_EQ(engine_->TokenBytes(1 << 20).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(engine_->TokenBytes(-1).status().code(), Code::kInvalidArgument);
  const std::vector<int32_t> ids = *engine_->Tokenize("naïve 桥", false);
  std::string bytes;
  for (const int32_t id : ids) bytes += *engine_->TokenBytes(id);
  EXPECT_EQ(bytes, "naïve 桥");
  EXPECT_EQ(*engine_->Detokenize({pad_}), "");
  EXPECT_EQ(*engine_->Detokenize({pad_}, /*special_text=*/true), kPad);
}

}  // namespace
}  // namespace qiao
