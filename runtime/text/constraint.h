// Structured output: a constraint on the text of a sequence, as masks over the model's tokens.
//
//   QIAO_ASSIGN_OR_RETURN(auto constraint, CompileConstraint({ConstraintSpec::Kind::kJsonSchema, schema}));
//   ConstraintState state(constraint, trie);            // trie: TokenTrie::FromTokenizer, once a model
//   state.FillMask(absl::MakeSpan(bits));               // before sampling; end-of-text if state.CanEnd()
//   state.Accept(token);                                // after it
//
// The text is matched from its first byte to its last; tokens may end inside a character. What is allowed at
// every step can be finished: a state never runs into a dead end, provided that every byte that the
// constraint uses is a token of its own, as in byte-level vocabularies. (With another vocabulary a mask can
// come out empty while CanEnd() is false; the engine must then end the sequence with an error.)
//
// JSON. Objects and arrays are written on one line: at most one space after ',' and ':' and none elsewhere,
// so that a model cannot write white space for ever. Strings are UTF-8 with JSON's escapes, surrogates only
// in pairs. Integers have at most 18 digits; other numbers at most 15 digits before the point, 17 after it
// and two in the exponent.
//
// JSON schema (draft 2020-12 and the older spellings `definitions`, items as a list, additionalItems;
// OpenAPI's nullable), for writing and not for checking, so a constraint may allow less than the schema:
// - type (a name or a list), enum, const, properties, required, additionalProperties, items, prefixItems,
//   minItems, maxItems, minLength, maxLength, pattern, format, minimum, maximum, exclusiveMinimum,
//   exclusiveMaximum, anyOf, oneOf, allOf, $ref within the document (recursion too), $defs, true, false, {}.
// - Properties come in the order of the schema, then required names that it does not describe, then
//   additional ones. Where `properties` is given and additionalProperties is not, there are no additional
//   ones; nor are there elements beyond prefixItems without `items`. Additional names are written without
//   escapes, never equal one of `properties`, and may come twice.
// - Without `type`, it is inferred from the keywords (properties: an object, and so on); without any, every
//   JSON value is allowed.
// - oneOf is taken as anyOf. allOf, and keywords beside $ref, anyOf and oneOf, are merged.
// - enum and const allow their values as the schema writes them, and stand beside type only.
// - A number with a bound has no exponent. format: date, time, date-time, uuid, email, ipv4, ipv6, hostname,
//   uri (an ASCII subset).
// - Patterns: constraint_regex.h. What `pattern` and `format` match is written with the shortest escapes.
// - A keyword that narrows what is valid and is not among these is INVALID_ARGUMENT with its JSON pointer, as
//   is one that is not known (names beginning with "x-" are ignored); annotations are ignored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/text/constraint_limits.h"
#include "runtime/text/constraint_machine.h"
#include "runtime/text/token_trie.h"

namespace qiao::text {

class MaskCache;

struct ConstraintSpec {
  enum class Kind { kJsonObject, kJsonSchema, kRegex, kChoice };
  Kind kind = Kind::kJsonObject;
  std::string text = {};                  // the schema or regex
  std::vector<std::string> choices = {};  // of kChoice: the text is one of them
  friend bool operator==(const ConstraintSpec&, const ConstraintSpec&) = default;
};

// Compiled. Immutable and thread-safe (a bounded cache of masks inside is locked).
class Constraint {
 public:
  Constraint(Automaton automaton, const ConstraintLimits& limits);
  ~Constraint();
  Constraint(const Constraint&) = delete;
  Constraint& operator=(const Constraint&) = delete;

  const Automaton& automaton() const { return automaton_; }
  const ConstraintLimits& limits() const { return limits_; }
  MaskCache& masks() const { return *masks_; }
  // With the masks that it keeps at the moment.
  size_t size_in_bytes() const;

 private:
  const Automaton automaton_;
  const ConstraintLimits limits_;
  const std::unique_ptr<MaskCache> masks_;
};

// Errors: INVALID_ARGUMENT for what is wrong, not supported or cannot be satisfied; RESOURCE_EXHAUSTED beyond
// the limits. The same on every machine and at every load.
absl::StatusOr<std::shared_ptr<const Constraint>> CompileConstraint(const ConstraintSpec& spec,
                                                                    const ConstraintLimits& limits = {});

// One sequence's place. Copyable; a copy costs a few allocations, and its size is bounded by the limits. One
// thread at a time; copies are independent.
class ConstraintState {
 public:
  ConstraintState(std::shared_ptr<const Constraint> constraint, std::shared_ptr<const TokenTrie> trie);

  // Bit t % 32 of word t / 32: token t may come next; special tokens, end-of-text among them, never. `bits`
  // has TokenTrie::mask_words() words or more; those beyond are cleared. What it costs: constraint_mask.h.
  void FillMask(absl::Span<uint32_t> bits) const;
  // Moves on by a token. False: it is not allowed here (its bit is not set), and the state is unchanged.
  bool Accept(int32_t token);
  // The same for bytes that need not be a token.
  bool AcceptBytes(std::string_view bytes);
  bool CanEnd() const { return set_.ended; }  // the text may end here
  bool MustEnd() const;                       // nothing may follow

 private:
  std::shared_ptr<const Constraint> constraint_;
  std::shared_ptr<const TokenTrie> trie_;
  StackArena arena_;
  ConfigurationSet set_;
};

}  // namespace qiao::text
