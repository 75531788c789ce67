#include "kernels/cpu/multiply_int8_amx.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/tile_grid_amx.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

constexpr int64_t kVisit = 16;  // steps of a panel: 32 KiB for two groups

struct Scratch {
  alignas(64) std::byte panel[kGridGroups][kVisit * kPanelStep];
  alignas(64) int32_t total[1];  // GridSums
};

struct Job {
  const AmxColumns& x;
  Scratch& scratch;
  GridSums<int32_t> total;
};

}  // namespace

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

namespace {

// Steps [first, last), which the panels hold, times kC column tiles.
template <int kG, int kC>
void Visit(const Job& job, int64_t tile, int64_t first, int64_t last) {
  const auto& panel = job.scratch.panel;
  FetchGrid<kG, kC>(job.total, tile);
  MultiplyGrid<Int8Tiles, kG, kC>(panel[0], panel[1], job.x, tile, first, first, last);
  KeepGrid<kG, kC>(job.total, tile);
}

// Totals [16 rows][width] to sums[column][row], scaled.
void Deliver(const int32_t* total, int64_t width, const float* row_scale, const float* x_scale,
             int64_t columns, float* sums, int64_t stride) {
  __m512i r[16];
  LoadColumns(total, width, r);
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
  std::fill_n(job.total.data, GridSums<int32_t>::Count(kG, tiles, job.total.width), 0);
  for (int64_t step = 0; step < steps; step += kVisit) {
    const int64_t last = std::min(step + kVisit, steps);
    for (int g = 0; g < kG; ++g) CopyAmxPanel(rows[g].row, k, step, last, job.scratch.panel[g]);
    int64_t tile = 0;
    for (; tile + kGridTiles <= tiles; tile += kGridTiles) Visit<kG, kGridTiles>(job, tile, step, last);
    if (tile < tiles) Visit<kG, 1>(job, tile, step, last);
  }
  for (int g = 0; g < kG; ++g) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      Deliver(job.total.At(g, tile), job.total.width, rows[g].scale, x_scale + 16 * tile,
              std::min<int64_t>(16, job.x.count - 16 * tile), sums + 16 * tile * stride + 16 * g, stride);
    }
  }
}

}  // namespace

uint64_t MultiplyInt8AmxScratch(int64_t columns) {
  AmxColumns x;
  x.count = columns;
  return sizeof(Scratch) +
         static_cast<uint64_t>(GridSums<int32_t>::Count(kGridGroups, x.tiles(), x.width())) * sizeof(int32_t);
}

void MultiplyInt8Amx(int64_t k, const AmxInt8Rows* rows, int64_t groups, const AmxColumns& x,
                     const float* x_scale, std::byte* scratch, float* sums, int64_t stride) {
  Scratch& s = *reinterpret_cast<Scratch*>(scratch);
  const Job job{x, s, {s.total, x.tiles(), x.width()}};
  ConfigureGrid(x.width());
  for (; groups >= kGridGroups; groups -= kGridGroups, rows += kGridGroups, sums += 16 * kGridGroups)
    MultiplyGroups<kGridGroups>(job, k, rows, x_scale, sums, stride);
  if (groups > 0) MultiplyGroups<1>(job, k, rows, x_scale, sums, stride);
  ReleaseTiles();
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
