#include "kernels/cpu/limit_loops.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#endif

#include "kernels/cpu/isa.h"
#include "kernels/cpu/limit_tiles.h"

namespace qiao::kernels::cpu {
namespace {

// What a loop computed goes here, or the compiler would see that nobody wants it.
thread_local volatile float float_sink;
thread_local volatile int32_t int_sink;

// Sums are independent of each other, as many as hide the latency of the units; a loop over an array of them
// is unrolled, so that they stay in registers. Products are tiny, so that no sum overflows or becomes slow.
constexpr int kRounds = 1 << 17;

#if defined(__x86_64__)

#define QIAO_TARGET(features) __attribute__((target(features)))

void F32Sse() {
  constexpr int kSums = 12;
  __m128 sum[kSums], a = _mm_set1_ps(1e-6f), b = _mm_set1_ps(1.0f);
  for (__m128& s : sum) s = _mm_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; ++j) sum[j] = _mm_add_ps(sum[j], _mm_mul_ps(a, b));
    asm volatile("" : "+x"(a));  // the product is not the same one as before
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm_add_ps(sum[0], sum[j]);
  float_sink = sum[0][0];
}

QIAO_TARGET("avx2,fma") void F32Avx2() {
  constexpr int kSums = 12;
  __m256 sum[kSums], a = _mm256_set1_ps(1e-6f), b = _mm256_set1_ps(1.0f);
  for (int j = 0; j < kSums; ++j) sum[j] = _mm256_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; ++j) sum[j] = _mm256_fmadd_ps(a, b, sum[j]);
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm256_add_ps(sum[0], sum[j]);
  float_sink = sum[0][0];
}

QIAO_TARGET("avx512f") void F32Avx512() {
  constexpr int kSums = 16;
  __m512 sum[kSums], a = _mm512_set1_ps(1e-6f), b = _mm512_set1_ps(1.0f);
  for (int j = 0; j < kSums; ++j) sum[j] = _mm512_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kSums; ++j) sum[j] = _mm512_fmadd_ps(a, b, sum[j]);
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm512_add_ps(sum[0], sum[j]);
  float_sink = sum[0][0];
}

QIAO_TARGET("avx512f,avx512bf16") void Bf16Avx512() {
  constexpr int kSums = 16;
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-6f), _mm512_set1_ps(1e-6f));
  const __m512bh b = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.0f), _mm512_set1_ps(1.0f));
  __m512 sum[kSums];
  for (int j = 0; j < kSums; ++j) sum[j] = _mm512_setzero_ps();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kSums; ++j) sum[j] = _mm512_dpbf16_ps(sum[j], a, b);
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm512_add_ps(sum[0], sum[j]);
  float_sink = sum[0][0];
}

QIAO_TARGET("avx512f,avx512vnni") void I8Avx512() {
  constexpr int kSums = 16;
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-1);
  __m512i sum[kSums];
  for (int j = 0; j < kSums; ++j) sum[j] = _mm512_setzero_si512();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kSums; ++j) sum[j] = _mm512_dpbusd_epi32(sum[j], a, b);
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm512_add_epi32(sum[0], sum[j]);
  int_sink = static_cast<int32_t>(sum[0][0]);
}

// Pairs to int16, pairs of those to int32, and the sum: three instructions.
QIAO_TARGET("avx2") void I8Avx2() {
  constexpr int kSums = 8;
  const __m256i b = _mm256_set1_epi8(-1), ones = _mm256_set1_epi16(1);
  __m256i sum[kSums], a = _mm256_set1_epi8(3);
  for (int j = 0; j < kSums; ++j) sum[j] = _mm256_setzero_si256();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) {
      asm volatile("" : "+x"(a));
      sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
    }
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm256_add_epi32(sum[0], sum[j]);
  int_sink = static_cast<int32_t>(sum[0][0]);
}

void I8Sse() {
  constexpr int kSums = 6;
  __m128i sum[kSums], a = _mm_set1_epi16(3), b = _mm_set1_epi16(-1);
  for (__m128i& s : sum) s = _mm_setzero_si128();
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 6
    for (int j = 0; j < kSums; ++j) {
      asm volatile("" : "+x"(a));
      sum[j] = _mm_add_epi32(sum[j], _mm_madd_epi16(a, b));
    }
  }
  for (int j = 1; j < kSums; ++j) sum[0] = _mm_add_epi32(sum[0], sum[j]);
  int_sink = static_cast<int32_t>(sum[0][0]);
}

