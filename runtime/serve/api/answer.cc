#include "runtime/serve/api/answer.h"

#include <algorithm>
#include <utility>

namespace qiao::serve {
namespace {

OrderedJson Scored(const TokenText& token, float logprob) {
  OrderedJson bytes = OrderedJson::array();
  for (const char c : token.bytes) bytes.push_back(static_cast<unsigned char>(c));
  // JSON has no infinity; a token that cannot be is given the least that OpenAI gives.
  return {{"token", token.text}, {"logprob", std::max(logprob, -9999.0F)}, {"bytes", std::move(bytes)}};
}

}  // namespace

std::string DumpJson(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void AppendEvent(std::string_view name, const OrderedJson& data, std::string& out) {
  if (!name.empty()) {
    out += "event: ";
    out += name;
    out += '\n';
  }
  out += "data: ";
  out += DumpJson(data);
  out += "\n\n";
}

OrderedJson OpenAiLogprobs(absl::Span<const ScoredToken> tokens) {
  OrderedJson out = OrderedJson::array();
  for (const ScoredToken& token : tokens) {
    OrderedJson entry = Scored(token.token, token.logprob);
    entry["top_logprobs"] = OrderedJson::array();
    for (const ScoredToken::Alternative& other : token.top) {
      entry["top_logprobs"].push_back(Scored(other.token, other.logprob));
    }
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace qiao::serve
