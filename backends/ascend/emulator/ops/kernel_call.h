// Operators that are one of Qiao's own operations (qiao/ops.h) run its kernel: the vectorised one where it takes the call,
// else the scalar definition.
#pragma once

#include <qiao/ops.h>

#include <vector>

#include "backends/ascend/emulator/nnopbase/view.h"
#include "runtime/base/threads.h"

namespace qiao::cann {

// The threads that all streams' operators share; loops on it take turns.
ThreadPool& Pool();

// One call. Arguments are added in the order of qiao/ops.h; all rows are live.
class KernelRun {
 public:
  // `params` must live until Run has returned.
  KernelRun(uint32_t op, const void* params) : op_(op), params_(params) {}

  // A strided argument of at most five dimensions.
  KernelRun& Add(const View& view);
  KernelRun& AddAbsent();
  // An argument that View cannot describe.
  KernelRun& Add(const qiao_tensor& tensor, void* pointer);
  void Run(const qiao_batch* batch = nullptr);

 private:
  uint32_t op_;
  const void* params_;
  std::vector<qiao_tensor> tensor_;
  std::vector<void*> pointer_;
};

qiao_tensor Describe(const View& view);

}  // namespace qiao::cann
