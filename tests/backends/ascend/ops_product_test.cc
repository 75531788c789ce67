// Products against plain loops in double: every orientation, dtype and format that they are served in.
#include <aclnnop/aclnn_batch_matmul.h>
#include <aclnnop/aclnn_grouped_matmul_v4.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_grouped_matmul_weight_nz.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_npu_format_cast.h>
#include <aclnnop/aclnn_quant_matmul_v4.h>
#include <aclnnop/aclnn_quant_matmul_v5.h>
#include <aclnnop/aclnn_quant_matmul_weight_nz.h>
#include <aclnnop/aclnn_trans_matmul_weight.h>

#include <cmath>
#include <random>

#include "tests/backends/ascend/ops_fixture.h"

namespace qiao::cann_test {
namespace {

using Products = OpsTest;

std::vector<float> Normal(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> d;
  std::vector<float> v(n);
  for (float& x : v) x = d(random);
  return v;
}
std::vector<int8_t> Bytes(size_t n, uint32_t seed, int least = -127) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> d(least, 127);
  std::vector<int8_t> v(n);
  for (int8_t& x : v) x = static_cast<int8_t>(d(random));
  return v;
}
std::vector<float> AsBf16(std::vector<float> v) {
  for (float& x : v) x = Bf16ToFloat(FloatToBf16(x));
  return v;
}
// [rows, cols] -> [cols, rows]
template <typename T>
std::vector<T> Transposed(const std::vector<T>& v, size_t rows, size_t cols) {
  std::vector<T> t(v.size());
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < cols; ++c) t[c * rows + r] = v[r * cols + c];
  return t;
}
// [M, K] [K, N]
template <typename T>
std::vector<double> Multiply(const std::vector<T>& a, const std::vector<T>& b, size_t m, size_t k, size_t n) {
  std::vector<double> out(m * n);
  for (size_t i = 0; i < m; ++i)
    for (size_t p = 0; p < k; ++p)
      for (size_t j = 0; j < n; ++j)
        out[i * n + j] += static_cast<double>(a[i * k + p]) * static_cast<double>(b[p * n + j]);
  return out;
}
void Near(const std::vector<float>& got, const std::vector<double>& want, double relative) {
  ASSERT_EQ(got.size(), want.size());
  double largest = 0;
  for (double v : want) largest = std::max(largest, std::fabs(v));
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(static_cast<double>(got[i]), want[i], relative * largest) << "element " << i;
}

constexpr size_t kM = 5, kK = 72, kN = 40;

TEST_F(Products, FloatsInEveryOrientation) {
  const auto a = Normal(kM * kK, 1), b = Normal(kK * kN, 2);
  const auto want = Multiply(a, b, kM, kK, kN);
  for (bool turn_a : {false, true})
    for (bool turn_b : {false, true}) {
      SCOPED_TRACE(turn_a * 2 + turn_b);
      const auto av = turn_a ? Transposed(a, kM, kK) : a, bv = turn_b ? Transposed(b, kK, kN) : b;
      const DeviceTensor x(ACL_FLOAT, {kM, kK}, av.data(), av.size() * 4, ACL_FORMAT_ND,
                           turn_a ? std::vector<int64_t>{1, kM} : std::vector<int64_t>{kK, 1});
      const DeviceTensor w(ACL_FLOAT, {kK, kN}, bv.data(), bv.size() * 4, ACL_FORMAT_ND,
                           turn_b ? std::vector<int64_t>{1, kK} : std::vector<int64_t>{kN, 1});
      const auto y = DeviceTensor::Floats({kM, kN}, std::vector<float>(kM * kN));
      Run(QIAO_BOTH(Matmul), x, w, y, int8_t{0});
      Near(y.Numbers(), want, 1e-6);
    }
}

