// What many measurements have in common.
#pragma once

#include <cstdint>
#include <vector>

namespace qiao::tools {

// The value below which `percent` of `sorted` (ascending, not empty) lie, between two of them by their
// distance, as numpy.percentile does by default.
double Percentile(const std::vector<double>& sorted, double percent);

struct Percentiles {
  int64_t count = 0;  // 0: the rest says nothing
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, most = 0;
};
Percentiles PercentilesOf(std::vector<double> values);

}  // namespace qiao::tools
