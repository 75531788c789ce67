// Random walks through masks: what they end in is valid, a token is accepted exactly if its bit is set, a
// walk never comes to a dead end, and copies are independent.
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <random>

#include "runtime/text/constraint.h"
#include "runtime/text/constraint_mask.h"
#include "runtime/text/utf8.h"
#include "tests/text/constraint_fixture.h"
#include "tests/text/schema_validator.h"

namespace qiao::text {
namespace {

std::vector<int32_t> Allowed(const ConstraintState& state, const TokenTrie& trie) {
  std::vector<int32_t> out;
  const std::vector<bool> mask = MaskOf(state, trie);
  for (size_t t = 0; t < mask.size(); ++t) {
    if (mask[t]) out.push_back(static_cast<int32_t>(t));
  }
  return out;
}

// Tokens that tend to lead to an end: those that close something or, by the toss of a coin, single bytes. A
// uniform choice among thousands of words would seldom come to it.
std::vector<int32_t> Closing(const std::vector<int32_t>& tokens, const TokenTrie& trie, bool bytes) {
  std::vector<int32_t> out;
  for (const int32_t t : tokens) {
    const std::string_view token = trie.token(t);
    if (bytes ? token.size() == 1 : token.find_first_not_of("\"]}") == token.npos) out.push_back(t);
  }
  return out;
}

// A walk of at most `most` tokens; false if it did not end. Uniform among what the mask allows, the end of
// the text included as often as a coin says; after `patience` tokens, mostly what closes.
bool Walk(const std::shared_ptr<const Constraint>& constraint, const std::shared_ptr<const TokenTrie>& trie,
          int patience, int most, std::mt19937& random, std::string* text) {
  ConstraintState state(constraint, trie);
  text->clear();
  for (int i = 0; i < most; ++i) {
    if (state.MustEnd() || (state.CanEnd() && random() % 2 == 0)) return true;
    std::vector<int32_t> tokens = Allowed(state, *trie);
    if (tokens.empty()) {
      EXPECT_TRUE(state.CanEnd()) << "a dead end after " << *text;
      return state.CanEnd();
    }
    if (i >= patience && random() % 8 != 0) {
      if (std::vector<int32_t> closing = Closing(tokens, *trie, random() % 2 == 0); !closing.empty())
        tokens = std::move(closing);
    }
    const int32_t token = tokens[random() % tokens.size()];
    EXPECT_TRUE(state.Accept(token)) << *text;
    text->append(trie->token(token));
  }
  return state.CanEnd();
}

TEST(ConstraintSample, FinishedTextsAreValid) {
  std::mt19937 random(20260705);
  const auto trie = DemoTrie();
  constexpr int kWalks = 12;
  for (const SchemaCase& c : SchemaCases()) {
    SCOPED_TRACE(c.name);
    const auto constraint = Compiled({Kind::kJsonSchema, c.schema.dump()});
    const Json schema = Json::parse(c.schema.dump());
    int finished = 0;
    std::string text;
    for (int i = 0; i < kWalks; ++i) {
      if (!Walk(constraint, trie, i * 2, 300, random, &text)) continue;
      ++finished;
      ASSERT_TRUE(IsValidUtf8(text)) << text;
      const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      ASSERT_FALSE(value.is_discarded()) << text;
      ASSERT_EQ(Invalidity(schema, value), "") << text;
    }
    EXPECT_GE(finished, 3) << "too few walks came to an end for this to say anything";
  }
}

TEST(ConstraintSample, ObjectsAreObjects) {
  std::mt19937 random(7);
  const auto constraint = Compiled({Kind::kJsonObject});
  std::string text;
  int finished = 0;
  for (int i = 0; i < 60; ++i) {
    if (!Walk(constraint, DemoTrie(), i, 400, random, &text)) continue;
    ++finished;
    const Json value = Json::parse(text, nullptr, false);
    EXPECT_TRUE(value.is_object()) << text;
  }
  EXPECT_GE(finished, 20);
}

// Bit by bit, for every fifth token in some states of some schemas; with a stack so small that its limit is
// met, too.
TEST(ConstraintSample, AcceptedExactlyIfTheBitIsSet) {
  std::mt19937 random(3);
  const auto trie = DemoTrie();
  size_t allowed = 0, refused = 0;
  for (const int max_stack : {64, 3}) {
    ConstraintLimits limits;
    limits.max_stack = max_stack;
    for (size_t i = 0; i < SchemaCases().size(); i += max_stack == 64 ? 3 : 2) {
      const SchemaCase& c = SchemaCases()[i];
      const auto compiled = CompileConstraint({Kind::kJsonSchema, c.schema.dump()}, limits);
      if (!compiled.ok()) continue;  // needs a higher stack
      ConstraintState state(*compiled, trie);
      for (int step = 0; step < 6; ++step) {
        const std::vector<bool> mask = MaskOf(state, *trie);
        for (int32_t t = step % 5; t < trie->vocab_size(); t += 5) {
          ConstraintState copy = state;
          const bool accepted = copy.Accept(t);
          ASSERT_EQ(accepted, mask[static_cast<size_t>(t)]) << c.name << ": \"" << trie->token(t) << "\"";
          ++(accepted ? allowed : refused);
        }
        const std::vector<int32_t> tokens = Allowed(state, *trie);
        if (tokens.empty()) break;
        state.Accept(tokens[random() % tokens.size()]);
      }
    }
  }
  EXPECT_GT(allowed, 1000u);
  EXPECT_GT(refused, 1000u);
}

// Masks put together from kept parts are those of a walk over the whole trie with the whole set.
TEST(ConstraintSample, KeptMasksAreThoseOfAPlainWalk) {
  std::mt19937 random(5);
  const auto trie = DemoTrie();
  for (const SchemaCase& c : SchemaCases()) {
    const auto constraint = Compiled({Kind::kJsonSchema, c.schema.dump()});
    const Automaton& automaton = constraint->automaton();
    for (int walk = 0; walk < 2; ++walk) {
      ConstraintState state(constraint, trie);
      Machine machine(automaton, constraint->limits().max_stack);
      ConfigurationSet set = machine.Begin(automaton.start(0));
      for (int step = 0; step < 12; ++step) {
        std::vector<bool> plain(static_cast<size_t>(trie->vocab_size()), false);
        TrieWalker walker(automaton, *trie, constraint->limits().max_stack, machine.arena());
        const uint32_t root = 0;
        walker.Walk(set, {&root, 1}, [&](uint32_t node, bool) {
          for (const int32_t t : trie->tokens(node)) plain[static_cast<size_t>(t)] = true;
        });
        ASSERT_EQ(MaskOf(state, *trie), plain) << c.name;
        const std::vector<int32_t> tokens = Allowed(state, *trie);
        if (tokens.empty()) break;
        const int32_t token = tokens[random() % tokens.size()];
        ASSERT_TRUE(state.Accept(token));
        for (const char byte : trie->token(token)) {
          Machine::Expansion expansion;
          ConfigurationSet next;
          machine.Expand(set, &expansion);
          machine.Follow(&expansion, static_cast<uint8_t>(byte), &next);
          set = next;
        }
      }
    }
  }
}

TEST(ConstraintSample, CopiesAreIndependent) {
  const auto constraint = Compiled({Kind::kJsonSchema, R"({"type":"array","items":{"type":"integer"}})"});
  ConstraintState first(constraint, ByteTrie());
  ASSERT_TRUE(first.AcceptBytes("[1"));
  ConstraintState second = first;
  ASSERT_TRUE(second.AcceptBytes("]"));
  EXPECT_TRUE(second.MustEnd());
  EXPECT_FALSE(first.CanEnd());
  EXPECT_TRUE(first.AcceptBytes(", 2]"));
  EXPECT_FALSE(second.AcceptBytes("]"));
}

TEST(ConstraintSample, ARefusedTokenChangesNothing) {
  const auto trie = DemoTrie();
  const auto constraint = Compiled({Kind::kJsonSchema, R"({"type":"array","items":{"enum":["abc","abd"]}})"});
  ConstraintState state(constraint, trie);
  ASSERT_TRUE(state.AcceptBytes("[\"ab"));
  const std::vector<bool> before = MaskOf(state, *trie);
  EXPECT_FALSE(state.AcceptBytes("c\"x"));
  EXPECT_FALSE(state.Accept(-1));
  EXPECT_FALSE(state.Accept(trie->vocab_size()));
  EXPECT_FALSE(state.Accept(0)) << "a special token";
  EXPECT_EQ(MaskOf(state, *trie), before);
  EXPECT_TRUE(state.AcceptBytes("d\"]"));
}

// Nesting stops at the stack's limit, and what is open can always be closed.
TEST(ConstraintSample, NestingStopsInTime) {
  for (const char* schema :
       {"{}", R"({"$defs":{"n":{"type":"object","properties":{"v":{"type":"array","minItems":1,
       "items":{"anyOf":[{"$ref":"#/$defs/n"},{"type":"array","items":{"type":"array","minItems":1}}]}}},
       "required":["v"]}},"$ref":"#/$defs/n"})"}) {
    ConstraintLimits limits;
    limits.max_stack = 9;
    const auto constraint = Compiled({Kind::kJsonSchema, schema}, limits);
    ASSERT_NE(constraint, nullptr);
    std::mt19937 random(11);
    for (int walk = 0; walk < 100; ++walk) {
      ConstraintState state(constraint, ByteTrie());
      std::string text;
      for (int i = 0; i < 400 && !state.MustEnd(); ++i) {
        std::vector<int32_t> tokens = Allowed(state, *ByteTrie());
        ASSERT_FALSE(tokens.empty()) << text;
        // Opens as long as it may, then closes as soon as it may.
        std::vector<int32_t> wanted;
        for (const int32_t t : tokens) {
          if (std::string_view(i < 60 ? "[{" : "]}").find(static_cast<char>(t)) != std::string_view::npos)
            wanted.push_back(t);
        }
        if (!wanted.empty()) tokens = wanted;
        const int32_t token = tokens[random() % tokens.size()];
        ASSERT_TRUE(state.Accept(token));
        text += static_cast<char>(token);
      }
    }
  }
}

}  // namespace
}  // namespace qiao::text
