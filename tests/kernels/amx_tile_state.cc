#include "tests/kernels/amx_tile_state.h"

#include <cmath>
#include <cstring>
#include <initializer_list>

#include "hwy/base.h"

#if HWY_ARCH_X86
#include <immintrin.h>
#endif

namespace qiao::kernels::cpu {
namespace {

bool fma_allowed = true;

constexpr int kTiles = 8, kMostRows = 16, kMostBytes = 64;

bool AllZero(const uint8_t* p, int n) {
  for (int i = 0; i < n; ++i)
    if (p[i]) return false;
  return true;
}

const char* CheckTile(const TileState& state, int tile) {
  if (!state.configured) return "no tiles are configured";
  if (tile >= kTiles) return "there is no such tile";
  if (state.rows[tile] == 0) return "the tile has no rows";
  return nullptr;
}

const char* CheckProduct(const TileState& s, int c, int a, int b) {
  if (c == a || c == b || a == b) return "the three tiles are not distinct";
  for (int tile : {c, a, b}) {
    if (const char* why = CheckTile(s, tile)) return why;
    if (s.row_bytes[tile] % 4 != 0) return "a row is not a multiple of 4 bytes";
  }
  if (s.rows[c] != s.rows[a]) return "c and a differ in rows";
  if (s.row_bytes[c] != s.row_bytes[b]) return "c and b differ in columns";
  if (s.row_bytes[a] / 4 != s.rows[b]) return "a's columns are not b's rows";
  return nullptr;
}

template <typename T>
T Get(const uint8_t* row, int i) {
  T value;
  std::memcpy(&value, row + i * static_cast<int>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void Put(uint8_t* row, int i, T value) {
  std::memcpy(row + i * static_cast<int>(sizeof(T)), &value, sizeof(T));
}

float FlushInput(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

float Bf16(const uint8_t* row, int i) {
  const uint32_t bits = uint32_t{Get<uint16_t>(row, i)} << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// sum[n] = the dot product of a row of a and column n of b.
void DotRow(const uint8_t* a, const uint8_t (*b)[64], int pairs, int columns, float* sum) {
  for (int n = 0; n < columns; ++n) {
    float even = 0, odd = 0;
    for (int k = 0; k < pairs; ++k) {
      even = FlushedFma(Bf16(a, 2 * k), Bf16(b[k], 2 * n), even);
      odd = FlushedFma(Bf16(a, 2 * k + 1), Bf16(b[k], 2 * n + 1), odd);
    }
    sum[n] = FlushedFma(even, 1.0f, odd);
  }
}

#if HWY_ARCH_X86

// The same for a whole tile by the CPU's FMA, eight columns at once. Not inlined, so that the arithmetic
// stays between the changes of MXCSR.
__attribute__((noinline, target("avx2,fma"))) void MultiplyByFma(uint8_t (*c)[64], const uint8_t (*a)[64],
                                                                 const uint8_t (*b)[64], int rows, int pairs,
                                                                 int columns) {
  for (int m = 0; m < rows; ++m) {
    for (int n = 0; n < columns; n += 8) {
      __m256 even = _mm256_setzero_ps(), odd = _mm256_setzero_ps();
      for (int k = 0; k < pairs; ++k) {
        const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b[k] + 4 * n));
        const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
        even = _mm256_fmadd_ps(_mm256_set1_ps(Bf16(a[m], 2 * k)),
                               _mm256_castsi256_ps(_mm256_slli_epi32(w, 16)), even);
        odd = _mm256_fmadd_ps(_mm256_set1_ps(Bf16(a[m], 2 * k + 1)),
                              _mm256_castsi256_ps(_mm256_and_si256(w, high)), odd);
      }
      float* to = reinterpret_cast<float*>(c[m] + 4 * n);
      _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), _mm256_add_ps(even, odd)));
    }
  }
}

bool HasFma() { return fma_allowed && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2"); }

#endif

}  // namespace

void UseFmaForTiles(bool use) { fma_allowed = use; }

float FlushedFma(float a, float b, float c) {
  a = FlushInput(a);
  b = FlushInput(b);
  c = FlushInput(c);
  // The product is exact in double. The sum is rounded to odd there, after which rounding to float equals
  // rounding the exact sum.
  const double product = static_cast<double>(a) * static_cast<double>(b), addend = static_cast<double>(c);
  double sum = product + addend;
  if (!std::isfinite(sum)) return static_cast<float>(sum);
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);
  uint64_t bits;
  std::memcpy(&bits, &sum, 8);
  if (error != 0 && bits % 2 == 0) sum = std::nextafter(sum, error > 0 ? HUGE_VAL : -HUGE_VAL);
  // Tiny is what stays below the least normal number when it is rounded as if exponents had no end.
  const float scaled = static_cast<float>(sum * 0x1p64);
  if (std::fabs(scaled) < 0x1p-62f) return std::copysign(0.0f, static_cast<float>(scaled));
  return static_cast<float>(sum);
}

