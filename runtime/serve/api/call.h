// What a client asks for, whatever the protocol: each protocol's parser makes one, and one place runs them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qiao/engine.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/serve/api/limits.h"
#include "runtime/serve/api/tools.h"

namespace qiao::serve {

struct Call {
  std::string model;  // as the client named it; "" the one that is served

  // Of a chat: messages in the form that chat templates take (OpenAI's: role, content as a string, tool_calls with
  // arguments as an object, tool_call_id, name, reasoning_content), tools, and more of the template's variables.
  bool chat = false;
  OrderedJson messages = OrderedJson::array();
  ToolList tools;
  ToolChoice tool_choice;
  bool parallel_tool_calls = true;
  OrderedJson template_kwargs = OrderedJson::object();
  // The last message is the beginning of the answer (Anthropic's prefill), not to be closed.
  bool continue_final = false;

  // Else: prompts, each a text or token ids.
  struct Prompt {
    std::string text;
    std::vector<int32_t> ids;
  };
  std::vector<Prompt> prompts;
  bool echo = false;  // the answer begins with the prompt

  // All but the prompt, the callbacks and special_text. max_tokens is only valid with has_max_tokens; else what the
  // context leaves.
  GenerateRequest spec;
  bool has_max_tokens = false;
  std::optional<uint64_t> seed;  // absent: another one for each request

  bool stream = false;
  bool include_usage = false;  // of a stream
  bool efficiency = false;     // tell what the model's techniques saved
  OrderedJson echo_fields;     // what the protocol's answer repeats of the request (Responses)
};

// What the parsers need to know of the model.
struct ModelFacts {
  std::string id;  // the name it is served by
  int64_t vocab = 0, context = 0;
  SamplingParams sampling;  // where the client does not say
};

}  // namespace qiao::serve
