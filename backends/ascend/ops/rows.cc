// embedding, gather_rows and argmax: operations on whole rows, which move numbers and change none.
#include <limits>

#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// The stored table has a row of zeros before and after its own (weights.h): ids are clamped to -1 .. V and moved up
// by one.
class EmbeddingKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "embedding";
  enum { kIds, kW, kY };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[kW].layout != QIAO_LAYOUT_OPAQUE)
      return Answer::No("the table must be stored by weight_store");
    return NeedActs(call, {kW, kY});
  }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kIds);
    if (rows == 0) return;
    const qiao_tensor& w = a.tensor(kW);
    const auto vocab = static_cast<int32_t>(w.dim[1]);
    const View table = View::Contiguous(a.pointer(kW), AclType(w.dtype), {w.dim[1] + 2, w.dim[2]});
    const View index = l.Temp(ACL_INT32, {rows});
    l.Run(cann().Clamp, a(kIds), Scalar(int32_t{-1}), Scalar(vocab), index);
    l.Run(cann().Adds, index, Scalar(int32_t{1}), Scalar(int32_t{1}), index);
    const View y = a(kY);
    if (y.dtype == table.dtype) {
      l.Run(cann().IndexSelect, table, int64_t{0}, index, y);
      return;
    }
    const View gathered = l.Temp(table.dtype, {rows, w.dim[2]});
    l.Run(cann().IndexSelect, table, int64_t{0}, index, gathered);
    l.Run(cann().Cast, gathered, y.dtype, y);
  }
};

// Indices out of range read some row, which is then filled with zeros.
class GatherRowsKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "gather_rows";
  enum { kX, kIndex, kY };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[kX].dim[0] < 1) return Answer::No("x has no rows");
    return NeedActs(call, {kX, kY});
  }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kIndex);
    if (rows == 0) return;
    const View index = a(kIndex), y = a(kY);
    const View clamped = l.Temp(ACL_INT32, {rows}), outside = l.Temp(ACL_BOOL, {rows});
    l.Run(cann().Clamp, index, Scalar(int32_t{0}), Scalar(static_cast<int32_t>(a.tensor(kX).dim[0] - 1)),
          clamped);
    l.Run(cann().IndexSelect, a.All(kX), int64_t{0}, clamped, y);
    l.Run(cann().NeTensor, index, clamped, outside);
    l.Run(cann().InplaceMaskedFillScalar, y, outside.Insert(1, 1), Scalar(0.0f));
  }
};

// ArgMax takes the first NaN for the largest: it must not see any. NaN becomes what nothing is below, and -infinity the
// lowest number (with which it ties then: a row that holds nothing above it has no meaningful choice).
class ArgMaxKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "argmax";
  enum { kX, kIds };
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call&, const AscendDevice&) { return Answer::Yes(); }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kX);
    if (rows == 0) return;
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    const View numbers = l.Temp(ACL_FLOAT, {rows, a.tensor(kX).dim[1]});
    l.Run(cann().NanToNum, a(kX), -kInfinity, kInfinity, std::numeric_limits<float>::lowest(), numbers);
    l.Run(cann().ArgMax, numbers, int64_t{1}, false, a(kIds));
  }
};

}  // namespace

void AddRows(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<EmbeddingKernel>>(QIAO_OP_EMBEDDING, device);
  to.Add<AscendOperation<GatherRowsKernel>>(QIAO_OP_GATHER_ROWS, device);
  to.Add<AscendOperation<ArgMaxKernel>>(QIAO_OP_ARGMAX, device);
}

}  // namespace qiao::ascend
