#include "runtime/engine/operation_observer.h"

#include <string>

#include "runtime/ops/graph.h"
#include "runtime/program/launch_cost.h"

namespace qiao::engine {

absl::Status OperationObserver::OnLaunch(const program::LaunchEvent& event) {
  QIAO_ASSIGN_OR_RETURN(const program::LaunchCost cost, program::CostOf(event));
  const std::string kernel = event.plan->kernel();
  report_({.prefill = prefill,
           .operation = ops::OpName(event.call->op),
           .node = event.node->name,
           .kernel = kernel,
           .seconds = event.seconds,
           .flops = cost.cost.flops,
           .bytes = cost.cost.bytes,
           .arithmetic = program::Name(cost.arithmetic)});
  return absl::OkStatus();
}

}  // namespace qiao::engine
