#include "runtime/text/constraint_json.h"

#include <algorithm>
#include <map>

#include "runtime/base/json.h"
#include "runtime/text/constraint_number.h"

namespace qiao::text {
namespace {

struct ByteRange {
  uint8_t low, high;
};
constexpr ByteRange kPlain[] = {{0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0x7F}};  // needs no escape
constexpr ByteRange kHex[] = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}};

// UTF-8 beyond ASCII. States: 0 between characters; 1, 2, 3 with so many continuation bytes to come; 4 to 7
// after E0, ED, F0, F4, whose next byte has a narrower range (no overlong forms, surrogates, or more than
// U+10FFFF).
struct Utf8Edge {
  uint8_t from, low, high, to;
};
constexpr Utf8Edge kUtf8Edges[] = {
    {0, 0xC2, 0xDF, 1}, {0, 0xE0, 0xE0, 4}, {0, 0xE1, 0xEC, 2}, {0, 0xED, 0xED, 5}, {0, 0xEE, 0xEF, 2},
    {0, 0xF0, 0xF0, 6}, {0, 0xF1, 0xF3, 3}, {0, 0xF4, 0xF4, 7}, {1, 0x80, 0xBF, 0}, {2, 0x80, 0xBF, 1},
    {3, 0x80, 0xBF, 2}, {4, 0xA0, 0xBF, 1}, {5, 0x80, 0x9F, 1}, {6, 0x90, 0xBF, 2}, {7, 0x80, 0x8F, 2}};

}  // namespace

std::string QuoteJson(std::string_view text) { return Json(text).dump(); }

// Escapes; those of surrogates in pairs.
void JsonRules::AddEscape(uint32_t from, uint32_t to) {
  AutomatonBuilder& b = builder_;
  const auto hex = [&](uint32_t at, uint32_t next) {
    for (const ByteRange& r : kHex) b.AddRange(at, r.low, r.high, next);
  };
  const uint32_t backslash = b.AddState(), u = b.AddState(), three = b.AddState(), two = b.AddState(),
                 one = b.AddState();
  b.AddByte(from, '\\', backslash);
  for (const char c : std::string_view("\"\\/bfnrt")) b.AddByte(backslash, static_cast<uint8_t>(c), to);
  b.AddByte(backslash, 'u', u);
  for (const ByteRange r : {ByteRange{'0', '9'}, {'a', 'c'}, {'e', 'f'}, {'A', 'C'}, {'E', 'F'}}) {
    b.AddRange(u, r.low, r.high, three);
  }
  hex(three, two), hex(two, one), hex(one, to);
  const uint32_t d = b.AddState(), high2 = b.AddState(), high1 = b.AddState(), low_backslash = b.AddState(),
                 low_u = b.AddState(), low_d = b.AddState(), low = b.AddState();
  for (const char c : {'d', 'D'}) b.AddByte(u, static_cast<uint8_t>(c), d);
  b.AddRange(d, '0', '7', two);
  for (const ByteRange r : {ByteRange{'8', '9'}, {'a', 'b'}, {'A', 'B'}}) b.AddRange(d, r.low, r.high, high2);
  hex(high2, high1), hex(high1, low_backslash);
  b.AddByte(low_backslash, '\\', low_u);
  b.AddByte(low_u, 'u', low_d);
  for (const char c : {'d', 'D'}) b.AddByte(low_d, static_cast<uint8_t>(c), low);
  for (const ByteRange r : {ByteRange{'c', 'f'}, {'C', 'F'}}) b.AddRange(low, r.low, r.high, two);
}

void JsonRules::AddMultibyte(uint32_t from, uint32_t to) {
  uint32_t states[8] = {from};
  for (int i = 1; i < 8; ++i) states[i] = builder_.AddState();
  for (const Utf8Edge& e : kUtf8Edges) {
    builder_.AddRange(states[e.from], e.low, e.high, e.to == 0 ? to : states[e.to]);
  }
}

void JsonRules::AddCharacter(uint32_t from, uint32_t to) {
  for (const ByteRange& r : kPlain) builder_.AddRange(from, r.low, r.high, to);
  AddMultibyte(from, to);
  AddEscape(from, to);
}

// At most one space.
uint32_t JsonRules::AddSpace(uint32_t from) {
  const uint32_t to = builder_.AddState();
  builder_.AddByte(from, ' ', to);
  builder_.AddEpsilon(from, to);
  return to;
}

uint32_t JsonRules::Word(std::string_view word) {
  const uint32_t rule = builder_.AddRule();
  builder_.Accept(builder_.AddText(builder_.Start(rule), word));
  return rule;
}

uint32_t JsonRules::Null() { return null_ == kNone ? null_ = Word("null") : null_; }

uint32_t JsonRules::Boolean() {
  if (boolean_ != kNone) return boolean_;
  boolean_ = Word("true");
  builder_.Accept(builder_.AddText(builder_.Start(boolean_), "false"));
  return boolean_;
}

