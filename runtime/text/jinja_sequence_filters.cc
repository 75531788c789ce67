// Filters on sequences and mappings.
#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "runtime/text/jinja_functions.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

StatusOr<Value> LengthFilter(const Value& value, const Arguments&, Budget& budget) {
  if (value.is_string()) QIAO_RETURN_IF_ERROR(budget.Touch(value.str().size()));
  QIAO_ASSIGN_OR_RETURN(int64_t length, Length(value));
  return Value::Int(length);
}

StatusOr<Value> Join(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("join", {"d", "attribute"})));
  std::string separator, out;
  if (bound[0]) {
    QIAO_ASSIGN_OR_RETURN(separator, TextOf(*bound[0], budget));
  }
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  for (size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (bound[1] && !bound[1]->is_none()) {
      QIAO_ASSIGN_OR_RETURN(item, GetPath(item, *bound[1], budget));
    }
    QIAO_ASSIGN_OR_RETURN(std::string text, TextOf(item, budget));
    QIAO_RETURN_IF_ERROR(budget.StringBytes(text.size() + separator.size()));
    if (i > 0) out += separator;
    out += text;
  }
  return NewString(std::move(out), budget);
}

StatusOr<Value> First(const Value& value, const Arguments&, Budget& budget) {
  if (value.Is(Kind::kIterator)) {
    IteratorObject& it = value.as<IteratorObject>();
    if (it.next < it.items.size()) return it.items[it.next++];
    return Value::Undefined("no first item, sequence was empty");
  }
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  if (items.empty()) return Value::Undefined("no first item, sequence was empty");
  return items.front();
}

StatusOr<Value> Last(const Value& value, const Arguments&, Budget& budget) {
  if (value.Is(Kind::kIterator)) return InvalidArgument("'generator' object is not reversible");
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  if (items.empty()) return Value::Undefined("no last item, sequence was empty");
  return items.back();
}

StatusOr<Value> List(const Value& value, const Arguments&, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  return NewSequence(Kind::kList, std::move(items), budget);
}

StatusOr<Value> Reverse(const Value& value, const Arguments&, Budget& budget) {
  if (value.is_string()) {
    QIAO_RETURN_IF_ERROR(budget.StringBytes(5 * value.str().size()));
    std::vector<char32_t> all = CodePoints(value.str());
    std::reverse(all.begin(), all.end());
    return NewString(FromCodePoints(all.data(), all.data() + all.size()), budget, value.is_markup());
  }
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  std::reverse(items.begin(), items.end());
  if (value.Is(Kind::kIterator)) return NewSequence(Kind::kList, std::move(items), budget);
  return NewIterator(std::move(items), budget);
}

// A key for sorting, grouping and comparing: text without its case unless asked for.
StatusOr<Value> SortKey(const Value& item, const Value* path, bool case_sensitive, Budget& budget) {
  Value key = item;
  if (path != nullptr && !path->is_none()) {
    QIAO_ASSIGN_OR_RETURN(key, GetPath(item, *path, budget));
  }
  if (case_sensitive || !key.is_string()) return key;
  return NewString(ToLower(key.str()), budget);
}

StatusOr<Value> Sort(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>("sort", {"reverse", "case_sensitive", "attribute"})));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  const bool case_sensitive = bound[1] && Truthy(*bound[1]);
  Values keys;
  for (const Value& item : items) {
    Value key;
    if (bound[2] && bound[2]->is_string() && bound[2]->str().find(',') != std::string_view::npos) {
      Values parts;  // "age,name": several keys
      std::string_view rest = bound[2]->str();
      for (bool more = true; more;) {
        const size_t comma = rest.find(',');
        more = comma != rest.npos;
        const Value path = Value::String(std::string(rest.substr(0, comma)));
        rest = more ? rest.substr(comma + 1) : rest;
        QIAO_ASSIGN_OR_RETURN(Value part, SortKey(item, &path, case_sensitive, budget));
        parts.push_back(std::move(part));
      }
      QIAO_ASSIGN_OR_RETURN(key, NewSequence(Kind::kList, std::move(parts), budget));
    } else {
      QIAO_ASSIGN_OR_RETURN(key, SortKey(item, bound[2] ? &*bound[2] : nullptr, case_sensitive, budget));
    }
    keys.push_back(std::move(key));
  }
  QIAO_ASSIGN_OR_RETURN(items, SortBy(std::move(items), keys, bound[0] && Truthy(*bound[0]), budget));
  return NewSequence(Kind::kList, std::move(items), budget);
}

