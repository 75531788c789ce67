// tojson: Python's json.dumps, with the arguments that transformers passes on.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/text/jinja_functions.h"
#include "runtime/text/jinja_unicode.h"

namespace qiao::text::jinja {
namespace {

class JsonWriter {
 public:
  explicit JsonWriter(Budget& budget) : budget_(budget) {}
  Status Write(const Value& v);

  bool ensure_ascii = false, sort_keys = false, pretty = false;
  std::string indent, item_separator = ", ", key_separator = ": ";
  std::string out;

 private:
  Status Put(std::string_view s) {
    out.append(s);
    if (out.size() < paid_) return absl::OkStatus();
    paid_ = 2 * out.size() + 256;
    return budget_.StringBytes(out.size());
  }
  void Newline() {
    out.push_back('\n');
    for (int i = 0; i < level_; ++i) out += indent;
  }
  void String(std::string_view s);
  StatusOr<std::string> Key(const Value& key);

  Budget& budget_;
  size_t paid_ = 0;
  int level_ = 0;
};

void JsonWriter::String(std::string_view s) {
  out.push_back('"');
  for (size_t pos = 0; pos < s.size();) {
    const size_t start = pos;
    const char32_t c = NextCodePoint(s, &pos);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (c < 0x20 || (ensure_ascii && c > 0x7F && c < 0x10000)) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(c));
        } else if (ensure_ascii && c >= 0x10000) {
          const uint32_t v = static_cast<uint32_t>(c) - 0x10000;
          absl::StrAppendFormat(&out, "\\u%04x\\u%04x", 0xD800 + (v >> 10), 0xDC00 + (v & 0x3FF));
        } else {
          out.append(s.substr(start, pos - start));
        }
    }
  }
  out.push_back('"');
}

std::string JsonFloat(double d) {
  const std::string text = FloatRepr(d);
  return text == "nan" ? "NaN" : text == "inf" ? "Infinity" : text == "-inf" ? "-Infinity" : text;
}

StatusOr<std::string> JsonWriter::Key(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return std::string(key.str());
    case Kind::kNone:
      return std::string("null");
    case Kind::kBool:
      return std::string(key.boolean() ? "true" : "false");
    case Kind::kInt:
      return absl::StrCat(key.integer());
    case Kind::kFloat:
      return JsonFloat(key.number());
    default:
      return InvalidArgument("tojson: keys must be str, int, float, bool or None, not %s", TypeName(key));
  }
}

Status JsonWriter::Write(const Value& v) {
  QIAO_RETURN_IF_ERROR(budget_.Steps(1 + level_));
  switch (v.kind()) {
    case Kind::kNone:
      return Put("null");
    case Kind::kBool:
      return Put(v.boolean() ? "true" : "false");
    case Kind::kInt:
      return Put(absl::StrCat(v.integer()));
    case Kind::kFloat:
      return Put(JsonFloat(v.number()));
    case Kind::kString:
      QIAO_RETURN_IF_ERROR(budget_.StringBytes(v.str().size()));
      String(v.str());
      return Put("");
    case Kind::kList:
    case Kind::kTuple: {
      const Values& items = v.as<SequenceObject>().items;
      if (items.empty()) return Put("[]");
      QIAO_RETURN_IF_ERROR(Put("["));
      ++level_;
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0) QIAO_RETURN_IF_ERROR(Put(item_separator));
        if (pretty) Newline();
        QIAO_RETURN_IF_ERROR(Write(items[i]));
      }
      --level_;
      if (pretty) Newline();
      return Put("]");
    }
    case Kind::kDict: {
      const DictObject& dict = v.as<DictObject>();
      if (dict.entries.empty()) return Put("{}");
      Values keys, order;
      for (size_t i = 0; i < dict.entries.size(); ++i) {
        keys.push_back(dict.entries[i].first);
        order.push_back(Value::Int(static_cast<int64_t>(i)));
      }
      QIAO_RETURN_IF_ERROR(budget_.Bytes(keys.size() * 2 * sizeof(Value)));
      if (sort_keys) {
        QIAO_ASSIGN_OR_RETURN(order, SortBy(std::move(order), keys, false, budget_));
      }
      QIAO_RETURN_IF_ERROR(Put("{"));
      ++level_;
      for (size_t i = 0; i < order.size(); ++i) {
        const auto& [key, value] = dict.entries[static_cast<size_t>(order[i].integer())];
        if (i > 0) QIAO_RETURN_IF_ERROR(Put(item_separator));
        if (pretty) Newline();
        QIAO_ASSIGN_OR_RETURN(std::string name, Key(key));
        QIAO_RETURN_IF_ERROR(budget_.StringBytes(name.size()));
        String(name);
        QIAO_RETURN_IF_ERROR(Put(key_separator));
        QIAO_RETURN_IF_ERROR(Write(value));
      }
      --level_;
      if (pretty) Newline();
      return Put("}");
    }
    default:
      if (v.is_undefined() && !v.str().empty()) {
        return InvalidArgument("tojson: an undefined value is not JSON serializable (%s)", v.str());
      }
      return InvalidArgument("tojson: object of type %s is not JSON serializable", TypeName(v));
  }
}

}  // namespace

StatusOr<Value> ToJson(const Value& value, const Arguments& arguments, Budget& budget) {
  QIAO_ASSIGN_OR_RETURN(auto bound,
                        (arguments.Bind<4>("tojson", {"ensure_ascii", "indent", "separators", "sort_keys"})));
  const auto& [ensure_ascii, indent, separators, sort_keys] = bound;
  JsonWriter writer(budget);
  writer.ensure_ascii = ensure_ascii && Truthy(*ensure_ascii);
  writer.sort_keys = sort_keys && Truthy(*sort_keys);
  if (indent && !indent->is_none()) {
    writer.pretty = true;
    writer.item_separator.assign(1, ',');
    if (indent->is_string()) {
      writer.indent = std::string(indent->str());
      QIAO_RETURN_IF_ERROR(budget.Steps(static_cast<int64_t>(writer.indent.size())));
      if (writer.indent.size() > 1000) return OutOfRange("tojson: indent is longer than 1000 characters");
    } else {
      QIAO_ASSIGN_OR_RETURN(int64_t width, ToInteger("tojson: indent", *indent, -1000, 1000));
      writer.indent = std::string(static_cast<size_t>(std::max<int64_t>(width, 0)), ' ');
    }
  }
  if (separators && !separators->is_none()) {
    QIAO_ASSIGN_OR_RETURN(Values pair, Iterate(*separators, budget));
    if (pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      return InvalidArgument("tojson: separators must be two strings");
    }
    writer.item_separator = std::string(pair[0].str());
    writer.key_separator = std::string(pair[1].str());
  }
  QIAO_RETURN_IF_ERROR(writer.Write(value));
  return NewString(std::move(writer.out), budget);
}

}  // namespace qiao::text::jinja
