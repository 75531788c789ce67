// Filters on numbers.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "runtime/text/jinja_functions.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

// Drops single underscores between digits; false where one stands elsewhere.
bool DropUnderscores(std::string* s) {
  std::string out;
  for (size_t i = 0; i < s->size(); ++i) {
    if ((*s)[i] != '_') {
      out += (*s)[i];
      continue;
    }
    const auto alnum = [&](size_t j) {
      return j < s->size() && IsAlnum(static_cast<unsigned char>((*s)[j]));
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return false;
  }
  *s = std::move(out);
  return true;
}

enum class Parsed { kYes, kNo, kOverflow };

// int(text, base).
Parsed ParseInteger(std::string_view text, int base, int64_t* out) {
  std::string s(StripSpace(text, true, true));
  bool negative = false;
  if (!s.empty() && (s[0] == '+' || s[0] == '-')) {
    negative = s[0] == '-';
    s.erase(0, 1);
  }
  if (s.size() > 2 && s[0] == '0') {
    const char mark = static_cast<char>(s[1] | 0x20);
    if ((mark == 'x' && base == 16) || (mark == 'o' && base == 8) || (mark == 'b' && base == 2)) {
      s.erase(0, s[2] == '_' ? 3 : 2);
    }
  }
  if (s.empty() || !DropUnderscores(&s)) return Parsed::kNo;
  if (negative) s.insert(s.begin(), '-');
  const auto result = std::from_chars(s.data(), s.data() + s.size(), *out, base);
  if (result.ptr != s.data() + s.size() || (negative && s[1] == '-')) return Parsed::kNo;
  return result.ec == std::errc()                      ? Parsed::kYes
         : result.ec == std::errc::result_out_of_range ? Parsed::kOverflow
                                                       : Parsed::kNo;
}

// float(text).
bool ParseFloat(std::string_view text, double* out) {
  std::string s(StripSpace(text, true, true));
  if (s.empty() || !DropUnderscores(&s)) return false;
  if (s.find_first_of("xXpP(") != s.npos) return false;  // forms that C reads and Python does not
  return absl::SimpleAtod(s, out);
}

StatusOr<Value> TruncateToInteger(double d) {
  if (!(std::fabs(d) < 9223372036854775808.0))
    return OutOfRange("int: %s does not fit a 64-bit integer", FloatRepr(d));
  return Value::Int(static_cast<int64_t>(d));
}

StatusOr<Value> Int(const Value& value, const Arguments& arguments, Budget&) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("int", {"default", "base"})));
  const Value fallback = bound[0] ? *bound[0] : Value::Int(0);
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_integral()) return Value::Int(value.integer());
  if (value.Is(Kind::kFloat)) {
    if (std::isnan(value.number())) return fallback;
    return TruncateToInteger(value.number());
  }
  if (!value.is_string()) return fallback;
  int64_t base = 10;
  if (bound[1]) {
    QIAO_ASSIGN_OR_RETURN(base, ToInteger("base of int", *bound[1], 2, 36));
  }
  int64_t parsed = 0;
  switch (ParseInteger(value.str(), static_cast<int>(base), &parsed)) {
    case Parsed::kYes:
      return Value::Int(parsed);
    case Parsed::kOverflow:
      return OutOfRange("int: '%s' does not fit a 64-bit integer", value.str().substr(0, 40));
    case Parsed::kNo:
      break;
  }
  double d = 0;
  if (!ParseFloat(value.str(), &d) || !std::isfinite(d)) return fallback;
  return TruncateToInteger(d);
}

StatusOr<Value> Float(const Value& value, const Arguments& arguments, Budget&) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("float", {"default"})));
  if (value.is_undefined()) return UndefinedError(value);
  if (value.is_number()) return Value::Float(value.number());
  double d = 0;
  if (value.is_string() && ParseFloat(value.str(), &d)) return Value::Float(d);
  return bound[0] ? *bound[0] : Value::Float(0.0);
}

StatusOr<Value> Abs(const Value& value, const Arguments&, Budget&) {
  if (value.is_undefined()) return UndefinedError(value);
  if (value.Is(Kind::kFloat)) return Value::Float(std::fabs(value.number()));
  if (!value.is_integral()) return InvalidArgument("bad operand type for abs(): '%s'", TypeName(value));
  if (value.integer() == INT64_MIN) return OutOfRange("abs: the result does not fit a 64-bit integer");
  return Value::Int(std::abs(value.integer()));
}

double RoundDecimal(double d, int64_t digits) {
  if (!std::isfinite(d) || digits > 330) return d;
  if (digits < -330) return std::copysign(0.0, d);
  if (digits >= 0) {
    // printf rounds the exact binary value half to even, which is what Python does.
    char text[700];
    std::snprintf(text, sizeof text, "%.*f", static_cast<int>(digits), d);
    return std::strtod(text, nullptr);
  }
  const double scale = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(d / scale) * scale;
}

StatusOr<Value> Round(const Value& value, const Arguments& arguments, Budget&) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("round", {"precision", "method"})));
  if (value.is_undefined()) return UndefinedError(value);
  if (!value.is_number()) return InvalidArgument("round works on a number, not on '%s'", TypeName(value));
  int64_t precision = 0;
  if (bound[0]) {
    QIAO_ASSIGN_OR_RETURN(precision, ToInteger("precision of round", *bound[0], -1000, 1000));
  }
  const std::string_view method = bound[1] ? bound[1]->str() : "common";
  if (method == "common") {
    if (value.Is(Kind::kFloat)) return Value::Float(RoundDecimal(value.number(), precision));
    if (precision >= 0) return Value::Int(value.integer());
    int64_t scale = 1;
    for (int64_t i = 0; i < -precision; ++i) {
      if (__builtin_mul_overflow(scale, 10, &scale)) return Value::Int(0);
    }
    int64_t rest = value.integer() % scale;
    if (rest < 0) rest += scale;
    int64_t result = 0;
    if (__builtin_sub_overflow(value.integer(), rest, &result)) return OutOfRange("round leaves 64 bits");
    const bool odd = (result / scale) % 2 != 0;
    const bool up = rest > scale - rest || (rest == scale - rest && odd);
    if (up && __builtin_add_overflow(result, scale, &result)) return OutOfRange("round leaves 64 bits");
    return Value::Int(result);
  }
  if (method != "ceil" && method != "floor")
    return InvalidArgument("method of round must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = value.number() * scale;
  if (!std::isfinite(scaled) || scale == 0) return OutOfRange("round: the number is out of range");
  return Value::Float((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

}  // namespace

void AddNumberFilters(FilterTable* table) {
  FilterTable& t = *table;
  t["int"] = Int;
  t["float"] = Float;
  t["abs"] = Abs;
  t["round"] = Round;
}

}  // namespace qiao::text::jinja