TEST_F(Products, NarrowFloatsAreRoundedOnce) {
  const auto a = AsBf16(Normal(kM * kK, 3)), b = AsBf16(Normal(kK * kN, 4));
  const auto want = Multiply(a, b, kM, kK, kN);
  const auto y = DeviceTensor::Bf16({kM, kN}, std::vector<float>(kM * kN));
  Run(QIAO_BOTH(Matmul), DeviceTensor::Bf16({kM, kK}, a), DeviceTensor::Bf16({kK, kN}, b), y, int8_t{0});
  Near(y.Numbers(), want, 1.0 / 256);
  const auto f = DeviceTensor::Floats({kM, kN}, std::vector<float>(kM * kN));
  Run(QIAO_BOTH(Matmul), DeviceTensor::Bf16({kM, kK}, a), DeviceTensor::Floats({kK, kN}, b), f, int8_t{0});
  Near(f.Numbers(), want, 1e-6);
}

TEST_F(Products, BatchesBroadcast) {
  const auto a = Normal(2 * kM * kK, 5), b = Normal(kK * kN, 6);
  const auto y = DeviceTensor::Floats({2, kM, kN}, std::vector<float>(2 * kM * kN));
  Run(QIAO_BOTH(BatchMatMul), DeviceTensor::Floats({2, kM, kK}, a), DeviceTensor::Floats({1, kK, kN}, b), y,
      int8_t{0});
  Near(y.Numbers(), Multiply(a, b, 2 * kM, kK, kN), 1e-6);
  std::string why;
  const auto bad = DeviceTensor::Floats({2, kM, kN + 1}, std::vector<float>(2 * kM * (kN + 1)));
  const auto x = DeviceTensor::Floats({2, kM, kK}, a), w = DeviceTensor::Floats({1, kK, kN}, b);
  EXPECT_EQ(Check(&why, aclnnBatchMatMulGetWorkspaceSize, x, w, bad, int8_t{0}), ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("it must be [2, 5, 40]"), std::string::npos) << why;
}

// A [rows, cols] matrix of 2-byte or 1-byte elements in FRACTAL_NZ, by the format's formula.
template <typename T>
std::vector<T> Fractal(const std::vector<T>& v, size_t rows, size_t cols) {
  const size_t c0 = 32 / sizeof(T), r1 = (rows + 15) / 16, c1 = (cols + c0 - 1) / c0;
  std::vector<T> out(r1 * c1 * 16 * c0);
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < cols; ++c)
      out[((c / c0) * r1 + r / 16) * 16 * c0 + r % 16 * c0 + c % c0] = v[r * cols + c];
  return out;
}

TEST_F(Products, FractalsAreWhatTheFormulaSays) {
  std::vector<uint16_t> b(kK * kN);
  for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<uint16_t>(i);
  const DeviceTensor from(ACL_BF16, {kK, kN}, b);
  int64_t* shape = nullptr;
  uint64_t dims = 0;
  int format = 0;
  ASSERT_EQ(aclnnNpuFormatCastCalculateSizeAndFormat(from, ACL_FORMAT_FRACTAL_NZ, -1, &shape, &dims, &format),
            ACLNN_SUCCESS);
  ASSERT_EQ(dims, 4u);
  const std::vector<int64_t> storage(shape, shape + dims);
  delete[] shape;
  EXPECT_EQ(storage, (std::vector<int64_t>{3, 5, 16, 16}));
  const DeviceTensor to(ACL_BF16, {kK, kN}, nullptr, 3 * 5 * 256 * 2, ACL_FORMAT_FRACTAL_NZ, {}, storage);
  Run(QIAO_BOTH(NpuFormatCast), from, to);
  EXPECT_EQ(to.Read<uint16_t>(), Fractal(b, kK, kN));
  const DeviceTensor back(ACL_BF16, {kK, kN}, std::vector<uint16_t>(b.size()));
  Run(QIAO_BOTH(NpuFormatCast), to, back);
  EXPECT_EQ(back.Read<uint16_t>(), b);

  const int64_t sizes[] = {kK, kN};
  aclIntArray* array = aclCreateIntArray(sizes, 2);
  uint64_t elements = 0;
  ASSERT_EQ(aclnnCalculateMatmulWeightSizeV2(array, ACL_BF16, &elements), ACLNN_SUCCESS);
  EXPECT_EQ(elements, 3u * 5 * 256);
  aclDestroyIntArray(array);
  const DeviceTensor place(ACL_BF16, {kK, kN}, nullptr, elements * 2);
  ASSERT_EQ(aclrtMemcpy(place.data(), b.size() * 2, b.data(), b.size() * 2, ACL_MEMCPY_HOST_TO_DEVICE),
            ACL_SUCCESS);
  Run(QIAO_BOTH(TransMatmulWeight), place);
  EXPECT_EQ(place.Read<uint16_t>(), Fractal(b, kK, kN));
}

