// Conversations through the public API: what reaches the chat template, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <qiao/engine.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/engine/demo.h"

namespace qiao {
namespace {

using testing::HasSubstr;

constexpr char kMessages[] = R"([{"role": "user", "content": "a"}])";

// The demo with another chat template; empty: with none.
class Templated {
 public:
  explicit Templated(const std::string& source)
      : folder_(testing::TempDir() + "/qiao_chat_" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    // Copied: what leads out of a model's folder is not read.
    for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"})
      std::filesystem::copy_file(std::string(QIAO_MODELS "/demo/") + file, folder_ + "/" + file);
    if (!source.empty()) std::ofstream(folder_ + "/chat_template.jinja") << source;
    EngineOptions options = Demo();
    options.model = folder_;
    engine_ = Loaded(options);
  }
  ~Templated() { std::filesystem::remove_all(folder_); }
  Engine* operator->() { return engine_.get(); }

 private:
  const std::string folder_;
  std::unique_ptr<Engine> engine_;
};

TEST(Chat, TheTemplateGetsAllThatItTakes) {
  constexpr char kSource[] =
      "{{ messages|length }}{{ add_generation_prompt }}"
      "{% if tools %} tools {{ tools[0].function.name }}{% endif %}"
      "{% if documents %} documents {{ documents[0].title }}{% endif %}"
      "{% if enable_thinking is defined %} <think> {{ enable_thinking }}{% endif %}";
  Templated engine(kSource);
  EXPECT_EQ(*engine->RenderChat(kMessages, false), "1False");
  EXPECT_EQ(*engine->RenderChat(kMessages, true), "1True");
  EXPECT_EQ(*engine->RenderChat(kMessages, ChatOptions()), "1True");
  ChatOptions options;
  options.tools_json = R"([{"type": "function", "function": {"name": "add"}}])";
  options.documents_json = R"([{"title": "B", "text": "b"}])";
  options.template_kwargs_json = R"({"enable_thinking": false})";
  EXPECT_EQ(*engine->RenderChat(kMessages, options), "1True tools add documents B <think> False");
  EXPECT_TRUE(engine->HasChatTemplate());
  EXPECT_EQ(engine->ChatTemplateSource(/*tools=*/true), kSource);
  EXPECT_EQ(engine->ChatTemplateSource(/*tools=*/false), kSource);
}

TEST(Chat, WhatIsNoConversationIsRefusedByName) {
  auto engine = Loaded(Demo());
  const auto refusal = [&](const ChatOptions& options, const char* messages = kMessages) {
    const Status status = engine->RenderChat(messages, options).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
    return status.message();
  };
  EXPECT_THAT(refusal({}, "[1"), HasSubstr("messages"));
  EXPECT_THAT(refusal({}, "{}"), HasSubstr("messages: must be an array, not object"));
  EXPECT_THAT(refusal({.tools_json = "{}"}), HasSubstr("tools: must be an array, not object"));
  EXPECT_THAT(refusal({.documents_json = "\"a\""}), HasSubstr("documents: must be an array, not string"));
  EXPECT_THAT(refusal({.template_kwargs_json = "[]"}),
              HasSubstr("chat_template_kwargs: must be an object, not array"));
  EXPECT_THAT(refusal({.template_kwargs_json = R"({"tools": 1})"}), HasSubstr("'tools'"));
}

TEST(Chat, ATemplateRefusesInItsOwnWords) {
  Templated engine("{{ raise_exception('roles must alternate') }}");
  const Status status = engine->RenderChat(kMessages, true).status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("roles must alternate"));
}

TEST(Chat, AModelWithoutATemplateSaysSo) {
  Templated engine("");
  EXPECT_FALSE(engine->HasChatTemplate());
  EXPECT_EQ(engine->ChatTemplateSource(true), "");
  EXPECT_EQ(engine->RenderChat(kMessages, true).status().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace qiao
