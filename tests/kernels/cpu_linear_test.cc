// linear and grouped_linear of the CPU kernels: against the scalar kernels on every instruction set, and
// bitwise against themselves for other numbers of rows and threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tests/kernels/cpu_call.h"

namespace qiao::kernels::cpu {
namespace {

struct LinearShape {
  uint32_t act = QIAO_F32, weight = QIAO_F8E4M3;
  int64_t rows = 1, heads = 1, n = 33, k = 300;
  int32_t block = 128;
  int64_t cut = 0, row0 = 0;
  bool transposed = false, bias = false, residual = false, quantised = false;
};

enum { kX, kXScale, kW, kBias, kResidual, kY };

TestCall MakeLinear(const LinearShape& s) {
  TestCall call(QIAO_OP_LINEAR, qiao_linear_params{.struct_size = 0, .w_transposed = s.transposed});
  call.Normal(s.quantised ? uint32_t{QIAO_F8E4M3} : s.act, {s.rows, s.heads, s.k}, s.quantised ? 100.0 : 1.0);
  if (s.quantised) {
    call.tensor(kX).block[0] = 1;
    call.tensor(kX).block[1] = s.block;
    call.tensor(kX).scheme = QIAO_SCHEME_BLOCK;
    const int scale = call.Normal(QIAO_F32, {s.rows, s.heads, (s.k + s.block - 1) / s.block}, 0.01);
    for (int64_t i = 0; i < call.Count(scale); ++i)
      call.Set(scale, i, std::fabs(call.Get(scale, i)) + 0.001f);
  } else {
    call.Absent();
  }
  if (s.transposed) {
    call.Weight(s.weight, s.heads, s.k, s.n, s.block, s.cut, s.row0);
  } else {
    call.Weight(s.weight, s.heads, s.n, s.k, s.block, s.cut, s.row0);
  }
  if (s.bias) {
    call.Normal(QIAO_F32, {s.heads * s.n});
  } else {
    call.Absent();
  }
  if (s.residual) {
    call.Normal(s.act, {s.rows, s.heads, s.n});
  } else {
    call.Absent();
  }
  call.Zeros(s.act, {s.rows, s.heads, s.n});
  return call;
}

std::vector<LinearShape> Shapes() {
  std::vector<LinearShape> shapes;
  for (int64_t rows : {1, 2, 3, 4, 5, 9, 37}) {
    for (uint32_t weight : {QIAO_F32, QIAO_BF16, QIAO_F16, QIAO_F8E4M3, QIAO_F8E5M2}) {
      const bool narrow = weight == QIAO_F8E4M3 || weight == QIAO_F8E5M2;
      shapes.push_back({.weight = weight, .rows = rows, .block = narrow ? 128 : 0, .bias = rows == 3});
      shapes.push_back({.weight = weight, .rows = rows, .heads = 3, .n = 40, .k = 21, .block = 0});
      shapes.push_back({.weight = weight,
                        .rows = rows,
                        .heads = 2,
                        .n = 70,
                        .k = 19,
                        .block = narrow ? 16 : 0,
                        .cut = 7,
                        .row0 = 11,
                        .transposed = true});
    }
    shapes.push_back(
        {.rows = rows, .n = 100, .k = 129, .block = 16, .cut = 50, .row0 = 13, .residual = true});
    shapes.push_back({.rows = rows, .n = 17, .k = 500, .quantised = true});
    shapes.push_back({.rows = rows, .n = 17, .k = 1, .block = 0});
    shapes.push_back({.act = QIAO_BF16, .rows = rows, .n = 130, .k = 256, .bias = true, .residual = true});
    shapes.push_back({.act = QIAO_BF16,
                      .rows = rows,
                      .heads = 2,
                      .n = 65,
                      .k = 32,
                      .row0 = 32,
                      .transposed = true,
                      .bias = true,
                      .residual = true});
  }
  return shapes;
}

std::string Describe(const LinearShape& s) {
  return "rows " + std::to_string(s.rows) + " heads " + std::to_string(s.heads) + " n " +
         std::to_string(s.n) + " k " + std::to_string(s.k) + " weight " + std::to_string(s.weight) +
         " block " + std::to_string(s.block) + (s.transposed ? " transposed" : "") +
         (s.quantised ? " quantised" : "");
}

TEST(CpuLinear, IsLikeTheScalarKernelOnEveryInstructionSet) {
  for (const LinearShape& s : Shapes()) {
    SCOPED_TRACE(Describe(s));
    TestCall call = MakeLinear(s);
    ExpectLikeReference(call, {kY}, s.act == QIAO_BF16 ? 2e-2 : 1e-5);
  }
}

TEST(CpuLinear, ARowsBitsDoNotDependOnTheOthersNorOnThreads) {
  ThreadPool one(1), two(2), three(3);
  for (const LinearShape& s : Shapes()) {
    if (s.rows < 9) continue;
    SCOPED_TRACE(Describe(s));
    for (Isa isa : SupportedIsas()) {
      SCOPED_TRACE(std::string(Name(isa)));
      TestCall all = MakeLinear(s);
      ASSERT_NO_FATAL_FAILURE(all.RunCpu(isa, one));
      const std::vector<std::byte> wanted = all.bytes(kY);
      for (ThreadPool* pool : {&two, &three}) {
        std::fill(all.bytes(kY).begin(), all.bytes(kY).end(), std::byte{0});
        ASSERT_NO_FATAL_FAILURE(all.RunCpu(isa, *pool));
        EXPECT_EQ(all.bytes(kY), wanted) << pool->size() << " threads";
      }
      // The same call with fewer rows from row `first` on: the arguments begin later.
      for (int64_t count : {1, 2, 3, 4, 6}) {
        for (int64_t first : {int64_t{0}, int64_t{2}, s.rows - count}) {
          TestCall some = MakeLinear(s);
          some.Slice({kX, kXScale, kResidual, kY}, first, count);
          ASSERT_NO_FATAL_FAILURE(some.RunCpu(isa, two));
          const size_t bytes = some.bytes(kY).size();
          EXPECT_EQ(
              std::memcmp(some.bytes(kY).data(),
                          wanted.data() + static_cast<size_t>(first) * bytes / static_cast<size_t>(count),
                          bytes),
              0)
              << count << " rows from " << first;
        }
      }
    }
  }
}

std::vector<std::pair<Isa, bool>> IsasPackedAndNot() {
  std::vector<std::pair<Isa, bool>> all;
  for (Isa isa : SupportedIsas()) {
    all.emplace_back(isa, false);
    all.emplace_back(isa, true);
  }
  return all;
}

TEST(CpuLinear, PackedWeightsGiveTheSameBits) {
  ThreadPool pool(2);
  for (const LinearShape& s : Shapes()) {
    SCOPED_TRACE(Describe(s));
    TestCall call = MakeLinear(s);
    for (Isa isa : SupportedIsas()) {
      SCOPED_TRACE(std::string(Name(isa)));
      call.Pack(kW, std::nullopt, s.transposed, pool);
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      const std::vector<std::byte> wanted = call.bytes(kY);
      call.Pack(kW, isa, s.transposed, pool);
      std::fill(call.bytes(kY).begin(), call.bytes(kY).end(), std::byte{0});
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      EXPECT_EQ(call.bytes(kY), wanted);
    }
  }
}

// Each of the 256 codes alone in a row of one column, and deep inside a row, for few rows and many, packed
// and as it lies.
TEST(CpuLinear, DecodesEveryNarrowCodeExactly) {
  ThreadPool pool(1);
  for (uint32_t dtype : {QIAO_F8E4M3, QIAO_F8E5M2}) {
    for (int64_t rows : {1, 8}) {
      for (int64_t k : {1, 77}) {
        for (bool transposed : {false, true}) {
          LinearShape s{
              .weight = dtype, .rows = rows, .n = 256, .k = k, .block = 0, .transposed = transposed};
          TestCall call = MakeLinear(s);
          std::fill(call.bytes(kW).begin(), call.bytes(kW).end(), std::byte{0});
          for (int64_t i = 0; i < call.Count(kX); ++i) call.Set(kX, i, 1.0f);
          for (int64_t code = 0; code < 256; ++code) {
            const int64_t column = code % k;
            call.bytes(kW)[static_cast<size_t>(transposed ? column * 256 + code : code * k + column)] =
                static_cast<std::byte>(code);
          }
          for (const auto& [isa, packed] : IsasPackedAndNot()) {
            call.Pack(kW, packed ? std::optional(isa) : std::nullopt, transposed, pool);
            ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
            for (int64_t t = 0; t < rows; ++t) {
              for (int64_t code = 0; code < 256; ++code) {
                const auto byte = static_cast<uint8_t>(code);
                const float wanted = dtype == QIAO_F8E4M3 ? F8E4M3ToFloat(byte) : F8E5M2ToFloat(byte);
                const float found = call.Get(kY, t * 256 + code);
                if (std::isnan(wanted)) {
                  EXPECT_TRUE(std::isnan(found)) << Name(isa) << " code " << code;
                } else {
                  EXPECT_EQ(found, wanted) << Name(isa) << " code " << code;
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST(CpuLinear, TakesStridedWeightsAndActivations) {
  for (bool transposed : {false, true}) {
    TestCall call(QIAO_OP_LINEAR, qiao_linear_params{.struct_size = 0, .w_transposed = transposed});
    call.Normal(QIAO_F32, {6, 2, 40});
    call.tensor(kX).dim[2] = 24;
    call.Absent();
    call.Normal(QIAO_BF16, {2, 30, 40});
    call.tensor(kW).dim[1] = transposed ? 24 : 20;
    call.tensor(kW).dim[2] = transposed ? 20 : 24;
    call.Absent();
    call.Absent();
    call.Zeros(QIAO_F32, {6, 2, 33});
    call.tensor(kY).dim[2] = 20;
    // Compared whole: what lies between the rows stays zero.
    call.tensor(kY).live = QIAO_LIVE_ALL;
    ThreadPool pool(2);
    call.RunReference();
    const std::vector<std::byte> wanted = call.bytes(kY);
    for (Isa isa : SupportedIsas()) {
      std::fill(call.bytes(kY).begin(), call.bytes(kY).end(), std::byte{0});
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      const auto* y = reinterpret_cast<const float*>(call.bytes(kY).data());
      const auto* r = reinterpret_cast<const float*>(wanted.data());
      for (size_t i = 0; i < wanted.size() / 4; ++i) EXPECT_NEAR(y[i], r[i], 1e-4) << i;
    }
  }
}

TEST(CpuLinear, ComputesLiveRowsOnly) {
  LinearShape s{.rows = 9};
  TestCall call = MakeLinear(s);
  call.tensor(kX).live = QIAO_LIVE_ROWS;
  call.batch.struct_size = sizeof(qiao_batch);
  call.batch.rows = 4;
  for (int64_t i = 0; i < call.Count(kY); ++i) call.Set(kY, i, 7.0f);
  ThreadPool pool(2);
  ASSERT_NO_FATAL_FAILURE(call.RunCpu(BestIsa(), pool));
  for (int64_t i = 4 * s.n; i < call.Count(kY); ++i) EXPECT_EQ(call.Get(kY, i), 7.0f);
  EXPECT_NE(call.Get(kY, 4 * s.n - 1), 7.0f);
}

TEST(CpuLinear, SaysWhatItCannotDo) {
  TestCall call = MakeLinear({});
  std::string why;
  EXPECT_TRUE(FindKernel(QIAO_OP_LINEAR)->supports(call.Describe(), &why));
  call.tensor(kW).scheme = QIAO_SCHEME_CHANNEL;
  EXPECT_FALSE(FindKernel(QIAO_OP_LINEAR)->supports(call.Describe(), &why));
  EXPECT_NE(why.find("channel"), std::string::npos) << why;
  TestCall other = MakeLinear({});
  other.tensor(kX).dtype = QIAO_F16;
  EXPECT_FALSE(FindKernel(QIAO_OP_LINEAR)->supports(other.Describe(), &why));
  EXPECT_NE(why.find("f16"), std::string::npos) << why;
}

enum { kGx, kGxScale, kGends, kGw, kGy };

TestCall MakeGrouped(std::vector<int64_t> ends, int64_t rows, uint32_t act, int32_t block,
                     bool quantised = false) {
  TestCall call(QIAO_OP_GROUPED_LINEAR, qiao_grouped_linear_params{});
  call.Normal(quantised ? uint32_t{QIAO_F8E4M3} : act, {rows, 200}, quantised ? 100 : 1);
  if (quantised) {
    call.tensor(kGx).block[1] = block;
    call.tensor(kGx).block[0] = 1;
    call.Normal(QIAO_F32, {rows, (200 + block - 1) / block}, 0.01);
  } else {
    call.Absent();
  }
  const auto experts = static_cast<int64_t>(ends.size());
  call.Longs(std::move(ends));
  call.Weight(QIAO_F8E4M3, experts, 48, 200, block, 24);
  call.Zeros(act, {rows, 48});
  return call;
}

TEST(CpuGroupedLinear, IsLikeTheScalarKernelOnEveryInstructionSet) {
  for (bool quantised : {false, true}) {
    TestCall call = MakeGrouped({0, 1, 1, 4, 4, 13, 18, 18}, 22, QIAO_F32, 128, quantised);
    ExpectLikeReference(call, {kGy}, 1e-5);
  }
  TestCall call = MakeGrouped({2, 2, 9}, 9, QIAO_BF16, 16);
  ExpectLikeReference(call, {kGy}, 2e-2);
  TestCall none = MakeGrouped({0, 0, 0}, 9, QIAO_F32, 16);
  ExpectLikeReference(none, {kGy}, 0);
}

TEST(CpuGroupedLinear, ARowsBitsDoNotDependOnTheOthersNorOnThreads) {
  ThreadPool one(1), three(3);
  for (Isa isa : SupportedIsas()) {
    TestCall all = MakeGrouped({0, 3, 17}, 17, QIAO_F32, 128);
    ASSERT_NO_FATAL_FAILURE(all.RunCpu(isa, one));
    TestCall again = MakeGrouped({0, 3, 17}, 17, QIAO_F32, 128);
    ASSERT_NO_FATAL_FAILURE(again.RunCpu(isa, three));
    EXPECT_EQ(all.bytes(kGy), again.bytes(kGy));
    for (int64_t r = 0; r < 17; ++r) {
      TestCall single = MakeGrouped(r < 3 ? std::vector<int64_t>{0, 1, 1} : std::vector<int64_t>{0, 0, 1}, 17,
                                    QIAO_F32, 128);
      std::memcpy(single.bytes(kGx).data(), all.bytes(kGx).data() + r * 800, 800);
      ASSERT_NO_FATAL_FAILURE(single.RunCpu(isa, one));
      EXPECT_EQ(std::memcmp(single.bytes(kGy).data(), all.bytes(kGy).data() + r * 192, 192), 0)
          << Name(isa) << r;
    }
  }
}

}  // namespace
}  // namespace qiao::kernels::cpu
