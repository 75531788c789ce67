// moe_gate: MoeGatingTopK where it means what ops.h says, and otherwise composed of smaller operators: the largest is
// taken and struck out, k times.
#include <cmath>
#include <limits>

#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

enum { kLogits, kBias, kIds, kWeights };

bool Grouped(const qiao_moe_gate_params& p) { return p.groups > 1; }

// MoeGatingTopK renormalises sigmoid scores and never softmax ones, and strikes out the groups that are not kept. A
// mask of 0 is the same for scores of softmax without bias: none is below it, and one that is 0 weighs nothing.
bool FusedMeansTheSame(const qiao_moe_gate_params& p, bool bias) {
  const bool softmax = p.score == QIAO_SCORE_SOFTMAX;
  if (softmax == (p.renormalise != 0)) return false;
  return !Grouped(p) || p.mask_value == -kInfinity || (p.mask_value == 0 && softmax && !bias);
}

// Rows that are not live are routed nowhere. All rows are filled, and the live ones written after, because the dead ones
// begin at any address.
void FillDeadRows(Launcher& l, const Arguments& a, int64_t live) {
  if (live == a.tensor(kIds).dim[0]) return;
  l.Run(cann().InplaceFillScalar, a.All(kIds), Scalar(int32_t{-1}));
  l.Run(cann().InplaceFillScalar, a.All(kWeights), Scalar(0.0f));
}

// The composed gate of `rows` rows.
class Composed {
 public:
  Composed(Launcher& l, const Arguments& a, void* iota)
      : l_(l),
        a_(a),
        p_(a.params<qiao_moe_gate_params>()),
        rows_(a.rows(kLogits)),
        experts_(a.tensor(kLogits).dim[1]),
        iota_(View::Contiguous(iota, ACL_INT32, {experts_})),
        one_(l.Temp(ACL_BOOL, {1})) {
    l_.Run(cann().InplaceFillScalar, one_, Scalar(int32_t{1}));
  }

  void Run() {
    const View s = Scores();
    View c = l_.Temp(ACL_FLOAT, {rows_, experts_});
    if (a_.has(kBias)) {
      l_.Run(cann().Add, s, a_(kBias).Insert(0, 1), Scalar(1.0f), c);
    } else {
      l_.Copy(c, s);
    }
    if (Grouped(p_)) MaskGroups(c);
    Choose(s, c);
  }

 private:
  View Scores() {
    const View logits = a_(kLogits), s = l_.Temp(ACL_FLOAT, {rows_, experts_});
    if (p_.score == QIAO_SCORE_SOFTMAX) {
      l_.Run(cann().Softmax, logits, int64_t{1}, s);
      return s;
    }
    // sigmoid(x) is the softmax of x and 0.
    const View pairs = l_.Temp(ACL_FLOAT, {rows_, experts_, 2});
    l_.Run(cann().InplaceFillScalar, pairs, Scalar(0.0f));
    l_.Copy(pairs.Select(2, 0), logits);
    l_.Run(cann().Softmax, pairs, int64_t{2}, pairs);
    l_.Copy(s, pairs.Select(2, 0));
    return s;
  }

  // Where the last dimension's index is not `index` (.., 1), and where it is.
  void Compare(const View& index, const View& other, const View& same) {
    View iota = iota_.Slice(0, 0, other[-1]);
    for (int d = 1; d < other.rank; ++d) iota = iota.Insert(0, 1);
    l_.Run(cann().NeTensor, iota, index, other);
    l_.Run(cann().NeTensor, other, one_, same);
  }

  void MaskGroups(const View& c) {
    const int64_t groups = p_.groups, size = experts_ / groups;
    const View by_group = c.Split(1, size);
    const View score = l_.Temp(ACL_FLOAT, {rows_, groups});
    l_.Run(cann().Amax, by_group, Ints{2}, false, score);
    if (p_.group_score == QIAO_GROUP_SCORE_TOP2_SUM) {
      const View rest = l_.Temp(ACL_FLOAT, {rows_, groups, size}),
                 index = l_.Temp(ACL_INT32, {rows_, groups, 1});
      const View other = l_.Temp(ACL_BOOL, {rows_, groups, size}),
                 same = l_.Temp(ACL_BOOL, {rows_, groups, size});
      const View second = l_.Temp(ACL_FLOAT, {rows_, groups});
      l_.Copy(rest, by_group);
      l_.Run(cann().ArgMax, by_group, int64_t{2}, true, index);
      Compare(index, other, same);
      l_.Run(cann().InplaceMaskedFillScalar, rest, same, Scalar(-kInfinity));
      l_.Run(cann().Amax, rest, Ints{2}, false, second);
      l_.Run(cann().Add, score, second, Scalar(1.0f), score);
    }
    // Products of "is another group" over the chosen ones: 1 where a group was never chosen.
    const View dropped = l_.Temp(ACL_FLOAT, {rows_, groups}), number = l_.Temp(ACL_FLOAT, {rows_, groups});
    const View index = l_.Temp(ACL_INT32, {rows_, 1});
    const View other = l_.Temp(ACL_BOOL, {rows_, groups}), same = l_.Temp(ACL_BOOL, {rows_, groups});
    const View zero = l_.Temp(ACL_FLOAT, {1});
    l_.Run(cann().InplaceFillScalar, dropped, Scalar(1.0f));
    l_.Run(cann().InplaceFillScalar, zero, Scalar(0.0f));
    for (int32_t j = 0; j < p_.topk_group; ++j) {
      l_.Run(cann().ArgMax, score, int64_t{1}, true, index);
      Compare(index, other, same);
      l_.Run(cann().InplaceMaskedFillScalar, score, same, Scalar(-kInfinity));
      l_.Run(cann().Cast, other, ACL_FLOAT, number);
      l_.Run(cann().Mul, dropped, number, dropped);
    }
    l_.Run(cann().NeTensor, dropped, zero, other);
    l_.Run(cann().InplaceMaskedFillScalar, by_group, other.Insert(2, 1), Scalar(p_.mask_value));
  }

