#include "tools/infer/bench_run.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/base/clock.h"
#include "runtime/base/split_mix.h"
#include "runtime/ops/catalogue.h"

namespace qiao::tools {
double CaseWork::RooflineSeconds(const Limits& limits) const {
  double seconds = 0;
  for (const Demand& demand : demands) seconds += tools::RooflineSeconds(limits, demand);
  return seconds;
}

double CaseWork::flops() const {
  double sum = 0;
  for (const Demand& demand : demands) {
    for (const double flops : demand.flops) sum += flops;
  }
  return sum;
}

double CaseWork::bytes() const {
  double sum = 0;
  for (const Demand& demand : demands) sum += demand.bytes;
  return sum;
}

// Adds launches up to demands.
class Workbench::Observer : public program::StepObserver {
 public:
  Observer(CaseWork& work, const std::optional<Limits>& limits) : work_(work), limits_(limits) {}

  absl::Status OnLaunch(const program::LaunchEvent& event) override {
    QIAO_ASSIGN_OR_RETURN(const program::LaunchCost cost, program::CostOf(event));
    demand_.flops[static_cast<size_t>(cost.arithmetic)] += cost.cost.flops;
    for (const program::LaunchCost::Weight& weight : cost.weights) {
      if (event.call->op == QIAO_OP_EMBEDDING) {  // other rows in each chunk of a prompt
        demand_.bytes += weight.bytes;
        continue;
      }
      Use& use = uses_[{event.node->name, weight.argument}];
      use.bytes = weight.expert_bytes > 0 ? weight.expert_bytes : weight.bytes;
      use.by_expert = weight.expert_bytes > 0;
      if (use.by_expert) use.experts.insert(cost.experts.begin(), cost.experts.end());
      if (use.by_expert) {
        experts_ += static_cast<double>(cost.experts.size());
        ++mixtures_;
      }
    }
    work_.profile.Add({.operation = ops::OpName(event.call->op),
                       .node = event.node->name,
                       .kernel = event.plan->kernel(),
                       .seconds = event.seconds,
                       .flops = cost.cost.flops,
                       .bytes = cost.cost.bytes,
                       .arithmetic = program::Name(cost.arithmetic)},
                      limits_);
    return absl::OkStatus();
  }

  // A step, or a whole prompt, is over; `cache_bytes` of cached tokens belong to it.
  void EndDemand(double cache_bytes) {
    for (const auto& [key, use] : uses_) {
      demand_.bytes += use.bytes * (use.by_expert ? static_cast<double>(use.experts.size()) : 1);
    }
    demand_.bytes += cache_bytes;
    work_.demands.push_back(demand_);
    demand_ = {};
    uses_.clear();
    work_.experts = mixtures_ > 0 ? experts_ / static_cast<double>(mixtures_) : 0;
  }

