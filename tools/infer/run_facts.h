// What reports of measurements begin with: which model ran, how, where and when.
#pragma once

#include <string>

#include "tools/infer/args.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {

// Empty where it is not known.
struct RunFacts {
  std::string model, family, weight_format, backend, numerics, device, machine, date;
  bool row_invariant = false;
};

// With what the command line, the machine and the clock say; the rest is the model's and the device's.
RunFacts RunFactsOf(const std::string& model, const DeviceArgs& args);

// Prints the model as a heading. What it returns has the first rows of the table below.
Table PrintHeading(const RunFacts& facts);

}  // namespace qiao::tools
