// Tests: value is name(arguments).
#include "runtime/text/jinja_functions.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

using TestFunction = StatusOr<bool> (*)(const Value& value, const Value& other, Budget& budget);
struct Test {
  TestFunction function;
  int arguments;
};

template <Kind kKind>
StatusOr<bool> IsKind(const Value& v, const Value&, Budget&) {
  return v.Is(kKind);
}

StatusOr<bool> RemainderIs(const Value& v, const Value& divisor, int64_t wanted, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(Value rest, BinaryOperator("%", v, divisor, budget));
  return Equal(rest, Value::Int(wanted), budget);
}

enum class Order { kLess, kLessEqual, kGreater, kGreaterEqual };
template <Order kOrder>
StatusOr<bool> Ordered(const Value& a, const Value& b, Budget& budget) {
  bool unordered = false;
  QIAO_ASSIGN_OR_RETURN(
      int c,
      Compare(a, b, kOrder == Order::kLess || kOrder == Order::kLessEqual ? "<" : ">", budget, &unordered));
  if (unordered) return false;
  switch (kOrder) {
    case Order::kLess:
      return c < 0;
    case Order::kLessEqual:
      return c <= 0;
    case Order::kGreater:
      return c > 0;
    case Order::kGreaterEqual:
      return c >= 0;
  }
  return false;
}

StatusOr<bool> SameAs(const Value& a, const Value& b, Budget& budget) {
  if (a.kind() != b.kind()) return false;
  if (a.is_number() || a.is_string() || a.is_none()) return Equal(a, b, budget);
  return a.object() == b.object();
}

// str(value).islower() or isupper(): some cased letter, and none of the other case.
template <bool kUpper>
StatusOr<bool> AllCased(const Value& v, const Value&, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(std::string text, Str(v, budget));
  bool any = false;
  for (size_t pos = 0; pos < text.size();) {
    const char32_t c = NextCodePoint(text, &pos);
    if ((kUpper ? IsLower(c) : IsUpper(c)) || IsTitle(c)) return false;
    any = any || (kUpper ? IsUpper(c) : IsLower(c));
  }
  return any;
}

const absl::flat_hash_map<std::string_view, Test>& Tests() {
  static const auto* const table = [] {
    auto* t = new absl::flat_hash_map<std::string_view, Test>;
    const auto add = [t](std::initializer_list<std::string_view> names, TestFunction f, int arguments = 0) {
      for (std::string_view name : names) (*t)[name] = {f, arguments};
    };
    add({"defined"},
        [](const Value& v, const Value&, Budget&) -> StatusOr<bool> { return !v.is_undefined(); });
    add({"undefined"}, IsKind<Kind::kUndefined>);
    add({"none"}, IsKind<Kind::kNone>);
    add({"boolean"}, IsKind<Kind::kBool>);
    add({"integer"}, IsKind<Kind::kInt>);
    add({"float"}, IsKind<Kind::kFloat>);
    add({"string"}, IsKind<Kind::kString>);
    add({"mapping"}, IsKind<Kind::kDict>);
    add({"true"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> {
      return v.Is(Kind::kBool) && v.boolean();
    });
    add({"false"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> {
      return v.Is(Kind::kBool) && !v.boolean();
    });
    add({"number"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> { return v.is_number(); });
    add({"iterable"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> { return IsIterable(v); });
    add({"sequence"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> {
      return v.is_undefined() || v.is_string() || v.Is(Kind::kList) || v.Is(Kind::kTuple) ||
             v.Is(Kind::kDict) || v.Is(Kind::kRange);
    });
    add({"callable"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> {
      return v.is_undefined() || v.Is(Kind::kFunction) || v.Is(Kind::kMethod) || v.Is(Kind::kMacro) ||
             v.Is(Kind::kLoop);
    });
    add({"escaped"}, [](const Value& v, const Value&, Budget&) -> StatusOr<bool> { return v.is_markup(); });
    add({"odd"}, [](const Value& v, const Value&, Budget& b) { return RemainderIs(v, Value::Int(2), 1, b); });
    add({"even"},
        [](const Value& v, const Value&, Budget& b) { return RemainderIs(v, Value::Int(2), 0, b); });
    add(
        {"divisibleby"}, [](const Value& v, const Value& n, Budget& b) { return RemainderIs(v, n, 0, b); },
        1);
    add({"lower"}, AllCased<false>);
    add({"upper"}, AllCased<true>);
    add({"filter"},
        [](const Value& v, const Value&, Budget&) -> StatusOr<bool> { return IsFilter(v.str()); });
    add({"test"},
        [](const Value& v, const Value&, Budget&) -> StatusOr<bool> { return Tests().contains(v.str()); });
    add({"sameas"}, SameAs, 1);
    add(
        {"in"}, [](const Value& v, const Value& sequence, Budget& b) { return Contains(sequence, v, b); }, 1);
    add({"==", "eq", "equalto"}, Equal, 1);
    add(
        {"!=", "ne"},
        [](const Value& a, const Value& b, Budget& budget) -> StatusOr<bool> {
          QIAO_ASSIGN_OR_RETURN(bool same, Equal(a, b, budget));
          return !same;
        },
        1);
    add({"<", "lt", "lessthan"}, Ordered<Order::kLess>, 1);
    add({"<=", "le"}, Ordered<Order::kLessEqual>, 1);
    add({">", "gt", "greaterthan"}, Ordered<Order::kGreater>, 1);
    add({">=", "ge"}, Ordered<Order::kGreaterEqual>, 1);
    return t;
  }();
  return *table;
}

}  // namespace

StatusOr<bool> ApplyTest(std::string_view name, const Value& value, const Arguments& arguments,
                         Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  const auto it = Tests().find(name);
  if (it == Tests().end()) return InvalidArgument("no test named '%s'", name);
  const size_t given = arguments.positional.size() + arguments.keyword.size();
  if (given != static_cast<size_t>(it->second.arguments)) {
    return InvalidArgument("test '%s' takes %d arguments, %d given", name, it->second.arguments, given);
  }
  const Value other = given == 0                     ? Value()
                      : arguments.positional.empty() ? arguments.keyword[0].second
                                                     : arguments.positional[0];
  return it->second.function(value, other, budget);
}

}  // namespace qiao::text::jinja
