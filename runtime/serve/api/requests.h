// From a call to what the engine is asked: one request, or several that are answered together.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "qiao/engine.h"
#include "runtime/serve/api/call.h"
#include "runtime/serve/api/prompt.h"

namespace qiao::serve {

// One request to the engine. A call has several where it has several prompts, or where the choices of a forced tool
// go separate ways.
struct Part {
  int64_t first_choice = 0;
  int64_t choices = 1;
  bool counts_prompt = true;  // the first of its prompt
  bool naming = false;        // the model is choosing among the tools that may be called
};

struct EngineRequests {
  ComposedPrompt prompt;  // of a chat
  std::vector<Part> parts;
  std::vector<GenerateRequest> requests;  // of each part
  int64_t prompt_tokens = 0;              // of a chat
};

// call.spec is complete. Where the call is echoed, its prompts have their texts afterwards; ids go to the requests.
// Errors are the client's.
absl::StatusOr<EngineRequests> MakeRequests(const Engine& engine, const AnswerFormat& format, Call& call);

// INVALID_ARGUMENT for a prompt that is too long whatever its tokens are.
absl::Status CheckPromptBytes(const Engine& engine, std::string_view prompt);
// The tokens of a rendered chat, as the engine would cut it. Errors as CheckPromptBytes.
absl::StatusOr<std::vector<int32_t>> ChatTokens(const Engine& engine, std::string_view prompt);

}  // namespace qiao::serve
