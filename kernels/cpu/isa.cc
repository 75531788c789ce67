#include "kernels/cpu/isa.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <system_error>
#include <utility>

#include "runtime/base/status.h"
// clang-format off
#include "kernels/cpu/targets.h"  // before Highway, which reads it
#include "hwy/highway.h"
// clang-format on

namespace qiao::kernels::cpu {
namespace {

struct IsaName {
  Isa isa;
  std::string_view name;
};
constexpr std::array<IsaName, kIsaCount> kNames{{
    {Isa::kScalar, "scalar"},
    {Isa::kNeon, "neon"},
    {Isa::kSse4, "sse4"},
    {Isa::kAvx2, "avx2"},
    {Isa::kAvx512, "avx512"},
    {Isa::kAvx512Vbmi, "avx512vbmi"},
    {Isa::kAvx512Bf16, "avx512bf16"},
    {Isa::kAmx, "amx"},
}};

struct Entry {
  Isa isa;
  long long target;  // Highway's highest; what stands above it is looked up in CpuFacts
  std::string_view needs;
};

#if HWY_ARCH_X86
constexpr std::array<Entry, 7> kIsas{{
    {Isa::kScalar, HWY_STATIC_TARGET, "SSE2"},
    {Isa::kSse4, HWY_SSE4, "SSE4.2, PCLMUL or AES"},
    {Isa::kAvx2, HWY_AVX2, "AVX2, FMA, BMI2 or F16C"},
    {Isa::kAvx512, HWY_AVX3, "AVX-512 F, VL, DQ, BW or CD"},
    {Isa::kAvx512Vbmi, HWY_AVX3_DL, "AVX-512 VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ, VAES or VPCLMULQDQ"},
    {Isa::kAvx512Bf16, HWY_AVX3_DL, "AVX-512 VBMI"},
    {Isa::kAmx, HWY_AVX3_DL, "AVX-512 VBMI"},
}};
#elif HWY_ARCH_ARM_A64
constexpr std::array<Entry, 1> kIsas{{{Isa::kNeon, HWY_NEON, "NEON"}}};
#else
constexpr std::array<Entry, 1> kIsas{{{Isa::kScalar, HWY_STATIC_TARGET, "nothing"}}};
#endif

}  // namespace

std::string_view Name(Isa isa) {
  for (const IsaName& entry : kNames)
    if (entry.isa == isa) return entry.name;
  return "unknown";
}

std::optional<Isa> ParseIsa(std::string_view name) {
  for (const IsaName& entry : kNames)
    if (entry.name == name) return entry.isa;
  return std::nullopt;
}

std::vector<std::string> IsaNames() {
  std::vector<std::string> names;
  for (const IsaName& entry : kNames) names.emplace_back(entry.name);
  return names;
}

struct IsaChoice::Tiles {
  std::once_flag asked;
  int refusal = 0;
};

IsaChoice::IsaChoice(CpuFacts facts) : facts_(std::move(facts)), tiles_(std::make_unique<Tiles>()) {}
IsaChoice::~IsaChoice() = default;

std::string IsaChoice::WhyNot(Isa isa) const {
  const auto entry = std::find_if(kIsas.begin(), kIsas.end(), [&](const Entry& e) { return e.isa == isa; });
  if (entry == kIsas.end()) return "this binary does not hold it";
  // Those without run-time dispatch are the baseline, which the program could not have started without.
  std::string lacks;
  if (entry->target != HWY_STATIC_TARGET && !(facts_.targets & HWY_TARGETS & entry->target)) {
    lacks = std::string(entry->needs);
  } else if (entry->target == HWY_AVX3_DL) {
    lacks = facts_.LacksGfni();
    if (lacks.empty() && isa >= Isa::kAvx512Bf16) lacks = facts_.LacksBf16();
    if (isa == Isa::kAmx && !facts_.LacksAmx().empty()) lacks = facts_.LacksAmx();
  }
  if (!lacks.empty()) return "this CPU lacks " + lacks;
  if (isa != Isa::kAmx) return "";

  if (!facts_.SavesTiles()) return "the kernel does not save the tile state (XCR0 bits 17 and 18)";
  std::call_once(tiles_->asked, [&] { tiles_->refusal = facts_.request_tiles(); });
  if (tiles_->refusal != 0) {
    return absl::StrFormat("the kernel refused the tile state (%s)",
                           std::generic_category().message(tiles_->refusal));
  }
  return "";
}

std::vector<Isa> IsaChoice::Supported() const {
  std::vector<Isa> found;
  for (auto entry = kIsas.rbegin(); entry != kIsas.rend(); ++entry)
    if (Runs(entry->isa)) found.push_back(entry->isa);
  return found;
}

Isa IsaChoice::Best(std::optional<Isa> cap) const {
  for (auto entry = kIsas.rbegin(); entry != kIsas.rend(); ++entry) {
    const Isa isa = entry->isa;
    if (cap && isa > *cap) continue;
    if (isa == Isa::kAvx512Bf16 && cap != isa && facts_.Bf16SlowerThanF32()) continue;
    if (Runs(isa)) return isa;
  }
  return kIsas.front().isa;
}

std::vector<std::string> IsaChoice::WhyNotBetter(Isa isa, std::optional<Isa> cap) const {
  std::vector<std::string> reasons;
  for (const Entry& entry : kIsas) {
    if (entry.isa <= isa) continue;
    std::string why;
    bool slow = false;
    if (cap && entry.isa > *cap) {
      why = absl::StrFormat("capped by isa=%s", Name(*cap));
    } else if (why = WhyNot(entry.isa); why.empty()) {
      slow = true;
      why = absl::StrFormat("slower than f32 here; isa=%s chooses it", Name(entry.isa));
    }
    reasons.push_back(absl::StrFormat("%s: %s", Name(entry.isa), why));
    if (!slow) break;
  }
  return reasons;
}

const IsaChoice& HostIsas() {
  static const IsaChoice choice(ReadCpuFacts());
  return choice;
}

long long HighwayTargets(Isa isa) {
  long long targets = 0;
  for (const Entry& entry : kIsas)
    if (entry.isa <= isa) targets |= entry.target;
  return targets;
}

}  // namespace qiao::kernels::cpu
