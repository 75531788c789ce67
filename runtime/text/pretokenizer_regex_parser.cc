#include "runtime/text/pretokenizer_regex_parser.h"

#include <optional>
#include <string>

#include "runtime/text/pattern_cursor.h"
#include "runtime/text/pretokenizer_regex.h"

namespace qiao::text {
namespace {

constexpr int kMaxNesting = 32;
constexpr uint32_t kMaxRepeat = 1000;

// The set closed under simple case folding of ASCII letters.
CodePointSet FoldCase(CodePointSet set) {
  CodePointSet extra;
  for (uint32_t upper = 'A'; upper <= 'Z'; ++upper) {
    const uint32_t lower = upper + 32;
    const uint32_t third = lower == 's' ? 0x17F : lower == 'k' ? 0x212A : upper;  // long s, Kelvin sign
    if (!set.Contains(upper) && !set.Contains(lower) && !set.Contains(third)) continue;
    extra = extra.Union({upper, upper}).Union({lower, lower}).Union({third, third});
  }
  return set.Union(extra);
}

class Parser : PatternCursor {
 public:
  explicit Parser(std::string_view pattern) : PatternCursor(pattern) {}

  absl::StatusOr<RegexNode> Parse() {
    QIAO_ASSIGN_OR_RETURN(RegexNode node, ParseAlternation(0));
    if (!AtEnd()) return Bad("')' without '('");
    return node;
  }

 private:
  absl::Status Bad(std::string_view why) const {
    return InvalidArgument("pattern \"%s\", offset %d: %s", pattern_, pos_, why);
  }
  absl::Status Unsupported(std::string_view what) const {
    return Unimplemented("pattern \"%s\", offset %d: %s is not supported", pattern_, pos_, what);
  }

  absl::StatusOr<RegexNode> ParseAlternation(int depth) {
    if (depth > kMaxNesting) return Bad("groups nested too deeply");
    const bool outer_fold = fold_;
    RegexNode alternate{.kind = RegexNode::kAlternate};
    do {
      QIAO_ASSIGN_OR_RETURN(RegexNode sequence, ParseSequence(depth));
      alternate.kids.push_back(std::move(sequence));
    } while (Take("|"));
    fold_ = outer_fold;
    if (alternate.kids.size() > 1) return alternate;
    RegexNode only = std::move(alternate.kids[0]);
    return only;
  }

  absl::StatusOr<RegexNode> ParseSequence(int depth) {
    RegexNode sequence;
    while (!AtEnd() && !LooksAt("|") && !LooksAt(")")) {
      if (Take("(?i)")) {
        // In Ruby's syntax a|(?i)b|c is a|(?i:b|c).
        fold_ = true;
        QIAO_ASSIGN_OR_RETURN(RegexNode rest, ParseAlternation(depth + 1));
        sequence.kids.push_back(std::move(rest));
        continue;
      }
      QIAO_ASSIGN_OR_RETURN(RegexNode atom, ParseAtom(depth));
      QIAO_ASSIGN_OR_RETURN(atom, ParseQuantifier(std::move(atom)));
      sequence.kids.push_back(std::move(atom));
    }
    return sequence;
  }

  absl::StatusOr<RegexNode> ParseGroup(int depth) {
    RegexNode wrapper;
    const bool outer_fold = fold_;
    if (Take("(?:")) {
    } else if (Take("(?i:")) {
      fold_ = true;
    } else if (Take("(?-i:")) {
      fold_ = false;
    } else if (Take("(?>")) {
      wrapper.kind = RegexNode::kAtomic;
    } else if (Take("(?=")) {
      wrapper.kind = RegexNode::kLook;
    } else if (Take("(?!")) {
      wrapper.kind = RegexNode::kLook;
      wrapper.negative = true;
    } else if (LooksAt("(?<=") || LooksAt("(?<!")) {
      return Unsupported("lookbehind");
    } else if (LooksAt("(?")) {
      return Unsupported("this kind of group");
    } else {
      Take("(");
    }
    QIAO_ASSIGN_OR_RETURN(RegexNode inner, ParseAlternation(depth + 1));
    fold_ = outer_fold;
    if (!Take(")")) return Bad("'(' without ')'");
    wrapper.kids.push_back(std::move(inner));
    return wrapper;
  }

