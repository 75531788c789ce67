// linear, grouped_linear and moe_mlp through AMX's tiles, executed by the hardware or the emulator: against
// the scalar kernels, or where there is none against AVX-512's, and bitwise for rows alone and among others.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "kernels/cpu/products_amx.h"
#include "tests/kernels/amx_test.h"
#include "tests/kernels/cpu_call.h"

#if defined(__x86_64__)

namespace qiao::kernels::cpu {
namespace {

class AmxLaunch : public AmxTest {
 protected:
  ThreadPool pool_{2};
};

enum { kX, kXScale, kW, kBias, kResidual, kY };

TestCall MakeLinear(uint32_t weight, int64_t rows, int64_t n, int64_t k, int64_t cut, int64_t row0,
                    uint32_t x = QIAO_BF16) {
  TestCall call(QIAO_OP_LINEAR, qiao_linear_params{.struct_size = 0, .w_transposed = 0});
  call.Normal(x, {rows, k});
  call.Absent();
  call.Weight(weight, 1, n, k, weight == QIAO_F8E4M3 ? 128 : 0, cut, row0);
  call.Absent();
  call.Absent();
  call.Zeros(QIAO_F32, {rows, n});
  return call;
}

TEST_F(AmxLaunch, LinearIsLikeTheScalarKernelAndTheSameForEachRowAlone) {
  for (uint32_t weight : {QIAO_F8E4M3, QIAO_BF16}) {
    for (int64_t rows : {1, 3, 16, 17, 40}) {
      SCOPED_TRACE("weight " + std::to_string(weight) + " rows " + std::to_string(rows));
      TestCall call = MakeLinear(weight, rows, 70, 656, 30, 13);
      call.RunReference();
      const std::vector<float> wanted = call.Values(kY);
      const uint64_t before = AmxForTests::Emulated();
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(Isa::kAmx, pool_));
      if (!AmxForTests::OnHardware()) {
        EXPECT_GT(AmxForTests::Emulated(), before) << "tiles were not used";
      }
      EXPECT_LE(Distance(call.Values(kY), wanted), 1e-5);
      for (int64_t first : {int64_t{0}, rows / 2, rows - 1}) {
        TestCall one = MakeLinear(weight, rows, 70, 656, 30, 13);
        one.Slice({kX, kY}, first, 1);
        ASSERT_NO_FATAL_FAILURE(one.RunCpu(Isa::kAmx, pool_));
        EXPECT_EQ(std::memcmp(one.bytes(kY).data(), call.bytes(kY).data() + first * 70 * 4, 70 * 4), 0);
      }
    }
  }
}

// Formats and shapes that tiles do not take go the way of AVX-512, for every number of rows.
TEST_F(AmxLaunch, WhatTilesDoNotTakeGoesAnotherWay) {
  struct Other {
    uint32_t weight, x;
    int64_t k;
  };
  for (const Other& o : {Other{QIAO_F8E4M3, QIAO_F32, 640}, Other{QIAO_F16, QIAO_BF16, 640},
                         Other{QIAO_BF16, QIAO_BF16, 128}, Other{QIAO_BF16, QIAO_BF16, 600}}) {
    TestCall call = MakeLinear(o.weight, 20, 33, o.k, 0, 0, o.x);
    const uint64_t before = AmxForTests::Emulated();
    ASSERT_NO_FATAL_FAILURE(call.RunCpu(Isa::kAmx, pool_));
    EXPECT_EQ(AmxForTests::Emulated(), before);
    const std::vector<std::byte> amx(call.bytes(kY).begin(), call.bytes(kY).end());
    ASSERT_NO_FATAL_FAILURE(call.RunCpu(Isa::kAvx512Vbmi, pool_));
    EXPECT_EQ(std::memcmp(amx.data(), call.bytes(kY).data(), amx.size()), 0);
  }
}

TEST_F(AmxLaunch, GroupedLinearIsLikeTheScalarKernel) {
  enum { kGx, kGxScale, kEnds, kGw, kGy };
  TestCall call(QIAO_OP_GROUPED_LINEAR, qiao_grouped_linear_params{});
  call.Normal(QIAO_BF16, {40, 512});
  call.Absent();
  call.Longs({1, 1, 20, 38});
  call.Weight(QIAO_F8E4M3, 4, 48, 512, 128, 24);
  call.Zeros(QIAO_F32, {40, 48});
  call.RunReference();
  const std::vector<float> wanted = call.Values(kGy);
  ASSERT_NO_FATAL_FAILURE(call.RunCpu(Isa::kAmx, pool_));
  EXPECT_LE(Distance(call.Values(kGy), wanted), 1e-5);
}

TEST_F(AmxLaunch, MoeMlpIsLikeAvx512AndTheSameForEachRowAlone) {
  enum { kMx, kRouter, kMBias, kGateUp, kDown, kSharedGateUp, kSharedDown, kMy, kIds, kWeights };
  const int64_t rows = 40;
  const auto make = [&] {
    qiao_moe_mlp_params p{};
    p.gate.struct_size = sizeof p.gate;
    p.gate.k = 2;
    p.gate.scale = 1;
    TestCall call(QIAO_OP_MOE_MLP, p);
    call.Normal(QIAO_BF16, {rows, 512});
    call.Weight(QIAO_BF16, 1, 4, 512);
    call.Absent();
    call.Weight(QIAO_F8E4M3, 4, 1024, 512, 128, 512);
    call.Weight(QIAO_F8E4M3, 4, 512, 512, 128);
    call.Weight(QIAO_F8E4M3, 1, 1088, 512, 128, 544);
    call.Weight(QIAO_F8E4M3, 1, 512, 544, 128);
    call.Zeros(QIAO_BF16, {rows, 512});
    call.Zeros(QIAO_I32, {rows, 2});
    call.Zeros(QIAO_F32, {rows, 2});
    return call;
  };
  TestCall call = make();
  ASSERT_NO_FATAL_FAILURE(call.RunCpu(Isa::kAvx512Vbmi, pool_));
  const std::vector<float> wanted = call.Values(kMy), ids = call.Values(kIds);
  const uint64_t before = AmxForTests::Emulated();
  ASSERT_NO_FATAL_FAILURE(call.RunCpu(Isa::kAmx, pool_));
  if (!AmxForTests::OnHardware()) {
    EXPECT_GT(AmxForTests::Emulated(), before);
  }
  EXPECT_EQ(call.Values(kIds), ids);
  EXPECT_LE(Distance(call.Values(kMy), wanted),
            3e-2);  // sums in another order, intermediates rounded to bf16
  for (int64_t first : {int64_t{0}, int64_t{21}, rows - 1}) {
    TestCall one = make();
    one.Slice({kMx, kMy, kIds, kWeights}, first, 1);
    ASSERT_NO_FATAL_FAILURE(one.RunCpu(Isa::kAmx, pool_));
    EXPECT_EQ(std::memcmp(one.bytes(kMy).data(), call.bytes(kMy).data() + first * 1024, 1024), 0);
  }
}

}  // namespace
}  // namespace qiao::kernels::cpu

#endif
