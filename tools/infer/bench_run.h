// Running the cases of a benchmark: once watched, for what they have to do, and any number of times against
// the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "runtime/engine/runner.h"
#include "tools/infer/bench_cases.h"
#include "tools/infer/limits.h"
#include "tools/infer/profile.h"

namespace qiao::tools {

// What one run of a case has to do at least: a demand for each of its steps, or one for a whole prompt
// however it is cut. Counted are: every weight that is used once (of experts those that were chosen, of the
// embedding the rows), the cached tokens of its sequences once, and all arithmetic.
struct CaseWork {
  std::vector<Demand> demands;
  double experts = 0;  // distinct ones that a mixture used in a step, on average; 0 where there are none
  Profile profile;

  double RooflineSeconds(const Limits& limits) const;
  double flops() const;
  double bytes() const;
};

class Workbench {
 public:
  // The runner is loaded, made for the plan, and outlives this.
  Workbench(engine::Runner& runner, const BenchPlan& plan, uint64_t seed)
      : runner_(runner), plan_(plan), seed_(seed) {}

  // Seconds from a prompt of plan.first_prompt tokens to the first token.
  absl::StatusOr<double> FirstPrompt();

  // Gives each sequence its depth. Its first page or pages are computed (kComputed tokens), from ids of its
  // own; the rest are copies of them: attention reads as many different bytes as if all had been computed.
  static constexpr int64_t kComputed = 64;
  absl::Status Fill(const std::function<bool()>& go_on);

  absl::StatusOr<CaseWork> Observe(const BenchCase& c, const std::optional<Limits>& limits);
  // Seconds of one run. Every run of a case, the watched one too, has the same tokens.
  absl::StatusOr<double> Time(const BenchCase& c);

 private:
  class Observer;
  absl::StatusOr<double> Run(const BenchCase& c, Observer* observer);
  // Token `position` of sequence `sequence`; of prompts, sequence -1.
  int32_t Id(int64_t sequence, int64_t position) const;
  std::vector<int32_t> Prompt(int64_t tokens) const;

  engine::Runner& runner_;
  const BenchPlan& plan_;
  uint64_t seed_;
  std::vector<engine::Sequence> sequences_;
};

}  // namespace qiao::tools
