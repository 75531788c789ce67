#include "tests/text/schema_validator.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <regex>
#include <set>

namespace qiao::text {
namespace {

bool IsDate(const std::string& s) {
  int y, m, d, end = 0;
  if (std::sscanf(s.c_str(), "%4d-%2d-%2d%n", &y, &m, &d, &end) != 3 || s.size() != 10 || end != 10)
    return false;
  const bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
  const int days[] = {31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1];
}

bool IsTime(const std::string& s) {
  static const std::regex form("(\\d\\d):(\\d\\d):(\\d\\d)(\\.\\d+)?(Z|[+-](\\d\\d):(\\d\\d))");
  std::smatch m;
  if (!std::regex_match(s, m, form)) return false;
  const auto below = [&](size_t i, int limit) { return !m[i].matched || std::stoi(m[i]) < limit; };
  return below(1, 24) && below(2, 60) && below(3, 60) && below(6, 24) && below(7, 60);
}

bool IsIpv6(const std::string& s) {
  // At most one "::", groups of one to four digits elsewhere.
  const size_t gap = s.find("::");
  if (gap != s.npos && s.find("::", gap + 1) != s.npos) return false;
  const auto groups = [](const std::string& part) {
    if (part.empty()) return 0;
    if (!std::regex_match(part, std::regex("[0-9a-fA-F]{1,4}(:[0-9a-fA-F]{1,4})*"))) return 100;
    return 1 + static_cast<int>(std::count(part.begin(), part.end(), ':'));
  };
  if (gap == s.npos) return groups(s) == 8;
  return groups(s.substr(0, gap)) + groups(s.substr(gap + 2)) <= 7;
}

bool HasFormat(const std::string& s, const std::string& format) {
  if (format == "date") return IsDate(s);
  if (format == "time") return IsTime(s);
  if (format == "date-time")
    return s.size() > 11 && s[10] == 'T' && IsDate(s.substr(0, 10)) && IsTime(s.substr(11));
  if (format == "ipv6") return IsIpv6(s);
  if (format == "ipv4") {
    int part[4], end = 0;
    if (std::sscanf(s.c_str(), "%d.%d.%d.%d%n", &part[0], &part[1], &part[2], &part[3], &end) != 4)
      return false;
    std::string again;
    for (int i = 0; i < 4; ++i) {
      if (part[i] < 0 || part[i] > 255) return false;
      if (i > 0) again += '.';
      again += std::to_string(part[i]);
    }
    return again == s;
  }
  if (format == "uuid") {
    if (s.size() != 36) return false;
    for (size_t i = 0; i < 36; ++i) {
      const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
      if (dash ? s[i] != '-' : !std::isxdigit(static_cast<unsigned char>(s[i]))) return false;
    }
    return true;
  }
  if (format == "email") {
    const size_t at = s.find('@');
    return at != s.npos && at > 0 && at < s.size() - 1 && s.find('@', at + 1) == s.npos &&
           s.find(' ') == s.npos && s.find("..") == s.npos;
  }
  return false;
}

bool IsType(const Json& v, const std::string& type) {
  if (type == "object") return v.is_object();
  if (type == "array") return v.is_array();
  if (type == "string") return v.is_string();
  if (type == "boolean") return v.is_boolean();
  if (type == "null") return v.is_null();
  if (type == "number") return v.is_number();
  return type == "integer" && v.is_number() && std::floor(v.get<double>()) == v.get<double>();
}

int64_t Length(const std::string& s) {
  return std::count_if(s.begin(), s.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  std::string Check(const Json& schema, const Json& v, const std::string& at) {
    if (schema.is_boolean()) return schema.get<bool>() ? "" : at + ": false";
    for (const auto& [keyword, k] : schema.items()) {
      const std::string why = CheckKeyword(schema, keyword, k, v, at);
      if (!why.empty()) return why;
    }
    return "";
  }

 private:
  std::string CheckKeyword(const Json& schema, const std::string& keyword, const Json& k, const Json& v,
                           const std::string& at) {
    static const std::set<std::string> nothing = {"$schema",     "$id",      "title",   "description",
                                                  "default",     "examples", "$defs",   "deprecated",
                                                  "definitions", "x-any",    "nullable"};
    const std::string bad = at + ": " + keyword;
    const auto check = [&](bool fine) { return fine ? "" : bad; };
    if (nothing.contains(keyword)) return "";
    if (keyword == "type") {
      if (v.is_null() && schema.value("nullable", false)) return "";
      bool any = k.is_string() && IsType(v, k);
      for (const Json& t : k) any = any || IsType(v, t);
      return check(any);
    }
    if (keyword == "enum") return check(std::find(k.begin(), k.end(), v) != k.end());
    if (keyword == "const") return check(k == v);
    if (keyword == "$ref")
      return Check(root_.at(Json::json_pointer(k.get<std::string>().substr(1))), v, at + "/$ref");
    if (keyword == "anyOf" || keyword == "oneOf") {
      int valid = 0;
      for (const Json& part : k) valid += Check(part, v, at).empty();
      return check(keyword == "oneOf" ? valid == 1 : valid > 0);
    }
    if (keyword == "allOf") {
      for (const Json& part : k) {
        if (std::string why = Check(part, v, at); !why.empty()) return why;
      }
      return "";
    }
    if (v.is_object()) return CheckObject(schema, keyword, k, v, at);
    if (v.is_array()) return CheckArray(schema, keyword, k, v, at);
    if (v.is_string()) {
      const auto& s = v.get_ref<const std::string&>();
      if (keyword == "minLength") return check(Length(s) >= k.get<int64_t>());
      if (keyword == "maxLength") return check(Length(s) <= k.get<int64_t>());
      if (keyword == "pattern") return check(std::regex_search(s, std::regex(k.get<std::string>())));
      if (keyword == "format") return check(HasFormat(s, k));
    }
    if (v.is_number()) {
      const double x = v.get<double>();
      if (keyword == "minimum") return check(x >= k.get<double>());
      if (keyword == "maximum") return check(x <= k.get<double>());
      if (keyword == "exclusiveMinimum") return check(x > k.get<double>());
      if (keyword == "exclusiveMaximum") return check(x < k.get<double>());
    }
    return CheckKnown(keyword, bad);
  }

  // A keyword about another type than the value's says nothing.
  static std::string CheckKnown(const std::string& keyword, const std::string& bad) {
    static const std::set<std::string> known = {"properties", "required",         "additionalProperties",
                                                "items",      "prefixItems",      "minItems",
                                                "maxItems",   "minLength",        "maxLength",
                                                "pattern",    "format",           "minimum",
                                                "maximum",    "exclusiveMinimum", "exclusiveMaximum"};
    return known.contains(keyword) ? "" : bad + " is not known";
  }

  std::string CheckObject(const Json& schema, const std::string& keyword, const Json& k, const Json& v,
                          const std::string& at) {
    if (keyword == "required") {
      for (const Json& name : k) {
        if (!v.contains(name.get<std::string>())) return at + ": required " + name.dump();
      }
      return "";
    }
    for (const auto& [name, value] : v.items()) {
      const bool described = schema.contains("properties") && schema["properties"].contains(name);
      std::string why;
      if (keyword == "properties" && described) why = Check(k[name], value, at + "/" + name);
      if (keyword == "additionalProperties" && !described) why = Check(k, value, at + "/" + name);
      if (!why.empty()) return why;
    }
    return CheckKnown(keyword, at + ": " + keyword);
  }

  std::string CheckArray(const Json& schema, const std::string& keyword, const Json& k, const Json& v,
                         const std::string& at) {
    if (keyword == "minItems") return v.size() >= k.get<size_t>() ? "" : at + ": minItems";
    if (keyword == "maxItems") return v.size() <= k.get<size_t>() ? "" : at + ": maxItems";
    const size_t prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
    for (size_t i = 0; i < v.size(); ++i) {
      std::string why;
      if (keyword == "prefixItems" && i < prefix) why = Check(k[i], v[i], at + "/" + std::to_string(i));
      if (keyword == "items" && i >= prefix) why = Check(k, v[i], at + "/" + std::to_string(i));
      if (!why.empty()) return why;
    }
    return CheckKnown(keyword, at + ": " + keyword);
  }

  const Json& root_;
};

}  // namespace

std::string Invalidity(const Json& schema, const Json& value) {
  return Validator(schema).Check(schema, value, "#");
}

}  // namespace qiao::text
