#include "tests/serve/load/findings.h"

#include <algorithm>
#include <cstdio>

#include "tools/infer/load/statistics.h"
#include "tools/infer/terminal.h"

namespace qiao::storm {

void Findings::Tell(std::string_view name, double value, std::string_view unit) {
  if (!json_) {
    std::printf("%-10s        %s: %.6g %s\n", scenario_.c_str(), std::string(name).c_str(), value,
                std::string(unit).c_str());
    std::fflush(stdout);
  }
  findings_.push_back({{"name", name}, {"value", value}, {"unit", unit}});
}

void Findings::Promise(std::string_view name, double value, std::string_view unit, bool kept,
                       std::string_view promise) {
  broken_ |= !kept;
  if (!json_) {
    std::printf("%-10s %s %s: %.6g %s (promised: %s)\n", scenario_.c_str(), kept ? "kept  " : "BROKEN",
                std::string(name).c_str(), value, std::string(unit).c_str(), std::string(promise).c_str());
    std::fflush(stdout);
  }
  findings_.push_back(
      {{"name", name}, {"value", value}, {"unit", unit}, {"kept", kept}, {"promise", promise}});
}

void Findings::Example(std::string_view name, std::string_view text) {
  int same = 0;
  for (const auto& example : examples_) same += example["name"] == name ? 1 : 0;
  if (same >= kMostExamples) return;
  if (!json_) {
    std::printf("%-10s          %s: %s\n", scenario_.c_str(), std::string(name).c_str(),
                tools::Printable(text).c_str());
    std::fflush(stdout);
  }
  examples_.push_back({{"name", name}, {"text", text}});
}

void Findings::Finish() const {
  if (!json_) return;
  tools::PrintJson(
      {{"scenario", scenario_}, {"kept", !broken_}, {"findings", findings_}, {"examples", examples_}});
}

double PercentileOf(std::vector<double> values, double percent) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return tools::Percentile(values, percent);
}

}  // namespace qiao::storm
