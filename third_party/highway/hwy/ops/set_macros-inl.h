// Corrects one line of Highway 1.0.3 (Debian 12). It runs HWY_AVX3_DL where CPUID has AVX512-VNNI, but lets
// the compiler use AVX-VNNI in it, another encoding that Ice Lake and Zen 4 lack: a loop that the compiler
// turns into vpdpbusd would be an illegal instruction there. Here the compiler is told what was checked.
// Stands before Highway's folder in the include path and is included wherever its own file would be.
#include_next <hwy/ops/set_macros-inl.h>

#if HWY_TARGET == HWY_AVX3_DL
#undef HWY_TARGET_STR
#define HWY_TARGET_STR                                               \
  HWY_TARGET_STR_AVX3                                                \
  ",vpclmulqdq,avx512vbmi,avx512vbmi2,vaes,avx512vnni,avx512bitalg," \
  "avx512vpopcntdq"
#endif
