#include "kernels/cpu/multiply_int8_amx.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/tiles_amx.h"
#include "kernels/cpu/transpose_avx512.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

// Tiles as in multiply_bf16_amx.cc: sums 2 g + c, weights 4 + g, columns 6 + c.
constexpr int kGroups = 2, kTiles = 2;
constexpr int64_t kVisit = 16;  // steps of a panel: 32 KiB for two groups

struct Scratch {
  alignas(64) std::byte panel[kGroups][kVisit * kPanelStep];
  alignas(64) int32_t total[1];  // [group][column tile][16 rows][width]
};

struct Job {
  const AmxColumns& x;
  int64_t width;
  Scratch& scratch;

  int32_t* Total(int64_t group, int64_t tile) const {
    return scratch.total + (group * x.tiles() + tile) * 16 * width;
  }
};

}  // namespace

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

namespace {

template <int kTile>
HWY_INLINE void FetchSum(const Job& job, int64_t tile) {
  LoadTile<kTile>(job.Total(kTile / 2, tile + kTile % 2), job.width * 4);
}
template <int kTile>
HWY_INLINE void KeepSum(const Job& job, int64_t tile) {
  StoreTile<kTile>(job.Total(kTile / 2, tile + kTile % 2), job.width * 4);
}

// Steps [first, last), which the panels hold, times kC column tiles.
template <int kG, int kC>
void Visit(const Job& job, int64_t tile, int64_t first, int64_t last) {
  const int64_t x_stride = job.width * 4;
  FetchSum<0>(job, tile);
  if constexpr (kC > 1) FetchSum<1>(job, tile);
  if constexpr (kG > 1) FetchSum<2>(job, tile);
  if constexpr (kG > 1 && kC > 1) FetchSum<3>(job, tile);
  for (int64_t step = first; step < last; ++step) {
    const int64_t at = (step - first) * kPanelStep;
    LoadTile<6>(job.x.Tile(tile, step), x_stride);
    LoadTile<4>(job.scratch.panel[0] + at, kStepBytes);
    MultiplyInt8Tiles<0, 4, 6>();
    if constexpr (kC > 1) {
      LoadTile<7>(job.x.Tile(tile + 1, step), x_stride);
      MultiplyInt8Tiles<1, 4, 7>();
    }
    if constexpr (kG > 1) {
      LoadTile<5>(job.scratch.panel[1] + at, kStepBytes);
      MultiplyInt8Tiles<2, 5, 6>();
    }
    if constexpr (kG > 1 && kC > 1) MultiplyInt8Tiles<3, 5, 7>();
  }
  KeepSum<0>(job, tile);
  if constexpr (kC > 1) KeepSum<1>(job, tile);
  if constexpr (kG > 1) KeepSum<2>(job, tile);
  if constexpr (kG > 1 && kC > 1) KeepSum<3>(job, tile);
}

// Totals [16 rows][width] to sums[column][row], scaled.
void Deliver(const int32_t* total, int64_t width, const float* row_scale, const float* x_scale,
             int64_t columns, float* sums, int64_t stride) {
  __m512i r[16];
  const auto first = static_cast<__mmask16>((1u << width) - 1);
  for (int64_t n = 0; n < 16; ++n) r[n] = _mm512_maskz_loadu_epi32(first, total + n * width);
  Transpose16(r);
  const __m512 rows = _mm512_loadu_ps(row_scale);
  for (int64_t m = 0; m < columns; ++m) {
    const __m512 scale = _mm512_mul_ps(rows, _mm512_set1_ps(x_scale[m]));
    _mm512_storeu_ps(sums + m * stride, _mm512_mul_ps(_mm512_cvtepi32_ps(r[m]), scale));
  }
}

template <int kG>
void MultiplyGroups(const Job& job, int64_t k, const AmxInt8Rows* rows, const float* x_scale, float* sums,
                    int64_t stride) {
  const int64_t steps = AmxColumns::Steps(k), tiles = job.x.tiles();
  std::memset(job.scratch.total, 0, static_cast<size_t>(kG * tiles * 16 * job.width) * sizeof(int32_t));
  for (int64_t step = 0; step < steps; step += kVisit) {
    const int64_t last = std::min(step + kVisit, steps);
    for (int g = 0; g < kG; ++g) CopyAmxPanel(rows[g].row, k, step, last, job.scratch.panel[g]);
    int64_t tile = 0;
    for (; tile + kTiles <= tiles; tile += kTiles) Visit<kG, kTiles>(job, tile, step, last);
    if (tile < tiles) Visit<kG, 1>(job, tile, step, last);
  }
  for (int g = 0; g < kG; ++g) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      Deliver(job.Total(g, tile), job.width, rows[g].scale, x_scale + 16 * tile,
              std::min<int64_t>(16, job.x.count - 16 * tile), sums + 16 * tile * stride + 16 * g, stride);
    }
  }
}

}  // namespace

uint64_t MultiplyInt8AmxScratch(int64_t columns) {
  AmxColumns x;
  x.count = columns;
  return sizeof(Scratch) + static_cast<uint64_t>(kGroups * x.tiles() * 16 * x.width()) * sizeof(int32_t);
}

void MultiplyInt8Amx(int64_t k, const AmxInt8Rows* rows, int64_t groups, const AmxColumns& x,
                     const float* x_scale, std::byte* scratch, float* sums, int64_t stride) {
  const Job job{x, x.width(), *reinterpret_cast<Scratch*>(scratch)};
  TileConfig config;
  for (int tile : {0, 1, 2, 3, 6, 7}) config.Set(tile, 16, static_cast<int>(4 * job.width));
  for (int tile : {4, 5}) config.Set(tile, 16, kTileBytes);
  ConfigureTiles(config);
  for (; groups >= kGroups; groups -= kGroups, rows += kGroups, sums += 16 * kGroups)
    MultiplyGroups<kGroups>(job, k, rows, x_scale, sums, stride);
  if (groups > 0) MultiplyGroups<1>(job, k, rows, x_scale, sums, stride);
  ReleaseTiles();
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
