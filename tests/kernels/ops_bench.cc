// Speeds of a backend's operations at the shapes of DeepSeek-V2-Lite (hidden 2048) and DeepSeek-V3 (7168),
// through the plugin as a program calls it. Weights, caches and large inputs come from memory: launches go
// round in more of it than the caches hold. "roofline" is the share of the time that the operation's
// arithmetic at the peak of its numbers, or its bytes at the read rate, would take at least; both limits are
// measured at the start. Small inputs that lie in a cache may be read faster than memory allows.
//
//   build/bin/qiao_ops_bench --benchmark_filter='linear.*f8.*rows:1$'
//   QIAO_CPU_ISA=avx2 build/bin/qiao_ops_bench
//   QIAO_BENCH_OPTION=gemm=library build/bin/qiao_ops_bench --benchmark_filter='linear/bf16.*rows:512'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <string>

#include "tests/kernels/op_bench.h"

namespace qiao::bench {
namespace {

using benchmark::State;
using ops::Params;

// ---- products ----

void Linear(State& state, DType weight, int64_t n, int64_t k, DType out) {
  const int64_t rows = state.range(0);
  OpBench(QIAO_OP_LINEAR, Params(qiao_linear_params{}))
      .Act(DType::kBF16, {rows, k})
      .Absent()
      .Weight(weight, 1, n, k)
      .Absent()
      .Absent()
      .Act(out, {rows, n})
      .Run(state, rows);
}

// W_UK into the latent space and W_UV out of it, a matrix a head.
void HeadLinear(State& state, DType weight, bool absorb, int64_t heads) {
  const int64_t rows = state.range(0), latent = 512, width = 128;
  qiao_linear_params params{};
  params.w_transposed = absorb;
  OpBench(QIAO_OP_LINEAR, Params(params))
      .Act(DType::kBF16, {rows, heads, absorb ? width : latent})
      .Absent()
      .Weight(weight, heads, width, latent)
      .Absent()
      .Absent()
      .Act(DType::kBF16, {rows, heads, absorb ? latent : width})
      .Run(state, rows);
}

// Where the rows of each expert end, for `rows` tokens that choose k different experts at random.
std::vector<std::vector<int64_t>> RandomEnds(int64_t experts, int64_t rows, int64_t k) {
  std::vector<std::vector<int64_t>> variants;
  std::minstd_rand random(7);
  std::vector<int64_t> order(static_cast<size_t>(experts));
  for (size_t e = 0; e < order.size(); ++e) order[e] = static_cast<int64_t>(e);
  for (int variant = 0; variant < 16; ++variant) {
    std::vector<int64_t> ends(order.size());
    for (int64_t t = 0; t < rows; ++t) {
      std::shuffle(order.begin(), order.end(), random);
      for (int64_t j = 0; j < k; ++j) ++ends[static_cast<size_t>(order[static_cast<size_t>(j)])];
    }
    for (size_t e = 1; e < ends.size(); ++e) ends[e] += ends[e - 1];
    variants.push_back(std::move(ends));
  }
  return variants;
}

void GroupedLinear(State& state, DType weight, int64_t experts, int64_t k_experts, int64_t n, int64_t k) {
  const int64_t rows = state.range(0), routed = rows * k_experts;
  OpBench(QIAO_OP_GROUPED_LINEAR, Params(qiao_grouped_linear_params{}))
      .Act(DType::kBF16, {routed, k}, QIAO_LIVE_ROUTED)
      .Absent()
      .Variants(DType::kI64, {experts}, RandomEnds(experts, rows, k_experts))
      .Weight(weight, experts, n, k)
      .Act(DType::kBF16, {routed, n}, QIAO_LIVE_ROUTED)
      .Run(state, rows);
}

// The whole of a dense layer and of a mixture, where a backend has them in one.
void Mlp(State& state, DType weight) {
  const int64_t rows = state.range(0), hidden = 2048, inner = 10944;
  OpBench(QIAO_OP_MLP, Params(qiao_mlp_params{}))
      .Act(DType::kBF16, {rows, hidden})
      .Weight(weight, 1, 2 * inner, hidden)
      .Weight(weight, 1, hidden, inner)
      .Act(DType::kBF16, {rows, hidden})
      .Run(state, rows);
}

qiao_moe_gate_params Gate(bool v3) {
  qiao_moe_gate_params gate{};
  gate.struct_size = sizeof(gate);
  gate.score = v3 ? QIAO_SCORE_SIGMOID : QIAO_SCORE_SOFTMAX;
  gate.k = v3 ? 8 : 6;
  gate.groups = v3 ? 8 : 0;
  gate.topk_group = v3 ? 4 : 0;
  gate.group_score = QIAO_GROUP_SCORE_TOP2_SUM;
  gate.renormalise = v3;
  gate.scale = 1;
  return gate;
}

void MoeMlp(State& state, DType weight) {
  const int64_t rows = state.range(0), hidden = 2048, inner = 1408, shared = 2816, experts = 64;
  qiao_moe_mlp_params params{};
  params.gate = Gate(false);
  OpBench(QIAO_OP_MOE_MLP, Params(params))
      .Rotated(DType::kBF16, {rows, hidden})
      .Weight(DType::kBF16, 1, experts, hidden)
      .Absent()
      .Weight(weight, experts, 2 * inner, hidden)
      .Weight(weight, experts, hidden, inner)
      .Weight(weight, 1, 2 * shared, hidden)
      .Weight(weight, 1, hidden, shared)
      .Act(DType::kBF16, {rows, hidden})
      .Act(DType::kI32, {rows, params.gate.k})
      .Act(DType::kF32, {rows, params.gate.k})
      .Run(state, rows);
}

// ---- attention ----

// `seqs` sequences of `depth` tokens, of which the last `rows` are new.
void LatentAttention(State& state, int64_t heads) {
  const int64_t seqs = state.range(0), rows = seqs * state.range(1), depth = state.range(2);
  const int64_t latent = 512, rope = 64, page = 64, width = (depth + page - 1) / page, pages = seqs * width;
  std::vector<int32_t> table(static_cast<size_t>(pages)), q_start;
  std::iota(table.begin(), table.end(), 0);
  for (int64_t s = 0; s <= seqs; ++s) q_start.push_back(static_cast<int32_t>(s * state.range(1)));
  const std::vector<int32_t> kv_len(static_cast<size_t>(seqs), static_cast<int32_t>(depth));
  qiao_latent_attention_params params{};
  params.scale = 0.05f;
  OpBench(QIAO_OP_LATENT_ATTENTION, Params(params))
      .Act(DType::kBF16, {rows, heads, latent})
      .Act(DType::kBF16, {rows, heads, rope})
      .Rotated(DType::kBF16, {pages, page, latent}, QIAO_LIVE_ALL)
      .Rotated(DType::kBF16, {pages, page, rope}, QIAO_LIVE_ALL)
      .Variants<int32_t>(DType::kI32, {seqs + 1}, {q_start})
      .Variants<int32_t>(DType::kI32, {seqs}, {kv_len})
      .Variants<int32_t>(DType::kI32, {seqs, width}, {table})
      .Absent()
      .Act(DType::kBF16, {rows, heads, latent})
      .Run(state, rows, depth, seqs);
}

// ---- the rest ----

void RmsNorm(State& state, int64_t width) {
  const int64_t rows = state.range(0);
  qiao_rmsnorm_params params{};
  params.eps = 1e-6f;
  OpBench(QIAO_OP_RMSNORM, Params(params))
      .Rotated(DType::kBF16, {rows, width})
      .Act(DType::kF32, {width}, QIAO_LIVE_ALL)
      .Act(DType::kBF16, {rows, width})
      .Run(state, rows);
}

void AddRmsNorm(State& state, int64_t width) {
  const int64_t rows = state.range(0);
  qiao_add_rmsnorm_params params{};
  params.eps = 1e-6f;
  OpBench(QIAO_OP_ADD_RMSNORM, Params(params))
      .Rotated(DType::kBF16, {rows, width})
      .Act(DType::kBF16, {rows, width})
      .Act(DType::kF32, {width}, QIAO_LIVE_ALL)
      .Act(DType::kBF16, {rows, width})
      .Act(DType::kBF16, {rows, width})
      .Run(state, rows);
}

void MoeGate(State& state, bool v3) {
  const int64_t rows = state.range(0), experts = v3 ? 256 : 64;
  const qiao_moe_gate_params gate = Gate(v3);
  OpBench bench(QIAO_OP_MOE_GATE, Params(gate));
  bench.Rotated(DType::kF32, {rows, experts});
  v3 ? bench.Act(DType::kF32, {experts}, QIAO_LIVE_ALL) : bench.Absent();
  bench.Act(DType::kI32, {rows, gate.k}).Act(DType::kF32, {rows, gate.k});
  bench.Run(state, rows);
}

void MoePermute(State& state, int64_t width, int64_t experts, int64_t k) {
  const int64_t rows = state.range(0);
  std::minstd_rand random(3);
  std::vector<int32_t> ids(static_cast<size_t>(rows * k));
  for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint64_t>(experts));
  qiao_moe_permute_params params{};
  params.experts = static_cast<int32_t>(experts);
  OpBench(QIAO_OP_MOE_PERMUTE, Params(params))
      .Rotated(DType::kBF16, {rows, width})
      .Variants<int32_t>(DType::kI32, {rows, k}, {ids}, QIAO_LIVE_ROWS)
      .Act(DType::kBF16, {rows * k, width}, QIAO_LIVE_ROUTED)
      .Act(DType::kI64, {experts}, QIAO_LIVE_ALL)
      .Act(DType::kI32, {rows, k})
      .Run(state, rows);
}

void MoeCombine(State& state, int64_t width, int64_t k) {
  const int64_t rows = state.range(0);
  std::minstd_rand random(5);
  std::vector<int32_t> slot(static_cast<size_t>(rows * k));
  for (size_t i = 0; i < slot.size(); ++i) slot[i] = static_cast<int32_t>(i);
  std::shuffle(slot.begin(), slot.end(), random);
  OpBench(QIAO_OP_MOE_COMBINE, Params(qiao_moe_combine_params{}))
      .Rotated(DType::kBF16, {rows * k, width}, QIAO_LIVE_ROUTED)
      .Variants<int32_t>(DType::kI32, {rows, k}, {slot}, QIAO_LIVE_ROWS)
      .Act(DType::kF32, {rows, k})
      .Act(DType::kBF16, {rows, width})
      .Act(DType::kBF16, {rows, width})
      .Run(state, rows);
}

void SwiGlu(State& state, int64_t inner) {
  const int64_t rows = state.range(0);
  OpBench(QIAO_OP_SWIGLU, Params(qiao_swiglu_params{}))
      .Rotated(DType::kBF16, {rows, 2 * inner})
      .Absent()
      .Act(DType::kBF16, {rows, inner})
      .Run(state, rows);
}

void Quantise(State& state, int64_t width) {
  const int64_t rows = state.range(0), block = 128;
  qiao_quantise_params params{};
  params.block = static_cast<int32_t>(block);
  params.floor = 1e-4f;
  OpBench bench(QIAO_OP_QUANTISE, Params(params));
  bench.Rotated(DType::kBF16, {rows, width}).Quantised({rows, width}, static_cast<int32_t>(block));
  bench.Act(DType::kF32, {rows, width / block}).Run(state, rows);
}

void ArgMax(State& state, int64_t vocab) {
  const int64_t rows = state.range(0);
  OpBench(QIAO_OP_ARGMAX, Params(qiao_argmax_params{}))
      .Rotated(DType::kF32, {rows, vocab}, QIAO_LIVE_LOGITS)
      .Act(DType::kI32, {rows}, QIAO_LIVE_LOGITS)
      .Run(state, rows);
}

void Rope(State& state, int64_t heads) {
  const int64_t rows = state.range(0), width = 64;
  qiao_rope_params params{};
  params.style = QIAO_ROPE_INTERLEAVED;
  params.width = static_cast<int32_t>(width);
  OpBench(QIAO_OP_ROPE, Params(params))
      .Rotated(DType::kBF16, {rows, heads, width})
      .Act(DType::kF32, {rows, width / 2})
      .Act(DType::kF32, {rows, width / 2})
      .Act(DType::kBF16, {rows, heads, width})
      .Run(state, rows);
}

// ---- which of them run ----

template <typename Function, typename... Args>
benchmark::internal::Benchmark* RegisterAs(const std::string& name, std::vector<std::string> arguments,
                                           const Function& function, Args... args) {
  return benchmark::RegisterBenchmark(name.c_str(), [=](State& state) { function(state, args...); })
      ->ArgNames(arguments)
      ->UseRealTime();
}

template <typename Function, typename... Args>
benchmark::internal::Benchmark* Register(const std::string& name, const Function& function, Args... args) {
  return RegisterAs(name, {"rows"}, function, args...);
}

void RegisterProducts(DType dtype) {
  const std::string form = dtype == DType::kF8E4M3 ? "/f8/" : "/bf16/";
  struct Shape {
    const char* name;
    int64_t n, k;
  };
  for (const Shape& s : {Shape{"lite_q", 3072, 2048},
                         {"lite_kv_a", 576, 2048},
                         {"lite_o", 2048, 2048},
                         {"lite_gate_up", 21888, 2048},
                         {"v3_q_b", 24576, 1536},
                         {"v3_o", 7168, 16384}}) {
    Register("linear" + form + s.name, Linear, dtype, s.n, s.k, DType::kBF16)
        ->Arg(1)
        ->Arg(8)
        ->Arg(32)
        ->Arg(512);
  }
  Register("head" + form + "lite", Linear, dtype, 102400, 2048, DType::kF32)->Arg(1)->Arg(8)->Arg(32);
  for (const bool absorb : {true, false}) {
    Register((absorb ? "linear" + form + "lite_absorb" : "linear" + form + "lite_values"), HeadLinear, dtype,
             absorb, 16)
        ->Arg(1)
        ->Arg(8)
        ->Arg(512);
  }
  Register("grouped_linear" + form + "lite_gate_up", GroupedLinear, dtype, 64, 6, 2816, 2048)
      ->Arg(1)
      ->Arg(8)
      ->Arg(32)
      ->Arg(512);
  Register("grouped_linear" + form + "lite_down", GroupedLinear, dtype, 64, 6, 2048, 1408)
      ->Arg(1)
      ->Arg(8)
      ->Arg(32)
      ->Arg(512);
  // An eighth of V3's experts: as many as a token chooses, and four times that.
  Register("grouped_linear" + form + "v3_gate_up", GroupedLinear, dtype, 32, 8, 4096, 7168)->Arg(1)->Arg(8);
  Register("mlp" + form + "lite", Mlp, dtype)->Arg(1)->Arg(8)->Arg(512);
  Register("moe_mlp" + form + "lite", MoeMlp, dtype)->Arg(1)->Arg(8)->Arg(512);
}

void RegisterAll() {
  RegisterProducts(DType::kF8E4M3);
  RegisterProducts(DType::kBF16);
  const std::vector<std::string> attention = {"seqs", "rows", "depth"};
  RegisterAs("latent_attention/lite", attention, LatentAttention, 16)
      ->ArgsProduct({{1}, {1}, {1, 128, 1024, 4096, 16384}})  // decode
      ->ArgsProduct({{8, 32}, {1}, {1024}})
      ->Args({1, 3, 4096})  // with tokens of a draft
      ->Args({1, 64, 4096})
      ->ArgsProduct({{1}, {512}, {512, 4096}});
  RegisterAs("latent_attention/v3", attention, LatentAttention, 128)
      ->ArgsProduct({{1}, {1}, {4096, 16384}})
      ->Args({1, 64, 4096});
  for (const int64_t width : {2048, 7168}) {
    const std::string tail = width == 2048 ? "/lite" : "/v3";
    Register("rmsnorm" + tail, RmsNorm, width)->Arg(1)->Arg(512);
    Register("add_rmsnorm" + tail, AddRmsNorm, width)->Arg(1)->Arg(512);
    Register("quantise" + tail, Quantise, width)->Arg(1)->Arg(512);
  }
  Register("moe_gate/lite", MoeGate, false)->Arg(1)->Arg(512);
  Register("moe_gate/v3", MoeGate, true)->Arg(1)->Arg(512);
  Register("moe_permute/lite", MoePermute, 2048, 64, 6)->Arg(1)->Arg(512);
  Register("moe_combine/lite", MoeCombine, 2048, 6)->Arg(1)->Arg(512);
  Register("swiglu/lite", SwiGlu, 1408)->Arg(6)->Arg(3072);
  Register("argmax/v3", ArgMax, 129280)->Arg(1)->Arg(32);
  Register("rope/lite", Rope, 16)->Arg(1)->Arg(512);
}

}  // namespace
}  // namespace qiao::bench

int main(int argc, char** argv) {
  qiao::bench::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const size_t matched = benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return matched == 0;
}
