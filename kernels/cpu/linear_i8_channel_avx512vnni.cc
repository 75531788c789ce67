// The tiles of INT8 products for AVX-512 with VNNI: vpdpbusd adds four products of an unsigned and a signed
// byte to each of sixteen 32-bit sums. One operand must be unsigned, so 128 is added to it, and 128 times the
// sum of the other taken off: the sums wrap around at 32 bits in between and are exact in the end. See
// linear_i8_channel.h.
#include <cstring>
#include <utility>

#include "kernels/cpu/elements.h"
#include "kernels/cpu/linear_i8_channel.h"
#include "kernels/cpu/transpose_avx512.h"

#if HWY_ARCH_X86_64

// On every function that holds such instructions, and only there: the rest of the program must run without.
#define QIAO_VNNI __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define QIAO_INLINE QIAO_VNNI inline __attribute__((always_inline))

namespace qiao::kernels::cpu {
namespace {

constexpr int64_t kPanelRows = 16, kPanels = 3, kOutputs = 8, kFew = 8, kGroup = 4, kBytes = 64;

QIAO_VNNI inline __mmask64 Below(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

QIAO_VNNI inline int32_t SumOf(const int8_t* p, int64_t k) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < k; i += kBytes)
    sum = _mm512_dpbusd_epi32(sum, ones, _mm512_maskz_loadu_epi8(Below(k - i), p + i));
  return _mm512_reduce_add_epi32(sum);
}

// What 128 added to each byte of the other operand adds to a sum, taken off; modulo 2^32.
constexpr int32_t Less128(int32_t sum) {
  return static_cast<int32_t>(0u - 128u * static_cast<uint32_t>(sum));
}

// Four bytes of sixteen rows side by side, unsigned: 64 bytes of each row are sixteen such columns.
QIAO_VNNI void Pack(const int8_t* x, int64_t x_row, int64_t rows, int64_t k, void* panel) {
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
  auto* to = static_cast<uint8_t*>(panel);
  for (int64_t i = 0; i < k; i += kBytes) {
    __m512i columns[16];
    for (int64_t r = 0; r < kPanelRows; ++r) {
      columns[r] = _mm512_maskz_loadu_epi8(r < rows ? Below(k - i) : 0, x + (r < rows ? r * x_row + i : 0));
      columns[r] = _mm512_xor_si512(columns[r], offset);
    }
    Transpose16(columns);
    const int64_t groups = k - i >= kBytes ? 16 : DivideUp(k - i, kGroup);
    for (int64_t c = 0; c < groups; ++c) _mm512_storeu_si512(to + (i / kGroup + c) * kBytes, columns[c]);
  }
}

// Walks the cache lines of some rows, for fetching them one by one.
struct Ahead {
  const int8_t* const* rows;
  int64_t lines, line = 0, row = 0;
  QIAO_VNNI void Fetch() {
    _mm_prefetch(reinterpret_cast<const char*>(rows[row] + line * kBytes), _MM_HINT_T1);
    if (++line < lines) return;
    line = 0;
    row += row + 1 < kOutputs;
  }
};

// The sums of a tile. All indices are constants from the first pass of the compiler on, or GCC leaves arrays
// in memory.
template <int kCount>
struct TileSums {
  __m512i part[kOutputs][kCount];
};

using AllOutputs = std::make_integer_sequence<int, kOutputs>;

template <int... kN>
QIAO_INLINE void Begin(TileSums<1>& sums, const int8_t* const* w, int64_t k,
                       std::integer_sequence<int, kN...>) {
  ((sums.part[kN][0] = _mm512_set1_epi32(Less128(SumOf(w[kN], k)))), ...);
}
template <int... kN>
QIAO_INLINE void Begin(TileSums<3>& sums, const int8_t* const* w, int64_t k,
                       std::integer_sequence<int, kN...>) {
  ((sums.part[kN][0] = sums.part[kN][1] = sums.part[kN][2] = _mm512_set1_epi32(Less128(SumOf(w[kN], k)))),
   ...);
}
template <int... kN>
QIAO_INLINE void Begin(TileSums<2>& sums, const int8_t* const* w, int64_t k,
                       std::integer_sequence<int, kN...>) {
  ((sums.part[kN][0] = sums.part[kN][1] = _mm512_set1_epi32(Less128(SumOf(w[kN], k)))), ...);
}

// Adds the products of four bytes of a row of the weight with those of one or two panels. In assembly,
// because 24 sums leave few registers, and compilers like to load many weights ahead and then move sums to
// memory and back.
QIAO_INLINE void Add(__m512i (&sum)[1], const __m512i (&x)[1], const int8_t* w) {
  __m512i low = sum[0];
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(low)
      : "v"(x[0]), "m"(*reinterpret_cast<const char(*)[kGroup]>(w)));
  sum[0] = low;
}
QIAO_INLINE void Add(__m512i (&sum)[2], const __m512i (&x)[2], const int8_t* w) {
  __m512i low = sum[0], high = sum[1], four;
  asm("vpbroadcastd %5, %2\n\tvpdpbusd %2, %3, %0\n\tvpdpbusd %2, %4, %1"
      : "+v"(low), "+v"(high), "=&v"(four)
      : "v"(x[0]), "v"(x[1]), "m"(*reinterpret_cast<const char(*)[kGroup]>(w)));
  sum[0] = low;
  sum[1] = high;
}

