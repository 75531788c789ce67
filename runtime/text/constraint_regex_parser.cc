#include "runtime/text/constraint_regex_parser.h"

#include <optional>
#include <utility>

#include "runtime/text/pattern_cursor.h"

namespace qiao::text {
namespace {

CodePointSet Digits() { return {'0', '9'}; }
CodePointSet Word() { return Digits().Union({'A', 'Z'}).Union({'_', '_'}).Union({'a', 'z'}); }

// WhiteSpace and LineTerminator of ECMA-262.
CodePointSet Space() {
  CodePointSet out('\t', '\r');
  for (const uint32_t c : {0x20, 0xA0, 0x1680, 0x202F, 0x205F, 0x3000, 0xFEFF}) out = out.Union({c, c});
  return out.Union({0x2000, 0x200A}).Union({0x2028, 0x2029});
}

CodePointSet AnyButNewline() {
  return CodePointSet('\n', '\n').Union({'\r', '\r'}).Union({0x2028, 0x2029}).Complement();
}

// The union of many sets, without the cost of adding them one by one.
CodePointSet UnionOf(std::vector<CodePointSet> sets) {
  if (sets.empty()) return {};
  while (sets.size() > 1) {
    std::vector<CodePointSet> half;
    for (size_t i = 0; i < sets.size(); i += 2) {
      half.push_back(i + 1 < sets.size() ? sets[i].Union(sets[i + 1]) : std::move(sets[i]));
    }
    sets = std::move(half);
  }
  return std::move(sets[0]);
}

class Parser : PatternCursor {
 public:
  Parser(std::string_view pattern, std::string_view what, const ConstraintLimits& limits, WorkBudget& budget)
      : PatternCursor(pattern), what_(what), limits_(limits), budget_(budget) {}

  absl::StatusOr<PatternNode> Parse() {
    QIAO_ASSIGN_OR_RETURN(PatternNode node, ParseAlternation(0));
    if (!AtEnd()) return Bad("')' without '('");
    return node;
  }

 private:
  absl::Status Bad(std::string_view why) const {
    return InvalidArgument("%s: offset %d of the pattern: %s", what_, pos_, why);
  }

  absl::StatusOr<PatternNode> ParseAlternation(int depth) {
    if (depth > limits_.max_group_depth) {
      return ResourceExhausted("%s: offset %d of the pattern: groups are nested more than %d deep", what_,
                               pos_, limits_.max_group_depth);
    }
    PatternNode alternate{.kind = PatternNode::kAlternate};
    do {
      PatternNode sequence;
      while (!AtEnd() && !LooksAt("|") && !LooksAt(")")) {
        if (!budget_.Spend(10)) return budget_.status();
        QIAO_ASSIGN_OR_RETURN(PatternNode atom, ParseAtom(depth));
        QIAO_ASSIGN_OR_RETURN(atom, ParseQuantifier(std::move(atom)));
        sequence.kids.push_back(std::move(atom));
      }
      alternate.kids.push_back(std::move(sequence));
    } while (Take("|"));
    if (alternate.kids.size() > 1) return alternate;
    PatternNode only = std::move(alternate.kids[0]);
    return only;
  }

  absl::StatusOr<PatternNode> ParseGroup(int depth) {
    if (LooksAt("(?=") || LooksAt("(?!")) return Bad("look-ahead is not supported");
    if (LooksAt("(?<=") || LooksAt("(?<!")) return Bad("look-behind is not supported");
    if (LooksAt("(?>")) return Bad("atomic groups are not supported");
    if (LooksAt("(?P=")) return Bad("back-references are not supported");
    if (LooksAt("(?#")) return Bad("comments are not supported");
    if (Take("(?:")) {
    } else if (Take("(?<") || Take("(?P<")) {
      while (!AtEnd() && !LooksAt(">") && !LooksAt(")")) ++pos_;
      if (!Take(">")) return Bad("a group's name without '>'");
    } else if (LooksAt("(?")) {
      return Bad("inline flags are not supported");
    } else {
      Take("(");
    }
    QIAO_ASSIGN_OR_RETURN(PatternNode inner, ParseAlternation(depth + 1));
    if (!Take(")")) return Bad("'(' without ')'");
    return inner;
  }

