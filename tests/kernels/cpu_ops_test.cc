// The small operations of the CPU kernels against the scalar ones, on every instruction set.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/cpu_call.h"

namespace qiao::kernels::cpu {
namespace {

constexpr double kF32 = 2e-6, kBf16 = 2e-2;
double ToleranceOf(uint32_t act) { return act == QIAO_BF16 ? kBf16 : kF32; }

TEST(CpuOps, EmbeddingIsLikeTheScalarKernel) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    for (uint32_t weight : {QIAO_F32, QIAO_BF16, QIAO_F16, QIAO_F8E4M3, QIAO_F8E5M2}) {
      for (int32_t block : {0, 16}) {
        TestCall call(QIAO_OP_EMBEDDING, qiao_embedding_params{});
        call.Integers({0, 49, 7, -1, 50, 33}, {6});
        call.Weight(weight, 1, 50, 77, block, 21, block ? 5 : 0);
        call.Zeros(act, {6, 77});
        ExpectLikeReference(call, {2}, ToleranceOf(act));
      }
    }
  }
}

TEST(CpuOps, RmsNormIsLikeTheScalarKernel) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    for (int64_t width : {1, 5, 64, 500}) {
      TestCall call(QIAO_OP_RMSNORM, qiao_rmsnorm_params{.struct_size = 0, .eps = 1e-6f});
      call.Normal(act, {3, 2, width});
      call.Normal(QIAO_F32, {width});
      call.Zeros(act, {3, 2, width});
      ExpectLikeReference(call, {2}, ToleranceOf(act));
    }
  }
}

TEST(CpuOps, SwiGluIsLikeTheScalarKernel) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    for (bool with_ends : {false, true}) {
      TestCall call(QIAO_OP_SWIGLU, qiao_swiglu_params{});
      call.Normal(act, {7, 2 * 75}, 3.0);
      if (with_ends) {
        call.Longs({0, 2, 5});
      } else {
        call.Absent();
      }
      call.Zeros(act, {7, 75});
      ExpectLikeReference(call, {2}, ToleranceOf(act));
    }
  }
}

TEST(CpuOps, RopeAndItsTableAreLikeTheScalarKernels) {
  TestCall table(QIAO_OP_ROPE_TABLE, qiao_rope_table_params{.struct_size = 0, .factor = 1.2f});
  table.Integers({0, 1, 77, 100000}, {4});
  table.Normal(QIAO_F32, {13});
  table.Zeros(QIAO_F32, {4, 13});
  table.Zeros(QIAO_F32, {4, 13});
  ExpectLikeReference(table, {2, 3}, 0);

  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    for (int32_t style : {QIAO_ROPE_INTERLEAVED, QIAO_ROPE_HALF}) {
      for (int32_t inverse : {0, 1}) {
        for (int32_t width : {2, 26, 64}) {
          TestCall call(
              QIAO_OP_ROPE,
              qiao_rope_params{
                  .struct_size = 0, .style = style, .width = width, .offset = 11, .inverse = inverse});
          call.Normal(act, {4, 3, 80});
          call.Normal(QIAO_F32, {4, width / 2});
          call.Normal(QIAO_F32, {4, width / 2});
          call.Zeros(act, {4, 3, 80});
          ExpectLikeReference(call, {3}, ToleranceOf(act));
        }
      }
    }
  }
}

TEST(CpuOps, KvWriteIsLikeTheScalarKernel) {
  TestCall call(QIAO_OP_KV_WRITE, qiao_kv_write_params{.struct_size = 0, .kinds = 2, .scaled = 0});
  call.Normal(QIAO_F32, {5, 37});
  call.Normal(QIAO_F32, {5, 16});
  call.Integers({3, -1, 17, 0, 8}, {5});
  call.Normal(QIAO_F32, {3, 8, 37});
  call.Normal(QIAO_BF16, {3, 8, 16});
  ExpectLikeReference(call, {3, 4}, 0);
}

