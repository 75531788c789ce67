// The markers that models put around their thoughts and tool calls, as their chat templates and tokenizers spell
// them. Bars are U+FF5C and low blocks U+2581 in DeepSeek's, ASCII in Kimi's.
#pragma once

#include <string_view>

namespace qiao::serve::spelling {

inline constexpr std::string_view kThinkOpen = "<think>";
inline constexpr std::string_view kThinkClose = "</think>";

// DeepSeek-V3, R1 and V3.1.
inline constexpr std::string_view kDeepSeekCalls = "<｜tool▁calls▁begin｜>";
inline constexpr std::string_view kDeepSeekCallsEnd = "<｜tool▁calls▁end｜>";
inline constexpr std::string_view kDeepSeekCall = "<｜tool▁call▁begin｜>";
inline constexpr std::string_view kDeepSeekCallEnd = "<｜tool▁call▁end｜>";
inline constexpr std::string_view kDeepSeekSeparator = "<｜tool▁sep｜>";
inline constexpr std::string_view kFencedCallEnd = "```<｜tool▁call▁end｜>";
inline constexpr std::string_view kFencedLineCallEnd = "```\n<｜tool▁call▁end｜>";
inline constexpr std::string_view kFence = "```json";

// DeepSeek-V3.2 and V4: the same but for one word.
inline constexpr std::string_view kDsmlMark = "｜DSML｜";
inline constexpr std::string_view kDsmlFunctionCalls = "<｜DSML｜function_calls>";
inline constexpr std::string_view kDsmlFunctionCallsEnd = "</｜DSML｜function_calls>";
inline constexpr std::string_view kDsmlToolCalls = "<｜DSML｜tool_calls>";
inline constexpr std::string_view kDsmlToolCallsEnd = "</｜DSML｜tool_calls>";
inline constexpr std::string_view kDsmlInvoke = "<｜DSML｜invoke name=\"";
inline constexpr std::string_view kDsmlInvokeOpened = "\">";
inline constexpr std::string_view kDsmlInvokeEnd = "</｜DSML｜invoke>";
inline constexpr std::string_view kDsmlParameter = "<｜DSML｜parameter name=\"";
inline constexpr std::string_view kDsmlParameterEnd = "</｜DSML｜parameter>";

// Hermes and Qwen; Qwen3-Coder has elements instead of JSON inside.
inline constexpr std::string_view kToolCall = "<tool_call>";
inline constexpr std::string_view kToolCallEnd = "</tool_call>";
inline constexpr std::string_view kXmlFunction = "<function=";
inline constexpr std::string_view kXmlFunctionEnd = "</function>";
inline constexpr std::string_view kXmlParameter = "<parameter=";
inline constexpr std::string_view kXmlParameterEnd = "</parameter>";
inline constexpr std::string_view kXmlParameterLineEnd = "\n</parameter>";
inline constexpr std::string_view kXmlOpened = ">";

// Kimi-K2.
inline constexpr std::string_view kKimiCalls = "<|tool_calls_section_begin|>";
inline constexpr std::string_view kKimiCallsEnd = "<|tool_calls_section_end|>";
inline constexpr std::string_view kKimiCall = "<|tool_call_begin|>";
inline constexpr std::string_view kKimiCallEnd = "<|tool_call_end|>";
inline constexpr std::string_view kKimiArguments = "<|tool_call_argument_begin|>";
inline constexpr std::string_view kKimiPrefix = "functions.";

}  // namespace qiao::serve::spelling
