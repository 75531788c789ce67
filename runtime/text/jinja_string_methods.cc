// The methods of str, over code points.
#include <algorithm>

#include "runtime/text/jinja_format.h"
#include "runtime/text/jinja_functions.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

constexpr int64_t kFar = int64_t{1} << 60;

StatusOr<std::string> StringArgument(std::string_view method, const Value& v) {
  if (!v.is_string()) return InvalidArgument("%s() takes a string, not '%s'", method, TypeName(v));
  return std::string(v.str());
}

// The last occurrence; a search of the reversed texts keeps it linear.
size_t FindLast(std::string_view haystack, std::string_view needle) {
  const std::string h(haystack.rbegin(), haystack.rend()), n(needle.rbegin(), needle.rend());
  const size_t at = Find(h, n);
  return at == std::string_view::npos ? at : haystack.size() - at - needle.size();
}

StatusOr<Value> Strip(const Value& receiver, std::string_view name, const Arguments& arguments,
                      Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>(name, {"chars"})));
  const std::string_view s = receiver.str();
  QIAO_RETURN_IF_ERROR(budget.Touch(s.size()));
  const bool left = name != "rstrip", right = name != "lstrip";
  if (!bound[0] || bound[0]->is_none())
    return NewString(std::string(StripSpace(s, left, right)), budget, receiver.is_markup());
  QIAO_ASSIGN_OR_RETURN(std::string text, StringArgument(name, *bound[0]));
  std::vector<char32_t> chars = CodePoints(text);
  std::sort(chars.begin(), chars.end());
  const auto drops = [&chars](char32_t c) { return std::binary_search(chars.begin(), chars.end(), c); };
  QIAO_RETURN_IF_ERROR(budget.Bytes(s.size() * sizeof(char32_t)));
  const std::vector<char32_t> all = CodePoints(s);
  size_t begin = 0, end = all.size();
  while (left && begin < end && drops(all[begin])) ++begin;
  while (right && end > begin && drops(all[end - 1])) --end;
  return NewString(FromCodePoints(all.data() + begin, all.data() + end), budget, receiver.is_markup());
}

StatusOr<Value> ListOf(const std::vector<std::string_view>& parts, Budget& budget) {
  Values out;
  for (std::string_view part : parts) {
    QIAO_ASSIGN_OR_RETURN(Value v, NewString(std::string(part), budget));
    out.push_back(std::move(v));
  }
  return NewSequence(Kind::kList, std::move(out), budget);
}

std::vector<std::string_view> SplitOnSpace(std::string_view s, int64_t limit, bool from_right) {
  std::vector<std::string_view> out;
  s = StripSpace(s, !from_right, from_right);  // the far end keeps its whitespace once the limit is reached
  while (!StripSpace(s, true, true).empty()) {
    if (limit >= 0 && static_cast<int64_t>(out.size()) == limit) {
      out.push_back(s);
      break;
    }
    if (from_right) {
      size_t start = 0;  // of the last word
      for (size_t pos = 0; pos < s.size();) {
        if (IsSpace(NextCodePoint(s, &pos))) start = pos;
      }
      out.push_back(s.substr(start));
      s = StripSpace(s.substr(0, start), false, true);
    } else {
      size_t end = 0;
      while (end < s.size()) {
        size_t next = end;
        if (IsSpace(NextCodePoint(s, &next))) break;
        end = next;
      }
      out.push_back(s.substr(0, end));
      s = StripSpace(s.substr(end), true, false);
    }
  }
  if (from_right) std::reverse(out.begin(), out.end());
  return out;
}

