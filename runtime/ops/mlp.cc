// mlp: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/coarse.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kGateUp, kDown, kY };

std::vector<ArgSpec> Args(const qiao_mlp_params&) {
  return {{.name = "x"},
          {.name = "W_gate_up", .weight = true},
          {.name = "W_down", .weight = true},
          {.name = "y", .kind = ArgSpec::kOut}};
}

void Check(const qiao_mlp_params&, Rules& r) {
  r.Act(kX, {"T", "H"});
  r.Weight(kGateUp, {1, "2I", "H"});
  r.Require(r["2I"] % 2 == 0, "W_gate_up must have an even number of rows: gate above up");
  r.Weight(kDown, {1, "H", r["2I"] / 2});
  r.Output(kY, r.act(), {"T", "H"}, r.live(kX));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  return StreamingCost(call, live, kX, 3 * static_cast<double>(call.argument[kGateUp].dim[1]));
}

// y = W_down swiglu(W_gate_up x)
absl::Status Decompose(const Node& node, Graph& graph) {
  return AppendMlp(graph, node.name, node.args[kX], node.args[kGateUp], node.args[kDown], node.args[kY]);
}

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t hidden, int64_t inner,
          const WeightForm& form) {
  CaseBuilder b(
      MlpSpec(),
      absl::StrFormat("T=%d/%d,H=%d,I=%d,%s,%s", live, bucket, hidden, inner, Name(act), FormName(form)),
      Params(qiao_mlp_params{}), seed);
  WeightForm gate_up = form;
  gate_up.split = {inner, inner};
  return b.Live(live)
      .Act(act, {bucket, hidden})
      .Weight(1, 2 * inner, hidden, gate_up)
      .Weight(1, hidden, inner, form)
      .Output()
      .Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (const WeightForm& form :
       {WeightForm{.dtype = DType::kBF16}, WeightForm{.dtype = DType::kF8E4M3, .block = {128, 128}}}) {
    if (large) {
      for (int32_t rows : {1, 64}) cases.push_back(Make(seed, DType::kBF16, rows, rows, 2048, 10944, form));
      continue;
    }
    for (DType act : {DType::kF32, DType::kBF16}) {
      cases.push_back(Make(seed, act, 5, 7, 136, 72, form));
      cases.push_back(Make(seed, act, 1, 1, 256, 150, form));
      cases.push_back(Make(seed, act, 0, 2, 64, 32, form));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& MlpSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_mlp_params>(QIAO_OP_MLP, "mlp", Args, Check));
    s->cost = CostOf;
    MakeCoarse(s, Decompose);
    s->cases = Cases;
    s->tolerance = tolerance::Mlp;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
