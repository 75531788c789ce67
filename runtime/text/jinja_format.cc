#include "runtime/text/jinja_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

constexpr int64_t kMaxWidth = 10'000, kMaxPrecision = 400;
constexpr int kMaxNesting = 2;  // of "{:{}}", as in Python

struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  char grouping = 0;
  int64_t precision = -1;
  char type = 0;
};

StatusOr<int64_t> ReadNumber(std::string_view s, size_t* at, int64_t limit) {
  int64_t n = 0;
  while (*at < s.size() && s[*at] >= '0' && s[*at] <= '9') {
    n = n * 10 + (s[(*at)++] - '0');
    if (n > limit) return OutOfRange("a width or precision in a format is more than %d", limit);
  }
  return n;
}

StatusOr<Spec> ParseSpec(std::string_view s) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!s.empty()) {
    size_t after_fill = 0;
    NextCodePoint(s, &after_fill);
    if (after_fill < s.size() && is_align(s[after_fill])) {
      spec.fill = std::string(s.substr(0, after_fill));
      spec.align = s[after_fill];
      at = after_fill + 1;
    } else if (is_align(s[0])) {
      spec.align = s[0];
      at = 1;
    }
  }
  const auto take = [&](std::string_view any) -> char {
    return at < s.size() && any.find(s[at]) != any.npos ? s[at++] : 0;
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (at < s.size() && s[at] == '0') {
    ++at;
    if (spec.align == 0) {
      spec.fill.assign(1, '0');
      spec.align = '=';
    }
  }
  QIAO_ASSIGN_OR_RETURN(spec.width, ReadNumber(s, &at, kMaxWidth));
  spec.grouping = take(",_");
  if (take(".")) {
    const size_t digits = at;
    QIAO_ASSIGN_OR_RETURN(spec.precision, ReadNumber(s, &at, kMaxPrecision));
    if (at == digits) return InvalidArgument("format specifier is missing its precision");
  }
  spec.type = take("bcdeEfFgGnosxX%");
  if (at != s.size()) return InvalidArgument("invalid format specifier '%s'", s);
  return spec;
}

std::string Pad(std::string body, const Spec& spec, char default_align, size_t sign_size) {
  const int64_t missing = spec.width - static_cast<int64_t>(CodePointCount(body));
  if (missing <= 0) return body;
  std::string left, right;
  const char align = spec.align ? spec.align : default_align;
  const int64_t before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  for (int64_t i = 0; i < before; ++i) left += spec.fill;
  for (int64_t i = before; i < missing; ++i) right += spec.fill;
  if (align == '=') return body.substr(0, sign_size) + left + body.substr(sign_size);
  return left + body + right;
}

std::string Group(std::string digits, char separator) {
  if (separator == 0) return digits;
  size_t end = digits.find_first_not_of("0123456789");
  if (end == digits.npos) end = digits.size();
  for (size_t i = end; i > 3; i -= 3) digits.insert(i - 3, 1, separator);
  return digits;
}

