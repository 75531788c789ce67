// Filters on text, and the filters' table.
#include "runtime/text/jinja_format.h"
#include "runtime/text/jinja_functions.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 40;  // what is made of it meets the budget first

// The value as a string value; escaped text stays escaped.
StatusOr<Value> Soft(const Value& v, Budget& budget) {
  if (v.is_string()) return v;
  QIAO_ASSIGN_OR_RETURN(std::string text, Str(v, budget));
  return NewString(std::move(text), budget);
}

template <std::string (*kFunction)(std::string_view)>
StatusOr<Value> Mapped(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_RETURN_IF_ERROR((arguments.Bind<0>("filter", {})).status());
  QIAO_ASSIGN_OR_RETURN(Value text, Soft(value, budget));
  QIAO_RETURN_IF_ERROR(budget.StringBytes(4 * text.str().size()));
  return NewString(kFunction(text.str()), budget, text.is_markup());
}

// Jinja's own title: words begin after whitespace, "-", "(", "{", "[" and "<".
std::string JinjaTitle(std::string_view s) {
  std::string out, word;
  const auto flush = [&] {
    if (word.empty()) return;
    size_t first = 0;
    NextCodePoint(word, &first);
    out += ToUpper(std::string_view(word).substr(0, first));
    out += ToLower(std::string_view(word).substr(first));
    word.clear();
  };
  for (size_t pos = 0; pos < s.size();) {
    const size_t start = pos;
    const char32_t c = NextCodePoint(s, &pos);
    const bool breaks = IsSpace(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    if (breaks) {
      flush();
      out += s.substr(start, pos - start);
    } else {
      word += s.substr(start, pos - start);
    }
  }
  flush();
  return out;
}

StatusOr<Value> Trim(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(Value text, Soft(value, budget));
  QIAO_RETURN_IF_ERROR((arguments.Bind<1>("trim", {"chars"})).status());
  Arguments chars;
  if (!arguments.positional.empty()) chars.positional = arguments.positional;
  if (const Value* named = arguments.Keyword("chars")) chars.positional.push_back(*named);
  return CallStringMethod(text, "strip", chars, budget);
}

StatusOr<Value> Replace(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>("replace", {"old", "new", "count"}, 2)));
  QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget));
  QIAO_ASSIGN_OR_RETURN(std::string from, Str(*bound[0], budget));
  QIAO_ASSIGN_OR_RETURN(std::string to, Str(*bound[1], budget));
  int64_t count = -1;
  if (bound[2] && !bound[2]->is_none()) {
    QIAO_ASSIGN_OR_RETURN(count, ToInteger("count of replace", *bound[2], INT64_MIN, INT64_MAX));
  }
  return ReplaceAll(Value::String(std::move(text)), from, to, count, budget);
}

StatusOr<Value> Indent(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>("indent", {"width", "first", "blank"})));
  if (!value.is_string()) return InvalidArgument("indent works on a string, not on '%s'", TypeName(value));
  std::string indention(4, ' ');
  if (bound[0] && bound[0]->is_string()) {
    indention = std::string(bound[0]->str());
  } else if (bound[0]) {
    QIAO_ASSIGN_OR_RETURN(int64_t width, ToInteger("width of indent", *bound[0], INT64_MIN, 100'000));
    indention = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
  }
  const bool first = bound[1] && Truthy(*bound[1]), blank = bound[2] && Truthy(*bound[2]);
  const std::string text = std::string(value.str()) + "\n";
  QIAO_RETURN_IF_ERROR(budget.Touch(text.size()));
  std::string out = first ? indention : "";
  const std::vector<std::string_view> lines = SplitLines(text, false);
  QIAO_RETURN_IF_ERROR(budget.StringBytes(text.size() + lines.size() * indention.size()));
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out += '\n';
    if (i > 0 && (blank || !lines[i].empty())) out += indention;
    out += lines[i];
  }
  return NewString(std::move(out), budget, value.is_markup());
}

StatusOr<Value> Truncate(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound,
                        (arguments.Bind<4>("truncate", {"length", "killwords", "end", "leeway"})));
  if (!value.is_string()) return InvalidArgument("truncate works on a string, not on '%s'", TypeName(value));
  int64_t length = 255, leeway = 5;
  if (bound[0]) {
    QIAO_ASSIGN_OR_RETURN(length, ToInteger("length of truncate", *bound[0], 0, kMaxWidth));
  }
  if (bound[3] && !bound[3]->is_none()) {
    QIAO_ASSIGN_OR_RETURN(leeway, ToInteger("leeway of truncate", *bound[3], 0, kMaxWidth));
  }
  std::string end = "...";
  if (bound[2]) {
    QIAO_ASSIGN_OR_RETURN(end, TextOf(*bound[2], budget));
  }
  const int64_t end_length = static_cast<int64_t>(CodePointCount(end));
  if (length < end_length)
    return InvalidArgument("truncate: expected length >= %d, got %d", end_length, length);
  QIAO_RETURN_IF_ERROR(budget.Touch(value.str().size()));
  if (static_cast<int64_t>(CodePointCount(value.str())) <= length + leeway) return value;
  size_t cut = 0;
  for (int64_t i = 0; i < length - end_length; ++i) NextCodePoint(value.str(), &cut);
  std::string out(value.str().substr(0, cut));
  if (!(bound[1] && Truthy(*bound[1]))) {
    if (const size_t space = out.rfind(' '); space != out.npos) out.resize(space);
  }
  return NewString(out + end, budget, value.is_markup());
}