uint32_t JsonRules::Integer() {
  return integer_ == kNone ? integer_ = AddNumberRule({.integer = true}, builder_) : integer_;
}

uint32_t JsonRules::Number() { return number_ == kNone ? number_ = AddNumberRule({}, builder_) : number_; }

uint32_t JsonRules::String() {
  if (string_ != kNone) return string_;
  string_ = builder_.AddRule();
  const uint32_t body = builder_.AddState(), end = builder_.AddState();
  builder_.AddByte(builder_.Start(string_), '"', body);
  AddCharacter(body, body);
  builder_.AddByte(body, '"', end);
  builder_.Accept(end);
  return string_;
}

uint32_t JsonRules::Object() {
  if (object_ != kNone) return object_;
  object_ = builder_.AddRule();  // before its parts, which come back to it
  builder_.AddTailCall(builder_.Start(object_), ObjectOf({}, Value()));
  return object_;
}

uint32_t JsonRules::Array() {
  if (array_ != kNone) return array_;
  array_ = builder_.AddRule();
  builder_.AddTailCall(builder_.Start(array_), ArrayOf({}, Value(), 0, -1));
  return array_;
}

uint32_t JsonRules::Value() {
  if (value_ != kNone) return value_;
  value_ = builder_.AddRule();
  const uint32_t end = builder_.AddState();
  builder_.Accept(end);
  for (const uint32_t rule : {Object(), Array(), String(), Number(), Boolean(), Null()}) {
    builder_.AddCall(builder_.Start(value_), rule, end);
  }
  return value_;
}

// A character beyond plain ASCII, called by each state of a counted string.
uint32_t JsonRules::WideCharacter() {
  if (wide_ != kNone) return wide_;
  wide_ = builder_.AddRule();
  const uint32_t end = builder_.AddState();
  builder_.Accept(end);
  AddMultibyte(builder_.Start(wide_), end);
  AddEscape(builder_.Start(wide_), end);
  return wide_;
}

uint32_t JsonRules::CountedString(int64_t min, int64_t max) {
  if (min <= 0 && max < 0) return String();
  const uint32_t rule = builder_.AddRule(), wide = WideCharacter(), group = builder_.NewGroup();
  const uint32_t end = builder_.AddState();
  builder_.Accept(end);
  uint32_t at = builder_.AddState();
  builder_.AddByte(builder_.Start(rule), '"', at);
  const int64_t last = max < 0 ? min : max;
  for (int64_t n = 0; builder_.ok(); ++n) {
    if (n >= min) builder_.AddByte(at, '"', end);
    builder_.SetCounted(at, {group, static_cast<uint32_t>(std::max<int64_t>(min - n, 0)),
                             max < 0 ? UINT32_MAX : static_cast<uint32_t>(max - n)});
    if (n == last && max >= 0) break;
    const uint32_t next = n == last ? at : builder_.AddState();
    for (const ByteRange& r : kPlain) builder_.AddRange(at, r.low, r.high, next);
    builder_.AddCall(at, wide, next);
    if (n == last) break;
    at = next;
  }
  return rule;
}

// A trie of the names, each state of it with UTF-8's state; what leaves the trie goes on in UTF-8's
// automaton.
uint32_t JsonRules::OtherName(const std::vector<std::string>& names) {
  AutomatonBuilder& b = builder_;
  const uint32_t rule = b.AddRule();
  const uint32_t end = b.AddState();
  b.Accept(end);
  struct Node {
    std::map<uint8_t, uint32_t> kids;
    uint8_t utf8 = 0;
    bool name = false;
    uint32_t state = 0;
  };
  const auto step = [](uint8_t utf8, uint8_t byte) -> uint8_t {
    for (const Utf8Edge& e : kUtf8Edges) {
      if (e.from == utf8 && byte >= e.low && byte <= e.high) return e.to;
    }
    return 0;  // ASCII
  };
  std::vector<Node> trie(1);
  for (const std::string& name : names) {
    if (QuoteJson(name).size() != name.size() + 2) continue;  // always written with escapes
    uint32_t at = 0;
    for (const char c : name) {
      if (!b.budget().Spend(1)) return rule;
      const auto byte = static_cast<uint8_t>(c);
      const auto [it, fresh] = trie[at].kids.try_emplace(byte, static_cast<uint32_t>(trie.size()));
      const uint32_t kid = it->second;
      if (fresh) {
        Node node;
        node.utf8 = step(trie[at].utf8, byte);
        trie.push_back(std::move(node));
      }
      at = kid;
    }
    trie[at].name = true;
  }
  uint32_t free[8];
  for (uint32_t& s : free) s = b.AddState();
  for (Node& node : trie) node.state = b.AddState();
  b.AddByte(b.Start(rule), '"', trie[0].state);

  // The edges of UTF-8's state without those bytes that lead on in the trie.
  const auto add = [&](uint32_t state, uint8_t utf8, const std::map<uint8_t, uint32_t>& kids, bool may_end) {
    const auto range = [&](uint8_t low, uint8_t high, uint32_t to) {
      int from = low;
      for (auto it = kids.lower_bound(low); it != kids.end() && it->first <= high; ++it) {
        if (it->first > from)
          b.AddRange(state, static_cast<uint8_t>(from), static_cast<uint8_t>(it->first - 1), to);
        from = it->first + 1;
      }
      if (from <= high) b.AddRange(state, static_cast<uint8_t>(from), high, to);
    };
    if (utf8 == 0) {
      for (const ByteRange& r : kPlain) range(r.low, r.high, free[0]);
      if (may_end) b.AddByte(state, '"', end);
    }
    for (const Utf8Edge& e : kUtf8Edges) {
      if (e.from == utf8) range(e.low, e.high, free[e.to]);
    }
  };
  for (uint8_t i = 0; i < 8; ++i) add(free[i], i, {}, true);
  for (const Node& node : trie) {
    add(node.state, node.utf8, node.kids, !node.name);
    for (const auto& [byte, kid] : node.kids) b.AddByte(node.state, byte, trie[kid].state);
  }
  return rule;
}