// The digits of |d| in one of Python's float formats.
std::string FloatDigits(double d, char type, int64_t precision, bool alternate) {
  const bool upper = type == 'E' || type == 'F' || type == 'G';
  std::string out;
  if (std::isnan(d) || std::isinf(d)) {
    out = std::isnan(d) ? "nan" : "inf";
  } else {
    const std::string format = absl::StrCat(alternate ? "%#.*" : "%.*", std::string(1, type));
    char text[kMaxPrecision + 330];
    const int n = std::snprintf(text, sizeof text, format.c_str(), static_cast<int>(precision), d);
    out.assign(text, static_cast<size_t>(std::clamp<int>(n, 0, sizeof text - 1)));
  }
  if (upper) {
    for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  return out;
}

std::string SignOf(bool negative, char mode) {
  return negative ? std::string(1, '-') : mode == '-' ? std::string() : std::string(1, mode);
}

StatusOr<std::string> FormatFloat(double d, const Spec& spec) {
  const bool negative = std::signbit(d) && !std::isnan(d);
  double magnitude = std::fabs(d);
  std::string digits;
  const int64_t precision = spec.precision < 0 ? 6 : spec.precision;
  switch (spec.type) {
    case 0:
    case 'n':
      if (spec.precision < 0 && spec.type == 0) {
        digits = FloatRepr(magnitude);
      } else {
        digits = FloatDigits(magnitude, 'g', std::max<int64_t>(precision, 1), spec.alternate);
        // Without a type a float shows that it is one.
        if (spec.type == 0 && std::isfinite(magnitude) && digits.find_first_of(".e") == digits.npos &&
            static_cast<int64_t>(digits.size()) < precision) {
          digits += ".0";
        } else if (spec.type == 0 && std::isfinite(magnitude) && digits.find_first_of(".e") == digits.npos) {
          digits = FloatDigits(magnitude, 'e', std::max<int64_t>(precision, 1) - 1, spec.alternate);
        }
      }
      break;
    case '%':
      digits = absl::StrCat(FloatDigits(magnitude * 100, 'f', precision, spec.alternate), "%");
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = FloatDigits(magnitude, spec.type,
                           spec.type == 'g' || spec.type == 'G' ? std::max<int64_t>(precision, 1) : precision,
                           spec.alternate);
      break;
    default:
      return InvalidArgument("unknown format code '%c' for object of type 'float'", spec.type);
  }
  const std::string sign = SignOf(negative, spec.sign);
  return Pad(sign + Group(std::move(digits), spec.grouping), spec, '>', sign.size());
}

StatusOr<std::string> FormatInteger(int64_t i, const Spec& spec) {
  if (spec.type == 'c') return Unimplemented("format code 'c' is not supported");
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0) {
    return FormatFloat(static_cast<double>(i), spec);
  }
  if (spec.precision >= 0) return InvalidArgument("precision not allowed in integer format specifier");
  const int base = spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'o'                   ? 8
                   : spec.type == 'b'                   ? 2
                                                        : 10;
  if (spec.type == 's') return InvalidArgument("unknown format code 's' for object of type 'int'");
  const uint64_t magnitude = i < 0 ? 0 - static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
  char text[72];
  const auto end = std::to_chars(text, text + sizeof text, magnitude, base).ptr;
  std::string digits(text, end);
  if (spec.type == 'X')
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  std::string prefix = SignOf(i < 0, spec.sign);
  if (spec.alternate && base != 10) absl::StrAppend(&prefix, "0", std::string(1, spec.type));
  digits = base == 10 ? Group(std::move(digits), spec.grouping) : digits;
  return Pad(prefix + digits, spec, '>', prefix.size());
}

std::string CutTo(std::string s, int64_t precision) {
  if (precision < 0) return s;
  size_t pos = 0;
  for (int64_t i = 0; i < precision && pos < s.size(); ++i) NextCodePoint(s, &pos);
  return s.substr(0, pos);
}

class PercentFormatter {
 public:
  PercentFormatter(std::string_view format, const Value& arguments, Budget& budget)
      : format_(format), arguments_(arguments), budget_(budget) {
    if (arguments.Is(Kind::kTuple)) {
      values_ = arguments.as<SequenceObject>().items;
    } else {
      values_ = {arguments};
    }
  }
  StatusOr<std::string> Run();

 private:
  StatusOr<Value> NextValue() {
    if (used_ >= values_.size()) return InvalidArgument("not enough arguments for format string");
    return values_[used_++];
  }
  StatusOr<std::string> Convert(const Value& v, char type, const Spec& spec);

  std::string_view format_;
  const Value& arguments_;
  Budget& budget_;
  Values values_;
  size_t used_ = 0;
  bool named_ = false;
};

StatusOr<std::string> PercentFormatter::Convert(const Value& v, char type, const Spec& spec) {
  Spec number = spec;
  switch (type) {
    case 's':
    case 'r':
    case 'a': {
      QIAO_ASSIGN_OR_RETURN(std::string text, type == 's' ? Str(v, budget_) : Repr(v, budget_));
      Spec padding = spec;
      if (padding.fill == "0") padding.fill.assign(1, ' ');
      return Pad(CutTo(std::move(text), spec.precision), padding, '>', 0);
    }
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
      const bool decimal = type == 'd' || type == 'i' || type == 'u';
      number.type = decimal ? 'd' : type;
      if (v.is_integral()) {
        const int64_t digits = std::exchange(number.precision, -1);
        QIAO_ASSIGN_OR_RETURN(std::string text, FormatInteger(v.integer(), number));
        if (digits > 0 && spec.width == 0) {  // a precision is a least number of digits
          const size_t sign = text.find_first_not_of("+- ");
          while (static_cast<int64_t>(text.size() - sign) < digits) text.insert(sign, 1, '0');
        }
        return text;
      }
      if (decimal && v.Is(Kind::kFloat) && std::fabs(v.number()) < 9.2e18) {
        number.precision = -1;
        return FormatInteger(static_cast<int64_t>(v.number()), number);
      }
      return InvalidArgument("%%%c format: a number is required, not %s", type, TypeName(v));
    }
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      if (!v.is_number()) return InvalidArgument("must be a number for %%%c, not %s", type, TypeName(v));
      number.type = type;
      return FormatFloat(v.number(), number);
    case 'c': {
      std::string text;
      if (v.is_integral() && v.integer() >= 0 && v.integer() < 0x110000 &&
          (v.integer() < 0xD800 || v.integer() > 0xDFFF)) {
        AppendCodePoint(static_cast<char32_t>(v.integer()), &text);
      } else if (v.is_string() && CodePointCount(v.str()) == 1) {
        text = std::string(v.str());
      } else {
        return InvalidArgument("%%c requires an integer or one character");
      }
      return Pad(std::move(text), spec, '>', 0);
    }
    default:
      return InvalidArgument("unsupported format character '%c'", type);
  }
}

