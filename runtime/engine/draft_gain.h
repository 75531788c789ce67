// How many tokens to guess for each sequence. A step that checks k guesses and makes k new ones yields
// 1 + q1 + q1 q2 + ... + q1..qk tokens of a sequence on average, q_m the share of m-th guesses that are right where
// those before were ("Fast Inference from Transformers via Speculative Decoding", Leviathan et al. 2023, section
// 3.3, with shares that depend on the place), and takes longer: two tokens of a sequence touch up to twice the
// experts of one. The number with the most tokens a second is the best. Shares and times are measured while
// serving; what is generated does not depend on it.
//
// Shares are one estimate for all steps. Times are kept for each binary order of the number of sequences: how long
// steps take with the best number so far, and what another took relative to it when it was last tried. A try takes
// turns, kBlock steps with the one and kBlock with the other, so that what else the machine does meets both, and
// lasts until the difference is well above its standard error, or for kMostBlocks blocks. Middle halves of samples
// are used, because single steps may take many times as long. After a try that lost, twice as many steps pass until
// the next one of the same number, kFirstWait to kMostWait, and an eighth of that where the shares since then
// promise that it would win.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace qiao::engine {

// Not thread-safe. Allocates in the constructor only.
class DraftGain {
 public:
  static constexpr int64_t kBlock = 4, kMostBlocks = 12, kFirstWait = 256, kMostWait = 4096;

  // At most `most` guesses (1 at least). Of many, the numbers between are left out: 1, 2, 3, 4, 6, 8, 12, ...
  explicit DraftGain(int32_t most = 1);

  // How many guesses the next step, which makes tokens for so many sequences (1 at least), should make for each.
  int32_t Guesses(int64_t sequences);

  // A step that read no prompt, and made as many guesses for each sequence as the one before, which it checked.
  struct Step {
    int64_t sequences = 0;
    int32_t guesses = 0;
    // Of how many sequences exactly the first m guesses were right, by m = 0 .. guesses.
    absl::Span<const int64_t> right;
    double seconds = 0;  // with the making of the guesses
  };
  void Record(const Step& step);

  // Tokens a second with guesses over tokens a second without, at so many sequences, with the best number above
  // 0; 0 until both are known.
  double Gain(int64_t sequences) const;

 private:
  // The last logarithms of times.
  template <size_t kSize>
  struct Samples {
    std::array<float, kSize> values = {};
    size_t count = 0;
    void Add(double value) { values[count++ % kSize] = static_cast<float>(value); }
    size_t size() const { return count < kSize ? count : kSize; }
  };
  struct Middle {
    double mean = 0, deviation = 0;
  };
  static Middle MiddleHalf(absl::Span<const float> values);
  template <size_t kSize>
  static Middle Of(const Samples<kSize>& samples) {
    return MiddleHalf(absl::MakeConstSpan(samples.values).first(samples.size()));
  }

  // One number of guesses, among sequences of one order.
  struct Arm {
    // Where `known`: the logarithm of a step's time over one with the best number, and its standard error squared.
    double cost = 0, variance = 0;
    bool known = false;
    int64_t tried = 0, wait = kFirstWait;  // when, in recorded steps of the class, and how long until again
  };
  static constexpr size_t kTimes = 32;
  static constexpr size_t kParts = 8;  // an order of sizes, in eighths: times of equals are compared
  static constexpr size_t kNone = ~size_t{0};
  struct Class {
    std::vector<Arm> arms;
    size_t best = 0, trial = kNone;
    bool begun = false;
    int64_t steps = 0;  // recorded outside of trials
    std::array<Samples<kTimes>, kParts> times = {};
    // Of the trial.
    bool turn = false;              // of the number that is tried; else the best's
    int64_t asked = 0;              // steps
    Samples<kBlock> block;          // of this turn: times over those of the same part
    std::optional<double> before;   // of the best's last turn
    double tried = 0;               // of the turn after it
    Samples<kMostBlocks> relative;  // of each turn of the one over the best's before and behind it
  };
  struct Share {
    double right = 0, of = 0;
    double value() const { return (right + 0.5) / (of + 1); }
    void LookBack(double most) {
      if (of > most) right *= most / of;
      if (of > most) of = most;
    }
  };

  static size_t Order(int64_t sequences);
  static size_t Part(int64_t sequences);
  void Begin(size_t order);
  void BeginTrial(Class& c);
  void Learn(const Step& step);
  double Tokens(size_t arm) const;
  double Variance(size_t a, size_t b) const;
  double Lead(const Class& c, size_t arm, double cost) const;
  size_t Due(const Class& c) const;
  void EndTurn(Class& c, double deviation);
  void Judge(Class& c, double deviation);
  void Switch(Class& c, size_t arm);

  static constexpr size_t kOrders = 16;
  std::vector<int32_t> guesses_;  // by arm
  std::vector<Share> shares_;     // by place
  std::array<Class, kOrders> classes_;
};

}  // namespace qiao::engine