uint32_t JsonRules::ObjectOf(const std::vector<Property>& properties, uint32_t additional) {
  AutomatonBuilder& b = builder_;
  const uint32_t rule = b.AddRule();
  const size_t n = properties.size();
  // name[i]: before the name of property i or a later one; after[i]: after a property before i.
  std::vector<uint32_t> name, after;
  for (size_t i = 0; i <= n; ++i) name.push_back(b.AddState()), after.push_back(b.AddState());
  const uint32_t open = b.AddState(), end = b.AddState();
  b.Accept(end);
  b.AddByte(b.Start(rule), '{', open);
  b.AddEpsilon(open, name[0]);
  bool required = false;
  for (size_t i = n + 1; i-- > 0 && b.ok();) {
    if (i < n) {
      const Property& p = properties[i];
      required = required || p.required;
      if (!p.required) b.AddEpsilon(name[i], name[i + 1]);
      const uint32_t value = AddSpace(b.AddText(name[i], QuoteJson(p.name) + ":"));
      b.AddCall(value, p.rule, after[i + 1]);
    } else if (additional != kNone) {
      std::vector<std::string> names;
      for (const Property& p : properties) names.push_back(p.name);
      const uint32_t colon = b.AddState(), read = b.AddState();
      b.AddCall(name[n], names.empty() ? String() : OtherName(names), colon);
      b.AddByte(colon, ':', read);
      b.AddCall(AddSpace(read), additional, after[n]);
    }
    const uint32_t comma = b.AddState();
    b.AddByte(after[i], ',', comma);
    b.AddEpsilon(AddSpace(comma), name[i]);
    if (!required) b.AddByte(after[i], '}', end);
  }
  if (!required) b.AddByte(open, '}', end);
  return rule;
}

uint32_t JsonRules::ArrayOf(const std::vector<uint32_t>& prefix, uint32_t rest, int64_t min, int64_t max) {
  AutomatonBuilder& b = builder_;
  const uint32_t rule = b.AddRule(), group = b.NewGroup();
  const uint32_t open = b.AddState(), end = b.AddState();
  b.Accept(end);
  b.AddByte(b.Start(rule), '[', open);
  if (min <= 0) b.AddByte(open, ']', end);
  const auto fixed = static_cast<int64_t>(prefix.size());
  // From `last` elements on, one more changes nothing.
  const int64_t last = max >= 0 ? max : std::max(min, fixed);
  uint32_t element = b.AddState();  // before an element
  b.AddEpsilon(open, element);
  for (int64_t n = 0; b.ok() && (n < last || max < 0); ++n) {
    const uint32_t item = n < fixed ? prefix[static_cast<size_t>(n)] : rest;
    if (item == kNone) break;
    const uint32_t after = b.AddState(), comma = b.AddState();
    b.AddCall(element, item, after);
    if (n + 1 >= min) b.AddByte(after, ']', end);
    b.AddByte(after, ',', comma);
    if (n >= fixed) {
      const auto left = [&](int64_t bound) {
        return static_cast<uint32_t>(std::max<int64_t>(bound - n - 1, 0));
      };
      b.SetCounted(after, {group, left(min), max < 0 ? UINT32_MAX : left(max)});
    }
    const uint32_t space = AddSpace(comma);
    if (max < 0 && n >= last) {
      b.AddEpsilon(space, element);
      break;
    }
    element = b.AddState();
    b.AddEpsilon(space, element);
  }
  return rule;
}

}  // namespace qiao::text