TEST_F(Products, WeightsInFractalsBothWays) {
  const auto a = AsBf16(Normal(kM * kK, 7)), b = AsBf16(Normal(kK * kN, 8));
  std::vector<uint16_t> narrow;
  for (float v : b) narrow.push_back(FloatToBf16(v));
  const auto x = DeviceTensor::Bf16({kM, kK}, a);
  const auto plain = Fractal(narrow, kK, kN), turned = Fractal(Transposed(narrow, kK, kN), kN, kK);
  const DeviceTensor w(ACL_BF16, {kK, kN}, plain.data(), plain.size() * 2, ACL_FORMAT_FRACTAL_NZ, {kN, 1},
                       {3, 5, 16, 16});
  const DeviceTensor t(ACL_BF16, {kK, kN}, turned.data(), turned.size() * 2, ACL_FORMAT_FRACTAL_NZ, {1, kK},
                       {5, 3, 16, 16});
  for (const DeviceTensor* weight : {&w, &t}) {
    const auto y = DeviceTensor::Bf16({kM, kN}, std::vector<float>(kM * kN));
    Run(QIAO_BOTH(MatmulWeightNz), x, *weight, y, int8_t{0});
    Near(y.Numbers(), Multiply(a, b, kM, kK, kN), 1.0 / 256);
  }
}

struct Int8Case {
  std::vector<int8_t> a, b;
  std::vector<float> rows, columns;
  std::vector<double> want;

  explicit Int8Case(int least)
      : a(Bytes(kM * kK, 9, least)),
        b(Bytes(kK * kN, 10, least)),
        rows(Normal(kM, 11)),
        columns(Normal(kN, 12)) {
    want = Multiply(a, b, kM, kK, kN);
    for (size_t i = 0; i < want.size(); ++i)
      want[i] = static_cast<double>(static_cast<float>(want[i]) * (rows[i / kN] * columns[i % kN]));
  }
};

TEST_F(Products, IntegersAreExact) {
  for (int least : {-127, -128}) {
    const Int8Case c(least);
    std::vector<float> want;
    for (double v : c.want) want.push_back(Bf16ToFloat(FloatToBf16(static_cast<float>(v))));
    const DeviceTensor x(ACL_INT8, {kM, kK}, c.a), w(ACL_INT8, {kK, kN}, c.b),
        t(ACL_INT8, {kN, kK}, Transposed(c.b, kK, kN));
    const auto rows = DeviceTensor::Floats({kM}, c.rows), columns = DeviceTensor::Floats({kN}, c.columns);
    const auto fractal = Fractal(c.b, kK, kN), turned = Fractal(Transposed(c.b, kK, kN), kN, kK);
    const DeviceTensor nz(ACL_INT8, {kK, kN}, fractal.data(), fractal.size(), ACL_FORMAT_FRACTAL_NZ, {},
                          {2, 5, 16, 32});
    const DeviceTensor tnz(ACL_INT8, {kN, kK}, turned.data(), turned.size(), ACL_FORMAT_FRACTAL_NZ, {},
                           {3, 3, 16, 32});
    aclTensor* none = nullptr;
    auto y = [] { return DeviceTensor::Bf16({kM, kN}, std::vector<float>(kM * kN)); };
    const auto y1 = y(), y2 = y(), y3 = y(), y4 = y();
    Run(QIAO_BOTH(QuantMatmulV4), x, w, columns, none, rows, none, false, false, y1);
    Run(QIAO_BOTH(QuantMatmulV5), x, t, rows, columns, none, none, none, none, none, false, true, int64_t{0},
        y2);
    Run(QIAO_BOTH(QuantMatmulWeightNz), x, nz, rows, columns, none, none, none, none, none, false, false,
        int64_t{0}, y3);
    Run(QIAO_BOTH(QuantMatmulWeightNz), x, tnz, rows, columns, none, none, none, none, none, false, true,
        int64_t{0}, y4);
    for (const DeviceTensor* result : {&y1, &y2, &y3, &y4}) EXPECT_EQ(result->Numbers(), want);
    const DeviceTensor sums(ACL_INT32, {kM, kN}, std::vector<int32_t>(kM * kN));
    Run(QIAO_BOTH(QuantMatmulV4), x, w, none, none, none, none, false, false, sums);
    const auto exact = Multiply(c.a, c.b, kM, kK, kN);
    EXPECT_EQ(sums.Read<int32_t>(), std::vector<int32_t>(exact.begin(), exact.end()));
  }
}

