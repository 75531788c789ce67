// The backend of the scalar kernels: every operation of the catalogue that is not coarse, one element after
// the other, on one thread. What other backends are compared with, and `--fallback reference`.
#include <memory>
#include <qiao/backend.hpp>
#include <string>
#include <utility>

#include "kernels/common/args.h"
#include "kernels/reference/reference.h"

namespace qiao::reference_backend {
namespace {

using namespace qiao::plugin;

class ReferenceKernel : public Kernel {
 public:
  ReferenceKernel(const qiao_op_call& call, kernels::reference::KernelFn function) : function_(function) {
    copied_ = CallCopy::Make(call, call_);
  }
  const Status& copied() const { return copied_; }

  void Info(qiao_plan_info& info) const override {
    // Every sum is over one row, in the order that the file says.
    info.flags = QIAO_PLAN_ROW_INVARIANT;
    SetName(info, "reference_" + OpName(call_.op()));
  }

  Status Launch(Stream&, const qiao_launch& launch) const override {
    kernels::KernelCall call;
    call.params = call_.params();
    call.tensor = call_.tensors().data();
    call.pointer = launch.argument;
    call.batch = launch.batch;
    call.workspace = launch.workspace;
    function_(call);
    return Ok();
  }

 private:
  kernels::reference::KernelFn function_;
  CallCopy call_;
  Status copied_;
};

class ReferenceOperation : public Operation {
 public:
  explicit ReferenceOperation(kernels::reference::KernelFn function) : function_(function) {}

  Answer Support(const qiao_op_call& call) const override {
    std::string why;
    if (!kernels::reference::Supported(call, &why)) return Answer::No(std::move(why));
    return Answer::Yes("reference_" + OpName(call.op));
  }

  std::unique_ptr<Kernel> Prepare(const qiao_op_call& call, Status& status) const override {
    auto kernel = std::make_unique<ReferenceKernel>(call, function_);
    status = kernel->copied();
    return kernel;
  }

 private:
  kernels::reference::KernelFn function_;
};

class ReferenceDevice : public HostDevice {
 public:
  explicit ReferenceDevice(Host host) : HostDevice(std::move(host)) {
    for (const OpInfo& op : kOps) {
      if (auto function = kernels::reference::Find(op.id))
        registry().Add<ReferenceOperation>(op.id, function);
    }
  }

  static uint32_t Count(std::string&) { return 1; }

  static Status Open(uint32_t, Host host, std::unique_ptr<Device>& out) {
    QIAO_PLUGIN_RETURN_IF_ERROR(Options(host).Finish());
    out = std::make_unique<ReferenceDevice>(std::move(host));
    return Ok();
  }

  // Unified and without weight_choose: weights stay in the files, as pieces.
  Status Properties(qiao_device_properties& properties) override {
    properties.flags = QIAO_DEVICE_UNIFIED;
    properties.alignment = alignment();
    properties.threads = 1;
    SetText(properties.name, "scalar kernels on the host");
    SetText(properties.description, "double accumulation, one thread");
    return Ok();
  }
};

}  // namespace
}  // namespace qiao::reference_backend

QIAO_DEFINE_BACKEND(qiao::reference_backend::ReferenceDevice, "reference", "0.1.0", "Qiao")
