// What the operators of ggml-cann refuse, four-bit weights, and outputs over what they read.
#include <aclnnop/aclnn_argsort.h>
#include <aclnnop/aclnn_cat.h>
#include <aclnnop/aclnn_constant_pad_nd.h>
#include <aclnnop/aclnn_convolution.h>
#include <aclnnop/aclnn_gelu.h>
#include <aclnnop/aclnn_index_copy.h>
#include <aclnnop/aclnn_max_pool.h>
#include <aclnnop/aclnn_reduce_sum.h>
#include <aclnnop/aclnn_repeat_interleave.h>
#include <aclnnop/aclnn_triu.h>
#include <aclnnop/aclnn_weight_quant_batch_matmul_v2.h>

#include "tests/backends/ascend/ops_fixture.h"

namespace qiao::cann_test {
namespace {

using ClientOps = OpsTest;

struct Ints {
  explicit Ints(std::vector<int64_t> v) : array(aclCreateIntArray(v.data(), v.size())) {}
  ~Ints() { aclDestroyIntArray(array); }
  Ints(const Ints&) = delete;
  operator aclIntArray*() const { return array; }
  aclIntArray* array;
};

DeviceTensor Zeros(std::vector<int64_t> dims, aclDataType dtype = ACL_FLOAT) {
  size_t elements = 1;
  for (int64_t d : dims) elements *= static_cast<size_t>(d);
  return DeviceTensor(dtype, std::move(dims), std::vector<uint64_t>(elements, 0));
}

TEST_F(ClientOps, CatRefusesTypesThatHaveNoElements) {
  for (aclDataType dtype : {ACL_DT_UNDEFINED, ACL_INT4}) {
    DeviceTensor a = Zeros({2, 8}, dtype), b = Zeros({2, 8}, dtype);
    const auto out = Zeros({4, 8}, dtype);
    const aclTensor* both[] = {a.Release(), b.Release()};
    aclTensorList* list = aclCreateTensorList(both, 2);
    std::string why;
    EXPECT_EQ(Check(&why, aclnnCatGetWorkspaceSize, list, int64_t{0}, out), ACLNN_ERR_PARAM_INVALID);
    EXPECT_NE(why.find(dtype == ACL_INT4 ? "tensors is INT4" : "tensors is UNDEFINED"), std::string::npos)
        << why;
    aclDestroyTensorList(list);
  }
}

TEST_F(ClientOps, ShapesAreChecked) {
  const auto x = Zeros({2, 3, 4}), wrong = Zeros({2, 3, 5}), indices = Zeros({2, 3, 4}, ACL_INT64);
  const Ints one({2}), pads({1, 0}), bad_pads({1});
  float zero = 0;
  aclScalar* value = aclCreateScalar(&zero, ACL_FLOAT);
  std::string why;
  EXPECT_EQ(Check(&why, aclnnConstantPadNdGetWorkspaceSize, x, bad_pads, value, wrong),
            ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("pad has 1 entries"), std::string::npos) << why;
  EXPECT_EQ(Check(&why, aclnnConstantPadNdGetWorkspaceSize, x, pads, value, wrong), ACLNN_SUCCESS) << why;
  EXPECT_EQ(Check(&why, aclnnConstantPadNdGetWorkspaceSize, x, pads, value, x), ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(Check(&why, aclnnRepeatInterleaveIntWithDimGetWorkspaceSize, x, int64_t{2}, int64_t{1},
                  int64_t{5}, wrong),
            ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("outputSize is 5; it must be 6"), std::string::npos) << why;
  EXPECT_EQ(Check(&why, aclnnArgsortGetWorkspaceSize, x, int64_t{3}, false, indices),
            ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(Check(&why, aclnnArgsortGetWorkspaceSize, x, int64_t{-1}, false, x), ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("out is FLOAT; it must be INT64"), std::string::npos) << why;
  EXPECT_EQ(Check(&why, aclnnReduceSumGetWorkspaceSize, x, one, false, ACL_INT32, wrong),
            ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("dtype is INT32 and out is FLOAT"), std::string::npos) << why;
  EXPECT_EQ(Check(&why, aclnnGeluGetWorkspaceSize, indices, indices), ACLNN_ERR_PARAM_INVALID);
  aclDestroyScalar(value);
}

TEST_F(ClientOps, WindowsAreChecked) {
  const auto image = Zeros({1, 2, 6, 6}), pooled = Zeros({1, 2, 3, 3}), weight = Zeros({2, 1, 3, 3});
  const Ints two({2, 2}), ones({1, 1}), none({0, 0}), four({0, 0, 0, 0}), zeros({0, 0});
  std::string why;
  EXPECT_EQ(
      Check(&why, aclnnMaxPoolGetWorkspaceSize, image, two, two, int64_t{0}, four, ones, int64_t{0}, pooled),
      ACLNN_SUCCESS)
      << why;
  EXPECT_EQ(Check(&why, aclnnMaxPoolGetWorkspaceSize, image, two, zeros, int64_t{0}, four, ones, int64_t{0},
                  pooled),
            ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(
      Check(&why, aclnnMaxPoolGetWorkspaceSize, image, two, ones, int64_t{0}, four, ones, int64_t{0}, pooled),
      ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("it must be [1, 2, 5, 5]"), std::string::npos) << why;
  // One input channel a kernel, which is two groups' and not one's.
  for (int64_t groups : {1, 2}) {
    const auto out = Zeros({1, 2, 4, 4});
    EXPECT_EQ(Check(&why, aclnnConvolutionGetWorkspaceSize, image, weight, static_cast<aclTensor*>(nullptr),
                    ones, none, ones, false, none, groups, out, int8_t{0}),
              groups == 2 ? ACLNN_SUCCESS : ACLNN_ERR_PARAM_INVALID)
        << why;
  }
}

TEST_F(ClientOps, TrianglesInPlace) {
  const auto x = DeviceTensor::Floats({2, 3}, {1, 2, 3, 4, 5, 6});
  Run(QIAO_BOTH(InplaceTriu), x, int64_t{1});
  EXPECT_EQ(x.Numbers(), (std::vector<float>{0, 2, 3, 0, 0, 6}));
}

TEST_F(ClientOps, IndicesOutsideWriteNothing) {
  const auto x = DeviceTensor::Floats({3, 2}, {1, 2, 3, 4, 5, 6});
  const DeviceTensor index(ACL_INT32, {3}, std::vector<int32_t>{-1, 2, 3});
  const auto source = DeviceTensor::Floats({3, 2}, {7, 7, 8, 9, 7, 7});
  Run(QIAO_BOTH(InplaceIndexCopy), x, int64_t{0}, index, source);
  EXPECT_EQ(x.Numbers(), (std::vector<float>{1, 2, 3, 4, 8, 9}));
}

// Two to a byte, the first in the low half, two's complement; [K, N] with K contiguous.
TEST_F(ClientOps, FourBitWeights) {
  constexpr int64_t kK = 64, kN = 3, kGroup = 32;
  std::vector<uint8_t> bytes(kK * kN / 2);
  std::vector<float> want(kN, 0);
  std::vector<uint16_t> x(kK), scale(2 * kN);
  for (int64_t k = 0; k < kK; ++k) x[static_cast<size_t>(k)] = FloatToF16(static_cast<float>(k % 5 - 2));
  for (size_t i = 0; i < scale.size(); ++i) scale[i] = FloatToF16(0.25f * static_cast<float>(i + 1));
  for (int64_t n = 0; n < kN; ++n) {
    for (int64_t k = 0; k < kK; ++k) {
      const int64_t at = n * kK + k;
      const int code = static_cast<int>(at * 7 % 16);
      bytes[static_cast<size_t>(at / 2)] |= static_cast<uint8_t>(code << (at % 2 ? 4 : 0));
      const int64_t group = k / kGroup;
      want[static_cast<size_t>(n)] += static_cast<float>(k % 5 - 2) *
                                      static_cast<float>(code < 8 ? code : code - 16) * 0.25f *
                                      static_cast<float>(group * kN + n + 1);
    }
  }
  const DeviceTensor in(ACL_FLOAT16, {1, kK}, x), s(ACL_FLOAT16, {2, kN}, scale);
  const DeviceTensor w(ACL_INT4, {kK, kN}, bytes.data(), bytes.size(), ACL_FORMAT_ND, {1, kK}, {kK * kN});
  const DeviceTensor y(ACL_FLOAT16, {1, kN}, std::vector<uint16_t>(kN));
  const auto none = static_cast<aclTensor*>(nullptr);
  Run(QIAO_BOTH(WeightQuantBatchMatmulV2), in, w, s, none, none, none, none, static_cast<int>(kGroup), y);
  // Whole multiples of 1/4 below 2048: exact in f16.
  EXPECT_EQ(y.Numbers(), want);
  std::string why;
  EXPECT_EQ(
      Check(&why, aclnnWeightQuantBatchMatmulV2GetWorkspaceSize, in, w, s, none, none, none, none, 24, y),
      ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("antiquantGroupSize is 24"), std::string::npos) << why;
}

}  // namespace
}  // namespace qiao::cann_test
