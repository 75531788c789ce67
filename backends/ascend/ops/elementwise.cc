// add, cast and swiglu: one aclnn call each.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

class AddKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "add";
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) { return NeedActs(call, {0, 1, 2}); }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(0) > 0) l.Run(cann().Add, a(0), a(1), Scalar(1.0f), a(2));
  }
};

class CastKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "cast";
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[0].dtype != QIAO_F16 && !IsAct(call.argument[0]))
      return Answer::No("x must be f32, bf16 or f16");
    return NeedActs(call, {1});
  }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(0) == 0) return;
    if (a.tensor(0).dtype == a.tensor(1).dtype) {
      l.Copy(a(1), a(0));
    } else {
      l.Run(cann().Cast, a(0), AclType(a.tensor(1).dtype), a(1));
    }
  }
};

// With `ends` too every row of the bucket is computed: how many are live is known on the device only, and dead rows may
// hold anything.
class SwiGluKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "swiglu";
  enum { kX, kEnds, kY };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) { return NeedActs(call, {kX, kY}); }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(kX) > 0) l.Run(cann().SwiGlu, l.Packed(a(kX)), int64_t{-1}, a(kY));
  }
};

}  // namespace

void AddElementwise(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<AddKernel>>(QIAO_OP_ADD, device);
  to.Add<AscendOperation<CastKernel>>(QIAO_OP_CAST, device);
  to.Add<AscendOperation<SwiGluKernel>>(QIAO_OP_SWIGLU, device);
}

}  // namespace qiao::ascend
