// Runs the operators of one launch: makes the objects that they take, calls both phases, and hands out the launch's
// workspace. A launch of an operation of ops.h is a list of such calls:
//
//   Launcher l(stream, "rope", launch.workspace, plan_bytes, nullptr);
//   View wide = l.Temp(ACL_FLOAT, {rows, width});
//   l.Run(cann().InplaceCopy, wide, narrow);
//   return l.status();
//
// Arguments: a View becomes a tensor, Scalar, Ints and Tensors the objects of those names, kNone a null pointer;
// everything else is passed as it is. The first failure ends the list: further calls do nothing, and status() says
// what failed, with its arguments.
//
// A launcher without a stream runs nothing and only counts the workspace that the list would take.
//
// Threads: one launcher belongs to one thread, as its stream does.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <qiao/backend.hpp>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends/ascend/cann/library.h"
#include "backends/ascend/cann/view.h"

namespace qiao::ascend {

class AscendStream;

// What each plan sets aside for the operators' own workspaces. One that wants more gets memory of its stream.
inline constexpr uint64_t kVendorWorkspace = 1 << 20;

// A scalar argument.
struct Scalar {
  aclDataType dtype;
  float f32 = 0;
  int32_t i32 = 0;

  Scalar(float value) : dtype(ACL_FLOAT), f32(value) {}    // NOLINT: a number is one
  Scalar(int32_t value) : dtype(ACL_INT32), i32(value) {}  // NOLINT
};

struct Ints {
  std::vector<int64_t> values;
  Ints(std::initializer_list<int64_t> list) : values(list) {}
  explicit Ints(std::vector<int64_t> list) : values(std::move(list)) {}
};

struct Tensors {
  std::vector<View> views;
  Tensors(std::initializer_list<View> list) : views(list) {}
};

struct None {
  template <typename T>
  operator T*() const {  // NOLINT: an absent argument of any kind
    return nullptr;
  }
};
inline constexpr None kNone;

// Calls that were planned once and may be launched again with the same addresses. Owns the executors.
class Recording {
 public:
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording();

  plugin::Status Launch(AscendStream& stream) const;

 private:
  friend class Launcher;
  struct Step {
    const char* name;
    RunFn run;
    aclOpExecutor* executor;
    void* workspace;
    uint64_t bytes;
  };
  struct Object {
    enum Kind { kTensor, kScalar, kInts, kList } kind;
    const void* handle;
  };
  static void Destroy(const Object& object);

  std::vector<Step> steps_;
  std::vector<Object> objects_;  // of all steps: an executor may look at them until it is destroyed
};

class Launcher {
 public:
  // Counts workspace, runs nothing.
  Launcher() = default;
  // `plan` names the operation in errors. `recording` may be null; otherwise every call is kept in it too.
  Launcher(AscendStream& stream, const char* plan, void* workspace, uint64_t bytes, Recording* recording);
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  bool measuring() const { return stream_ == nullptr; }
  const plugin::Status& status() const { return status_; }

  // Contiguous memory of the workspace, uninitialised, until the launch's work is done or Release.
  View Temp(aclDataType dtype, std::initializer_list<int64_t> dims);
  // What was handed out since Mark may be handed out again: the stream's order keeps its users apart.
  uint64_t Mark() const { return used_; }
  void Release(uint64_t mark) { used_ = mark; }
  // The most that was handed out, and what the operators get beside it.
  uint64_t workspace_bytes() const;

  template <typename Get, typename... Args>
  void Run(const Operator<Get>& op, const Args&... args) {
    if (measuring() || !status_.ok()) return;
    uint64_t bytes = 0;
    aclOpExecutor* executor = nullptr;
    aclnnStatus code = op.get_workspace_size(Pass(args)..., &bytes, &executor);
    if (code == 0) code = Second(op.name, op.run, bytes, executor);
    if (code != 0) {
      std::string text;
      (Describe(text, args), ...);
      Fail(op.name, text, code);
    }
    if (recording_ == nullptr) DestroyObjects();
  }

  // ---- what several operations need ----

  // `view` if it is contiguous, else a contiguous copy of it.
  View Packed(const View& view);
  // `view` if it has this dtype, else a contiguous copy of it that has.
  View As(const View& view, aclDataType dtype);
  void Copy(const View& to, const View& from) { Run(cann().InplaceCopy, to, from); }

 private:
  aclTensor* Pass(const View& view);
  aclScalar* Pass(const Scalar& scalar);
  aclIntArray* Pass(const Ints& ints);
  aclTensorList* Pass(const Tensors& tensors);
  None Pass(None) { return {}; }
  template <typename T>
  requires std::is_arithmetic_v<T> || std::is_pointer_v<T> || std::is_enum_v<T> T Pass(T value) {
    return value;
  }

  static void Describe(std::string& text, const View& view);
  static void Describe(std::string& text, const Scalar& scalar);
  static void Describe(std::string& text, const Ints& ints);
  static void Describe(std::string& text, const Tensors& tensors);
  static void Describe(std::string& text, None);
  static void Describe(std::string& text, const char* value);
  template <typename T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  static void Describe(std::string& text, T value) { DescribeNumber(text, static_cast<double>(value)); }
  static void DescribeNumber(std::string& text, double value);

  aclnnStatus Second(const char* name, RunFn run, uint64_t bytes, aclOpExecutor* executor);
  void Fail(const char* name, const std::string& arguments, aclnnStatus code);
  void DestroyObjects();

  AscendStream* stream_ = nullptr;
  const char* plan_ = "";
  char* workspace_ = nullptr;
  uint64_t bytes_ = 0, used_ = 0, most_ = 0;
  plugin::Status status_;
  Recording* recording_ = nullptr;
  std::vector<Recording::Object> objects_;
};

}  // namespace qiao::ascend