// To the last bit: latents of many sizes, a short last block, a row below the floor.
TEST(CpuOps, KvWriteQuantisesLikeTheScalarKernel) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    for (int64_t latent : {37, 128, 200, 512}) {
      const int64_t blocks = (latent + 127) / 128;
      TestCall call(QIAO_OP_KV_WRITE, qiao_kv_write_params{.struct_size = 0, .kinds = 2, .scaled = 1});
      call.Normal(act, {5, latent});
      for (int64_t i = 0; i < 2 * latent; ++i) call.Set(0, i, call.Get(0, i) * (i < latent ? 1e-6f : 1e3f));
      call.Normal(act, {5, 16});
      call.Integers({3, -1, 17, 0, 8}, {5});
      call.Zeros(QIAO_F8E4M3, {3, 8, latent});
      call.tensor(3).scheme = QIAO_SCHEME_BLOCK;
      call.tensor(3).block[0] = 1;
      call.tensor(3).block[1] = 128;
      call.Normal(QIAO_BF16, {3, 8, 16});
      call.Normal(QIAO_F32, {3, 8, blocks});
      ExpectLikeReference(call, {3, 4, 5}, 0);
    }
  }
}

TEST(CpuOps, GatherAddAndCastAreLikeTheScalarKernels) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    TestCall gather(QIAO_OP_GATHER_ROWS, qiao_gather_rows_params{});
    gather.Normal(act, {6, 33});
    gather.Integers({5, 0, 6, -2, 3}, {5});
    gather.Zeros(act, {5, 33});
    ExpectLikeReference(gather, {2}, 0);

    TestCall add(QIAO_OP_ADD, qiao_add_params{});
    add.Normal(act, {4, 3, 21});
    add.Normal(act, {4, 3, 21});
    add.Zeros(act, {4, 3, 21});
    ExpectLikeReference(add, {2}, 0);

    for (uint32_t from : {QIAO_F32, QIAO_BF16, QIAO_F16}) {
      TestCall cast(QIAO_OP_CAST, qiao_cast_params{});
      cast.Normal(from, {4, 21});
      cast.Zeros(act, {4, 21});
      ExpectLikeReference(cast, {1}, 0);
    }
  }
}

// Every f32 whose lower bits decide the rounding to bf16.
TEST(CpuOps, CastRoundsToNearestEven) {
  std::vector<float> values;
  for (uint32_t high : {0x0000u, 0x0001u, 0x3f80u, 0x3f81u, 0x7f7fu, 0x8000u, 0xbf81u, 0x7f80u, 0xff80u}) {
    for (uint32_t low : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      values.push_back(std::bit_cast<float>(high << 16 | low));
    }
  }
  const auto n = static_cast<int64_t>(values.size());
  TestCall call(QIAO_OP_CAST, qiao_cast_params{});
  call.Zeros(QIAO_F32, {1, n});
  call.Zeros(QIAO_BF16, {1, n});
  for (int64_t i = 0; i < n; ++i) call.Set(0, i, values[static_cast<size_t>(i)]);
  ThreadPool pool(1);
  for (Isa isa : SupportedIsas()) {
    ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
    for (int64_t i = 0; i < n; ++i) {
      const uint16_t wanted = FloatToBf16(values[static_cast<size_t>(i)]);
      EXPECT_EQ(reinterpret_cast<const uint16_t*>(call.bytes(1).data())[i], wanted) << Name(isa) << " " << i;
    }
  }
}

