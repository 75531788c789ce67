#include "tools/infer/bench_cases.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "runtime/base/checked.h"
#include "tools/infer/exit.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

constexpr int64_t kFirstPrompt = 128;
// Of whole pages.
int64_t Sum(const std::vector<int64_t>& values, int64_t page) {
  int64_t sum = 0;
  for (const int64_t v : values) sum += RoundUp(v, page);
  return sum;
}

}  // namespace

std::string NameOf(const BenchCase& c) {
  if (c.prefill) return absl::StrFormat("prefill %d", c.tokens);
  return absl::StrFormat("decode depth %d batch %d", c.depth, c.batch);
}

absl::StatusOr<std::vector<int64_t>> ParseList(std::string_view option, std::string_view text, int64_t least,
                                               int64_t most) {
  std::vector<int64_t> values;
  if (text == "none") return values;
  for (const absl::string_view part : absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(part), &value) || value < least || value > most) {
      return UsageError(absl::StrFormat("%s: \"%s\" is not a whole number from %d to %d", option,
                                        Printable(std::string_view(part.data(), part.size())), least, most),
                        "a list looks like 128,512; none leaves it out");
    }
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  return values;
}

BenchPlan PlanBench(const BenchLists& lists, const BenchRoom& room) {
  BenchPlan plan;
  plan.steps = lists.steps;
  plan.first_prompt = std::min(kFirstPrompt, room.context);
  plan.context = plan.first_prompt;
  plan.sequences = 1;
  const auto too_long = [&](int64_t tokens) {
    return absl::StrFormat("%d tokens are more than the context of %d", tokens, room.context);
  };
  for (const int64_t tokens : lists.prefill) {
    const BenchCase c{.prefill = true, .tokens = tokens};
    if (tokens > room.context) {
      plan.skipped.push_back({c, too_long(tokens)});
      continue;
    }
    plan.context = std::max(plan.context, tokens);
    plan.cases.push_back(c);
  }
  int64_t prompt = RoundUp(plan.context, room.page_tokens);  // the longest, whose pages come and go

  for (const int64_t depth : lists.depth) {
    for (const int64_t batch : lists.batch) {
      const BenchCase c{.depth = depth, .batch = batch};
      if (depth + lists.steps > room.context) {
        plan.skipped.push_back({c, too_long(depth + lists.steps)});
        continue;
      }
      std::vector<int64_t> depths = plan.depth;
      depths.resize(std::max(depths.size(), static_cast<size_t>(batch)));
      for (size_t b = 0; b < static_cast<size_t>(batch); ++b) depths[b] = std::max(depths[b], depth);
      // What a run appends to its branches; each may begin with a copy of a page, and end within one.
      const int64_t branch = RoundUp(lists.steps, room.page_tokens) + 2 * room.page_tokens;
      const int64_t branches = static_cast<int64_t>(depths.size()) * branch;
      const int64_t tokens = Sum(depths, room.page_tokens) + std::max(branches, prompt);
      const uint64_t bytes = static_cast<uint64_t>(tokens) * room.cache_bytes_per_token;
      if (bytes > room.cache_bytes) {
        plan.skipped.push_back({c, absl::StrFormat("caches of %s are more than the %s that are left for them",
                                                   Bytes(bytes), Bytes(room.cache_bytes))});
        continue;
      }
      plan.depth = std::move(depths);
      plan.context = std::max(plan.context, depth + lists.steps);
      plan.sequences = std::max(plan.sequences, batch);
      plan.cache_tokens = tokens;
      plan.cases.push_back(c);
    }
  }
  plan.cache_tokens = std::max(plan.cache_tokens, prompt);
  return plan;
}

}  // namespace qiao::tools
