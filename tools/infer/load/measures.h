// What the records of a load say: rates, latencies, how many met their deadlines. Seconds throughout.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/infer/load/driver.h"
#include "tools/infer/load/statistics.h"

namespace qiao::tools {

// What a request may take; 0: any time.
struct Deadlines {
  double first_token = 0, per_token = 0;
  bool any() const { return first_token > 0 || per_token > 0; }
};

// Decoding alone, as `infer bench` measures it for a batch: while exactly `sequences` requests are between their
// first and last token and no prompt is being read. tokens_per_second is `sequences` over the mean time between
// two tokens of a request.
struct SteadyDecode {
  int64_t sequences = 0;
  int64_t tokens = 0;
  double seconds = 0;
  double depth = 0;  // tokens before each, prompt and answer, on average
  double tokens_per_second() const { return static_cast<double>(tokens) / seconds; }
};

struct Measures {
  double seconds = 0;  // from the start to the last end
  int64_t asked = 0, sent = 0, finished = 0, failed = 0, refused = 0, cancelled = 0;
  // Of prompts that were read to their end, and all tokens that came.
  int64_t prompt_tokens = 0, output_tokens = 0;
  int64_t cached_tokens = 0, drafted = 0, accepted = 0, preemptions = 0;

  // Latencies count from the moment at which a request was due: that it was sent late, or waited, is part of
  // them. Of finished requests.
  Percentiles queue;        // until its first step; absent where the server does not tell
  Percentiles first_token;  // TTFT
  Percentiles per_token;    // TPOT: from the first token to the last, a token after the first
  Percentiles gap;          // between two tokens of a request, all of them
  Percentiles end_to_end;
  Percentiles late;  // from due to sent

  std::optional<int64_t> met;  // requests that kept the deadlines, where there are any
  std::optional<SteadyDecode> steady;

  // Of the samples, over time.
  double running_mean = 0, waiting_mean = 0;
  int64_t running_most = 0, waiting_most = 0;
  int64_t steps = 0, rows = 0;
  double step_seconds = 0;

  std::map<std::string, int64_t> errors, refusals;  // by text

  double PerSecond(int64_t count) const { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }
};

// Of one finished request.
struct Latencies {
  double first_token = 0, end_to_end = 0;
  std::optional<double> per_token;  // where it had two tokens or more
};
Latencies LatenciesOf(const RequestRecord& record);
// One without a second token keeps any deadline for it.
bool Meets(const Latencies& latencies, const Deadlines& deadlines);

// `sequences`: that the server runs at once.
Measures Measure(const LoadRun& run, int64_t sequences, const Deadlines& deadlines);
// Absent where so many never decoded alone.
std::optional<SteadyDecode> MeasureSteadyDecode(const LoadRun& run, int64_t sequences);

// Rates over time, in `bins` equal parts of the run.
struct Series {
  double width = 0;                    // seconds of a bin
  std::vector<double> output, prompt;  // tokens a second; prompt is empty where the server does not tell
};
Series TokenRates(const LoadRun& run, int bins);

}  // namespace qiao::tools
