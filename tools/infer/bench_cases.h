// Which cases a benchmark runs: what was asked for, less what does not fit the context or the memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::tools {

// A prompt of `tokens`, or `batch` sequences that each hold `depth` tokens and make some more.
struct BenchCase {
  bool prefill = false;
  int64_t tokens = 0;
  int64_t depth = 0, batch = 0;
};
std::string NameOf(const BenchCase& c);  // "prefill 512", "decode depth 4096 batch 8"

struct BenchLists {
  std::vector<int64_t> prefill, depth, batch;
  int64_t steps = 0;  // tokens that each sequence of a decode case makes
};

// Tokens of a cache page at most, where the device chooses.
inline constexpr int64_t kMostPageTokens = 256;

struct BenchRoom {
  int64_t context = 0;  // tokens that a sequence may hold
  int64_t page_tokens = kMostPageTokens;
  uint64_t cache_bytes_per_token = 0;
  uint64_t cache_bytes = 0;  // for the caches of all sequences
};

struct BenchPlan {
  struct Skipped {
    BenchCase what;
    std::string why;
  };
  std::vector<BenchCase> cases;
  std::vector<Skipped> skipped;
  int64_t steps = 0;
  int64_t first_prompt = 0;    // tokens of the prompt whose time to the first token is taken
  std::vector<int64_t> depth;  // by sequence: how deep its cache is filled
  // What the runner must be made for.
  int64_t context = 0, cache_tokens = 0, sequences = 0;
};

// "128,512": whole numbers of least..most, in that order, none twice; "none": none. Errors name the option.
absl::StatusOr<std::vector<int64_t>> ParseList(std::string_view option, std::string_view text, int64_t least,
                                               int64_t most);

BenchPlan PlanBench(const BenchLists& lists, const BenchRoom& room);

}  // namespace qiao::tools
