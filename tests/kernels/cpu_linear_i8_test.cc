// linear and grouped_linear of INT8 rows: the same bits as the scalar kernel's on every instruction set, for
// any number of rows and threads.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu/linear_i8_channel.h"
#include "tests/kernels/cpu_call.h"

namespace qiao::kernels::cpu {
namespace {

enum { kX, kXScale, kW, kBias, kResidual, kY };
enum { kGx, kGxScale, kGends, kGw, kGy };

struct Shape {
  int64_t rows = 1, heads = 1, n = 33, k = 300, cut = 0, row0 = 0;
  uint32_t out = QIAO_F32;
};

// Bytes from -127 to 127; with `extreme` only the two ends, so that what saturates or wraps shows.
void FillBytes(TestCall& call, int i, bool extreme) {
  std::uniform_int_distribution<int> byte(-127, 127);
  for (std::byte& b : call.bytes(i)) {
    const int v = byte(call.random());
    b = static_cast<std::byte>(static_cast<int8_t>(extreme ? (v < 0 ? -127 : 127) : v));
  }
}

void AddRows(TestCall& call, std::vector<int64_t> dims, bool extreme) {
  const int x = call.Zeros(QIAO_I8, dims);
  FillBytes(call, x, extreme);
  call.tensor(x).scheme = QIAO_SCHEME_CHANNEL;
  dims.back() = 1;
  const int scale = call.Normal(QIAO_F32, dims, 0.01);
  for (int64_t i = 0; i < call.Count(scale); ++i) call.Set(scale, i, std::fabs(call.Get(scale, i)) + 0.001f);
}

TestCall MakeLinear(const Shape& s, bool extreme = false) {
  TestCall call(QIAO_OP_LINEAR, qiao_linear_params{});
  AddRows(call, {s.rows, s.heads, s.k}, extreme);
  FillBytes(call, call.ChannelWeight(s.heads, s.n, s.k, s.cut, s.row0), extreme);
  call.Absent();
  call.Absent();
  call.Zeros(s.out, {s.rows, s.heads, s.n});
  return call;
}

std::string Describe(const Shape& s) {
  return "rows " + std::to_string(s.rows) + " heads " + std::to_string(s.heads) + " n " +
         std::to_string(s.n) + " k " + std::to_string(s.k) + " cut " + std::to_string(s.cut);
}

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 33, 70}) {
    shapes.push_back({.rows = rows, .n = 130, .k = 256, .cut = 61, .row0 = 5});
    shapes.push_back({.rows = rows, .n = 50, .k = 331, .out = QIAO_BF16});
    shapes.push_back({.rows = rows, .n = 12, .k = 64});
  }
  for (int64_t k : {1, 2, 3, 4, 5, 7, 8, 9, 31, 63, 65, 127}) {
    shapes.push_back({.rows = 3, .n = 49, .k = k});
    shapes.push_back({.rows = 21, .n = 49, .k = k});
  }
  shapes.push_back({.rows = 5, .heads = 3, .n = 20, .k = 40});
  shapes.push_back({.rows = 20, .heads = 3, .n = 20, .k = 40});
  // More than one block of rows that stays in the cache.
  shapes.push_back({.rows = 150, .n = 10, .k = 20000});
  return shapes;
}

std::vector<std::byte> Reference(TestCall& call, int out) {
  call.RunReference();
  std::vector<std::byte> wanted = call.bytes(out);
  std::fill(call.bytes(out).begin(), call.bytes(out).end(), std::byte{0x5a});
  return wanted;
}

TEST(CpuLinearI8, HasTheScalarKernelsBitsOnEveryInstructionSet) {
  ThreadPool two(2);
  for (bool extreme : {false, true}) {
    for (const Shape& s : Shapes()) {
      SCOPED_TRACE(Describe(s) + (extreme ? " extreme" : ""));
      TestCall call = MakeLinear(s, extreme);
      const std::vector<std::byte> wanted = Reference(call, kY);
      for (Isa isa : SupportedIsas()) {
        SCOPED_TRACE(std::string(Name(isa)));
        ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, two));
        ASSERT_EQ(call.bytes(kY), wanted);
        std::fill(call.bytes(kY).begin(), call.bytes(kY).end(), std::byte{0x5a});
      }
    }
  }
}

// Where VNNI is there, plain AVX-512 would never be chosen.
TEST(CpuLinearI8, TheKernelsWithoutVnniAgreeToo) {
  ThreadPool two(2);
  for (const Shape& s : Shapes()) {
    SCOPED_TRACE(Describe(s));
    TestCall call = MakeLinear(s);
    const std::vector<std::byte> wanted = Reference(call, kY);
    for (Isa isa : SupportedIsas()) {
      SCOPED_TRACE(std::string(Name(isa)));
      call.RunWith(LinearI8Workspace(call.Describe(), two.size()),
                   [&](const KernelCall& k) { RunLinearI8(k, two, SimdI8Tiles(isa)); });
      ASSERT_EQ(call.bytes(kY), wanted);
      std::fill(call.bytes(kY).begin(), call.bytes(kY).end(), std::byte{0x5a});
    }
  }
}