QIAO_INLINE void Add(__m512i (&sum)[3], const __m512i (&x)[3], const int8_t* w) {
  __m512i low = sum[0], middle = sum[1], high = sum[2], four;
  asm("vpbroadcastd %7, %3\n\tvpdpbusd %3, %4, %0\n\tvpdpbusd %3, %5, %1\n\tvpdpbusd %3, %6, %2"
      : "+v"(low), "+v"(middle), "+v"(high), "=&v"(four)
      : "v"(x[0]), "v"(x[1]), "v"(x[2]), "m"(*reinterpret_cast<const char(*)[kGroup]>(w)));
  sum[0] = low;
  sum[1] = middle;
  sum[2] = high;
}

QIAO_INLINE void Load(__m512i (&x)[1], const uint8_t* panel, int64_t) { x[0] = _mm512_loadu_si512(panel); }
QIAO_INLINE void Load(__m512i (&x)[2], const uint8_t* panel, int64_t panel_bytes) {
  x[0] = _mm512_loadu_si512(panel);
  x[1] = _mm512_loadu_si512(panel + panel_bytes);
}

QIAO_INLINE void Load(__m512i (&x)[3], const uint8_t* panel, int64_t panel_bytes) {
  x[0] = _mm512_loadu_si512(panel);
  x[1] = _mm512_loadu_si512(panel + panel_bytes);
  x[2] = _mm512_loadu_si512(panel + 2 * panel_bytes);
}

template <int kCount, int... kN>
QIAO_INLINE void Step(TileSums<kCount>& sums, const __m512i (&x0)[kCount], const __m512i (&x1)[kCount],
                      const int8_t* const* w, int64_t i, std::integer_sequence<int, kN...>) {
  ((Add(sums.part[kN], x0, w[kN] + i), Add(sums.part[kN], x1, w[kN] + i + kGroup)), ...);
}

// The last bytes of a row; those past its end count as zeros.
template <int kCount, int... kN>
QIAO_INLINE void LastStep(TileSums<kCount>& sums, const __m512i (&x)[kCount], const int8_t* const* w,
                          int64_t i, int64_t bytes, std::integer_sequence<int, kN...>) {
  int8_t four[kOutputs][kGroup] = {};
  (std::memcpy(four[kN], w[kN] + i, static_cast<size_t>(bytes)), ...);
  (Add(sums.part[kN], x, four[kN]), ...);
}

template <int kPanel, int kCount, int... kN>
QIAO_INLINE void Collect(const TileSums<kCount>& sums, int32_t* sum, std::integer_sequence<int, kN...>) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i rows[16] = {sums.part[kN][kPanel]..., zero, zero, zero, zero, zero, zero, zero, zero};
  Transpose16(rows);
  for (int m = 0; m < 16; ++m)
    _mm512_mask_storeu_epi32(sum + (kPanel * kPanelRows + m) * kI8Chunk, (1u << kOutputs) - 1, rows[m]);
}

template <int kCount>
QIAO_VNNI inline void Multiply(const uint8_t* panel, int64_t panel_bytes, const int8_t* const* w,
                               const int8_t* const* next, int64_t k, int32_t* sum) {
  TileSums<kCount> sums;
  Begin(sums, w, k, AllOutputs());
  Ahead ahead{next, DivideUp(k, kBytes)};
  int64_t i = 0;
  const uint8_t* x = panel;
  __m512i x0[kCount], x1[kCount];
  for (; i + 2 * kGroup <= k; i += 2 * kGroup, x += 2 * kBytes) {
    Load(x0, x, panel_bytes);
    Load(x1, x + kBytes, panel_bytes);
    ahead.Fetch();
    ahead.Fetch();
    Step(sums, x0, x1, w, i, AllOutputs());
  }
  for (; i < k; i += kGroup, x += kBytes) {
    Load(x0, x, panel_bytes);
    LastStep(sums, x0, w, i, k - i < kGroup ? k - i : kGroup, AllOutputs());
  }
  Collect<0>(sums, sum, AllOutputs());
  if constexpr (kCount > 1) Collect<1>(sums, sum, AllOutputs());
  if constexpr (kCount > 2) Collect<2>(sums, sum, AllOutputs());
}

