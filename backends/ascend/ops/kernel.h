// What the operations of this backend have in common: a kernel is a list of aclnn calls, written once (Emit) and used
// three times: to measure the workspace when a plan is prepared, to run, and to keep what was planned for the next
// launch with the same addresses and rows.
#pragma once

#include <cstdint>
#include <memory>
#include <qiao/backend.hpp>
#include <string>
#include <utility>

#include "backends/ascend/cann/launcher.h"
#include "backends/ascend/cann/view.h"
#include "backends/ascend/device.h"

namespace qiao::ascend {

// The arguments of one launch, with the rows that are live: what the host's batch says, all of the bucket while
// measuring.
class Arguments {
 public:
  // `pointers` null: measuring.
  Arguments(const qiao_op_call& call, void* const* pointers, const qiao_batch* batch)
      : call_(call), pointers_(pointers), batch_(batch) {}

  bool has(int i) const { return plugin::Has(call_, static_cast<uint32_t>(i)); }
  const qiao_tensor& tensor(int i) const { return call_.argument[i]; }
  void* pointer(int i) const { return pointers_ != nullptr ? pointers_[i] : nullptr; }
  int64_t rows(int i) const { return plugin::LiveRows(tensor(i), batch_); }
  // Argument i with its live rows.
  View operator()(int i) const { return View::Of(tensor(i), pointer(i), rows(i)); }
  // Argument i with all rows of the bucket.
  View All(int i) const { return View::Of(tensor(i), pointer(i), tensor(i).dim[0]); }
  template <typename P>
  const P& params() const {
    return plugin::ParamsOf<P>(call_);
  }
  const qiao_batch* batch() const { return batch_; }

 private:
  const qiao_op_call& call_;
  void* const* pointers_;
  const qiao_batch* batch_;
};

class AscendKernel : public plugin::Kernel {
 public:
  // `call` is shared by the launches and not changed. `name` is a literal.
  AscendKernel(AscendDevice& device, plugin::CallCopy call, const char* name);

  // Finds out how much workspace the calls take, and places what they need; before Info and Launch.
  plugin::Status Prepare();
  void Info(qiao_plan_info& info) const override;
  plugin::Status Launch(plugin::Stream& stream, const qiao_launch& launch) const override;
  // Makes the calls, which are kept in `recording` where there is one; without, what a captured step runs. The device is
  // bound.
  plugin::Status LaunchOnce(AscendStream& stream, const qiao_launch& launch,
                            Recording* recording = nullptr) const;
  // Whether the same addresses and live rows mean the same calls: not where lengths of sequences matter.
  virtual bool repeatable() const { return true; }

 protected:
  // The calls of one launch. Runs while measuring too, with null pointers and all rows.
  virtual void Emit(Launcher& l, const Arguments& a) const = 0;
  // What a launch finds on the device beside its arguments.
  virtual plugin::Status Prepared() { return plugin::Ok(); }
  // QIAO_PLAN_ROW_INVARIANT, where each output element is a function of its own inputs and the vendor's operators treat
  // every element alike.
  virtual uint32_t flags() const { return 0; }
  AscendDevice& device() const { return device_; }

 private:
  AscendDevice& device_;
  plugin::CallCopy call_;
  const char* name_;
  uint64_t id_;  // never used twice in a process
  uint64_t workspace_bytes_ = 0;
};

// An operation whose kernel class K has `static Answer Support(const qiao_op_call&, const AscendDevice&)` and
// `static constexpr char kName[]`.
template <typename K>
class AscendOperation : public plugin::Operation {
 public:
  explicit AscendOperation(AscendDevice& device) : device_(device) {}
  plugin::Answer Support(const qiao_op_call& call) const override { return K::Support(call, device_); }
  std::unique_ptr<plugin::Kernel> Prepare(const qiao_op_call& call, plugin::Status& status) const override {
    plugin::CallCopy copy;
    status = plugin::CallCopy::Make(call, copy);
    if (!status.ok()) return nullptr;
    auto kernel = std::make_unique<K>(device_, std::move(copy), K::kName);
    status = kernel->Prepare();
    if (!status.ok()) return nullptr;
    return kernel;
  }

 private:
  AscendDevice& device_;
};

// cubeMathType of products: f32 operands are multiplied as f32.
inline constexpr int8_t kKeepDtype = 0;

// f32 or bf16: what activations may be.
bool IsAct(const qiao_tensor& tensor);
// A no that names the first of the arguments that is not; yes otherwise.
plugin::Answer NeedActs(const qiao_op_call& call, std::initializer_list<int> arguments);

}  // namespace qiao::ascend
