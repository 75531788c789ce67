#include "runtime/text/pretokenizer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "runtime/text/pretokenizer_unicode.h"
#include "runtime/text/tokenizer_json.h"

namespace qiao::text {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct Alphabet {
  std::array<std::string, 256> character;
  std::array<int, 0x144> byte;
};

const Alphabet& TheAlphabet() {
  static const Alphabet* const alphabet = [] {
    auto* a = new Alphabet;
    a->byte.fill(-1);
    uint32_t spare = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
      const uint32_t code = printable ? static_cast<uint32_t>(b) : spare++;
      AppendUtf8(code, &a->character[static_cast<size_t>(b)]);
      a->byte[code] = b;
    }
    return a;
  }();
  return *alphabet;
}

// Rebuilds the words' text with every word changed by `change`.
void Rewrite(Words* words, const std::function<void(std::string_view, size_t, std::string*)>& change) {
  std::string text;
  text.reserve(words->text.size() + words->ranges.size());
  for (size_t i = 0; i < words->ranges.size(); ++i) {
    TextRange& range = words->ranges[i];
    const size_t first = text.size();
    change(std::string_view(words->text).substr(range.first, range.last - range.first), i, &text);
    range = {first, text.size()};
  }
  words->text = std::move(text);
}

}  // namespace

std::string_view ByteAlphabet::CharacterOf(unsigned char byte) { return TheAlphabet().character[byte]; }

int ByteAlphabet::ByteOf(uint32_t code) {
  const Alphabet& alphabet = TheAlphabet();
  return code < alphabet.byte.size() ? alphabet.byte[code] : -1;
}

std::string ByteAlphabet::Map(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) out.append(CharacterOf(static_cast<unsigned char>(c)));
  return out;
}

std::string ByteAlphabet::Unmap(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    int length;
    const int byte = ByteOf(DecodeValid(text.data() + pos, &length));
    if (byte < 0) return std::string(text);
    out.push_back(static_cast<char>(byte));
    pos += static_cast<size_t>(length);
  }
  return out;
}

absl::StatusOr<PreTokenizer> PreTokenizer::FromJson(const Json& spec, std::string_view where) {
  PreTokenizer pre;
  if (spec.is_null()) return pre;
  QIAO_RETURN_IF_ERROR(pre.Add(spec, where, 0));
  return pre;
}

