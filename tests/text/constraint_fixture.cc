#include "tests/text/constraint_fixture.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "runtime/text/tokenizer.h"
#include "tests/text/tokenizer_fixture.h"

namespace qiao::text {
namespace {

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::cerr << value.status() << "\n";
    std::exit(1);
  }
  return *std::move(value);
}

}  // namespace

std::shared_ptr<const Constraint> Compiled(const ConstraintSpec& spec, const ConstraintLimits& limits) {
  absl::StatusOr<std::shared_ptr<const Constraint>> constraint = CompileConstraint(spec, limits);
  EXPECT_TRUE(constraint.ok()) << spec.text << "\n" << constraint.status();
  return constraint.ok() ? *constraint : nullptr;
}

std::shared_ptr<const TokenTrie> ByteTrie() {
  static auto* const trie = new auto([] {
    std::vector<std::string> bytes;
    for (int b = 0; b < 256; ++b) bytes.emplace_back(1, static_cast<char>(b));
    return OrDie(TokenTrie::FromTokens(bytes));
  }());
  return *trie;
}

std::shared_ptr<const TokenTrie> DemoTrie() {
  static auto* const trie = new auto([] {
    const Tokenizer tokenizer = OrDie(Tokenizer::FromDir(std::string(QIAO_MODELS) + "/demo"));
    return OrDie(TokenTrie::FromTokenizer(tokenizer, tokenizer.vocab_size()));
  }());
  return *trie;
}

bool Matches(const std::shared_ptr<const Constraint>& constraint, std::string_view text) {
  ConstraintState state(constraint, ByteTrie());
  for (const char c : text) {
    if (!state.AcceptBytes({&c, 1})) return false;
  }
  return state.CanEnd();
}

const std::vector<SchemaCase>& SchemaCases() {
  static auto* const cases = new auto([] {
    std::vector<SchemaCase> out;
    const std::string file = TestFile("text/data/constraint_schemas.jsonl");
    size_t begin = 0;
    for (size_t end; (end = file.find('\n', begin)) != file.npos; begin = end + 1) {
      const OrderedJson line =
          OrDie(ParseOrderedJson(std::string_view(file).substr(begin, end - begin), "case"));
      const auto list = [&](const char* key) {
        return line.contains(key) ? line[key].get<std::vector<OrderedJson>>() : std::vector<OrderedJson>();
      };
      SchemaCase c{line["name"], line["schema"], list("valid"), list("invalid"), list("stricter"), {}};
      if (line.contains("text")) c.texts = line["text"].get<std::vector<std::string>>();
      out.push_back(std::move(c));
    }
    return out;
  }());
  return *cases;
}

std::string Render(const OrderedJson& value, std::string_view space) {
  std::string out;
  if (value.is_object()) {
    for (auto it = value.begin(); it != value.end(); ++it) {
      if (!out.empty()) out.append(",").append(space);
      out += OrderedJson(it.key()).dump();
      out.append(":").append(space).append(Render(it.value(), space));
    }
    return "{" + out + "}";
  }
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      if (i > 0) out.append(",").append(space);
      out += Render(value[i], space);
    }
    return "[" + out + "]";
  }
  return value.dump();
}

std::vector<bool> MaskOf(const ConstraintState& state, const TokenTrie& trie) {
  std::vector<uint32_t> words(trie.mask_words());
  state.FillMask(absl::MakeSpan(words));
  std::vector<bool> out;
  for (int32_t t = 0; t < trie.vocab_size(); ++t)
    out.push_back(words[static_cast<size_t>(t) / 32] >> (t % 32) & 1);
  return out;
}

}  // namespace qiao::text
