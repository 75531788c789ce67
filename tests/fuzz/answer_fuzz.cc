// Answers of models: the first byte is the format, the second how the text that follows is cut into pushes. However it
// is cut, the joined pieces are those of one push; and nothing comes out that cannot follow what came before.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/split_mix.h"
#include "runtime/serve/api/answer_parser.h"
#include "tests/fuzz/check.h"

namespace {

using qiao::serve::AnswerFormat;
using qiao::serve::AnswerParser;
using qiao::serve::AnswerPiece;
using Kind = AnswerPiece::Kind;

std::shared_ptr<const qiao::serve::ToolList> Tools() {
  static const auto* const shared = [] {
    auto json = qiao::ParseOrderedJson(
        R"([{"name": "f", "input_schema": {"properties": {"s": {"type": "string"}, "n": {"type": "number"},
            "m": {"type": ["boolean", "null", "string"]}}}}])",
        "tools");
    auto tools = qiao::serve::ParseTools(*json, qiao::serve::ToolDialect::kAnthropic);
    return new std::shared_ptr<const qiao::serve::ToolList>(std::make_shared<qiao::serve::ToolList>(*tools));
  }();
  return *shared;
}

// Pieces as one text: adjacent ones of a kind without a seam.
class Joined {
 public:
  void Add(const std::vector<AnswerPiece>& pieces) {
    for (const AnswerPiece& piece : pieces) {
      const bool tool = piece.kind != Kind::kReasoning && piece.kind != Kind::kContent;
      const bool inside = piece.kind == Kind::kToolArguments || piece.kind == Kind::kToolEnd;
      QIAO_FUZZ_CHECK(open_ == inside);
      QIAO_FUZZ_CHECK(!tool || piece.index == (inside ? calls_ - 1 : calls_));
      QIAO_FUZZ_CHECK(piece.kind != Kind::kReasoning || !answered_);
      QIAO_FUZZ_CHECK(inside || piece.kind == Kind::kToolBegin || !piece.text.empty());
      answered_ = answered_ || piece.kind != Kind::kReasoning;
      if (piece.kind == Kind::kToolBegin) {
        open_ = true;
        ++calls_;
        QIAO_FUZZ_CHECK(!piece.name.empty() && !piece.id.empty());
      }
      if (piece.kind == Kind::kToolEnd) open_ = false;
      const char kind = static_cast<char>('0' + static_cast<int>(piece.kind));
      if (piece.kind != last_) text += kind;
      last_ = piece.kind;
      text += piece.text + piece.id + piece.name;
    }
  }
  bool open() const { return open_; }
  int calls() const { return calls_; }
  std::string text;

 private:
  bool open_ = false, answered_ = false;
  int calls_ = 0;
  Kind last_ = Kind::kToolEnd;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  AnswerFormat format;
  format.tools = static_cast<qiao::serve::ToolFormat>(data[0] % 8);
  if ((data[0] & 16) != 0) format.reasoning = qiao::serve::ReasoningFormat::kThink;
  format.thinking_opened = (data[0] & 32) != 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);

  AnswerParser whole(format, Tools(), 1);
  Joined expected;
  expected.Add(whole.Push(text));
  expected.Add(whole.Finish());
  QIAO_FUZZ_CHECK(!expected.open());
  QIAO_FUZZ_CHECK(expected.calls() <= AnswerParser::kMaxCalls);
  QIAO_FUZZ_CHECK(whole.called_tools() == (expected.calls() > 0));

  AnswerParser parts(format, Tools(), 1);
  Joined cut;
  uint64_t random = data[1];
  const uint64_t longest = 1 + data[1] % 32;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view piece = rest.substr(0, 1 + qiao::NextSplitMix64(random) % longest);
    cut.Add(parts.Push(piece));
    rest.remove_prefix(piece.size());
  }
  cut.Add(parts.Finish());
  QIAO_FUZZ_CHECK(cut.text == expected.text);
  return 0;
}