  static RegexNode SetNode(CodePointSet set) {
    RegexNode node{.kind = RegexNode::kSet};
    node.set = std::move(set);
    return node;
  }
  static RegexNode AssertNode(RegexNode::Assertion assertion) {
    RegexNode node{.kind = RegexNode::kAssert};
    node.assertion = assertion;
    return node;
  }

  absl::StatusOr<RegexNode> ParseAtom(int depth) {
    if (LooksAt("(")) return ParseGroup(depth);
    if (LooksAt("[")) {
      QIAO_ASSIGN_OR_RETURN(CodePointSet set, ParseClass(depth));
      return SetNode(std::move(set));
    }
    if (LooksAt("*") || LooksAt("+") || LooksAt("?")) return Bad("nothing to repeat");
    if (Take(".")) return SetNode(CodePointSet('\n', '\n').Complement());
    if (Take("^")) return AssertNode(RegexNode::kLineStart);
    if (Take("$")) return AssertNode(RegexNode::kLineEnd);
    if (Take("\\A")) return AssertNode(RegexNode::kTextStart);
    if (Take("\\z")) return AssertNode(RegexNode::kTextEnd);
    if (Take("\\Z")) return AssertNode(RegexNode::kTextEndOrNewline);
    if (Take("\\b")) return AssertNode(RegexNode::kWordEdge);
    if (Take("\\B")) return AssertNode(RegexNode::kNotWordEdge);
    CodePointSet set;
    if (LooksAt("\\")) {
      bool single;
      QIAO_ASSIGN_OR_RETURN(set, ParseEscape(&single));
    } else {
      const uint32_t code = TakeCodePoint();
      set = {code, code};
    }
    return SetNode(fold_ ? FoldCase(std::move(set)) : std::move(set));
  }

  // At a backslash. *single: one code point, which may bound a range in a class.
  absl::StatusOr<CodePointSet> ParseEscape(bool* single) {
    Take("\\");
    if (AtEnd()) return Bad("'\\' at the end");
    *single = false;
    const uint32_t c = TakeCodePoint();
    switch (c) {
      case 's':
        return *UnicodeProperty("space");
      case 'S':
        return UnicodeProperty("space")->Complement();
      case 'd':
        return *UnicodeProperty("nd");
      case 'D':
        return UnicodeProperty("nd")->Complement();
      case 'w':
        return *UnicodeProperty("word");
      case 'W':
        return UnicodeProperty("word")->Complement();
      case 'h':
        return CodePointSet('0', '9').Union({'A', 'F'}).Union({'a', 'f'});
      case 'p':
      case 'P':
        return ParseProperty(c == 'P');
      default:
        break;
    }
    *single = true;
    std::optional<uint32_t> code;
    switch (c) {
      case 't':
        code = '\t';
        break;
      case 'n':
        code = '\n';
        break;
      case 'r':
        code = '\r';
        break;
      case 'f':
        code = '\f';
        break;
      case 'v':
        code = '\v';
        break;
      case 'a':
        code = '\a';
        break;
      case 'e':
        code = 0x1B;
        break;
      case 'x':
        if (Take("{")) {
          code = TakeHex(1, 8);
          if (!Take("}")) code.reset();
        } else {
          code = TakeHex(1, 2);
          // Oniguruma takes \xHH above 7F as a raw byte of a longer sequence.
          if (code && *code > 0x7F) return Unsupported("\\xHH above 7F (write \\x{HH})");
        }
        break;
      case 'u':
        code = TakeHex(4, 4);
        break;
      default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
          return Unsupported("this escape");
        }
        code = c;
    }
    if (!code || *code > kMaxCodePoint) return Bad("bad hexadecimal escape");
    return CodePointSet(*code, *code);
  }

  absl::StatusOr<CodePointSet> ParseProperty(bool negative) {
    if (!Take("{")) return Bad("\\p needs {name}");
    if (Take("^")) negative = !negative;
    const size_t close = pattern_.find('}', pos_);
    if (close == std::string_view::npos) return Bad("\\p{ without '}'");
    const std::string_view name = pattern_.substr(pos_, close - pos_);
    std::optional<CodePointSet> set = UnicodeProperty(name);
    if (!set) return Unsupported("this Unicode property");
    pos_ = close + 1;
    return negative ? set->Complement() : *std::move(set);
  }

