// The rules of JSON that do not depend on a schema. What they write: constraint.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

// Makes each rule once. Like the builder, it goes on with rule 0 once a limit is passed.
class JsonRules {
 public:
  explicit JsonRules(AutomatonBuilder& builder) : builder_(builder) {}

  uint32_t Value();   // any value
  uint32_t Object();  // any object
  uint32_t Array();   // any array
  uint32_t String();  // any string
  uint32_t Number();
  uint32_t Integer();
  uint32_t Boolean();
  uint32_t Null();

  // Strings of min to max code points; max < 0: any number.
  uint32_t CountedString(int64_t min, int64_t max);
  // Strings without escapes that are none of `names`, for names of properties beside those.
  uint32_t OtherName(const std::vector<std::string>& names);

  struct Property {
    std::string name;
    uint32_t rule;
    bool required;
  };
  // `additional`: the rule of the values of other properties, or kNone.
  uint32_t ObjectOf(const std::vector<Property>& properties, uint32_t additional);
  // The first elements by `prefix`, the others by `rest`, or none where that is kNone; max < 0: any number.
  uint32_t ArrayOf(const std::vector<uint32_t>& prefix, uint32_t rest, int64_t min, int64_t max);

  static constexpr uint32_t kNone = UINT32_MAX;

 private:
  void AddEscape(uint32_t from, uint32_t to);
  void AddMultibyte(uint32_t from, uint32_t to);
  void AddCharacter(uint32_t from, uint32_t to);
  uint32_t AddSpace(uint32_t from);
  uint32_t WideCharacter();
  uint32_t Word(std::string_view word);

  AutomatonBuilder& builder_;
  uint32_t value_ = kNone, object_ = kNone, array_ = kNone, string_ = kNone, number_ = kNone,
           integer_ = kNone, boolean_ = kNone, null_ = kNone, wide_ = kNone;
};

// A string as JSON, with quotes and the shortest escapes. It must be UTF-8.
std::string QuoteJson(std::string_view text);

}  // namespace qiao::text
