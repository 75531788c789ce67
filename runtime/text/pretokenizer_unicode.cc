#include "runtime/text/pretokenizer_unicode.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>

#include "absl/synchronization/mutex.h"

namespace qiao::text {
namespace {

constexpr std::string_view kCategoryNames[] = {"lu", "ll", "lt", "lm", "lo", "mn", "mc", "me", "nd", "nl",
                                               "no", "pc", "pd", "ps", "pe", "pi", "pf", "po", "sm", "sc",
                                               "sk", "so", "zs", "zl", "zp", "cc", "cf", "cs", "co", "cn"};

struct NamedSet {
  std::string_view name;
  std::span<const uint32_t> bounds;  // first, last, first, last, ...
};

struct LowercaseRun {
  uint32_t first, last, step;
  int32_t distance;
};

#include "runtime/text/pretokenizer_unicode.inc"

struct Alias {
  std::string_view name, meaning;
};
constexpr Alias kAliases[] = {{"letter", "l"},
                              {"mark", "m"},
                              {"number", "n"},
                              {"punctuation", "p"},
                              {"symbol", "s"},
                              {"separator", "z"},
                              {"other", "c"},
                              {"alpha", "alphabetic"},
                              {"digit", "nd"},
                              {"decimalnumber", "nd"},
                              {"punct", "p"},
                              {"whitespace", "space"},
                              {"uppercaseletter", "lu"},
                              {"lowercaseletter", "ll"},
                              {"titlecaseletter", "lt"},
                              {"modifierletter", "lm"},
                              {"otherletter", "lo"}};

std::string Plain(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == ' ' || c == '_' || c == '-') continue;
    out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  for (const Alias& alias : kAliases) {
    if (out == alias.name) return std::string(alias.meaning);
  }
  return out;
}

const CodePointTable& TableOf(std::string_view name) {
  static const auto* const tables = [] {
    auto* t = new std::map<std::string, CodePointTable, std::less<>>;
    for (const char* n : {"space", "n", "word"}) t->emplace(n, CodePointTable(*UnicodeProperty(n)));
    return t;
  }();
  return tables->find(name)->second;
}

}  // namespace

bool CodePointSet::Contains(uint32_t code) const {
  const auto it = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                                   [](uint32_t c, const Range& r) { return c < r.first; });
  return it != ranges_.begin() && code <= std::prev(it)->last;
}

CodePointSet CodePointSet::Union(const CodePointSet& other) const {
  std::vector<Range> all;
  all.reserve(ranges_.size() + other.ranges_.size());
  std::merge(ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(),
             std::back_inserter(all));
  CodePointSet out;
  for (const Range& r : all) {
    if (!out.ranges_.empty() && r.first <= out.ranges_.back().last + 1) {
      out.ranges_.back().last = std::max(out.ranges_.back().last, r.last);
    } else {
      out.ranges_.push_back(r);
    }
  }
  return out;
}

CodePointSet CodePointSet::Complement() const {
  CodePointSet out;
  uint32_t next = 0;
  for (const Range& r : ranges_) {
    if (r.first > next) out.ranges_.push_back({next, r.first - 1});
    next = r.last + 1;
  }
  if (next <= kMaxCodePoint) out.ranges_.push_back({next, kMaxCodePoint});
  return out;
}

CodePointSet CodePointSet::Intersection(const CodePointSet& other) const {
  return Complement().Union(other.Complement()).Complement();
}

