// The backend of the vectorised host kernels (kernels/cpu). Memory is the host's; weights.h says how weights
// lie in it. Streams are synchronous: a launch returns when its work is done. Streams of one device share its
// threads and take turns at them, loop by loop.
//
// Device options:
//   threads  how many threads work on a launch, the caller included; 0 (the default) is AvailableCpus()
//   isa      the best instruction set that may be used: auto (the default) or a name of kernels/cpu/isa.h.
//            Without it the environment's QIAO_CPU_ISA is taken.
//   gemm     own (the default), or library: unscaled f32 and bf16 weights of many rows go through oneDNN.
//            Such plans are not row-invariant.
//   order    row (the default): a row's bits depend on nothing else in the step; fast: may differ, where that
//            is faster: gemm = library where there is one and the own kernels have no AVX-512. With it they
//            are faster: the library took prompts of a bf16 model at 0.90 to 0.98 of their rate.
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <qiao/backend.hpp>
#include <string>
#include <utility>
#include <vector>

#include "backends/cpu/machine.h"
#include "backends/cpu/weights.h"
#include "kernels/cpu/kernel.h"
#include "kernels/cpu/library_gemm.h"
#include "kernels/cpu/limits.h"
#include "runtime/base/threads.h"

namespace qiao::cpu_backend {
namespace {

using namespace qiao::plugin;
using kernels::cpu::Isa;

constexpr uint64_t kHugePage = 2 << 20;
constexpr uint64_t kStreamBytes = uint64_t{4} << 30;  // more than any CPU's caches

class CpuKernel : public Kernel {
 public:
  CpuKernel(const qiao_op_call& call, const kernels::cpu::OpKernel& op, Isa isa, ThreadPool& pool)
      : pool_(pool) {
    copied_ = CallCopy::Make(call, call_);
    function_ = op.select(isa);
    workspace_ = op.workspace(call, pool.size());
    name_ = std::string("cpu_") + op.name + "_" + std::string(Name(isa));
  }
  const Status& copied() const { return copied_; }

  void Info(qiao_plan_info& info) const override {
    info.flags = QIAO_PLAN_ROW_INVARIANT;
    info.workspace_bytes = workspace_;
    SetName(info, name_);
  }

  Status Launch(Stream&, const qiao_launch& launch) const override {
    function_(Call(launch), pool_);
    return Ok();
  }

 protected:
  kernels::KernelCall Call(const qiao_launch& launch) const {
    kernels::KernelCall call;
    call.params = call_.params();
    call.tensor = call_.tensors().data();
    call.pointer = launch.argument;
    call.batch = launch.batch;
    call.workspace = launch.workspace;
    return call;
  }

 private:
  ThreadPool& pool_;
  kernels::cpu::Kernel function_;
  uint64_t workspace_;
  std::string name_;
  CallCopy call_;
  Status copied_;
};

// linear through the library where there are rows enough, and through the own kernel where not.
class LibraryKernel : public CpuKernel {
 public:
  LibraryKernel(const qiao_op_call& call, const kernels::cpu::OpKernel& op, Isa isa, ThreadPool& pool,
                std::unique_ptr<kernels::cpu::LibraryLinear> library)
      : CpuKernel(call, op, isa, pool), pool_(pool), library_(std::move(library)) {}

  void Info(qiao_plan_info& info) const override {
    CpuKernel::Info(info);
    info.flags = 0;
    info.workspace_bytes = std::max(info.workspace_bytes, library_->workspace_bytes());
    SetName(info, "cpu_linear_onednn");
  }

  Status Launch(Stream& stream, const qiao_launch& launch) const override {
    const kernels::KernelCall call = Call(launch);
    if (kernels::LiveRows(call, 0) < kernels::cpu::kLibraryLeast) return CpuKernel::Launch(stream, launch);
    if (!library_->Run(call, pool_))
      return Status(QIAO_INTERNAL, "oneDNN failed in a matrix product; try gemm=own");
    return Ok();
  }

