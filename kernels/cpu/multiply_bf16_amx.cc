#include "kernels/cpu/multiply_bf16_amx.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/tile_grid_amx.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

// Steps of a panel that are decoded before they are multiplied: a block of 128 where one column tile follows,
// so that decoding the next overlaps with multiplying; four where many follow, so that totals stay in the
// first-level cache longer. 32 KiB for two groups.
constexpr int64_t kMostSteps = 16, kFewSteps = 4;

struct Scratch {
  alignas(64) std::byte panel[kGridGroups][kMostSteps * kPanelStep];
  alignas(64) float part[16 * 16];
  // One for each vector of a tile of sums [16 rows][width], flattened: which row and which column a lane is.
  alignas(64) int32_t row_of[16][16];
  alignas(64) int32_t column_of[16][16];
  alignas(64) float total[1];  // GridSums
};

// What stays the same through a call.
struct Job {
  const AmxWeight& weight;
  const AmxColumns& x;
  const float* x_scale;
  int64_t x_scale_stride;
  bool scaled;
  Scratch& scratch;
  GridSums<float> total;
};

}  // namespace

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

namespace {

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
  for (int64_t v = 0; v < job.total.width; ++v) {
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
  StoreTile<kTile>(job.scratch.part, job.total.width * 4);
  AddScaled(job, rows[kGroup], block, tile + kColumns, job.total.At(kGroup, tile + kColumns));
}

// One visit: the decoded steps [first, last) times kC column tiles.
template <int kG, int kC>
void Visit(const Job& job, const AmxRows* rows, int64_t tile, int64_t first, int64_t last) {
  const auto& panel = job.scratch.panel;
  if (!job.scaled) {  // a sum stays what it is between two visits
    FetchGrid<kG, kC>(job.total, tile);
    MultiplyGrid<Bf16Tiles, kG, kC>(panel[0], panel[1], job.x, tile, first, first, last);
    KeepGrid<kG, kC>(job.total, tile);
    return;
  }
  const int64_t block_steps = job.weight.block / 32;
  for (int64_t step = first; step < last; step += block_steps) {
    const int64_t block = step / block_steps;
    ZeroGrid<kG, kC>();
    MultiplyGrid<Bf16Tiles, kG, kC>(panel[0], panel[1], job.x, tile, first, step,
                                    std::min(step + block_steps, last));
    AddTile<0>(job, rows, block, tile);
    if constexpr (kC > 1) AddTile<1>(job, rows, block, tile);
    if constexpr (kG > 1) AddTile<2>(job, rows, block, tile);
    if constexpr (kG > 1 && kC > 1) AddTile<3>(job, rows, block, tile);
  }
}

// Totals [16 rows][width] to sums[column][row].
void Deliver(const float* total, int64_t width, int64_t columns, float* sums, int64_t stride) {
  __m512i r[16];
  LoadColumns(total, width, r);
  for (int64_t m = 0; m < columns; ++m) _mm512_storeu_si512(sums + m * stride, r[m]);
}

template <int kG>
void MultiplyGroups(const Job& job, const AmxRows* rows, float* sums, int64_t stride) {
  const AmxWeight& w = job.weight;
  const int64_t steps = w.steps(), tiles = job.x.tiles();
  std::fill_n(job.total.data, GridSums<float>::Count(kG, tiles, job.total.width), 0.0f);

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
    for (; tile + kGridTiles <= tiles; tile += kGridTiles) Visit<kG, kGridTiles>(job, rows, tile, step, last);
    if (tile < tiles) Visit<kG, 1>(job, rows, tile, step, last);
  }
  for (int g = 0; g < kG; ++g) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      Deliver(job.total.At(g, tile), job.total.width, std::min<int64_t>(16, job.x.count - 16 * tile),
              sums + 16 * tile * stride + 16 * g, stride);
    }
  }
}

}  // namespace

uint64_t MultiplyBf16AmxScratch(int64_t columns) {
  AmxColumns x;
  x.count = columns;
  return sizeof(Scratch) +
         static_cast<uint64_t>(GridSums<float>::Count(kGridGroups, x.tiles(), x.width())) * sizeof(float);
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
  ConfigureGrid(width);
  const Job job{
      weight, x, x_scale, x_scale_stride, rows->scale[0] != nullptr, s, {s.total, x.tiles(), width}};
  for (; groups >= kGridGroups; groups -= kGridGroups, rows += kGridGroups, sums += 16 * kGridGroups)
    MultiplyGroups<kGridGroups>(job, rows, sums, stride);
  if (groups > 0) MultiplyGroups<1>(job, rows, sums, stride);
  ReleaseTiles();
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