  void Choose(const View& s, const View& c) {
    const View ids = a_(kIds), w = a_(kWeights);
    const View other = l_.Temp(ACL_BOOL, {rows_, experts_}), same = l_.Temp(ACL_BOOL, {rows_, experts_});
    const View only = l_.Temp(ACL_FLOAT, {rows_, experts_}), total = l_.Temp(ACL_FLOAT, {rows_, 1});
    // One choice of all rows after the other, each at an aligned address.
    const int64_t padded = (rows_ + 7) / 8 * 8;
    const View indices = l_.Temp(ACL_INT32, {p_.k, padded}), chosen = l_.Temp(ACL_FLOAT, {p_.k, padded});
    for (int32_t j = 0; j < p_.k; ++j) {
      const View index = indices.Slice(1, 0, rows_).Select(0, j).Insert(1, 1);
      const View weight = chosen.Slice(1, 0, rows_).Select(0, j).Insert(1, 1);
      l_.Run(cann().ArgMax, c, int64_t{1}, true, index);
      Compare(index, other, same);
      // Scores are not negative: the largest of one and zeros is the one.
      l_.Copy(only, s);
      l_.Run(cann().InplaceMaskedFillScalar, only, other, Scalar(0.0f));
      l_.Run(cann().Amax, only, Ints{1}, true, weight);
      l_.Run(cann().InplaceMaskedFillScalar, c, same, Scalar(-kInfinity));
      if (j == 0) {
        l_.Copy(total, weight);
      } else {
        l_.Run(cann().Add, total, weight, Scalar(1.0f), total);
      }
    }
    l_.Copy(ids, indices.Slice(1, 0, rows_).Swap(0, 1));
    l_.Copy(w, chosen.Slice(1, 0, rows_).Swap(0, 1));
    if (p_.renormalise) {
      l_.Run(cann().Adds, total, Scalar(p_.renorm_eps), Scalar(1.0f), total);
      l_.Run(cann().Div, w, total, w);
    }
    if (p_.scale != 1.0f) l_.Run(cann().Muls, w, Scalar(p_.scale), w);
  }

  Launcher& l_;
  const Arguments& a_;
  const qiao_moe_gate_params& p_;
  int64_t rows_, experts_;
  View iota_, one_;
};

class MoeGateKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "moe_gate";
  using AscendKernel::AscendKernel;
  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    if (call.argument[kLogits].dim[1] > AscendDevice::kIota)
      return Answer::No(Format("more than %lld experts", static_cast<long long>(AscendDevice::kIota)));
    return Answer::Yes();
  }

 protected:
  void Emit(Launcher& l, const Arguments& a) const override {
    const int64_t rows = a.rows(kLogits);
    FillDeadRows(l, a, rows);
    if (rows == 0) return;
    const auto& p = a.params<qiao_moe_gate_params>();
    if (!FusedMeansTheSame(p, a.has(kBias))) {
      Composed(l, a, device().iota()).Run();
      return;
    }
    const View scores = l.Temp(ACL_FLOAT, {rows, a.tensor(kLogits).dim[1]});
    const int64_t groups = Grouped(p) ? p.groups : 1, kept = Grouped(p) ? p.topk_group : 1;
    const auto gate = [&](const auto& bias) {
      l.Run(cann().MoeGatingTopK, a(kLogits), bias, int64_t{p.k}, kept, groups,
            int64_t{p.group_score == QIAO_GROUP_SCORE_TOP2_SUM ? 1 : 0}, int64_t{0},
            int64_t{p.score == QIAO_SCORE_SIGMOID ? 1 : 0}, false, static_cast<double>(p.scale),
            static_cast<double>(p.renorm_eps), a(kWeights), a(kIds), scores);
    };
    if (a.has(kBias)) {
      gate(a(kBias));
    } else {
      gate(kNone);
    }
  }
};

}  // namespace

void AddMoeGate(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<MoeGateKernel>>(QIAO_OP_MOE_GATE, device);
}

}  // namespace qiao::ascend
