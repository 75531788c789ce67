// The second phase, and repeatable executors.
#include <cstring>

#include "backends/ascend/emulator/nnopbase/executor_registry.h"
#include "backends/ascend/emulator/nnopbase/fractal.h"

namespace qiao::cann {
namespace {

// The bytes that a view may touch.
Access AccessOf(const Slot& slot, const View& v) {
  Access access{v.base, 0, slot.role != Role::kInput, slot.name};
  if (v.empty()) return access;
  if (v.format == ACL_FORMAT_FRACTAL_NZ) {
    const char* begin = FractalData(v, 0);
    const char* last = FractalData(v, v.elements(0, v.rank - 2) - 1);
    access.address = begin;
    access.bytes = static_cast<uint64_t>(last - begin + FractalOf(v).elements() * BytesOf(v.dtype));
    return access;
  }
  int64_t last = v.offset;
  for (int d = 0; d < v.rank; ++d) last += (v.size(d) - 1) * v.step(d);
  const int64_t bits = BitsOf(v.dtype);
  const int64_t begin = v.offset * bits / 8, end = ((last + 1) * bits + 7) / 8;
  access.address = static_cast<const char*>(v.base) + begin;
  access.bytes = static_cast<uint64_t>(end - begin);
  return access;
}

// What a launch touches, if all of it is device memory.
aclnnStatus Touched(const char* name, const std::vector<Slot>& slots, std::vector<Access>* accesses) {
  for (const Slot& slot : slots) {
    for (const View& view : slot.views) {
      const Access access = AccessOf(slot, view);
      if (access.bytes == 0) continue;
      if (!view.base)
        return Fail(ACLNN_ERR_PARAM_INVALID,
                    absl::StrFormat("%s: %s has no memory: its address is null", name, slot.name));
      std::string why;
      if (CheckDeviceRange(access.address, access.bytes, &why) != ACL_SUCCESS)
        return Fail(ACLNN_ERR_PARAM_INVALID, absl::StrFormat("%s: %s, %d bytes at %p: %s", name, slot.name,
                                                             access.bytes, access.address, why));
      if (reinterpret_cast<uintptr_t>(access.address) % 32 != 0)
        Warn("misaligned-tensor", absl::StrFormat("%s: %s begins at %p, which is not a multiple of 32 bytes",
                                                  name, slot.name, access.address));
      accesses->push_back(access);
    }
  }
  return ACLNN_SUCCESS;
}

aclnnStatus SetAddress(const char* function, aclOpExecutor* executor, size_t index, size_t relative,
                       bool inputs, bool outputs, void* addr) {
  if (!executor) return Fail(ACLNN_ERR_PARAM_NULLPTR, absl::StrFormat("%s: executor is null", function));
  std::string what;
  bool done = false;
  const bool good = ExecutorRegistry::Get().With(executor, &what, [&](aclOpExecutor& e) {
    if (!e.repeatable) {
      what = absl::StrFormat("the executor of %s is not repeatable", e.name);
      return;
    }
    size_t i = 0;
    for (Slot& slot : e.slots) {
      if ((slot.role == Role::kInput && !inputs) || (slot.role == Role::kOutput && !outputs)) continue;
      if (i++ != index) continue;
      if (relative >= slot.views.size()) {
        what = absl::StrFormat("%s of %s has %d tensors; number %d was meant", slot.name, e.name,
                               slot.views.size(), relative);
        return;
      }
      slot.views[relative].base = addr;
      done = true;
      return;
    }
    what = absl::StrFormat("%s has %d such arguments; number %d was meant", e.name, i, index);
  });
  if (good && done) return ACLNN_SUCCESS;
  return Fail(ACLNN_ERR_PARAM_INVALID, absl::StrFormat("%s: %s", function, what));
}

}  // namespace

ExecutorRegistry& ExecutorRegistry::Get() {
  static ExecutorRegistry& registry = *new ExecutorRegistry;
  return registry;
}

aclOpExecutor* ExecutorRegistry::Add(std::unique_ptr<aclOpExecutor> executor) {
  std::lock_guard<std::mutex> lock(mutex_);
  aclOpExecutor* handle = executor.get();
  live_[handle] = std::move(executor);
  return handle;
}

void ExecutorRegistry::RemoveLocked(aclOpExecutor* handle) {
  const auto it = live_.find(handle);
  it->second->slots = {};
  it->second->compute = nullptr;
  graves_.push_back(std::move(it->second));
  live_.erase(it);
  if (graves_.size() > kGraves) graves_.pop_front();
}

bool ExecutorRegistry::Remove(aclOpExecutor* handle, std::string* what) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!live_.count(handle)) {
    *what = Epitaph(handle);
    return false;
  }
  RemoveLocked(handle);
  return true;
}

std::string ExecutorRegistry::Epitaph(const aclOpExecutor* handle) const {
  for (const auto& grave : graves_) {
    if (grave.get() != handle) continue;
    return grave->repeatable
               ? absl::StrFormat("the executor of %s was destroyed", grave->name)
               : absl::StrFormat("the executor of %s was launched already, and it is not repeatable",
                                 grave->name);
  }
  return "no such executor";
}

