// The instruction sets that the CPU kernels are compiled for, and which of them this machine can use.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/cpu_facts.h"

namespace qiao::kernels::cpu {

// In rising order; each has what those below it have.
//   kAvx512      F, VL, DQ, BW, CD
//   kAvx512Vbmi  and what Ice Lake and Zen 4 brought: VBMI's byte tables, VNNI, ... (Highway's HWY_AVX3_DL)
//   kAvx512Bf16  and vdpbf16ps
//   kAmx         and tiles: AMX-TILE, AMX-BF16, AMX-INT8
enum class Isa { kScalar, kNeon, kSse4, kAvx2, kAvx512, kAvx512Vbmi, kAvx512Bf16, kAmx };
inline constexpr int kIsaCount = static_cast<int>(Isa::kAmx) + 1;

// "scalar", "neon", "sse4", "avx2", "avx512", "avx512vbmi", "avx512bf16", "amx", and back.
std::string_view Name(Isa isa);
std::optional<Isa> ParseIsa(std::string_view name);
// All names in rising order, whether this machine has them or not.
std::vector<std::string> IsaNames();

// Which sets a machine runs and which it should. Thread-safe.
class IsaChoice {
 public:
  explicit IsaChoice(CpuFacts facts);
  ~IsaChoice();

  // Whether this binary holds it and the machine runs it.
  bool Runs(Isa isa) const { return WhyNot(isa).empty(); }
  // All of those, highest first. kScalar is always among them on x86; on aarch64 NEON is part of the base
  // architecture and is the only one.
  std::vector<Isa> Supported() const;

  // The fastest one that is not above `cap`: the highest, except that kAvx512Bf16 is taken where it is slower
  // than f32 arithmetic only when `cap` names it.
  Isa Best(std::optional<Isa> cap = std::nullopt) const;

  // Why the next one above `isa` is not used ("avx512: this CPU lacks AVX-512 F, VL, DQ, BW or CD"), and,
  // where that one is passed over because it is slow, why not those above it. Empty when there is none above.
  std::vector<std::string> WhyNotBetter(Isa isa, std::optional<Isa> cap) const;

 private:
  struct Tiles;
  std::string WhyNot(Isa isa) const;  // empty: the machine runs it

  CpuFacts facts_;
  // Whether the kernel gives the tile state: asked once, and only when AMX is about to be chosen or listed.
  std::unique_ptr<Tiles> tiles_;
};

// This machine's; its facts are read once a process.
const IsaChoice& HostIsas();
inline std::vector<Isa> SupportedIsas() { return HostIsas().Supported(); }
inline Isa BestIsa(std::optional<Isa> cap = std::nullopt) { return HostIsas().Best(cap); }

// What Highway's dispatch tables are indexed with: its bits of all targets up to `isa`.
long long HighwayTargets(Isa isa);

}  // namespace qiao::kernels::cpu
