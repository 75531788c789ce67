// Mistakes of a client that operators and executors find: each is refused with CANN's code, and the message names it.
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_dynamic_block_quant.h>
#include <aclnnop/aclnn_dynamic_quant.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v3.h>
#include <aclnnop/aclnn_grouped_matmul_v4.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_mm.h>
#include <aclnnop/aclnn_moe_gating_top_k.h>
#include <aclnnop/aclnn_quant_matmul_v4.h>
#include <aclnnop/aclnn_quant_matmul_v5.h>
#include <aclnnop/aclnn_rms_norm.h>
#include <aclnnop/aclnn_softmax.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/backends/ascend/aclnn_client.h"

namespace qiao::ascend_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr aclnnStatus kNull = 161001;
constexpr aclnnStatus kInvalid = 161002;

using Shape = std::vector<int64_t>;

// Operands over one device buffer that is large enough for all of them.
class AclnnClientBugs : public testing::Test {
 protected:
  AclnnClientBugs() : memory_(1 << 20) { RecentError(); }
  static void TearDownTestSuite() { CloseTestDevice(); }

  aclTensor* Tensor(const Shape& shape, aclDataType dtype) { return Over(shape, dtype, memory_.data()); }
  aclTensor* Over(const Shape& shape, aclDataType dtype, void* data) {
    tensors_.push_back(MakeTensor(shape, dtype, data));
    return tensors_.back().get();
  }
  aclScalar* One() {
    float one = 1;
    if (!one_) one_.reset(aclCreateScalar(&one, ACL_FLOAT));
    return one_.get();
  }
  FirstPhase Adding(aclTensor* self, aclTensor* other, aclTensor* out) {
    return [=, this](uint64_t* w, aclOpExecutor** e) {
      return aclnnAddGetWorkspaceSize(self, other, One(), out, w, e);
    };
  }
  FirstPhase AddingProperly() {
    return Adding(Tensor({8}, ACL_FLOAT), Tensor({8}, ACL_FLOAT), Tensor({8}, ACL_FLOAT));
  }

  // The first phase refuses, leaves the executor alone, and says which operator and what.
  void ExpectRefused(aclnnStatus code, const FirstPhase& first, const std::string& op,
                     const std::string& pattern) {
    uint64_t bytes = 0;
    auto* const untouched = reinterpret_cast<aclOpExecutor*>(&bytes);
    aclOpExecutor* executor = untouched;
    EXPECT_EQ(first(&bytes, &executor), code);
    EXPECT_EQ(executor, untouched);
    const std::string message = RecentError();
    EXPECT_THAT(message, HasSubstr(op));
    EXPECT_THAT(message, ContainsRegex(pattern));
  }

  DeviceBuffer memory_;

 private:
  struct DestroyScalar {
    void operator()(const aclScalar* scalar) const { aclDestroyScalar(scalar); }
  };
  std::vector<TensorPtr> tensors_;
  std::unique_ptr<aclScalar, DestroyScalar> one_;
};

TEST_F(AclnnClientBugs, ANullOperandIsNamed) {
  aclTensor* x = Tensor({8}, ACL_FLOAT);
  ExpectRefused(kNull, Adding(nullptr, x, x), "Add", "self");
  ExpectRefused(kNull, Adding(x, nullptr, x), "Add", "other");
  ExpectRefused(kNull, Adding(x, x, nullptr), "Add", "out");
  ExpectRefused(
      kNull, [&](uint64_t* w, aclOpExecutor** e) { return aclnnAddGetWorkspaceSize(x, x, nullptr, x, w, e); },
      "Add", "alpha");
  ExpectRefused(
      kNull,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnRmsNormGetWorkspaceSize(x, nullptr, 1e-6, x, x, w, e);
      },
      "RmsNorm", "gamma");
}

