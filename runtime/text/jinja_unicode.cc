#include "runtime/text/jinja_unicode.h"

#include <algorithm>
#include <iterator>

namespace qiao::text::jinja {
namespace {

struct CodeRange {
  uint32_t first, last;
};
struct CaseRun {
  uint32_t first, last;
  int32_t step, delta;
};
struct CaseSpecial {
  uint32_t from;
  uint32_t to[3];
};

#include "runtime/text/jinja_unicode_tables.inc"

constexpr char32_t kEscapedByte = 0xDC00;  // + byte: a byte that is no UTF-8

template <size_t N>
bool In(const CodeRange (&table)[N], char32_t c) {
  const CodeRange* at = std::upper_bound(std::begin(table), std::end(table), c,
                                         [](char32_t v, const CodeRange& r) { return v < r.first; });
  return at != std::begin(table) && c <= std::prev(at)->last;
}

struct CaseTable {
  const CaseRun *runs_begin, *runs_end;
  const CaseSpecial *special_begin, *special_end;
  bool upper;  // direction on ASCII
};
constexpr CaseTable kUpperTable = {std::begin(kToUpper), std::end(kToUpper), std::begin(kUpperSpecial),
                                   std::end(kUpperSpecial), true};
constexpr CaseTable kLowerTable = {std::begin(kToLower), std::end(kToLower), std::begin(kLowerSpecial),
                                   std::end(kLowerSpecial), false};
constexpr CaseTable kTitleTable = {std::begin(kToTitle), std::end(kToTitle), std::begin(kTitleSpecial),
                                   std::end(kTitleSpecial), true};
constexpr CaseTable kFoldTable = {std::begin(kToFold), std::end(kToFold), std::begin(kFoldSpecial),
                                  std::end(kFoldSpecial), false};

void AppendCase(const CaseTable& table, char32_t c, std::string* out) {
  if (c < 0x80) {
    if (table.upper && c >= 'a' && c <= 'z') c -= 32;
    if (!table.upper && c >= 'A' && c <= 'Z') c += 32;
    out->push_back(static_cast<char>(c));
    return;
  }
  const CaseSpecial* special = std::lower_bound(table.special_begin, table.special_end, c,
                                                [](const CaseSpecial& s, char32_t v) { return s.from < v; });
  if (special != table.special_end && special->from == c) {
    for (uint32_t to : special->to) {
      if (to != 0) AppendCodePoint(to, out);
    }
    return;
  }
  // Runs may interleave (step 2), so a few neighbours to the left are looked at.
  const CaseRun* run = std::upper_bound(table.runs_begin, table.runs_end, c,
                                        [](char32_t v, const CaseRun& r) { return v < r.first; });
  for (int i = 0; i < 4 && run != table.runs_begin; ++i) {
    --run;
    if (c <= run->last && (c - run->first) % run->step == 0) {
      AppendCodePoint(static_cast<char32_t>(static_cast<int64_t>(c) + run->delta), out);
      return;
    }
  }
  AppendCodePoint(c, out);
}

std::string MapAll(const CaseTable& table, std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (size_t pos = 0; pos < s.size();) AppendCase(table, NextCodePoint(s, &pos), &out);
  return out;
}

constexpr char32_t kSigma = 0x3A3, kFinalSigma = 0x3C2;

// Python lower-cases a capital sigma to its final form when a cased letter stands before it and none after
// it.
void AppendLower(const std::vector<char32_t>& all, size_t i, std::string* out) {
  if (all[i] == kSigma) {
    const bool before = i > 0 && IsCased(all[i - 1]);
    const bool after = i + 1 < all.size() && IsCased(all[i + 1]);
    if (before && !after) return AppendCodePoint(kFinalSigma, out);
  }
  AppendCase(kLowerTable, all[i], out);
}

}  // namespace

char32_t NextCodePoint(std::string_view s, size_t* pos) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char lead = byte(*pos);
  if (lead < 0x80) return s[(*pos)++];
  int extra = lead >= 0xF0 && lead < 0xF5   ? 3
              : lead >= 0xE0 && lead < 0xF0 ? 2
              : lead >= 0xC2 && lead < 0xE0 ? 1
                                            : 0;
  if (extra > 0 && *pos + extra < s.size()) {
    char32_t c = lead & (0x3F >> extra);
    bool good = true;
    for (int i = 1; i <= extra; ++i) {
      good = good && (byte(*pos + i) & 0xC0) == 0x80;
      c = c << 6 | (byte(*pos + i) & 0x3F);
    }
    const char32_t least = extra == 1 ? 0x80 : extra == 2 ? 0x800 : 0x10000;
    if (good && c >= least && c < 0x110000 && (c < 0xD800 || c >= 0xE000)) {
      *pos += extra + 1;
      return c;
    }
  }
  ++*pos;
  return kEscapedByte + lead;
}

