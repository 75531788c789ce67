#include "kernels/cpu/cpu_facts.h"

#include <cerrno>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "hwy/targets.h"

namespace qiao::kernels::cpu {
namespace {

constexpr uint32_t kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;  // leaf 7 EDX
constexpr uint32_t kGfni = 1u << 8;                                                // leaf 7 ECX
constexpr uint32_t kAvx512Bf16Bit = 1u << 5;                                       // leaf 7.1 EAX
constexpr uint64_t kTileStates = uint64_t{3} << 17;                                // XTILECFG and XTILEDATA

int RequestTiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr long kArchReqXcompPerm = 0x1023, kXtileData = 18;  // asm/prctl.h of newer kernels
  return ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kXtileData) == 0 ? 0 : errno;
#else
  return ENOSYS;
#endif
}

}  // namespace

std::string CpuFacts::LacksGfni() const { return leaf7_ecx & kGfni ? "" : "GFNI"; }

std::string CpuFacts::LacksBf16() const { return leaf7_1_eax & kAvx512Bf16Bit ? "" : "AVX512-BF16"; }

std::string CpuFacts::LacksAmx() const {
  std::string lacks;
  for (const auto& [bit, name] :
       {std::pair(kAmxTile, "AMX-TILE"), std::pair(kAmxBf16, "AMX-BF16"), std::pair(kAmxInt8, "AMX-INT8")}) {
    if (!(leaf7_edx & bit)) lacks += (lacks.empty() ? "" : ", ") + std::string(name);
  }
  return lacks;
}

bool CpuFacts::SavesTiles() const { return (xcr0 & kTileStates) == kTileStates; }

// Intel's cores do vdpbf16ps at half the rate of f32 FMAs (84 and 174 GFLOP/s measured on an Emerald Rapids
// core), AMD's since Zen 4 at twice that rate.
bool CpuFacts::Bf16SlowerThanF32() const { return vendor == "GenuineIntel"; }

CpuFacts ReadCpuFacts() {
  CpuFacts facts;
  facts.targets = hwy::SupportedTargets();
  facts.request_tiles = RequestTiles;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d)) {
    char name[12];
    std::memcpy(name, &b, 4);
    std::memcpy(name + 4, &d, 4);
    std::memcpy(name + 8, &c, 4);
    facts.vendor.assign(name, sizeof name);
  }
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    facts.leaf7_ecx = c;
    facts.leaf7_edx = d;
    // Sub-leaf 0 says in EAX which the last sub-leaf is.
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) facts.leaf7_1_eax = a;
  }
  if (__get_cpuid(1, &a, &b, &c, &d) && (c & bit_OSXSAVE)) {
    unsigned low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    facts.xcr0 = uint64_t{high} << 32 | low;
  }
#endif
  return facts;
}

}  // namespace qiao::kernels::cpu