TEST_F(AclnnClientBugs, ANullResultOfTheFirstPhaseIsRefused) {
  aclTensor* x = Tensor({8}, ACL_FLOAT);
  uint64_t bytes = 0;
  aclOpExecutor* executor = nullptr;
  EXPECT_EQ(aclnnAddGetWorkspaceSize(x, x, One(), x, nullptr, &executor), kNull);
  EXPECT_EQ(aclnnAddGetWorkspaceSize(x, x, One(), x, &bytes, nullptr), kNull);
}

TEST_F(AclnnClientBugs, AWrongDtypeIsRefused) {
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnSoftmaxGetWorkspaceSize(Tensor({2, 4}, ACL_INT32), 1, Tensor({2, 4}, ACL_INT32), w, e);
      },
      "Softmax", "[iI](nt|NT)?_?32");
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnMmGetWorkspaceSize(Tensor({2, 4}, ACL_INT32), Tensor({4, 2}, ACL_INT32),
                                       Tensor({2, 2}, ACL_INT32), 0, w, e);
      },
      "Mm", "[iI](nt|NT)?_?32");
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnQuantMatmulV4GetWorkspaceSize(Tensor({2, 32}, ACL_FLOAT), Tensor({32, 16}, ACL_INT8),
                                                  Tensor({16}, ACL_FLOAT), nullptr, Tensor({2}, ACL_FLOAT),
                                                  nullptr, false, false, Tensor({2, 16}, ACL_BF16), w, e);
      },
      "QuantMatmulV4", "x1");
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnDynamicQuantGetWorkspaceSize(Tensor({2, 32}, ACL_BF16), nullptr,
                                                 Tensor({2, 32}, ACL_INT32), Tensor({2}, ACL_FLOAT), w, e);
      },
      "DynamicQuant", "y");
}

TEST_F(AclnnClientBugs, AWrongShapeIsRefused) {
  ExpectRefused(kInvalid,
                Adding(Tensor({3, 4}, ACL_FLOAT), Tensor({5}, ACL_FLOAT), Tensor({3, 4}, ACL_FLOAT)), "Add",
                "\\[3, ?4\\].*\\[5\\]|\\[5\\].*\\[3, ?4\\]");
  ExpectRefused(kInvalid,
                Adding(Tensor({3, 4}, ACL_FLOAT), Tensor({4}, ACL_FLOAT), Tensor({4, 3}, ACL_FLOAT)), "Add",
                "out");
  // The inner dimensions differ; three dimensions where two are.
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnMmGetWorkspaceSize(Tensor({2, 4}, ACL_BF16), Tensor({5, 2}, ACL_BF16),
                                       Tensor({2, 2}, ACL_BF16), 0, w, e);
      },
      "Mm", "4");
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnMmGetWorkspaceSize(Tensor({1, 2, 4}, ACL_BF16), Tensor({4, 2}, ACL_BF16),
                                       Tensor({1, 2, 2}, ACL_BF16), 0, w, e);
      },
      "Mm", "self");
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnMatmulGetWorkspaceSize(Tensor({2, 4}, ACL_BF16), Tensor({4, 2}, ACL_BF16),
                                           Tensor({2, 3}, ACL_BF16), 0, w, e);
      },
      "Matmul", "out");
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnQuantMatmulV4GetWorkspaceSize(Tensor({2, 32}, ACL_INT8), Tensor({32, 16}, ACL_INT8),
                                                  Tensor({15}, ACL_FLOAT), nullptr, Tensor({2}, ACL_FLOAT),
                                                  nullptr, false, false, Tensor({2, 16}, ACL_BF16), w, e);
      },
      "QuantMatmulV4", "scale");
}