StatusOr<Value> Split(const Value& receiver, std::string_view name, const Arguments& arguments,
                      Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>(name, {"sep", "maxsplit"})));
  const bool from_right = name == "rsplit";
  int64_t limit = -1;
  if (bound[1]) {
    QIAO_ASSIGN_OR_RETURN(limit, ToInteger("maxsplit", *bound[1], -kFar, kFar));
  }
  std::string_view s = receiver.str();
  QIAO_RETURN_IF_ERROR(budget.Touch(s.size()));
  if (!bound[0] || bound[0]->is_none()) {
    // Splitting from the right looks at the rest again for each word; words are bounded by the limit or cost
    // that much.
    if (from_right && limit >= 0)
      QIAO_RETURN_IF_ERROR(budget.Steps(std::min<int64_t>(limit, static_cast<int64_t>(s.size())) *
                                        static_cast<int64_t>(s.size() / 64 + 1)));
    return ListOf(SplitOnSpace(s, limit, from_right && limit >= 0), budget);
  }
  QIAO_ASSIGN_OR_RETURN(std::string separator, StringArgument(name, *bound[0]));
  if (separator.empty()) return InvalidArgument("empty separator");
  std::vector<std::string_view> parts;
  size_t at = 0;
  for (size_t hit; (hit = Find(s, separator, at)) != s.npos; at = hit + separator.size()) {
    if (limit >= 0 && !from_right && static_cast<int64_t>(parts.size()) == limit) break;
    parts.push_back(s.substr(at, hit - at));
  }
  parts.push_back(s.substr(at));
  if (!from_right) return ListOf(parts, budget);
  // From the right occurrences may overlap differently, so they are searched from that end.
  parts.clear();
  QIAO_RETURN_IF_ERROR(budget.Touch(2 * s.size()));
  const std::string reversed(s.rbegin(), s.rend()), mark(separator.rbegin(), separator.rend());
  at = 0;
  for (size_t hit; (limit < 0 || static_cast<int64_t>(parts.size()) < limit) &&
                   (hit = Find(reversed, mark, at)) != s.npos;
       at = hit + mark.size()) {
    parts.push_back(s.substr(s.size() - hit, hit - at));
  }
  parts.push_back(s.substr(0, s.size() - at));
  std::reverse(parts.begin(), parts.end());
  return ListOf(parts, budget);
}

StatusOr<Value> Affix(const Value& receiver, std::string_view name, const Arguments& arguments,
                      Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>(name, {"prefix", "start", "end"}, 1)));
  QIAO_ASSIGN_OR_RETURN(Value window, Slice(receiver, bound[1].value_or(Value::None()),
                                            bound[2].value_or(Value::None()), Value::None(), budget));
  Values affixes = {*bound[0]};
  if (bound[0]->Is(Kind::kTuple)) affixes = bound[0]->as<SequenceObject>().items;
  for (const Value& affix : affixes) {
    QIAO_ASSIGN_OR_RETURN(std::string text, StringArgument(name, affix));
    QIAO_RETURN_IF_ERROR(budget.Touch(text.size()));
    if (name == "startswith" ? window.str().starts_with(text) : window.str().ends_with(text))
      return Value::Bool(true);
  }
  return Value::Bool(false);
}

// find, rfind, index, rindex, count.
StatusOr<Value> Search(const Value& receiver, std::string_view name, const Arguments& arguments,
                       Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>(name, {"sub", "start", "end"}, 1)));
  QIAO_ASSIGN_OR_RETURN(std::string needle, StringArgument(name, *bound[0]));
  QIAO_ASSIGN_OR_RETURN(Value window, Slice(receiver, bound[1].value_or(Value::None()),
                                            bound[2].value_or(Value::None()), Value::None(), budget));
  const std::string_view s = window.str();
  QIAO_RETURN_IF_ERROR(budget.Touch(3 * s.size()));
  QIAO_ASSIGN_OR_RETURN(const int64_t length, Length(receiver));
  int64_t start = 0;
  if (bound[1] && bound[1]->is_integral()) {
    start = bound[1]->integer();
    if (start < 0) start = std::max<int64_t>(start, -length) + length;
  }
  if (name == "count") {
    if (needle.empty()) return Value::Int(start > length ? 0 : static_cast<int64_t>(CodePointCount(s)) + 1);
    int64_t count = 0;
    for (size_t at = 0; (at = Find(s, needle, at)) != s.npos; at += needle.size()) ++count;
    return Value::Int(count);
  }
  const bool last = name[0] == 'r';
  size_t hit = start > length ? s.npos : last ? FindLast(s, needle) : Find(s, needle);
  if (hit == s.npos) {
    if (name.ends_with("index")) return InvalidArgument("substring not found");
    return Value::Int(-1);
  }
  return Value::Int(start + static_cast<int64_t>(CodePointCount(s.substr(0, hit))));
}

