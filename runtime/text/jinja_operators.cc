#include "runtime/text/jinja_operators.h"

#include <string.h>

#include <cmath>
#include <limits>

#include "runtime/text/jinja_format.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

Status Overflow(std::string_view op) {
  return OutOfRange("the result of '%s' does not fit a 64-bit integer", op);
}

Status Unsupported(std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined()) return UndefinedError(a);
  if (b.is_undefined()) return UndefinedError(b);
  return InvalidArgument("unsupported operand types for %s: '%s' and '%s'", op, TypeName(a), TypeName(b));
}

// Python's floored division: the remainder has the divisor's sign.
double FloatModulo(double a, double b) {
  double m = std::fmod(a, b);
  if (m != 0) {
    if ((b < 0) != (m < 0)) m += b;
  } else {
    m = std::copysign(0.0, b);
  }
  return m;
}

double FloatFloorDivide(double a, double b) {
  const double mod = std::fmod(a, b);
  double div = (a - mod) / b;
  if (mod != 0 && (b < 0) != (mod < 0)) div -= 1.0;
  if (div == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(div);
  return div - floor > 0.5 ? floor + 1.0 : floor;
}

StatusOr<Value> IntegerPower(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return InvalidArgument("0 cannot be raised to a negative power");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return Overflow("**");
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return Overflow("**");
  }
  return Value::Int(result);
}

StatusOr<Value> IntegerOperator(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  if (op == "+")
    return __builtin_add_overflow(a, b, &result) ? StatusOr<Value>(Overflow(op)) : Value::Int(result);
  if (op == "-")
    return __builtin_sub_overflow(a, b, &result) ? StatusOr<Value>(Overflow(op)) : Value::Int(result);
  if (op == "*")
    return __builtin_mul_overflow(a, b, &result) ? StatusOr<Value>(Overflow(op)) : Value::Int(result);
  if (op == "**") return IntegerPower(a, b);
  if (b == 0) return InvalidArgument("division by zero");
  if (op == "/") return Value::Float(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // the one quotient that overflows
    if (op == "%") return Value::Int(0);
    return __builtin_sub_overflow(0, a, &result) ? StatusOr<Value>(Overflow(op)) : Value::Int(result);
  }
  const int64_t quotient = a / b, remainder = a % b;
  const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);
  if (op == "//") return Value::Int(adjust ? quotient - 1 : quotient);
  return Value::Int(adjust ? remainder + b : remainder);
}

StatusOr<Value> FloatOperator(std::string_view op, double a, double b) {
  if (op == "+") return Value::Float(a + b);
  if (op == "-") return Value::Float(a - b);
  if (op == "*") return Value::Float(a * b);
  if (op == "**") {
    if (a == 0 && b < 0) return InvalidArgument("0.0 cannot be raised to a negative power");
    if (a < 0 && std::isfinite(b) && std::floor(b) != b) {
      return Unimplemented("a negative number to a fractional power is complex, which is not supported");
    }
    const double result = std::pow(a, b);
    if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
      return OutOfRange("result of ** is too large");
    return Value::Float(result);
  }
  if (b == 0) return InvalidArgument("float division by zero");
  if (op == "/") return Value::Float(a / b);
  if (op == "//") return Value::Float(FloatFloorDivide(a, b));
  return Value::Float(FloatModulo(a, b));
}

bool IsRepeatable(const Value& v) { return v.is_string() || v.Is(Kind::kList) || v.Is(Kind::kTuple); }

StatusOr<Value> Repeat(const Value& sequence, int64_t count, Budget& budget) {
  count = std::max<int64_t>(count, 0);
  if (sequence.is_string()) {
    const std::string_view s = sequence.str();
    int64_t size = 0;
    if (__builtin_mul_overflow(static_cast<int64_t>(s.size()), count, &size))
      size = std::numeric_limits<int64_t>::max();
    QIAO_RETURN_IF_ERROR(budget.StringBytes(static_cast<size_t>(size)));
    std::string out;
    if (size == 0) count = 0;
    out.reserve(static_cast<size_t>(size));
    for (int64_t i = 0; i < count; ++i) out += s;
    return sequence.is_markup() ? Value::Markup(std::move(out)) : Value::String(std::move(out));
  }
  const Values& items = sequence.as<SequenceObject>().items;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(items.size() * sizeof(Value)), count, &bytes)) {
    bytes = std::numeric_limits<int64_t>::max();
  }
  QIAO_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(bytes)));
  if (bytes == 0) count = 0;
  Values out;
  out.reserve(items.size() * static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) out.insert(out.end(), items.begin(), items.end());
  return NewSequence(sequence.kind(), std::move(out), budget);
}