TEST_F(AclnnClientBugs, GatingChecksItsGroups) {
  const auto gate = [&](int64_t experts, int64_t k, int64_t chosen, int64_t groups) {
    return [=, this](uint64_t* w, aclOpExecutor** e) {
      return aclnnMoeGatingTopKGetWorkspaceSize(
          Tensor({2, experts}, ACL_FLOAT), nullptr, k, chosen, groups, 1, 0, 1, false, 1.0, 1e-20,
          Tensor({2, k}, ACL_FLOAT), Tensor({2, k}, ACL_INT32), Tensor({2, experts}, ACL_FLOAT), w, e);
    };
  };
  ExpectRefused(kInvalid, gate(30, 4, 2, 4), "MoeGatingTopK", "[gG]roup");  // 30 experts in 4 groups
  ExpectRefused(kInvalid, gate(32, 9, 1, 4), "MoeGatingTopK", "k");         // 9 of the 8 of one group
  ExpectRefused(kInvalid, gate(32, 4, 5, 4), "MoeGatingTopK", "[gG]roup");  // 5 of 4 groups
}

TEST_F(AclnnClientBugs, AGroupListOfInt32IsRefused) {
  const aclTensor* x = MakeTensor({4, 32}, ACL_BF16, memory_.data()).release();
  const aclTensor* weight = MakeTensor({2, 32, 16}, ACL_BF16, memory_.data()).release();
  const aclTensor* out = MakeTensor({4, 16}, ACL_BF16, memory_.data()).release();
  aclTensorList* lists[] = {aclCreateTensorList(&x, 1), aclCreateTensorList(&weight, 1),
                            aclCreateTensorList(&out, 1)};
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnGroupedMatmulV4GetWorkspaceSize(
            lists[0], lists[1], nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, Tensor({2}, ACL_INT32),
            nullptr, nullptr, nullptr, 3, 0, 1, 0, lists[2], nullptr, nullptr, w, e);
      },
      "GroupedMatmulV4", "group");
  for (aclTensorList* list : lists) aclDestroyTensorList(list);
}

TEST_F(AclnnClientBugs, AttentionTakesLatentsOf512And64Only) {
  const aclTensor* page = MakeTensor({2, 128, 256}, ACL_BF16, memory_.data()).release();
  aclTensorList* pages = aclCreateTensorList(&page, 1);
  const int64_t one = 1;
  aclIntArray* lengths = aclCreateIntArray(&one, 1);
  char layout[] = "TND";
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnFusedInferAttentionScoreV3GetWorkspaceSize(
            Tensor({1, 2, 256}, ACL_BF16), pages, pages, nullptr, nullptr, lengths, lengths, nullptr, nullptr,
            nullptr, nullptr, nullptr, nullptr, nullptr, Tensor({1, 2}, ACL_INT32), nullptr, nullptr, nullptr,
            nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, Tensor({1, 2, 64}, ACL_BF16),
            Tensor({2, 128, 64}, ACL_BF16), nullptr, 2, 1.0, 2147483647, 2147483647, layout, 1, 0, 0, 128, 0,
            false, 0, 0, Tensor({1, 2, 256}, ACL_BF16), nullptr, w, e);
      },
      "FusedInferAttentionScore", "512");
  aclDestroyTensorList(pages);
  aclDestroyIntArray(lengths);
}