  static PatternNode SetNode(CodePointSet set) {
    PatternNode node{.kind = PatternNode::kSet};
    node.set = std::move(set);
    return node;
  }

  absl::StatusOr<PatternNode> ParseAtom(int depth) {
    if (LooksAt("(")) return ParseGroup(depth);
    if (LooksAt("[")) {
      QIAO_ASSIGN_OR_RETURN(CodePointSet set, ParseClass());
      return SetNode(std::move(set));
    }
    if (LooksAt("*") || LooksAt("+") || LooksAt("?")) return Bad("nothing to repeat");
    if (LooksAt("{")) {
      if (TakeCounts(/*may_lack_min=*/false)) return Bad("nothing to repeat");
      Take("{");
      return SetNode({'{', '{'});
    }
    if (Take(".")) return SetNode(AnyButNewline());
    if (Take("^")) return PatternNode{.kind = PatternNode::kBegin};
    if (Take("$")) return PatternNode{.kind = PatternNode::kEnd};
    if (LooksAt("\\")) {
      bool single;
      QIAO_ASSIGN_OR_RETURN(CodePointSet set, ParseEscape(&single));
      return SetNode(std::move(set));
    }
    const uint32_t code = TakeCodePoint();
    return SetNode({code, code});
  }

  // At a backslash. *single: one code point, which may bound a range in a class.
  absl::StatusOr<CodePointSet> ParseEscape(bool* single) {
    Take("\\");
    if (AtEnd()) return Bad("'\\' at the end");
    *single = false;
    const uint32_t c = TakeCodePoint();
    switch (c) {
      case 'd':
        return Digits();
      case 'D':
        return Digits().Complement();
      case 'w':
        return Word();
      case 'W':
        return Word().Complement();
      case 's':
        return Space();
      case 'S':
        return Space().Complement();
      case 'p':
      case 'P':
        return ParseProperty(c == 'P');
      case 'b':
      case 'B':
        return Bad("word boundaries (\\b, \\B) are not supported");
      case 'A':
      case 'z':
      case 'Z':
      case 'G':
        return Bad("this anchor is not supported; use ^ and $");
      case 'k':
        return Bad("back-references are not supported");
      default:
        break;
    }
    if (c >= '1' && c <= '9') return Bad("back-references are not supported");
    *single = true;
    std::optional<uint32_t> code;
    switch (c) {
      case 't':
        return CodePointSet('\t', '\t');
      case 'n':
        return CodePointSet('\n', '\n');
      case 'r':
        return CodePointSet('\r', '\r');
      case 'f':
        return CodePointSet('\f', '\f');
      case 'v':
        return CodePointSet('\v', '\v');
      case '0':
        if (!AtEnd() && pattern_[pos_] >= '0' && pattern_[pos_] <= '9')
          return Bad("octal escapes are not supported");
        return CodePointSet(0, 0);
      case 'c':
        if (AtEnd()) return Bad("\\c needs a letter");
        code = TakeCodePoint() | 0x20;
        if (*code < 'a' || *code > 'z') return Bad("\\c needs a letter");
        return CodePointSet(*code - 'a' + 1, *code - 'a' + 1);
      case 'x':
        code = TakeHex(2, 2);
        break;
      case 'u':
        if (Take("{")) {
          code = TakeHex(1, 8);
          if (!Take("}")) code.reset();
        } else {
          code = TakeHex(4, 4);
          if (code && *code >= 0xD800 && *code < 0xDC00 && Take("\\u")) {
            const std::optional<uint32_t> low = TakeHex(4, 4);
            if (!low || *low < 0xDC00 || *low > 0xDFFF) return Bad("half of a surrogate pair");
            code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
          }
        }
        break;
      default:
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return Bad("this escape is not supported");
        code = c;
    }
    if (!code || *code > kMaxCodePoint || (*code >= 0xD800 && *code <= 0xDFFF))
      return Bad("a bad hexadecimal escape");
    return CodePointSet(*code, *code);
  }

