// $ref, allOf, anyOf and oneOf taken apart: a schema as alternatives that have none of them. Used by
// constraint_schema.cc only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/text/constraint_automaton.h"
#include "runtime/text/constraint_schema_document.h"

namespace qiao::text {

// What a schema says under a keyword; null where it does not have it.
const OrderedJson* Find(const OrderedJson& schema, std::string_view keyword);
// A keyword's strings: one, as schemas write it, or a list, as merging leaves it.
std::vector<std::string> StringsOf(const OrderedJson& value);
// The types that a schema's "type" lists, or those that its keywords are about; empty: all.
std::vector<std::string> TypesOf(const OrderedJson& schema);

class SchemaMerger {
 public:
  // `where` begins messages.
  SchemaMerger(const SchemaDocument& document, const ConstraintLimits& limits, WorkBudget& budget,
               std::string where)
      : document_(document), limits_(limits), budget_(budget), where_(std::move(where)) {}

  // Schemas whose union `schema` is: objects without annotations, const (an enum of one), nullable, items as
  // a list; pattern and format are lists. Their subschemas may have anything.
  absl::StatusOr<std::vector<OrderedJson>> Expand(const OrderedJson& schema) { return Expand(schema, 0); }

 private:
  absl::StatusOr<std::vector<OrderedJson>> Expand(const OrderedJson& schema, int depth);
  absl::StatusOr<OrderedJson> Base(const OrderedJson& schema);
  absl::Status Cross(std::vector<OrderedJson>* all, const std::vector<OrderedJson>& others);
  // Both at once; false where nothing satisfies both.
  absl::StatusOr<bool> Merge(OrderedJson* a, const OrderedJson& b);
  absl::StatusOr<bool> MergeKeyword(OrderedJson* a, const std::string& keyword, const OrderedJson& b);
  absl::Status MergeProperties(OrderedJson* a, const OrderedJson& b);
  absl::Status SpendOn(const OrderedJson& copied);

  const SchemaDocument& document_;
  const ConstraintLimits& limits_;
  WorkBudget& budget_;
  const std::string where_;
};

}  // namespace qiao::text
