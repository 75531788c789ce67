// A schema as it was sent: parsed, every schema in it that can be reached checked for keywords that are not
// understood, and its references. Used by constraint_schema*.cc only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/json.h"
#include "runtime/text/constraint_automaton.h"

namespace qiao::text {

enum class KeywordKind {
  kUnknown,
  kAnnotation,  // changes nothing, or is looked at only when a reference leads there
  kRefused,     // narrows what is valid, and is not supported
  kOnlyFalse,   // the same, unless it is false
  kSchema,
  kSchemaOrList,
  kSchemaMap,
  kSchemaList,
  kString,
  kStringList,
  kCount,  // a whole number, not negative
  kNumber,
  kBoolean,
  kType,
  kList,  // of any values, not empty
  kAny,
};
KeywordKind KindOf(std::string_view keyword);

class SchemaDocument {
 public:
  static absl::StatusOr<SchemaDocument> Parse(std::string_view text, const ConstraintLimits& limits,
                                              WorkBudget& budget);

  const OrderedJson& root() const { return *root_; }
  // What `$ref` of `schema` names. It has been checked that it is there.
  const OrderedJson* Resolve(const OrderedJson& ref) const;
  bool Has(const OrderedJson* schema) const { return places_.contains(schema); }
  // "schema at #/properties/a"; for schemas of this document.
  std::string PathOf(const OrderedJson* schema) const;

 private:
  struct Place {
    const OrderedJson* schema;
    uint32_t parent;
    std::string_view keyword;  // empty: the root, or what a $ref leads to, whose `key` is the pointer
    std::string_view key;      // below the keyword
    int64_t index;             // or this, where it is not negative
  };

  absl::Status Check(WorkBudget& budget);
  absl::Status CheckKeyword(uint32_t place, const std::string& keyword, const OrderedJson& value,
                            WorkBudget& budget);
  absl::Status Find(uint32_t place, const std::string& ref, WorkBudget& budget);
  void Add(const OrderedJson* schema, uint32_t parent, std::string_view keyword, std::string_view key,
           int64_t index);
  std::string PathOf(uint32_t place) const;

  std::unique_ptr<const OrderedJson> root_;  // in one place, since the rest points into it
  std::vector<Place> all_;
  absl::flat_hash_map<const OrderedJson*, uint32_t> places_;
  absl::flat_hash_map<std::string, const OrderedJson*> references_;
};

}  // namespace qiao::text