unsigned ReadSse(const std::byte* data, size_t bytes) {
  __m128i sum[8];
  for (__m128i& s : sum) s = _mm_setzero_si128();
  for (size_t at = 0; at < bytes; at += sizeof(sum)) {
    const auto* from = reinterpret_cast<const __m128i*>(data + at);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = _mm_xor_si128(sum[j], _mm_load_si128(from + j));
  }
  for (int j = 1; j < 8; ++j) sum[0] = _mm_xor_si128(sum[0], sum[j]);
  return static_cast<unsigned>(sum[0][0]);
}

QIAO_TARGET("avx2") unsigned ReadAvx2(const std::byte* data, size_t bytes) {
  __m256i sum[8];
  for (int j = 0; j < 8; ++j) sum[j] = _mm256_setzero_si256();
  for (size_t at = 0; at < bytes; at += sizeof(sum)) {
    const auto* from = reinterpret_cast<const __m256i*>(data + at);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = _mm256_xor_si256(sum[j], _mm256_load_si256(from + j));
  }
  for (int j = 1; j < 8; ++j) sum[0] = _mm256_xor_si256(sum[0], sum[j]);
  return static_cast<unsigned>(sum[0][0]);
}

QIAO_TARGET("avx512f") unsigned ReadAvx512(const std::byte* data, size_t bytes) {
  __m512i sum[8];
  for (int j = 0; j < 8; ++j) sum[j] = _mm512_setzero_si512();
  for (size_t at = 0; at < bytes; at += sizeof(sum)) {
    const auto* from = reinterpret_cast<const __m512i*>(data + at);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = _mm512_xor_si512(sum[j], _mm512_load_si512(from + j));
  }
  for (int j = 1; j < 8; ++j) sum[0] = _mm512_xor_si512(sum[0], sum[j]);
  return static_cast<unsigned>(sum[0][0]);
}

#elif defined(__aarch64__)

void F32Neon() {
  constexpr int kSums = 16;
  float32x4_t sum[kSums], a = vdupq_n_f32(1e-6f), b = vdupq_n_f32(1.0f);
  for (float32x4_t& s : sum) s = vdupq_n_f32(0);
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kSums; ++j) sum[j] = vfmaq_f32(sum[j], a, b);
  }
  for (int j = 1; j < kSums; ++j) sum[0] = vaddq_f32(sum[0], sum[j]);
  float_sink = vgetq_lane_f32(sum[0], 0);
}

void I8Neon() {
  constexpr int kSums = 8;
  int8x16_t a = vdupq_n_s8(3), b = vdupq_n_s8(-1);
  int32x4_t sum[kSums];
  for (int32x4_t& s : sum) s = vdupq_n_s32(0);
  for (int i = 0; i < kRounds; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) {
      asm volatile("" : "+w"(a));
      sum[j] = vpadalq_s16(sum[j], vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    }
  }
  for (int j = 1; j < kSums; ++j) sum[0] = vaddq_s32(sum[0], sum[j]);
  int_sink = vgetq_lane_s32(sum[0], 0);
}

// sdot and bfdot as numbers, since an assembler that is told of the base architecture refuses their names:
// v0..v15 += v16 . v17.
#define QIAO_DOT_16(opcode)                                                                 \
  ".inst " #opcode " + 0\n .inst " #opcode " + 1\n .inst " #opcode " + 2\n .inst " #opcode  \
  " + 3\n"                                                                                  \
  ".inst " #opcode " + 4\n .inst " #opcode " + 5\n .inst " #opcode " + 6\n .inst " #opcode  \
  " + 7\n"                                                                                  \
  ".inst " #opcode " + 8\n .inst " #opcode " + 9\n .inst " #opcode " + 10\n .inst " #opcode \
  " + 11\n"                                                                                 \
  ".inst " #opcode " + 12\n .inst " #opcode " + 13\n .inst " #opcode " + 14\n .inst " #opcode " + 15\n"
#define QIAO_DOT_REGISTERS                                                                              \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", \
      "v16", "v17"

void I8Dot() {
  asm volatile("movi v16.16b, #3\n movi v17.16b, #1" ::: "v16", "v17");
  for (int i = 0; i < kRounds; ++i) asm volatile(QIAO_DOT_16(0x4e919600)::: QIAO_DOT_REGISTERS);
}

void Bf16Dot() {
  asm volatile("movi v16.16b, #0\n movi v17.16b, #0" ::: "v16", "v17");
  for (int i = 0; i < kRounds; ++i) asm volatile(QIAO_DOT_16(0x6e51fe00)::: QIAO_DOT_REGISTERS);
}

unsigned ReadNeon(const std::byte* data, size_t bytes) {
  uint32x4_t sum[8];
  for (uint32x4_t& s : sum) s = vdupq_n_u32(0);
  for (size_t at = 0; at < bytes; at += sizeof(sum)) {
    const auto* from = reinterpret_cast<const uint32_t*>(data + at);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) sum[j] = veorq_u32(sum[j], vld1q_u32(from + 4 * j));
  }
  for (int j = 1; j < 8; ++j) sum[0] = veorq_u32(sum[0], sum[j]);
  return vgetq_lane_u32(sum[0], 0);
}

