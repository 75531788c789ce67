#include "runtime/serve/api/answer_markers.h"

#include "absl/strings/ascii.h"
#include "runtime/serve/api/answer_spelling.h"

namespace qiao::serve {

const CallMarkers& MarkersOf(ToolFormat format) {
  namespace s = spelling;
  static const auto* const none = new CallMarkers;
  static const auto* const deepseek =
      new CallMarkers{{s::kDeepSeekCalls},
                      s::kDeepSeekCall,
                      s::kDeepSeekSeparator,
                      "",
                      {s::kDeepSeekCallEnd, s::kFencedCallEnd, s::kFencedLineCallEnd, s::kDeepSeekCallsEnd},
                      true};
  static const auto* const dsml =
      new CallMarkers{{s::kDsmlFunctionCalls, s::kDsmlToolCalls},
                      s::kDsmlInvoke,
                      s::kDsmlInvokeOpened,
                      s::kDsmlParameter,
                      {s::kDsmlInvokeEnd, s::kDsmlFunctionCallsEnd, s::kDsmlToolCallsEnd},
                      true};
  static const auto* const hermes = new CallMarkers{{}, s::kToolCall, "", "", {s::kToolCallEnd}, false};
  static const auto* const xml = new CallMarkers{
      {s::kToolCall}, s::kXmlFunction, s::kXmlOpened, s::kXmlParameter, {s::kXmlFunctionEnd, s::kToolCallEnd},
      false};
  static const auto* const kimi = new CallMarkers{
      {s::kKimiCalls}, s::kKimiCall, s::kKimiArguments, "", {s::kKimiCallEnd, s::kKimiCallsEnd}, true};
  switch (format) {
    case ToolFormat::kNone:
      return *none;
    case ToolFormat::kDeepSeekV3:
    case ToolFormat::kDeepSeekV31:
      return *deepseek;
    case ToolFormat::kDeepSeekV32:
    case ToolFormat::kDeepSeekV4:
      return *dsml;
    case ToolFormat::kHermes:
      return *hermes;
    case ToolFormat::kQwenXml:
      return *xml;
    case ToolFormat::kKimi:
      return *kimi;
  }
  return *none;
}

bool IsFunctionNameByte(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.'; }

bool IsFunctionName(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  for (const char c : name) {
    if (!IsFunctionNameByte(c)) return false;
  }
  return true;
}

}  // namespace qiao::serve
