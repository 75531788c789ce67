#include "runtime/text/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <algorithm>

#include "runtime/text/pretokenizer_unicode.h"
#include "runtime/text/tokenizer_json.h"

namespace qiao::text {
namespace {

// A normaliser may lengthen text, but a chain of Replace in a hostile file must not do so without end. The
// longest of the Unicode forms makes 18 characters of one.
constexpr size_t kMaxGrowth = 64;
constexpr size_t kMaxGrowthAtLeast = size_t{64} << 10;

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Hugging Face tokenizers normalises by the tables of Unicode 9: a younger character stays as it is and
// nothing moves across it.
const icu::UnicodeSet* Unicode9(UErrorCode* error) {
  static const auto* const set = [&]() -> const icu::UnicodeSet* {
    auto made = std::make_unique<icu::UnicodeSet>(icu::UnicodeString(u"[:age=9.0:]"), *error);
    if (U_FAILURE(*error)) return nullptr;
    return static_cast<const icu::UnicodeSet*>(made.release()->freeze());
  }();
  if (!set && U_SUCCESS(*error)) *error = U_MISSING_RESOURCE_ERROR;
  return set;
}

// ICU puts marks in order by insertion, which is quadratic in a run of marks, and text may be nothing but
// marks. So long runs are decomposed and sorted here, which does not change what the text normalises to.
constexpr size_t kLongRun = 64;

void AppendOrdered(const icu::Normalizer2& form, const std::vector<UChar32>& run, std::string* out) {
  if (run.size() <= kLongRun) {
    for (const UChar32 c : run) AppendUtf8(static_cast<uint32_t>(c), out);
    return;
  }
  std::vector<std::pair<uint8_t, UChar32>> parts;  // combining class, code point
  for (const UChar32 c : run) {
    icu::UnicodeString decomposed;
    if (!form.getDecomposition(c, decomposed)) decomposed = icu::UnicodeString(c);
    for (int32_t i = 0; i < decomposed.length(); i = decomposed.moveIndex32(i, 1)) {
      const UChar32 part = decomposed.char32At(i);
      parts.emplace_back(u_getCombiningClass(part), part);
    }
  }
  for (auto from = parts.begin(); from != parts.end();) {
    const auto starter = std::find_if(from, parts.end(), [](const auto& part) { return part.first == 0; });
    std::stable_sort(from, starter, [](const auto& a, const auto& b) { return a.first < b.first; });
    from = starter == parts.end() ? starter : starter + 1;
  }
  for (const auto& [combining_class, part] : parts) AppendUtf8(static_cast<uint32_t>(part), out);
}

std::string OrderLongRuns(const icu::Normalizer2& form, const icu::UnicodeSet& known, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<UChar32> run;
  for (size_t pos = 0; pos < text.size();) {
    int length;
    const auto c = static_cast<UChar32>(DecodeValid(text.data() + pos, &length));
    if (c >= 0x300 && known.contains(c) && !form.hasBoundaryBefore(c)) {
      run.push_back(c);
    } else {
      AppendOrdered(form, run, &out);
      run.clear();
      out.append(text.substr(pos, static_cast<size_t>(length)));
    }
    pos += static_cast<size_t>(length);
  }
  AppendOrdered(form, run, &out);
  return out;
}

absl::StatusOr<std::string> UnicodeNormalize(const icu::Normalizer2* (*instance)(UErrorCode&),
                                             std::string text) {
  if (IsAscii(text)) return text;  // all four forms leave ASCII alone
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form = instance(error);
  const icu::UnicodeSet* known = Unicode9(&error);
  std::string out;
  if (U_SUCCESS(error)) {
    text = OrderLongRuns(*form, *known, text);
    if (text.size() > INT32_MAX)
      return ResourceExhausted("a text of %d bytes is too long to normalise", text.size());
    icu::StringByteSink<std::string> sink(&out, static_cast<int32_t>(text.size()));
    icu::FilteredNormalizer2(*form, *known)
        .normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink, nullptr,
                       error);
  }
  if (U_FAILURE(error)) return Internal("Unicode normalisation failed: %s", u_errorName(error));
  return out;
}

// Character by character without context, as Rust's char::to_lowercase.
std::string Lowercase(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    int length;
    const uint32_t code = DecodeValid(text.data() + pos, &length);
    pos += static_cast<size_t>(length);
    if (code == 0x130) {  // the one character whose lower case is two
      out.append("i\xCC\x87");
    } else {
      AppendUtf8(ToLowercase(code), &out);
    }
  }
  return out;
}

