// The instruction sets that the CPU kernels are compiled for, and which of them this machine can use.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qiao::kernels::cpu {

// In rising order. kScalar is plain C++, one element at a time, which every compiler target has.
enum class Isa { kScalar, kNeon, kSse4, kAvx2, kAvx512 };

// "scalar", "neon", "sse4", "avx2", "avx512", and back.
std::string_view Name(Isa isa);
std::optional<Isa> ParseIsa(std::string_view name);

// Those that this binary holds and this CPU runs, best first. kScalar is always among them on x86; on aarch64
// NEON is part of the base architecture and is the only one.
std::vector<Isa> SupportedIsas();

// The best one that is not above `cap`.
Isa BestIsa(std::optional<Isa> cap = std::nullopt);

// Why the next better one than `isa` is not used ("avx512: this CPU lacks it"); empty when there is none
// better.
std::string WhyNotBetter(Isa isa, std::optional<Isa> cap);

// What Highway's dispatch tables are indexed with: its bits of all targets up to `isa`.
long long HighwayTargets(Isa isa);

}  // namespace qiao::kernels::cpu
