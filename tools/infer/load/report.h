// What a load found, as tables and as JSON.
#pragma once

#include <string>

#include "runtime/base/json.h"
#include "tools/infer/load/measures.h"
#include "tools/infer/run_facts.h"

namespace qiao::tools {

// How it was served; 0 where it is not known.
struct ServerFacts {
  std::string url, route,
      software;  // of a server that was reached over HTTP; empty: the engine in this process
  bool prefix_cache = false;
  int64_t sequences = 0, chunk = 0, mixed_chunk = 0;
  int64_t context = 0, cache_tokens = 0, pages = 0;
  uint64_t cache_bytes_per_token = 0;
  double load_seconds = 0;
};

struct LoadReport {
  RunFacts facts;
  ServerFacts server;
  WorkloadPlan plan;
  int64_t shortened = 0;
  Deadlines deadlines;
  uint64_t peak_memory = 0;
  LoadRun run;
  Measures measures;
};

// "20 requests, 4 a second; prompts of uniform:16:64 tokens, answers of 32; seed 1"
std::string Describe(const WorkloadPlan& plan);

void Print(const LoadReport& report);
// Times in milliseconds where a key ends in _ms, else in seconds. Names are stable: what is added is new.
OrderedJson ToJson(const LoadReport& report);

}  // namespace qiao::tools
