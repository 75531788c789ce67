#include "runtime/serve/api/requests.h"

#include <algorithm>
#include <utility>

#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

constexpr char kTooLong[] = "context_length_exceeded";

absl::Status AddForced(const Engine& engine, const Call& call, EngineRequests& out) {
  QIAO_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ChatTokens(engine, out.prompt.text));
  out.prompt_tokens = static_cast<int64_t>(ids.size());
  for (int32_t i = 0; i < call.spec.n; ++i) {
    QIAO_ASSIGN_OR_RETURN(GenerateRequest request, ForcedRequest(call, out.prompt, out.prompt.forced.name));
    request.sampling.seed += static_cast<uint64_t>(i);
    out.parts.push_back(
        {.first_choice = i, .counts_prompt = i == 0, .naming = out.prompt.forced.name.empty()});
    out.requests.push_back(std::move(request));
  }
  return absl::OkStatus();
}

absl::Status AddChat(const Engine& engine, const Call& call, EngineRequests& out) {
  GenerateRequest request = call.spec;
  QIAO_ASSIGN_OR_RETURN(request.ids, ChatTokens(engine, out.prompt.text));
  out.prompt_tokens = static_cast<int64_t>(request.ids.size());
  if (out.prompt_tokens >= engine.context()) {
    return WithErrorCode(
        InvalidArgument("the prompt has %d tokens, and with one to generate that is more than the context of "
                        "%d tokens; shorten the messages",
                        out.prompt_tokens, engine.context()),
        kTooLong);
  }
  request.rendered = true;
  request.special_text = out.prompt.format != AnswerFormat();
  out.parts.push_back({.first_choice = 0, .choices = request.n});
  out.requests.push_back(std::move(request));
  return absl::OkStatus();
}

absl::Status AddTexts(const Engine& engine, Call& call, EngineRequests& out) {
  if (call.echo && call.stream && call.spec.logprobs >= 0) {
    return BadParam("echo", "with logprobs cannot be streamed; ask without stream");
  }
  for (Call::Prompt& prompt : call.prompts) {
    GenerateRequest request = call.spec;
    if (call.echo) {
      if (!prompt.ids.empty()) {
        Result<std::string> text = engine.Detokenize(prompt.ids, /*special_text=*/true);
        if (!text.ok()) return FromPublic(text.status());
        prompt.text = *std::move(text);
      }
      // Where only the prompt is scored, nothing is generated.
      if (request.logprobs >= 0 || request.max_tokens == 0) {
        request.prompt_logprobs = std::max(0, request.logprobs);
      }
    }
    if (prompt.ids.empty()) {
      QIAO_RETURN_IF_ERROR(CheckPromptBytes(engine, prompt.text));
      request.prompt = prompt.text;
    } else {
      request.ids = std::move(prompt.ids);
    }
    out.parts.push_back(
        {.first_choice = static_cast<int64_t>(out.parts.size()) * request.n, .choices = request.n});
    out.requests.push_back(std::move(request));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPromptBytes(const Engine& engine, std::string_view prompt) {
  const int64_t most = engine.MostPromptBytes();
  if (most == 0 || static_cast<int64_t>(prompt.size()) <= most) return absl::OkStatus();
  return WithErrorCode(
      InvalidArgument("the prompt has %d bytes, which cannot fit the context of %d tokens; shorten it",
                      prompt.size(), engine.context()),
      kTooLong);
}

absl::StatusOr<std::vector<int32_t>> ChatTokens(const Engine& engine, std::string_view prompt) {
  QIAO_RETURN_IF_ERROR(CheckPromptBytes(engine, prompt));
  Result<std::vector<int32_t>> ids = engine.Tokenize(prompt, /*add_special=*/false);
  if (!ids.ok()) return FromPublic(ids.status());
  return *std::move(ids);
}

absl::StatusOr<EngineRequests> MakeRequests(const Engine& engine, const AnswerFormat& format, Call& call) {
  EngineRequests out;
  if (!call.chat) {
    QIAO_RETURN_IF_ERROR(AddTexts(engine, call, out));
    return out;
  }
  QIAO_ASSIGN_OR_RETURN(out.prompt, ComposeChat(engine, call, format));
  // An answer that must be JSON has no other parts.
  if (call.spec.constraint.kind != Constraint::Kind::kNone) out.prompt.format = AnswerFormat();
  QIAO_RETURN_IF_ERROR(out.prompt.forced.needed ? AddForced(engine, call, out) : AddChat(engine, call, out));
  return out;
}

}  // namespace qiao::serve
