#include "runtime/text/constraint_number.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace qiao::text {
namespace {

constexpr size_t kIntegerDigits = 18, kWholeDigits = 15, kFractionDigits = 17, kBoundedFractionDigits = 6;
constexpr int64_t kMaxDecimalDigits = 400;

// Unsigned decimals m with low <= m <= high, or < where exclusive.
class Magnitudes {
 public:
  using Bound = NumberBounds::Bound;

  Magnitudes(const Bound& low, const std::optional<Bound>& high, bool integer, bool bounded,
             AutomatonBuilder& builder)
      : low_(low), high_(high), integer_(integer), bounded_(bounded), b_(builder) {
    const size_t low_digits = low.value.whole.size();
    max_whole_ = std::max(integer ? kIntegerDigits : kWholeDigits, low_digits + 1);
    if (high) max_whole_ = std::min(max_whole_, high->value.whole.size());
    max_fraction_ = kFractionDigits;
    if (bounded) {
      max_fraction_ = std::max(kBoundedFractionDigits, low.value.fraction.size() + 1);
      if (high) max_fraction_ = std::max(max_fraction_, high->value.fraction.size() + 1);
    }
  }

  void Add(uint32_t from, uint32_t end) {
    end_ = end;
    if (max_whole_ == 0) return;
    for (char d = '0'; d <= '9'; ++d) {
      const Whole next{1, Compare(0, low_.value.whole, 0, d),
                       high_ ? Compare(0, high_->value.whole, 0, d) : -1, d == '0'};
      b_.AddByte(from, static_cast<uint8_t>(d), StateOf(next));
    }
  }

 private:
  // After `digits` digits of the whole part, which compare so with as many of each bound's.
  struct Whole {
    size_t digits;
    int low, high;
    bool zero;
    auto Tie() const { return std::tuple(digits, low, high, zero); }
  };

  static int Compare(int before, const std::string& digits, size_t at, char d) {
    if (before != 0 || at >= digits.size()) return before;
    return d < digits[at] ? -1 : d > digits[at] ? 1 : 0;
  }

  // How a whole number of `digits` digits compares with a bound's whole part.
  static int CompareWhole(size_t digits, int prefix, const Bound& bound) {
    const size_t other = bound.value.whole.size();
    return digits != other ? (digits < other ? -1 : 1) : prefix;
  }

  uint32_t StateOf(const Whole& whole) {
    const auto [it, fresh] = wholes_.try_emplace(whole.Tie(), 0);
    if (!fresh) return it->second;
    const uint32_t state = it->second = b_.AddState();
    if (!b_.ok()) return state;
    const int low = CompareWhole(whole.digits, whole.low, low_);
    const int high = high_ ? CompareWhole(whole.digits, whole.high, *high_) : -1;
    if (low >= 0 && high <= 0) {
      const bool at_low = low == 0, at_high = high == 0;
      if (Allowed(0, at_low, at_high)) MayEnd(state);
      if (!integer_) b_.AddByte(state, '.', StateOf(0, at_low, at_high));
    }
    if (!whole.zero && whole.digits < max_whole_) {
      for (char d = '0'; d <= '9'; ++d) {
        const Whole next{whole.digits + 1, Compare(whole.low, low_.value.whole, whole.digits, d),
                         high_ ? Compare(whole.high, high_->value.whole, whole.digits, d) : -1, false};
        b_.AddByte(state, static_cast<uint8_t>(d), StateOf(next));
      }
    }
    return state;
  }

  // Whether the number may end after `digits` digits of its fraction, equal so far to the bounds named.
  bool Allowed(size_t digits, bool at_low, bool at_high) const {
    if (at_low && (low_.value.fraction.size() > digits || low_.exclusive)) return false;
    return !at_high || high_->value.fraction.size() > digits || !high_->exclusive;
  }

  uint32_t StateOf(size_t digits, bool at_low, bool at_high) {
    const auto [it, fresh] = fractions_.try_emplace(std::tuple(digits, at_low, at_high), 0);
    if (!fresh) return it->second;
    const uint32_t state = it->second = b_.AddState();
    if (!b_.ok()) return state;
    if (digits > 0 && Allowed(digits, at_low, at_high)) MayEnd(state);
    if (digits == max_fraction_) return state;
    const auto digit_of = [&](const Bound& bound) {
      return digits < bound.value.fraction.size() ? bound.value.fraction[digits] : '0';
    };
    for (char d = '0'; d <= '9'; ++d) {
      if ((at_low && d < digit_of(low_)) || (at_high && d > digit_of(*high_))) continue;
      b_.AddByte(state, static_cast<uint8_t>(d),
                 StateOf(digits + 1, at_low && d == digit_of(low_), at_high && d == digit_of(*high_)));
    }
    return state;
  }

