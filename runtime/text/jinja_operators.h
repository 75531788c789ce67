// What the operators of an expression do, as Python does it; and the arguments of a call.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "runtime/text/jinja_value.h"

namespace qiao::text::jinja {

// + - * / // % **
StatusOr<Value> BinaryOperator(std::string_view op, const Value& a, const Value& b, Budget& budget);
StatusOr<Value> Negate(const Value& v);
StatusOr<Value> Plus(const Value& v);
// needle in haystack. Consumes an iterator.
StatusOr<bool> Contains(const Value& haystack, const Value& needle, Budget& budget);
// object.name: methods first, then items, as Jinja's getattr; object[key]: items first, then methods. What is
// missing gives undefined, so does what the sandbox forbids. Namespaces and loops are the interpreter's.
StatusOr<Value> GetAttribute(const Value& object, std::string_view name, Budget& budget);
StatusOr<Value> GetItem(const Value& object, const Value& key, Budget& budget);
// object[start:stop:step]; none and undefined bounds are open.
StatusOr<Value> Slice(const Value& object, const Value& start, const Value& stop, const Value& step,
                      Budget& budget);
// True where type(v) has a method of this name that the sandbox lets a template call.
bool HasMethod(const Value& v, std::string_view name);

// The first occurrence from `from` on, npos if none; linear time, which std::string::find is not.
size_t Find(std::string_view haystack, std::string_view needle, size_t from = 0);
StatusOr<Value> ReplaceAll(const Value& s, std::string_view from, std::string_view to, int64_t count,
                           Budget& budget);
std::string EscapeHtml(std::string_view s);

// An evaluated call: f(*positional, **keyword).
struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> keyword;

  const Value* Keyword(std::string_view name) const;
  // The arguments in the order of `names`, positional ones first; an error for too many, unknown or doubled
  // ones and for fewer than `required`.
  template <size_t N>
  StatusOr<std::array<std::optional<Value>, N>> Bind(std::string_view function,
                                                     const std::array<std::string_view, N>& names,
                                                     size_t required = 0) const {
    std::array<std::optional<Value>, N> out;
    QIAO_RETURN_IF_ERROR(BindInto(function, names.data(), N, required, out.data()));
    return out;
  }

 private:
  Status BindInto(std::string_view function, const std::string_view* names, size_t count, size_t required,
                  std::optional<Value>* out) const;
};

// An argument as an int (bools count as in Python), within [low, high].
StatusOr<int64_t> ToInteger(std::string_view what, const Value& v, int64_t low, int64_t high);

}  // namespace qiao::text::jinja
