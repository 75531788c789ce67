// str() and repr() of template values, as Python prints them.
#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/text/jinja_unicode.h"
#include "runtime/text/jinja_value.h"

namespace qiao::text::jinja {
namespace {

constexpr int kMaxNamespaceDepth = 16;  // namespaces may hold each other, containers have their depth limit

class ReprWriter {
 public:
  explicit ReprWriter(Budget& budget) : budget_(budget) {}
  Status Write(const Value& v);
  std::string out;

 private:
  Status Put(std::string_view s) {
    out.append(s);
    if (out.size() < paid_) return absl::OkStatus();
    // Paid each time the text has doubled, so that a value whose text is exponential in its size stops early.
    paid_ = 2 * out.size() + 256;
    return budget_.StringBytes(out.size());
  }
  Status WriteItems(const Values& items, std::string_view open, std::string_view close);
  Status WriteDict(const DictObject& dict, DictViewObject::Part part, std::string_view open,
                   std::string_view close);

  Budget& budget_;
  size_t paid_ = 0;
  int namespaces_ = 0;
};

Status ReprWriter::WriteItems(const Values& items, std::string_view open, std::string_view close) {
  QIAO_RETURN_IF_ERROR(Put(open));
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) QIAO_RETURN_IF_ERROR(Put(", "));
    QIAO_RETURN_IF_ERROR(Write(items[i]));
  }
  return Put(close);
}

Status ReprWriter::WriteDict(const DictObject& dict, DictViewObject::Part part, std::string_view open,
                             std::string_view close) {
  QIAO_RETURN_IF_ERROR(Put(open));
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!first) QIAO_RETURN_IF_ERROR(Put(", "));
    first = false;
    if (part != DictViewObject::Part::kValues) QIAO_RETURN_IF_ERROR(Write(key));
    if (part == DictViewObject::Part::kItems) QIAO_RETURN_IF_ERROR(Put(": "));
    if (part != DictViewObject::Part::kKeys) QIAO_RETURN_IF_ERROR(Write(value));
  }
  return Put(close);
}

Status ReprWriter::Write(const Value& v) {
  QIAO_RETURN_IF_ERROR(budget_.Steps(1));
  switch (v.kind()) {
    case Kind::kUndefined:
      return Put("Undefined");
    case Kind::kNone:
      return Put("None");
    case Kind::kBool:
      return Put(v.boolean() ? "True" : "False");
    case Kind::kInt: {
      char digits[24];
      const auto end = std::to_chars(digits, digits + sizeof digits, v.integer()).ptr;
      return Put({digits, static_cast<size_t>(end - digits)});
    }
    case Kind::kFloat:
      return Put(FloatRepr(v.number()));
    case Kind::kString:
      QIAO_RETURN_IF_ERROR(budget_.StringBytes(v.str().size() * 2));
      if (v.is_markup()) return Put("Markup(" + StringRepr(v.str()) + ")");
      return Put(StringRepr(v.str()));
    case Kind::kList:
      return WriteItems(v.as<SequenceObject>().items, "[", "]");
    case Kind::kTuple: {
      const Values& items = v.as<SequenceObject>().items;
      return WriteItems(items, "(", items.size() == 1 ? ",)" : ")");
    }
    case Kind::kDict:
      return WriteDict(v.as<DictObject>(), DictViewObject::Part::kItems, "{", "}");
    case Kind::kDictView: {
      const DictViewObject& view = v.as<DictViewObject>();
      const DictObject& dict = view.dict.as<DictObject>();
      if (view.part == DictViewObject::Part::kKeys) return WriteDict(dict, view.part, "dict_keys([", "])");
      if (view.part == DictViewObject::Part::kValues)
        return WriteDict(dict, view.part, "dict_values([", "])");
      QIAO_ASSIGN_OR_RETURN(Values items, Iterate(v, budget_));
      return WriteItems(items, "dict_items([", "])");
    }
    case Kind::kRange: {
      const RangeObject& r = v.as<RangeObject>();
      if (r.step == 1) return Put(absl::StrFormat("range(%d, %d)", r.start, r.stop));
      return Put(absl::StrFormat("range(%d, %d, %d)", r.start, r.stop, r.step));
    }
    case Kind::kNamespace: {
      if (++namespaces_ > kMaxNamespaceDepth) {
        return ResourceExhausted("a namespace that is printed holds namespaces more than %d deep",
                                 kMaxNamespaceDepth);
      }
      QIAO_RETURN_IF_ERROR(Put("<Namespace {"));
      bool first = true;
      for (const auto& [key, value] : v.as<NamespaceObject>().attributes) {
        QIAO_RETURN_IF_ERROR(Put((first ? "" : ", ") + StringRepr(key) + ": "));
        first = false;
        QIAO_RETURN_IF_ERROR(Write(value));
      }
      --namespaces_;
      return Put("}>");
    }
    // Python prints addresses for the rest; there are none here.
    case Kind::kFunction:
      return Put(absl::StrFormat("<function %s>", v.str()));
    case Kind::kMethod:
      return Put(absl::StrFormat("<built-in method %s of %s object>", v.as<MethodObject>().name,
                                 TypeName(v.as<MethodObject>().receiver)));
    default:
      return Put(absl::StrFormat("<%s object>", TypeName(v)));
  }
}

}  // namespace

std::string FloatRepr(double d) {
  if (std::isnan(d)) return "nan";
  if (std::isinf(d)) return d < 0 ? "-inf" : "inf";
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, d, std::chars_format::scientific).ptr;
  const std::string_view shortest(
      text, static_cast<size_t>(end - text));  // d.ddde+xx, the fewest digits that round-trip
  const size_t e = shortest.find('e');
  std::string digits;
  for (char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  int exponent = 0;
  const char* exponent_begin = shortest.data() + e + 1 + (shortest[e + 1] == '+' ? 1 : 0);
  std::from_chars(exponent_begin, shortest.data() + shortest.size(), exponent);
  std::string out = shortest[0] == '-' ? "-" : "";
  const int n = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (n > 1) absl::StrAppend(&out, ".", digits.substr(1));
    return out + absl::StrFormat("e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (exponent + 1 >= n) return out + digits + std::string(static_cast<size_t>(exponent + 1 - n), '0') + ".0";
  return out + digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

std::string StringRepr(std::string_view s) {
  const bool single = s.find('\'') == s.npos || s.find('"') != s.npos;
  const char quote = single ? '\'' : '"';
  std::string out(1, quote);
  for (size_t pos = 0; pos < s.size();) {
    const char32_t c = NextCodePoint(s, &pos);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out.push_back('\\');
      out.push_back(static_cast<char>(c));
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (IsPrintable(c)) {
      AppendCodePoint(c, &out);
    } else if (c < 0x100) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint32_t>(c));
    } else if (c < 0x10000) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(c));
    } else {
      absl::StrAppendFormat(&out, "\\U%08x", static_cast<uint32_t>(c));
    }
  }
  out.push_back(quote);
  return out;
}

StatusOr<std::string> Repr(const Value& v, Budget& budget) {
  ReprWriter writer(budget);
  QIAO_RETURN_IF_ERROR(writer.Write(v));
  return std::move(writer.out);
}

StatusOr<std::string> Str(const Value& v, Budget& budget) {
  if (v.is_string()) {
    QIAO_RETURN_IF_ERROR(budget.StringBytes(v.str().size()));
    return std::string(v.str());
  }
  if (v.is_undefined()) return std::string();
  return Repr(v, budget);
}

}  // namespace qiao::text::jinja
