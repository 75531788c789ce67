// rmsnorm and add_rmsnorm. The gain is f32 whatever the rows are, so that it is multiplied before the one rounding.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

class RmsNormKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "rmsnorm";
  enum { kX, kG, kY };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) { return NeedActs(call, {kX, kY}); }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(kX) == 0) return;
    const View x = a(kX);
    const View rstd = l.Temp(ACL_FLOAT, {x.elements() / x[-1], 1});
    View one = rstd;  // a row each, of x's rank
    if (x.rank == 3) one = rstd.Split(0, x[1]);
    l.Run(cann().RmsNorm, x, a(kG), static_cast<double>(a.params<qiao_rmsnorm_params>().eps), a(kY), one);
  }
};

class AddRmsNormKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "add_rmsnorm";
  enum { kX, kResidual, kG, kY, kSum };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[kX].dtype != QIAO_F32)
      return Answer::No("AddRmsNorm takes a gain of the rows' dtype only, and the gain is f32");
    return NeedActs(call, {kX, kResidual, kY, kSum});
  }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(kX) == 0) return;
    const View rstd = l.Temp(ACL_FLOAT, {a.rows(kX), 1});
    l.Run(cann().AddRmsNorm, a(kX), a(kResidual), a(kG),
          static_cast<double>(a.params<qiao_add_rmsnorm_params>().eps), a(kY), rstd, a(kSum));
  }
};

}  // namespace

void AddNorms(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<RmsNormKernel>>(QIAO_OP_RMSNORM, device);
  to.Add<AscendOperation<AddRmsNormKernel>>(QIAO_OP_ADD_RMSNORM, device);
}

}  // namespace qiao::ascend