 private:
  ThreadPool& pool_;
  std::unique_ptr<kernels::cpu::LibraryLinear> library_;
};

class CpuOperation : public Operation {
 public:
  CpuOperation(const kernels::cpu::OpKernel& op, Isa isa, ThreadPool& pool,
               std::shared_ptr<const kernels::cpu::GemmLibrary> library)
      : op_(op), isa_(isa), pool_(pool), library_(std::move(library)) {}

  Answer Support(const qiao_op_call& call) const override {
    const kernels::cpu::OpKernel& op = KernelFor(op_, call);
    std::string why;
    if (!op.supports(call, &why)) return Answer::No(std::move(why));
    return Answer::Yes(std::string("cpu_") + op.name + "_" + std::string(Name(isa_)));
  }

  std::unique_ptr<Kernel> Prepare(const qiao_op_call& call, Status& status) const override {
    if (library_ != nullptr && kernels::cpu::LibraryLinear::Takes(call)) {
      std::string why;
      if (auto linear = kernels::cpu::LibraryLinear::Prepare(library_, call, pool_.size(), &why)) {
        auto kernel = std::make_unique<LibraryKernel>(call, op_, isa_, pool_, std::move(linear));
        status = kernel->copied();
        return kernel;
      }
    }
    auto kernel = std::make_unique<CpuKernel>(call, KernelFor(op_, call), isa_, pool_);
    status = kernel->copied();
    return kernel;
  }

 private:
  const kernels::cpu::OpKernel& op_;
  Isa isa_;
  ThreadPool& pool_;
  std::shared_ptr<const kernels::cpu::GemmLibrary> library_;  // null: not asked for
};

class CpuDevice : public HostDevice {
 public:
  CpuDevice(Host host, int threads, std::optional<Isa> cap,
            const std::shared_ptr<const kernels::cpu::GemmLibrary>& library)
      : HostDevice(std::move(host)),
        cap_(cap),
        isa_(kernels::cpu::BestIsa(cap)),
        library_(library != nullptr),
        pool_(threads) {
    for (const OpInfo& op : kOps) {
      if (const kernels::cpu::OpKernel* kernel = kernels::cpu::FindKernel(op.id)) {
        registry().Add<CpuOperation>(op.id, *kernel, isa_, pool_, library);
      }
    }
  }

  static uint32_t Count(std::string&) { return 1; }

  static Status Open(uint32_t, Host host, std::unique_ptr<Device>& out) {
    int64_t threads = 0;
    std::string isa = "auto", gemm = "own", order = "row";
    const char* environment = std::getenv("QIAO_CPU_ISA");
    std::vector<std::string> isas = kernels::cpu::IsaNames();
    isas.insert(isas.begin(), "auto");
    Options options(host);
    options.Integer("threads", threads, 0, 4096)
        .Text("isa", isa, isas)
        .Text("gemm", gemm, {"own", "library"})
        .Text("order", order, {"row", "fast"});
    QIAO_PLUGIN_RETURN_IF_ERROR(options.Finish());
    if (isa == "auto" && environment && *environment) isa = environment;
    const std::optional<Isa> cap = kernels::cpu::ParseIsa(isa);
    if (!cap && isa != "auto") {
      std::string list;
      for (const std::string& name : isas) list += (list.empty() ? "" : ", ") + name;
      return InvalidArgument("QIAO_CPU_ISA = \"" + isa + "\" is not one of " + list);
    }
    std::shared_ptr<const kernels::cpu::GemmLibrary> library;
    const bool library_is_faster = kernels::cpu::BestIsa(cap) < Isa::kAvx512;
    if (gemm == "library" || (order == "fast" && library_is_faster)) {
      std::string why;
      library = kernels::cpu::LoadGemmLibrary(&why);
      if (library == nullptr && gemm == "library")
        return Status(QIAO_UNAVAILABLE, "option gemm = library: " + why);
    }
    out = std::make_unique<CpuDevice>(std::move(host), static_cast<int>(threads), cap, library);
    return Ok();
  }

