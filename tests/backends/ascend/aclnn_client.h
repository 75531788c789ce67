// A client of the emulator's public headers, for tests: one device and stream a process, device buffers, operands, and
// the two phases of a call.
#pragma once

#include <acl/acl.h>
#include <aclnn/acl_meta.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace qiao::ascend_test {

// The message stack, read and cleared; empty where there is none.
std::string RecentError();

// Initialises the runtime and sets device 0 where that has not been done; the stream that the tests of a suite share. Null
// where it failed.
aclrtStream TestStream();
// Gives both back, for suites that begin without a device. At the end of a suite.
void CloseTestDevice();

// Device memory with bytes behind it that belong to nobody and must stay as they are.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t bytes);
  DeviceBuffer(DeviceBuffer&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr;
  }
  DeviceBuffer& operator=(DeviceBuffer&&) = delete;
  ~DeviceBuffer();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // At most bytes(); what is behind is filled with a pattern.
  void Write(const std::vector<std::byte>& from);
  std::vector<std::byte> Read() const;
  bool GuardIntact() const;

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

struct DestroyTensor {
  void operator()(const aclTensor* tensor) const { aclDestroyTensor(tensor); }
};
using TensorPtr = std::unique_ptr<aclTensor, DestroyTensor>;

// Contiguous, ND, over `data`.
TensorPtr MakeTensor(const std::vector<int64_t>& shape, aclDataType dtype, void* data);

using FirstPhase = std::function<aclnnStatus(uint64_t* workspace, aclOpExecutor** executor)>;
using SecondPhase = aclnnStatus (*)(void*, uint64_t, aclOpExecutor*, aclrtStream);

// Both phases with a workspace of exactly the size asked for, and a wait. The status of what failed first.
aclnnStatus RunOnce(const FirstPhase& first, SecondPhase second);

// This program again in a process of its own, running the current test only, with one more variable in its environment:
// the emulator reads its profile and its level of checking once. Its exit code; -1 where it did not end with one.
int RunThisTestWith(const std::string& variable, const std::string& value);

}  // namespace qiao::ascend_test
