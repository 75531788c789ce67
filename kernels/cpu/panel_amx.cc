#include "kernels/cpu/panel_amx.h"

#include <algorithm>
#include <array>
#include <bit>

#include "kernels/cpu/tiles_amx.h"
#include "kernels/cpu/transpose_avx512.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

// The bytes of the bf16 that each E4M3 without its sign stands for.
struct alignas(64) ByteTables {
  std::array<uint8_t, 128> low{}, high{};
};

constexpr ByteTables MakeTables() {
  ByteTables tables;
  for (unsigned v = 0; v < 128; ++v) {
    const unsigned exponent = v >> 3, mantissa = v & 7;
    // Subnormals are mantissa * 2^-9.
    float value = static_cast<float>(exponent ? 8 + mantissa : mantissa) * 0x1p-9f;
    for (unsigned e = 1; e < exponent; ++e) value *= 2;
    const uint32_t bits = v == 127 ? 0x7fc00000u : std::bit_cast<uint32_t>(value);
    tables.low[v] = static_cast<uint8_t>(bits >> 16);
    tables.high[v] = static_cast<uint8_t>(bits >> 24);
  }
  return tables;
}
constexpr ByteTables kTables = MakeTables();

// In bytes of a row. Of 0, 256, 512, 1024, 2048 and 4096 the best on an Emerald Rapids core: 13.8 GB/s
// decoded from memory where plain reads reach 14.5.
constexpr int64_t kFetchAhead = 512;

}  // namespace

HWY_PUSH_ATTRIBUTES(QIAO_AMX_TARGET)

namespace {

// The lowest n bits, n clamped to 0 and 64.
HWY_INLINE __mmask64 FirstBytes(int64_t n) {
  return n >= 64 ? ~__mmask64{0} : n <= 0 ? 0 : (__mmask64{1} << n) - 1;
}

}  // namespace

void PackAmxColumns(const AmxColumns& columns, int64_t tile, const void* const* row, int64_t row_bytes,
                    std::byte* to) {
  const int64_t width = columns.width(), live = std::min<int64_t>(width, columns.count - 16 * tile);
  std::byte* out = to + tile * columns.steps * columns.step_bytes();
  for (int64_t step = 0; step < columns.steps; ++step, out += columns.step_bytes()) {
    const int64_t at = step * kStepBytes;
    const __mmask64 mask = FirstBytes(row_bytes - at);
    // For each column its 16 groups; then for each group its columns.
    __m512i groups[16];
    for (int64_t m = 0; m < 16; ++m) {
      groups[m] = m < live
                      ? _mm512_maskz_loadu_epi8(mask, static_cast<const std::byte*>(row[16 * tile + m]) + at)
                      : _mm512_setzero_si512();
    }
    if (width == 1) {
      _mm512_store_si512(out, groups[0]);
      continue;
    }
    Transpose16(groups);
    const auto first = static_cast<__mmask16>((1u << width) - 1);
    for (int64_t g = 0; g < 16; ++g) _mm512_mask_storeu_epi32(out + g * width * 4, first, groups[g]);
  }
}

void CopyAmxPanel(const void* const* row, int64_t row_bytes, int64_t first, int64_t last, std::byte* panel) {
  for (int64_t r = 0; r < 16; ++r) {
    const auto* from = static_cast<const std::byte*>(row[r]);
    std::byte* to = panel + r * kStepBytes;
    for (int64_t step = first; step < last; ++step, to += kPanelStep) {
      const int64_t at = step * kStepBytes;
      _mm_prefetch(reinterpret_cast<const char*>(from + at) + kFetchAhead, _MM_HINT_T0);
      _mm512_store_si512(to, _mm512_maskz_loadu_epi8(FirstBytes(row_bytes - at), from + at));
    }
  }
}

// 64 E4M3 at a time: one look-up for the low bytes, one for the high ones. The quarters are put into the
// order in which interleaving bytes within lanes leaves both halves in the order of k.
void DecodeAmxPanel(const void* const* row, int64_t k, int64_t first, int64_t last, std::byte* panel) {
  const __m512i low0 = _mm512_load_si512(kTables.low.data()),
                low1 = _mm512_load_si512(kTables.low.data() + 64),
                high0 = _mm512_load_si512(kTables.high.data()),
                high1 = _mm512_load_si512(kTables.high.data() + 64);
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7), sign = _mm512_set1_epi8(-128);
  for (int64_t r = 0; r < 16; ++r) {
    const auto* from = static_cast<const std::byte*>(row[r]);
    std::byte* to = panel + r * kStepBytes;
    for (int64_t step = first; step < last; step += 2, to += 2 * kPanelStep) {
      const int64_t at = step * 32;
      _mm_prefetch(reinterpret_cast<const char*>(from + at) + kFetchAhead, _MM_HINT_T0);
      const __m512i bytes = _mm512_maskz_loadu_epi8(FirstBytes(k - at), from + at);
      const __m512i v = _mm512_permutexvar_epi64(order, bytes);
      const __m512i low = _mm512_permutex2var_epi8(low0, v, low1);
      // high | (v & sign)
      const __m512i high =
          _mm512_ternarylogic_epi64(_mm512_permutex2var_epi8(high0, v, high1), v, sign, 0xf8);
      _mm512_store_si512(to, _mm512_unpacklo_epi8(low, high));
      if (step + 1 < last) _mm512_store_si512(to + kPanelStep, _mm512_unpackhi_epi8(low, high));
    }
  }
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
