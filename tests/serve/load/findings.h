// What a scenario found, a line each, and whether a promise of the server was broken.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"

namespace qiao::storm {

class Findings {
 public:
  explicit Findings(std::string scenario, bool json) : scenario_(std::move(scenario)), json_(json) {}

  // A number that is only told. `unit` may be empty.
  void Tell(std::string_view name, double value, std::string_view unit = "");
  // A number and what is promised of it.
  void Promise(std::string_view name, double value, std::string_view unit, bool kept,
               std::string_view promise);
  // What must be so: 1 or 0, and "yes" is promised.
  void Promise(std::string_view name, bool kept) { Promise(name, kept ? 1 : 0, "", kept, "yes"); }
  // An example of what went wrong; the first few of a name are shown.
  void Example(std::string_view name, std::string_view text);

  bool broken() const { return broken_; }
  // With json, one object on stdout: {"scenario","kept","findings":[{"name","value","unit","kept","promise"}],
  // "examples":[{"name","text"}]}. Lines were printed as they came otherwise.
  void Finish() const;

 private:
  static constexpr int kMostExamples = 20;
  std::string scenario_;
  bool json_, broken_ = false;
  OrderedJson findings_ = OrderedJson::array(), examples_ = OrderedJson::array();
};

// Of values in any order; 0 where there are none.
double PercentileOf(std::vector<double> values, double percent);

}  // namespace qiao::storm
