// What the tests of constraints share: compiling, tries and the schemas of data/constraint_schemas.jsonl.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/text/constraint.h"

namespace qiao::text {

using Kind = ConstraintSpec::Kind;

// Fails the test and returns null if it does not compile.
std::shared_ptr<const Constraint> Compiled(const ConstraintSpec& spec, const ConstraintLimits& limits = {});

// One token a byte.
std::shared_ptr<const TokenTrie> ByteTrie();
// The shipped model's vocabulary.
std::shared_ptr<const TokenTrie> DemoTrie();

// Whether `text` is a whole text of the constraint, byte by byte.
bool Matches(const std::shared_ptr<const Constraint>& constraint, std::string_view text);

// A schema with values that it must allow, values that it must refuse, valid values that constraints refuse
// all the same (constraint.h says why), and texts that are no values of it.
struct SchemaCase {
  std::string name;
  OrderedJson schema;
  std::vector<OrderedJson> valid, invalid, stricter;
  std::vector<std::string> texts;
};
const std::vector<SchemaCase>& SchemaCases();

// On one line, with `space` after ',' and ':'.
std::string Render(const OrderedJson& value, std::string_view space);

std::vector<bool> MaskOf(const ConstraintState& state, const TokenTrie& trie);

}  // namespace qiao::text