StatusOr<std::string> PercentFormatter::Run() {
  std::string out;
  size_t at = 0;
  while (at < format_.size()) {
    const size_t percent = format_.find('%', at);
    out += format_.substr(at, percent == format_.npos ? format_.npos : percent - at);
    if (percent == format_.npos) break;
    at = percent + 1;
    QIAO_RETURN_IF_ERROR(budget_.Bytes(64));
    Value value;
    bool has_value = false;
    if (at < format_.size() && format_[at] == '(') {
      const size_t close = format_.find(')', at);
      if (close == format_.npos) return InvalidArgument("incomplete format key");
      if (!arguments_.Is(Kind::kDict)) return InvalidArgument("format requires a mapping");
      const Value* item = arguments_.as<DictObject>().Find(format_.substr(at + 1, close - at - 1));
      if (item == nullptr)
        return InvalidArgument("format key '%s' is missing", format_.substr(at + 1, close - at - 1));
      value = *item;
      has_value = named_ = true;
      at = close + 1;
    }
    Spec spec;
    spec.align = '>';
    bool zero = false;
    for (; at < format_.size() && std::string_view("-+ #0").find(format_[at]) != std::string_view::npos;
         ++at) {
      if (format_[at] == '-') spec.align = '<';
      if (format_[at] == '+' || (format_[at] == ' ' && spec.sign == '-')) spec.sign = format_[at];
      if (format_[at] == '#') spec.alternate = true;
      if (format_[at] == '0') zero = true;
    }
    if (zero && spec.align == '>') {
      spec.fill.assign(1, '0');
      spec.align = '=';
    }
    const auto number = [&](int64_t limit) -> StatusOr<int64_t> {
      if (at < format_.size() && format_[at] == '*') {
        ++at;
        QIAO_ASSIGN_OR_RETURN(Value v, NextValue());
        return ToInteger("* of a format", v, 0, limit);
      }
      return ReadNumber(format_, &at, limit);
    };
    QIAO_ASSIGN_OR_RETURN(spec.width, number(kMaxWidth));
    if (at < format_.size() && format_[at] == '.') {
      ++at;
      QIAO_ASSIGN_OR_RETURN(spec.precision, number(kMaxPrecision));
    }
    while (at < format_.size() && std::string_view("hlL").find(format_[at]) != std::string_view::npos) ++at;
    if (at >= format_.size()) return InvalidArgument("incomplete format");
    const char type = format_[at++];
    if (type == '%') {
      out += '%';
      continue;
    }
    if (!has_value) {
      QIAO_ASSIGN_OR_RETURN(value, NextValue());
    }
    QIAO_ASSIGN_OR_RETURN(std::string text, Convert(value, type, spec));
    out += text;
    QIAO_RETURN_IF_ERROR(budget_.StringBytes(text.size()));
  }
  const bool mapping = arguments_.Is(Kind::kDict) || arguments_.Is(Kind::kList);
  if (used_ < values_.size() && !named_ && !mapping) {
    return InvalidArgument("not all arguments converted during string formatting");
  }
  return out;
}

class BraceFormatter {
 public:
  BraceFormatter(const Arguments& arguments, Budget& budget) : arguments_(arguments), budget_(budget) {}
  StatusOr<std::string> Run(std::string_view format, int nesting);

 private:
  StatusOr<Value> Field(std::string_view field);

  const Arguments& arguments_;
  Budget& budget_;
  int64_t next_ = 0;
  bool manual_ = false, automatic_ = false;
};

// "name", "0", "" with ".attribute" and "[item]" behind.
StatusOr<Value> BraceFormatter::Field(std::string_view field) {
  const size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string_view first = field.substr(0, end);
  Value value;
  int64_t index = -1;
  if (first.empty()) {
    automatic_ = true;
    index = next_++;
  } else if (int64_t number = 0; absl::SimpleAtoi(Abs(first), &number)) {
    manual_ = true;
    index = number;
  }
  if (manual_ && automatic_)
    return InvalidArgument("cannot switch between manual and automatic field numbering");
  if (index >= 0) {
    if (index >= static_cast<int64_t>(arguments_.positional.size())) {
      return InvalidArgument("replacement index %d out of range for positional arguments", index);
    }
    value = arguments_.positional[static_cast<size_t>(index)];
  } else {
    const Value* named = arguments_.Keyword(first);
    if (named == nullptr) return InvalidArgument("format() has no argument '%s'", first);
    value = *named;
  }
  size_t at = end;
  while (at < field.size()) {
    if (field[at] == '.') {
      const size_t stop = std::min(field.find_first_of(".[", at + 1), field.size());
      QIAO_ASSIGN_OR_RETURN(value, GetAttribute(value, field.substr(at + 1, stop - at - 1), budget_));
      at = stop;
    } else {
      const size_t close = field.find(']', at);
      if (field[at] != '[' || close == field.npos)
        return InvalidArgument("bad field '%s' in a format", field);
      const std::string_view key = field.substr(at + 1, close - at - 1);
      int64_t number = 0;
      const bool numeric = absl::SimpleAtoi(Abs(key), &number);
      QIAO_ASSIGN_OR_RETURN(
          value, GetItem(value, numeric ? Value::Int(number) : Value::String(std::string(key)), budget_));
      at = close + 1;
    }
  }
  return value;
}

