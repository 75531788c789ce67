// How a model spells its thoughts and tool calls, told from its chat template; and the text with which a call that
// the client demands begins, so that the model only fills in a name and arguments.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qiao::serve {

enum class ToolFormat {
  kNone,
  kDeepSeekV3,  // and R1: <｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME, then JSON between ```json fences
  kDeepSeekV31,  // <｜tool▁call▁begin｜>NAME<｜tool▁sep｜>JSON<｜tool▁call▁end｜>
  kDeepSeekV32,  // <｜DSML｜function_calls> with invoke and parameter elements
  kDeepSeekV4,   // the same within <｜DSML｜tool_calls>
  kHermes,       // and Qwen: <tool_call>{"name": .., "arguments": ..}</tool_call>
  kQwenXml,  // Qwen3-Coder: <tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>
  kKimi,     // <|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>JSON<|tool_call_end|>
};

enum class ReasoningFormat {
  kNone,
  kThink,  // <think>..</think> before the answer
};

struct AnswerFormat {
  ToolFormat tools = ToolFormat::kNone;
  ReasoningFormat reasoning = ReasoningFormat::kNone;
  bool thinking_opened = false;  // the rendered prompt ends with an open <think>

  bool operator==(const AnswerFormat&) const = default;
};

// By the markers in the template's source. `thinking_opened` depends on the prompt and is false here. Formats that are
// not listed above (GLM's, Mistral's, gpt-oss's) are kNone.
AnswerFormat DetectAnswerFormat(std::string_view chat_template_source);

// Whether the prompt ends with <think> and white space. Ask only where the format's reasoning is kThink: elsewhere the
// words may be a user's.
bool EndsInsideThink(std::string_view rendered_prompt);

// An id of a call: "call_" and 24 letters and digits, the same for the same seed and index.
std::string MakeCallId(uint64_t seed, int index);

// A call that must be made (tool_choice "required" or a tool's name). The server renders the prompt, appends
// ForcedCallName, lets the model choose among the names (or sets the one), appends ForcedCallArguments and lets the
// model write a JSON object by the tool's schema:
//
//   ForcedCallName | NAME | ForcedCallArguments | {...} | ForcedCallEnd
//
// All is text as a rendered prompt has it: markers are special tokens where the tokenizer knows them. A format without
// tools gets the Hermes spelling. Where the prompt has an open <think>, ForcedCallName closes it first. The whole,
// given to an AnswerParser of ForcedFormat(format), is one call with exactly these arguments (for the DeepSeek-V3 and
// V3.1 and Kimi formats as long as they do not contain the end marker's spelling).
AnswerFormat ForcedFormat(AnswerFormat format);
std::string ForcedCallName(const AnswerFormat& format);
// `index`: how many calls the conversation has already; Kimi's names count them.
std::string ForcedCallArguments(const AnswerFormat& format, int index = 0);
std::string ForcedCallEnd(const AnswerFormat& format);
// The id of such a call: Kimi's "functions.NAME:INDEX", else MakeCallId.
std::string ForcedCallId(const AnswerFormat& format, std::string_view name, uint64_t seed, int index = 0);

}  // namespace qiao::serve
