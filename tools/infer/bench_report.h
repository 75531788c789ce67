// What a benchmark found, as a table and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/json.h"
#include "tools/infer/bench_run.h"
#include "tools/infer/memory_use.h"
#include "tools/infer/run_facts.h"

namespace qiao::tools {

struct BenchResult {
  BenchCase what;
  CaseWork work;
  std::vector<double> seconds;                 // of each run
  std::vector<double> row_order_seconds = {};  // with --fast-math-order: of each run without it
};

struct BenchReport {
  RunFacts facts;
  std::string kv_dtype;
  uint32_t threads = 0;  // host threads of launches; 0 where none
  uint64_t seed = 0;
  int64_t steps = 0, repeat = 0;
  int64_t first_prompt = 0;
  double load_seconds = 0, first_prompt_seconds = 0;
  uint64_t mapped_weights = 0, stored_weights = 0, cache_bytes_per_token = 0;
  MemoryUse memory;
  bool memory_peak_is_models = false;  // the peak does not hold the memory that limits were measured on
  std::optional<Limits> limits;
  std::vector<BenchResult> results;
  std::vector<BenchPlan::Skipped> skipped;
};

void Print(const BenchReport& report, bool profile);
OrderedJson ToJson(const BenchReport& report, bool profile);

}  // namespace qiao::tools
