#include "tools/infer/load/http_response.h"

#include <boost/beast/http/basic_parser.hpp>
#include <limits>

#include "absl/strings/match.h"

namespace qiao::tools {
namespace {

namespace beast = boost::beast;
using beast::error_code;
using beast::string_view;

std::string_view Std(string_view s) { return {s.data(), s.size()}; }

}  // namespace

std::string_view HttpHead::Header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (absl::EqualsIgnoreCase(Abs(key), Abs(name))) return value;
  }
  return {};
}

class HttpResponseReader::Parser : public beast::http::basic_parser<false> {
 public:
  explicit Parser(HttpResponseReader& reader) : reader_(reader) {
    eager(true);
    header_limit(kMostHeaderBytes);
    // boost::none would refuse every body with a length (Boost 1.74).
    body_limit(std::numeric_limits<uint64_t>::max());
  }
  bool informational() const { return head_.status >= 100 && head_.status < 200; }

 private:
  void on_request_impl(beast::http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int, error_code&) override { head_.status = code; }
  void on_field_impl(beast::http::field, string_view name, string_view value, error_code&) override {
    head_.headers.emplace_back(Std(name), Std(value));
  }
  void on_header_impl(error_code&) override {
    if (!informational()) reader_.head_(head_);
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view body, error_code&) override { return Take(body); }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override { return Take(body); }
  void on_finish_impl(error_code&) override {}

  std::size_t Take(string_view body) {
    if (!body.empty()) reader_.body_(Std(body));
    return body.size();
  }

  HttpResponseReader& reader_;
  HttpHead head_;
};

HttpResponseReader::HttpResponseReader(std::function<void(const HttpHead&)> head,
                                       std::function<void(std::string_view)> body)
    : head_(std::move(head)), body_(std::move(body)), parser_(std::make_unique<Parser>(*this)) {}
HttpResponseReader::~HttpResponseReader() = default;

absl::StatusOr<size_t> HttpResponseReader::Feed(std::string_view bytes) {
  const size_t before = rest_.size();
  begun_ |= !bytes.empty();
  std::string joined;
  std::string_view input = bytes;
  if (before > 0) {
    joined = std::move(rest_);
    rest_.clear();
    joined.append(bytes);
    input = joined;
  }
  size_t used = 0;
  while (used < input.size() && !parser_->is_done()) {
    error_code error;
    const size_t n = parser_->put({input.data() + used, input.size() - used}, error);
    used += n;
    if (error == beast::http::error::need_more) {
      if (n > 0 && used < input.size()) continue;
      break;
    }
    if (error) return DataLoss("the server's answer is not HTTP: %s", error.message());
    if (parser_->is_done() && parser_->informational()) parser_ = std::make_unique<Parser>(*this);
  }
  if (parser_->is_done()) return used > before ? used - before : 0;
  rest_ = input.substr(used);
  if (rest_.size() > kMostHeaderBytes) {
    return DataLoss("the server's answer is not HTTP: a line of it is longer than %d bytes",
                    kMostHeaderBytes);
  }
  return bytes.size();
}

absl::Status HttpResponseReader::Close() {
  if (parser_->is_done()) return absl::OkStatus();
  error_code error;
  if (parser_->got_some() && rest_.empty()) {
    parser_->put_eof(error);
    if (!error && parser_->is_done()) return absl::OkStatus();
  }
  return DataLoss("the server closed the connection %s",
                  begun_ ? "before its answer was complete" : "without an answer");
}

bool HttpResponseReader::begun() const { return begun_; }
bool HttpResponseReader::done() const { return parser_->is_done(); }
bool HttpResponseReader::keep_alive() const { return parser_->is_done() && parser_->keep_alive(); }

}  // namespace qiao::tools
