#include <signal.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/serve/load/raw.h"
#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

constexpr double kDrainSeconds = 30;  // the server's default
constexpr double kSlackSeconds = 5;
constexpr int kIdleConnections = 16;

}  // namespace

absl::Status Term(Target& target, Findings& findings) {
  const StormOptions& options = target.options();
  if (options.pid == 0) return InvalidArgument("term needs --pid");
  if (!Runs(options.pid)) return NotFound("there is no process %d", options.pid);
  QIAO_RETURN_IF_ERROR(target.StillServes());
  std::vector<std::shared_ptr<Raw>> idle;
  for (int i = 0; i < kIdleConnections; ++i) {
    idle.push_back(std::make_shared<Raw>(target.io()));
    idle.back()->Start(target.endpoint(), target.Wire("GET", tools::kHealthRoute, ""));
  }
  std::vector<std::shared_ptr<Ask>> asks;
  int64_t begun = 0, ended = 0;
  for (int64_t i = 0; i < options.clients; ++i) {
    tools::CompletionCall call = target.Call(i);
    call.max_tokens = options.max_tokens;
    asks.push_back(target.Send(
        std::move(call), [&](Ask&) { ++ended; }, [&](Ask& ask) { begun += ask.pieces == 1 ? 1 : 0; }));
  }
  // Some write, some wait.
  target.Run(20, [&] { return begun >= std::max<int64_t>(1, options.clients / 4) || ended > 0; });
  const int64_t before = ended, writing = begun - ended;
  const Clock::time_point start = Clock::now();
  if (::kill(options.pid, SIGTERM) != 0) return Unavailable("SIGTERM to %d failed", options.pid);

  // Whoever comes now is turned away.
  target.Run(0.2, [] { return false; });
  const auto late = target.Send(target.Call(0));
  target.Run(kDrainSeconds + kSlackSeconds, [&] { return ended == options.clients && late->ended; });
  const double drained = Since(start);
  bool gone = false;
  target.Run(kDrainSeconds + kSlackSeconds, [&] { return gone = !Runs(options.pid); });
  const double stopped = Since(start);

  int64_t finished = 0, said = 0, refused = 0, cut = 0;
  for (const auto& ask : asks) {
    if (ask->finished()) {
      ++finished;
    } else if (ask->error_event) {
      ++said;
    } else if (ask->refused()) {
      ++refused;
    } else {
      ++cut;
      findings.Example(
          "cut", absl::StrCat(ask->pieces, " pieces, then: ", ask->ended ? ask->record.error : "nothing"));
    }
  }
  findings.Tell("streams that were written at SIGTERM", static_cast<double>(writing));
  findings.Tell("finished before SIGTERM", static_cast<double>(before));
  findings.Tell("finished", static_cast<double>(finished));
  findings.Tell("ended with an error event", static_cast<double>(said));
  findings.Tell("refused", static_cast<double>(refused));
  findings.Promise("cut without a word", static_cast<double>(cut), "", cut == 0, "none");
  findings.Promise("the newcomer was served", late->finished() ? 1 : 0, "", !late->finished(),
                   "no: it is turned away");
  findings.Promise("all streams ended after", drained, "s",
                   ended == options.clients && drained <= kDrainSeconds + kSlackSeconds,
                   absl::StrCat("at most ", kDrainSeconds + kSlackSeconds, " s"));
  const auto open = std::count_if(idle.begin(), idle.end(), [](const auto& raw) { return !raw->closed(); });
  findings.Promise("idle connections still open", static_cast<double>(open), "", open == 0, "none");
  findings.Promise("the process ended after", stopped, "s", gone,
                   absl::StrCat("at most ", kDrainSeconds + kSlackSeconds, " s"));
  for (const auto& raw : idle) raw->Close();
  return absl::OkStatus();
}

}  // namespace qiao::storm
