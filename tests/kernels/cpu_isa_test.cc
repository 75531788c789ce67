// Choosing an instruction set: every outcome from invented facts, and this machine's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cpu/isa.h"
// clang-format off
#include "kernels/cpu/targets.h"  // before Highway, which reads it
#include "hwy/highway.h"
// clang-format on

namespace qiao::kernels::cpu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(CpuIsa, NamesGoBackAndForth) {
  const std::vector<std::string> names = IsaNames();
  EXPECT_THAT(names,
              ElementsAre("scalar", "neon", "sse4", "avx2", "avx512", "avx512vbmi", "avx512bf16", "amx"));
  for (const std::string& name : names) {
    const auto isa = ParseIsa(name);
    ASSERT_TRUE(isa.has_value()) << name;
    EXPECT_EQ(Name(*isa), name);
  }
  EXPECT_FALSE(ParseIsa("avx1024").has_value());
  EXPECT_FALSE(ParseIsa("auto").has_value());
}

TEST(CpuIsa, ThisMachineTakesWhatItIsTold) {
  const std::vector<Isa> isas = SupportedIsas();
  ASSERT_FALSE(isas.empty());
  EXPECT_TRUE(std::is_sorted(isas.rbegin(), isas.rend()));
  for (Isa isa : isas) EXPECT_EQ(BestIsa(isa), isa) << Name(isa);
  EXPECT_TRUE(std::count(isas.begin(), isas.end(), BestIsa()));
  if (isas.size() > 1) {
    EXPECT_THAT(HostIsas().WhyNotBetter(isas[1], isas[1]), ElementsAre(HasSubstr("capped")));
  }
}

#if HWY_ARCH_X86

int asked;
int Grant() { return ++asked, 0; }
int Refuse() { return ++asked, EOPNOTSUPP; }

constexpr uint32_t kAmxBits = 1u << 22 | 1u << 24 | 1u << 25;
constexpr int64_t kUpToAvx512 = HWY_SSE4 | HWY_AVX2 | HWY_AVX3;

// A Sapphire Rapids under a kernel that knows AMX.
CpuFacts EverythingIntel() {
  asked = 0;
  CpuFacts facts;
  facts.targets = kUpToAvx512 | HWY_AVX3_DL;
  facts.vendor = "GenuineIntel";
  facts.leaf7_ecx = 1u << 8;
  facts.leaf7_edx = kAmxBits;
  facts.leaf7_1_eax = 1u << 5;
  facts.xcr0 = uint64_t{0x600e7};
  facts.request_tiles = Grant;
  return facts;
}

TEST(CpuIsa, AmxIsTakenWhereAllOfItIsThere) {
  const IsaChoice choice(EverythingIntel());
  EXPECT_EQ(choice.Best(), Isa::kAmx);
  EXPECT_EQ(choice.Supported().size(), 7u);
  EXPECT_EQ(choice.Supported().front(), Isa::kAmx);
  EXPECT_THAT(choice.WhyNotBetter(Isa::kAmx, {}), IsEmpty());
  EXPECT_EQ(asked, 1) << "the kernel is asked once";
}

TEST(CpuIsa, WithoutGfniAvx512IsAllThatIsTaken) {
  CpuFacts facts = EverythingIntel();
  facts.leaf7_ecx = 0;
  const IsaChoice choice(std::move(facts));
  EXPECT_EQ(choice.Best(), Isa::kAvx512);
  EXPECT_THAT(choice.WhyNotBetter(Isa::kAvx512, {}), ElementsAre("avx512vbmi: this CPU lacks GFNI"));
}

TEST(CpuIsa, ACapBelowAmxAsksTheKernelNothing) {
  const IsaChoice choice(EverythingIntel());
  EXPECT_EQ(choice.Best(Isa::kAvx2), Isa::kAvx2);
  EXPECT_THAT(choice.WhyNotBetter(Isa::kAvx2, Isa::kAvx2), ElementsAre("avx512: capped by isa=avx2"));
  EXPECT_EQ(choice.Best(Isa::kAvx512Vbmi), Isa::kAvx512Vbmi);
  EXPECT_EQ(choice.Best(Isa::kAvx512Bf16), Isa::kAvx512Bf16) << "asked for by name";
  EXPECT_THAT(choice.WhyNotBetter(Isa::kAvx512Bf16, Isa::kAvx512Bf16),
              ElementsAre("amx: capped by isa=avx512bf16"));
  EXPECT_EQ(asked, 0);
}