#else

void F32Plain() {
  float sum[8] = {}, a = 1e-6f;
  for (int i = 0; i < kRounds; ++i) {
    for (float& s : sum) s += a;
    asm volatile("" : "+m"(a));
  }
  float_sink = sum[0];
}

void I8Plain() {
  int32_t sum[8] = {}, a = 3;
  for (int i = 0; i < kRounds; ++i) {
    for (int32_t& s : sum) s += a * static_cast<int8_t>(i);
    asm volatile("" : "+m"(a));
  }
  int_sink = sum[0];
}

unsigned ReadPlain(const std::byte* data, size_t bytes) {
  uint64_t sum = 0, word;
  for (size_t at = 0; at < bytes; at += sizeof(word)) {
    std::memcpy(&word, data + at, sizeof(word));
    sum ^= word;
  }
  return static_cast<unsigned>(sum);
}

#endif

// `sums` registers, `lanes` products each, kRounds times.
constexpr double Operations(int sums, int lanes) { return 2.0 * static_cast<double>(kRounds) * sums * lanes; }

}  // namespace

#if defined(__x86_64__)

std::vector<ArithmeticLoop> F32Loops() {
  std::vector<ArithmeticLoop> loops = {{"f32 products and sums of 128 bits", Operations(12, 4), F32Sse}};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    loops.push_back({"f32 FMA of 256 bits", Operations(12, 8), F32Avx2});
  }
  if (__builtin_cpu_supports("avx512f")) {
    loops.push_back({"f32 FMA of 512 bits", Operations(16, 16), F32Avx512});
  }
  return loops;
}

std::vector<ArithmeticLoop> Bf16Loops() {
  std::vector<ArithmeticLoop> loops;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16")) {
    loops.push_back({"vdpbf16ps of 512 bits", Operations(16, 32), Bf16Avx512});
  }
  if (HostIsas().Runs(Isa::kAmx))
    loops.push_back({"AMX tiles, tdpbf16ps", kBf16TileOperations, RunBf16Tiles});
  return loops;
}

std::vector<ArithmeticLoop> I8Loops() {
  std::vector<ArithmeticLoop> loops = {{"pmaddwd of 128 bits", Operations(6, 8), I8Sse}};
  if (__builtin_cpu_supports("avx2")) {
    loops.push_back({"vpmaddubsw of 256 bits", Operations(8, 32), I8Avx2});
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni")) {
    loops.push_back({"vpdpbusd of 512 bits", Operations(16, 64), I8Avx512});
  }
  if (HostIsas().Runs(Isa::kAmx)) loops.push_back({"AMX tiles, tdpbssd", kI8TileOperations, RunI8Tiles});
  return loops;
}

ReadLoop BestReadLoop() {
  if (__builtin_cpu_supports("avx512f")) return {"512-bit loads", ReadAvx512};
  if (__builtin_cpu_supports("avx2")) return {"256-bit loads", ReadAvx2};
  return {"128-bit loads", ReadSse};
}

#elif defined(__aarch64__)

std::vector<ArithmeticLoop> F32Loops() { return {{"f32 FMA of 128 bits", Operations(16, 4), F32Neon}}; }

std::vector<ArithmeticLoop> Bf16Loops() {
#if defined(__linux__) && defined(HWCAP2_BF16)
  if (getauxval(AT_HWCAP2) & HWCAP2_BF16) return {{"bfdot of 128 bits", Operations(16, 8), Bf16Dot}};
#endif
  return {};
}

std::vector<ArithmeticLoop> I8Loops() {
  std::vector<ArithmeticLoop> loops = {{"smull and sadalp", Operations(8, 8), I8Neon}};
#if defined(__linux__) && defined(HWCAP_ASIMDDP)
  if (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) {
    loops.push_back({"sdot of 128 bits", Operations(16, 16), I8Dot});
  }
#endif
  return loops;
}

ReadLoop BestReadLoop() { return {"128-bit loads", ReadNeon}; }

#else

std::vector<ArithmeticLoop> F32Loops() { return {{"plain C++", Operations(8, 1), F32Plain}}; }
std::vector<ArithmeticLoop> Bf16Loops() { return {}; }
std::vector<ArithmeticLoop> I8Loops() { return {{"plain C++", Operations(8, 1), I8Plain}}; }
ReadLoop BestReadLoop() { return {"plain C++", ReadPlain}; }

#endif

}  // namespace qiao::kernels::cpu