  Status Properties(qiao_device_properties& properties) override {
    const Memory memory = ReadMemory();
    properties.flags = QIAO_DEVICE_UNIFIED;
    properties.memory_bytes = memory.total;
    properties.memory_free_bytes = memory.free;
    properties.alignment = alignment();
    properties.threads = static_cast<uint32_t>(pool_.size());
    SetText(properties.name, Format("%s (%d threads)", CpuName().c_str(), pool_.size()));
    std::string text = "instructions: " + std::string(Name(isa_));
    for (const std::string& why : kernels::cpu::HostIsas().WhyNotBetter(isa_, cap_))
      text += "\nnot used: " + why;
    text += Format("\nthreads: %d", pool_.size());
    if (const std::string caches = CacheSizes(); !caches.empty()) text += "\ncaches: " + caches;
    const std::string huge = HugePageMode();
    text += "\nhuge pages: ";
    text += huge.empty() ? "unknown to this kernel" : "transparent, " + huge;
    SetText(properties.description, text);
    return Ok();
  }

  // The machine's limits, whatever instruction set the kernels are capped to. Reads go over 4 GiB, or over
  // half of what is free.
  Status MeasureLimits(uint64_t stream_bytes, qiao_device_limits& limits) override {
    if (stream_bytes == 0) {
      const uint64_t free = ReadMemory().free;
      stream_bytes = free == 0 ? kStreamBytes : std::min(kStreamBytes, free / 2);
    }
    QIAO_PLUGIN_RETURN_IF_ERROR(host().Reserve(stream_bytes));
    const kernels::cpu::Limits measured = kernels::cpu::MeasureLimits(stream_bytes, pool_);
    host().Release(stream_bytes);
    limits.threads = static_cast<uint32_t>(pool_.size());
    limits.read_bytes_per_s = measured.read.per_second;
    limits.flops_f32 = measured.f32.per_second;
    limits.flops_bf16 = measured.bf16.per_second;
    limits.ops_i8 = measured.i8.per_second;
    SetText(limits.how, "reads: " + measured.read.how + "\nf32: " + measured.f32.how +
                            "\nbf16: " + measured.bf16.how + "\nint8: " + measured.i8.how);
    return Ok();
  }

  // Large memory begins on a huge page and asks for more of them: weights and caches are walked from end to
  // end, and small pages would cost a table walk every 4 KiB.
  Status Allocate(uint64_t bytes, void** out) override {
    const bool large = bytes >= kHugePage;
    QIAO_PLUGIN_RETURN_IF_ERROR(AllocateAligned(bytes, large ? kHugePage : alignment(), out));
#if defined(__linux__)
    // A refusal costs speed only.
    if (large) (void)::madvise(*out, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    return Ok();
  }

  // A library multiplies weights as the files hold them, and so do tiles. What the library never takes is packed.
  Status ChooseWeight(const qiao_weight_request& request, qiao_weight_choice& choice) override {
    const bool left_to_library =
        library_ && request.op == QIAO_OP_LINEAR && request.groups == 1 && request.piece_count > 0 &&
        kernels::cpu::LibraryLinear::MayTake(request.piece[0].dtype, request.piece[0].scheme);
    const bool pack = !left_to_library && isa_ != Isa::kAmx;
    return cpu_backend::ChooseWeight(request, pack, alignment(), choice);
  }

  Status StoreWeight(Stream&, const qiao_weight_request& request, const qiao_weight_choice& choice,
                     void* dst) override {
    return cpu_backend::StoreWeight(request, choice, isa_, pool_, dst);
  }

 private:
  std::optional<Isa> cap_;
  Isa isa_;
  bool library_;
  ThreadPool pool_;
};

}  // namespace
}  // namespace qiao::cpu_backend

QIAO_DEFINE_BACKEND(qiao::cpu_backend::CpuDevice, "cpu", "0.1.0", "Qiao")
