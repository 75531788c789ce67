// From a call to what the engine is asked: the rendered prompt, what the answer is held to, and how it will be read.
#pragma once

#include <string>
#include <vector>

#include "qiao/engine.h"
#include "runtime/serve/api/answer_parser.h"
#include "runtime/serve/api/call.h"

namespace qiao::serve {

// A tool call that the client insists on. The model is not asked whether: its answer is begun for it, and held to the
// name of one of the tools and to arguments that fit its parameters.
struct ForcedTool {
  bool needed = false;
  std::string name;  // "": the model chooses among `names`, in a first run
  std::vector<std::string> names;
};

struct ComposedPrompt {
  std::string text;
  bool rendered = false;  // special tokens in it are tokens
  AnswerFormat format;
  ForcedTool forced;
};

// Of a chat. Errors are the client's.
absl::StatusOr<ComposedPrompt> ComposeChat(const Engine& engine, const Call& call,
                                           const AnswerFormat& format);

// The request for the arguments of `name`, or, where it is "", for the choice among forced.names.
absl::StatusOr<GenerateRequest> ForcedRequest(const Call& call, const ComposedPrompt& prompt,
                                              const std::string& name);

}  // namespace qiao::serve