TEST(CpuOps, QuantiseToI8IsTheScalarKernelBitForBit) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    TestCall call(QIAO_OP_QUANTISE, qiao_quantise_params{.struct_size = 0, .block = 0, .floor = 1e-10f});
    call.Normal(act, {9, 100});
    call.Absent();
    call.Zeros(QIAO_I8, {9, 100});
    call.Zeros(QIAO_F32, {9, 1});
    for (int64_t i = 0; i < 100; ++i) call.Set(0, i, 0.0f);                                  // a row of zeros
    for (int64_t i = 100; i < 200; ++i) call.Set(0, i, static_cast<float>(i % 128) - 0.5f);  // ties
    call.Set(0, 127, 127.0f);
    call.Set(0, 305, std::numeric_limits<float>::quiet_NaN());
    call.Set(0, 405, std::numeric_limits<float>::infinity());
    call.Set(0, 505, -1e30f);
    call.RunReference();
    const auto q = call.bytes(2), scale = call.bytes(3);
    EXPECT_TRUE(std::isnan(call.Get(3, 3))) << "a NaN must not be lost";
    ThreadPool pool(2);
    for (Isa isa : SupportedIsas()) {
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      EXPECT_EQ(call.bytes(2), q) << Name(isa);
      EXPECT_EQ(call.bytes(3), scale) << Name(isa);
    }
  }
}

TEST(CpuOps, QuantiseIsTheScalarKernelBitForBit) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    TestCall call(QIAO_OP_QUANTISE, qiao_quantise_params{.struct_size = 0, .block = 48, .floor = 1e-4f});
    call.Normal(act, {9, 100});
    call.Absent();
    call.Zeros(QIAO_F8E4M3, {9, 100});
    call.Zeros(QIAO_F32, {9, 3});
    for (int64_t i = 0; i < 100; ++i) call.Set(0, i, 0.0f);  // a row of zeros
    for (int64_t i = 100; i < 200; ++i) call.Set(0, i, call.Get(0, i) * 1e-4f);
    call.Set(0, 305, std::numeric_limits<float>::quiet_NaN());
    for (int64_t i = 200; i < 300; i += 2) call.Set(0, i, call.Get(0, i) * 1e-3f);  // subnormals
    call.RunReference();
    const auto q = call.bytes(2), scale = call.bytes(3);
    ThreadPool pool(2);
    for (Isa isa : SupportedIsas()) {
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      EXPECT_EQ(call.bytes(2), q) << Name(isa);
      EXPECT_EQ(call.bytes(3), scale) << Name(isa);
    }
  }
}

TEST(CpuOps, ArgMaxIsLikeTheScalarKernel) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  TestCall call(QIAO_OP_ARGMAX, qiao_argmax_params{});
  call.Normal(QIAO_F32, {7, 101});
  call.Zeros(QIAO_I32, {7});
  const auto set = [&](int64_t row, int64_t i, float v) { call.Set(0, row * 101 + i, v); };
  for (int64_t i : {33, 34, 99}) set(1, i, 50);                     // a tie
  for (int64_t i = 0; i < 50; ++i) set(2, i, nan);                  // NaNs in front
  for (int64_t i = 0; i < 101; ++i) set(3, i, nan);                 // nothing else
  for (int64_t i = 0; i < 101; ++i) set(4, i, i < 3 ? nan : -inf);  // nothing above -inf
  set(5, 100, inf);
  set(6, 0, 60);
  ExpectLikeReference(call, {1}, 0);
}

struct GateCase {
  int64_t experts;
  qiao_moe_gate_params params;
  bool bias;
};

