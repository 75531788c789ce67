#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

constexpr double kPatience = 60;           // for a stream to get its second piece
constexpr double kPrefillSpread = 0.3;     // seconds from sending, within which prompts are abandoned
constexpr double kTimesWaited = 10;        // the promised time, for what comes late
constexpr int64_t kDefaultContext = 2048;  // where the server does not tell

int64_t PagesInUse(const tools::ServerStats& s) { return s.pages - s.pages_free - s.pages_cached; }

bool IsFree(const tools::ServerStats& s, int64_t in_use) {
  return s.state.running == 0 && s.state.waiting == 0 && PagesInUse(s) <= in_use;
}

void Reset(const Ask& ask) {
  if (const auto open = ask.exchange.lock()) open->Cancel(/*reset=*/true);
}

}  // namespace

absl::Status Vanish(Target& target, Findings& findings) {
  const StormOptions& options = target.options();
  QIAO_RETURN_IF_ERROR(target.StillServes());
  if (!target.WaitIdle(30))
    return Unavailable("the server has something to do before anything was asked of it");
  const auto before = target.Stats();
  if (!before) return Unavailable("%s does not answer: what is freed cannot be seen", tools::kStatsRoute);
  const int64_t in_use = PagesInUse(*before);
  const int64_t context = before->context > 0 ? before->context : kDefaultContext;
  const int64_t resident = ResidentBytes(options.pid);

  tools::Random random(options.seed, 0xdead);
  std::vector<std::shared_ptr<Ask>> decoding, reading;
  std::vector<Clock::time_point> leave;
  for (int64_t i = 0; i < options.clients; ++i) {
    tools::CompletionCall call = target.Call(i);
    if (i % 2 == 0) {
      call.max_tokens = std::max<int64_t>(1, context / 2);
      decoding.push_back(target.Send(std::move(call), nullptr, [](Ask& ask) {
        if (ask.pieces == 2) Reset(ask);
      }));
    } else {
      // A long prompt of its own, so that no cache has it.
      call.chat = false;
      for (int64_t t = 0; t < context * 3 / 4; ++t)
        call.ids.push_back(static_cast<int32_t>(random.Below(1000)));
      call.max_tokens = 4;
      reading.push_back(target.Send(std::move(call)));
      leave.push_back(Clock::now() + FromSeconds(kPrefillSpread * random.Uniform()));
    }
  }
  const Clock::time_point start = Clock::now();
  size_t left = 0;
  // Ends within a second of the last; what still waits for its second piece after that is not waited for.
  target.Run(kPatience, [&] {
    if (Since(start) <= kPrefillSpread + 0.1 || left < reading.size()) {
      left = 0;
      for (size_t i = 0; i < reading.size(); ++i) {
        if (Clock::now() < leave[i]) continue;
        ++left;
        if (!reading[i]->ended) Reset(*reading[i]);
      }
    }
    return left == reading.size() &&
           std::all_of(decoding.begin(), decoding.end(), [](const auto& a) { return a->ended; });
  });
  int64_t in_prefill = 0, in_decode = 0;
  for (const auto& ask : decoding) {
    in_decode += ask->pieces >= 2 ? 1 : 0;
    Reset(*ask);
  }
  for (const auto& ask : reading) in_prefill += ask->pieces == 0 && !ask->finished() ? 1 : 0;
  const Clock::time_point gone = Clock::now();
  findings.Tell("vanished while the prompt was read or waited", static_cast<double>(in_prefill));
  findings.Tell("vanished while the answer was written", static_cast<double>(in_decode));

  std::optional<tools::ServerStats> now;
  double seconds = 0;
  bool freed = false;
  while (!freed && seconds < std::max(2.0, kTimesWaited * options.free_seconds)) {
    now = target.Stats();
    seconds = Since(gone);
    freed = now && IsFree(*now, in_use);
    if (!freed) target.Run(0.01, [] { return false; });
  }
  findings.Promise("everything is freed after", seconds, "s", freed && seconds <= options.free_seconds,
                   absl::StrCat("at most ", options.free_seconds, " s"));
  if (!freed && now) {
    findings.Example("left", absl::StrCat(now->state.running, " running, ", now->state.waiting, " waiting, ",
                                          PagesInUse(*now), " pages in use, ", in_use, " before"));
  }
  if (resident > 0) {
    findings.Tell("growth of resident memory",
                  static_cast<double>(ResidentBytes(options.pid) - resident) / 1e6, "MB");
  }
  const absl::Status after = target.StillServes();
  findings.Promise("serves afterwards", after.ok());
  return absl::OkStatus();
}

}  // namespace qiao::storm
