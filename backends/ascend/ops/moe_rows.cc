// moe_permute and moe_combine: MoeInitRouting and MoeFinalizeRouting.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

class MoePermuteKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "moe_permute";
  enum { kX, kIds, kXp, kEnds, kSlot };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) { return NeedActs(call, {kX, kXp}); }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kIds), k = a.tensor(kIds).dim[1], all = a.tensor(kIds).dim[0];
    // All of them, because the dead ones begin at any address; the live ones are written after.
    if (rows < all) l.Run(cann().InplaceFillScalar, a.All(kSlot), Scalar(int32_t{-1}));
    if (rows == 0) {
      l.Run(cann().InplaceFillScalar, a.All(kEnds), Scalar(int32_t{0}));
      return;
    }
    constexpr int64_t kNoCapacity = 0, kDropless = 0, kRunningCounts = 0, kUnquantised = -1, kWhereItWent = 0;
    const int64_t pairs = rows * k, experts = a.params<qiao_moe_permute_params>().experts;
    const View no_scale = l.Temp(ACL_FLOAT, {pairs});
    l.Run(cann().MoeInitRoutingV3, l.Packed(a(kX)), a(kIds), kNone, kNone, pairs, kNoCapacity, experts,
          kDropless, kRunningCounts, true, kUnquantised, Ints{0, experts}, kWhereItWent,
          a.All(kXp).Slice(0, 0, pairs), a(kSlot).Merge(0), a.All(kEnds), no_scale);
  }
};

// MoeFinalizeRouting wants weights of the rows' dtype. They are f32 here, and rounding them to bf16 costs more than the
// tolerance of a weighted sum, so that rows in bf16 are widened for it.
class MoeCombineKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "moe_combine";
  enum { kYp, kSlot, kW, kShared, kY };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    return NeedActs(call, {kYp, kShared, kY});
  }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kSlot), k = a.tensor(kSlot).dim[1];
    if (rows == 0) return;
    constexpr int64_t kDroplessByRow = 2;
    const View yp = l.As(a.All(kYp).Slice(0, 0, rows * k), ACL_FLOAT), y = a(kY);
    const View sum = y.dtype == ACL_FLOAT ? y : l.Temp(ACL_FLOAT, {rows, y[1]});
    const auto combine = [&](const auto& shared) {
      l.Run(cann().MoeFinalizeRoutingV2, yp, a(kSlot).Merge(0), shared, kNone, kNone, a(kW), kNone,
            kDroplessByRow, sum);
    };
    if (a.has(kShared)) {
      combine(l.As(a(kShared), ACL_FLOAT));
    } else {
      combine(kNone);
    }
    if (y.dtype != ACL_FLOAT) l.Run(cann().Cast, sum, y.dtype, y);
  }
};

}  // namespace

void AddMoeRows(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<MoePermuteKernel>>(QIAO_OP_MOE_PERMUTE, device);
  to.Add<AscendOperation<MoeCombineKernel>>(QIAO_OP_MOE_COMBINE, device);
}

}  // namespace qiao::ascend