  // At '['. Grammar: [ ^? items (&& items)* ].
  absl::StatusOr<CodePointSet> ParseClass(int depth) {
    if (depth > kMaxNesting) return Bad("classes nested too deeply");
    Take("[");
    const bool negative = Take("^");
    if (LooksAt("]")) return Bad("empty class, or a first ']' that is not written \\]");
    std::optional<CodePointSet> left;
    CodePointSet items;
    while (!Take("]")) {
      if (AtEnd()) return Bad("'[' without ']'");
      if (Take("&&")) {
        left = left ? left->Intersection(items) : items;
        items = {};
        continue;
      }
      if (LooksAt("[:")) return Unsupported("a POSIX bracket");
      if (LooksAt("[")) {
        QIAO_ASSIGN_OR_RETURN(CodePointSet nested, ParseClass(depth + 1));
        items = items.Union(nested);
        continue;
      }
      bool single = true;
      QIAO_ASSIGN_OR_RETURN(CodePointSet item, ParseClassItem(&single));
      // '-' before ']' stands for itself, as does one after a set.
      if (single && LooksAt("-") && !pattern_.substr(pos_ + 1).starts_with("]")) {
        Take("-");
        if (AtEnd() || LooksAt("[") || LooksAt("&&")) return Bad("a range without an end");
        QIAO_ASSIGN_OR_RETURN(const CodePointSet end, ParseClassItem(&single));
        if (!single) return Bad("a range must end in one character");
        if (end.ranges()[0].first < item.ranges()[0].first) return Bad("the range runs backwards");
        item = {item.ranges()[0].first, end.ranges()[0].first};
      }
      items = items.Union(item);
    }
    if (left) items = left->Intersection(items);
    if (fold_) items = FoldCase(std::move(items));
    return negative ? items.Complement() : items;
  }

  absl::StatusOr<CodePointSet> ParseClassItem(bool* single) {
    if (LooksAt("\\b")) return Unsupported("\\b in a class");
    if (LooksAt("\\")) return ParseEscape(single);
    const uint32_t code = TakeCodePoint();
    return CodePointSet(code, code);
  }

  absl::StatusOr<RegexNode> ParseQuantifier(RegexNode atom) {
    for (;;) {
      uint32_t min = 0, max = kRegexInfinite;
      bool braces = false;
      if (Take("*")) {
      } else if (Take("+")) {
        min = 1;
      } else if (Take("?")) {
        max = 1;
      } else if (const auto counts = TakeCounts(/*may_lack_min=*/true)) {
        min = static_cast<uint32_t>(counts->min);
        if (counts->max >= 0) max = static_cast<uint32_t>(counts->max);
        braces = true;
        if (min > kMaxRepeat || (max > kMaxRepeat && max != kRegexInfinite))
          return Unsupported("a count above 1000");
        if (min > max) return Bad("the counts run backwards");
      } else {
        return atom;
      }
      if (atom.kind == RegexNode::kLook || atom.kind == RegexNode::kAssert)
        return Unsupported("repeating this");
      RegexNode repeat{.kind = RegexNode::kRepeat};
      repeat.min = min, repeat.max = max;
      if (braces && LooksAt("+")) return Unsupported("'+' after {n,m}");
      if (braces && min == max && LooksAt("?")) return Unsupported("'?' after {n}");
      if (Take("?"))
        repeat.mode = RegexNode::kLazy;
      else if (!braces && Take("+"))
        repeat.mode = RegexNode::kPossessive;
      repeat.kids.push_back(std::move(atom));
      atom = std::move(repeat);
      if (LooksAt("*") || LooksAt("+") || LooksAt("?")) return Unsupported("a quantifier of a quantifier");
    }
  }

  bool fold_ = false;
};

}  // namespace

absl::StatusOr<RegexNode> ParseRegex(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return InvalidArgument("a pattern of %d bytes; at most %d are accepted", pattern.size(),
                           kMaxPatternBytes);
  }
  if (!IsValidUtf8(pattern)) return InvalidArgument("a pattern that is not UTF-8");
  return Parser(pattern).Parse();
}

}  // namespace qiao::text
