// infer bench: how fast a model runs, beside what the machine could do.
#include <algorithm>

#include "runtime/base/clock.h"
#include "tools/infer/args.h"
#include "tools/infer/bench_report.h"
#include "tools/infer/exit.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/machine.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

// Caches may take this share of what the weights leave.
constexpr double kCacheShare = 0.7;
constexpr int64_t kMostTokens = int64_t{1} << 24, kMostBatch = 4096;

absl::StatusOr<BenchLists> ReadLists(const BenchArgs& args) {
  BenchLists lists;
  lists.steps = args.steps;
  QIAO_ASSIGN_OR_RETURN(lists.prefill, ParseList("--prefill", args.prefill, 1, kMostTokens));
  QIAO_ASSIGN_OR_RETURN(lists.depth, ParseList("--depth", args.depth, 0, kMostTokens));
  QIAO_ASSIGN_OR_RETURN(lists.batch, ParseList("--batch", args.batch, 1, kMostBatch));
  if (lists.prefill.empty() && (lists.depth.empty() || lists.batch.empty())) {
    return UsageError("there is nothing to measure: --prefill is none, and --depth or --batch too");
  }
  return lists;
}

BenchRoom RoomOf(const BenchArgs& args, const engine::ModelFolder& folder) {
  BenchRoom room;
  room.context = args.device.context > 0 ? args.device.context : folder.model->info().context;
  room.page_tokens = std::max(room.page_tokens, args.device.page_tokens);
  const program::Numerics numerics = ToRunnerOptions(args.device).numerics;
  room.cache_bytes_per_token =
      program::BytesPerToken(folder.model->Cache(numerics.cache, /*drafting=*/false));
  uint64_t left = args.device.memory_budget;
  if (left == 0) {
    const MachineFacts machine = SurveyMachine();
    const uint64_t free =
        machine.memory_limit > 0 ? std::min(machine.memory_limit, machine.available) : machine.available;
    left = free - std::min(free, folder.checkpoint->data_bytes());
  }
  room.cache_bytes = static_cast<uint64_t>(kCacheShare * static_cast<double>(left));
  return room;
}

// All cases once watched, then all of them in turn against the clock, `repeat` times.
absl::StatusOr<std::vector<BenchResult>> RunCases(Workbench& bench, const BenchPlan& plan, int64_t repeat,
                                                  const std::optional<Limits>& limits) {
  ProgressBar bar(ProgressBar::kCount);
  const uint64_t total = plan.depth.size() + plan.cases.size() * static_cast<uint64_t>(repeat + 1);
  uint64_t done = 0;
  const auto go_on = [&] { return bar.Update("measuring", done++, total); };
  QIAO_RETURN_IF_ERROR(bench.Fill(go_on));
  std::vector<BenchResult> results;
  for (const BenchCase& c : plan.cases) {
    if (!go_on()) return absl::CancelledError();
    QIAO_ASSIGN_OR_RETURN(CaseWork work, bench.Observe(c, limits));
    results.push_back({c, std::move(work), {}});
  }
  for (int64_t round = 0; round < repeat; ++round) {
    for (BenchResult& result : results) {
      if (!go_on()) return absl::CancelledError();
      QIAO_ASSIGN_OR_RETURN(const double seconds, bench.Time(result.what));
      result.seconds.push_back(seconds);
    }
  }
  return results;
}

}  // namespace

absl::Status Bench(const BenchArgs& args) {
  CatchInterrupts();
  if (!args.load.url.empty()) return BenchUrl(args);
  if (args.load.requests > 0) return BenchLoad(args);
  QIAO_ASSIGN_OR_RETURN(const BenchLists lists, ReadLists(args));
  // Whether the cases fit is only known when the model's files are open, after the limits are measured.
  QIAO_RETURN_IF_ERROR(CheckModel(args.model, args.device).status());
  BenchReport report;
  QIAO_ASSIGN_OR_RETURN(report.limits, MeasureLimits(args.device, args.stream_bytes));
  if (Interrupted()) return absl::CancelledError();
  report.memory_peak_is_models = ResetPeakMemory();

  BenchPlan plan;
  const auto adjust = [&](const engine::ModelFolder& folder, engine::RunnerOptions& options) -> absl::Status {
    if (plan.cases.empty()) plan = PlanBench(lists, RoomOf(args, folder));
    if (plan.cases.empty()) {
      return UsageError(absl::StrFormat("nothing that was asked for fits: %s: %s",
                                        NameOf(plan.skipped.front().what), plan.skipped.front().why));
    }
    options.context = plan.context;
    options.cache_tokens = plan.cache_tokens;
    options.sequences = static_cast<int32_t>(plan.sequences);
    options.chunk = std::max(options.chunk, options.sequences);
    return absl::OkStatus();
  };
  // What the faster order is compared with, in the same process but one model after the other.
  std::vector<BenchResult> row_order;
  if (args.device.fast_math_order) {
    DeviceArgs device = args.device;
    device.fast_math_order = false;
    QIAO_ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel(args.model, device, /*text=*/false, adjust));
    Workbench bench(*loaded.runner, plan, args.seed);
    QIAO_ASSIGN_OR_RETURN(row_order, RunCases(bench, plan, args.repeat, report.limits));
  }
  const Clock::time_point start = Clock::now();
  QIAO_ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel(args.model, args.device, /*text=*/false, adjust));
  report.load_seconds = Since(start);
  engine::Runner& runner = *loaded.runner;
  {
    Workbench bench(runner, plan, args.seed);
    QIAO_ASSIGN_OR_RETURN(report.first_prompt_seconds, bench.FirstPrompt());
    QIAO_ASSIGN_OR_RETURN(report.results, RunCases(bench, plan, args.repeat, report.limits));
  }
  for (size_t i = 0; i < row_order.size(); ++i)
    report.results[i].row_order_seconds = std::move(row_order[i].seconds);
  report.memory = ReadMemoryUse();
  // Again at the end: whoever else used the machine at the start may be gone.
  if (report.limits) {
    QIAO_ASSIGN_OR_RETURN(const auto again, MeasureLimits(args.device, args.stream_bytes));
    if (again) TakeBetter(*report.limits, *again);
  }

  const models::ModelInfo& info = runner.model().info();
  const hal::Device& device = runner.device();
  report.facts = RunFactsOf(args.model, args.device);
  report.facts.family = info.family;
  report.facts.weight_format = info.weight_format;
  report.facts.device = device.properties().name;
  report.facts.row_invariant = runner.programs().row_invariant();
  report.kv_dtype = Name(ToRunnerOptions(args.device).numerics.cache);
  report.threads = device.properties().threads;
  report.seed = args.seed;
  report.steps = plan.steps;
  report.repeat = args.repeat;
  report.first_prompt = plan.first_prompt;
  report.mapped_weights = runner.programs().memory().mapped_weights;
  report.stored_weights = runner.programs().memory().stored_weights;
  report.cache_bytes_per_token = runner.cache_bytes_per_token();
  report.skipped = plan.skipped;
  if (args.json) {
    PrintJson(ToJson(report, args.profile));
  } else {
    Print(report, args.profile);
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
