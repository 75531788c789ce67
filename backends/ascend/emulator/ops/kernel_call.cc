#include "backends/ascend/emulator/ops/kernel_call.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "kernels/common/args.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"
#include "kernels/reference/reference.h"

namespace qiao::cann {
namespace {

// Memory of a stream's worker for the kernels' workspaces; grows, and is aligned to 64.
void* Workspace(uint64_t bytes) {
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  thread_local std::unique_ptr<void, Free> memory;
  thread_local uint64_t size = 0;
  if (bytes > size) {
    size = (bytes + 63) / 64 * 64;
    memory.reset(std::aligned_alloc(64, size));
  }
  return memory.get();
}

}  // namespace

ThreadPool& Pool() {
  static ThreadPool& pool = *new ThreadPool;
  return pool;
}

qiao_tensor Describe(const View& view) {
  qiao_tensor t{};
  t.struct_size = sizeof(t);
  t.dtype = QiaoDType(view.dtype);
  t.rank = static_cast<uint32_t>(view.rank);
  for (int d = 0; d < view.rank && d < QIAO_MAX_RANK; ++d) {
    t.dim[d] = view.size(d);
    t.stride[d] = view.step(d);
  }
  return t;
}

KernelRun& KernelRun::Add(const View& view) { return Add(Describe(view), view.data()); }

KernelRun& KernelRun::AddAbsent() {
  qiao_tensor t{};
  t.struct_size = sizeof(t);
  return Add(t, nullptr);
}

KernelRun& KernelRun::Add(const qiao_tensor& tensor, void* pointer) {
  tensor_.push_back(tensor);
  pointer_.push_back(pointer);
  return *this;
}

void KernelRun::Run(const qiao_batch* batch) {
  const qiao_op_call call{sizeof(qiao_op_call), op_, params_, static_cast<uint32_t>(tensor_.size()),
                          tensor_.data()};
  kernels::KernelCall run{params_, tensor_.data(), pointer_.data(), batch, nullptr};
  std::string why;
  if (const kernels::cpu::OpKernel* found = kernels::cpu::FindKernel(op_)) {
    const kernels::cpu::OpKernel& kernel = kernels::cpu::KernelFor(*found, call);
    if (kernel.supports(call, &why)) {
      static const kernels::cpu::Isa isa = kernels::cpu::BestIsa();
      run.workspace = Workspace(kernel.workspace(call, Pool().size()));
      kernel.select(isa)(run, Pool());
      return;
    }
  }
  kernels::reference::Find(op_)(run);
}

}  // namespace qiao::cann
