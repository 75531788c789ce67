// The operators' tests once more where the environment differs: under stress, and on the chip that has FP8 units. The
// emulator reads its environment once a process.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace qiao::cann_test {
namespace {

int Again(const std::string& environment) {
  char path[4096] = {};
  const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
  EXPECT_GT(n, 0);
  return std::system(
      ("env " + environment + " " + path + " --gtest_filter='Ops.*:Products.*' >/dev/null 2>&1").c_str());
}

TEST(OpsEnvironment, Stress) { EXPECT_EQ(Again("QIAO_CANN_CHECK=stress"), 0); }
TEST(OpsEnvironment, Ascend950) { EXPECT_EQ(Again("QIAO_CANN_SOC=Ascend950"), 0); }

}  // namespace
}  // namespace qiao::cann_test
