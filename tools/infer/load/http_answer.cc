#include "tools/infer/load/http_answer.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {

void HttpAnswer::Head(const HttpHead& head) {
  status_ = head.status;
  retry_after_ = head.Header("retry-after");
  stream_ =
      status_ == 200 && absl::StartsWithIgnoreCase(Abs(head.Header("content-type")), "text/event-stream");
  if (status_ == 200 && !stream_) {
    failure_ = absl::StrCat("the answer is \"", Printable(head.Header("content-type").substr(0, 100)),
                            "\", not text/event-stream");
  }
}

void HttpAnswer::Body(std::string_view piece, Clock::time_point now) {
  if (!stream_) {
    body_.append(piece.substr(0, kMostErrorBody - std::min(kMostErrorBody, body_.size())));
    return;
  }
  if (hopeless()) return;
  const absl::Status status = events_.Feed(piece, [&](const SseEvent& event) { Take(event, now); });
  if (!status.ok()) failure_ = Message(status);
}

void HttpAnswer::Take(const SseEvent& event, Clock::time_point now) {
  if (done_ || hopeless()) return;
  const absl::StatusOr<CompletionChunk> chunk = ReadChunk(event);
  if (!chunk.ok()) {
    failure_ = Message(chunk.status());
    return;
  }
  if (more_) more_(*chunk);
  if (!chunk->error.empty()) {
    failure_ = chunk->error;
    return;
  }
  done_ = chunk->done;
  if (!chunk->finish.empty()) finish_ = chunk->finish;
  if (chunk->piece) pieces_.push_back(now);
  if (chunk->prompt_tokens) record_.prompt_tokens = *chunk->prompt_tokens;
  if (chunk->cached_tokens) record_.cached_tokens = *chunk->cached_tokens;
  if (chunk->queue_seconds) record_.queue_seconds = *chunk->queue_seconds;
  if (chunk->drafted) record_.drafted = *chunk->drafted;
  if (chunk->accepted) record_.accepted = *chunk->accepted;
  if (chunk->completion_tokens) Count(*chunk->completion_tokens);
}

void HttpAnswer::Count(int64_t total) {
  const auto noted = static_cast<int64_t>(record_.tokens.size()),
             pieces = static_cast<int64_t>(pieces_.size());
  // No more than was asked for, whatever the server says.
  const int64_t fresh = std::min(total, record_.asked_tokens) - noted;
  if (fresh <= 0 || pieces == 0) return;
  for (int64_t i = 0; i < fresh; ++i)
    record_.tokens.push_back(pieces_[static_cast<size_t>(i * pieces / fresh)]);
  pieces_.clear();
}

void HttpAnswer::End(const absl::Status& status, Clock::time_point now) {
  using Outcome = RequestRecord::Outcome;
  record_.ended = now;
  if (record_.tokens.empty()) Count(static_cast<int64_t>(pieces_.size()));
  if (absl::IsCancelled(status) && !hopeless()) {
    record_.outcome = Outcome::kCancelled;
    return;
  }
  const bool refused = status_ == 429 || status_ == 503;
  if (status_ != 0 && status_ != 200) {
    record_.outcome = refused ? Outcome::kRefused : Outcome::kFailed;
    record_.error = absl::StrCat(status_, ": ", ErrorText(body_));
    return;
  }
  record_.outcome = Outcome::kFailed;
  if (hopeless()) {
    record_.error = failure_;
  } else if (!status.ok()) {
    record_.error = Message(status);
  } else if (!done_ && finish_.empty()) {
    record_.error = "the stream ended without saying why";
  } else {
    record_.outcome = Outcome::kFinished;
    if (static_cast<int64_t>(record_.tokens.size()) < record_.asked_tokens) {
      record_.error =
          absl::StrCat("it ended before it had all its tokens: ", Printable(finish_.substr(0, 40)));
    }
  }
}

}  // namespace qiao::tools
