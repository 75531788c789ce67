// Code points to bytes: the UTF-8 of a range of code points, as a tree of byte ranges.
#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "runtime/text/constraint_regex.h"

namespace qiao::text {
namespace {

using Edge = CodeAutomaton::Edge;

class Speller {
 public:
  Speller(const CodeAutomaton& code, Spelling spelling, AutomatonBuilder& builder)
      : code_(code), json_(spelling == Spelling::kJson), b_(builder) {}

  void Run(uint32_t from, uint32_t end) {
    for (size_t i = 0; i < code_.states.size(); ++i) states_.push_back(b_.AddState());
    b_.AddEpsilon(from, states_[0]);
    for (size_t i = 0; i < code_.states.size() && b_.ok(); ++i) {
      if (code_.states[i].accepts) b_.AddEpsilon(states_[i], end);
      AddEdges(states_[i], code_.states[i].edges);
    }
  }

 private:
  // Code points of one length in UTF-8. Surrogates have no UTF-8.
  struct Length {
    uint32_t first, last;
    int more;  // continuation bytes
    uint8_t lead;
  };
  static constexpr Length kLengths[] = {{0x80, 0x7FF, 1, 0xC0},
                                        {0x800, 0xD7FF, 2, 0xE0},
                                        {0xE000, 0xFFFF, 2, 0xE0},
                                        {0x10000, 0x10FFFF, 3, 0xF0}};

  void AddEdges(uint32_t from, const std::vector<Edge>& edges) {
    for (const Edge& e : edges) {
      if (e.first < 0x80) AddAscii(from, e);
    }
    if (json_) AddEscapes(from, edges);
    for (const Length& length : kLengths) {
      std::vector<Edge> within;
      for (const Edge& e : edges) {
        const uint32_t first = std::max(e.first, length.first), last = std::min(e.last, length.last);
        if (first <= last) within.push_back({first, last, states_[e.to]});
      }
      if (!within.empty()) Split(from, within, length.more, length.lead);
    }
  }

  void AddAscii(uint32_t from, const Edge& e) {
    const auto range = [&](uint32_t low, uint32_t high) {
      const uint32_t first = std::max(low, e.first), last = std::min(high, e.last);
      if (first <= last) {
        b_.AddRange(from, static_cast<uint8_t>(first), static_cast<uint8_t>(last), states_[e.to]);
      }
    };
    if (!json_) return range(0, 0x7F);
    range(0x20, '"' - 1), range('"' + 1, '\\' - 1), range('\\' + 1, 0x7F);
  }

  // The characters that JSON does not let stand as they are.
  void AddEscapes(uint32_t from, const std::vector<Edge>& edges) {
    constexpr std::string_view kNamed = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt",
                               kDigits = "0123456789abcdef";
    uint32_t backslash = 0, zero = 0, high[2] = {0, 0};
    const auto start = [&](uint32_t& state, uint32_t before, std::string_view text) {
      if (state == 0) state = b_.AddText(before, text);
      return state;
    };
    for (const Edge& e : edges) {
      for (uint32_t c = e.first; c <= std::min<uint32_t>(e.last, '\\'); ++c) {
        if (c >= 0x20 && c != '"' && c != '\\') {
          c = c < '"' ? '"' - 1 : '\\' - 1;
          continue;
        }
        start(backslash, from, "\\");
        const uint32_t to = states_[e.to];
        if (const size_t at = kNamed.find(static_cast<char>(c)); at != kNamed.npos) {
          b_.AddByte(backslash, static_cast<uint8_t>(kLetters[at]), to);
          continue;
        }
        start(zero, backslash, "u00");
        const uint32_t digit = start(high[c >> 4], zero, c < 0x10 ? "0" : "1");
        b_.AddByte(digit, static_cast<uint8_t>(kDigits[c & 15]), to);
      }
    }
  }

  // The bytes of edges whose code points have `more` continuation bytes after the byte at hand, whose fixed
  // bits are `fixed`. The edges' targets are states of the builder.
  void Split(uint32_t from, const std::vector<Edge>& edges, int more, uint8_t fixed) {
    const auto byte = [&](uint32_t block) { return static_cast<uint8_t>(fixed | block); };
    const int shift = 6 * more;
    const uint32_t mask = (uint32_t{1} << shift) - 1;
    std::map<uint32_t, std::vector<Edge>> parts;  // blocks that an edge covers in part only
    for (const Edge& e : edges) {
      uint32_t low = e.first >> shift, high = e.last >> shift;
      if (low == high && ((e.first & mask) != 0 || (e.last & mask) != mask)) {
        parts[low].push_back({e.first & mask, e.last & mask, e.to});
        continue;
      }
      if ((e.first & mask) != 0) parts[low++].push_back({e.first & mask, mask, e.to});
      const bool cut = (e.last & mask) != mask;
      if (cut) parts[high].push_back({0, e.last & mask, e.to});
      const uint32_t end = cut ? high : high + 1;
      if (low < end)
        b_.AddRange(from, byte(low), byte(end - 1), more == 0 ? e.to : Rest({{0, mask, e.to}}, more));
    }
    for (const auto& [block, part] : parts) b_.AddByte(from, byte(block), Rest(part, more));
  }

  // The state that reads the last `more` bytes of `edges`, made once.
  uint32_t Rest(const std::vector<Edge>& edges, int more) {
    std::vector<uint32_t> key = {static_cast<uint32_t>(more)};
    for (const Edge& e : edges) key.insert(key.end(), {e.first, e.last, e.to});
    b_.budget().Spend(static_cast<int64_t>(edges.size()));
    if (const auto it = rests_.find(key); it != rests_.end()) return it->second;
    const uint32_t state = b_.AddState();
    rests_[key] = state;
    if (b_.ok()) Split(state, edges, more - 1, 0x80);
    return state;
  }

  const CodeAutomaton& code_;
  const bool json_;
  AutomatonBuilder& b_;
  std::vector<uint32_t> states_;
  std::map<std::vector<uint32_t>, uint32_t> rests_;
};

}  // namespace

void AddCodeAutomaton(const CodeAutomaton& code, Spelling spelling, uint32_t from, uint32_t end,
                      AutomatonBuilder& builder) {
  Speller(code, spelling, builder).Run(from, end);
}

}  // namespace qiao::text
