// grouped_linear: GroupedMatmul over the rows of all experts, with the running counts as its list of groups.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"
#include "backends/ascend/weights.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

class GroupedLinearKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "grouped_linear";
  enum { kX, kXScale, kEnds, kW, kY };
  using AscendKernel::AscendKernel;

  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    const qiao_tensor &x = call.argument[kX], &w = call.argument[kW], &y = call.argument[kY];
    if (x.dtype == QIAO_F8E4M3) return Answer::No("E4M3 rows: this chip has no matrix units for them");
    if (w.layout != QIAO_LAYOUT_OPAQUE) return Answer::No("the weight must be stored by weight_store");
    if (x.dtype == QIAO_I8) {
      if (w.dtype != QIAO_I8) return Answer::No("INT8 rows meet INT8 weights");
      if (y.dtype != QIAO_BF16) return Answer::No("GroupedMatmul of INT8 rows writes bf16, not f32");
      return Answer::Yes();
    }
    if (y.dtype != x.dtype) return Answer::No("GroupedMatmul writes the dtype of its rows");
    return NeedActs(call, {kX, kW, kY});
  }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(kX) == 0) return;
    const qiao_tensor& w = a.tensor(kW);
    const int64_t experts = w.dim[0], n = w.dim[1], k = w.dim[2];
    const View x = l.Packed(a(kX)), y = a(kY), ends = a.All(kEnds);
    const bool i8 = a.tensor(kX).dtype == QIAO_I8, nz = w.dtype != QIAO_F32 && device().weights().nz();
    const aclDataType dtype = AclType(w.dtype);
    const View weight = nz ? View::FractalNz(a.pointer(kW), dtype, {experts, k, n})
                           : View::Contiguous(a.pointer(kW), dtype, {experts, k, n});
    const View to = y.contiguous() ? y : l.Temp(y.dtype, {y[0], n});
    constexpr int64_t kOneOutput = 3, kAlongRows = 0, kRunningCounts = 0, kNoActivation = 0, kNoGroups = 0;
    const auto multiply = [&](const auto& scale, const auto& x_scale) {
      if (nz) {
        l.Run(cann().GroupedMatmulWeightNz, Tensors{x}, Tensors{weight}, kNone, scale, kNone, kNone, kNone,
              x_scale, ends, kNone, kNone, kNone, kOneOutput, kAlongRows, kRunningCounts, kNoActivation,
              kNone, kNoGroups, Tensors{to}, kNone, kNone);
      } else {
        l.Run(cann().GroupedMatmulV5, Tensors{x}, Tensors{weight}, kNone, scale, kNone, kNone, kNone, x_scale,
              ends, kNone, kNone, kNone, kOneOutput, kAlongRows, kRunningCounts, kNoActivation, kNone,
              Tensors{to}, kNone, kNone);
      }
    };
    if (i8) {
      char* scales = static_cast<char*>(a.pointer(kW)) + LayOutInt8(experts, n, k, nz).scales;
      multiply(Tensors{View::Contiguous(scales, ACL_FLOAT, {experts, n})},
               Tensors{View::Contiguous(a.pointer(kXScale), ACL_FLOAT, {x[0]})});
    } else {
      multiply(kNone, kNone);
    }
    if (!y.contiguous()) l.Copy(y, to);
  }
};

}  // namespace

void AddGroupedLinear(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<GroupedLinearKernel>>(QIAO_OP_GROUPED_LINEAR, device);
}

}  // namespace qiao::ascend