const char* LoadTileConfig(TileState& state, const uint8_t* m) {
  if (m[0] == 0) {
    state = {};
    return nullptr;
  }
  if (m[0] != 1) return "palette is neither 0 nor 1";
  if (!AllZero(m + 2, 14) || !AllZero(m + 32, 16) || !AllZero(m + 56, 8))
    return "reserved bytes are not zero";
  TileState next = {};
  next.configured = true;
  next.start_row = m[1];
  for (int i = 0; i < kTiles; ++i) {
    next.row_bytes[i] = Get<uint16_t>(m + 16, i);
    next.rows[i] = m[48 + i];
    if (next.row_bytes[i] > kMostBytes) return "a row is longer than 64 bytes";
    if (next.rows[i] > kMostRows) return "a tile has more than 16 rows";
    if ((next.rows[i] == 0) != (next.row_bytes[i] == 0)) return "a tile has rows or columns but not both";
  }
  state = next;
  return nullptr;
}

void StoreTileConfig(const TileState& state, uint8_t* m) {
  std::memset(m, 0, 64);
  if (!state.configured) return;
  m[0] = 1;
  m[1] = state.start_row;
  for (int i = 0; i < kTiles; ++i) {
    Put(m + 16, i, state.row_bytes[i]);
    m[48 + i] = state.rows[i];
  }
}

const char* ZeroTileData(TileState& state, int tile) {
  if (const char* why = CheckTile(state, tile)) return why;
  std::memset(state.data[tile], 0, sizeof state.data[tile]);
  state.start_row = 0;
  return nullptr;
}

const char* LoadTileData(TileState& state, int tile, const uint8_t* memory, int64_t stride) {
  if (const char* why = CheckTile(state, tile)) return why;
  for (int r = state.start_row; r < kMostRows; ++r) {
    std::memset(state.data[tile][r], 0, kMostBytes);
    if (r < state.rows[tile]) std::memcpy(state.data[tile][r], memory + r * stride, state.row_bytes[tile]);
  }
  state.start_row = 0;
  return nullptr;
}

const char* StoreTileData(TileState& state, int tile, uint8_t* memory, int64_t stride) {
  if (const char* why = CheckTile(state, tile)) return why;
  for (int r = state.start_row; r < state.rows[tile]; ++r)
    std::memcpy(memory + r * stride, state.data[tile][r], state.row_bytes[tile]);
  state.start_row = 0;
  return nullptr;
}

const char* MultiplyBf16(TileState& s, int c, int a, int b) {
  if (const char* why = CheckProduct(s, c, a, b)) return why;
  const int rows = s.rows[c], pairs = s.row_bytes[a] / 4, columns = s.row_bytes[c] / 4;
#if HWY_ARCH_X86
  if (HasFma()) {
    // To nearest even, no exceptions, subnormals flushed both ways.
    const unsigned before = _mm_getcsr();
    _mm_setcsr(0x9fc0);
    MultiplyByFma(s.data[c], s.data[a], s.data[b], rows, pairs, columns);
    _mm_setcsr(before);
    s.start_row = 0;
    return nullptr;
  }
#endif
  for (int m = 0; m < rows; ++m) {
    float sum[16];
    DotRow(s.data[a][m], s.data[b], pairs, columns, sum);
    for (int n = 0; n < columns; ++n)
      Put(s.data[c][m], n, FlushedFma(Get<float>(s.data[c][m], n), 1.0f, sum[n]));
  }
  s.start_row = 0;
  return nullptr;
}

const char* MultiplyInt8(TileState& s, int c, int a, int b, bool a_signed, bool b_signed) {
  if (const char* why = CheckProduct(s, c, a, b)) return why;
  const auto value = [](const uint8_t* row, int i, bool is_signed) {
    return is_signed ? int32_t{Get<int8_t>(row, i)} : int32_t{row[i]};
  };
  for (int m = 0; m < s.rows[c]; ++m) {
    for (int n = 0; n < s.row_bytes[c] / 4; ++n) {
      uint32_t sum = Get<uint32_t>(s.data[c][m], n);
      for (int k = 0; k < s.row_bytes[a]; ++k) {
        sum += static_cast<uint32_t>(value(s.data[a][m], k, a_signed) *
                                     value(s.data[b][k / 4], 4 * n + k % 4, b_signed));
      }
      Put(s.data[c][m], n, sum);
    }
  }
  s.start_row = 0;
  return nullptr;
}

}  // namespace qiao::kernels::cpu