 private:
  struct Use {
    double bytes = 0;
    bool by_expert = false;
    std::set<int32_t> experts;
  };
  CaseWork& work_;
  const std::optional<Limits>& limits_;
  Demand demand_;
  std::map<std::pair<std::string, size_t>, Use> uses_;  // by node and argument
  double experts_ = 0;
  int64_t mixtures_ = 0;
};

int32_t Workbench::Id(int64_t sequence, int64_t position) const {
  const uint64_t bits = SplitMix64(SplitMix64(SplitMix64(seed_) ^ static_cast<uint64_t>(sequence)) ^
                                   static_cast<uint64_t>(position));
  return static_cast<int32_t>(bits % static_cast<uint64_t>(runner_.model().info().vocab));
}

std::vector<int32_t> Workbench::Prompt(int64_t tokens) const {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(Id(-1, i));
  return ids;
}

absl::StatusOr<double> Workbench::FirstPrompt() {
  const std::vector<int32_t> ids = Prompt(plan_.first_prompt);
  const Clock::time_point start = Clock::now();
  engine::Sequence sequence = runner_.NewSequence();
  QIAO_RETURN_IF_ERROR(runner_.Prefill(sequence, ids));
  (void)runner_.Argmax(0);
  return Since(start);
}

absl::Status Workbench::Fill(const std::function<bool()>& go_on) {
  const int64_t computed = RoundUp(kComputed, runner_.page_tokens());
  const auto count = static_cast<int64_t>(plan_.depth.size());
  for (int64_t s = 0; s < count; ++s) sequences_.push_back(runner_.NewSequence());
  // As many sequences in one step as it has rows for.
  const auto most = static_cast<int64_t>(runner_.programs().buckets().back().rows);
  for (int64_t s = 0; s < count;) {
    std::vector<std::vector<int32_t>> ids;
    std::vector<engine::Work> works;
    int64_t rows = 0;
    const int64_t first = s;
    for (; s < count; ++s) {
      const int64_t tokens = std::min(plan_.depth[static_cast<size_t>(s)], computed);
      if (rows > 0 && rows + tokens > most) break;
      rows += tokens;
      std::vector<int32_t>& own = ids.emplace_back();
      for (int64_t i = 0; i < tokens; ++i) own.push_back(Id(s, i));
    }
    if (ids.size() == 1 && rows > most) {  // chunks shorter than a page
      QIAO_RETURN_IF_ERROR(runner_.Prefill(sequences_[static_cast<size_t>(first)], ids[0]));
    } else {
      for (size_t i = 0; i < ids.size(); ++i) {
        if (!ids[i].empty()) works.push_back({&sequences_[static_cast<size_t>(first) + i], ids[i], false});
      }
      if (!works.empty()) QIAO_RETURN_IF_ERROR(runner_.Step(works));
    }
    for (int64_t i = first; i < s; ++i) {
      const int64_t depth = plan_.depth[static_cast<size_t>(i)];
      if (depth > computed) QIAO_RETURN_IF_ERROR(runner_.Repeat(sequences_[static_cast<size_t>(i)], depth));
      if (!go_on()) return absl::CancelledError();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Workbench::Run(const BenchCase& c, Observer* observer) {
  const auto cache = static_cast<double>(runner_.cache_bytes_per_token());
  if (c.prefill) {
    const std::vector<int32_t> ids = Prompt(c.tokens);
    engine::Sequence sequence = runner_.NewSequence();
    const Clock::time_point start = Clock::now();
    QIAO_RETURN_IF_ERROR(runner_.Prefill(sequence, ids, nullptr, observer));
    const double seconds = Since(start);
    if (observer != nullptr) observer->EndDemand(cache * static_cast<double>(c.tokens));
    return seconds;
  }

  // Branches of the filled sequences: what the run appends is dropped with them.
  const auto batch = static_cast<size_t>(c.batch);
  std::vector<engine::Sequence> branches;
  std::vector<std::vector<int32_t>> ids(batch);
  for (size_t b = 0; b < batch; ++b) {
    QIAO_ASSIGN_OR_RETURN(engine::Sequence branch, runner_.Fork(sequences_[b]));
    branch.Truncate(c.depth);
    branches.push_back(std::move(branch));
    for (int64_t i = 0; i < plan_.steps; ++i) ids[b].push_back(Id(static_cast<int64_t>(b), c.depth + i));
  }
  double seconds = 0;
  for (int64_t step = 0; step < plan_.steps; ++step) {
    std::vector<engine::Work> works;
    for (size_t b = 0; b < batch; ++b)
      works.push_back({&branches[b], {&ids[b][static_cast<size_t>(step)], 1}});
    const Clock::time_point start = Clock::now();
    QIAO_RETURN_IF_ERROR(runner_.Step(works, observer));
    seconds += Since(start);
    if (observer != nullptr) observer->EndDemand(cache * static_cast<double>(c.batch * (c.depth + step + 1)));
  }
  return seconds;
}

absl::StatusOr<CaseWork> Workbench::Observe(const BenchCase& c, const std::optional<Limits>& limits) {
  CaseWork work;
  Observer observer(work, limits);
  QIAO_RETURN_IF_ERROR(Run(c, &observer).status());
  return work;
}

absl::StatusOr<double> Workbench::Time(const BenchCase& c) { return Run(c, nullptr); }

}  // namespace qiao::tools
