// What a constraint may cost. Each limit is counted, not timed, so that the same constraint is refused or
// accepted on every machine. The defaults refuse within about 100 ms of one core.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qiao::text {

struct ConstraintLimits {
  // Of what the client sends. Beyond them: RESOURCE_EXHAUSTED.
  size_t max_schema_bytes = size_t{256} << 10;
  int max_schema_depth = 48;  // nesting of the schema as JSON
  size_t max_regex_bytes = size_t{8} << 10;
  size_t max_choices = 10'000;
  size_t max_choice_bytes = size_t{256} << 10;  // all choices together

  // Of compiling.
  int64_t max_repeat = 1'000;         // a count in a regex
  int64_t max_count = 100'000;        // minLength, maxLength, minItems, maxItems
  int max_group_depth = 64;           // nesting of groups in a regex
  uint32_t max_positions = 20'000;    // characters of one regex once its counts are written out
  uint32_t max_regex_states = 5'000;  // of one regex, as a deterministic automaton
  uint32_t max_alternatives = 256;    // of one schema, once allOf, anyOf and $ref are merged
  int max_merge_depth = 64;           // $ref in allOf in anyOf in $ref ...
  uint32_t max_rules = 20'000;
  uint32_t max_states = 250'000;
  uint32_t max_edges = 1'000'000;
  int64_t max_steps = 2'000'000;

  // Of a sequence. The text cannot nest deeper than the stack: opening one more level is then not allowed.
  int max_stack = 64;
  // Ways to read the text so far that are kept between two tokens. Where there are more (a union of very many
  // alike alternatives), the later alternatives are dropped: the text stays valid.
  uint32_t max_configurations = 512;
  // Of the masks kept with a constraint, least recently used first out.
  size_t max_mask_bytes = size_t{8} << 20;
};

}  // namespace qiao::text
