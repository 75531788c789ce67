#include "tests/backends/ascend/aclnn_client.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace qiao::ascend_test {
namespace {

constexpr size_t kGuardBytes = 64;
constexpr std::byte kGuard{0xa5};

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
  static const aclrtStream stream = [] {
    aclrtStream made = nullptr;
    if (aclInit(nullptr) != ACL_SUCCESS || aclrtSetDevice(0) != ACL_SUCCESS ||
        aclrtCreateStream(&made) != ACL_SUCCESS) {
      ADD_FAILURE() << "no device: " << RecentError();
      return aclrtStream{nullptr};
    }
    return made;
  }();
  return stream;
}

DeviceBuffer::DeviceBuffer(size_t bytes) : bytes_(bytes) {
  TestStream();
  EXPECT_EQ(aclrtMalloc(&data_, bytes + kGuardBytes, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS)
      << RecentError();
  const std::vector<std::byte> guard(kGuardBytes, kGuard);
  Copy(static_cast<std::byte*>(data_) + bytes_, guard.data(), kGuardBytes, ACL_MEMCPY_HOST_TO_DEVICE);
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ != nullptr) EXPECT_EQ(aclrtFree(data_), ACL_SUCCESS) << RecentError();
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

}  // namespace qiao::ascend_test
