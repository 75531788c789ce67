#include "absl/strings/str_cat.h"
#include "runtime/base/file_writer.h"
#include "tools/infer/bench_load.h"
#include "tools/infer/load/plot.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

absl::Status WritePlot(const LoadReport& report, const std::string& path) {
  const std::string where = report.server.url.empty()
                                ? absl::StrFormat("%d sequences at once", report.server.sequences)
                                : absl::StrCat(report.server.url, report.server.route);
  const std::string svg =
      ToSvg(PlotOf(report.run, report.deadlines,
                   absl::StrFormat("%s: %.2f requests/s, %s answer tokens/s", report.facts.model,
                                   report.measures.PerSecond(report.measures.finished),
                                   Rate(report.measures.PerSecond(report.measures.output_tokens))),
                   absl::StrCat(Describe(report.plan), "; ", where)));
  QIAO_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  QIAO_RETURN_IF_ERROR(file.Write(svg));
  return file.Commit();
}

}  // namespace

absl::StatusOr<LoadReport> PlanLoad(const BenchArgs& args) {
  LoadReport report;
  WorkloadPlan& plan = report.plan;
  plan.requests = args.load.requests;
  plan.seed = args.seed;
  QIAO_ASSIGN_OR_RETURN(plan.rate, ParseRate("--rate", args.load.rate));
  QIAO_ASSIGN_OR_RETURN(plan.prompt, Lengths::Parse("--prompt-tokens", args.load.prompt_tokens));
  QIAO_ASSIGN_OR_RETURN(plan.output, Lengths::Parse("--output-tokens", args.load.output_tokens));
  QIAO_ASSIGN_OR_RETURN(plan.prefix, ParseSharedPrefix("--shared-prefix", args.load.shared_prefix));
  report.deadlines = {args.load.slo_ttft / 1e3, args.load.slo_tpot / 1e3};
  return report;
}

LoadRun DriveWatched(LoadClient& client, const Workload& workload) {
  ProgressBar bar(ProgressBar::kCount);
  return Drive(client, workload,
               [&](uint64_t done, uint64_t total) { return bar.Update("requests", done, total); });
}

absl::Status Conclude(const BenchArgs& args, const LoadReport& report) {
  if (args.json) {
    PrintJson(ToJson(report));
  } else {
    Print(report);
  }
  if (!args.load.plot.empty()) QIAO_RETURN_IF_ERROR(WritePlot(report, args.load.plot));
  if (report.run.interrupted) return absl::CancelledError();
  const Measures& m = report.measures;
  if (m.failed > 0) return Internal("%d of %d requests failed", m.failed, m.asked);
  if (m.refused > 0 && m.finished == 0) return Unavailable("the server refused all %d requests", m.refused);
  return absl::OkStatus();
}

}  // namespace qiao::tools
