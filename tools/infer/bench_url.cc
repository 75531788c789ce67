// infer bench --url: the same load on a server in another process.
#include <algorithm>

#include "tools/infer/bench_load.h"
#include "tools/infer/exit.h"
#include "tools/infer/load/http_client.h"
#include "tools/infer/machine.h"
#include "tools/infer/memory_use.h"

namespace qiao::tools {
namespace {

// One short request: whether the server answers at all, and how it says that it does not, is known before the load
// begins, and what only the first request pays for is not the load's.
absl::Status WarmUp(HttpClient& client) {
  Workload workload;
  workload.requests.push_back({.at = 0, .ids = {1, 2, 3}, .max_tokens = 2});
  const LoadRun run = DriveWatched(client, workload);
  if (run.interrupted) return absl::CancelledError();
  const RequestRecord& record = run.records.front();
  using Outcome = RequestRecord::Outcome;
  if (record.outcome != Outcome::kFailed && record.outcome != Outcome::kRefused) return absl::OkStatus();
  return Unavailable("the first request, of 3 tokens to %s, failed: %s", client.route(), record.error);
}

int64_t MostRunning(const LoadRun& run) {
  int64_t most = 0;
  for (const LoadSample& sample : run.samples) most = std::max(most, sample.state.running);
  return most;
}

void AddServer(const HttpClient& client, const HttpClientOptions& options, LoadReport& report) {
  ServerFacts& server = report.server;
  server.url = options.address.Url();
  server.route = client.route();
  server.software = client.server();
  server.context = client.context();
  report.facts.model = client.model();
  report.facts.machine = MachineLine();
  report.facts.date = UtcNow();
  if (const auto& stats = client.first_stats()) {
    report.facts.family = stats->family;
    report.facts.weight_format = stats->weight_format;
    server.pages = stats->pages;
    server.cache_bytes_per_token = stats->cache_bytes_per_token;
  }
}

}  // namespace

absl::Status BenchUrl(const BenchArgs& args) {
  QIAO_ASSIGN_OR_RETURN(LoadReport report, PlanLoad(args));
  HttpClientOptions options;
  QIAO_ASSIGN_OR_RETURN(options.address, ParseAddress("--url", args.load.url));
  options.api_key = args.load.api_key;
  options.model = args.load.model_name;
  options.chat = args.load.endpoint == "chat";
  options.temperature = args.load.temperature;
  options.seed = args.seed;
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<HttpClient> client, HttpClient::Connect(options));
  AddServer(*client, options, report);

  const int64_t context = args.device.context > 0 ? args.device.context : client->context();
  QIAO_ASSIGN_OR_RETURN(const Workload workload, DrawWorkload(report.plan, args.load.vocab,
                                                              context > 0 ? context : 4 * Lengths::kMost));
  report.shortened = workload.shortened;
  QIAO_RETURN_IF_ERROR(WarmUp(*client));
  report.run = DriveWatched(*client, workload);
  report.server.sequences = MostRunning(report.run);
  report.measures = Measure(report.run, std::max<int64_t>(1, report.server.sequences), report.deadlines);
  if (report.run.samples.empty()) report.measures.steady.reset();
  report.peak_memory = ReadMemoryUse().peak;
  return Conclude(args, report);
}

}  // namespace qiao::tools
