// What a load asks for: every request, and when it comes, drawn from a seed before anything starts.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"
#include "tools/infer/load/lengths.h"

namespace qiao::tools {

inline constexpr double kAllAtOnce = std::numeric_limits<double>::infinity();

// The first tokens of prompts, alike within a group.
struct SharedPrefix {
  int64_t tokens = 0;  // 0: none
  int64_t groups = 1;
};

struct WorkloadPlan {
  int64_t requests = 0;
  double rate = kAllAtOnce;  // a second
  Lengths prompt, output;
  SharedPrefix prefix;  // comes before what `prompt` draws
  uint64_t seed = 0;
};

// Requests a second; "inf" and "0": all at once.
absl::StatusOr<double> ParseRate(std::string_view option, std::string_view text);
// "TOKENS" or "TOKENS:GROUPS"; "": none.
absl::StatusOr<SharedPrefix> ParseSharedPrefix(std::string_view option, std::string_view text);

// Seconds from the start at which requests come, in order: a Poisson process, whose gaps are exponential; the
// first gap passes before the first request.
std::vector<double> ArrivalTimes(double rate, int64_t count, uint64_t seed);

struct PlannedRequest {
  double at = 0;             // seconds from the start
  std::vector<int32_t> ids;  // the prompt: random tokens
  int64_t max_tokens = 0;    // the answer has exactly so many
};

struct Workload {
  std::vector<PlannedRequest> requests;  // in the order in which they come
  int64_t shortened = 0;                 // requests that had to be cut to fit the context

  // Tokens of the longest request, prompt and answer.
  int64_t Longest() const;
  // Tokens that the caches of the `sequences` longest requests hold, each in whole pages.
  int64_t CacheTokens(int64_t sequences, int64_t page_tokens) const;
};

// Lengths, prompts and times are drawn apart: another rate leaves the prompts as they are. A request that is
// longer than the context loses prompt first (its own part, not the shared one), then answer, and is counted;
// it is an error where not even the shortest would fit.
absl::StatusOr<Workload> DrawWorkload(const WorkloadPlan& plan, int64_t vocab, int64_t context);

}  // namespace qiao::tools
