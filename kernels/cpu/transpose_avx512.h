// A square of 16 by 16 four-byte elements, transposed in registers. For code whose target has AVX-512 F.
#pragma once

#include "hwy/base.h"

#if HWY_ARCH_X86_64

// GCC 12 warns of its own headers, which leave the unused operand of an unmasked instruction undefined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop

namespace qiao::kernels::cpu {

HWY_PUSH_ATTRIBUTES("avx512f")

// r[i] is row i before and column i after. Two rounds of interleaving within lanes, two of moving lanes.
HWY_INLINE void Transpose16(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  // Now r[4 g + c] holds, in lane l, column 4 l + c of rows 4 g to 4 g + 3.
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88);           // lanes 0 and 2 of row groups 0 and 1
    t[4 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);  // and of 2 and 3
    t[8 + c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);       // lanes 1 and 3
    t[12 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
  }
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0x88);
    r[8 + c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0xdd);
    r[4 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0x88);
    r[12 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0xdd);
  }
}

HWY_POP_ATTRIBUTES

}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