aclnnStatus Launch(const char* name, void* workspace, uint64_t workspace_size, aclOpExecutor* executor,
                   aclrtStream stream) {
  if (!executor) return Fail(ACLNN_ERR_PARAM_NULLPTR, absl::StrFormat("%s: executor is null", name));
  std::string what;
  std::vector<Slot> slots;
  std::shared_ptr<const Compute> compute;
  uint64_t needed = 0;
  ExecutorRegistry& registry = ExecutorRegistry::Get();
  const bool good = registry.With(executor, &what, [&](aclOpExecutor& e) {
    if (std::string_view(e.name) != name) {
      what = absl::StrFormat("the executor was made by %sGetWorkspaceSize", e.name);
      return;
    }
    if (workspace_size < e.workspace || (e.workspace && !workspace)) {
      what = workspace ? absl::StrFormat("a workspace of %d bytes, where %d are needed", workspace_size,
                                         e.workspace)
                       : absl::StrFormat("no workspace, where %d bytes are needed", e.workspace);
      return;
    }
    needed = e.workspace;
    compute = e.compute;
    if (e.repeatable) {
      slots = e.slots;
    } else {
      slots = std::move(e.slots);
      registry.RemoveLocked(executor);
    }
  });
  if (!good || !compute) return Fail(ACLNN_ERR_PARAM_INVALID, absl::StrFormat("%s: %s", name, what));

  Task task;
  task.name = name;
  if (const aclnnStatus status = Touched(name, slots, &task.accesses)) return status;
  if (needed) {
    if (CheckDeviceRange(workspace, needed, &what) != ACL_SUCCESS)
      return Fail(ACLNN_ERR_PARAM_INVALID, absl::StrFormat("%s: the workspace: %s", name, what));
    task.accesses.push_back({workspace, needed, true, "workspace"});
  }
  auto args = std::make_shared<const Args>(std::move(slots));
  task.run = [args, compute, workspace, needed] {
    if (needed) std::memset(workspace, 0xa5, needed);
    (*compute)(*args);
  };
  if (const aclError error = Enqueue(stream, std::move(task)))
    return Fail(ACLNN_ERR_RUNTIME_ERROR,
                absl::StrFormat("%s: the runtime refused the launch (%d)", name, error));
  return ACLNN_SUCCESS;
}

}  // namespace qiao::cann

using qiao::cann::ExecutorRegistry;
using qiao::cann::Fail;

aclnnStatus aclSetAclOpExecutorRepeatable(aclOpExecutor* executor) {
  if (!executor) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclSetAclOpExecutorRepeatable: executor is null");
  std::string what;
  if (ExecutorRegistry::Get().With(executor, &what, [](aclOpExecutor& e) { e.repeatable = true; }))
    return ACLNN_SUCCESS;
  return Fail(ACLNN_ERR_PARAM_INVALID, "aclSetAclOpExecutorRepeatable: " + what);
}

aclnnStatus aclDestroyAclOpExecutor(aclOpExecutor* executor) {
  if (!executor) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclDestroyAclOpExecutor: executor is null");
  std::string what;
  if (ExecutorRegistry::Get().Remove(executor, &what)) return ACLNN_SUCCESS;
  return Fail(ACLNN_ERR_PARAM_INVALID, "aclDestroyAclOpExecutor: " + what);
}

aclnnStatus aclSetTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor*, void* addr) {
  return qiao::cann::SetAddress("aclSetTensorAddr", executor, index, 0, true, true, addr);
}
aclnnStatus aclSetInputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor*, void* addr) {
  return qiao::cann::SetAddress("aclSetInputTensorAddr", executor, index, 0, true, false, addr);
}
aclnnStatus aclSetOutputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor*, void* addr) {
  return qiao::cann::SetAddress("aclSetOutputTensorAddr", executor, index, 0, false, true, addr);
}
aclnnStatus aclSetDynamicTensorAddr(aclOpExecutor* executor, const size_t index, const size_t relativeIndex,
                                    aclTensorList*, void* addr) {
  return qiao::cann::SetAddress("aclSetDynamicTensorAddr", executor, index, relativeIndex, true, true, addr);
}
aclnnStatus aclSetDynamicInputTensorAddr(aclOpExecutor* executor, const size_t index,
                                         const size_t relativeIndex, aclTensorList*, void* addr) {
  return qiao::cann::SetAddress("aclSetDynamicInputTensorAddr", executor, index, relativeIndex, true, false,
                                addr);
}
aclnnStatus aclSetDynamicOutputTensorAddr(aclOpExecutor* executor, const size_t index,
                                          const size_t relativeIndex, aclTensorList*, void* addr) {
  return qiao::cann::SetAddress("aclSetDynamicOutputTensorAddr", executor, index, relativeIndex, false, true,
                                addr);
}
