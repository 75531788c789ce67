// Whether drafting pays: two tokens of a sequence in one step touch up to twice the experts of one, so that a
// step which verifies drafts takes longer, the more so the more sequences are in it. What it takes and what it
// brings is measured while serving; what is generated does not depend on it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace qiao::engine {

// Not thread-safe.
class DraftGain {
 public:
  // Whether the next step, which makes tokens for so many sequences, should have drafts. Both ways are tried a
  // few times first, and the one that loses again now and then.
  bool Try(int64_t sequences);
  // A step that made tokens for `sequences`, and read no prompt: how many tokens, and how long it took with the
  // drafts for the next one.
  void Record(int64_t sequences, bool drafted, int64_t tokens, double seconds);

  // Tokens a second with drafts over tokens a second without, at so many sequences; 0 until both are known.
  double Gain(int64_t sequences) const;

 private:
  struct Way {
    int64_t steps = 0;
    double tokens = 0, seconds = 0;  // of the last steps, the older the less
    double rate() const { return seconds > 0 ? tokens / seconds : 0; }
  };
  // By the binary order of the number of sequences.
  struct Class {
    Way with, without;
    int64_t since_try = 0;  // of the way that loses
    bool wins() const { return with.rate() >= without.rate(); }
  };
  static constexpr size_t kOrders = 16;
  static constexpr int64_t kTries = 8, kAgain = 256;
  static constexpr double kKeep = 0.9;  // of what was measured, from step to step
  static size_t Order(int64_t sequences);
  std::array<Class, kOrders> classes_ = {};
};

}  // namespace qiao::engine