absl::Status PreTokenizer::Add(const Json& spec, std::string_view where, int depth) {
  if (depth > kMaxPartDepth) return InvalidArgument("%s: Sequences nested too deeply", where);
  QIAO_ASSIGN_OR_RETURN(const std::string_view type, TypeOf(spec, where));
  if (type == "Sequence") {
    const Json& parts = Field(spec, "pretokenizers");
    if (!parts.is_array()) return InvalidArgument("%s.pretokenizers: must be an array", where);
    for (size_t i = 0; i < parts.size(); ++i) {
      QIAO_RETURN_IF_ERROR(Add(parts[i], absl::StrFormat("%s.pretokenizers[%d]", where, i), depth + 1));
    }
    return absl::OkStatus();
  }
  if (steps_.size() >= kMaxParts) return InvalidArgument("%s: more than %d pre-tokenizers", where, kMaxParts);
  if (type == "ByteLevel") return AddByteLevel(spec, where);
  if (type == "Metaspace") return AddMetaspace(spec, where);
  Step step;
  if (type == "Digits") {
    step.kind = Kind::kDigits;
    QIAO_ASSIGN_OR_RETURN(step.individual, BoolField(spec, "individual_digits", where, false));
  } else if (type == "Split") {
    step.kind = Kind::kSplit;
    QIAO_ASSIGN_OR_RETURN(step.pattern,
                          Pattern::FromJson(Field(spec, "pattern"), absl::StrFormat("%s.pattern", where)));
    QIAO_ASSIGN_OR_RETURN(step.invert, BoolField(spec, "invert", where, false));
    QIAO_ASSIGN_OR_RETURN(const std::string behavior, StringField(spec, "behavior", where));
    constexpr std::pair<std::string_view, Behavior> kBehaviors[] = {
        {"Removed", Behavior::kRemoved},
        {"Isolated", Behavior::kIsolated},
        {"MergedWithPrevious", Behavior::kMergedWithPrevious},
        {"MergedWithNext", Behavior::kMergedWithNext},
        {"Contiguous", Behavior::kContiguous}};
    const auto* found = std::find_if(std::begin(kBehaviors), std::end(kBehaviors),
                                     [&](const auto& entry) { return entry.first == behavior; });
    if (found == std::end(kBehaviors)) {
      return InvalidArgument(
          "%s.behavior: \"%s\" is none of Removed, Isolated, MergedWithPrevious, MergedWithNext, "
          "Contiguous",
          where, behavior);
    }
    step.behavior = found->second;
  } else {
    return Unimplemented(
        "%s: pre-tokenizer type \"%s\" is not supported (known: Sequence, Split, ByteLevel, Digits, "
        "Metaspace)",
        where, type);
  }
  steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::Status PreTokenizer::AddByteLevel(const Json& spec, std::string_view where) {
  QIAO_ASSIGN_OR_RETURN(const bool prefix_space, BoolField(spec, "add_prefix_space", where, true));
  QIAO_ASSIGN_OR_RETURN(const bool use_regex, BoolField(spec, "use_regex", where, true));
  if (prefix_space) steps_.push_back({.kind = Kind::kPrefixSpace});
  if (use_regex) {
    Step step{.kind = Kind::kSplit};
    QIAO_ASSIGN_OR_RETURN(step.pattern, Pattern::FromJson(Json{{"Regex", std::string(kGpt2Pattern)}}, where));
    steps_.push_back(std::move(step));
  }
  steps_.push_back({.kind = Kind::kBytes});
  return absl::OkStatus();
}

absl::Status PreTokenizer::AddMetaspace(const Json& spec, std::string_view where) {
  Step step{.kind = Kind::kMetaspace};
  QIAO_ASSIGN_OR_RETURN(step.replacement, CharacterField(spec, "replacement", where, "\xE2\x96\x81"));
  QIAO_ASSIGN_OR_RETURN(step.split, BoolField(spec, "split", where, true));
  QIAO_ASSIGN_OR_RETURN(const std::string scheme, StringField(spec, "prepend_scheme", where, "always"));
  if (scheme == "always") {
    step.prepend = Prepend::kAlways;
  } else if (scheme == "first") {
    step.prepend = Prepend::kFirst;
  } else if (scheme == "never") {
    step.prepend = Prepend::kNever;
  } else {
    return InvalidArgument("%s.prepend_scheme: \"%s\" is none of always, first, never", where, scheme);
  }
  QIAO_ASSIGN_OR_RETURN(step.pattern, Pattern::FromJson(Json{{"String", step.replacement}}, where));
  step.behavior = Behavior::kMergedWithNext;
  steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::StatusOr<Words> PreTokenizer::Split(std::string text, bool at_start) const {
  Words words;
  words.text = std::move(text);
  if (!words.text.empty()) words.ranges.push_back({0, words.text.size()});
  for (const Step& step : steps_) {
    if (words.as_bytes) {  // a step after ByteLevel sees the alphabet's characters
      Rewrite(&words,
              [](std::string_view word, size_t, std::string* out) { out->append(ByteAlphabet::Map(word)); });
      words.as_bytes = false;
    }
    QIAO_RETURN_IF_ERROR(Apply(step, at_start, &words));
  }
  return words;
}

absl::Status PreTokenizer::Apply(const Step& step, bool at_start, Words* words) {
  switch (step.kind) {
    case Kind::kSplit:
      return ApplySplit(step, words);
    case Kind::kBytes:
      words->as_bytes = true;
      return absl::OkStatus();
    case Kind::kPrefixSpace:
      Rewrite(words, [](std::string_view word, size_t, std::string* out) {
        if (!word.starts_with(' ')) out->push_back(' ');
        out->append(word);
      });
      return absl::OkStatus();
    case Kind::kDigits:
      ApplyDigits(step, words);
      return absl::OkStatus();
    case Kind::kMetaspace:
      return ApplyMetaspace(step, at_start, words);
  }
  return absl::OkStatus();
}

absl::Status PreTokenizer::ApplySplit(const Step& step, Words* words) {
  struct Piece {
    TextRange range;
    bool is_match;
  };
  std::vector<TextRange> out, matches;
  out.reserve(words->ranges.size());
  std::vector<Piece> pieces;
  for (const TextRange& word : words->ranges) {
    matches.clear();
    const std::string_view text = std::string_view(words->text).substr(word.first, word.last - word.first);
    QIAO_RETURN_IF_ERROR(step.pattern.FindAll(text, &matches));
    if (matches.empty() && !step.invert) {  // the word stays whole, whatever the behaviour
      out.push_back(word);
      continue;
    }
    // Matches and what lies between them, in order; invert swaps the two.
    pieces.clear();
    size_t from = 0;
    for (const TextRange& match : matches) {
      if (match.first > from) pieces.push_back({{from, match.first}, step.invert});
      pieces.push_back({match, !step.invert});
      from = match.last;
    }
    if (from < text.size()) pieces.push_back({{from, text.size()}, step.invert});

    const size_t begin = out.size();
    bool previous = false;
    const auto start_new = [&](const Piece& piece) { out.push_back(piece.range); };
    switch (step.behavior) {
      case Behavior::kIsolated:
        for (const Piece& piece : pieces) start_new(piece);
        break;
      case Behavior::kRemoved:
        for (const Piece& piece : pieces) {
          if (!piece.is_match) start_new(piece);
        }
        break;
      case Behavior::kMergedWithPrevious:
        for (const Piece& piece : pieces) {
          if (piece.is_match && !previous && out.size() > begin)
            out.back().last = piece.range.last;
          else
            start_new(piece);
          previous = piece.is_match;
        }
        break;
      case Behavior::kMergedWithNext:
        for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
          if (piece->is_match && !previous && out.size() > begin)
            out.back().first = piece->range.first;
          else
            start_new(*piece);
          previous = piece->is_match;
        }
        std::reverse(out.begin() + static_cast<ptrdiff_t>(begin), out.end());
        break;
      case Behavior::kContiguous:
        for (const Piece& piece : pieces) {
          if (piece.is_match == previous && out.size() > begin)
            out.back().last = piece.range.last;
          else
            start_new(piece);
          previous = piece.is_match;
        }
        break;
    }
    for (size_t i = begin; i < out.size(); ++i)
      out[i] = {out[i].first + word.first, out[i].last + word.first};
  }
  std::erase_if(out, [](const TextRange& range) { return range.first == range.last; });
  words->ranges = std::move(out);
  return absl::OkStatus();
}

void PreTokenizer::ApplyDigits(const Step& step, Words* words) {
  std::vector<TextRange> out;
  for (const TextRange& word : words->ranges) {
    size_t first = word.first;
    bool previous = false;
    for (size_t pos = word.first; pos < word.last;) {
      int length;
      const bool digit = IsNumeric(DecodeValid(words->text.data() + pos, &length));
      if (pos > first && (digit != previous || (digit && step.individual))) {
        out.push_back({first, pos});
        first = pos;
      }
      previous = digit;
      pos += static_cast<size_t>(length);
    }
    out.push_back({first, word.last});
  }
  words->ranges = std::move(out);
}

absl::Status PreTokenizer::ApplyMetaspace(const Step& step, bool at_start, Words* words) {
  Rewrite(words, [&](std::string_view word, size_t i, std::string* out) {
    const bool wanted =
        step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && at_start && i == 0);
    if (wanted && !word.starts_with(' ') && !word.starts_with(step.replacement))
      out->append(step.replacement);
    for (const char c : word) {
      if (c == ' ')
        out->append(step.replacement);
      else
        out->push_back(c);
    }
  });
  return step.split ? ApplySplit(step, words) : absl::OkStatus();
}

}  // namespace qiao::text
