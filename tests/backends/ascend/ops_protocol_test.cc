// The two phases: what the first refuses and how it says so, what the second copies, executors used once or many times.
#include <aclnnop/aclnn_abs.h>
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_copy.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_moe_init_routing_v2.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_quant_matmul_v5.h>

#include "tests/backends/ascend/ops_fixture.h"

namespace qiao::cann_test {
namespace {

using Ops = OpsTest;

TEST_F(Ops, NullArgumentsAreNamed) {
  const auto x = DeviceTensor::Floats({4}, {1, 2, 3, 4});
  std::string why;
  EXPECT_EQ(Check(&why, aclnnAbsGetWorkspaceSize, static_cast<aclTensor*>(nullptr), x),
            ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_NE(why.find("aclnnAbs: self is null"), std::string::npos) << why;
  uint64_t size = 0;
  EXPECT_EQ(aclnnAbsGetWorkspaceSize(x, x, &size, nullptr), ACLNN_ERR_PARAM_NULLPTR);
  aclOpExecutor* executor = nullptr;
  EXPECT_EQ(aclnnAbsGetWorkspaceSize(x, x, nullptr, &executor), ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(aclnnAbs(nullptr, 0, nullptr, stream_), ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_EQ(Check(&why, aclnnAddGetWorkspaceSize, x, x, static_cast<aclScalar*>(nullptr), x),
            ACLNN_ERR_PARAM_NULLPTR);
  EXPECT_NE(why.find("alpha is null"), std::string::npos) << why;
}

TEST_F(Ops, ShapesThatDoNotFitAreRefused) {
  const auto a = DeviceTensor::Floats({4}, {1, 2, 3, 4});
  const auto b = DeviceTensor::Floats({3}, {1, 2, 3});
  std::string why;
  EXPECT_EQ(Check(&why, aclnnMulGetWorkspaceSize, a, b, a), ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(why.find("other is [3]"), std::string::npos) << why;
  EXPECT_EQ(aclCreateTensor(nullptr, 9, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND, nullptr, 0, nullptr), nullptr);
  EXPECT_NE(Message().find("9 view"), std::string::npos);
}

TEST_F(Ops, Fp8NeedsAChipThatHasIt) {
  const std::vector<uint8_t> bytes(4, 0x38);
  const DeviceTensor x(ACL_FLOAT8_E4M3FN, {4}, bytes);
  const bool fp8 = std::string(aclrtGetSocName()).rfind("Ascend950", 0) == 0;
  std::string why;
  const aclnnStatus status = Check(&why, aclnnInplaceCopyGetWorkspaceSize, x, x);
  if (fp8) {
    EXPECT_EQ(status, ACLNN_SUCCESS) << why;
  } else {
    EXPECT_EQ(status, ACLNN_ERR_PARAM_INVALID);
    EXPECT_NE(why.find("has no FP8 units"), std::string::npos) << why;
  }
}

TEST_F(Ops, AWorkspaceIsAskedForUnderStressAndMustBeThere) {
  const char* check = getenv("QIAO_CANN_CHECK");
  const auto x = DeviceTensor::Floats({4}, {-1, 2, -3, 4});
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(aclnnAbsGetWorkspaceSize(x, x, &size, &executor), ACLNN_SUCCESS);
  if (!check || std::string(check) != "stress") {
    EXPECT_EQ(size, 0u);
  } else {
    ASSERT_GT(size, 0u);
    const Workspace small(size / 2);
    EXPECT_EQ(aclnnAbs(nullptr, 0, executor, stream_), ACLNN_ERR_PARAM_INVALID);
    EXPECT_NE(Message().find("no workspace, where 4096 bytes are needed"), std::string::npos);
    EXPECT_EQ(aclnnAbs(small.data(), small.size(), executor, stream_), ACLNN_ERR_PARAM_INVALID);
    EXPECT_NE(Message().find("a workspace of 2048 bytes, where 4096 are needed"), std::string::npos);
  }
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACLNN_SUCCESS);
}

TEST_F(Ops, AnExecutorIsGoodForOneLaunch) {
  const auto x = DeviceTensor::Floats({4}, {-1, 2, -3, 4});
  const auto y = DeviceTensor::Floats({4}, {0, 0, 0, 0});
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(aclnnAbsGetWorkspaceSize(x, y, &size, &executor), ACLNN_SUCCESS);
  const Workspace workspace(size);
  ASSERT_EQ(aclnnAbs(workspace.data(), size, executor, stream_), ACLNN_SUCCESS) << Message();
  EXPECT_EQ(aclnnAbs(workspace.data(), size, executor, stream_), ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(Message().find("aclnnAbs was launched already"), std::string::npos);
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(y.Numbers(), (std::vector<float>{1, 2, 3, 4}));
  // Of another operator.
  ASSERT_EQ(aclnnAbsGetWorkspaceSize(x, y, &size, &executor), ACLNN_SUCCESS);
  EXPECT_EQ(aclnnMul(workspace.data(), size, executor, stream_), ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(Message().find("aclnnAbsGetWorkspaceSize"), std::string::npos);
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACLNN_SUCCESS);
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACLNN_ERR_PARAM_INVALID);
}

TEST_F(Ops, ARepeatableExecutorTakesOtherAddresses) {
  const auto a = DeviceTensor::Floats({2}, {1, 2});
  const auto b = DeviceTensor::Floats({2}, {10, 20});
  const auto c = DeviceTensor::Floats({2}, {5, 7});
  const auto y = DeviceTensor::Floats({2}, {0, 0});
  const auto z = DeviceTensor::Floats({2}, {0, 0});
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(aclnnMulGetWorkspaceSize(a, b, y, &size, &executor), ACLNN_SUCCESS);
  const Workspace workspace(size);
  EXPECT_EQ(aclSetTensorAddr(executor, 1, b, c.data()), ACLNN_ERR_PARAM_INVALID);
  ASSERT_EQ(aclSetAclOpExecutorRepeatable(executor), ACLNN_SUCCESS);
  ASSERT_EQ(aclnnMul(workspace.data(), size, executor, stream_), ACLNN_SUCCESS) << Message();
  ASSERT_EQ(aclSetInputTensorAddr(executor, 1, b, c.data()), ACLNN_SUCCESS);
  ASSERT_EQ(aclSetOutputTensorAddr(executor, 0, y, z.data()), ACLNN_SUCCESS);
  ASSERT_EQ(aclnnMul(workspace.data(), size, executor, stream_), ACLNN_SUCCESS) << Message();
  EXPECT_EQ(aclSetTensorAddr(executor, 3, nullptr, z.data()), ACLNN_ERR_PARAM_INVALID);
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(y.Numbers(), (std::vector<float>{10, 40}));
  EXPECT_EQ(z.Numbers(), (std::vector<float>{5, 14}));
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACLNN_SUCCESS);
  EXPECT_EQ(aclnnMul(workspace.data(), size, executor, stream_), ACLNN_ERR_PARAM_INVALID);
  EXPECT_NE(Message().find("was destroyed"), std::string::npos);
}

TEST_F(Ops, ArgumentsAreNumberedAsTheApiOrdersThem) {
  const std::vector<int32_t> zeros(4);
  const auto x = DeviceTensor::Floats({2, 2}, {1, 2, 3, 4});
  const auto rows = DeviceTensor::Floats({4, 2}, {0, 0, 0, 0, 0, 0, 0, 0});
  const DeviceTensor ids(ACL_INT32, {2, 2}, zeros), index(ACL_INT32, {4}, zeros),
      counts(ACL_INT32, {4}, zeros), before(ACL_INT32, {4}, zeros);
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(aclnnMoeInitRoutingV2GetWorkspaceSize(x, ids, 0, 0, 4, 0, 2, false, rows, index, counts, before,
                                                  &size, &executor),
            ACLNN_SUCCESS)
      << Message();
  ASSERT_EQ(aclSetAclOpExecutorRepeatable(executor), ACLNN_SUCCESS);
  EXPECT_EQ(aclSetTensorAddr(executor, 4, nullptr, counts.data()), ACLNN_SUCCESS);
  EXPECT_EQ(aclSetTensorAddr(executor, 5, nullptr, before.data()), ACLNN_SUCCESS) << Message();
  EXPECT_EQ(aclSetTensorAddr(executor, 6, nullptr, before.data()), ACLNN_ERR_PARAM_INVALID);
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACLNN_SUCCESS);
}

TEST_F(Ops, TensorsMayGoAsSoonAsTheLaunchReturns) {
  constexpr int64_t kN = 1 << 16;
  std::vector<float> in(kN);
  for (int64_t i = 0; i < kN; ++i) in[static_cast<size_t>(i)] = static_cast<float>(i);
  auto a = DeviceTensor::Floats({kN}, in);
  const auto y = DeviceTensor::Floats({kN}, std::vector<float>(kN));
  aclTensor* out = aclCreateTensor(std::vector<int64_t>{kN}.data(), 1, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND,
                                   nullptr, 0, y.data());
  float alpha = 2;
  aclScalar* scalar = aclCreateScalar(&alpha, ACL_FLOAT);
  alpha = 100;
  std::vector<std::unique_ptr<Workspace>> workspaces;
  for (int i = 0; i < 20; ++i) {  // y is the sum in the end of one call; the queue is long meanwhile
    uint64_t size = 0;
    aclOpExecutor* executor = nullptr;
    ASSERT_EQ(aclnnAddGetWorkspaceSize(a, a, scalar, out, &size, &executor), ACLNN_SUCCESS);
    const Workspace& workspace = *workspaces.emplace_back(std::make_unique<Workspace>(size));
    ASSERT_EQ(aclnnAdd(workspace.data(), size, executor, stream_), ACLNN_SUCCESS) << Message();
  }
  aclDestroyTensor(a.Release());
  aclDestroyTensor(out);
  aclDestroyScalar(scalar);
  ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS);
  EXPECT_EQ(y.Numbers()[1000], 3000.0f);
}

TEST_F(Ops, AHostPointerIsRefusedAndNamed) {
  std::vector<float> host(4);
  const int64_t dims[] = {4};
  aclTensor* x = aclCreateTensor(dims, 1, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND, dims, 1, host.data());
  const auto y = DeviceTensor::Floats({4}, {0, 0, 0, 0});
  uint64_t size = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(aclnnAbsGetWorkspaceSize(x, y, &size, &executor), ACLNN_SUCCESS);
  const Workspace workspace(size);
  EXPECT_EQ(aclnnAbs(workspace.data(), size, executor, stream_), ACLNN_ERR_PARAM_INVALID);
  const std::string why = Message();
  EXPECT_NE(why.find("aclnnAbs: self"), std::string::npos) << why;
  aclDestroyTensor(x);
}

TEST_F(Ops, AListDestroysItsTensors) {
  const int64_t dims[] = {4};
  std::vector<const aclTensor*> tensors;
  for (int i = 0; i < 3; ++i)
    tensors.push_back(aclCreateTensor(dims, 1, ACL_FLOAT, nullptr, 0, ACL_FORMAT_ND, dims, 1, nullptr));
  aclTensorList* list = aclCreateTensorList(tensors.data(), tensors.size());
  uint64_t size = 0;
  EXPECT_EQ(aclGetTensorListSize(list, &size), ACLNN_SUCCESS);
  EXPECT_EQ(size, 3u);
  EXPECT_EQ(aclDestroyTensorList(list),
            ACLNN_SUCCESS);  // leaks or frees twice under a sanitizer if it does not
}

TEST_F(Ops, ATensorSaysWhatItWasMadeOf) {
  const int64_t dims[] = {2, 3}, strides[] = {1, 2}, storage[] = {6};
  aclTensor* t = aclCreateTensor(dims, 2, ACL_BF16, strides, 5, ACL_FORMAT_NCL, storage, 1, nullptr);
  int64_t* out = nullptr;
  uint64_t count = 0;
  ASSERT_EQ(aclGetViewStrides(t, &out, &count), ACLNN_SUCCESS);
  ASSERT_EQ(count, 2u);
  EXPECT_EQ(out[1], 2);
  delete[] out;
  ASSERT_EQ(aclGetStorageShape(t, &out, &count), ACLNN_SUCCESS);
  EXPECT_EQ(count, 1u);
  delete[] out;
  int64_t offset = 0;
  aclFormat format = ACL_FORMAT_ND;
  aclDataType dtype = ACL_FLOAT;
  EXPECT_EQ(aclGetViewOffset(t, &offset), ACLNN_SUCCESS);
  EXPECT_EQ(aclGetFormat(t, &format), ACLNN_SUCCESS);
  EXPECT_EQ(aclGetDataType(t, &dtype), ACLNN_SUCCESS);
  EXPECT_EQ(offset, 5);
  EXPECT_EQ(format, ACL_FORMAT_NCL);
  EXPECT_EQ(dtype, ACL_BF16);
  aclDestroyTensor(t);
}

}  // namespace
}  // namespace qiao::cann_test