QIAO_VNNI void Tile(const void* panel, int64_t panel_bytes, int panels, const int8_t* const* w,
                    const int8_t* const* next, int64_t k, void*, int32_t* sum) {
  const auto* x = static_cast<const uint8_t*>(panel);
  if (panels == 3) return Multiply<3>(x, panel_bytes, w, next, k, sum);
  if (panels == 2) return Multiply<2>(x, panel_bytes, w, next, k, sum);
  return Multiply<1>(x, panel_bytes, w, next, k, sum);
}

// kM rows, as they lie, times kN rows of the weight at a time, made unsigned.
template <int kM, int kN>
QIAO_VNNI inline void MultiplyFew(const int8_t* x, int64_t x_row, const int8_t* const* w, int64_t count,
                                  int64_t k, int32_t* sum) {
  constexpr int kFetched = 8;  // rows ahead: about 16 KB, which is what memory's latency takes
  static_assert(kI8Chunk % kN == 0 && kFetched <= kI8Ahead && kN <= kFetched);
  const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
  int32_t begin[kM];
  for (int m = 0; m < kM; ++m) begin[m] = Less128(SumOf(x + m * x_row, k));
  for (int64_t n0 = 0; n0 < count; n0 += kN) {
    __m512i part[kM][kN];
    for (int m = 0; m < kM; ++m)
      for (int n = 0; n < kN; ++n) part[m][n] = _mm512_setzero_si512();
    const int8_t* const* rows = w + n0;
    int64_t i = 0;
    for (; i + kBytes <= k; i += kBytes) {
      __m512i ws[kN];
      for (int n = 0; n < kN; ++n) {
        ws[n] = _mm512_xor_si512(_mm512_loadu_si512(rows[n] + i), offset);
        _mm_prefetch(reinterpret_cast<const char*>(rows[kFetched + n] + i), _MM_HINT_T0);
      }
      for (int m = 0; m < kM; ++m) {
        const __m512i xs = _mm512_loadu_si512(x + m * x_row + i);
        for (int n = 0; n < kN; ++n) part[m][n] = _mm512_dpbusd_epi32(part[m][n], ws[n], xs);
      }
    }
    if (i < k) {
      const __mmask64 there = Below(k - i);
      for (int n = 0; n < kN; ++n) {
        const __m512i ws = _mm512_xor_si512(_mm512_maskz_loadu_epi8(there, rows[n] + i), offset);
        for (int m = 0; m < kM; ++m) {
          const __m512i xs = _mm512_maskz_loadu_epi8(there, x + m * x_row + i);
          part[m][n] = _mm512_dpbusd_epi32(part[m][n], ws, xs);
        }
      }
    }
    for (int m = 0; m < kM; ++m) {
      for (int n = 0; n < kN; ++n) {
        const auto all = static_cast<uint32_t>(_mm512_reduce_add_epi32(part[m][n]));
        sum[m * kI8Chunk + n0 + n] = static_cast<int32_t>(all + static_cast<uint32_t>(begin[m]));
      }
    }
  }
}

QIAO_VNNI void Few(const int8_t* x, int64_t x_row, int64_t rows, const int8_t* const* w, int64_t count,
                   int64_t k, int32_t* sum) {
  constexpr decltype(&MultiplyFew<1, 8>) kRows[kFew] = {
      MultiplyFew<1, 8>, MultiplyFew<2, 8>, MultiplyFew<3, 4>, MultiplyFew<4, 4>,
      MultiplyFew<5, 3>, MultiplyFew<6, 3>, MultiplyFew<7, 3>, MultiplyFew<8, 3>};
  kRows[rows - 1](x, x_row, w, count, k, sum);
}

}  // namespace

I8Tiles VnniI8Tiles(void (*finish)(const I8Row& row)) {
  return {.panel_rows = kPanelRows,
          .panels = kPanels,
          .outputs = kOutputs,
          .few = kFew,
          .group = kGroup,
          .pack = Pack,
          .tile = Tile,
          .few_rows = Few,
          .finish = finish};
}

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
