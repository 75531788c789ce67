#include "runtime/text/pretokenizer_regex.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "runtime/text/pretokenizer_regex_parser.h"

namespace qiao::text {
namespace {

constexpr size_t kMaxInstructions = 20'000;
constexpr size_t kMaxTables = 128;
constexpr size_t kMaxBacktrackEntries = size_t{4} << 20;
// A search may take this many steps, plus so many for each byte of the text. The patterns in use need about
// ten.
constexpr uint64_t kStepsAtLeast = 100'000;
constexpr uint64_t kStepsPerByte = 512;
constexpr size_t kNoMatch = static_cast<size_t>(-1);

enum class Op : uint8_t {
  kSet,     // one code point of table `set`
  kLoop,    // `min` to `max` code points of table `set`
  kSplit,   // go on at a; if that fails, at b
  kJump,    // go on at a
  kAtomic,  // match [pc+1 .. kEnd] once, go on at a
  kLook,    // the same, but consume nothing
  kAssert,
  kEnd,  // the program, or the inner program of kAtomic and kLook, has matched
};

struct Instruction {
  Op op;
  RegexNode::Mode mode = RegexNode::kGreedy;
  RegexNode::Assertion assertion = RegexNode::kLineStart;
  bool negative = false;
  uint32_t set = 0;
  uint32_t a = 0, b = 0;  // targets; for kLoop min and max
};

// What a match that starts at an instruction can begin with: lets a search skip, and a split not push.
struct FirstSet {
  std::array<uint64_t, 2> ascii = {};
  bool non_ascii = false;
  bool anything = false;  // it can match the empty string, or begins with a condition

  bool Admits(const char* p, const char* end) const {
    if (anything) return true;
    if (p == end) return false;
    const auto c = static_cast<unsigned char>(*p);
    return c < 0x80 ? (ascii[c >> 6] >> (c & 63) & 1) != 0 : non_ascii;
  }
  bool Add(const FirstSet& other) {
    const FirstSet before = *this;
    ascii[0] |= other.ascii[0], ascii[1] |= other.ascii[1];
    non_ascii |= other.non_ascii, anything |= other.anything;
    return before.ascii != ascii || before.non_ascii != non_ascii || before.anything != anything;
  }
};

bool CanBeEmpty(const RegexNode& node) {
  switch (node.kind) {
    case RegexNode::kSet:
      return false;
    case RegexNode::kSequence:
      return std::all_of(node.kids.begin(), node.kids.end(), CanBeEmpty);
    case RegexNode::kAlternate:
      return std::any_of(node.kids.begin(), node.kids.end(), CanBeEmpty);
    case RegexNode::kRepeat:
      return node.min == 0 || CanBeEmpty(node.kids[0]);
    case RegexNode::kAtomic:
      return CanBeEmpty(node.kids[0]);
    case RegexNode::kLook:
    case RegexNode::kAssert:
      return true;
  }
  return true;
}

}  // namespace

struct Regex::Program {
  std::vector<Instruction> code;
  std::vector<CodePointTable> tables;
  std::vector<FirstSet> first;  // one an instruction
  std::map<std::vector<CodePointSet::Range>, uint32_t> table_of;

  uint32_t here() const { return static_cast<uint32_t>(code.size()); }

  absl::StatusOr<uint32_t> Add(Instruction instruction) {
    if (code.size() >= kMaxInstructions)
      return InvalidArgument("the pattern is too large once its counts are expanded");
    code.push_back(instruction);
    return here() - 1;
  }

  absl::StatusOr<uint32_t> Table(const CodePointSet& set) {
    const auto [it, fresh] = table_of.try_emplace(set.ranges(), static_cast<uint32_t>(tables.size()));
    if (fresh && tables.size() >= kMaxTables)
      return InvalidArgument("the pattern has more than %d sets", kMaxTables);
    if (fresh) tables.emplace_back(set);
    return it->second;
  }

