// moe_mlp: the catalogue entry; see qiao/ops.h.
#include <limits>

#include "runtime/base/floats.h"
#include "runtime/ops/case_builder.h"
#include "runtime/ops/coarse.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/gate_margin.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kX, kRouter, kBias, kGateUp, kDown, kSharedGateUp, kSharedDown, kY, kIds, kWeights };

std::vector<ArgSpec> Args(const qiao_moe_mlp_params&) {
  return {{.name = "x"},
          {.name = "W_router", .weight = true},
          {.name = "bias", .optional = true},
          {.name = "W_gate_up", .weight = true},
          {.name = "W_down", .weight = true},
          {.name = "W_shared_gate_up", .optional = true, .weight = true},
          {.name = "W_shared_down", .optional = true, .weight = true},
          {.name = "y", .kind = ArgSpec::kOut},
          {.name = "ids", .kind = ArgSpec::kOut},
          {.name = "w", .kind = ArgSpec::kOut}};
}

void Check(const qiao_moe_mlp_params& p, Rules& r) {
  r.Act(kX, {"T", "H"});
  r.Weight(kRouter, {1, "E", "H"});
  r.Arg(kBias, {DType::kF32}, {"E"});
  r.Weight(kGateUp, {"E", "2I", "H"});
  r.Require(r["2I"] % 2 == 0, "W_gate_up must have an even number of rows: gate above up");
  r.Weight(kDown, {"E", "H", r["2I"] / 2});
  r.Require(r.has(kSharedGateUp) == r.has(kSharedDown), "the two weights of the shared expert come together");
  r.Weight(kSharedGateUp, {1, "2S", "H"});
  r.Require(r["2S"] % 2 == 0, "W_shared_gate_up must have an even number of rows: gate above up");
  r.Weight(kSharedDown, {1, "H", r["2S"] / 2});
  CheckGateParams(p.gate, r["E"], r);
  r.Output(kY, r.act(), {"T", "H"}, r.live(kX));
  r.Output(kIds, DType::kI32, {"T", p.gate.k}, r.live(kX));
  r.Output(kWeights, DType::kF32, {"T", p.gate.k}, r.live(kX));
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const auto& a = call.argument;
  const double k = static_cast<double>(static_cast<const qiao_moe_mlp_params*>(call.params)->gate.k);
  const double experts = static_cast<double>(a[kGateUp].dim[0]);
  const double shared =
      a[kSharedGateUp].dtype == QIAO_DTYPE_NONE ? 0 : static_cast<double>(a[kSharedGateUp].dim[1]);
  Cost cost =
      StreamingCost(call, live, kX, 2 * experts + 3 * (k * static_cast<double>(a[kGateUp].dim[1]) + shared));
  if (live.experts_touched >= 0) {
    cost.bytes -= (BytesOf(a[kGateUp], live) + BytesOf(a[kDown], live)) *
                  (1 - static_cast<double>(live.experts_touched) / experts);
  }
  return cost;
}

// logits = W_router x in f32; gate; the chosen rows sorted by expert through gate_up, swiglu and down; the
// weighted sum with the shared expert's output.
absl::Status Decompose(const Node& node, Graph& graph) {
  const auto& a = node.args;
  const std::string& name = node.name;
  const auto& p = node.params.as<qiao_moe_mlp_params>();
  const int64_t experts = graph.value(a[kGateUp]).tensor.dim[0];

  QIAO_ASSIGN_OR_RETURN(auto logits,
                        graph.Emit(name + ".logits", QIAO_OP_LINEAR, Params(qiao_linear_params{}),
                                   {a[kX], kNoValue, a[kRouter], kNoValue, kNoValue}, DType::kF32));
  Append(graph, name + ".gate", QIAO_OP_MOE_GATE, Params(p.gate),
         {logits[0], a[kBias], a[kIds], a[kWeights]});
  qiao_moe_permute_params permute{};
  permute.experts = static_cast<int32_t>(experts);
  QIAO_ASSIGN_OR_RETURN(
      auto sorted, graph.Emit(name + ".permute", QIAO_OP_MOE_PERMUTE, Params(permute), {a[kX], a[kIds]}));
  const ValueId rows = sorted[0], ends = sorted[1], slot = sorted[2];
  QIAO_ASSIGN_OR_RETURN(auto gate_up,
                        graph.Emit(name + ".gate_up", QIAO_OP_GROUPED_LINEAR,
                                   Params(qiao_grouped_linear_params{}), {rows, kNoValue, ends, a[kGateUp]}));
  QIAO_ASSIGN_OR_RETURN(auto product, graph.Emit(name + ".swiglu", QIAO_OP_SWIGLU,
                                                 Params(qiao_swiglu_params{}), {gate_up[0], ends}));
  QIAO_ASSIGN_OR_RETURN(
      auto down, graph.Emit(name + ".down", QIAO_OP_GROUPED_LINEAR, Params(qiao_grouped_linear_params{}),
                            {product[0], kNoValue, ends, a[kDown]}));
  ValueId shared = kNoValue;
  if (a[kSharedGateUp] != kNoValue) {
    const qiao_tensor& x = graph.value(a[kX]).tensor;
    shared = graph.AddActivation(name + ".shared", static_cast<DType>(x.dtype), {x.dim[0], x.dim[1]}, x.live);
    QIAO_RETURN_IF_ERROR(AppendMlp(graph, name + ".shared", a[kX], a[kSharedGateUp], a[kSharedDown], shared));
  }
  Append(graph, name + ".combine", QIAO_OP_MOE_COMBINE, Params(qiao_moe_combine_params{}),
         {down[0], slot, a[kWeights], shared, a[kY]});
  return absl::OkStatus();
}