  absl::StatusOr<CodePointSet> ParseProperty(bool negative) {
    if (!Take("{")) return Bad("\\p needs {name}");
    const size_t close = pattern_.find('}', pos_);
    if (close == std::string_view::npos) return Bad("\\p{ without '}'");
    std::string_view name = pattern_.substr(pos_, close - pos_);
    for (const std::string_view prefix : {"General_Category=", "gc=", "Script=", "sc="}) {
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    }
    if (!budget_.Spend(5'000)) return budget_.status();
    std::optional<CodePointSet> set = UnicodeProperty(name);
    if (!set) return Bad("this Unicode property is not supported");
    pos_ = close + 1;
    return negative ? set->Complement() : *std::move(set);
  }

  absl::StatusOr<CodePointSet> ParseClass() {
    Take("[");
    const bool negative = Take("^");
    std::vector<CodePointSet> items;
    while (!Take("]")) {
      if (AtEnd()) return Bad("'[' without ']'");
      if (!budget_.Spend(10)) return budget_.status();
      if (LooksAt("[:")) return Bad("POSIX classes are not supported");
      bool single = true;
      QIAO_ASSIGN_OR_RETURN(CodePointSet item, ParseClassItem(&single));
      // '-' before ']' and after a set stands for itself.
      if (single && LooksAt("-") && !LooksAt("-]")) {
        Take("-");
        if (AtEnd()) return Bad("'[' without ']'");
        QIAO_ASSIGN_OR_RETURN(const CodePointSet end, ParseClassItem(&single));
        if (!single) return Bad("a range must end in one character");
        if (end.ranges()[0].first < item.ranges()[0].first) return Bad("the range runs backwards");
        item = {item.ranges()[0].first, end.ranges()[0].first};
      }
      items.push_back(std::move(item));
    }
    CodePointSet set = UnionOf(std::move(items));
    return negative ? set.Complement() : set;
  }

  absl::StatusOr<CodePointSet> ParseClassItem(bool* single) {
    if (Take("\\b")) return CodePointSet('\b', '\b');
    if (LooksAt("\\")) return ParseEscape(single);
    const uint32_t code = TakeCodePoint();
    return CodePointSet(code, code);
  }

  absl::StatusOr<PatternNode> ParseQuantifier(PatternNode atom) {
    PatternNode repeat{.kind = PatternNode::kRepeat};
    repeat.max = -1;
    if (Take("*")) {
    } else if (Take("+")) {
      repeat.min = 1;
    } else if (Take("?")) {
      repeat.max = 1;
    } else if (const auto counts = TakeCounts(/*may_lack_min=*/false)) {
      repeat.min = counts->min, repeat.max = counts->max;
      if (std::max(repeat.min, repeat.max) > limits_.max_repeat) {
        return ResourceExhausted("%s: offset %d of the pattern: a count above %d", what_, pos_,
                                 limits_.max_repeat);
      }
      if (repeat.max >= 0 && repeat.min > repeat.max) return Bad("the counts run backwards");
    } else {
      return atom;
    }
    if (atom.kind == PatternNode::kBegin || atom.kind == PatternNode::kEnd)
      return Bad("an anchor cannot be repeated");
    Take("?");  // lazy: the same texts match
    if (LooksAt("+")) return Bad("possessive quantifiers are not supported");
    if (LooksAt("*") || LooksAt("?")) return Bad("a quantifier of a quantifier");
    repeat.kids.push_back(std::move(atom));
    return repeat;
  }

  std::string_view what_;
  const ConstraintLimits& limits_;
  WorkBudget& budget_;
};

}  // namespace

absl::StatusOr<PatternNode> ParsePattern(std::string_view pattern, std::string_view what,
                                         const ConstraintLimits& limits, WorkBudget& budget) {
  if (pattern.size() > limits.max_regex_bytes) {
    return ResourceExhausted("%s: a pattern of %d bytes, more than the limit of %d", what, pattern.size(),
                             limits.max_regex_bytes);
  }
  if (!IsValidUtf8(pattern)) return InvalidArgument("%s: the pattern is not UTF-8", what);
  return Parser(pattern, what, limits, budget).Parse();
}

}  // namespace qiao::text