  void MayEnd(uint32_t state) {
    b_.AddEpsilon(state, end_);
    if (integer_ || bounded_) return;
    if (!exponent_) {
      exponent_ = b_.AddState();
      const uint32_t sign = b_.AddState(), last = b_.AddState();
      for (const char c : {'+', '-'}) b_.AddByte(*exponent_, static_cast<uint8_t>(c), sign);
      b_.AddEpsilon(*exponent_, sign);
      b_.AddRange(sign, '0', '9', last);
      b_.AddRange(last, '0', '9', end_);
      b_.AddEpsilon(last, end_);
    }
    for (const char c : {'e', 'E'}) b_.AddByte(state, static_cast<uint8_t>(c), *exponent_);
  }

  const Bound low_;
  const std::optional<Bound> high_;
  const bool integer_, bounded_;
  AutomatonBuilder& b_;
  size_t max_whole_, max_fraction_;
  uint32_t end_ = 0;
  std::optional<uint32_t> exponent_;
  std::map<std::tuple<size_t, int, int, bool>, uint32_t> wholes_;
  std::map<std::tuple<size_t, bool, bool>, uint32_t> fractions_;
};

}  // namespace

std::optional<Decimal> ParseDecimal(std::string_view number) {
  Decimal out;
  size_t at = 0;
  if (at < number.size() && number[at] == '-') out.negative = true, ++at;
  std::string digits;
  int64_t point = -1;
  for (; at < number.size() && number[at] != 'e' && number[at] != 'E'; ++at) {
    if (number[at] == '.') {
      point = static_cast<int64_t>(digits.size());
    } else {
      digits += number[at];
    }
  }
  if (point < 0) point = static_cast<int64_t>(digits.size());
  if (at < number.size()) {
    ++at;
    const bool negative = at < number.size() && number[at] == '-';
    if (negative || (at < number.size() && number[at] == '+')) ++at;
    int64_t exponent = 0;
    for (; at < number.size(); ++at)
      exponent = std::min<int64_t>(exponent * 10 + (number[at] - '0'), 100'000);
    point += negative ? -exponent : exponent;
  }
  if (std::max<int64_t>(point, static_cast<int64_t>(digits.size())) > kMaxDecimalDigits ||
      point < -kMaxDecimalDigits) {
    return std::nullopt;
  }
  if (point < 0) digits.insert(digits.begin(), static_cast<size_t>(-point), '0'), point = 0;
  if (static_cast<size_t>(point) > digits.size())
    digits.append(static_cast<size_t>(point) - digits.size(), '0');
  out.whole = digits.substr(0, static_cast<size_t>(point));
  out.fraction = digits.substr(static_cast<size_t>(point));
  out.whole.erase(0, std::min(out.whole.find_first_not_of('0'), out.whole.size()));
  if (out.whole.empty()) out.whole.push_back('0');
  out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
  if (out.zero()) out.negative = false;
  return out;
}

uint32_t AddNumberRule(const NumberBounds& bounds, AutomatonBuilder& builder) {
  const uint32_t rule = builder.AddRule();
  const uint32_t end = builder.AddState();
  builder.Accept(end);
  const bool bounded = bounds.low || bounds.high;
  using Bound = NumberBounds::Bound;
  if (!bounds.high || !bounds.high->value.negative) {
    const Bound low = bounds.low && !bounds.low->value.negative ? *bounds.low : Bound{};
    Magnitudes(low, bounds.high, bounds.integer, bounded, builder).Add(builder.Start(rule), end);
  }
  if (!bounds.low || bounds.low->value.negative) {
    // Below zero, magnitudes run the other way. Zero itself is written without a sign.
    const Bound low = bounds.high && bounds.high->value.negative ? *bounds.high : Bound{{}, true};
    const uint32_t minus = builder.AddState();
    builder.AddByte(builder.Start(rule), '-', minus);
    Magnitudes(low, bounds.low, bounds.integer, bounded, builder).Add(minus, end);
  }
  return rule;
}

}  // namespace qiao::text
