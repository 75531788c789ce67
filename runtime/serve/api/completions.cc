// OpenAI's text completions (POST /v1/completions), with `echo` and `logprobs` as lm-evaluation-harness asks.
#include <algorithm>

#include "runtime/serve/api/errors.h"
#include "runtime/serve/api/fields.h"
#include "runtime/serve/api/openai_answer.h"
#include "runtime/serve/api/openai_fields.h"
#include "runtime/serve/api/protocol.h"

namespace qiao::serve {
namespace {

absl::StatusOr<std::vector<int32_t>> ReadIds(const OrderedJson& array, const std::string& path,
                                             const ModelFacts& model) {
  if (array.empty()) return BadParam(path, "is empty");
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const OrderedJson& id = array[i];
    if (!IsTokenId(id, model.vocab)) {
      return BadParam(absl::StrFormat("%s[%d]", path, i),
                      absl::StrFormat("must be a token id of 0..%d", model.vocab - 1));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// A text, several texts, a list of token ids, or several of those.
absl::Status ReadPrompts(const Fields& body, const ModelFacts& model, const ApiLimits& limits, Call& call) {
  const OrderedJson* prompt = body.Find("prompt");
  if (prompt == nullptr) return BadParam("prompt", "is missing");
  if (prompt->is_string()) {
    call.prompts.push_back({prompt->get<std::string>(), {}});
    return absl::OkStatus();
  }
  if (!prompt->is_array() || prompt->empty()) {
    return BadParam("prompt", "must be a string, an array of strings, or an array of token ids");
  }
  if (prompt->front().is_number()) {
    QIAO_ASSIGN_OR_RETURN(std::vector<int32_t> ids, ReadIds(*prompt, "prompt", model));
    call.prompts.push_back({"", std::move(ids)});
    return absl::OkStatus();
  }
  QIAO_RETURN_IF_ERROR(body.Array("prompt", limits.prompts).status());
  for (size_t i = 0; i < prompt->size(); ++i) {
    const OrderedJson& one = (*prompt)[i];
    const std::string path = absl::StrFormat("prompt[%d]", i);
    if (one.type() != prompt->front().type()) {
      return BadParam(path, absl::StrFormat("is %s among prompts that are %s", TypeName(one),
                                            prompt->front().is_string() ? "strings" : "lists of token ids"));
    }
    if (one.is_string()) {
      call.prompts.push_back({one.get<std::string>(), {}});
    } else if (one.is_array()) {
      QIAO_ASSIGN_OR_RETURN(std::vector<int32_t> ids, ReadIds(one, path, model));
      call.prompts.push_back({"", std::move(ids)});
    } else {
      return BadParam(path, "must be a string or an array of token ids");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Call> ParseCompletion(const OrderedJson& json, const ModelFacts& model,
                                     const ApiLimits& limits) {
  QIAO_ASSIGN_OR_RETURN(const Fields body, Fields::Of(json, ""));
  Call call;
  QIAO_RETURN_IF_ERROR(ReadCommon(body, model, limits, call));
  QIAO_RETURN_IF_ERROR(ReadPrompts(body, model, limits, call));
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> echo, body.Bool("echo"));
  call.echo = echo.value_or(false);
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> logprobs, body.Int("logprobs", 0, limits.logprobs));
  if (logprobs) call.spec.logprobs = static_cast<int32_t>(*logprobs);
  // OpenAI's own default of this old route. None is generated where only the prompt is to be scored.
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> most,
                        body.Int("max_tokens", call.echo ? 0 : 1, limits.max_tokens));
  call.spec.max_tokens = most.value_or(16);
  call.has_max_tokens = true;
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> best_of, body.Int("best_of", 1, limits.n));
  if (best_of && *best_of != call.spec.n) {
    return BadParam("best_of", "must be the same as n: the server does not choose among answers");
  }
  QIAO_RETURN_IF_ERROR(body.Refuse("suffix", "is not supported: the model writes on from the prompt only"));
  const OrderedJson* format_json = body.Find("response_format");
  if (format_json != nullptr) {
    QIAO_ASSIGN_OR_RETURN(const Fields format, Fields::Of(*format_json, "response_format"));
    QIAO_RETURN_IF_ERROR(ReadFormat(format, /*nested=*/true, limits, call.spec.constraint));
  }
  return call;
}

// Token texts, their log-probabilities, the likeliest at each place, and where each begins in the text, which counts
// characters, as Python clients cut strings by them.
OrderedJson Logprobs(absl::Span<const ScoredToken> tokens, int64_t& offset) {
  OrderedJson texts = OrderedJson::array(), values = OrderedJson::array(), tops = OrderedJson::array(),
              offsets = OrderedJson::array();
  for (const ScoredToken& token : tokens) {
    texts.push_back(token.token.text);
    values.push_back(token.scored ? OrderedJson(FiniteLogprob(token.logprob)) : OrderedJson());
    OrderedJson top = OrderedJson::object();
    for (const ScoredToken::Alternative& other : token.top) {
      // Several tokens may have one spelling (parts of characters): the likeliest stays.
      if (!top.contains(other.token.text)) top[other.token.text] = FiniteLogprob(other.logprob);
    }
    tops.push_back(token.scored ? std::move(top) : OrderedJson());
    offsets.push_back(offset);
    offset += std::count_if(token.token.text.begin(), token.token.text.end(),
                            [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

constexpr CompletionKind kKind{"cmpl-", "text_completion", "text_completion"};

class CompletionStream : public CompletionChunks {
 public:
  CompletionStream(const Call& call, const AnswerHeader& header)
      : CompletionChunks(kKind, call, header), offsets_(static_cast<size_t>(header.choices), 0) {}

  void Begin(std::string&) override {}

  void Piece(int64_t choice, const AnswerPiece& piece, absl::Span<const ScoredToken> tokens,
             std::string& out) override {
    Text(choice, piece.text, nullptr, tokens, out);
  }

  void End(int64_t choice, const AnswerChoice& whole, std::string& out) override {
    Text(choice, "", std::string(OpenAiFinish(whole.ended)), {}, out);
  }

 private:
  void Text(int64_t choice, const std::string& text, OrderedJson finish, absl::Span<const ScoredToken> tokens,
            std::string& out) {
    OrderedJson logprobs;
    if (!tokens.empty()) logprobs = Logprobs(tokens, offsets_[static_cast<size_t>(choice)]);
    Chunk({{"index", choice},
           {"text", text},
           {"logprobs", std::move(logprobs)},
           {"finish_reason", std::move(finish)}},
          out);
  }

  std::vector<int64_t> offsets_;  // of each choice: characters so far
};

class CompletionProtocol : public Protocol {
 public:
  absl::StatusOr<Call> Parse(const OrderedJson& body, const ModelFacts& model,
                             const ApiLimits& limits) const override {
    return ParseCompletion(body, model, limits);
  }

  OrderedJson Whole(const Call& call, const AnswerHeader& header, const Answer& answer) const override {
    OrderedJson choices = OrderedJson::array();
    for (size_t i = 0; i < answer.choices.size(); ++i) {
      const AnswerChoice& choice = answer.choices[i];
      int64_t offset = 0;
      choices.push_back(
          {{"index", i},
           {"text", choice.content},
           {"logprobs", call.spec.logprobs >= 0 ? Logprobs(choice.tokens, offset) : OrderedJson()},
           {"finish_reason", OpenAiFinish(choice.ended)}});
    }
    return WholeCompletion(kKind, header, std::move(choices), answer.totals);
  }

  std::unique_ptr<AnswerStream> Stream(const Call& call, const AnswerHeader& header) const override {
    return std::make_unique<CompletionStream>(call, header);
  }
  OrderedJson Error(const ApiError& error, std::string_view) const override { return OpenAiError(error); }
};

}  // namespace

const Protocol& Completions() {
  static const auto* const protocol = new CompletionProtocol();
  return *protocol;
}

}  // namespace qiao::serve
