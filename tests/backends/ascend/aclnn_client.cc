#include "tests/backends/ascend/aclnn_client.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "gtest/gtest.h"

namespace qiao::ascend_test {
namespace {

constexpr size_t kGuardBytes = 64;
constexpr std::byte kGuard{0xa5};
aclrtStream g_stream = nullptr;  // tests run one after another, on one thread

void Copy(void* to, const void* from, size_t bytes, aclrtMemcpyKind kind) {
  if (bytes == 0) return;
  EXPECT_EQ(aclrtMemcpy(to, bytes, from, bytes, kind), ACL_SUCCESS) << RecentError();
}

}  // namespace

std::string RecentError() {
  const char* message = aclGetRecentErrMsg();
  return message == nullptr ? "" : message;
}

aclrtStream TestStream() {
  if (g_stream != nullptr) return g_stream;
  const aclError initialised = aclInit(nullptr);
  if ((initialised != ACL_SUCCESS && initialised != ACL_ERROR_REPEAT_INITIALIZE) ||
      aclrtSetDevice(0) != ACL_SUCCESS || aclrtCreateStream(&g_stream) != ACL_SUCCESS) {
    ADD_FAILURE() << "no device: " << RecentError();
  }
  RecentError();
  return g_stream;
}

void CloseTestDevice() {
  if (g_stream == nullptr) return;
  EXPECT_EQ(aclrtDestroyStream(g_stream), ACL_SUCCESS) << RecentError();
  EXPECT_EQ(aclrtResetDevice(0), ACL_SUCCESS) << RecentError();
  g_stream = nullptr;
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  TestStream();
  EXPECT_EQ(aclrtMalloc(&data_, bytes + kGuardBytes, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS)
      << RecentError();
  const std::vector<std::byte> guard(kGuardBytes, kGuard);
  Copy(static_cast<std::byte*>(data_) + bytes_, guard.data(), kGuardBytes, ACL_MEMCPY_HOST_TO_DEVICE);
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  EXPECT_EQ(aclrtFree(data_), ACL_SUCCESS) << RecentError();
}

void DeviceBuffer::Write(const std::vector<std::byte>& from) {
  ASSERT_LE(from.size(), bytes_);
  std::vector<std::byte> all(bytes_, std::byte{0x7f});
  std::copy(from.begin(), from.end(), all.begin());
  Copy(data_, all.data(), bytes_, ACL_MEMCPY_HOST_TO_DEVICE);
}

std::vector<std::byte> DeviceBuffer::Read() const {
  std::vector<std::byte> to(bytes_);
  Copy(to.data(), data_, bytes_, ACL_MEMCPY_DEVICE_TO_HOST);
  return to;
}

bool DeviceBuffer::GuardIntact() const {
  std::vector<std::byte> guard(kGuardBytes);
  Copy(guard.data(), static_cast<const std::byte*>(data_) + bytes_, kGuardBytes, ACL_MEMCPY_DEVICE_TO_HOST);
  return std::all_of(guard.begin(), guard.end(), [](std::byte b) { return b == kGuard; });
}

TensorPtr MakeTensor(const std::vector<int64_t>& shape, aclDataType dtype, void* data) {
  return TensorPtr(aclCreateTensor(shape.data(), shape.size(), dtype, nullptr, 0, ACL_FORMAT_ND, shape.data(),
                                   shape.size(), data));
}

aclnnStatus RunOnce(const FirstPhase& first, SecondPhase second) {
  uint64_t workspace_bytes = 0;
  aclOpExecutor* executor = nullptr;
  aclnnStatus status = first(&workspace_bytes, &executor);
  if (status != ACL_SUCCESS) return status;
  void* workspace = nullptr;
  if (workspace_bytes > 0) {
    status = aclrtMalloc(&workspace, workspace_bytes, ACL_MEM_MALLOC_HUGE_FIRST);
    if (status != ACL_SUCCESS) return status;
  }
  status = second(workspace, workspace_bytes, executor, TestStream());
  const aclError waited = aclrtSynchronizeStream(TestStream());
  if (workspace != nullptr) aclrtFree(workspace);
  return status != ACL_SUCCESS ? status : waited;
}

int RunThisTestWith(const std::string& variable, const std::string& value) {
  const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
  std::string filter = std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name();
  std::string setting = variable + "=" + value;
  std::vector<char*> environment;
  for (char** at = environ; *at != nullptr; ++at) {
    if (std::string(*at).rfind(variable + "=", 0) != 0) environment.push_back(*at);
  }
  environment.push_back(setting.data());
  environment.push_back(nullptr);
  char name[] = "qiao_ascend_test";
  char* const arguments[] = {name, filter.data(), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments, environment.data()) != 0) return -1;
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace qiao::ascend_test