  absl::Status Emit(const RegexNode& node) {
    switch (node.kind) {
      case RegexNode::kSet: {
        QIAO_ASSIGN_OR_RETURN(const uint32_t set, Table(node.set));
        return Add({.op = Op::kSet, .set = set}).status();
      }
      case RegexNode::kSequence:
        for (const RegexNode& kid : node.kids) QIAO_RETURN_IF_ERROR(Emit(kid));
        return absl::OkStatus();
      case RegexNode::kAlternate:
        return EmitAlternate(node);
      case RegexNode::kRepeat:
        return EmitRepeat(node);
      case RegexNode::kAtomic:
        return EmitInner(node, Op::kAtomic);
      case RegexNode::kLook:
        return EmitInner(node, Op::kLook);
      case RegexNode::kAssert:
        return Add({.op = Op::kAssert, .assertion = node.assertion}).status();
    }
    return absl::OkStatus();
  }

  absl::Status EmitInner(const RegexNode& node, Op op) {
    QIAO_ASSIGN_OR_RETURN(const uint32_t at, Add({.op = op, .negative = node.negative}));
    QIAO_RETURN_IF_ERROR(Emit(node.kids[0]));
    QIAO_RETURN_IF_ERROR(Add({.op = Op::kEnd}).status());
    code[at].a = here();
    return absl::OkStatus();
  }

  absl::Status EmitAlternate(const RegexNode& node) {
    std::vector<uint32_t> jumps;
    for (size_t i = 0; i < node.kids.size(); ++i) {
      if (i + 1 == node.kids.size()) {
        QIAO_RETURN_IF_ERROR(Emit(node.kids[i]));
        break;
      }
      QIAO_ASSIGN_OR_RETURN(const uint32_t split, Add({.op = Op::kSplit}));
      code[split].a = here();
      QIAO_RETURN_IF_ERROR(Emit(node.kids[i]));
      QIAO_ASSIGN_OR_RETURN(const uint32_t jump, Add({.op = Op::kJump}));
      jumps.push_back(jump);
      code[split].b = here();
    }
    for (const uint32_t jump : jumps) code[jump].a = here();
    return absl::OkStatus();
  }

  absl::Status EmitRepeat(const RegexNode& node) {
    // (?:x) is a sequence of one; a repeated set is one instruction.
    const RegexNode* body = &node.kids[0];
    while (body->kind == RegexNode::kSequence && body->kids.size() == 1) body = &body->kids[0];
    if (body->kind == RegexNode::kSet) {
      QIAO_ASSIGN_OR_RETURN(const uint32_t set, Table(body->set));
      return Add({.op = Op::kLoop, .mode = node.mode, .set = set, .a = node.min, .b = node.max}).status();
    }
    if (CanBeEmpty(*body)) return Unimplemented("repeating a group that can match nothing is not supported");
    std::optional<uint32_t> atomic;
    if (node.mode == RegexNode::kPossessive) {
      QIAO_ASSIGN_OR_RETURN(atomic, Add({.op = Op::kAtomic}));
    }
    for (uint32_t i = 0; i < node.min; ++i) QIAO_RETURN_IF_ERROR(Emit(*body));
    const auto emit_split = [&]() { return Add({.op = Op::kSplit}); };
    const auto aim = [&](uint32_t split, uint32_t enter, uint32_t leave) {
      code[split].a = node.mode == RegexNode::kLazy ? leave : enter;
      code[split].b = node.mode == RegexNode::kLazy ? enter : leave;
    };
    if (node.max == kRegexInfinite) {
      QIAO_ASSIGN_OR_RETURN(const uint32_t split, emit_split());
      QIAO_RETURN_IF_ERROR(Emit(*body));
      QIAO_RETURN_IF_ERROR(Add({.op = Op::kJump, .a = split}).status());
      aim(split, split + 1, here());
    } else {
      std::vector<uint32_t> splits;
      for (uint32_t i = node.min; i < node.max; ++i) {
        QIAO_ASSIGN_OR_RETURN(const uint32_t split, emit_split());
        splits.push_back(split);
        QIAO_RETURN_IF_ERROR(Emit(*body));
      }
      for (const uint32_t split : splits) aim(split, split + 1, here());
    }
    if (atomic) {
      QIAO_RETURN_IF_ERROR(Add({.op = Op::kEnd}).status());
      code[*atomic].a = here();
    }
    return absl::OkStatus();
  }