TEST_F(AclnnClientBugs, Fp8OnA910BIsNamed) {
  ASSERT_EQ(std::string(aclrtGetSocName()).rfind("Ascend910B", 0), 0u);
  const std::string words = "[fF][pP]?8|[eE]4[mM]3";
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnQuantMatmulV5GetWorkspaceSize(
            Tensor({2, 128}, ACL_FLOAT8_E4M3FN), Tensor({128, 128}, ACL_FLOAT8_E4M3FN),
            Tensor({2, 1}, ACL_FLOAT), Tensor({1, 1}, ACL_FLOAT), nullptr, nullptr, nullptr, nullptr, nullptr,
            false, false, (int64_t{1} << 32) + (128 << 16) + 128, Tensor({2, 128}, ACL_BF16), w, e);
      },
      "910B", words);
  char rint[] = "rint";
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnDynamicBlockQuantGetWorkspaceSize(
            Tensor({2, 128}, ACL_BF16), 0.0, rint, ACL_FLOAT8_E4M3FN, 1, 128,
            Tensor({2, 128}, ACL_FLOAT8_E4M3FN), Tensor({2, 1}, ACL_FLOAT), w, e);
      },
      "910B", words);
  const aclTensor* x = MakeTensor({4, 128}, ACL_FLOAT8_E4M3FN, memory_.data()).release();
  const aclTensor* weight = MakeTensor({2, 128, 16}, ACL_FLOAT8_E4M3FN, memory_.data()).release();
  const aclTensor* scale = MakeTensor({2, 1, 1}, ACL_FLOAT, memory_.data()).release();
  const aclTensor* row = MakeTensor({4, 1}, ACL_FLOAT, memory_.data()).release();
  const aclTensor* out = MakeTensor({4, 16}, ACL_BF16, memory_.data()).release();
  std::vector<aclTensorList*> lists;
  for (const aclTensor* tensor : {x, weight, scale, row, out})
    lists.push_back(aclCreateTensorList(&tensor, 1));
  ExpectRefused(
      kInvalid,
      [&](uint64_t* w, aclOpExecutor** e) {
        return aclnnGroupedMatmulV5GetWorkspaceSize(lists[0], lists[1], nullptr, lists[2], nullptr, nullptr,
                                                    nullptr, lists[3], Tensor({2}, ACL_INT64), nullptr,
                                                    nullptr, nullptr, 3, 0, 1, 0, nullptr, lists[4], nullptr,
                                                    nullptr, w, e);
      },
      "910B", words);
  for (aclTensorList* list : lists) aclDestroyTensorList(list);
}

// Fails in one of the phases or, at the latest, when the stream is waited for.
void ExpectCaught(const FirstPhase& first, SecondPhase second, const std::string& pattern) {
  EXPECT_NE(RunOnce(first, second), ACL_SUCCESS);
  EXPECT_THAT(RecentError(), ContainsRegex(pattern));
}

TEST_F(AclnnClientBugs, AHostPointerIsNamed) {
  std::vector<float> host(8);
  aclTensor* here = Over({8}, ACL_FLOAT, host.data());
  aclTensor* there = Tensor({8}, ACL_FLOAT);
  ExpectCaught(Adding(here, there, there), aclnnAdd, "self.*(host|not.*device)");
  ExpectCaught(Adding(there, here, there), aclnnAdd, "other.*(host|not.*device)");
  ExpectCaught(Adding(there, there, here), aclnnAdd, "out.*(host|not.*device)");
}

