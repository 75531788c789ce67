// Equality, order and hashing of template values, as Python defines them.
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "runtime/text/jinja_value.h"

namespace qiao::text::jinja {
namespace {

// -1, 0, 1 of an integer and a double, exactly (a cast of the integer would round it). `d` is not NaN.
int CompareIntFloat(int64_t i, double d) {
  if (d >= 9223372036854775808.0) return -1;
  if (d < -9223372036854775808.0) return 1;
  const double floor = std::floor(d);
  const int64_t whole = static_cast<int64_t>(floor);
  if (i != whole) return i < whole ? -1 : 1;
  return d > floor ? -1 : 0;
}

int CompareNumbers(const Value& a, const Value& b, bool* unordered) {
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  if (std::isnan(a.number()) || std::isnan(b.number())) {
    *unordered = true;
    return 1;
  }
  if (a.is_integral()) return CompareIntFloat(a.integer(), b.number());
  if (b.is_integral()) return -CompareIntFloat(b.integer(), a.number());
  return a.number() < b.number() ? -1 : a.number() > b.number();
}

bool IsSequence(const Value& v) { return v.Is(Kind::kList) || v.Is(Kind::kTuple); }

}  // namespace

StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  if (a.is_number() && b.is_number()) {
    bool unordered = false;
    return CompareNumbers(a, b, &unordered) == 0 && !unordered;
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      QIAO_RETURN_IF_ERROR(budget.Touch(std::min(a.str().size(), b.str().size())));
      return a.str() == b.str();
    case Kind::kFunction:
      return a.str() == b.str();
    case Kind::kList:
    case Kind::kTuple: {
      const Values &x = a.as<SequenceObject>().items, &y = b.as<SequenceObject>().items;
      if (x.size() != y.size()) return false;
      for (size_t i = 0; i < x.size(); ++i) {
        QIAO_ASSIGN_OR_RETURN(bool same, Equal(x[i], y[i], budget));
        if (!same) return false;
      }
      return true;
    }
    case Kind::kDict: {
      const DictObject &x = a.as<DictObject>(), &y = b.as<DictObject>();
      if (x.entries.size() != y.entries.size()) return false;
      for (const auto& [key, value] : x.entries) {
        QIAO_ASSIGN_OR_RETURN(std::string encoded, EncodeKey(key, budget));
        const Value* other = y.FindKey(encoded);
        if (other == nullptr) return false;
        QIAO_ASSIGN_OR_RETURN(bool same, Equal(value, *other, budget));
        if (!same) return false;
      }
      return true;
    }
    case Kind::kRange: {
      const RangeObject &x = a.as<RangeObject>(), &y = b.as<RangeObject>();
      return x.length == y.length &&
             (x.length == 0 || (x.start == y.start && (x.length == 1 || x.step == y.step)));
    }
    default:
      return a.object() == b.object();
  }
}

StatusOr<int> Compare(const Value& a, const Value& b, std::string_view op, Budget& budget, bool* unordered) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  if (a.is_undefined()) return UndefinedError(a);
  if (b.is_undefined()) return UndefinedError(b);
  if (a.is_number() && b.is_number()) return CompareNumbers(a, b, unordered);
  if (a.is_string() && b.is_string()) {
    QIAO_RETURN_IF_ERROR(budget.Touch(std::min(a.str().size(), b.str().size())));
    const int c = a.str().compare(b.str());  // bytes of UTF-8 sort as code points do
    return c < 0 ? -1 : c > 0;
  }
  if (IsSequence(a) && a.kind() == b.kind()) {
    const Values &x = a.as<SequenceObject>().items, &y = b.as<SequenceObject>().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      QIAO_ASSIGN_OR_RETURN(bool same, Equal(x[i], y[i], budget));
      if (!same) return Compare(x[i], y[i], op, budget, unordered);
    }
    return x.size() < y.size() ? -1 : x.size() > y.size();
  }
  return InvalidArgument("'%s' not supported between instances of '%s' and '%s'", op, TypeName(a),
                         TypeName(b));
}

StatusOr<std::string> EncodeKey(const Value& v, Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  switch (v.kind()) {
    case Kind::kUndefined:
      return std::string("u");
    case Kind::kNone:
      return std::string("n");
    case Kind::kBool:
    case Kind::kInt:
      return absl::StrCat("i", v.integer());
    case Kind::kFloat: {
      const double d = v.number();
      if (std::floor(d) == d && std::fabs(d) < 9.2e18) return absl::StrCat("i", static_cast<int64_t>(d));
      return absl::StrCat("f", FloatRepr(d));
    }
    case Kind::kString:
      QIAO_RETURN_IF_ERROR(budget.Touch(v.str().size()));
      return absl::StrCat("s", Abs(v.str()));
    case Kind::kTuple: {
      std::string out(1, 't');
      for (const Value& item : v.as<SequenceObject>().items) {
        QIAO_ASSIGN_OR_RETURN(std::string part, EncodeKey(item, budget));
        absl::StrAppend(&out, part.size(), ":", part);
        QIAO_RETURN_IF_ERROR(budget.StringBytes(out.size()));
      }
      return out;
    }
    case Kind::kList:
    case Kind::kDict:
      return InvalidArgument("unhashable type: '%s'", TypeName(v));
    default:
      return absl::StrCat("o", reinterpret_cast<uintptr_t>(v.object()));
  }
}

}  // namespace qiao::text::jinja
