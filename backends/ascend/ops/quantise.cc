// quantise to INT8, composed so that scales and numbers are those of ops.h to the bit: DynamicQuant knows no floor.
#include <limits>

#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// Added and taken away again, rounds an f32 number of magnitude below 2^22 to the nearest integer, ties to even: Cast
// to an integer cuts off.
constexpr float kRounding = 12582912;  // 1.5 * 2^23
constexpr float kLargestI8 = 127, kLargest = 3.4028235e38f;

class QuantiseKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "quantise_i8";
  enum { kX, kEnds, kQ, kScale };
  using AscendKernel::AscendKernel;

  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[kQ].dtype != QIAO_I8)
      return Answer::No("rows in E4M3: this chip has no matrix units for them");
    return NeedActs(call, {kX});
  }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(kX) == 0) return;
    View x = l.Packed(a(kX)), q = a(kQ), scale = a(kScale);
    for (; x.rank > 2; x = x.Merge(0), q = q.Merge(0), scale = scale.Merge(0)) continue;
    x = l.As(x, ACL_FLOAT);
    const View number = l.Temp(ACL_FLOAT, {x[0], x[1]});
    l.Run(cann().Abs, x, number);
    l.Run(cann().Amax, number, Ints{1}, true, scale);
    l.Run(cann().Clamp, scale, Scalar(a.params<qiao_quantise_params>().floor),
          Scalar(std::numeric_limits<float>::infinity()), scale);
    l.Run(cann().Divs, scale, Scalar(kLargestI8), scale);
    l.Run(cann().Div, x, scale, number);
    l.Run(cann().NanToNum, number, 0.0f, kLargest, -kLargest, number);
    l.Run(cann().Adds, number, Scalar(kRounding), Scalar(1.0f), number);
    l.Run(cann().Adds, number, Scalar(-kRounding), Scalar(1.0f), number);
    l.Run(cann().Cast, number, ACL_INT8, q);
  }
};

}  // namespace

void AddQuantise(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<QuantiseKernel>>(QIAO_OP_QUANTISE, device);
}

}  // namespace qiao::ascend