  void FindFirstSets() {
    first.resize(code.size());
    bool changed = true;
    while (changed) {
      changed = false;
      for (size_t i = code.size(); i-- > 0;) {
        const Instruction& in = code[i];
        FirstSet add;
        if (in.op == Op::kSet || in.op == Op::kLoop) {
          add.ascii = tables[in.set].ascii();
          add.non_ascii = tables[in.set].has_non_ascii();
          if (in.op == Op::kLoop && in.a == 0) add.Add(first[i + 1]);
        } else if (in.op == Op::kSplit) {
          add.Add(first[in.a]);
          add.Add(first[in.b]);
        } else if (in.op == Op::kJump) {
          add.Add(first[in.a]);
        } else {
          add.anything = true;
        }
        changed |= first[i].Add(add);
      }
    }
  }
};

// One search over one text.
class Regex::Matcher {
 public:
  Matcher(const Program& program, std::string_view text)
      : program_(program),
        begin_(text.data()),
        end_(text.data() + text.size()),
        budget_(kStepsAtLeast + kStepsPerByte * text.size()) {}

  bool exhausted() const { return steps_ > budget_; }

  // The leftmost match at or after `from`.
  std::optional<TextRange> Search(size_t from) {
    const FirstSet& first = program_.first[0];
    for (const char* p = begin_ + from;; p += LengthAt(p)) {
      if (first.Admits(p, end_)) {
        const char* match_end = Run(0, p);
        if (exhausted()) return std::nullopt;
        if (match_end)
          return TextRange{static_cast<size_t>(p - begin_), static_cast<size_t>(match_end - begin_)};
      }
      if (p == end_) return std::nullopt;
    }
  }

  static int LengthAt(const char* p) {
    const auto c = static_cast<unsigned char>(*p);
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
  }

 private:
  // Where to go on when the present path fails: at `pc` with the text at `p`. A greedy loop leaves its whole
  // run, to be given back one code point at a time down to `least`; a lazy one its right to take more.
  struct Backtrack {
    uint32_t pc;
    uint32_t lazy_left;
    const char* p;
    const char* least;
  };

  // Matches from `pc` to the first kEnd. Recursion (for kAtomic and kLook) is as deep as the pattern's
  // nesting.
  const char* Run(uint32_t pc, const char* p) {
    const size_t base = stack_.size();
    const char* result = nullptr;
    for (;;) {
      if (++steps_ > budget_) break;
      const Instruction& in = program_.code[pc];
      bool ok = true;
      switch (in.op) {
        case Op::kSet: {
          const int length = program_.tables[in.set].Match(p, end_);
          ok = length > 0;
          p += length;
          ++pc;
          break;
        }
        case Op::kLoop:
          ok = RunLoop(in, pc, &p);
          ++pc;
          break;
        case Op::kSplit:
          if (!program_.first[in.a].Admits(p, end_)) {
            pc = in.b;
          } else {
            if (program_.first[in.b].Admits(p, end_)) Push({in.b, 0, p, p});
            pc = in.a;
          }
          break;
        case Op::kJump:
          pc = in.a;
          break;
        case Op::kAtomic: {
          const char* inner = Run(pc + 1, p);
          ok = inner != nullptr;
          if (ok) p = inner;
          pc = in.a;
          break;
        }
        case Op::kLook:
          ok = (Run(pc + 1, p) != nullptr) != in.negative;
          pc = in.a;
          break;
        case Op::kAssert:
          ok = Holds(in.assertion, p);
          ++pc;
          break;
        case Op::kEnd:
          result = p;
          break;
      }
      if (result) break;
      if (!ok && !Back(base, &pc, &p)) break;
    }
    stack_.resize(base);
    return exhausted() ? nullptr : result;
  }

  bool RunLoop(const Instruction& in, uint32_t pc, const char** p) {
    const CodePointTable& table = program_.tables[in.set];
    const char* q = *p;
    const char* least = *p;
    const uint32_t most = in.mode == RegexNode::kLazy ? in.a : in.b;
    uint32_t count = 0;
    for (int length; count < most && (length = table.Match(q, end_)) > 0; ++count) {
      q += length;
      if (count + 1 == in.a) least = q;
    }
    steps_ += count;
    if (count < in.a) return false;
    if (in.mode == RegexNode::kLazy) {
      if (in.b > in.a) Push({pc, in.b - in.a, q, nullptr});
    } else if (in.mode == RegexNode::kGreedy && q > least) {
      Push({pc + 1, 0, q, least});
    }
    *p = q;
    return true;
  }