StatusOr<Value> Partition(const Value& receiver, std::string_view name, const Arguments& arguments,
                          Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>(name, {"sep"}, 1)));
  QIAO_ASSIGN_OR_RETURN(std::string separator, StringArgument(name, *bound[0]));
  if (separator.empty()) return InvalidArgument("empty separator");
  const std::string_view s = receiver.str();
  QIAO_RETURN_IF_ERROR(budget.StringBytes(2 * s.size()));
  const bool last = name == "rpartition";
  const size_t hit = last ? FindLast(s, separator) : Find(s, separator);
  Values parts = {Value::String(std::string(s)), Value::String(""), Value::String("")};
  if (hit == s.npos) {
    if (last) std::swap(parts[0], parts[2]);
  } else {
    parts = {Value::String(std::string(s.substr(0, hit))), Value::String(separator),
             Value::String(std::string(s.substr(hit + separator.size())))};
  }
  return NewSequence(Kind::kTuple, std::move(parts), budget);
}

StatusOr<Value> Justify(const Value& receiver, std::string_view name, const Arguments& arguments,
                        Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>(name, {"width", "fillchar"}, 1)));
  QIAO_ASSIGN_OR_RETURN(int64_t width, ToInteger("width", *bound[0], -kFar, kFar));
  std::string fill = name == "zfill" ? "0" : " ";
  if (bound[1]) {
    QIAO_ASSIGN_OR_RETURN(fill, StringArgument(name, *bound[1]));
    if (CodePointCount(fill) != 1)
      return InvalidArgument("the fill character must be exactly one character long");
  }
  QIAO_ASSIGN_OR_RETURN(const int64_t length, Length(receiver));
  const int64_t missing = width - length;
  if (missing <= 0) return receiver;
  QIAO_RETURN_IF_ERROR(
      budget.StringBytes(static_cast<size_t>(missing) * fill.size() + receiver.str().size()));
  // Python's centre puts the odd one left or right by the parity of both.
  int64_t left = name == "ljust" ? 0 : name == "center" ? missing / 2 + (missing & width & 1) : missing;
  std::string before, after;
  for (int64_t i = 0; i < left; ++i) before += fill;
  for (int64_t i = left; i < missing; ++i) after += fill;
  std::string body(receiver.str());
  if (name == "zfill" && !body.empty() && (body[0] == '+' || body[0] == '-')) {
    return NewString(body[0] + before + body.substr(1), budget);
  }
  return NewString(before + body + after, budget, receiver.is_markup());
}

StatusOr<Value> Join(const Value& receiver, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("join", {"iterable"}, 1)));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(*bound[0], budget));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!items[i].is_string()) {
      return InvalidArgument("sequence item %d: expected str instance, %s found", i, TypeName(items[i]));
    }
    QIAO_RETURN_IF_ERROR(budget.StringBytes(items[i].str().size() + receiver.str().size()));
    if (i > 0) out += receiver.str();
    out += items[i].str();
  }
  return NewString(std::move(out), budget);
}

// isdigit and the like: every character of the class, and at least one.
StatusOr<Value> All(const Value& receiver, bool (*is)(char32_t), Budget& budget, bool of_empty = false) {
  const std::string_view s = receiver.str();
  QIAO_RETURN_IF_ERROR(budget.Touch(8 * s.size()));
  if (s.empty()) return Value::Bool(of_empty);
  for (size_t pos = 0; pos < s.size();) {
    if (!is(NextCodePoint(s, &pos))) return Value::Bool(false);
  }
  return Value::Bool(true);
}

StatusOr<Value> IsTitleCased(const Value& receiver) {
  bool any = false, after_cased = false;
  for (size_t pos = 0; pos < receiver.str().size();) {
    const char32_t c = NextCodePoint(receiver.str(), &pos);
    if (IsUpper(c) || IsTitle(c)) {
      if (after_cased) return Value::Bool(false);
      any = after_cased = true;
    } else if (IsLower(c)) {
      if (!after_cased) return Value::Bool(false);
    } else {
      after_cased = false;
    }
  }
  return Value::Bool(any);
}

StatusOr<Value> Classify(const Value& receiver, std::string_view name, Budget& budget) {
  if (name == "isalpha") return All(receiver, IsAlpha, budget);
  if (name == "isdigit") return All(receiver, IsDigit, budget);
  if (name == "isdecimal") return All(receiver, IsDecimal, budget);
  if (name == "isnumeric") return All(receiver, IsNumeric, budget);
  if (name == "isalnum") return All(receiver, IsAlnum, budget);
  if (name == "isspace") return All(receiver, IsSpace, budget);
  if (name == "isprintable") return All(receiver, IsPrintable, budget, true);
  if (name == "isascii") return Value::Bool(IsAscii(receiver.str()));
  if (name == "istitle") return IsTitleCased(receiver);
  if (name == "isidentifier") {
    const std::string_view s = receiver.str();
    if (s.empty() || IsDigit(static_cast<unsigned char>(s[0]))) return Value::Bool(false);
    return All(
        receiver, [](char32_t c) { return c == '_' || IsAlnum(c); }, budget);
  }
  QIAO_ASSIGN_OR_RETURN(bool yes, ApplyTest(name == "isupper" ? "upper" : "lower", receiver, {}, budget));
  return Value::Bool(yes);
}

}  // namespace

