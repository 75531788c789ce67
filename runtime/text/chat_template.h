// Chat templates: the Jinja templates by which a model's authors say how a conversation becomes a prompt,
// rendered byte for byte as transformers renders them (ImmutableSandboxedEnvironment with trim_blocks,
// lstrip_blocks and loop controls; its own tojson, raise_exception, strftime_now and generation tag).
//
// Not covered, and refused by name: extends, block, include, import, from, autoescape; the filters groupby,
// pprint, random, filesizeformat, striptags, urlize, wordwrap, xmlattr; lipsum, cycler, joiner; integers
// beyond 64 bits.
//
// A template comes from a model file and its context from a request, so both are hostile: every limit below
// is checked before the work it bounds. Errors carry the template's name and line. InvalidArgument: the
// template or the conversation is at fault; ResourceExhausted: a limit.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/file_set.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::text {

struct ChatTemplateLimits {
  // Of parsing.
  int64_t max_template_bytes = int64_t{1} << 20;
  int64_t max_tokens = 200'000;
  int max_parse_depth = 160;  // nested expressions and blocks
  // Of one render.
  int64_t max_steps = 5'000'000;  // nodes evaluated, elements visited, 64-byte pieces of text touched
  int64_t max_output_bytes = int64_t{32} << 20;  // captured output included
  int64_t max_string_bytes = int64_t{32} << 20;  // of one value
  int64_t max_value_bytes = int64_t{256}
                            << 20;  // of all values made, context included, whether still alive or not
  int max_value_depth = 100;        // lists in lists
  int max_depth = 220;              // of evaluation: expressions, blocks and macro calls together
  int64_t max_range = 100'000;      // as in Jinja's sandbox
};

// What strftime_now() tells; the machine's local time unless a test gives another.
using ChatClock = std::function<std::tm()>;
std::tm LocalTimeNow();

// A parsed template. Immutable: any number of threads may render it at a time.
class ChatTemplate {
 public:
  // `name` appears in errors, usually the file.
  static absl::StatusOr<ChatTemplate> Parse(std::string_view source, std::string_view name,
                                            const ChatTemplateLimits& limits = {});
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // `context` is an object: its members are the template's variables.
  absl::StatusOr<std::string> Render(const OrderedJson& context, const ChatTemplateLimits& limits = {},
                                     const ChatClock& clock = LocalTimeNow) const;

  // What was parsed.
  std::string_view source() const;

 private:
  struct Tree;
  explicit ChatTemplate(std::unique_ptr<const Tree> tree);
  std::unique_ptr<const Tree> tree_;
};

// What transformers' apply_chat_template takes.
struct ChatRequest {
  OrderedJson messages = OrderedJson::array();
  OrderedJson tools;      // null: none given
  OrderedJson documents;  // null: none given
  bool add_generation_prompt = true;
  OrderedJson kwargs = OrderedJson::object();  // enable_thinking and the like; they win over special tokens
};

// The template or templates of a model folder with its special tokens.
class ChatTemplates {
 public:
  // Reads DIR/chat_template.jinja if it exists, else "chat_template" of DIR/tokenizer_config.json, a string
  // or a list of {name, template}. NotFound if the model has none.
  static absl::StatusOr<ChatTemplates> Load(std::string_view dir, const ChatTemplateLimits& limits = {});
  // The same of other files by these names.
  static absl::StatusOr<ChatTemplates> Load(const FileSet& files, const ChatTemplateLimits& limits = {});

  // With several templates "tool_use" is taken when tools are given, else "default".
  absl::StatusOr<std::string> Render(const ChatRequest& request, const ChatClock& clock = LocalTimeNow) const;

  // The text of the template that is taken with tools, or without; empty where there is none for that.
  std::string_view Source(bool tools) const;

 private:
  ChatTemplates() = default;
  const ChatTemplate* Choose(bool tools) const;
  ChatTemplateLimits limits_;
  std::vector<std::pair<std::string, ChatTemplate>> templates_;
  OrderedJson special_tokens_ = OrderedJson::object();  // bos_token ... as transformers' special_tokens_map
};

inline absl::StatusOr<ChatTemplates> LoadChatTemplate(std::string_view dir,
                                                      const ChatTemplateLimits& limits = {}) {
  return ChatTemplates::Load(dir, limits);
}
// Loads and renders in one step.
absl::StatusOr<std::string> RenderChat(std::string_view dir, const ChatRequest& request,
                                       const ChatClock& clock = LocalTimeNow);

}  // namespace qiao::text