  bool Back(size_t base, uint32_t* pc, const char** p) {
    while (stack_.size() > base) {
      Backtrack& top = stack_.back();
      ++steps_;
      if (top.lazy_left > 0) {
        const Instruction& loop = program_.code[top.pc];
        const int length = program_.tables[loop.set].Match(top.p, end_);
        if (length == 0) {
          stack_.pop_back();
          continue;
        }
        top.p += length;
        *p = top.p;
        *pc = top.pc + 1;
        if (--top.lazy_left == 0) stack_.pop_back();
        return true;
      }
      if (top.least == top.p) {  // a split
        *p = top.p;
        *pc = top.pc;
        stack_.pop_back();
        return true;
      }
      do {
        --top.p;
      } while ((static_cast<unsigned char>(*top.p) & 0xC0) == 0x80);
      *p = top.p;
      *pc = top.pc;
      if (top.p == top.least) stack_.pop_back();
      return true;
    }
    return false;
  }

  void Push(const Backtrack& entry) {
    if (stack_.size() >= kMaxBacktrackEntries) {
      steps_ = budget_ + 1;
      return;
    }
    stack_.push_back(entry);
  }

  bool WordAt(const char* p) const {
    if (p == end_) return false;
    int length;
    return IsWordCharacter(DecodeValid(p, &length));
  }

  bool Holds(RegexNode::Assertion assertion, const char* p) const {
    switch (assertion) {
      case RegexNode::kLineStart:
        return p == begin_ || (p[-1] == '\n' && p != end_);
      case RegexNode::kLineEnd:
        return p == end_ || *p == '\n';
      case RegexNode::kTextStart:
        return p == begin_;
      case RegexNode::kTextEnd:
        return p == end_;
      case RegexNode::kTextEndOrNewline:
        return p == end_ || (p + 1 == end_ && *p == '\n');
      case RegexNode::kWordEdge:
      case RegexNode::kNotWordEdge:
        break;
    }
    const char* before = p;
    if (p != begin_) {
      do {
        --before;
      } while ((static_cast<unsigned char>(*before) & 0xC0) == 0x80);
    }
    const bool edge = (p != begin_ && WordAt(before)) != WordAt(p);
    return edge == (assertion == RegexNode::kWordEdge);
  }

  const Program& program_;
  const char* begin_;
  const char* end_;
  uint64_t budget_;
  uint64_t steps_ = 0;
  std::vector<Backtrack> stack_;
};

Regex::Regex(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

absl::StatusOr<Regex> Regex::Compile(std::string_view pattern) {
  QIAO_ASSIGN_OR_RETURN(const RegexNode tree, ParseRegex(pattern));
  auto program = std::make_unique<Program>();
  absl::Status status = program->Emit(tree);
  if (status.ok()) status = program->Add({.op = Op::kEnd}).status();
  if (!status.ok()) return Annotate(status, absl::StrFormat("pattern \"%s\"", pattern));
  program->table_of.clear();
  program->FindFirstSets();
  return Regex(std::move(program));
}

absl::Status Regex::FindAll(std::string_view text, std::vector<TextRange>* matches) const {
  Matcher matcher(*program_, text);
  size_t from = 0, last_end = kNoMatch;
  while (from <= text.size()) {
    const std::optional<TextRange> match = matcher.Search(from);
    if (matcher.exhausted()) {
      return ResourceExhausted(
          "a pre-tokenizer pattern took more than %d steps on a text of %d bytes; the pattern of "
          "this tokenizer.json backtracks without end",
          kStepsAtLeast + kStepsPerByte * text.size(), text.size());
    }
    if (!match) break;
    if (match->first == match->last && match->last == last_end) {
      from += from < text.size() ? static_cast<size_t>(Matcher::LengthAt(text.data() + from)) : 1;
      continue;
    }
    matches->push_back(*match);
    from = last_end = match->last;
  }
  return absl::OkStatus();
}

}  // namespace qiao::text
