// linear: Matmul, BatchMatMul where there are heads, QuantMatmul for INT8 rows; their forms for weights in FRACTAL_NZ
// where the weight was stored so.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"
#include "backends/ascend/weights.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

class LinearKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "linear";
  enum { kX, kXScale, kW, kBias, kResidual, kY };
  using AscendKernel::AscendKernel;

  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    const qiao_tensor &x = call.argument[kX], &w = call.argument[kW];
    if (x.dtype == QIAO_F8E4M3) return Answer::No("E4M3 rows: this chip has no matrix units for them");
    if (x.dtype == QIAO_I8) {
      if (w.dtype != QIAO_I8 || w.layout != QIAO_LAYOUT_OPAQUE)
        return Answer::No("INT8 rows meet INT8 weights that weight_store wrote");
      if (w.dim[0] != 1) return Answer::No("INT8 rows by heads");
      return NeedActs(call, {kY, kResidual});
    }
    if (w.layout == QIAO_LAYOUT_PIECES || !IsAct(w))
      return Answer::No("the weight must be stored as f32 or bf16");
    return NeedActs(call, {kX, kY, kResidual});
  }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    if (a.rows(kX) == 0) return;
    const View y = Heads(a(kY));
    const bool i8 = a.tensor(kX).dtype == QIAO_I8;
    const bool more = a.has(kBias) || a.has(kResidual);
    // Sums go on in f32 and are rounded once.
    View sum = y;
    if (y.dtype != ACL_FLOAT && more) sum = l.Temp(ACL_FLOAT, {y[0], y[1], y[2]});
    if (i8) {
      MultiplyIntegers(l, a, sum.Select(1, 0));
    } else {
      Multiply(l, a, sum);
    }
    if (a.has(kBias)) {
      const View bias = a(kBias).Split(0, y[2]).Insert(0, 1);
      const View to = a.has(kResidual) ? sum : y;
      l.Run(cann().Add, sum, bias, Scalar(1.0f), to);
    }
    if (a.has(kResidual)) l.Run(cann().Add, sum, Heads(a(kResidual)), Scalar(1.0f), y);
  }

 private:
  // Rank 2 is short for one head.
  static View Heads(const View& v) { return v.rank == 2 ? v.Insert(1, 1, v[1]) : v; }

  static void Multiply(Launcher& l, const Arguments& a, const View& to) {
    const View x = Heads(a(kX));
    const qiao_tensor& tensor = a.tensor(kW);
    if (tensor.layout == QIAO_LAYOUT_OPAQUE) {
      const View nz = View::FractalNz(a.pointer(kW), AclType(tensor.dtype), {tensor.dim[1], tensor.dim[2]});
      l.Run(cann().MatmulWeightNz, x.Select(1, 0), nz.Swap(0, 1), to.Select(1, 0), kKeepDtype);
      return;
    }
    View w = a.All(kW);
    if (a.params<qiao_linear_params>().w_transposed == 0) w = w.Swap(1, 2);  // [B, K, N]
    if (w[0] == 1) {
      l.Run(cann().Matmul, x.Select(1, 0), w.Select(0, 0), to.Select(1, 0), kKeepDtype);
    } else {
      l.Run(cann().BatchMatMul, x.Swap(0, 1), w, to.Swap(0, 1), kKeepDtype);
    }
  }

  // y = f32(sum) * (x_scale * w_scale). QuantMatmul writes bf16 or the integers.
  void MultiplyIntegers(Launcher& l, const Arguments& a, const View& to) const {
    const qiao_tensor& w = a.tensor(kW);
    const int64_t n = w.dim[1], k = w.dim[2];
    const bool nz = device().weights().nz();
    const View x = l.Packed(Heads(a(kX)).Select(1, 0));
    void* numbers = a.pointer(kW);
    const View weight =
        nz ? View::FractalNz(numbers, ACL_INT8, {k, n}) : View::Contiguous(numbers, ACL_INT8, {k, n});
    const View w_scale =
        View::Contiguous(static_cast<char*>(numbers) + LayOutInt8(1, n, k, nz).scales, ACL_FLOAT, {n});
    const View x_scale = View::Contiguous(a.pointer(kXScale), ACL_FLOAT, {x[0]});
    const auto multiply = [&](const auto& row_scale, const View& out) {
      l.Run(nz ? cann().QuantMatmulWeightNz : cann().QuantMatmulV5, x, weight, row_scale, w_scale, kNone,
            kNone, kNone, kNone, kNone, false, false, int64_t{0}, out);
    };
    if (to.dtype == ACL_BF16) return multiply(x_scale, to);
    const View integers = l.Temp(ACL_INT32, {x[0], n}), scale = l.Temp(ACL_FLOAT, {x[0], n});
    multiply(kNone, integers);
    l.Run(cann().Mul, x_scale.Insert(1, 1), w_scale.Insert(0, 1), scale);
    l.Run(cann().Mul, integers, scale, to);
  }
};

}  // namespace

void AddLinear(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<LinearKernel>>(QIAO_OP_LINEAR, device);
}

}  // namespace qiao::ascend
