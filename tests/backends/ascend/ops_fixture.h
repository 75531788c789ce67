// Tensors on the emulated device for the tests of operators.
#pragma once

#include <acl/acl.h>
#include <aclnn/aclnn_base.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/floats.h"

namespace qiao::cann_test {

// Device memory that holds `values`, and a tensor over it.
class DeviceTensor {
 public:
  DeviceTensor(aclDataType dtype, std::vector<int64_t> dims, const void* values, size_t bytes,
               aclFormat format = ACL_FORMAT_ND, std::vector<int64_t> strides = {},
               std::vector<int64_t> storage = {})
      : dtype_(dtype), dims_(std::move(dims)), bytes_(bytes) {
    EXPECT_EQ(aclrtMalloc(&data_, bytes ? bytes : 32, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
    if (values && bytes) {
      EXPECT_EQ(aclrtMemcpy(data_, bytes, values, bytes, ACL_MEMCPY_HOST_TO_DEVICE), ACL_SUCCESS);
    }
    if (storage.empty()) storage = dims_;
    tensor_ = aclCreateTensor(dims_.data(), dims_.size(), dtype, strides.empty() ? nullptr : strides.data(),
                              0, format, storage.data(), storage.size(), data_);
    EXPECT_NE(tensor_, nullptr);
  }
  template <typename T>
  DeviceTensor(aclDataType dtype, std::vector<int64_t> dims, const std::vector<T>& values)
      : DeviceTensor(dtype, std::move(dims), values.data(), values.size() * sizeof(T)) {}
  static DeviceTensor Floats(std::vector<int64_t> dims, const std::vector<float>& values) {
    return DeviceTensor(ACL_FLOAT, std::move(dims), values);
  }
  static DeviceTensor Bf16(std::vector<int64_t> dims, const std::vector<float>& values) {
    std::vector<uint16_t> narrow;
    for (float v : values) narrow.push_back(FloatToBf16(v));
    return DeviceTensor(ACL_BF16, std::move(dims), narrow);
  }
  DeviceTensor(DeviceTensor&& other) noexcept
      : dtype_(other.dtype_),
        dims_(other.dims_),
        bytes_(other.bytes_),
        data_(std::exchange(other.data_, nullptr)),
        tensor_(std::exchange(other.tensor_, nullptr)) {}
  DeviceTensor& operator=(DeviceTensor&&) = delete;
  ~DeviceTensor() {
    aclDestroyTensor(tensor_);
    if (data_) {
      EXPECT_EQ(aclrtFree(data_), ACL_SUCCESS);
    }
  }

  operator aclTensor*() const { return tensor_; }
  void* data() const { return data_; }
  // The tensor, which is now the caller's to destroy.
  aclTensor* Release() { return std::exchange(tensor_, nullptr); }

  template <typename T>
  std::vector<T> Read() const {
    std::vector<T> out(bytes_ / sizeof(T));
    if (bytes_) {
      EXPECT_EQ(aclrtMemcpy(out.data(), bytes_, data_, bytes_, ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
    }
    return out;
  }
  // f32 or bf16 as numbers.
  std::vector<float> Numbers() const {
    if (dtype_ == ACL_FLOAT) return Read<float>();
    std::vector<float> out;
    for (uint16_t v : Read<uint16_t>()) out.push_back(dtype_ == ACL_BF16 ? Bf16ToFloat(v) : F16ToFloat(v));
    return out;
  }

 private:
  aclDataType dtype_;
  std::vector<int64_t> dims_;
  size_t bytes_;
  void* data_ = nullptr;
  aclTensor* tensor_ = nullptr;
};

// Device memory of the size that a first phase asked for (0 outside of stress mode).
class Workspace {
 public:
  explicit Workspace(uint64_t size) : size_(size) {
    if (size) {
      EXPECT_EQ(aclrtMalloc(&data_, size, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
    }
  }
  Workspace(const Workspace&) = delete;
  ~Workspace() {
    if (data_) {
      EXPECT_EQ(aclrtFree(data_), ACL_SUCCESS);
    }
  }
  void* data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  uint64_t size_;
};

class OpsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
    ASSERT_EQ(aclrtCreateStream(&stream_), ACL_SUCCESS);
  }
  void TearDown() override {
    EXPECT_EQ(aclrtDestroyStream(stream_), ACL_SUCCESS);
    EXPECT_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  }
  static std::string Message() {
    const char* text = aclGetRecentErrMsg();
    return text ? text : "";
  }
  // Both phases and the wait for the result.
  template <class First, class Second, typename... A>
  void Run(First first, Second second, const A&... arguments) {
    uint64_t size = 0;
    aclOpExecutor* executor = nullptr;
    ASSERT_EQ(first(arguments..., &size, &executor), ACLNN_SUCCESS) << Message();
    const Workspace workspace(size);
    ASSERT_EQ(second(workspace.data(), size, executor, stream_), ACLNN_SUCCESS) << Message();
    ASSERT_EQ(aclrtSynchronizeStream(stream_), ACL_SUCCESS) << Message();
  }
  // The first phase's answer, and the message in *message.
  template <class First, typename... A>
  static aclnnStatus Check(std::string* message, First first, const A&... arguments) {
    uint64_t size = 0;
    aclOpExecutor* executor = nullptr;
    Message();
    const aclnnStatus status = first(arguments..., &size, &executor);
    *message = Message();
    if (executor) aclDestroyAclOpExecutor(executor);
    return status;
  }

  aclrtStream stream_ = nullptr;
};

}  // namespace qiao::cann_test
#define QIAO_BOTH(NAME) aclnn##NAME##GetWorkspaceSize, aclnn##NAME