TEST(CpuLinearI8, BiasAndResidualAreAdded) {
  for (uint32_t out : {QIAO_F32, QIAO_BF16}) {
    for (int64_t rows : {3, 20}) {
      TestCall call(QIAO_OP_LINEAR, qiao_linear_params{});
      AddRows(call, {rows, 2, 100}, false);
      FillBytes(call, call.ChannelWeight(2, 57, 100), false);
      call.Normal(QIAO_F32, {2 * 57});
      call.Normal(out, {rows, 2, 57});
      call.Zeros(out, {rows, 2, 57});
      ExpectLikeReference(call, {kY}, out == QIAO_BF16 ? 2e-2 : 1e-6);
    }
  }
}

TEST(CpuLinearI8, ARowsBitsDoNotDependOnTheOthersNorOnThreads) {
  ThreadPool one(1), three(3);
  const Shape s{.rows = 37, .n = 100, .k = 200};
  for (Isa isa : SupportedIsas()) {
    SCOPED_TRACE(std::string(Name(isa)));
    TestCall all = MakeLinear(s);
    ASSERT_NO_FATAL_FAILURE(all.RunCpu(isa, one));
    const std::vector<std::byte> wanted = all.bytes(kY);
    std::fill(all.bytes(kY).begin(), all.bytes(kY).end(), std::byte{0});
    ASSERT_NO_FATAL_FAILURE(all.RunCpu(isa, three));
    EXPECT_EQ(all.bytes(kY), wanted);
    for (int64_t count : {1, 2, 5, 8, 11, 16, 20}) {
      TestCall some = MakeLinear(s);
      const int64_t first = s.rows - count;
      some.Slice({kX, kXScale, kY}, first, count);
      ASSERT_NO_FATAL_FAILURE(some.RunCpu(isa, three));
      EXPECT_EQ(std::memcmp(some.bytes(kY).data(), wanted.data() + first * s.n * 4, some.bytes(kY).size()), 0)
          << count;
    }
  }
}

TestCall MakeGrouped(const std::vector<int64_t>& ends, int64_t rows, uint32_t out) {
  TestCall call(QIAO_OP_GROUPED_LINEAR, qiao_grouped_linear_params{});
  AddRows(call, {rows, 200}, false);
  call.Longs(ends);
  FillBytes(call, call.ChannelWeight(static_cast<int64_t>(ends.size()), 70, 200, 35, 3), false);
  call.Zeros(out, {rows, 70});
  return call;
}

TEST(CpuGroupedLinearI8, HasTheScalarKernelsBitsOnEveryInstructionSet) {
  ThreadPool one(1), three(3);
  const std::vector<std::vector<int64_t>> cases = {
      {0, 1, 1, 4, 4, 13, 18, 18}, {0, 0, 0}, {40}, {17, 34, 51}, {1, 2, 3, 4, 5, 6}, {9, 10, 60}};
  for (uint32_t out : {QIAO_F32, QIAO_BF16}) {
    for (const std::vector<int64_t>& ends : cases) {
      SCOPED_TRACE(ends.back());
      TestCall call = MakeGrouped(ends, ends.back() + 3, out);
      const std::vector<std::byte> before = call.bytes(kGy);
      call.RunReference();
      const std::vector<std::byte> wanted = call.bytes(kGy);
      for (Isa isa : SupportedIsas()) {
        SCOPED_TRACE(std::string(Name(isa)));
        for (ThreadPool* pool : {&one, &three}) {
          call.bytes(kGy) = before;  // dead rows stay as they are
          ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, *pool));
          ASSERT_EQ(call.bytes(kGy), wanted) << pool->size() << " threads";
        }
        call.bytes(kGy) = before;
        call.RunWith(GroupedLinearI8Workspace(call.Describe(), three.size()),
                     [&](const KernelCall& k) { RunGroupedLinearI8(k, three, SimdI8Tiles(isa)); });
        ASSERT_EQ(call.bytes(kGy), wanted);
      }
    }
  }
}

TEST(CpuLinearI8, SaysWhatItCannotDo) {
  TestCall call = MakeLinear({});
  std::string why;
  const auto supports = [&] {
    const qiao_op_call described = call.Describe();
    return KernelFor(*FindKernel(QIAO_OP_LINEAR), described).supports(described, &why);
  };
  EXPECT_TRUE(supports()) << why;
  call.tensor(kW).scheme = QIAO_SCHEME_NONE;
  EXPECT_FALSE(supports());
  EXPECT_NE(why.find("scale for each row"), std::string::npos) << why;
  call.tensor(kW).scheme = QIAO_SCHEME_CHANNEL;
  call.tensor(kXScale) = {};
  EXPECT_FALSE(supports());
  EXPECT_NE(why.find("without x_scale"), std::string::npos) << why;
}

}  // namespace
}  // namespace qiao::kernels::cpu
