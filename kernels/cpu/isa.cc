#include "kernels/cpu/isa.h"

#include <array>

#include "runtime/base/status.h"
// clang-format off
#include "kernels/cpu/targets.h"  // before Highway, which reads it
#include "hwy/highway.h"
// clang-format on

namespace qiao::kernels::cpu {
namespace {

struct Entry {
  Isa isa;
  std::string_view name;
  long long target;
  std::string_view needs;
};

#if HWY_ARCH_X86
constexpr std::array<Entry, 4> kIsas{{
    {Isa::kScalar, "scalar", HWY_STATIC_TARGET, "SSE2"},
    {Isa::kSse4, "sse4", HWY_SSE4, "SSE4.2, PCLMUL and AES"},
    {Isa::kAvx2, "avx2", HWY_AVX2, "AVX2, FMA, BMI2 and F16C"},
    {Isa::kAvx512, "avx512", HWY_AVX3, "AVX-512 F, VL, DQ, BW and CD"},
}};
#elif HWY_ARCH_ARM_A64
constexpr std::array<Entry, 1> kIsas{{{Isa::kNeon, "neon", HWY_NEON, "NEON"}}};
#else
constexpr std::array<Entry, 1> kIsas{{{Isa::kScalar, "scalar", HWY_STATIC_TARGET, "nothing"}}};
#endif

// Those without run-time dispatch are the baseline, which the program could not have started without.
bool Runs(const Entry& entry) {
  return entry.target == HWY_STATIC_TARGET || (hwy::SupportedTargets() & HWY_TARGETS & entry.target) != 0;
}

}  // namespace

std::string_view Name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kNeon:
      return "neon";
    case Isa::kSse4:
      return "sse4";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "unknown";
}

std::optional<Isa> ParseIsa(std::string_view name) {
  for (Isa isa : {Isa::kScalar, Isa::kNeon, Isa::kSse4, Isa::kAvx2, Isa::kAvx512})
    if (Name(isa) == name) return isa;
  return std::nullopt;
}

std::vector<Isa> SupportedIsas() {
  std::vector<Isa> found;
  for (auto entry = kIsas.rbegin(); entry != kIsas.rend(); ++entry)
    if (Runs(*entry)) found.push_back(entry->isa);
  return found;
}

Isa BestIsa(std::optional<Isa> cap) {
  for (auto entry = kIsas.rbegin(); entry != kIsas.rend(); ++entry)
    if (Runs(*entry) && (!cap || entry->isa <= *cap)) return entry->isa;
  return kIsas.front().isa;
}

std::string WhyNotBetter(Isa isa, std::optional<Isa> cap) {
  for (const Entry& entry : kIsas) {
    if (entry.isa <= isa) continue;
    if (!Runs(entry)) return absl::StrFormat("%s: this CPU lacks %s", entry.name, entry.needs);
    if (cap && entry.isa > *cap) return absl::StrFormat("%s: capped by isa=%s", entry.name, Name(*cap));
  }
  return "";
}

long long HighwayTargets(Isa isa) {
  long long targets = 0;
  for (const Entry& entry : kIsas)
    if (entry.isa <= isa) targets |= entry.target;
  return targets;
}

}  // namespace qiao::kernels::cpu
