#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/serve/load/raw.h"
#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

constexpr int kHealthy = 4;
constexpr double kSlackSeconds = 0.01;     // of a scheduler, beside which a factor means nothing
constexpr double kHeaderSeconds = 15;      // by when a server cuts headers that do not come to their end
constexpr int64_t kSlowAnswerTokens = 16;  // few: it is the connections that are to weigh, not the model

// Proper clients, one request after the other for so long: how long each took.
struct Healthy {
  std::vector<double> seconds;
  int64_t errors = 0;
  std::string error;
};

Healthy RunHealthy(Target& target, double seconds) {
  Healthy healthy;
  int64_t next = 0, open = 0;
  const Clock::time_point end = Clock::now() + FromSeconds(seconds);
  std::function<void()> begin = [&] {
    ++open;
    tools::CompletionCall call = target.Call(next++ % target.options().distinct);
    call.max_tokens = 8;
    target.Send(std::move(call), [&](Ask& ask) {
      --open;
      if (ask.finished()) {
        healthy.seconds.push_back(Seconds(ask.record.ended - ask.record.sent));
      } else {
        ++healthy.errors;
        healthy.error = ask.record.error;
      }
      if (Clock::now() < end && healthy.errors < 1000) begin();
    });
  };
  for (int i = 0; i < kHealthy; ++i) begin();
  target.Run(seconds + 60, [&] { return open == 0 && Clock::now() >= end; });
  if (open > 0) {
    target.CancelAll();
    healthy.error = "no answer within a minute";
  }
  return healthy;
}

struct SlowClient {
  enum Kind { kHeader, kBody, kReader } kind;
  std::shared_ptr<Raw> raw;
};

std::vector<SlowClient> StartSlow(Target& target, int64_t count) {
  std::vector<SlowClient> clients;
  for (int64_t i = 0; i < count; ++i) {
    const auto kind = static_cast<SlowClient::Kind>(i % 3);
    const auto raw = std::make_shared<Raw>(target.io());
    tools::CompletionCall call = target.Call(i);
    call.max_tokens = kSlowAnswerTokens;
    const std::string wire = target.Wire("POST", call.route(), call.Body());
    switch (kind) {
      case SlowClient::kHeader:
        raw->Start(target.endpoint(),
                   target.Wire("GET", tools::kHealthRoute, "",
                               absl::StrCat("X-Long: ", std::string(4000, 'x'), "\r\n")),
                   1);
        break;
      case SlowClient::kBody: {
        // The head at once, the body a byte a second.
        const size_t head = wire.find("\r\n\r\n") + 4;
        raw->Start(target.endpoint(), wire.substr(0, head));
        target.Run(1, [&] { return raw->written() || raw->closed(); });
        if (!raw->closed()) raw->Drip(wire.substr(head), 1);
        break;
      }
      case SlowClient::kReader:
        raw->Start(target.endpoint(), wire, 0, 1, 2048);
        break;
    }
    clients.push_back({kind, raw});
    if (i % 32 == 0) target.Run(0.005, [] { return false; });
  }
  return clients;
}

void TellClosed(const std::vector<SlowClient>& clients, double seconds, Findings& findings) {
  const char* names[] = {"header", "body", "reading"};
  for (const auto kind : {SlowClient::kHeader, SlowClient::kBody, SlowClient::kReader}) {
    int64_t count = 0, open = 0;
    std::vector<double> lived;
    for (const SlowClient& client : clients) {
      if (client.kind != kind) continue;
      ++count;
      if (client.raw->closed()) {
        lived.push_back(Seconds(client.raw->closed_at - client.raw->started));
      } else {
        ++open;
      }
    }
    const std::string name = absl::StrCat("slow in ", names[kind]);
    findings.Tell(absl::StrCat(name, ": clients"), static_cast<double>(count));
    if (kind == SlowClient::kHeader && seconds > kHeaderSeconds) {
      findings.Promise(absl::StrCat(name, ": still connected"), static_cast<double>(open), "", open == 0,
                       absl::StrCat("none after ", kHeaderSeconds, " s"));
    } else {
      findings.Tell(absl::StrCat(name, ": still connected"), static_cast<double>(open));
    }
    if (!lived.empty()) findings.Tell(absl::StrCat(name, ": cut after, p50"), PercentileOf(lived, 50), "s");
  }
}

}  // namespace

absl::Status Slow(Target& target, Findings& findings) {
  const StormOptions& options = target.options();
  RunHealthy(target, std::min(2.0, options.seconds));  // warms up
  const Healthy without = RunHealthy(target, options.seconds);
  if (without.seconds.empty()) return Unavailable("no healthy client was answered: %s", without.error);
  const Clock::time_point start = Clock::now();
  std::vector<SlowClient> clients = StartSlow(target, options.clients);
  // Their few tokens are made first.
  target.WaitIdle(60);
  const Healthy with = RunHealthy(target, options.seconds);
  const double lasted = Since(start);

  const double before = PercentileOf(without.seconds, 99), after = PercentileOf(with.seconds, 99);
  findings.Tell("healthy clients' answers without slow ones", static_cast<double>(without.seconds.size()));
  findings.Tell("healthy clients' answers beside slow ones", static_cast<double>(with.seconds.size()));
  findings.Tell("p50 without slow ones", 1e3 * PercentileOf(without.seconds, 50), "ms");
  findings.Tell("p50 beside slow ones", 1e3 * PercentileOf(with.seconds, 50), "ms");
  findings.Tell("p99 without slow ones", 1e3 * before, "ms");
  findings.Promise("p99 beside slow ones", 1e3 * after, "ms", after <= 2 * before + kSlackSeconds,
                   absl::StrCat("at most twice that and ", 1e3 * kSlackSeconds, " ms"));
  if (!with.error.empty()) findings.Example("error", with.error);
  findings.Promise("healthy clients' errors", static_cast<double>(with.errors), "", with.errors == 0, "none");
  TellClosed(clients, lasted, findings);
  for (const SlowClient& client : clients) client.raw->Close(/*reset=*/true);
  const bool idle = target.WaitIdle(30);
  findings.Promise("idle again", idle);
  return absl::OkStatus();
}

}  // namespace qiao::storm