StatusOr<std::string> BraceFormatter::Run(std::string_view format, int nesting) {
  if (nesting > kMaxNesting) return InvalidArgument("max string recursion exceeded");
  std::string out;
  size_t at = 0;
  while (at < format.size()) {
    const char c = format[at];
    const bool doubled = at + 1 < format.size() && format[at + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      out.push_back(c);
      at += 2;
      continue;
    }
    if (c == '}') return InvalidArgument("single '}' encountered in format string");
    if (c != '{') {
      out.push_back(c);
      ++at;
      continue;
    }
    size_t end = at + 1;
    for (int open = 1; end < format.size(); ++end) {
      open += format[end] == '{' ? 1 : format[end] == '}' ? -1 : 0;
      if (open == 0) break;
    }
    if (end >= format.size()) return InvalidArgument("expected '}' before end of string");
    std::string_view field = format.substr(at + 1, end - at - 1), spec;
    at = end + 1;
    char conversion = 0;
    const size_t mark = field.find_first_of(":!");
    if (mark != field.npos) {
      std::string_view rest = field.substr(mark);
      field = field.substr(0, mark);
      if (rest[0] == '!') {
        if (rest.size() < 2 || (rest.size() > 2 && rest[2] != ':'))
          return InvalidArgument("bad conversion in a format");
        conversion = rest[1];
        rest = rest.substr(2);
      }
      if (!rest.empty()) spec = rest.substr(1);
    }
    QIAO_RETURN_IF_ERROR(budget_.Bytes(64));
    QIAO_ASSIGN_OR_RETURN(Value value, Field(field));
    std::string full_spec;
    if (!spec.empty()) {
      QIAO_ASSIGN_OR_RETURN(full_spec, Run(spec, nesting + 1));
    }
    if (conversion == 's' || conversion == 'r') {
      QIAO_ASSIGN_OR_RETURN(std::string text, conversion == 's' ? Str(value, budget_) : Repr(value, budget_));
      value = Value::String(std::move(text));
    } else if (conversion != 0) {
      return InvalidArgument("unknown conversion specifier '%c'", conversion);
    }
    QIAO_ASSIGN_OR_RETURN(std::string text, FormatValue(value, full_spec, budget_));
    QIAO_RETURN_IF_ERROR(budget_.StringBytes(text.size()));
    out += text;
  }
  return out;
}

}  // namespace

StatusOr<std::string> FormatPercent(std::string_view format, const Value& arguments, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Touch(format.size()));
  return PercentFormatter(format, arguments, budget).Run();
}

StatusOr<std::string> FormatBraces(std::string_view format, const Arguments& arguments, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Touch(format.size()));
  return BraceFormatter(arguments, budget).Run(format, 1);
}

StatusOr<std::string> FormatValue(const Value& value, std::string_view text, Budget& budget) {
  if (text.empty()) return Str(value, budget);
  QIAO_ASSIGN_OR_RETURN(Spec spec, ParseSpec(text));
  if (value.is_integral()) {
    if (value.Is(Kind::kBool) && spec.type == 0) {
      return Pad(value.boolean() ? "True" : "False", spec, '<', 0);
    }
    return FormatInteger(value.integer(), spec);
  }
  if (value.Is(Kind::kFloat)) return FormatFloat(value.number(), spec);
  if (!value.is_string()) {
    return InvalidArgument("unsupported format string passed to %s.__format__", TypeName(value));
  }
  if (spec.type != 0 && spec.type != 's') {
    return InvalidArgument("unknown format code '%c' for object of type 'str'", spec.type);
  }
  if (spec.align == '=' && spec.fill == "0") {
    spec.align = '<';
  } else if (spec.align == '=') {
    return InvalidArgument("'=' alignment not allowed in string format specifier");
  }
  if (spec.sign != '-') return InvalidArgument("sign not allowed in string format specifier");
  return Pad(CutTo(std::string(value.str()), spec.precision), spec, '<', 0);
}

}  // namespace qiao::text::jinja
