// Every golden of tests/golden/aclnn against libopapi.so, through its public headers: launched once as most clients do, all
// objects destroyed before the work is done, and then twice by one repeatable executor.
//
// Cases for a chip run in a process of their own, which gets that chip's name in QIAO_CANN_SOC.
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "tests/backends/ascend/aclnn_client.h"
#include "tests/backends/ascend/golden_case.h"
#include "tests/backends/ascend/golden_operators.h"

namespace qiao::ascend_test {
namespace {

constexpr char kSoc[] = "QIAO_CANN_SOC";

void RunSingleUse(Operands& operands, const GoldenOperator& op) {
  uint64_t bytes = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(op.first(operands, &bytes, &executor), ACL_SUCCESS) << RecentError();
  ASSERT_NE(executor, nullptr);
  DeviceBuffer workspace(bytes);
  ASSERT_EQ(op.second(bytes > 0 ? workspace.data() : nullptr, bytes, executor, TestStream()), ACL_SUCCESS)
      << RecentError();
  operands.Release();
  ASSERT_EQ(aclrtSynchronizeStream(TestStream()), ACL_SUCCESS) << RecentError();
  EXPECT_TRUE(workspace.GuardIntact()) << "wrote past its workspace";
  operands.Check();
}

void RunRepeatable(Operands& operands, const GoldenOperator& op) {
  uint64_t bytes = 0;
  aclOpExecutor* executor = nullptr;
  ASSERT_EQ(op.first(operands, &bytes, &executor), ACL_SUCCESS) << RecentError();
  ASSERT_EQ(aclSetAclOpExecutorRepeatable(executor), ACL_SUCCESS) << RecentError();
  operands.Release();
  DeviceBuffer workspace(bytes);
  for (int launch = 0; launch < 2; ++launch) {
    operands.Load();
    ASSERT_EQ(op.second(bytes > 0 ? workspace.data() : nullptr, bytes, executor, TestStream()), ACL_SUCCESS)
        << RecentError();
    ASSERT_EQ(aclrtSynchronizeStream(TestStream()), ACL_SUCCESS) << RecentError();
    operands.Check();
  }
  EXPECT_EQ(aclDestroyAclOpExecutor(executor), ACL_SUCCESS) << RecentError();
}

void RunCases(const std::string& name) {
  const absl::StatusOr<std::vector<GoldenCase>> cases = ReadGoldenCases(name);
  ASSERT_TRUE(cases.ok()) << cases.status();
  const GoldenOperator* op = FindGoldenOperator(cases->front().op);
  ASSERT_NE(op, nullptr) << "the test cannot call " << name;
  for (const GoldenCase& golden : *cases) {
    SCOPED_TRACE(golden.name);
    Operands operands(golden);
    RunSingleUse(operands, *op);
    operands.Release();
    if (testing::Test::HasFailure()) continue;
    RunRepeatable(operands, *op);
  }
}

class AclnnGolden : public testing::TestWithParam<std::string> {
 protected:
  static void TearDownTestSuite() { CloseTestDevice(); }
};

bool Runs(const char* variable, const std::string& value) {
  const char* now = std::getenv(variable);
  return now != nullptr && now == value;
}

void RunOnItsChip(const std::string& name) {
  const size_t at = name.find('@');
  const std::string soc = at == std::string::npos ? "" : name.substr(at + 1);
  if (!soc.empty() && !Runs(kSoc, soc)) {
    EXPECT_EQ(RunThisTestWith(kSoc, soc), 0) << "on " << soc << ": see above";
    return;
  }
  RunCases(name);
  if (soc.empty()) return;
  EXPECT_EQ(std::string(aclrtGetSocName()).rfind(soc, 0), 0u);
}

TEST_P(AclnnGolden, AgreesWithNumpy) { RunOnItsChip(GetParam()); }

// Operators then want workspaces, which hold anything before and after.
TEST_P(AclnnGolden, AgreesUnderStress) {
  if (Runs("QIAO_CANN_CHECK", "stress")) {
    RunOnItsChip(GetParam());
  } else {
    EXPECT_EQ(RunThisTestWith("QIAO_CANN_CHECK", "stress"), 0) << "under stress: see above";
  }
}

// Where the files cannot be read there is one case, which says so.
std::vector<std::string> Names() {
  absl::StatusOr<std::vector<std::string>> names = GoldenOperators();
  return names.ok() ? *names : std::vector<std::string>{"unreadable"};
}

INSTANTIATE_TEST_SUITE_P(Operators, AclnnGolden, testing::ValuesIn(Names()), [](const auto& info) {
  return absl::StrReplaceAll(info.param, {{"@", "On"}});
});

}  // namespace
}  // namespace qiao::ascend_test