std::string_view StripWhitespace(std::string_view text, bool left, bool right) {
  while (left && !text.empty()) {
    int length;
    if (!IsWhitespace(DecodeValid(text.data(), &length))) break;
    text.remove_prefix(static_cast<size_t>(length));
  }
  while (right && !text.empty()) {
    size_t last = text.size() - 1;
    while ((static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
    int length;
    if (!IsWhitespace(DecodeValid(text.data() + last, &length))) break;
    text = text.substr(0, last);
  }
  return text;
}

}  // namespace

absl::StatusOr<Pattern> Pattern::FromJson(const Json& spec, std::string_view where) {
  Pattern pattern;
  if (const Json& literal = Field(spec, "String"); literal.is_string()) {
    pattern.literal_ = literal.get<std::string>();
    return pattern;
  }
  const Json& regex = Field(spec, "Regex");
  if (!regex.is_string()) {
    return InvalidArgument("%s: must be {\"String\": ...} or {\"Regex\": ...}", where);
  }
  absl::StatusOr<Regex> compiled = Regex::Compile(regex.get_ref<const std::string&>());
  if (!compiled.ok()) return Annotate(compiled.status(), where);
  pattern.regex_ = std::make_shared<const Regex>(*std::move(compiled));
  return pattern;
}

absl::Status Pattern::FindAll(std::string_view text, std::vector<TextRange>* matches) const {
  if (regex_) return regex_->FindAll(text, matches);
  if (literal_.empty()) return absl::OkStatus();
  for (size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos; at += literal_.size()) {
    matches->push_back({at, at + literal_.size()});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Pattern::ReplaceAll(std::string_view text, std::string_view content,
                                                size_t max_bytes) const {
  std::vector<TextRange> matches;
  QIAO_RETURN_IF_ERROR(FindAll(text, &matches));
  const size_t limit = std::max(max_bytes, text.size());
  if (!content.empty() && matches.size() > (limit - text.size()) / content.size()) {
    return ResourceExhausted("replacing %d matches by %d bytes each would make a text of more than %d bytes",
                             matches.size(), content.size(), limit);
  }
  std::string out;
  size_t from = 0;
  for (const TextRange& match : matches) {
    out.append(text.substr(from, match.first - from)).append(content);
    from = match.last;
  }
  out.append(text.substr(from));
  return out;
}

absl::StatusOr<Normalizer> Normalizer::FromJson(const Json& spec, std::string_view where) {
  Normalizer normalizer;
  if (spec.is_null()) return normalizer;
  QIAO_RETURN_IF_ERROR(normalizer.Add(spec, where, 0));
  return normalizer;
}

absl::Status Normalizer::Add(const Json& spec, std::string_view where, int depth) {
  if (depth > kMaxPartDepth) return InvalidArgument("%s: Sequences nested too deeply", where);
  QIAO_ASSIGN_OR_RETURN(const std::string_view type, TypeOf(spec, where));
  if (type == "Sequence") {
    const Json& parts = Field(spec, "normalizers");
    if (!parts.is_array()) return InvalidArgument("%s.normalizers: must be an array", where);
    for (size_t i = 0; i < parts.size(); ++i) {
      QIAO_RETURN_IF_ERROR(Add(parts[i], absl::StrFormat("%s.normalizers[%d]", where, i), depth + 1));
    }
    return absl::OkStatus();
  }
  if (steps_.size() >= kMaxParts) return InvalidArgument("%s: more than %d normalizers", where, kMaxParts);
  Step step;
  if (type == "NFC") {
    step.kind = Kind::kNfc;
  } else if (type == "NFD") {
    step.kind = Kind::kNfd;
  } else if (type == "NFKC") {
    step.kind = Kind::kNfkc;
  } else if (type == "NFKD") {
    step.kind = Kind::kNfkd;
  } else if (type == "Lowercase") {
    step.kind = Kind::kLowercase;
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    QIAO_ASSIGN_OR_RETURN(step.pattern,
                          Pattern::FromJson(Field(spec, "pattern"), absl::StrFormat("%s.pattern", where)));
    QIAO_ASSIGN_OR_RETURN(step.content, StringField(spec, "content", where));
  } else if (type == "Prepend") {
    step.kind = Kind::kPrepend;
    QIAO_ASSIGN_OR_RETURN(step.content, StringField(spec, "prepend", where));
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    QIAO_ASSIGN_OR_RETURN(step.left, BoolField(spec, "strip_left", where, true));
    QIAO_ASSIGN_OR_RETURN(step.right, BoolField(spec, "strip_right", where, true));
  } else {
    return Unimplemented(
        "%s: normalizer type \"%s\" is not supported (known: Sequence, NFC, NFD, NFKC, NFKD, Replace, "
        "Prepend, Lowercase, Strip)",
        where, type);
  }
  steps_.push_back(std::move(step));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Normalizer::Apply(std::string_view text) const {
  const size_t max_bytes = kMaxGrowthAtLeast + kMaxGrowth * text.size();
  std::string out(text);
  for (const Step& step : steps_) {
    QIAO_ASSIGN_OR_RETURN(out, ApplyStep(step, std::move(out), max_bytes));
    if (out.size() > max_bytes) {
      return ResourceExhausted("the normalizer makes more than %d bytes of a text of %d", max_bytes,
                               text.size());
    }
  }
  return out;
}

absl::StatusOr<std::string> Normalizer::ApplyStep(const Step& step, std::string text, size_t max_bytes) {
  switch (step.kind) {
    case Kind::kNfc:
      return UnicodeNormalize(&icu::Normalizer2::getNFCInstance, std::move(text));
    case Kind::kNfd:
      return UnicodeNormalize(&icu::Normalizer2::getNFDInstance, std::move(text));
    case Kind::kNfkc:
      return UnicodeNormalize(&icu::Normalizer2::getNFKCInstance, std::move(text));
    case Kind::kNfkd:
      return UnicodeNormalize(&icu::Normalizer2::getNFKDInstance, std::move(text));
    case Kind::kReplace:
      return step.pattern.ReplaceAll(text, step.content, max_bytes);
    case Kind::kPrepend:
      return text.empty() ? text : step.content + text;
    case Kind::kLowercase:
      return Lowercase(text);
    case Kind::kStrip:
      return std::string(StripWhitespace(text, step.left, step.right));
  }
  return text;
}

}  // namespace qiao::text