StatusOr<Value> Center(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("center", {"width"})));
  QIAO_ASSIGN_OR_RETURN(Value text, Soft(value, budget));
  Arguments width;
  width.positional.push_back(bound[0] ? *bound[0] : Value::Int(80));
  return CallStringMethod(text, "center", width, budget);
}

StatusOr<Value> WordCount(const Value& value, const Arguments&, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(Value text, Soft(value, budget));
  QIAO_RETURN_IF_ERROR(budget.Touch(text.str().size()));
  int64_t words = 0;
  bool inside = false;
  for (size_t pos = 0; pos < text.str().size();) {
    const char32_t c = NextCodePoint(text.str(), &pos);
    const bool word = c == '_' || IsAlnum(c);
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::Int(words);
}

StatusOr<Value> Format(const Value& value, const Arguments& arguments, Budget& budget) {
  if (!arguments.positional.empty() && !arguments.keyword.empty()) {
    return InvalidArgument("format: can't handle positional and keyword arguments at the same time");
  }
  QIAO_ASSIGN_OR_RETURN(Value text, Soft(value, budget));
  Value given;
  if (arguments.keyword.empty()) {
    QIAO_ASSIGN_OR_RETURN(given, NewSequence(Kind::kTuple, arguments.positional, budget));
  } else {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [name, v] : arguments.keyword) entries.emplace_back(Value::String(name), v);
    QIAO_ASSIGN_OR_RETURN(given, NewDict(std::move(entries), budget));
  }
  return BinaryOperator("%", text, given, budget);
}

StatusOr<Value> Escape(const Value& value, const Arguments&, Budget& budget) {
  if (value.is_markup()) return value;
  QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget));
  return NewString(EscapeHtml(text), budget, true);
}

StatusOr<Value> ForceEscape(const Value& value, const Arguments&, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget));
  return NewString(EscapeHtml(text), budget, true);
}

StatusOr<Value> Safe(const Value& value, const Arguments&, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget));
  return NewString(std::move(text), budget, true);
}

StatusOr<Value> String(const Value& value, const Arguments&, Budget& budget) { return Soft(value, budget); }

std::string UrlQuote(std::string_view s, bool query) {
  std::string out;
  for (char c : s) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += absl::StrFormat("%%%02X", static_cast<unsigned char>(c));
    }
  }
  return out;
}

StatusOr<Value> UrlEncode(const Value& value, const Arguments&, Budget& budget) {
  if (value.is_string() || !IsIterable(value)) {
    QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget));
    return NewString(UrlQuote(text, false), budget);
  }
  std::string out;
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget));
  if (value.Is(Kind::kDict)) {
    items.clear();
    for (const auto& [key, item] : value.as<DictObject>().entries) {
      QIAO_ASSIGN_OR_RETURN(Value pair, NewSequence(Kind::kTuple, {key, item}, budget));
      items.push_back(std::move(pair));
    }
  }
  for (const Value& item : items) {
    QIAO_ASSIGN_OR_RETURN(Values pair, Iterate(item, budget));
    if (pair.size() != 2) return InvalidArgument("urlencode needs pairs");
    QIAO_ASSIGN_OR_RETURN(std::string key, Str(pair[0], budget));
    QIAO_ASSIGN_OR_RETURN(std::string text, Str(pair[1], budget));
    if (!out.empty()) out += '&';
    out += UrlQuote(key, true) + "=" + UrlQuote(text, true);
    QIAO_RETURN_IF_ERROR(budget.StringBytes(3 * (key.size() + text.size())));
  }
  return NewString(std::move(out), budget);
}

const FilterTable& Filters() {
  static const FilterTable* const table = [] {
    auto* t = new FilterTable;
    AddTextFilters(t);
    AddNumberFilters(t);
    AddSequenceFilters(t);
    AddSelectionFilters(t);
    return t;
  }();
  return *table;
}

}  // namespace

StatusOr<std::string> TextOf(const Value& v, Budget& budget) { return Str(v, budget); }

bool IsFilter(std::string_view name) { return Filters().contains(name); }

StatusOr<Value> ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments,
                            Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  const auto it = Filters().find(name);
  if (it == Filters().end()) return InvalidArgument("no filter named '%s'", name);
  return it->second(value, arguments, budget);
}

void AddTextFilters(FilterTable* table) {
  FilterTable& t = *table;
  t["upper"] = Mapped<ToUpper>;
  t["lower"] = Mapped<ToLower>;
  t["capitalize"] = Mapped<Capitalize>;
  t["title"] = Mapped<JinjaTitle>;
  t["trim"] = Trim;
  t["replace"] = Replace;
  t["indent"] = Indent;
  t["truncate"] = Truncate;
  t["center"] = Center;
  t["wordcount"] = WordCount;
  t["format"] = Format;
  t["escape"] = t["e"] = Escape;
  t["forceescape"] = ForceEscape;
  t["safe"] = Safe;
  t["string"] = String;
  t["urlencode"] = UrlEncode;
  t["tojson"] = ToJson;
}

}  // namespace qiao::text::jinja