// Rows are drawn again until their logits leave the choice of experts no doubt.
void FillRows(const qiao_moe_gate_params& gate, absl::Span<const double> router, absl::Span<const float> bias,
              DType act, int64_t rows, int64_t width, Random& random, std::vector<float>* x) {
  const auto experts = static_cast<int64_t>(router.size()) / width;
  std::vector<double> logits(static_cast<size_t>(experts));
  for (int64_t t = 0; t < rows; ++t) {
    float* row = x->data() + t * width;
    do {
      for (int64_t c = 0; c < width; ++c) {
        const auto v = static_cast<float>(random.Normal());
        row[c] = act == DType::kBF16 ? Bf16ToFloat(FloatToBf16(v)) : v;
      }
      for (int64_t e = 0; e < experts; ++e) {
        double sum = 0;
        for (int64_t c = 0; c < width; ++c)
          sum += static_cast<double>(row[c]) * router[static_cast<size_t>(e * width + c)];
        logits[static_cast<size_t>(e)] = sum;
      }
    } while (GateMargin(gate, logits, bias) < kGateMargin);
  }
}

Case Make(uint64_t seed, DType act, int32_t live, int64_t bucket, int64_t hidden, int64_t inner,
          int64_t shared, int64_t experts, const WeightForm& form, bool v3) {
  qiao_moe_mlp_params p{};
  p.gate.struct_size = sizeof(p.gate);
  p.gate.score = v3 ? QIAO_SCORE_SIGMOID : QIAO_SCORE_SOFTMAX;
  p.gate.k = 3;
  p.gate.scale = 1;
  if (v3) {
    p.gate.groups = 4;
    p.gate.topk_group = 2;
    p.gate.group_score = QIAO_GROUP_SCORE_TOP2_SUM;
    p.gate.mask_value = -std::numeric_limits<float>::infinity();
    p.gate.renormalise = 1;
    p.gate.renorm_eps = 1e-20f;
    p.gate.scale = 2.5f;
  }
  CaseBuilder b(MoeMlpSpec(),
                absl::StrFormat("T=%d/%d,H=%d,I=%d,S=%d,E=%d,%s,%s,%s", live, bucket, hidden, inner, shared,
                                experts, Name(act), FormName(form), v3 ? "sigmoid" : "softmax"),
                Params(p), seed);
  // The router is made first, because the rows depend on it.
  CaseBuilder made(MoeMlpSpec(), "router", Params(p), seed);
  made.Weight(1, experts, hidden, {.dtype = DType::kBF16});
  std::vector<float> bias(v3 ? static_cast<size_t>(experts) : 0);
  for (float& v : bias) v = static_cast<float>(0.1 * b.random().Normal());
  std::vector<float> x(static_cast<size_t>(bucket * hidden), std::numeric_limits<float>::quiet_NaN());
  FillRows(p.gate, DecodeWeight(made.last()), bias, act, live, hidden, b.random(), &x);

  b.Live(live).Values(act, {bucket, hidden}, x, QIAO_LIVE_ROWS);
  b.Absent().last() = made.last();
  v3 ? b.Values(DType::kF32, {experts}, bias) : b.Absent();
  WeightForm gate_up = form;
  gate_up.split = {inner, inner};
  b.Weight(experts, 2 * inner, hidden, gate_up).Weight(experts, hidden, inner, form);
  if (shared) {
    gate_up.split = {shared, shared};
    b.Weight(1, 2 * shared, hidden, gate_up).Weight(1, hidden, shared, form);
  } else {
    b.Absent().Absent();
  }
  return b.Output().Output().Output().Finish();
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  for (const WeightForm& form :
       {WeightForm{.dtype = DType::kBF16}, WeightForm{.dtype = DType::kF8E4M3, .block = {128, 128}}}) {
    if (large) {
      for (int32_t rows : {1, 8, 64}) {
        cases.push_back(Make(seed, DType::kBF16, rows, rows, 2048, 1408, 2816, 64, form, false));
      }
      continue;
    }
    for (DType act : {DType::kF32, DType::kBF16}) {
      cases.push_back(Make(seed, act, 5, 7, 136, 40, 48, 8, form, true));
      cases.push_back(Make(seed, act, 9, 9, 64, 24, 0, 7, form, false));
      cases.push_back(Make(seed, act, 1, 1, 256, 130, 32, 16, form, true));
      cases.push_back(Make(seed, act, 0, 2, 64, 32, 16, 8, form, false));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& MoeMlpSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_moe_mlp_params>(QIAO_OP_MOE_MLP, "moe_mlp", Args, Check));
    s->cost = CostOf;
    MakeCoarse(s, Decompose);
    s->cases = Cases;
    s->tolerance = tolerance::MoeMlp;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
