// Constraints: the first byte chooses a regex, a schema or choices (one a line), the rest is its text. What
// compiles is walked through a small vocabulary by bytes of the input: a token is accepted exactly if its bit
// is set, and there is always a way on or an end.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/constraint.h"
#include "runtime/text/utf8.h"
#include "tests/fuzz/check.h"

namespace {

using namespace qiao;
using namespace qiao::text;

const std::shared_ptr<const TokenTrie>& Trie() {
  static const auto* const trie = new std::shared_ptr<const TokenTrie>([] {
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    for (const char* more :
         {"{\"", "\":", "\",", "\"}", "]}", "[[", "true", "null", "12", ", ", "\xE6\xBC", "ab"}) {
      tokens.emplace_back(more);
    }
    return *TokenTrie::FromTokens(tokens);
  }());
  return *trie;
}

ConstraintSpec SpecOf(uint8_t kind, std::string_view text) {
  ConstraintSpec spec;
  if (kind % 3 == 0) {
    spec = {ConstraintSpec::Kind::kRegex, std::string(text)};
  } else if (kind % 3 == 1) {
    spec = {ConstraintSpec::Kind::kJsonSchema, std::string(text)};
  } else {
    spec.kind = ConstraintSpec::Kind::kChoice;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      spec.choices.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return spec;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ConstraintLimits limits;
  limits.max_steps = 200'000;
  limits.max_stack = 6;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto constraint = CompileConstraint(SpecOf(data[0], text), limits);
  if (!constraint.ok()) {
    QIAO_FUZZ_CHECK(IsValidUtf8(Message(constraint.status())) || !IsValidUtf8(text));
    return 0;
  }
  ConstraintState state(*constraint, Trie());
  std::vector<uint32_t> bits(Trie()->mask_words());
  std::string out;
  for (size_t step = 0; step < 24; ++step) {
    state.FillMask(absl::MakeSpan(bits));
    std::vector<int32_t> allowed;
    for (int32_t t = 0; t < Trie()->vocab_size(); ++t) {
      if (bits[static_cast<size_t>(t) / 32] >> (t % 32) & 1) allowed.push_back(t);
    }
    QIAO_FUZZ_CHECK(state.MustEnd() == (state.CanEnd() && allowed.empty()));
    QIAO_FUZZ_CHECK(state.CanEnd() || !allowed.empty());
    for (const int32_t t : {static_cast<int32_t>(data[step % size]), static_cast<int32_t>(256 + step % 12)}) {
      ConstraintState copy = state;
      QIAO_FUZZ_CHECK(copy.Accept(t) == (bits[static_cast<size_t>(t) / 32] >> (t % 32) & 1));
    }
    if (allowed.empty()) break;
    const int32_t token = allowed[(data[step % size] + step * 31) % allowed.size()];
    QIAO_FUZZ_CHECK(state.Accept(token));
    out += Trie()->token(token);
  }
  QIAO_FUZZ_CHECK(!state.CanEnd() || IsValidUtf8(out));
  return 0;
}