aclTensorList* ListOf(std::vector<DeviceTensor*> tensors) {
  std::vector<const aclTensor*> handles;
  for (DeviceTensor* t : tensors) handles.push_back(t->Release());
  return aclCreateTensorList(handles.data(), handles.size());
}

TEST_F(Products, GroupsHaveAMatrixEach) {
  constexpr size_t kE = 3, kRows = 7;
  const std::vector<int64_t> ends = {2, 2, 6}, counts = {2, 0, 4};
  const auto a = Normal(kRows * kK, 13), b = Normal(kE * kK * kN, 14);
  std::vector<double> want(kRows * kN, -1);
  for (size_t r = 0; r < 6; ++r) {
    const size_t e = r < 2 ? 0 : 2;
    const std::vector<float> row(a.begin() + static_cast<long>(r * kK),
                                 a.begin() + static_cast<long>((r + 1) * kK));
    const std::vector<float> m(b.begin() + static_cast<long>(e * kK * kN),
                               b.begin() + static_cast<long>((e + 1) * kK * kN));
    const auto part = Multiply(row, m, 1, kK, kN);
    std::copy(part.begin(), part.end(), want.begin() + static_cast<long>(r * kN));
  }
  for (int type : {0, 1}) {
    auto x = DeviceTensor::Floats({kRows, kK}, a);
    auto w = DeviceTensor::Floats({kE, kK, kN}, b);
    auto y = DeviceTensor::Floats({kRows, kN}, std::vector<float>(kRows * kN, -1));
    const DeviceTensor groups(ACL_INT64, {kE}, type == 0 ? ends : counts);
    aclTensorList *xl = ListOf({&x}), *wl = ListOf({&w}), *yl = ListOf({&y}), *none = nullptr;
    Run(QIAO_BOTH(GroupedMatmulV4), xl, wl, none, none, none, none, none, none, groups, none, none, none,
        int64_t{3}, int64_t{0}, int64_t{type}, int64_t{0}, yl, none, none);
    Near(y.Numbers(), want, 1e-6);
    for (aclTensorList* list : {xl, wl, yl}) aclDestroyTensorList(list);
  }
}

