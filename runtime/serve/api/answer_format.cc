#include "runtime/serve/api/answer_format.h"

#include "runtime/base/split_mix.h"
#include "runtime/serve/api/answer_spelling.h"
#include "runtime/serve/api/answer_text.h"

namespace qiao::serve {
namespace {

ToolFormat DetectTools(std::string_view source) {
  const auto has = [&](std::string_view marker) { return Contains(source, marker); };
  if (has(spelling::kKimiCall)) return ToolFormat::kKimi;
  if (has(spelling::kDsmlMark)) {
    return has("tool_calls>") && !has("function_calls>") ? ToolFormat::kDeepSeekV4 : ToolFormat::kDeepSeekV32;
  }
  if (has(spelling::kDeepSeekCall)) {
    return has(spelling::kFence) ? ToolFormat::kDeepSeekV3 : ToolFormat::kDeepSeekV31;
  }
  if (has(spelling::kToolCall)) {
    if (has(spelling::kXmlFunction)) return ToolFormat::kQwenXml;
    // GLM has elements of its own inside.
    return has("<arg_key>") ? ToolFormat::kNone : ToolFormat::kHermes;
  }
  return ToolFormat::kNone;
}

std::string_view ClosedThink(const AnswerFormat& format) {
  if (format.reasoning != ReasoningFormat::kThink || !format.thinking_opened) return "";
  switch (format.tools) {
    case ToolFormat::kDeepSeekV31:
    case ToolFormat::kDeepSeekV32:
    case ToolFormat::kDeepSeekV4:
    case ToolFormat::kKimi:
      return spelling::kThinkClose;
    default:
      return "\n</think>\n\n";
  }
}

}  // namespace

AnswerFormat DetectAnswerFormat(std::string_view chat_template_source) {
  AnswerFormat format;
  format.tools = DetectTools(chat_template_source);
  if (Contains(chat_template_source, spelling::kThinkOpen) ||
      Contains(chat_template_source, spelling::kThinkClose)) {
    format.reasoning = ReasoningFormat::kThink;
  }
  return format;
}

bool EndsInsideThink(std::string_view rendered_prompt) {
  return WithoutTrailingSpace(rendered_prompt).ends_with(spelling::kThinkOpen);
}

std::string MakeCallId(uint64_t seed, int index) {
  constexpr std::string_view kLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  uint64_t state = SplitMix64(seed) ^ SplitMix64(static_cast<uint64_t>(index) + 1);
  std::string id = "call_";
  for (int i = 0; i < 24; ++i) id += kLetters[NextSplitMix64(state) % kLetters.size()];
  return id;
}

AnswerFormat ForcedFormat(AnswerFormat format) {
  if (format.tools == ToolFormat::kNone) format.tools = ToolFormat::kHermes;
  return format;
}

std::string ForcedCallName(const AnswerFormat& format) {
  const std::string_view think = ClosedThink(format);
  switch (format.tools) {
    case ToolFormat::kDeepSeekV3:
      return Joined({think, spelling::kDeepSeekCalls, spelling::kDeepSeekCall, "function",
                     spelling::kDeepSeekSeparator});
    case ToolFormat::kDeepSeekV31:
      return Joined({think, spelling::kDeepSeekCalls, spelling::kDeepSeekCall});
    case ToolFormat::kDeepSeekV32:
      return Joined({think, "\n\n", spelling::kDsmlFunctionCalls, "\n", spelling::kDsmlInvoke});
    case ToolFormat::kDeepSeekV4:
      return Joined({think, "\n\n", spelling::kDsmlToolCalls, "\n", spelling::kDsmlInvoke});
    case ToolFormat::kQwenXml:
      return Joined({think, spelling::kToolCall, "\n", spelling::kXmlFunction});
    case ToolFormat::kKimi:
      return Joined({think, spelling::kKimiCalls, spelling::kKimiCall, spelling::kKimiPrefix});
    case ToolFormat::kNone:
    case ToolFormat::kHermes:
      break;
  }
  return Joined({think, spelling::kToolCall, "\n{\"name\": \""});
}

std::string ForcedCallArguments(const AnswerFormat& format, int index) {
  switch (format.tools) {
    case ToolFormat::kDeepSeekV3:
      return Joined({"\n", spelling::kFence, "\n"});
    case ToolFormat::kDeepSeekV31:
      return std::string(spelling::kDeepSeekSeparator);
    case ToolFormat::kDeepSeekV32:
    case ToolFormat::kDeepSeekV4:
      return Joined({spelling::kDsmlInvokeOpened, "\n"});
    case ToolFormat::kQwenXml:
      return Joined({spelling::kXmlOpened, "\n"});
    case ToolFormat::kKimi:
      return Joined({":", std::to_string(index), spelling::kKimiArguments});
    case ToolFormat::kNone:
    case ToolFormat::kHermes:
      break;
  }
  return "\", \"arguments\": ";
}

std::string ForcedCallEnd(const AnswerFormat& format) {
  switch (format.tools) {
    case ToolFormat::kDeepSeekV3:
      return Joined({"\n", spelling::kFencedCallEnd, spelling::kDeepSeekCallsEnd});
    case ToolFormat::kDeepSeekV31:
      return Joined({spelling::kDeepSeekCallEnd, spelling::kDeepSeekCallsEnd});
    case ToolFormat::kDeepSeekV32:
      return Joined({"\n", spelling::kDsmlInvokeEnd, "\n", spelling::kDsmlFunctionCallsEnd});
    case ToolFormat::kDeepSeekV4:
      return Joined({"\n", spelling::kDsmlInvokeEnd, "\n", spelling::kDsmlToolCallsEnd});
    case ToolFormat::kQwenXml:
      return Joined({"\n", spelling::kXmlFunctionEnd, "\n", spelling::kToolCallEnd});
    case ToolFormat::kKimi:
      return Joined({spelling::kKimiCallEnd, spelling::kKimiCallsEnd});
    case ToolFormat::kNone:
    case ToolFormat::kHermes:
      break;
  }
  return Joined({"}\n", spelling::kToolCallEnd});
}

std::string ForcedCallId(const AnswerFormat& format, std::string_view name, uint64_t seed, int index) {
  if (format.tools == ToolFormat::kKimi)
    return Joined({spelling::kKimiPrefix, name, ":", std::to_string(index)});
  return MakeCallId(seed, index);
}

}  // namespace qiao::serve