TEST(CpuOps, MoeGateIsLikeTheScalarKernel) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const GateCase& c : {
           GateCase{
               16, {0, QIAO_SCORE_SIGMOID, 4, 4, 2, QIAO_GROUP_SCORE_TOP2_SUM, 0.0f, 1, 1e-20f, 2.5f}, true},
           GateCase{64, {0, QIAO_SCORE_SOFTMAX, 6, 1, 1, QIAO_GROUP_SCORE_MAX, 0.0f, 0, 0.0f, 1.0f}, false},
           GateCase{160, {0, QIAO_SCORE_SOFTMAX, 6, 8, 3, QIAO_GROUP_SCORE_MAX, 0.0f, 0, 0.0f, 16.0f}, false},
           GateCase{
               256, {0, QIAO_SCORE_SIGMOID, 8, 8, 4, QIAO_GROUP_SCORE_TOP2_SUM, -inf, 1, 1e-20f, 2.5f}, true},
       }) {
    TestCall call(QIAO_OP_MOE_GATE, c.params);
    call.Normal(QIAO_F32, {20, c.experts});
    for (int64_t i = 0; i < c.experts; ++i) call.Set(0, i, static_cast<float>(i / 5 % 3));  // ties
    if (c.bias) {
      call.Normal(QIAO_F32, {c.experts});
    } else {
      call.Absent();
    }
    call.Zeros(QIAO_I32, {20, c.params.k});
    call.Zeros(QIAO_F32, {20, c.params.k});
    call.tensor(0).live = QIAO_LIVE_ROWS;
    call.batch.struct_size = sizeof(qiao_batch);
    call.batch.rows = 17;
    ExpectLikeReference(call, {2, 3}, 0);
  }
}

TEST(CpuOps, MoePermuteAndCombineAreLikeTheScalarKernels) {
  for (uint32_t act : {QIAO_F32, QIAO_BF16}) {
    TestCall permute(QIAO_OP_MOE_PERMUTE, qiao_moe_permute_params{.struct_size = 0, .experts = 5});
    permute.Normal(act, {6, 19});
    permute.Integers({4, 0, 0, 4, 2, 0, -1, 4, -1, -1, 1, 4}, {6, 2});
    permute.Zeros(act, {12, 19});
    permute.Longs({9, 9, 9, 9, 9});
    permute.Integers(std::vector<int32_t>(12, 7), {6, 2});
    ExpectLikeReference(permute, {2, 4}, 0);
    permute.RunReference();
    const auto ends = permute.bytes(3);
    ThreadPool pool(2);
    ASSERT_NO_FATAL_FAILURE(permute.RunCpu(BestIsa(), pool));
    EXPECT_EQ(permute.bytes(3), ends);

    for (bool shared : {false, true}) {
      TestCall combine(QIAO_OP_MOE_COMBINE, qiao_moe_combine_params{});
      combine.Normal(act, {12, 19});
      combine.Integers({8, 0, 1, 9, 4, 2, -1, 10, -1, -1, 3, 11}, {6, 2});
      combine.Normal(QIAO_F32, {6, 2});
      if (shared) {
        combine.Normal(act, {6, 19});
      } else {
        combine.Absent();
      }
      combine.Zeros(act, {6, 19});
      ExpectLikeReference(combine, {4}, ToleranceOf(act));
    }
  }
}

// Through swiglu's silu: silu(g) * (1 + e^-g) = g, over the whole range where e^-g is finite.
TEST(CpuOps, SiluIsAccurateOverItsWholeRange) {
  constexpr int64_t kCount = 4001;
  TestCall call(QIAO_OP_SWIGLU, qiao_swiglu_params{});
  call.Zeros(QIAO_F32, {1, 2 * kCount});
  call.Absent();
  call.Zeros(QIAO_F32, {1, kCount});
  for (int64_t i = 0; i < kCount; ++i) {
    call.Set(0, i, static_cast<float>(i - kCount / 2) * 0.05f);
    call.Set(0, kCount + i, 1.0f);
  }
  ThreadPool pool(1);
  for (Isa isa : SupportedIsas()) {
    ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
    for (int64_t i = 0; i < kCount; ++i) {
      const double g = static_cast<double>(call.Get(0, i)), wanted = g / (1 + std::exp(-g));
      // Below -87 the true value is below 1e-36; nothing but its size matters there.
      EXPECT_NEAR(static_cast<double>(call.Get(2, i)), wanted, std::fabs(wanted) * 1e-6 + 1e-35)
          << Name(isa) << g;
    }
  }
}

}  // namespace
}  // namespace qiao::kernels::cpu
