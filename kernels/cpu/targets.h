// Which of Highway's targets are compiled: included before any header of Highway. SSSE3 alone is too rare to
// be worth its build time, and SVE's sizeless vectors cannot be held in the arrays that the kernels keep
// their sums in. HWY_AVX3_DL (AVX-512 with byte tables and VNNI) is compiled on request only.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#define HWY_WANT_AVX3_DL
