// The tools that a request declares, and which of them the model should call: from the three spellings of
// OpenAI's chat and responses APIs and Anthropic's messages API into one form.
//
// Errors are errors.h's BadParam, with the path of what is wrong: "tools[3].function.name: ...". Members that are not
// known are ignored, as clients send hints of many kinds.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::serve {

inline constexpr size_t kMaxTools = 128;

enum class ToolDialect {
  kChat,       // {"type": "function", "function": {"name", "description", "parameters", "strict"}}
  kResponses,  // {"type": "function", "name", "description", "parameters", "strict"}
  kAnthropic,  // {"name", "description", "input_schema"}
};

struct Tool {
  std::string name;         // 1 to 64 letters, digits, '_' and '-'; 128 in Anthropic's dialect
  std::string description;  // "" where there is none
  OrderedJson parameters;  // a JSON schema, always an object; {"type": "object", "properties": {}} by default
  std::optional<bool> strict;
};

struct ToolList {
  std::vector<Tool> tools;  // no name twice, at most kMaxTools

  bool empty() const { return tools.empty(); }
  // Null where there is none of that name.
  const Tool* Find(std::string_view name) const;
};

struct ToolChoice {
  enum class Kind {
    kAuto,
    kNone,      // none may be called
    kRequired,  // at least one
    kNamed,     // that one
  };
  Kind kind = Kind::kAuto;
  std::string name;  // of kNamed
  // Anthropic's disable_parallel_tool_use: the answer should end after its first call.
  bool single = false;
};

// `tools` is the member of the request as it came; null is an empty list.
absl::StatusOr<ToolList> ParseTools(const OrderedJson& tools, ToolDialect dialect);

// `choice` is the request's tool_choice; null is kAuto where there are tools, else kNone. kRequired and kNamed need
// tools; without any, "auto" is kNone.
absl::StatusOr<ToolChoice> ParseToolChoice(const OrderedJson& choice, ToolDialect dialect,
                                           const ToolList& tools);

// The form that chat templates expect, OpenAI's; null for an empty list. A description is always there, since
// templates add it to other text, `strict` where it was given.
OrderedJson ToChatTools(const ToolList& tools);

}  // namespace qiao::serve
