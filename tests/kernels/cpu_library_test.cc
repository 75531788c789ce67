// linear through oneDNN agrees with the definition, whatever the number of live rows, the pieces and the
// threads.
#include <gtest/gtest.h>

#include "absl/strings/str_format.h"
#include "kernels/cpu/library_gemm.h"
#include "tests/kernels/cpu_call.h"

namespace qiao::kernels::cpu {
namespace {

struct Shape {
  uint32_t dtype, out;
  int64_t bucket;
  int32_t live;
  int64_t n, k, cut;
};

void PrintTo(const Shape& s, std::ostream* os) {
  *os << s.live << " of " << s.bucket << " rows, " << s.n << "x" << s.k;
}

class LibraryGemm : public testing::TestWithParam<Shape> {};

TestCall MakeCall(const Shape& s) {
  TestCall call(QIAO_OP_LINEAR, qiao_linear_params{});
  call.tensor(call.Normal(s.dtype, {s.bucket, s.k})).live = QIAO_LIVE_ROWS;
  call.Absent();
  call.Weight(s.dtype, 1, s.n, s.k, 0, s.cut);
  call.Absent();
  call.Absent();
  call.tensor(call.Zeros(s.out, {s.bucket, s.n})).live = QIAO_LIVE_ROWS;
  call.batch.struct_size = sizeof(qiao_batch);
  call.batch.rows = s.live;
  return call;
}

TEST_P(LibraryGemm, AgreesWithTheDefinition) {
  std::string why;
  const auto library = LoadGemmLibrary(&why);
  ASSERT_NE(library, nullptr) << why;
  const Shape& s = GetParam();
  for (int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    TestCall got = MakeCall(s), want = MakeCall(s);
    ASSERT_TRUE(LibraryLinear::Takes(got.Describe()));
    const auto linear = LibraryLinear::Prepare(library, got.Describe(), threads, &why);
    // On x86 oneDNN multiplies bf16 from AVX-512 upwards; elsewhere the backend goes on with its own kernel.
    const bool has = s.dtype == QIAO_F32 || BestIsa() >= Isa::kAvx512;
    ASSERT_EQ(linear != nullptr, has) << why;
    if (!has) return;
    got.RunWith(linear->workspace_bytes(),
                [&](const KernelCall& call) { EXPECT_TRUE(linear->Run(call, pool)); });
    want.RunReference();
    const std::vector<float> y = got.Values(5), reference = want.Values(5);
    double squares = 0, worst = 0;
    for (int64_t i = 0; i < s.live * s.n; ++i) {
      const double r = reference[static_cast<size_t>(i)];
      squares += r * r;
      worst = std::max(worst, std::fabs(y[static_cast<size_t>(i)] - r));
    }
    const double rms = std::sqrt(squares / static_cast<double>(s.live * s.n));
    EXPECT_LT(worst, (s.out == QIAO_BF16 ? 0.02 : 1e-5) * rms) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LibraryGemm,
                         testing::Values(Shape{QIAO_F32, QIAO_F32, 64, 64, 256, 96, 0},
                                         Shape{QIAO_F32, QIAO_F32, 100, 77, 301, 129, 0},
                                         Shape{QIAO_BF16, QIAO_BF16, 128, 33, 515, 64, 258},
                                         Shape{QIAO_BF16, QIAO_F32, 65, 65, 1, 33, 0},
                                         Shape{QIAO_BF16, QIAO_BF16, 200, 200, 600, 200, 7}),
                         [](const auto& info) {
                           const Shape& s = info.param;
                           return absl::StrFormat("T%d_N%d_K%d", s.bucket, s.n, s.k);
                         });

TEST(LibraryGemmTakes, OnlyPlainWeightsOfOneDTypeAndManyRows) {
  auto takes = [](const Shape& s, auto change) {
    TestCall call = MakeCall(s);
    change(call);
    return LibraryLinear::Takes(call.Describe());
  };
  const Shape plain{QIAO_BF16, QIAO_BF16, 64, 64, 8, 8, 0};
  EXPECT_TRUE(takes(plain, [](TestCall&) {}));
  EXPECT_FALSE(takes(plain, [](TestCall& c) { c.tensor(2).dtype = QIAO_F32; }));
  EXPECT_FALSE(takes(plain, [](TestCall& c) { c.tensor(2).scheme = QIAO_SCHEME_BLOCK; }));
  EXPECT_FALSE(takes(plain, [](TestCall& c) { c.tensor(2).dim[0] = 4; }));
  EXPECT_FALSE(takes(plain, [](TestCall& c) { c.tensor(4).dtype = QIAO_BF16; }));
  EXPECT_FALSE(takes(Shape{QIAO_BF16, QIAO_BF16, 63, 63, 8, 8, 0}, [](TestCall&) {}));
  EXPECT_FALSE(takes(Shape{QIAO_F16, QIAO_F32, 64, 64, 8, 8, 0}, [](TestCall&) {}));
}

}  // namespace
}  // namespace qiao::kernels::cpu
