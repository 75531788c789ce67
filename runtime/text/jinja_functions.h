// Filters, tests and methods by name.
#pragma once

#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "runtime/text/jinja_operators.h"

namespace qiao::text::jinja {

using FilterFunction = StatusOr<Value> (*)(const Value& value, const Arguments& arguments, Budget& budget);
using FilterTable = absl::flat_hash_map<std::string_view, FilterFunction>;

// value|name(arguments) and value is name(arguments).
StatusOr<Value> ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments,
                            Budget& budget);
StatusOr<bool> ApplyTest(std::string_view name, const Value& value, const Arguments& arguments,
                         Budget& budget);
// receiver.name(arguments), for what HasMethod() says yes to.
StatusOr<Value> CallMethod(const Value& receiver, std::string_view name, const Arguments& arguments,
                           Budget& budget);
StatusOr<Value> CallStringMethod(const Value& receiver, std::string_view name, const Arguments& arguments,
                                 Budget& budget);

// Each file of filters adds its own.
void AddTextFilters(FilterTable* table);
void AddNumberFilters(FilterTable* table);
void AddSequenceFilters(FilterTable* table);
void AddSelectionFilters(FilterTable* table);
bool IsFilter(std::string_view name);

// json.dumps as transformers' tojson calls it.
StatusOr<Value> ToJson(const Value& value, const Arguments& arguments, Budget& budget);

// Jinja's "address.city" and "rows.0" getter, as map, sort and selectattr use it.
// `fallback`, when given, stands in for whatever is undefined on the way.
StatusOr<Value> GetPath(const Value& item, const Value& path, Budget& budget,
                        const Value* fallback = nullptr);
// sorted(): stable, an error where elements cannot be ordered.
StatusOr<Values> SortBy(Values items, const Values& keys, bool reverse, Budget& budget);
// The argument as text: a string itself, else str() of it.
StatusOr<std::string> TextOf(const Value& v, Budget& budget);
// str.splitlines().
std::vector<std::string_view> SplitLines(std::string_view s, bool keep_ends);

}  // namespace qiao::text::jinja