TEST_F(Products, GroupsOfIntegersInFractals) {
  constexpr size_t kE = 2;
  const Int8Case c(-127);
  // Both groups have the same matrix, and the second the same scales times two.
  auto fractal = Fractal(c.b, kK, kN);
  const size_t one = fractal.size();
  fractal.resize(2 * one);
  std::copy_n(fractal.begin(), one, fractal.begin() + static_cast<long>(one));
  std::vector<float> columns = c.columns;
  for (float v : c.columns) columns.push_back(2 * v);
  DeviceTensor x(ACL_INT8, {kM, kK}, c.a);
  DeviceTensor w(ACL_INT8, {kE, kK, kN}, fractal.data(), fractal.size(), ACL_FORMAT_FRACTAL_NZ, {},
                 {2, 2, 5, 16, 32});
  auto scale = DeviceTensor::Floats({kE, kN}, columns), tokens = DeviceTensor::Floats({kM}, c.rows);
  auto y = DeviceTensor::Bf16({kM, kN}, std::vector<float>(kM * kN));
  const DeviceTensor groups(ACL_INT64, {kE}, std::vector<int64_t>{2, 5});
  aclTensorList *xl = ListOf({&x}), *wl = ListOf({&w}), *sl = ListOf({&scale}), *tl = ListOf({&tokens}),
                *yl = ListOf({&y}), *none = nullptr;
  Run(QIAO_BOTH(GroupedMatmulWeightNz), xl, wl, none, sl, none, none, none, tl, groups, none, none, none,
      int64_t{3}, int64_t{0}, int64_t{0}, int64_t{0}, static_cast<aclIntArray*>(nullptr), int64_t{0}, yl,
      none, none);
  const auto got = y.Numbers();
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(got[i], Bf16ToFloat(FloatToBf16(static_cast<float>(c.want[i]) * (i / kN < 2 ? 1 : 2))));
  for (aclTensorList* list : {xl, wl, sl, tl, yl}) aclDestroyTensorList(list);
}

TEST_F(Products, Fp8BlocksOnAChipThatHasThem) {
  constexpr size_t kBigK = 200, kBigN = 136;
  const auto bytes = [](size_t n, uint32_t seed) {
    std::vector<uint8_t> v;
    for (float x : Normal(n, seed)) v.push_back(FloatToF8E4M3(x));
    return v;
  };
  const auto a = bytes(kM * kBigK, 15), b = bytes(kBigK * kBigN, 16);
  const auto as = Normal(kM * 2, 17), bs = Normal(4, 18);  // [M, 2], [2, 2]
  std::vector<double> want(kM * kBigN);
  for (size_t m = 0; m < kM; ++m)
    for (size_t n = 0; n < kBigN; ++n)
      for (size_t k = 0; k < kBigK; ++k)
        want[m * kBigN + n] +=
            static_cast<double>(F8E4M3ToFloat(a[m * kBigK + k]) * F8E4M3ToFloat(b[k * kBigN + n])) *
            static_cast<double>(as[m * 2 + k / 128]) * static_cast<double>(bs[k / 128 * 2 + n / 128]);
  const DeviceTensor x(ACL_FLOAT8_E4M3FN, {kM, kBigK}, a), w(ACL_FLOAT8_E4M3FN, {kBigK, kBigN}, b),
      t(ACL_FLOAT8_E4M3FN, {kBigN, kBigK}, Transposed(b, kBigK, kBigN));
  const auto xs = DeviceTensor::Floats({kM, 2}, as), ws = DeviceTensor::Floats({2, 2}, bs),
             ts = DeviceTensor::Floats({2, 2}, Transposed(bs, 2, 2));
  const auto y = DeviceTensor::Floats({kM, kBigN}, std::vector<float>(kM * kBigN));
  aclTensor* none = nullptr;
  const int64_t group = (int64_t{1} << 32) + (128 << 16) + 128;
  if (std::string(aclrtGetSocName()).rfind("Ascend950", 0) != 0) {
    std::string why;
    EXPECT_EQ(Check(&why, aclnnQuantMatmulV5GetWorkspaceSize, x, w, xs, ws, none, none, none, none, none,
                    false, false, group, y),
              ACLNN_ERR_PARAM_INVALID);
    EXPECT_NE(why.find("has no FP8 units"), std::string::npos) << why;
    return;
  }
  Run(QIAO_BOTH(QuantMatmulV5), x, w, xs, ws, none, none, none, none, none, false, false, group, y);
  Near(y.Numbers(), want, 1e-5);
  Run(QIAO_BOTH(QuantMatmulV5), x, t, xs, ts, none, none, none, none, none, false, true, group, y);
  Near(y.Numbers(), want, 1e-5);
}

}  // namespace
}  // namespace qiao::cann_test
