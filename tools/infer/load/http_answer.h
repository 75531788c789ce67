// What becomes of one request over HTTP: its answer's bytes, and the record that they fill.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/infer/load/http_response.h"
#include "tools/infer/load/openai_api.h"
#include "tools/infer/load/record.h"
#include "tools/infer/load/sse.h"

namespace qiao::tools {

// A token's time is when the text came that it is part of. Where usage tells that the pieces of text were more tokens
// than pieces (several accepted drafts; bytes of one character), these are spread evenly over the pieces since usage
// told last; without usage each piece is one token.
class HttpAnswer {
 public:
  static constexpr size_t kMostErrorBody = 64 << 10;

  // Fills the record, which outlives it. `more` may be null: it sees each chunk.
  explicit HttpAnswer(RequestRecord& record, std::function<void(const CompletionChunk&)> more = nullptr)
      : record_(record), more_(std::move(more)) {}

  void Head(const HttpHead& head);
  void Body(std::string_view piece, Clock::time_point now);
  // Decides the outcome: `status` is that of the exchange.
  void End(const absl::Status& status, Clock::time_point now);

  // That the rest of the answer does not matter: it is no stream that can be read.
  bool hopeless() const { return !failure_.empty(); }
  int http_status() const { return status_; }
  std::string_view retry_after() const { return retry_after_; }

 private:
  void Take(const SseEvent& event, Clock::time_point now);
  void Count(int64_t total);

  RequestRecord& record_;
  std::function<void(const CompletionChunk&)> more_;
  SseReader events_;
  std::vector<Clock::time_point> pieces_;  // that are not counted yet
  int status_ = 0;
  bool stream_ = false, done_ = false;
  std::string retry_after_, finish_, failure_, body_;
};

}  // namespace qiao::tools
