// What the tests of the HAL share.
#pragma once

#include <gtest/gtest.h>
#include <qiao/backend.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "runtime/hal/backend.h"
#include "runtime/hal/device.h"

namespace qiao::hal {

// QIAO_BACKEND_PATH for the length of a scope.
class ScopedSearchPath {
 public:
  explicit ScopedSearchPath(const std::string& path) {
    if (const char* old = std::getenv("QIAO_BACKEND_PATH")) old_ = old;
    setenv("QIAO_BACKEND_PATH", path.c_str(), 1);
  }
  ~ScopedSearchPath() {
    if (old_.empty()) {
      unsetenv("QIAO_BACKEND_PATH");
    } else {
      setenv("QIAO_BACKEND_PATH", old_.c_str(), 1);
    }
  }

 private:
  std::string old_;
};

// Hooks that count. Outlive the device, like an embedder's.
struct CountingHooks {
  std::atomic<int64_t> reserved{0}, peak{0}, refused{0}, allocations{0};
  int64_t budget = INT64_MAX;

  HostHooks Hooks() {
    HostHooks hooks;
    hooks.reserve = [this](uint64_t bytes) {
      if (reserved + static_cast<int64_t>(bytes) > budget) {
        ++refused;
        return false;
      }
      reserved += static_cast<int64_t>(bytes);
      peak = std::max<int64_t>(peak, reserved);
      return true;
    };
    hooks.release = [this](uint64_t bytes) { reserved -= static_cast<int64_t>(bytes); };
    hooks.allocate = [this](uint64_t bytes, uint64_t alignment) {
      ++allocations;
      return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    };
    hooks.deallocate = [this](void* pointer, uint64_t) {
      --allocations;
      std::free(pointer);
    };
    return hooks;
  }
};

inline std::string Path(const std::string& name) {
  return std::string(QIAO_TEST_BACKENDS) + "/libqiao_backend_" + name + ".so";
}
inline std::string BrokenPath(const std::string& name) {
  return std::string(QIAO_BROKEN_BACKENDS) + "/libqiao_backend_" + name + ".so";
}

inline std::shared_ptr<const Device> OpenDevice(const std::string& name, DeviceOptions options = {},
                                                Device::Describe describe = nullptr) {
  auto device = Device::Open(Path(name), std::move(options), describe);
  EXPECT_TRUE(device.ok()) << device.status();
  return device.ok() ? *device : nullptr;
}
inline std::shared_ptr<const Device> OpenPartial(std::map<std::string, std::string> options) {
  DeviceOptions all;
  all.options = std::move(options);
  return OpenDevice("partial", std::move(all));
}

inline qiao_tensor Tensor(uint32_t dtype, std::initializer_list<int64_t> dims) {
  qiao_tensor t{};
  t.struct_size = sizeof(t);
  t.dtype = dtype;
  for (int64_t d : dims) t.dim[t.rank++] = d;
  int64_t stride = 1;
  for (uint32_t i = t.rank; i-- > 0;) {
    t.stride[i] = stride;
    stride *= t.dim[i];
  }
  return t;
}

// y[rows, width] = rmsnorm(x, g) in f32. Not copyable: the call points into it.
struct RmsNormCall {
  qiao_rmsnorm_params params{sizeof(qiao_rmsnorm_params), 1e-6f};
  std::vector<qiao_tensor> tensors;
  qiao_op_call call{};

  RmsNormCall(int64_t rows, int64_t width)
      : tensors{Tensor(QIAO_F32, {rows, width}), Tensor(QIAO_F32, {width}), Tensor(QIAO_F32, {rows, width})} {
    call.struct_size = sizeof(call);
    call.op = QIAO_OP_RMSNORM;
    call.params = &params;
    call.argument_count = 3;
    call.argument = tensors.data();
  }
  RmsNormCall(const RmsNormCall&) = delete;
};

// A launch of it on device memory.
struct RmsNormRun {
  Buffer x, g, y, workspace;
  void* arguments[3] = {};
  qiao_launch launch{};

  RmsNormRun(const Device& device, const RmsNormCall& call, const Plan& plan) {
    const auto rows = static_cast<uint64_t>(call.tensors[0].dim[0]),
               width = static_cast<uint64_t>(call.tensors[0].dim[1]);
    x = std::move(device.Allocate(rows * width * 4)).value();
    g = std::move(device.Allocate(width * 4)).value();
    y = std::move(device.Allocate(rows * width * 4)).value();
    workspace = std::move(device.Allocate(plan.workspace_bytes())).value();
    arguments[0] = x.data();
    arguments[1] = g.data();
    arguments[2] = y.data();
    launch.struct_size = sizeof(launch);
    launch.argument_count = 3;
    launch.argument = arguments;
    launch.workspace = workspace.data();
  }
  RmsNormRun(const RmsNormRun&) = delete;
};

}  // namespace qiao::hal