StatusOr<Value> DictSort(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>("dictsort", {"case_sensitive", "by", "reverse"})));
  if (!value.Is(Kind::kDict))
    return InvalidArgument("dictsort works on a mapping, not on '%s'", TypeName(value));
  const std::string_view by = bound[1] ? bound[1]->str() : "key";
  if (by != "key" && by != "value") return InvalidArgument("dictsort sorts by either \"key\" or \"value\"");
  Values items, keys;
  for (const auto& [key, item] : value.as<DictObject>().entries) {
    QIAO_ASSIGN_OR_RETURN(Value pair, NewSequence(Kind::kTuple, {key, item}, budget));
    items.push_back(std::move(pair));
    QIAO_ASSIGN_OR_RETURN(Value sort_key,
                          SortKey(by == "key" ? key : item, nullptr, bound[0] && Truthy(*bound[0]), budget));
    keys.push_back(std::move(sort_key));
  }
  QIAO_ASSIGN_OR_RETURN(items, SortBy(std::move(items), keys, bound[2] && Truthy(*bound[2]), budget));
  return NewSequence(Kind::kList, std::move(items), budget);
}

StatusOr<Value> Unique(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("unique", {"case_sensitive", "attribute"})));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  absl::flat_hash_set<std::string> seen;
  Values out;
  for (Value& item : items) {
    QIAO_ASSIGN_OR_RETURN(
        Value key, SortKey(item, bound[1] ? &*bound[1] : nullptr, bound[0] && Truthy(*bound[0]), budget));
    QIAO_ASSIGN_OR_RETURN(std::string encoded, EncodeKey(key, budget));
    QIAO_RETURN_IF_ERROR(budget.Bytes(encoded.size()));
    if (seen.insert(std::move(encoded)).second) out.push_back(std::move(item));
  }
  return NewIterator(std::move(out), budget);
}

template <bool kMax>
StatusOr<Value> Extreme(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound,
                        (arguments.Bind<2>(kMax ? "max" : "min", {"case_sensitive", "attribute"})));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  if (items.empty()) return Value::Undefined("no aggregated item, sequence was empty");
  size_t best = 0;
  Value best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(
        Value key, SortKey(items[i], bound[1] ? &*bound[1] : nullptr, bound[0] && Truthy(*bound[0]), budget));
    if (i > 0) {
      bool unordered = false;
      QIAO_ASSIGN_OR_RETURN(int order, Compare(key, best_key, kMax ? ">" : "<", budget, &unordered));
      if (unordered || (kMax ? order <= 0 : order >= 0)) continue;
    }
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

StatusOr<Value> Sum(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("sum", {"attribute", "start"})));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  Value total = bound[1] ? *bound[1] : Value::Int(0);
  if (total.is_string()) return InvalidArgument("sum() can't sum strings");
  for (Value& item : items) {
    if (bound[0] && !bound[0]->is_none()) {
      QIAO_ASSIGN_OR_RETURN(item, GetPath(item, *bound[0], budget));
    }
    QIAO_ASSIGN_OR_RETURN(total, BinaryOperator("+", total, item, budget));
  }
  return total;
}

