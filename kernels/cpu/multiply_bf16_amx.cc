#include "kernels/cpu/multiply_bf16_amx.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/tiles_amx.h"
#include "kernels/cpu/transpose_avx512.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

// Tiles: sums of group g and column tile c in 2 g + c, weights of group g in 4 + g, columns c in 6 + c. Four
// sums in flight cover the latency of a product.
constexpr int kGroups = 2, kTiles = 2;

// Steps of a panel that are decoded before they are multiplied: a block of 128 where one column tile follows,
// so that decoding the next overlaps with multiplying; four where many follow, so that totals stay in the
// first-level cache longer. 32 KiB for two groups.
constexpr int64_t kMostSteps = 16, kFewSteps = 4;

struct Scratch {
  alignas(64) std::byte panel[kGroups][kMostSteps * kPanelStep];
  alignas(64) float part[16 * 16];
  // One for each vector of a tile of sums [16 rows][width], flattened: which row and which column a lane is.
  alignas(64) int32_t row_of[16][16];
  alignas(64) int32_t column_of[16][16];
  alignas(64) float total[1];  // [group][column tile][16 rows][width]
};

// What stays the same through a call.
struct Job {
  const AmxWeight& weight;
  const AmxColumns& x;
  const float* x_scale;
  int64_t x_scale_stride;
  bool scaled;
  int64_t width;
  Scratch& scratch;

  float* Total(int64_t group, int64_t tile) const {
    return scratch.total + (group * x.tiles() + tile) * 16 * width;
  }
};

}  // namespace

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

