#include <algorithm>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/serve/load/corpus.h"
#include "tests/serve/load/raw.h"
#include "tests/serve/load/scenarios.h"
#include "tools/infer/load/http_response.h"

namespace qiao::storm {
namespace {

constexpr double kGoodSeconds = 0.1;  // that JSON is hoped to take
constexpr double kPatience = 30;      // until a case is given up
constexpr double kMostGrowthMb = 64;  // of the server's memory
constexpr size_t kLargeBytes = 1 << 20;

struct Seen {
  std::vector<int> statuses;
  std::vector<std::string> bodies;
  bool http = true;   // what came is answers, whole or cut by the end
  bool whole = true;  // the last is complete
};

Seen Read(const std::string& bytes, bool closed) {
  Seen seen;
  for (size_t at = 0; at < bytes.size();) {
    std::string body;
    tools::HttpResponseReader reader(
        [&](const tools::HttpHead& head) { seen.statuses.push_back(head.status); },
        [&](std::string_view piece) { body.append(piece); });
    const auto used = reader.Feed(std::string_view(bytes).substr(at));
    if (!used.ok()) {
      seen.http = false;
      return seen;
    }
    at += *used;
    if (!reader.done() && closed) (void)reader.Close();
    if (reader.done()) {
      seen.bodies.push_back(body);
    } else {
      seen.whole = false;
      return seen;
    }
  }
  return seen;
}

bool IsRefusal(int status) { return (status >= 400 && status < 500) || status == 501 || status == 505; }
bool IsTolerable(int status) { return (status >= 200 && status < 500) || status == 501 || status == 505; }

// What is wrong with what was seen, or "".
std::string Judge(const Case& c, const Raw& raw, const Seen& seen) {
  if (!seen.http) return "the answer is not HTTP: " + raw.received().substr(0, 60);
  std::string statuses;
  for (const int status : seen.statuses) absl::StrAppend(&statuses, statuses.empty() ? "" : ", ", status);
  switch (c.expect) {
    case Case::kOk:
      if (static_cast<int>(seen.statuses.size()) != c.answers ||
          std::any_of(seen.statuses.begin(), seen.statuses.end(), [](int s) { return s != 200; }))
        return absl::StrCat("answers: ", statuses, ", not ", c.answers, " of 200");
      break;
    case Case::kRefused:
      if (seen.statuses.empty() && raw.closed()) return "";
      if (seen.statuses.size() > 1) return absl::StrCat("more than one answer: ", statuses);
      if (seen.statuses.empty()) return "neither an answer nor closed";
      if (!IsRefusal(seen.statuses[0])) return absl::StrCat("answered with ", statuses);
      // "Later" is no answer to what is wrong at any time.
      if (seen.statuses[0] == 429) return "answered with 429";
      break;
    case Case::kAnything:
      if (!std::all_of(seen.statuses.begin(), seen.statuses.end(), IsTolerable))
        return absl::StrCat("answered with ", statuses);
      break;
  }
  if (c.json && c.expect == Case::kRefused && !seen.bodies.empty()) {
    const auto json = ParseJson(seen.bodies[0], "answer");
    if (!json.ok() || !json->is_object() || !json->contains("error"))
      return absl::StrCat(statuses, " without a JSON error: ", seen.bodies[0].substr(0, 60));
  }
  return "";
}

struct Result {
  std::string wrong;
  double seconds = 0;
  int status = 0;  // the first; 0: closed without one
};

Result RunCase(Target& target, const Case& c) {
  const auto raw = std::make_shared<Raw>(target.io());
  raw->Start(target.endpoint(), c.bytes);
  Seen seen;
  size_t seen_bytes = 0;
  bool seen_closed = false, half_closed = false;
  const size_t answers = c.expect == Case::kOk ? static_cast<size_t>(c.answers) : 1;
  target.Run(kPatience, [&] {
    if (c.half_close && raw->written() && !half_closed) {
      half_closed = true;
      raw->HalfClose();
    }
    if (raw->received().size() != seen_bytes || raw->closed() != seen_closed) {
      seen_bytes = raw->received().size();
      seen_closed = raw->closed();
      seen = Read(raw->received(), raw->closed());
    }
    return raw->closed() || !seen.http || (seen.whole && seen.statuses.size() >= answers);
  });
  Result result;
  // An answer may come before all was written.
  const Clock::time_point from = raw->written() ? std::max(raw->written_at, raw->connected_at) : raw->started;
  result.seconds = std::max(0.0, Seconds(Clock::now() - from));
  if (!raw->closed()) {
    // A second answer would come now: to what was hidden in the body.
    target.Run(c.expect == Case::kRefused && !c.json ? 0.02 : 0, [&] { return raw->closed(); });
    seen = Read(raw->received(), raw->closed());
  }
  result.status = seen.statuses.empty() ? 0 : seen.statuses[0];
  result.wrong = Judge(c, *raw, seen);
  if (result.wrong.empty() && result.seconds > target.options().most_seconds)
    result.wrong = absl::StrFormat("took %.2f s", result.seconds);
  raw->Close();
  return result;
}

// An allocator keeps some of what large bodies took once; it must not take it again.
void TellMemory(Target& target, const std::vector<Case>& cases, int64_t before, Findings& findings) {
  if (before == 0) return;
  const pid_t pid = target.options().pid;
  const int64_t once = ResidentBytes(pid);
  findings.Tell("growth of resident memory", static_cast<double>(once - before) / 1e6, "MB");
  for (const Case& c : cases) {
    if (c.bytes.size() >= kLargeBytes) RunCase(target, c);
  }
  const double growth = static_cast<double>(ResidentBytes(pid) - once) / 1e6;
  findings.Promise("its growth with the large ones again", growth, "MB", growth <= kMostGrowthMb,
                   absl::StrCat("at most ", kMostGrowthMb, " MB"));
}

}  // namespace

absl::Status Malformed(Target& target, Findings& findings) {
  const pid_t pid = target.options().pid;
  QIAO_RETURN_IF_ERROR(target.StillServes());
  const auto stats = target.Stats();
  std::vector<Case> cases = HttpCases(target);
  for (Case& c : JsonCases(target, stats ? stats->context : 0)) cases.push_back(std::move(c));
  const int64_t before = ResidentBytes(pid);

  std::map<int, int64_t> statuses;
  std::vector<double> seconds, json_seconds;
  int64_t wrong = 0, late_json = 0;
  for (const Case& c : cases) {
    const Result result = RunCase(target, c);
    ++statuses[result.status];
    seconds.push_back(result.seconds);
    if (result.status == 429) findings.Example("429", c.name.substr(0, 100));
    if (c.json && c.expect == Case::kRefused) {
      json_seconds.push_back(result.seconds);
      late_json += result.seconds > kGoodSeconds ? 1 : 0;
      if (result.seconds > kGoodSeconds)
        findings.Example("slow", absl::StrFormat("%s: %.0f ms", c.name.substr(0, 100), 1e3 * result.seconds));
    }
    if (result.wrong.empty()) continue;
    ++wrong;
    findings.Example("wrong", absl::StrCat(c.name.substr(0, 100), ": ", result.wrong));
    if (pid != 0 && !Runs(pid)) {
      findings.Promise("the server is alive", 0, "", false, "after every case");
      findings.Example("killed by", c.name);
      return absl::OkStatus();
    }
  }
  findings.Tell("cases", static_cast<double>(cases.size()));
  for (const auto& [status, count] : statuses)
    findings.Tell(status == 0 ? "closed without an answer" : absl::StrCat("status ", status),
                  static_cast<double>(count));
  findings.Tell("p99", 1e3 * PercentileOf(seconds, 99), "ms");
  findings.Tell("bad bodies, p50", 1e3 * PercentileOf(json_seconds, 50), "ms");
  findings.Tell("bad bodies, p99", 1e3 * PercentileOf(json_seconds, 99), "ms");
  findings.Tell("bad bodies that took more than 100 ms", static_cast<double>(late_json));
  findings.Promise("cases that went wrong", static_cast<double>(wrong), "", wrong == 0,
                   absl::StrCat("none: refused within ", target.options().most_seconds, " s, once"));
  TellMemory(target, cases, before, findings);
  const bool idle = target.WaitIdle(30);
  const absl::Status after = target.StillServes();
  findings.Promise("idle again, and serves", idle && after.ok());
  return absl::OkStatus();
}

}  // namespace qiao::storm
