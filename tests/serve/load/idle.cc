#include <algorithm>
#include <vector>

#include "tests/serve/load/raw.h"
#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

constexpr int64_t kMostBytes = 32 << 10;
constexpr size_t kAtOnce = 64;  // connections that are being opened

bool Answered(const Raw& raw) { return raw.received().find("\r\n\r\n") != std::string::npos; }

}  // namespace

absl::Status Idle(Target& target, Findings& findings) {
  const StormOptions& options = target.options();
  const std::string health = target.Wire("GET", tools::kHealthRoute, "");
  // What the first connection of all pays for is not the others'.
  QIAO_RETURN_IF_ERROR(target.Get(tools::kHealthRoute).status);
  const int64_t before = ResidentBytes(options.pid);
  std::vector<std::shared_ptr<Raw>> all;
  size_t ended = 0;  // the first ones that are answered or closed
  const auto settle = [&] {
    while (ended < all.size() && (Answered(*all[ended]) || all[ended]->closed())) ++ended;
  };
  while (static_cast<int64_t>(all.size()) < options.clients) {
    all.push_back(std::make_shared<Raw>(target.io()));
    all.back()->Start(target.endpoint(), health);
    target.Run(20, [&] {
      settle();
      return all.size() - ended < kAtOnce;
    });
  }
  target.Run(30, [&] {
    settle();
    return ended == all.size();
  });
  target.Run(options.seconds, [] { return false; });

  std::vector<double> accept, answer;
  int64_t open = 0;
  for (const auto& raw : all) {
    if (raw->connected()) accept.push_back(Seconds(raw->connected_at - raw->started));
    if (Answered(*raw)) answer.push_back(Seconds(raw->first_at - raw->started));
    if (!raw->closed() && Answered(*raw)) ++open;
  }
  findings.Promise("connections open and answered", static_cast<double>(open), "", open == options.clients,
                   "all");
  findings.Promise("accepted p99", 1e3 * PercentileOf(accept, 99), "ms", PercentileOf(accept, 99) < 0.05,
                   "below 50 ms");
  findings.Tell("answered p99", 1e3 * PercentileOf(answer, 99), "ms");
  if (before > 0 && open > 0) {
    const double each = static_cast<double>(ResidentBytes(options.pid) - before) / static_cast<double>(open);
    findings.Promise("memory of a connection", each / 1024, "KiB", each <= static_cast<double>(kMostBytes),
                     "at most 32 KiB");
  }
  const absl::Status beside = target.StillServes();
  findings.Promise("serves beside them", beside.ok());
  for (const auto& raw : all) raw->Close();
  return absl::OkStatus();
}

}  // namespace qiao::storm
