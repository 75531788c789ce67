#include "runtime/engine/request.h"

#include <algorithm>
#include <utility>

#include "runtime/engine/no_throw.h"

namespace qiao::engine {

OperationObserver* Request::observer(bool prefill) {
  if (!spec.on_operation) return nullptr;
  if (!observing) observing.emplace(spec.on_operation);
  observing->prefill = prefill;
  return &*observing;
}

absl::Status Request::Progress(int64_t tokens) {
  if (!spec.prefill_progress) return absl::OkStatus();
  return NoThrow([&] { spec.prefill_progress(tokens, result.prompt_tokens); });
}

absl::Status Request::Score(absl::Span<const float> logits, SamplerScratch& scratch) {
  return NoThrow([&]() -> absl::Status {
    const auto next = static_cast<size_t>(scored) + 1;
    if (next < spec.ids.size()) {
      QIAO_ASSIGN_OR_RETURN(const Sampled sampled,
                            Sampler::Score(logits, spec.ids[next], spec.prompt_logprobs, scratch));
      result.prompt_logprobs.push_back(sampled.logprob);
      result.prompt_top_logprobs.emplace_back(sampled.top().begin(), sampled.top().end());
    }
    ++scored;
    return absl::OkStatus();
  });
}

void Request::Done() {
  // There is nobody left to tell of an exception.
  static_cast<void>(NoThrow([&] {
    if (failure.ok()) {
      on_done(std::move(result));
    } else {
      on_done(failure);
    }
  }));
}

Stream::Stream(Request& request, int32_t choice, const text::Tokenizer* tokenizer)
    : request_(request),
      choice_(choice),
      prompt_(static_cast<int64_t>(request.spec.ids.size())),
      tokens_(request.spec.ids),
      sampler_(Sampler(request.sampling, request.spec.max_tokens).Fork(choice)),
      stops_(request.spec.stop) {
  sampler_.Prompt(request.spec.ids);
  if (request.constraint != nullptr) {
    constraint_.emplace(request.constraint, request.trie);
    mask_.resize(request.trie->mask_words());
  }
  if (tokenizer != nullptr) detokenizer_.emplace(tokenizer, /*skip_special=*/!request.spec.special_text);
}

absl::Status Stream::Emit(int32_t id, const std::string& text, const Sampled& sampled) {
  if (!request_.on_token) return absl::OkStatus();
  const Token token{
      .choice = choice_, .id = id, .text = text, .logprob = sampled.logprob, .top = sampled.top()};
  if (!request_.on_token(token)) request_.dropped->store(true);
  return absl::OkStatus();
}

absl::Status Stream::Take(absl::Span<const float> logits, int32_t argmax, SamplerScratch& scratch) {
  return NoThrow([&] { return TakeOrThrow(logits, argmax, scratch); });
}

// Where the answer may end, tokens that end a text are allowed too.
void Stream::FillMask() {
  constraint_->FillMask(absl::MakeSpan(mask_));
  if (!constraint_->CanEnd()) return;
  for (int32_t id : request_.ends) {
    const auto word = static_cast<size_t>(id) / 32;
    if (id >= 0 && word < mask_.size()) mask_[word] |= uint32_t{1} << (id % 32);
  }
}

absl::Status Stream::TakeOrThrow(absl::Span<const float> logits, int32_t argmax, SamplerScratch& scratch) {
  if (constraint_) {
    if (constraint_->MustEnd()) return End(Finish::kEndOfText);
    FillMask();
  }
  QIAO_ASSIGN_OR_RETURN(const Sampled sampled,
                        sampler_.Sample({.logits = logits, .mask = mask_, .argmax = argmax}, scratch));
  const auto is = [&](const std::vector<int32_t>& ids) {
    return std::find(ids.begin(), ids.end(), sampled.id) != ids.end();
  };
  if (is(request_.ends) || is(request_.spec.stop_tokens)) {
    result().stop_token = sampled.id;
    return End(is(request_.ends) ? Finish::kEndOfText : Finish::kStop);
  }
  if (constraint_ && !constraint_->Accept(sampled.id))
    return Internal("token %d was allowed by the constraint's mask and then refused", sampled.id);
  sampler_.Accept(sampled.id);
  tokens_.push_back(sampled.id);
  Choice& out = result();
  out.ids.push_back(sampled.id);
  if (request_.spec.logprobs >= 0) {
    out.logprobs.push_back(sampled.logprob);
    out.top_logprobs.emplace_back(sampled.top().begin(), sampled.top().end());
  }
  std::string piece;
  if (detokenizer_) piece = stops_.Push(detokenizer_->Push(sampled.id));
  out.text += piece;
  QIAO_RETURN_IF_ERROR(Emit(sampled.id, piece, sampled));
  if (stops_.stopped()) return End(Finish::kStop);
  if (constraint_ && constraint_->MustEnd()) return End(Finish::kEndOfText);
  if (generated() >= request_.spec.max_tokens) return End(Finish::kLength);
  return absl::OkStatus();
}

absl::Status Stream::End(Finish finish) {
  finished_ = true;
  return NoThrow([&] { return EndOrThrow(finish); });
}

void Stream::StopAtText() {
  Choice& out = result();
  out.finish = Finish::kStop;
  out.stop = request_.spec.stop[static_cast<size_t>(stops_.matched())];
  out.stop_token = -1;
}

// What was held back comes now: an unfinished character, the beginning of a stop string that did not come.
absl::Status Stream::EndOrThrow(Finish finish) {
  Choice& out = result();
  out.finish = finish;
  if (stops_.stopped()) StopAtText();
  if (!detokenizer_ || stops_.stopped()) return absl::OkStatus();
  std::string rest = stops_.Push(detokenizer_->Finish());
  if (!stops_.stopped()) rest += stops_.Finish();
  if (stops_.stopped()) StopAtText();
  out.text += rest;
  if (rest.empty() || request_.cancelled()) return absl::OkStatus();
  return Emit(-1, rest, {});
}

}  // namespace qiao::engine