StatusOr<Value> Add(const Value& a, const Value& b, Budget& budget) {
  if (a.is_string() && b.is_string()) {
    const bool markup = a.is_markup() || b.is_markup();
    std::string out;
    QIAO_RETURN_IF_ERROR(budget.StringBytes(a.str().size() + b.str().size()));
    out.reserve(a.str().size() + b.str().size());
    // Escaped HTML escapes what is added to it.
    out += markup && !a.is_markup() ? EscapeHtml(a.str()) : std::string(a.str());
    out += markup && !b.is_markup() ? EscapeHtml(b.str()) : std::string(b.str());
    return markup ? Value::Markup(std::move(out)) : Value::String(std::move(out));
  }
  if (a.kind() == b.kind() && (a.Is(Kind::kList) || a.Is(Kind::kTuple))) {
    const Values &x = a.as<SequenceObject>().items, &y = b.as<SequenceObject>().items;
    QIAO_RETURN_IF_ERROR(budget.Bytes((x.size() + y.size()) * sizeof(Value)));
    Values out = x;
    out.insert(out.end(), y.begin(), y.end());
    return NewSequence(a.kind(), std::move(out), budget);
  }
  return Unsupported("+", a, b);
}

}  // namespace

StatusOr<Value> BinaryOperator(std::string_view op, const Value& a, const Value& b, Budget& budget) {
  if (a.is_undefined() || b.is_undefined()) {
    // "%" of a string formats, and an undefined argument prints as nothing there.
    if (!(op == "%" && a.is_string())) return Unsupported(op, a, b);
  }
  if (a.is_integral() && b.is_integral()) return IntegerOperator(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return FloatOperator(op, a.number(), b.number());
  if (op == "+") return Add(a, b, budget);
  if (op == "%" && a.is_string()) {
    QIAO_ASSIGN_OR_RETURN(std::string out, FormatPercent(a.str(), b, budget));
    return NewString(std::move(out), budget, a.is_markup());
  }
  if (op == "*") {
    if (IsRepeatable(a) && b.is_integral()) return Repeat(a, b.integer(), budget);
    if (IsRepeatable(b) && a.is_integral()) return Repeat(b, a.integer(), budget);
  }
  return Unsupported(op, a, b);
}

StatusOr<Value> Negate(const Value& v) {
  if (v.Is(Kind::kFloat)) return Value::Float(-v.number());
  if (v.is_integral()) return IntegerOperator("-", 0, v.integer());
  if (v.is_undefined()) return UndefinedError(v);
  return InvalidArgument("bad operand type for unary -: '%s'", TypeName(v));
}

StatusOr<Value> Plus(const Value& v) {
  if (v.Is(Kind::kFloat)) return v;
  if (v.is_integral()) return Value::Int(v.integer());
  if (v.is_undefined()) return UndefinedError(v);
  return InvalidArgument("bad operand type for unary +: '%s'", TypeName(v));
}

size_t Find(std::string_view haystack, std::string_view needle, size_t from) {
  if (from > haystack.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* at = memmem(haystack.data() + from, haystack.size() - from, needle.data(), needle.size());
  return at == nullptr ? std::string_view::npos
                       : static_cast<size_t>(static_cast<const char*>(at) - haystack.data());
}

StatusOr<bool> Contains(const Value& haystack, const Value& needle, Budget& budget) {
  switch (haystack.kind()) {
    case Kind::kString:
      if (!needle.is_string()) {
        return InvalidArgument("'in <string>' requires string as left operand, not %s", TypeName(needle));
      }
      QIAO_RETURN_IF_ERROR(budget.Touch(haystack.str().size() + needle.str().size()));
      return Find(haystack.str(), needle.str()) != std::string_view::npos;
    case Kind::kDict: {
      QIAO_ASSIGN_OR_RETURN(std::string key, EncodeKey(needle, budget));
      QIAO_RETURN_IF_ERROR(budget.Steps(static_cast<int64_t>(
          haystack.as<DictObject>().index.empty() ? haystack.as<DictObject>().entries.size() : 1)));
      return haystack.as<DictObject>().FindKey(key) != nullptr;
    }
    case Kind::kRange: {
      if (!needle.is_integral()) break;
      const RangeObject& r = haystack.as<RangeObject>();
      int64_t offset = 0;
      if (__builtin_sub_overflow(needle.integer(), r.start, &offset)) return false;
      return r.length > 0 && offset % r.step == 0 && offset / r.step >= 0 && offset / r.step < r.length;
    }
    case Kind::kList:
    case Kind::kTuple:
      for (const Value& item : haystack.as<SequenceObject>().items) {
        QIAO_ASSIGN_OR_RETURN(bool same, Equal(item, needle, budget));
        if (same) return true;
      }
      return false;
    default:
      break;
  }
  if (!IsIterable(haystack))
    return InvalidArgument("argument of type '%s' is not iterable", TypeName(haystack));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(haystack, budget));
  for (const Value& item : items) {
    QIAO_ASSIGN_OR_RETURN(bool same, Equal(item, needle, budget));
    if (same) return true;
  }
  return false;
}

std::string EscapeHtml(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

StatusOr<Value> ReplaceAll(const Value& s, std::string_view from, std::string_view to, int64_t count,
                           Budget& budget) {
  const std::string_view text = s.str();
  QIAO_RETURN_IF_ERROR(budget.Touch(text.size()));
  std::string out;
  size_t at = 0;
  const auto room = [&]() -> Status {
    // Checked before the bytes are written: a long replacement of a short text is a template's cheapest bomb.
    return budget.Steps(static_cast<int64_t>(to.size() / 64 + 1));
  };
  size_t paid = 0;
  const auto grow = [&]() -> Status {
    if (out.size() < paid) return absl::OkStatus();
    paid = 2 * out.size() + 256;
    return budget.StringBytes(out.size());
  };
  if (from.empty()) {  // between all code points, and at both ends
    for (int64_t done = 0; count < 0 || done < count; ++done) {
      QIAO_RETURN_IF_ERROR(room());
      out += to;
      QIAO_RETURN_IF_ERROR(grow());
      if (at == text.size()) return NewString(std::move(out), budget, s.is_markup());
      const size_t start = at;
      NextCodePoint(text, &at);
      out += text.substr(start, at - start);
    }
  } else {
    for (int64_t done = 0; count < 0 || done < count; ++done) {
      const size_t hit = Find(text, from, at);
      if (hit == text.npos) break;
      QIAO_RETURN_IF_ERROR(room());
      out += text.substr(at, hit - at);
      out += to;
      QIAO_RETURN_IF_ERROR(grow());
      at = hit + from.size();
    }
  }
  out += text.substr(at);
  return NewString(std::move(out), budget, s.is_markup());
}

const Value* Arguments::Keyword(std::string_view name) const {
  for (const auto& [key, value] : keyword) {
    if (key == name) return &value;
  }
  return nullptr;
}

Status Arguments::BindInto(std::string_view function, const std::string_view* names, size_t count,
                           size_t required, std::optional<Value>* out) const {
  if (positional.size() > count) {
    return InvalidArgument("%s() takes at most %d arguments, %d given", function, count, positional.size());
  }
  for (size_t i = 0; i < positional.size(); ++i) out[i] = positional[i];
  for (const auto& [name, value] : keyword) {
    size_t i = 0;
    while (i < count && names[i] != name) ++i;
    if (i == count) return InvalidArgument("%s() got an unexpected keyword argument '%s'", function, name);
    if (out[i].has_value())
      return InvalidArgument("%s() got multiple values for argument '%s'", function, name);
    out[i] = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!out[i].has_value()) return InvalidArgument("%s() is missing its argument '%s'", function, names[i]);
  }
  return absl::OkStatus();
}

StatusOr<int64_t> ToInteger(std::string_view what, const Value& v, int64_t low, int64_t high) {
  if (v.is_undefined()) return UndefinedError(v);
  if (!v.is_integral()) return InvalidArgument("%s must be an integer, not '%s'", what, TypeName(v));
  if (v.integer() < low || v.integer() > high) {
    return OutOfRange("%s is %d, outside of [%d, %d]", what, v.integer(), low, high);
  }
  return v.integer();
}

}  // namespace qiao::text::jinja