TEST(CpuIsa, ARefusalOfTheKernelIsSaid) {
  CpuFacts facts = EverythingIntel();
  facts.request_tiles = Refuse;
  const IsaChoice choice(std::move(facts));
  for (auto cap : {std::optional<Isa>(), std::optional(Isa::kAmx)}) {
    EXPECT_EQ(choice.Best(cap), Isa::kAvx512Vbmi);
    EXPECT_THAT(choice.WhyNotBetter(Isa::kAvx512Vbmi, cap),
                ElementsAre("avx512bf16: slower than f32 here; isa=avx512bf16 chooses it",
                            "amx: the kernel refused the tile state (Operation not supported)"));
  }
  EXPECT_EQ(choice.Supported().front(), Isa::kAvx512Bf16);
  EXPECT_EQ(asked, 1);
}

TEST(CpuIsa, AKernelThatDoesNotSaveTilesIsNotAsked) {
  CpuFacts facts = EverythingIntel();
  facts.xcr0 = 0x200e7;  // the configuration without the data
  const IsaChoice choice(std::move(facts));
  EXPECT_EQ(choice.Best(), Isa::kAvx512Vbmi);
  EXPECT_THAT(choice.WhyNotBetter(Isa::kAvx512Bf16, {}),
              ElementsAre("amx: the kernel does not save the tile state (XCR0 bits 17 and 18)"));
  EXPECT_EQ(asked, 0);
}

TEST(CpuIsa, WhatTheCpuLacksOfAmxIsNamed) {
  for (const auto& [edx, lacks] :
       {std::pair(0u, "AMX-TILE, AMX-BF16, AMX-INT8"), std::pair(1u << 24 | 1u << 22, "AMX-INT8"),
        std::pair(1u << 25 | 1u << 22, "AMX-TILE"), std::pair(1u << 24 | 1u << 25, "AMX-BF16")}) {
    CpuFacts facts = EverythingIntel();
    facts.leaf7_edx = edx;
    const IsaChoice choice(std::move(facts));
    EXPECT_EQ(choice.Best(), Isa::kAvx512Vbmi);
    EXPECT_THAT(choice.WhyNotBetter(Isa::kAvx512Bf16, {}),
                ElementsAre(std::string("amx: this CPU lacks ") + lacks));
  }
  EXPECT_EQ(asked, 0);
}

TEST(CpuIsa, Bf16IsTheDefaultWhereItIsFast) {
  CpuFacts facts = EverythingIntel();
  facts.vendor = "AuthenticAMD";
  facts.leaf7_edx = 0;
  const IsaChoice choice(std::move(facts));
  EXPECT_EQ(choice.Best(), Isa::kAvx512Bf16);
  EXPECT_EQ(choice.Best(Isa::kAvx512Vbmi), Isa::kAvx512Vbmi);
}

TEST(CpuIsa, OlderCpusStopAtWhatTheyLack) {
  CpuFacts facts = EverythingIntel();
  facts.leaf7_1_eax = facts.leaf7_edx = 0;  // Ice Lake
  const IsaChoice ice_lake(facts);
  EXPECT_EQ(ice_lake.Best(Isa::kAmx), Isa::kAvx512Vbmi);
  EXPECT_THAT(ice_lake.WhyNotBetter(Isa::kAvx512Vbmi, {}),
              ElementsAre("avx512bf16: this CPU lacks AVX512-BF16"));

  facts.targets = kUpToAvx512;
  facts.leaf7_1_eax = 1u << 5;  // Cooper Lake has BF16 but no byte tables
  const IsaChoice cooper_lake(facts);
  EXPECT_EQ(cooper_lake.Best(), Isa::kAvx512);
  EXPECT_THAT(cooper_lake.WhyNotBetter(Isa::kAvx512, {}),
              ElementsAre(HasSubstr("avx512vbmi: this CPU lacks AVX-512 VBMI")));

  facts.targets = HWY_SSE4 | HWY_AVX2;
  EXPECT_EQ(IsaChoice(facts).Best(), Isa::kAvx2);
  facts.targets = HWY_STATIC_TARGET;
  EXPECT_EQ(IsaChoice(facts).Best(), Isa::kScalar);
  EXPECT_THAT(IsaChoice(facts).Supported(), ElementsAre(Isa::kScalar));
}

TEST(CpuIsa, TheByteTableTargetIsUsedFromItsTierUpwards) {
  EXPECT_EQ(HighwayTargets(Isa::kAvx512) & HWY_AVX3_DL, 0);
  EXPECT_NE(HighwayTargets(Isa::kAvx512) & HWY_AVX3, 0);
  for (Isa isa : {Isa::kAvx512Vbmi, Isa::kAvx512Bf16, Isa::kAmx})
    EXPECT_NE(HighwayTargets(isa) & HWY_TARGETS & HWY_AVX3_DL, 0) << Name(isa);
}

#endif

}  // namespace
}  // namespace qiao::kernels::cpu
