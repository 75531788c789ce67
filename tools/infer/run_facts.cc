#include "tools/infer/run_facts.h"

#include <cstdio>

#include "tools/infer/machine.h"

namespace qiao::tools {

RunFacts RunFactsOf(const std::string& model, const DeviceArgs& args) {
  RunFacts facts;
  facts.model = model;
  facts.backend = args.backend;
  facts.numerics = args.numerics;
  facts.machine = MachineLine();
  facts.date = UtcNow();
  return facts;
}

Table PrintHeading(const RunFacts& f) {
  std::printf("%s  %s, %s\n", Out(Style::kBold, Printable(f.model)).c_str(), Printable(f.family).c_str(),
              Printable(f.weight_format).c_str());
  Table table({Table::kLeft, Table::kLeft});
  table.Row({"machine", Printable(f.machine) + ", " + f.date});
  table.Row({"run", absl::StrFormat("%s on %s: %s%s", f.numerics, f.backend, Printable(f.device),
                                    f.row_invariant ? "; row-invariant" : "")});
  return table;
}

}  // namespace qiao::tools
