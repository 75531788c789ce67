// Launches as reports for GenerateRequest::on_operation.
#pragma once

#include <qiao/engine.h>

#include <functional>

#include "runtime/program/observer.h"

namespace qiao::engine {

// `report` must outlive it.
class OperationObserver : public program::StepObserver {
 public:
  explicit OperationObserver(const std::function<void(const OperationReport&)>& report) : report_(report) {}
  bool prefill = true;
  absl::Status OnLaunch(const program::LaunchEvent& event) override;

 private:
  const std::function<void(const OperationReport&)>& report_;
};

}  // namespace qiao::engine