TEST_F(AclnnClientBugs, FreedMemoryIsNamed) {
  void* freed = nullptr;
  ASSERT_EQ(aclrtMalloc(&freed, 64, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  ASSERT_EQ(aclrtFree(freed), ACL_SUCCESS);
  aclTensor* there = Tensor({8}, ACL_FLOAT);
  ExpectCaught(Adding(Over({8}, ACL_FLOAT, freed), there, there), aclnnAdd, "self.*(freed|not)");
}

// A view that leaves its allocation by little meets memory on a chip too, and is a warning; this one leaves it by far.
TEST_F(AclnnClientBugs, AViewFarBeyondItsAllocationIsNamed) {
  const int64_t many = int64_t{1} << 30, none = 0;
  const TensorPtr one(
      aclCreateTensor(&many, 1, ACL_FLOAT, &none, 0, ACL_FORMAT_ND, &many, 1, memory_.data()));
  ExpectCaught(Adding(Tensor({many}, ACL_FLOAT), one.get(), Tensor({many}, ACL_FLOAT)), aclnnAdd,
               "self.*past its end");
}

TEST_F(AclnnClientBugs, AnExecutorIsGoodForOneLaunch) {
  uint64_t bytes = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(AddingProperly()(&bytes, &executor), ACL_SUCCESS);
  DeviceBuffer workspace(bytes);
  ASSERT_EQ(aclnnAdd(workspace.data(), bytes, executor, TestStream()), ACL_SUCCESS) << RecentError();
  EXPECT_NE(aclnnAdd(workspace.data(), bytes, executor, TestStream()), ACL_SUCCESS);
  EXPECT_THAT(RecentError(), ContainsRegex("[eE]xecutor"));
  EXPECT_EQ(aclrtSynchronizeStream(TestStream()), ACL_SUCCESS);
}

TEST_F(AclnnClientBugs, ARepeatableExecutorEndsWhenItIsDestroyed) {
  uint64_t bytes = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(AddingProperly()(&bytes, &executor), ACL_SUCCESS);
  ASSERT_EQ(aclSetAclOpExecutorRepeatable(executor), ACL_SUCCESS);
  DeviceBuffer workspace(bytes);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(aclnnAdd(workspace.data(), bytes, executor, TestStream()), ACL_SUCCESS) << RecentError();
  }
  EXPECT_EQ(aclrtSynchronizeStream(TestStream()), ACL_SUCCESS);
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACL_SUCCESS);
  EXPECT_NE(aclnnAdd(workspace.data(), bytes, executor, TestStream()), ACL_SUCCESS);
  EXPECT_THAT(RecentError(), ContainsRegex("[eE]xecutor"));
  EXPECT_NE(aclDestroyAclOpExecutor(executor), ACL_SUCCESS);
}

TEST_F(AclnnClientBugs, AnExecutorOfAnotherOperatorIsRefused) {
  uint64_t bytes = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(AddingProperly()(&bytes, &executor), ACL_SUCCESS);
  DeviceBuffer workspace(bytes);
  EXPECT_NE(aclnnSoftmax(workspace.data(), bytes, executor, TestStream()), ACL_SUCCESS);
  EXPECT_THAT(RecentError(), HasSubstr("Softmax"));
}

TEST_F(AclnnClientBugs, ANullExecutorIsRefused) {
  EXPECT_EQ(aclnnAdd(nullptr, 0, nullptr, TestStream()), kNull);
  EXPECT_THAT(RecentError(), ContainsRegex("[eE]xecutor"));
}

// Operators ask for a workspace in the stress level only, which a process has from its start.
TEST_F(AclnnClientBugs, AWorkspaceThatIsTooSmallIsNamed) {
  const char* level = std::getenv("QIAO_CANN_CHECK");
  if (level == nullptr || std::string(level) != "stress") {
    EXPECT_EQ(RunThisTestWith("QIAO_CANN_CHECK", "stress"), 0);
    return;
  }
  for (const bool missing : {false, true}) {
    uint64_t bytes = 0;
    aclOpExecutor* executor = nullptr;
    ASSERT_EQ(AddingProperly()(&bytes, &executor), ACL_SUCCESS);
    ASSERT_GT(bytes, 0u);
    DeviceBuffer workspace(bytes);
    EXPECT_NE(
        aclnnAdd(missing ? nullptr : workspace.data(), missing ? bytes : bytes - 1, executor, TestStream()),
        ACL_SUCCESS);
    EXPECT_THAT(RecentError(), ContainsRegex("[wW]orkspace"));
  }
  // On the host, and longer than what was allocated.
  std::vector<std::byte> host(1 << 16);
  for (void* wrong : {static_cast<void*>(host.data()), static_cast<void*>(nullptr)}) {
    uint64_t bytes = 0;
    aclOpExecutor* executor = nullptr;
    ASSERT_EQ(AddingProperly()(&bytes, &executor), ACL_SUCCESS);
    EXPECT_NE(aclnnAdd(wrong, bytes, executor, TestStream()), ACL_SUCCESS);
    EXPECT_THAT(RecentError(), ContainsRegex("[wW]orkspace"));
  }
}

}  // namespace
}  // namespace qiao::ascend_test
