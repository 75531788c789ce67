// rope_table and rope.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// Positions are exact as f32 up to 2^24.
class RopeTableKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "rope_table";
  enum { kPositions, kInvFreq, kCos, kSin };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[kInvFreq].dim[0] < 1) return Answer::No("there are no frequencies");
    return Answer::Yes();
  }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kPositions);
    if (rows == 0) return;
    const float factor = a.params<qiao_rope_table_params>().factor;
    const View angle = l.Temp(ACL_FLOAT, {rows, a.tensor(kInvFreq).dim[0]});
    l.Run(cann().Mul, a(kPositions).Insert(1, 1), a(kInvFreq).Insert(0, 1), angle);
    l.Run(cann().Cos, angle, a(kCos));
    l.Run(cann().Sin, angle, a(kSin));
    if (factor == 1.0f) return;
    l.Run(cann().Muls, a(kCos), Scalar(factor), a(kCos));
    l.Run(cann().Muls, a(kSin), Scalar(factor), a(kSin));
  }
};

// RotaryPositionEmbedding wants a cosine for every channel: both of a pair have the same.
class RopeKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "rope";
  enum { kX, kCos, kSin, kY };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    const auto& p = ParamsOf<qiao_rope_params>(call);
    if (p.width < 2) return Answer::No("no channel is rotated");
    return NeedActs(call, {kX, kY});
  }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kX);
    if (rows == 0) return;
    const auto& p = a.params<qiao_rope_params>();
    const View x = a(kX), y = a(kY);
    const View cosine = Widen(l, a(kCos), p), sine = Widen(l, a(kSin), p);
    if (p.inverse) l.Run(cann().Muls, sine, Scalar(-1.0f), sine);
    const View from = l.Packed(x.Slice(2, p.offset, p.width));
    const View to = y.Slice(2, p.offset, p.width);
    l.Run(cann().RotaryPositionEmbedding, from.Insert(0, 1), cosine.Insert(0, 1).Insert(2, 1),
          sine.Insert(0, 1).Insert(2, 1), int64_t{p.style == QIAO_ROPE_HALF ? 0 : 1}, to.Insert(0, 1));
    // The other channels as they are.
    if (p.offset > 0) l.Copy(y.Slice(2, 0, p.offset), x.Slice(2, 0, p.offset));
    const int64_t end = p.offset + p.width;
    if (end < x[2]) l.Copy(y.Slice(2, end, x[2] - end), x.Slice(2, end, x[2] - end));
  }

 private:
  // [T, pairs] to [T, 2 * pairs].
  static View Widen(Launcher& l, const View& narrow, const qiao_rope_params& p) {
    const View wide = l.Temp(ACL_FLOAT, {narrow[0], p.width});
    if (p.style == QIAO_ROPE_HALF) {
      l.Copy(wide.Split(1, p.width / 2), narrow.Insert(1, 2));
    } else {
      l.Copy(wide.Split(1, 2), narrow.Insert(2, 2));
    }
    return wide;
  }
};

}  // namespace

void AddRope(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<RopeTableKernel>>(QIAO_OP_ROPE_TABLE, device);
  to.Add<AscendOperation<RopeKernel>>(QIAO_OP_ROPE, device);
}

}  // namespace qiao::ascend
