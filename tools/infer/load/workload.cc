#include "tools/infer/load/workload.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "runtime/base/checked.h"
#include "tools/infer/exit.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

enum Stream : uint64_t { kTimes, kPromptLengths, kOutputLengths, kGroups, kPrefixIds, kPromptIds };

constexpr int64_t kMostGroups = int64_t{1} << 20;

void AppendIds(std::vector<int32_t>& ids, int64_t count, int64_t vocab, Random random) {
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.Below(vocab)));
}

}  // namespace

absl::StatusOr<double> ParseRate(std::string_view option, std::string_view text) {
  double rate = 0;
  if (!absl::SimpleAtod(Abs(text), &rate) || !(rate >= 0)) {
    return UsageError(
        absl::StrFormat("%s: \"%s\" is not a number of requests a second", option, Printable(text)),
        "such as 2.5; inf sends all requests at once");
  }
  return rate == 0 ? kAllAtOnce : rate;
}

absl::StatusOr<SharedPrefix> ParseSharedPrefix(std::string_view option, std::string_view text) {
  SharedPrefix prefix;
  if (text.empty()) return prefix;
  const std::vector<std::string> parts = absl::StrSplit(Abs(text), ':');
  const auto whole = [](const std::string& part, int64_t least, int64_t most, int64_t& value) {
    return absl::SimpleAtoi(part, &value) && value >= least && value <= most;
  };
  if (parts.size() > 2 || !whole(parts[0], 0, Lengths::kMost, prefix.tokens) ||
      (parts.size() == 2 && !whole(parts[1], 1, kMostGroups, prefix.groups))) {
    return UsageError(
        absl::StrFormat("%s: \"%s\" is not TOKENS or TOKENS:GROUPS", option, Printable(text)),
        "512 begins all prompts with the same 512 tokens, 512:4 each with one of four beginnings");
  }
  return prefix;
}

std::vector<double> ArrivalTimes(double rate, int64_t count, uint64_t seed) {
  std::vector<double> times(static_cast<size_t>(count));
  if (std::isinf(rate)) return times;
  Random random(seed, kTimes);
  double now = 0;
  for (double& time : times) time = now += random.Exponential() / rate;
  return times;
}

int64_t Workload::Longest() const {
  int64_t longest = 0;
  for (const PlannedRequest& r : requests)
    longest = std::max(longest, static_cast<int64_t>(r.ids.size()) + r.max_tokens);
  return longest;
}

int64_t Workload::CacheTokens(int64_t sequences, int64_t page_tokens) const {
  std::vector<int64_t> tokens;
  for (const PlannedRequest& r : requests)
    tokens.push_back(RoundUp(static_cast<int64_t>(r.ids.size()) + r.max_tokens + 1, page_tokens));
  std::sort(tokens.begin(), tokens.end(), std::greater<>());
  tokens.resize(std::min(tokens.size(), static_cast<size_t>(sequences)));
  int64_t sum = 0;
  for (const int64_t t : tokens) sum += t;
  return sum;
}

absl::StatusOr<Workload> DrawWorkload(const WorkloadPlan& plan, int64_t vocab, int64_t context) {
  const int64_t shortest = plan.prefix.tokens + plan.prompt.least() + plan.output.least();
  if (shortest > context) {
    return UsageError(
        absl::StrFormat("the shortest request would be %d tokens, prompt and answer, and the context is %d",
                        shortest, context),
        "ask for shorter prompts, answers or shared prefixes, or more context (--ctx)");
  }
  Workload workload;
  const std::vector<double> times = ArrivalTimes(plan.rate, plan.requests, plan.seed);
  Random prompts(plan.seed, kPromptLengths), outputs(plan.seed, kOutputLengths), groups(plan.seed, kGroups);
  const uint64_t seed = SplitMix64(plan.seed);  // far from the next seed's, so that counting up meets nobody
  for (size_t i = 0; i < times.size(); ++i) {
    int64_t prompt = plan.prompt.Draw(prompts);
    int64_t output = plan.output.Draw(outputs);
    const int64_t group = groups.Below(plan.prefix.groups);
    const int64_t room = context - plan.prefix.tokens;
    if (prompt + output > room) {
      ++workload.shortened;
      prompt = std::max<int64_t>(1, room - output);
      output = std::min(output, room - prompt);
    }
    PlannedRequest request{.at = times[i], .ids = {}, .max_tokens = output};
    request.ids.reserve(static_cast<size_t>(plan.prefix.tokens + prompt));
    AppendIds(request.ids, plan.prefix.tokens, vocab,
              Random(seed + static_cast<uint64_t>(group), kPrefixIds));
    AppendIds(request.ids, prompt, vocab, Random(seed + i, kPromptIds));
    workload.requests.push_back(std::move(request));
  }
  return workload;
}

}  // namespace qiao::tools