void AppendCodePoint(char32_t c, std::string* out) {
  const auto put = [out](char32_t b) { out->push_back(static_cast<char>(b)); };
  if (c >= kEscapedByte && c < kEscapedByte + 0x100) return put(c - kEscapedByte);
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

bool IsAscii(std::string_view s) {
  unsigned char all = 0;
  for (char c : s) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

size_t CodePointCount(std::string_view s) {
  if (IsAscii(s)) return s.size();
  size_t n = 0;
  for (size_t pos = 0; pos < s.size(); ++n) NextCodePoint(s, &pos);
  return n;
}

std::vector<char32_t> CodePoints(std::string_view s) {
  std::vector<char32_t> out;
  out.reserve(s.size());
  for (size_t pos = 0; pos < s.size();) out.push_back(NextCodePoint(s, &pos));
  return out;
}

std::string FromCodePoints(const char32_t* first, const char32_t* last) {
  std::string out;
  out.reserve(static_cast<size_t>(last - first));
  for (; first != last; ++first) AppendCodePoint(*first, &out);
  return out;
}

bool IsSpace(char32_t c) {
  return c < 0x80 ? c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F) : In(kSpace, c);
}
bool IsAlpha(char32_t c) {
  return c < 0x80 ? (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') : In(kAlpha, c);
}
bool IsDecimal(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : In(kDecimal, c); }
bool IsDigit(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : In(kDigit, c); }
bool IsNumeric(char32_t c) { return c < 0x80 ? c >= '0' && c <= '9' : In(kNumeric, c); }
bool IsLower(char32_t c) { return c < 0x80 ? c >= 'a' && c <= 'z' : In(kLower, c); }
bool IsUpper(char32_t c) { return c < 0x80 ? c >= 'A' && c <= 'Z' : In(kUpper, c); }
bool IsTitle(char32_t c) { return c >= 0x80 && In(kTitle, c); }
bool IsPrintable(char32_t c) { return c < 0x80 ? c >= 0x20 && c < 0x7F : In(kPrintable, c); }

std::string ToUpper(std::string_view s) { return MapAll(kUpperTable, s); }
std::string Casefold(std::string_view s) { return MapAll(kFoldTable, s); }

std::string ToLower(std::string_view s) {
  if (IsAscii(s)) return MapAll(kLowerTable, s);
  const std::vector<char32_t> all = CodePoints(s);
  std::string out;
  for (size_t i = 0; i < all.size(); ++i) AppendLower(all, i, &out);
  return out;
}

std::string Capitalize(std::string_view s) {
  const std::vector<char32_t> all = CodePoints(s);
  std::string out;
  for (size_t i = 0; i < all.size(); ++i) {
    if (i == 0) {
      AppendCase(kTitleTable, all[i], &out);
    } else {
      AppendLower(all, i, &out);
    }
  }
  return out;
}

std::string TitleCase(std::string_view s) {
  const std::vector<char32_t> all = CodePoints(s);
  std::string out;
  bool inside = false;
  for (size_t i = 0; i < all.size(); ++i) {
    if (inside) {
      AppendLower(all, i, &out);
    } else {
      AppendCase(kTitleTable, all[i], &out);
    }
    inside = IsCased(all[i]);
  }
  return out;
}

std::string SwapCase(std::string_view s) {
  const std::vector<char32_t> all = CodePoints(s);
  std::string out;
  for (size_t i = 0; i < all.size(); ++i) {
    if (IsUpper(all[i])) {
      AppendLower(all, i, &out);
    } else if (IsLower(all[i])) {
      AppendCase(kUpperTable, all[i], &out);
    } else {
      AppendCodePoint(all[i], &out);
    }
  }
  return out;
}

std::string_view StripSpace(std::string_view s, bool left, bool right) {
  size_t begin = 0;
  while (left && begin < s.size()) {
    size_t pos = begin;
    if (!IsSpace(NextCodePoint(s, &pos))) break;
    begin = pos;
  }
  size_t end = s.size();
  while (right && end > begin) {
    size_t start = end - 1;
    while (start > begin && end - start < 4 && (static_cast<unsigned char>(s[start]) & 0xC0) == 0x80) --start;
    size_t pos = start;
    const char32_t c = NextCodePoint(s, &pos);
    if (pos != end || !IsSpace(c)) break;
    end = start;
  }
  return s.substr(begin, end - begin);
}

}  // namespace qiao::text::jinja