namespace {

std::optional<CodePointSet> BuildProperty(const std::string& plain) {
  CodePointSet set;
  for (const NamedSet& named : kNamedSets) {
    if (plain != named.name) continue;
    for (size_t i = 0; i < named.bounds.size(); i += 2) {
      set = set.Union(CodePointSet(named.bounds[i], named.bounds[i + 1]));
    }
    return set;
  }
  // "l" and "lu" are both prefixes of the category names that they stand for.
  if (plain.empty() || plain.size() > 2) return std::nullopt;
  std::vector<CodePointSet> runs;
  constexpr size_t kRuns = std::size(kCategoryRuns);
  for (size_t i = 0; i < kRuns; ++i) {
    if (!kCategoryNames[kCategoryRuns[i] & 31].starts_with(plain)) continue;
    runs.emplace_back(kCategoryRuns[i] >> 5, i + 1 < kRuns ? (kCategoryRuns[i + 1] >> 5) - 1 : kMaxCodePoint);
  }
  if (runs.empty()) return std::nullopt;
  // Joined pairwise, so that two thousand runs do not cost two thousand copies of a growing set.
  while (runs.size() > 1) {
    for (size_t i = 0; i < runs.size() / 2; ++i) runs[i] = runs[2 * i].Union(runs[2 * i + 1]);
    if (runs.size() % 2) runs[runs.size() / 2] = std::move(runs.back());
    runs.resize((runs.size() + 1) / 2);
  }
  return runs[0];
}

}  // namespace

std::optional<CodePointSet> UnicodeProperty(std::string_view name) {
  // Few names have a set, so what is remembered is bounded; a pattern may say the same name a thousand times.
  static absl::Mutex mutex;
  static auto* const known = new std::map<std::string, CodePointSet>;
  const std::string plain = Plain(name);
  absl::MutexLock lock(&mutex);
  if (const auto it = known->find(plain); it != known->end()) return it->second;
  std::optional<CodePointSet> set = BuildProperty(plain);
  if (set) known->emplace(plain, *set);
  return set;
}

bool IsWhitespace(uint32_t code) {
  static const CodePointTable& table = TableOf("space");
  return table.Has(code);
}

bool IsNumeric(uint32_t code) {
  static const CodePointTable& table = TableOf("n");
  return table.Has(code);
}

bool IsWordCharacter(uint32_t code) {
  static const CodePointTable& table = TableOf("word");
  return table.Has(code);
}

uint32_t ToLowercase(uint32_t code) {
  const auto* run = std::upper_bound(std::begin(kLowercaseRuns), std::end(kLowercaseRuns), code,
                                     [](uint32_t c, const LowercaseRun& r) { return c < r.first; });
  if (run == std::begin(kLowercaseRuns)) return code;
  --run;
  if (code > run->last || (code - run->first) % run->step != 0) return code;
  return static_cast<uint32_t>(static_cast<int32_t>(code) + run->distance);
}

CodePointTable::CodePointTable(const CodePointSet& set) {
  for (unsigned c = 0; c < 0x80; ++c) {
    if (set.Contains(c)) ascii_[c >> 6] |= uint64_t{1} << (c & 63);
  }
  if (set.empty() || set.ranges().back().last < 0x80) return;
  // Most pages are wholly out or wholly in: pages 0 and 1.
  pages_ = {Page{}, Page{~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}}};
  std::map<Page, uint16_t> known = {{pages_[0], 0}, {pages_[1], 1}};
  index_.resize((kMaxCodePoint >> 8) + 1);
  auto range = set.ranges().begin();
  for (uint32_t page = 0; page < index_.size(); ++page) {
    const uint32_t first = page << 8, last = first | 255;
    while (range != set.ranges().end() && range->last < first) ++range;
    if (range == set.ranges().end() || range->first > last) continue;
    if (range->first <= first && range->last >= last) {
      index_[page] = 1;
      continue;
    }
    Page bits = {};
    for (auto r = range; r != set.ranges().end() && r->first <= last; ++r) {
      for (uint32_t c = std::max(first, r->first); c <= std::min(last, r->last); ++c) {
        bits[c >> 6 & 3] |= uint64_t{1} << (c & 63);
      }
    }
    const auto [it, fresh] = known.try_emplace(bits, static_cast<uint16_t>(pages_.size()));
    if (fresh) pages_.push_back(bits);
    index_[page] = it->second;
  }
}

}  // namespace qiao::text
