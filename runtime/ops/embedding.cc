// embedding: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kIds, kW, kY };

std::vector<ArgSpec> Args(const qiao_embedding_params&) {
  return {
      {.name = "ids"}, {.name = "W", .weight = true}, {.name = "y", .kind = ArgSpec::kOut, .strided = true}};
}

void Check(const qiao_embedding_params&, Rules& r) {
  r.Arg(kIds, {DType::kI32}, {"T"});
  r.Weight(kW, {1, "V", "H"});
  r.Output(kY, r.out(), {"T", "H"}, r.live(kIds), {DType::kF32, DType::kBF16});
}

// One row of W for each token, not all of W.
Cost CostOf(const qiao_op_call& call, const LiveCounts& live) {
  const qiao_tensor& w = call.argument[kW];
  const double rows = LiveOf(call.argument[kIds], live);
  const double share = w.dim[1] > 0 ? rows / static_cast<double>(w.dim[1]) : 0;
  return {.flops = 0,
          .bytes = BytesOf(call.argument[kIds], live) + BytesOf(w, live) * share +
                   BytesOf(call.argument[kY], live)};
}

std::vector<Case> Cases(uint64_t seed, bool large) {
  std::vector<Case> cases;
  const int64_t vocabulary = large ? 102400 : 37, width = large ? 2048 : 130;
  const int32_t rows = large ? 512 : 7;
  for (DType act : {DType::kF32, DType::kBF16}) {
    for (const WeightForm& form :
         {WeightForm{.dtype = DType::kBF16}, WeightForm{.dtype = DType::kF32, .padding = 3},
          WeightForm{.dtype = DType::kF8E4M3, .block = {16, 128}}}) {
      CaseBuilder b(
          EmbeddingSpec(),
          absl::StrFormat("T=%d,V=%d,H=%d,%s,%s", rows + 2, vocabulary, width, Name(act), FormName(form)),
          Params(qiao_embedding_params{}), seed);
      // The ends of the range, one past it, and a negative one.
      std::vector<int32_t> ids = {0, static_cast<int32_t>(vocabulary) - 1, static_cast<int32_t>(vocabulary),
                                  -1};
      while (static_cast<int32_t>(ids.size()) < rows + 2)
        ids.push_back(static_cast<int32_t>(b.random().Below(vocabulary)));
      b.Live(rows).Ints({rows + 2}, ids, QIAO_LIVE_ROWS).Weight(1, vocabulary, width, form).Output();
      cases.push_back(b.Finish(act));
    }
  }
  return cases;
}

}  // namespace

const OpSpec& EmbeddingSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_embedding_params>(QIAO_OP_EMBEDDING, "embedding", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Embedding;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