std::vector<std::string_view> SplitLines(std::string_view s, bool keep_ends) {
  std::vector<std::string_view> out;
  size_t start = 0;
  for (size_t pos = 0; pos < s.size();) {
    const size_t at = pos;
    const char32_t c = NextCodePoint(s, &pos);
    const bool ends =
        (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (!ends) continue;
    if (c == '\r' && pos < s.size() && s[pos] == '\n') ++pos;
    out.push_back(s.substr(start, (keep_ends ? pos : at) - start));
    start = pos;
  }
  if (start < s.size()) out.push_back(s.substr(start));
  return out;
}

StatusOr<Value> CallStringMethod(const Value& receiver, std::string_view name, const Arguments& arguments,
                                 Budget& budget) {
  const std::string_view s = receiver.str();
  QIAO_RETURN_IF_ERROR(budget.Touch(s.size()));
  if (name == "strip" || name == "lstrip" || name == "rstrip")
    return Strip(receiver, name, arguments, budget);
  if (name == "split" || name == "rsplit") return Split(receiver, name, arguments, budget);
  if (name == "startswith" || name == "endswith") return Affix(receiver, name, arguments, budget);
  if (name == "find" || name == "rfind" || name == "index" || name == "rindex" || name == "count") {
    return Search(receiver, name, arguments, budget);
  }
  if (name == "join") return Join(receiver, arguments, budget);
  if (name == "partition" || name == "rpartition") return Partition(receiver, name, arguments, budget);
  if (name == "center" || name == "ljust" || name == "rjust" || name == "zfill") {
    return Justify(receiver, name, arguments, budget);
  }
  if (name == "format") {
    QIAO_ASSIGN_OR_RETURN(std::string out, FormatBraces(s, arguments, budget));
    return NewString(std::move(out), budget, receiver.is_markup());
  }
  if (name == "replace") {
    QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>("replace", {"old", "new", "count"}, 2)));
    QIAO_ASSIGN_OR_RETURN(std::string from, StringArgument(name, *bound[0]));
    QIAO_ASSIGN_OR_RETURN(std::string to, StringArgument(name, *bound[1]));
    int64_t count = -1;
    if (bound[2]) {
      QIAO_ASSIGN_OR_RETURN(count, ToInteger("count of replace", *bound[2], INT64_MIN, INT64_MAX));
    }
    return ReplaceAll(receiver, from, to, count, budget);
  }
  if (name == "removeprefix" || name == "removesuffix") {
    QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>(name, {"affix"}, 1)));
    QIAO_ASSIGN_OR_RETURN(std::string affix, StringArgument(name, *bound[0]));
    if (name == "removeprefix" && s.starts_with(affix))
      return NewString(std::string(s.substr(affix.size())), budget);
    if (name == "removesuffix" && s.ends_with(affix))
      return NewString(std::string(s.substr(0, s.size() - affix.size())), budget);
    return receiver;
  }
  if (name == "splitlines") {
    QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>(name, {"keepends"})));
    return ListOf(SplitLines(s, bound[0] && Truthy(*bound[0])), budget);
  }
  if (name.starts_with("is")) {
    QIAO_RETURN_IF_ERROR((arguments.Bind<0>(name, {})).status());
    return Classify(receiver, name, budget);
  }
  using Mapping = std::string (*)(std::string_view);
  const Mapping map = name == "upper"        ? ToUpper
                      : name == "lower"      ? ToLower
                      : name == "title"      ? TitleCase
                      : name == "capitalize" ? Capitalize
                      : name == "casefold"   ? Casefold
                      : name == "swapcase"   ? SwapCase
                                             : static_cast<Mapping>(nullptr);
  if (map == nullptr) return Unimplemented("str.%s is not supported in chat templates", name);
  QIAO_RETURN_IF_ERROR((arguments.Bind<0>(name, {})).status());
  QIAO_RETURN_IF_ERROR(budget.StringBytes(4 * s.size()));
  return NewString(map(s), budget, receiver.is_markup());
}

}  // namespace qiao::text::jinja