StatusOr<Value> Items(const Value& value, const Arguments&, Budget& budget) {
  Values out;
  if (value.is_undefined()) return NewIterator(std::move(out), budget);
  if (!value.Is(Kind::kDict)) return InvalidArgument("can only get item pairs from a mapping");
  for (const auto& [key, item] : value.as<DictObject>().entries) {
    QIAO_ASSIGN_OR_RETURN(Value pair, NewSequence(Kind::kTuple, {key, item}, budget));
    out.push_back(std::move(pair));
  }
  return NewIterator(std::move(out), budget);
}

StatusOr<Value> Batch(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("batch", {"linecount", "fill_with"}, 1)));
  QIAO_ASSIGN_OR_RETURN(int64_t size, ToInteger("linecount of batch", *bound[0], 1, 1'000'000));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  Values out, row;
  const auto close = [&]() -> Status {
    QIAO_ASSIGN_OR_RETURN(Value list, NewSequence(Kind::kList, std::exchange(row, {}), budget));
    out.push_back(std::move(list));
    return absl::OkStatus();
  };
  for (Value& item : items) {
    if (static_cast<int64_t>(row.size()) == size) QIAO_RETURN_IF_ERROR(close());
    row.push_back(std::move(item));
  }
  if (!row.empty()) {
    if (bound[1] && !bound[1]->is_none()) {
      QIAO_RETURN_IF_ERROR(budget.Bytes(static_cast<size_t>(size) * sizeof(Value)));
      row.resize(static_cast<size_t>(size), *bound[1]);
    }
    QIAO_RETURN_IF_ERROR(close());
  }
  return NewIterator(std::move(out), budget);
}

StatusOr<Value> SliceFilter(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("slice", {"slices", "fill_with"}, 1)));
  QIAO_ASSIGN_OR_RETURN(int64_t slices, ToInteger("slices of slice", *bound[0], 1, 1'000'000));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  const int64_t length = static_cast<int64_t>(items.size()), each = length / slices, longer = length % slices;
  Values out;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t start = i * each + std::min(i, longer), stop = start + each + (i < longer ? 1 : 0);
    Values row(items.begin() + start, items.begin() + stop);
    if (bound[1] && !bound[1]->is_none() && i >= longer) row.push_back(*bound[1]);
    QIAO_ASSIGN_OR_RETURN(Value list, NewSequence(Kind::kList, std::move(row), budget));
    out.push_back(std::move(list));
  }
  return NewIterator(std::move(out), budget);
}

}  // namespace

StatusOr<Values> SortBy(Values items, const Values& keys, bool reverse, Budget& budget) {
  // A merge sort of its own: std::stable_sort must not meet an order that fails midway.
  std::vector<size_t> order(items.size()), merged(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  QIAO_RETURN_IF_ERROR(budget.Bytes(items.size() * (sizeof(Value) + 2 * sizeof(size_t))));
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t low = 0; low < order.size(); low += 2 * width) {
      const size_t middle = std::min(low + width, order.size()),
                   high = std::min(low + 2 * width, order.size());
      size_t left = low, right = middle;
      for (size_t at = low; at < high; ++at) {
        bool take_right = right < high && left >= middle;
        if (left < middle && right < high) {
          bool unordered = false;
          QIAO_ASSIGN_OR_RETURN(int c,
                                Compare(keys[order[right]], keys[order[left]], "<", budget, &unordered));
          take_right = !unordered && (reverse ? c > 0 : c < 0);
        }
        merged[at] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  Values out;
  for (size_t i : order) out.push_back(std::move(items[i]));
  return out;
}

void AddSequenceFilters(FilterTable* table) {
  FilterTable& t = *table;
  t["length"] = t["count"] = LengthFilter;
  t["join"] = Join;
  t["first"] = First;
  t["last"] = Last;
  t["list"] = List;
  t["reverse"] = Reverse;
  t["sort"] = Sort;
  t["dictsort"] = DictSort;
  t["unique"] = Unique;
  t["min"] = Extreme<false>;
  t["max"] = Extreme<true>;
  t["sum"] = Sum;
  t["items"] = Items;
  t["batch"] = Batch;
  t["slice"] = SliceFilter;
}

}  // namespace qiao::text::jinja
