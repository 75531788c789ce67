// The CPU kernels' interface: for each operation below QIAO_OP_COARSE one kernel, vectorised with Google
// Highway, chosen by instruction set when a plan is prepared.
//
// Numbers. What a row computes depends on the instruction set, the weight's format and the shape of a row
// only: never on how many rows share the launch, nor on the number of threads. Each kernel's file says how it
// keeps to that.
#pragma once

#include <qiao/ops.h>

#include <cstdint>
#include <string>

#include "kernels/common/args.h"
#include "kernels/cpu/isa.h"
#include "runtime/base/threads.h"

namespace qiao::kernels::cpu {

// Runs one launch on the calling thread and, where it pays, on the pool. Allocates nothing. The call has
// passed `supports`, its workspace holds `workspace` bytes, aligned to 64.
using Kernel = void (*)(const KernelCall& call, ThreadPool& pool);

struct OpKernel {
  uint32_t op;
  const char* name;
  // Whether `call` can be run. The catalogue has already checked shapes; this looks at what these kernels
  // lack. *why says what is missing, or is left alone.
  bool (*supports)(const qiao_op_call& call, std::string* why);
  uint64_t (*workspace)(const qiao_op_call& call, int threads);
  Kernel (*select)(Isa isa);
};

// Null for an operation that has no kernel here.
const OpKernel* FindKernel(uint32_t op);
// The kernel for a call of the operation that `kernel` is for: products of INT8 rows have kernels of their
// own.
const OpKernel& KernelFor(const OpKernel& kernel, const qiao_op_call& call);

}  // namespace qiao::kernels::cpu
