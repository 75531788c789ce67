// Speeds of the CPU kernels, with weights that are rotated through so that they come from memory, as they do
// in a model that is larger than the caches. GB/s counts weight (or cache) bytes once a launch.
#include <benchmark/benchmark.h>
#include <qiao/ops.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "kernels/cpu/kernel.h"
#include "runtime/base/threads.h"

namespace qiao::kernels::cpu {
namespace {

constexpr int64_t kRotated = 256 << 20;  // bytes of weights to go round

qiao_tensor Tensor(uint32_t dtype, std::vector<int64_t> dim) {
  qiao_tensor t{};
  t.struct_size = sizeof t;
  t.dtype = dtype;
  t.rank = static_cast<uint32_t>(dim.size());
  int64_t stride = 1;
  for (size_t i = dim.size(); i-- > 0; stride *= dim[i]) {
    t.dim[i] = dim[i];
    t.stride[i] = stride;
  }
  return t;
}

// Bytes that are small finite numbers in every format: E4M3 and the upper bytes of bf16.
std::vector<uint8_t> Noise(int64_t bytes) {
  std::vector<uint8_t> noise(static_cast<size_t>(bytes));
  std::minstd_rand random(1);
  for (uint8_t& b : noise) b = static_cast<uint8_t>((random() & 0x80) | 0x30 | (random() & 0xf));
  return noise;
}

ThreadPool& Pool() {
  static ThreadPool pool;
  return pool;
}
Isa BenchIsa() {
  const char* cap = std::getenv("QIAO_CPU_ISA");
  return BestIsa(cap ? ParseIsa(cap) : std::nullopt);
}

void Report(benchmark::State& state, double flops, double bytes) {
  using benchmark::Counter;
  state.counters["GFLOP/s"] = Counter(flops / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = Counter(bytes / 1e9, Counter::kIsIterationInvariantRate);
  state.SetLabel(std::string(Name(BenchIsa())) + ", " + std::to_string(Pool().size()) + " threads");
}

void Linear(benchmark::State& state, uint32_t dtype) {
  const int64_t rows = state.range(0), n = 1408, k = 2048, element = dtype == QIAO_BF16 ? 2 : 1;
  const int64_t bytes = n * k * element, copies = kRotated / bytes;
  static const std::vector<uint8_t> weights = Noise(kRotated);
  const std::vector<float> scales(static_cast<size_t>((n + 127) / 128 * (k / 128)), 0.01f);
  qiao_tensor tensors[6] = {Tensor(QIAO_BF16, {rows, 1, k}), {}, Tensor(dtype, {1, n, k}), {}, {},
                            Tensor(QIAO_BF16, {rows, 1, n})};
  tensors[2].layout = QIAO_LAYOUT_PIECES;
  tensors[2].block[0] = tensors[2].block[1] = 128;
  tensors[2].scheme = dtype == QIAO_BF16 ? QIAO_SCHEME_NONE : QIAO_SCHEME_BLOCK;
  const int32_t group_start[2] = {0, 1};
  std::vector<qiao_piece> pieces(static_cast<size_t>(copies));
  std::vector<qiao_weight_view> views;
  for (int64_t i = 0; i < copies; ++i) {
    qiao_piece& p = pieces[static_cast<size_t>(i)];
    p = {sizeof(qiao_piece),
         dtype,
         weights.data() + i * bytes,
         n,
         k,
         k,
         0,
         0,
         tensors[2].scheme,
         scales.data(),
         k / 128,
         {128, 128}};
    views.push_back({sizeof(qiao_weight_view), 1, group_start, &p});
  }
  std::vector<uint16_t> x(static_cast<size_t>(rows * k), 0x3f80), y(static_cast<size_t>(rows * n));
  const qiao_linear_params params{sizeof params, 0};
  const qiao_op_call call{sizeof call, QIAO_OP_LINEAR, &params, 6, tensors};
  const OpKernel& op = *FindKernel(QIAO_OP_LINEAR);
  const Kernel kernel = op.select(BenchIsa());
  const uint64_t size = op.workspace(call, Pool().size());
  std::unique_ptr<void, decltype(&std::free)> workspace(std::aligned_alloc(64, (size + 63) / 64 * 64),
                                                        std::free);
  size_t copy = 0;
  for (auto _ : state) {
    void* pointers[6] = {x.data(), nullptr, &views[copy++ % views.size()], nullptr, nullptr, y.data()};
    kernel({&params, tensors, pointers, nullptr, workspace.get()}, Pool());
    benchmark::DoNotOptimize(y.data());
  }
  Report(state, 2.0 * static_cast<double>(rows * n * k), static_cast<double>(bytes));
}
BENCHMARK_CAPTURE(Linear, f8, QIAO_F8E4M3)->Arg(1)->Arg(8)->Arg(128)->UseRealTime();
BENCHMARK_CAPTURE(Linear, bf16, QIAO_BF16)->Arg(1)->Arg(8)->Arg(128)->UseRealTime();

// Memory as the CPU backend allocates it.
using Memory = std::unique_ptr<void, decltype(&std::free)>;
Memory Allocate(uint64_t bytes) {
  constexpr uint64_t kHugePage = 2 << 20;
  const uint64_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  Memory memory(std::aligned_alloc(kHugePage, size), std::free);
#if defined(__linux__)
  (void)::madvise(memory.get(), size, MADV_HUGEPAGE);
#endif
  return memory;
}

// `seqs` sequences of `rows` new tokens each after `depth` others, bf16 cache of 512 + 64 numbers a token.
// The caches of enough layers are rotated through that they come from memory.
void LatentAttention(benchmark::State& state) {
  const int64_t seqs = state.range(0), rows = state.range(1), depth = state.range(2), heads = state.range(3);
  const int64_t latent = 512, rope = 64, page = 64, context = depth + rows, t = seqs * rows;
  const int64_t width = (context + page - 1) / page, pages = seqs * width;
  const int64_t layer = pages * page * (latent + rope) * 2, layers = kRotated / layer;
  static const Memory cache = [] {
    Memory m = Allocate(kRotated);
    std::ranges::copy(Noise(kRotated), static_cast<uint8_t*>(m.get()));
    return m;
  }();
  const qiao_tensor tensors[9] = {Tensor(QIAO_BF16, {t, heads, latent}),
                                  Tensor(QIAO_BF16, {t, heads, rope}),
                                  Tensor(QIAO_BF16, {pages, page, latent}),
                                  Tensor(QIAO_BF16, {pages, page, rope}),
                                  Tensor(QIAO_I32, {seqs + 1}),
                                  Tensor(QIAO_I32, {seqs}),
                                  Tensor(QIAO_I32, {seqs, width}),
                                  {},
                                  Tensor(QIAO_BF16, {t, heads, latent})};
  std::vector<uint16_t> q(static_cast<size_t>(t * heads * latent), 0x3c00), o(q.size());
  std::vector<int32_t> table(static_cast<size_t>(pages)), q_start, kv_len;
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
  for (int64_t s = 0; s <= seqs; ++s) q_start.push_back(static_cast<int32_t>(s * rows));
  kv_len.assign(static_cast<size_t>(seqs), static_cast<int32_t>(context));
  const qiao_latent_attention_params params{sizeof params, 0.05f, 0};
  const qiao_op_call call{sizeof call, QIAO_OP_LATENT_ATTENTION, &params, 9, tensors};
  const OpKernel& op = *FindKernel(QIAO_OP_LATENT_ATTENTION);
  const Kernel kernel = op.select(BenchIsa());
  const Memory workspace = Allocate(op.workspace(call, Pool().size()));
  int64_t i = 0;
  for (auto _ : state) {
    auto* base = static_cast<uint8_t*>(cache.get()) + i++ % layers * layer;
    void* pointers[9] = {q.data(),       q.data(),      base,         base + pages * page * latent * 2,
                         q_start.data(), kv_len.data(), table.data(), nullptr,
                         o.data()};
    kernel({&params, tensors, pointers, nullptr, workspace.get()}, Pool());
    benchmark::DoNotOptimize(o.data());
  }
  const double seen = static_cast<double>(t * depth + seqs * rows * (rows + 1) / 2);
  Report(state, 2.0 * static_cast<double>(heads * (2 * latent + rope)) * seen,
         static_cast<double>(seqs * context * (latent + rope) * 2));
}
BENCHMARK(LatentAttention)
    ->ArgNames({"seqs", "rows", "depth", "heads"})
    ->ArgsProduct({{1}, {1}, {0, 127, 1024, 4096, 16384}, {16}})  // decode
    ->ArgsProduct({{8, 32}, {1}, {1024}, {16}})
    ->ArgsProduct({{1}, {1}, {4096}, {128}})
    ->ArgsProduct({{1}, {3}, {4096}, {16}})  // with tokens of a draft
    ->ArgsProduct({{1}, {512}, {0, 4096}, {16}})
    ->MeasureProcessCPUTime()
    ->UseRealTime();

}  // namespace
}  // namespace qiao::kernels::cpu

BENCHMARK_MAIN();
