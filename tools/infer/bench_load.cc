// infer bench --requests: how a model serves many requests that come at random.
#include <algorithm>

#include "runtime/base/file_writer.h"
#include "tools/infer/args.h"
#include "tools/infer/bench_cases.h"
#include "tools/infer/exit.h"
#include "tools/infer/generate.h"
#include "tools/infer/load/driver.h"
#include "tools/infer/load/engine_client.h"
#include "tools/infer/load/plot.h"
#include "tools/infer/load/report.h"
#include "tools/infer/memory_use.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

absl::StatusOr<WorkloadPlan> ReadPlan(const BenchArgs& args) {
  WorkloadPlan plan;
  plan.requests = args.load.requests;
  plan.seed = args.seed;
  QIAO_ASSIGN_OR_RETURN(plan.rate, ParseRate("--rate", args.load.rate));
  QIAO_ASSIGN_OR_RETURN(plan.prompt, Lengths::Parse("--prompt-tokens", args.load.prompt_tokens));
  QIAO_ASSIGN_OR_RETURN(plan.output, Lengths::Parse("--output-tokens", args.load.output_tokens));
  QIAO_ASSIGN_OR_RETURN(plan.prefix, ParseSharedPrefix("--shared-prefix", args.load.shared_prefix));
  return plan;
}

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

absl::Status WritePlot(const LoadReport& report, const std::string& path) {
  const std::string svg = ToSvg(
      PlotOf(report.run, report.deadlines,
             absl::StrFormat("%s: %.2f requests/s, %s answer tokens/s", report.facts.model,
                             report.measures.PerSecond(report.measures.finished),
                             Rate(report.measures.PerSecond(report.measures.output_tokens))),
             absl::StrFormat("%s; %d sequences at once", Describe(report.plan), report.server.sequences)));
  QIAO_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  QIAO_RETURN_IF_ERROR(file.Write(svg));
  return file.Commit();
}

}  // namespace

absl::Status BenchLoad(const BenchArgs& args) {
  LoadReport report;
  QIAO_ASSIGN_OR_RETURN(report.plan, ReadPlan(args));
  report.deadlines = {args.load.slo_ttft / 1e3, args.load.slo_tpot / 1e3};
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
  {
    ProgressBar bar(ProgressBar::kCount);
    report.run = Drive(client, workload,
                       [&](uint64_t done, uint64_t total) { return bar.Update("requests", done, total); });
  }
  report.measures = Measure(report.run, options.sequences, report.deadlines);
  report.facts = FactsOf(args, *engine);
  report.server = ServerOf(options, *engine);
  report.server.load_seconds = load_seconds;
  report.peak_memory = ReadMemoryUse().peak;
  if (args.json) {
    PrintJson(ToJson(report));
  } else {
    Print(report);
  }
  if (!args.load.plot.empty()) QIAO_RETURN_IF_ERROR(WritePlot(report, args.load.plot));
  if (report.run.interrupted) return absl::CancelledError();
  if (report.measures.failed > 0) {
    return Internal("%d of %d requests failed", report.measures.failed, report.measures.asked);
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
