// What the load generator reads from a server: an HTTP answer with an event stream. However the bytes are cut, it means
// the same. The first byte says how large the pieces are.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/check.h"
#include "tools/infer/load/http_answer.h"
#include "tools/infer/load/http_response.h"

namespace {

using namespace qiao;
using namespace qiao::tools;

constexpr int64_t kAsked = 8;

struct Told {
  int status = 0;
  bool failed = false, done = false;
  std::string text, error;
  size_t tokens = 0;
  RequestRecord::Outcome outcome = RequestRecord::Outcome::kUnsent;
};

Told Read(std::string_view bytes, size_t step) {
  Told told;
  RequestRecord record;
  record.asked_tokens = kAsked;
  HttpAnswer answer(record, [&](const CompletionChunk& chunk) { told.text += chunk.text; });
  HttpResponseReader reader(
      [&](const HttpHead& head) {
        QIAO_FUZZ_CHECK(head.status >= 200 || head.status == 0 || head.status < 100);
        answer.Head(head);
      },
      [&](std::string_view piece) {
        QIAO_FUZZ_CHECK(!piece.empty());
        answer.Body(piece, Clock::time_point());
      });
  absl::Status status;
  for (size_t at = 0; at < bytes.size() && !reader.done();) {
    const std::string_view piece = bytes.substr(at, step);
    const absl::StatusOr<size_t> used = reader.Feed(piece);
    if (!used.ok()) {
      status = used.status();
      break;
    }
    QIAO_FUZZ_CHECK(*used <= piece.size() && (reader.done() || *used == piece.size()));
    at += *used;
  }
  told.failed = !status.ok();
  told.done = reader.done();
  if (status.ok() && !reader.done()) status = reader.Close();
  answer.End(status, Clock::time_point());
  told.status = answer.http_status();
  told.tokens = record.tokens.size();
  told.outcome = record.outcome;
  told.error = record.error;
  QIAO_FUZZ_CHECK(told.outcome != RequestRecord::Outcome::kUnsent);
  QIAO_FUZZ_CHECK((told.outcome == RequestRecord::Outcome::kFinished) || !told.error.empty());
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const Told whole = Read(bytes, bytes.size() + 1), cut = Read(bytes, size_t{data[0]} % 32 + 1);
  QIAO_FUZZ_CHECK(whole.done == cut.done && whole.status == cut.status);
  QIAO_FUZZ_CHECK(whole.text == cut.text && whole.tokens == cut.tokens && whole.outcome == cut.outcome);
  // What is not HTTP may be known as soon as it comes, or at its end.
  if (!whole.failed && !cut.failed) QIAO_FUZZ_CHECK(whole.error == cut.error);
  return 0;
}
