// infer bench --requests: how a model serves many requests that come at random.
#include "tools/infer/bench_load.h"

#include <algorithm>

#include "tools/infer/args.h"
#include "tools/infer/bench_cases.h"
#include "tools/infer/exit.h"
#include "tools/infer/generate.h"
#include "tools/infer/load/engine_client.h"
#include "tools/infer/memory_use.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

// With room for the requests that were drawn, unless the user says how much.
EngineOptions OptionsFor(const BenchArgs& args, const Workload& workload) {
  EngineOptions options = ToEngineOptions(args.model, args.device);
  options.sequences = args.load.sequences;
  options.mixed_chunk = args.load.mixed_chunk;
  options.chunk = std::max(options.chunk, options.sequences);
  options.prefix_cache = args.load.prefix_cache;
  options.waiting = static_cast<int32_t>(std::max<int64_t>(options.waiting, args.load.requests + 1));
  if (options.context == 0) options.context = workload.Longest();
  options.cache_tokens = args.load.cache_tokens;
  if (options.cache_tokens == 0) {
    options.cache_tokens =
        workload.CacheTokens(options.sequences, std::max(kMostPageTokens, args.device.page_tokens));
  }
  return options;
}

absl::StatusOr<std::unique_ptr<Engine>> LoadFor(const BenchArgs& args, const EngineOptions& options) {
  absl::StatusOr<std::unique_ptr<Engine>> engine = LoadEngine(options, args.device);
  if (ExitOf(engine.status()) != kExitMemory || args.load.cache_tokens > 0) return engine;
  return WithHint(
      engine.status(),
      absl::StrFormat("the cache was to hold %s tokens; ask for fewer --sequences, or for less with "
                      "--cache-tokens",
                      Grouped(static_cast<uint64_t>(options.cache_tokens))));
}

// What the first step of all pays for is not the load's: pages of weights and caches that nobody has touched.
absl::Status WarmUp(Engine& engine) {
  GenerateRequest request;
  request.ids = {0};
  request.max_tokens = 2;
  request.ignore_end = true;
  return FromPublic(engine.Generate(request, nullptr).status());
}

RunFacts FactsOf(const BenchArgs& args, const Engine& engine) {
  const ModelDescription model = engine.model();
  const DeviceReport device = engine.device();
  RunFacts facts = RunFactsOf(args.model, args.device);
  facts.family = model.family;
  facts.weight_format = model.weight_format;
  facts.device = device.name;
  facts.row_invariant = device.row_invariant;
  return facts;
}

ServerFacts ServerOf(const EngineOptions& options, const Engine& engine) {
  ServerFacts facts;
  facts.prefix_cache = options.prefix_cache;
  facts.sequences = options.sequences;
  facts.chunk = options.chunk;
  facts.mixed_chunk = options.mixed_chunk;
  facts.context = engine.context();
  facts.cache_tokens = options.cache_tokens;
  facts.pages = engine.stats().pages;
  facts.cache_bytes_per_token = engine.memory().cache_bytes_per_token;
  return facts;
}

}  // namespace

absl::Status BenchLoad(const BenchArgs& args) {
  QIAO_ASSIGN_OR_RETURN(LoadReport report, PlanLoad(args));
  QIAO_ASSIGN_OR_RETURN(const models::ModelInfo info, CheckModel(args.model, args.device));
  QIAO_ASSIGN_OR_RETURN(
      const Workload workload,
      DrawWorkload(report.plan, info.vocab, args.device.context > 0 ? args.device.context : info.context));
  report.shortened = workload.shortened;

  const EngineOptions options = OptionsFor(args, workload);
  const Clock::time_point start = Clock::now();
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadFor(args, options));
  const double load_seconds = Since(start);
  QIAO_RETURN_IF_ERROR(WarmUp(*engine));

  EngineClient client(*engine);
  report.run = DriveWatched(client, workload);
  report.measures = Measure(report.run, options.sequences, report.deadlines);
  report.facts = FactsOf(args, *engine);
  report.server = ServerOf(options, *engine);
  report.server.load_seconds = load_seconds;
  report.peak_memory = ReadMemoryUse().peak;
  return Conclude(args, report);
}

}  // namespace qiao::tools
