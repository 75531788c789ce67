#include "runtime/serve/http/head_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <limits>

namespace qiao::serve {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

std::string String(beast::string_view text) { return std::string(text.data(), text.size()); }

class Parser final : public http::basic_parser<true> {
 public:
  explicit Parser(ParsedHead* parsed) : parsed_(parsed) {}

 private:
  void on_request_impl(http::verb, beast::string_view method, beast::string_view target, int version,
                       beast::error_code&) override {
    parsed_->method = String(method);
    parsed_->target = String(target);
    parsed_->version = version;
  }
  void on_field_impl(http::field, beast::string_view name, beast::string_view value,
                     beast::error_code&) override {
    parsed_->headers.emplace_back(String(name), String(value));
  }
  void on_header_impl(beast::error_code&) override { parsed_->keep_alive = keep_alive(); }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  // Bodies are read elsewhere.
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, beast::error_code&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, beast::error_code&) override {
    return body.size();
  }
  void on_finish_impl(beast::error_code&) override {}

  ParsedHead* parsed_;
};

}  // namespace

std::string ParseHead(std::string_view head, ParsedHead* parsed) {
  Parser parser(parsed);
  parser.header_limit(static_cast<std::uint32_t>(head.size() + 1));
  // Lengths are judged elsewhere. (boost::none would mean no limit, but any length compares as more than that.)
  parser.body_limit(std::numeric_limits<std::uint64_t>::max());
  beast::error_code error;
  const size_t taken = parser.put(boost::asio::const_buffer(head.data(), head.size()), error);
  if (error) return error.message();
  if (!parser.is_header_done() || taken != head.size()) return "the headers do not end where they should";
  return "";
}

}  // namespace qiao::serve
