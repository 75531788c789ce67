// How an operator of libopapi.so is written.
//
//   aclnnStatus aclnnAbsGetWorkspaceSize(const aclTensor* self, aclTensor* out, uint64_t* size, aclOpExecutor** ex) {
//     Operator op("aclnnAbs", size, ex);
//     const int x = op.In("self", self), y = op.Out("out", out);     // every tensor argument, in the API's order
//     op.DType(x, kFloats).Same(x, y);                               // the first condition that fails is the answer
//     return op.Finish([=](const Args& args) { .. args[x] .. });     // runs later, on the stream's thread
//   }
//   QIAO_ACLNN_LAUNCH(Abs)
//
// What the closure needs of the host's arguments it captures by value; tensors it reads from Args, since a repeatable
// executor may be given other addresses. It must not throw. Nothing here outlives what it was made from: an executor
// holds copies of views.
#pragma once

#include <aclnn/aclnn_base.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "backends/ascend/emulator/nnopbase/objects.h"
#include "backends/ascend/emulator/runtime/emulator.h"

namespace qiao::cann {

enum class Role { kInput, kOutput, kBoth };

// One tensor argument, or a list of tensors.
struct Slot {
  const char* name = "";
  Role role = Role::kInput;
  bool given = false;
  std::vector<View> views;
};

// The tensor arguments of one launch, by the numbers that Operator handed out.
class Args {
 public:
  explicit Args(std::vector<Slot> slots) : slots_(std::move(slots)) {}
  bool has(int slot) const { return slots_[static_cast<size_t>(slot)].given; }
  const View& operator[](int slot) const { return list(slot).front(); }
  const std::vector<View>& list(int slot) const { return slots_[static_cast<size_t>(slot)].views; }

 private:
  std::vector<Slot> slots_;
};

using Compute = std::function<void(const Args&)>;

inline constexpr std::initializer_list<aclDataType> kFloats = {ACL_FLOAT, ACL_FLOAT16, ACL_BF16};

// The first phase of one call. Not for several threads.
class QIAO_CANN_EXPORT Operator {
 public:
  // `name` must be static: "aclnnAbs".
  Operator(const char* name, uint64_t* workspace_size, aclOpExecutor** executor);
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  // Tensor arguments in the API's order; names must be static. The number of the argument. Maybe*: may be null.
  int In(const char* name, const aclTensor* t) { return Add(name, Role::kInput, t, true); }
  int MaybeIn(const char* name, const aclTensor* t) { return Add(name, Role::kInput, t, false); }
  int Out(const char* name, const aclTensor* t) { return Add(name, Role::kOutput, t, true); }
  int MaybeOut(const char* name, const aclTensor* t) { return Add(name, Role::kOutput, t, false); }
  int InOut(const char* name, const aclTensor* t) { return Add(name, Role::kBoth, t, true); }
  int InList(const char* name, const aclTensorList* l) { return AddList(name, Role::kInput, l, true); }
  int MaybeInList(const char* name, const aclTensorList* l) { return AddList(name, Role::kInput, l, false); }
  int OutList(const char* name, const aclTensorList* l) { return AddList(name, Role::kOutput, l, true); }
  int MaybeOutList(const char* name, const aclTensorList* l) {
    return AddList(name, Role::kOutput, l, false);
  }
  // A scalar or an array that may not be null; whether it is there.
  bool Needs(const char* name, const void* object);

  bool ok() const { return code_ == ACLNN_SUCCESS; }
  bool has(int slot) const { return slots_[static_cast<size_t>(slot)].given; }
  // Where the argument is absent, a view without elements.
  const View& at(int slot) const;
  const std::vector<View>& list(int slot) const { return slots_[static_cast<size_t>(slot)].views; }
  const char* name(int slot) const { return slots_[static_cast<size_t>(slot)].name; }

  // 161002 with "aclnnAbs: " and the text, unless the condition holds. The first failure counts; text of later ones is
  // not made.
  template <typename... A>
  Operator& Require(bool condition, const absl::FormatSpec<A...>& format, const A&... args) {
    if (!condition && ok()) Refuse(ACLNN_ERR_PARAM_INVALID, absl::StrFormat(format, args...));
    return *this;
  }
  // Conditions on arguments that are given; absent ones satisfy them.
  Operator& DType(int slot, absl::Span<const aclDataType> allowed);
  Operator& DType(int slot, std::initializer_list<aclDataType> allowed) {
    return DType(slot, absl::Span<const aclDataType>(allowed.begin(), allowed.size()));
  }
  Operator& SameDType(int a, int b);
  Operator& SameShape(int a, int b);
  Operator& Rank(int slot, int least, int most);
  Operator& Shape(int slot, std::initializer_list<int64_t> dims);
  Operator& Contiguous(int slot);  // for what the hardware is documented to need so
  Operator& Null(int slot, const char* why = "is not served");
  // Only a chip with FP8 units.
  Operator& NeedsFp8(const char* what);
  // `dim` counted from the front: negative ones count from the end.
  int64_t Dim(int slot, int64_t dim);

  // Hands the executor out, or returns what failed.
  aclnnStatus Finish(Compute compute);

 private:
  int Add(const char* name, Role role, const aclTensor* tensor, bool required);
  int AddList(const char* name, Role role, const aclTensorList* list, bool required);
  void Describe(Slot* slot, const aclTensor* tensor);
  void Refuse(aclnnStatus code, const std::string& what);

  const char* name_;
  uint64_t* workspace_size_;
  aclOpExecutor** executor_;
  aclnnStatus code_ = ACLNN_SUCCESS;
  std::vector<Slot> slots_;
};

// The second phase.
QIAO_CANN_EXPORT aclnnStatus Launch(const char* name, void* workspace, uint64_t workspace_size,
                                    aclOpExecutor* executor, aclrtStream stream);

}  // namespace qiao::cann

#define QIAO_ACLNN_LAUNCH(NAME)                                                             \
  aclnnStatus aclnn##NAME(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, \
                          aclrtStream stream) {                                             \
    return qiao::cann::Launch("aclnn" #NAME, workspace, workspaceSize, executor, stream);   \
  }