namespace {

template <int kG, int kC>
HWY_INLINE void ZeroSums() {
  ZeroTile<0>();
  if constexpr (kC > 1) ZeroTile<1>();
  if constexpr (kG > 1) ZeroTile<2>();
  if constexpr (kG > 1 && kC > 1) ZeroTile<3>();
}

// Steps [first, last) of the panels, whose memory begins at step `base`.
template <int kG, int kC>
HWY_INLINE void MultiplySteps(const Job& job, int64_t tile, int64_t base, int64_t first, int64_t last) {
  const int64_t x_stride = job.width * 4;
  for (int64_t step = first; step < last; ++step) {
    const int64_t at = (step - base) * kPanelStep;
    LoadTile<6>(job.x.Tile(tile, step), x_stride);
    LoadTile<4>(job.scratch.panel[0] + at, kStepBytes);
    MultiplyBf16Tiles<0, 4, 6>();
    if constexpr (kC > 1) {
      LoadTile<7>(job.x.Tile(tile + 1, step), x_stride);
      MultiplyBf16Tiles<1, 4, 7>();
    }
    if constexpr (kG > 1) {
      LoadTile<5>(job.scratch.panel[1] + at, kStepBytes);
      MultiplyBf16Tiles<2, 5, 6>();
    }
    if constexpr (kG > 1 && kC > 1) MultiplyBf16Tiles<3, 5, 7>();
  }
}

// total += part * scale for one tile of sums.
HWY_INLINE void AddScaled(const Job& job, const AmxRows& rows, int64_t block, int64_t tile, float* total) {
  const Scratch& s = job.scratch;
  alignas(64) float row_scale[16], column_scale[16] = {};
  for (int n = 0; n < 16; ++n) row_scale[n] = rows.scale[n][block];
  const __m512 by_row = _mm512_load_ps(row_scale);
  __m512 by_column = _mm512_setzero_ps();
  if (job.x_scale) {
    const int64_t live = std::min<int64_t>(16, job.x.count - 16 * tile);
    for (int64_t m = 0; m < live; ++m)
      column_scale[m] = job.x_scale[(16 * tile + m) * job.x_scale_stride + block];
    by_column = _mm512_load_ps(column_scale);
  }
  for (int64_t v = 0; v < job.width; ++v) {
    __m512 scale = _mm512_permutexvar_ps(_mm512_load_si512(s.row_of[v]), by_row);
    if (job.x_scale) {
      scale = _mm512_mul_ps(scale, _mm512_permutexvar_ps(_mm512_load_si512(s.column_of[v]), by_column));
    }
    _mm512_store_ps(total + 16 * v,
                    _mm512_fmadd_ps(_mm512_load_ps(s.part + 16 * v), scale, _mm512_load_ps(total + 16 * v)));
  }
}

template <int kTile>
HWY_INLINE void AddTile(const Job& job, const AmxRows* rows, int64_t block, int64_t tile) {
  constexpr int kGroup = kTile / 2, kColumns = kTile % 2;
  StoreTile<kTile>(job.scratch.part, job.width * 4);
  AddScaled(job, rows[kGroup], block, tile + kColumns, job.Total(kGroup, tile + kColumns));
}

// Without scales a sum stays what it is between two visits.
template <int kTile>
HWY_INLINE void FetchSum(const Job& job, int64_t tile) {
  LoadTile<kTile>(job.Total(kTile / 2, tile + kTile % 2), job.width * 4);
}
template <int kTile>
HWY_INLINE void KeepSum(const Job& job, int64_t tile) {
  StoreTile<kTile>(job.Total(kTile / 2, tile + kTile % 2), job.width * 4);
}

// One visit: the decoded steps [first, last) times kC column tiles.
template <int kG, int kC>
void Visit(const Job& job, const AmxRows* rows, int64_t tile, int64_t first, int64_t last) {
  if (!job.scaled) {
    FetchSum<0>(job, tile);
    if constexpr (kC > 1) FetchSum<1>(job, tile);
    if constexpr (kG > 1) FetchSum<2>(job, tile);
    if constexpr (kG > 1 && kC > 1) FetchSum<3>(job, tile);
    MultiplySteps<kG, kC>(job, tile, first, first, last);
    KeepSum<0>(job, tile);
    if constexpr (kC > 1) KeepSum<1>(job, tile);
    if constexpr (kG > 1) KeepSum<2>(job, tile);
    if constexpr (kG > 1 && kC > 1) KeepSum<3>(job, tile);
    return;
  }
  const int64_t block_steps = job.weight.block / 32;
  for (int64_t step = first; step < last; step += block_steps) {
    const int64_t block = step / block_steps;
    ZeroSums<kG, kC>();
    MultiplySteps<kG, kC>(job, tile, first, step, std::min(step + block_steps, last));
    AddTile<0>(job, rows, block, tile);
    if constexpr (kC > 1) AddTile<1>(job, rows, block, tile);
    if constexpr (kG > 1) AddTile<2>(job, rows, block, tile);
    if constexpr (kG > 1 && kC > 1) AddTile<3>(job, rows, block, tile);
  }
}

// Totals [16 rows][width] to sums[column][row].
void Deliver(const float* total, int64_t width, int64_t columns, float* sums, int64_t stride) {
  __m512i r[16];
  const auto first = static_cast<__mmask16>((1u << width) - 1);
  for (int64_t n = 0; n < 16; ++n) r[n] = _mm512_maskz_loadu_epi32(first, total + n * width);
  Transpose16(r);
  for (int64_t m = 0; m < columns; ++m) _mm512_storeu_si512(sums + m * stride, r[m]);
}

template <int kG>
void MultiplyGroups(const Job& job, const AmxRows* rows, float* sums, int64_t stride) {
  const AmxWeight& w = job.weight;
  const int64_t steps = w.steps(), tiles = job.x.tiles();
  std::memset(job.scratch.total, 0, static_cast<size_t>(kG * tiles * 16 * job.width) * sizeof(float));

  // Whole blocks a visit, as many as the panel holds.
  const int64_t block_steps = w.block / 32;
  const int64_t wanted = job.scaled && tiles == 1 ? kFewSteps : kMostSteps;
  const int64_t visit = job.scaled ? std::max<int64_t>(1, wanted / block_steps) * block_steps : wanted;
  for (int64_t step = 0; step < steps; step += visit) {
    const int64_t last = std::min(step + visit, steps);
    for (int g = 0; g < kG; ++g) {
      if (w.e4m3) {
        DecodeAmxPanel(rows[g].row, w.k, step, last, job.scratch.panel[g]);
      } else {
        CopyAmxPanel(rows[g].row, 2 * w.k, step, last, job.scratch.panel[g]);
      }
    }
    int64_t tile = 0;
    for (; tile + kTiles <= tiles; tile += kTiles) Visit<kG, kTiles>(job, rows, tile, step, last);
    if (tile < tiles) Visit<kG, 1>(job, rows, tile, step, last);
  }
  for (int g = 0; g < kG; ++g) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      Deliver(job.Total(g, tile), job.width, std::min<int64_t>(16, job.x.count - 16 * tile),
              sums + 16 * tile * stride + 16 * g, stride);
    }
  }
}

}  // namespace

uint64_t MultiplyBf16AmxScratch(int64_t columns) {
  AmxColumns x;
  x.count = columns;
  return sizeof(Scratch) + static_cast<uint64_t>(kGroups * x.tiles() * 16 * x.width()) * sizeof(float);
}

void MultiplyBf16Amx(const AmxWeight& weight, const AmxRows* rows, int64_t groups, const AmxColumns& x,
                     const float* x_scale, int64_t x_scale_stride, std::byte* scratch, float* sums,
                     int64_t stride) {
  Scratch& s = *reinterpret_cast<Scratch*>(scratch);
  const int64_t width = x.width();
  for (int64_t i = 0; i < 16 * width; ++i) {
    s.row_of[i / 16][i % 16] = static_cast<int32_t>(i / width);
    s.column_of[i / 16][i % 16] = static_cast<int32_t>(i % width);
  }
  TileConfig config;
  for (int tile : {0, 1, 2, 3, 6, 7}) config.Set(tile, 16, static_cast<int>(4 * width));
  for (int tile : {4, 5}) config.Set(tile, 16, kTileBytes);
  ConfigureTiles(config);
  const Job job{weight, x, x_scale, x_scale_stride, rows->scale[0] != nullptr, width, s};
  for (; groups >= kGroups; groups -= kGroups, rows += kGroups, sums += 16 * kGroups)
    MultiplyGroups<kGroups>(job, rows, sums, stride);
  if (groups > 0) MultiplyGroups<1>(job, rows, sums, stride);
  ReleaseTiles();
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
