// The first phase: arguments, conditions, the executor.
#include "absl/strings/str_join.h"
#include "backends/ascend/emulator/nnopbase/executor_registry.h"

namespace qiao::cann {
namespace {

// Of stress mode: enough to overwrite something of a client that returned the memory too early.
constexpr uint64_t kStressWorkspace = 4096;

const View kAbsent;

}  // namespace

Operator::Operator(const char* name, uint64_t* workspace_size, aclOpExecutor** executor)
    : name_(name), workspace_size_(workspace_size), executor_(executor) {
  if (!workspace_size) Refuse(ACLNN_ERR_PARAM_NULLPTR, "workspaceSize is null");
  if (!executor) Refuse(ACLNN_ERR_PARAM_NULLPTR, "executor is null");
}

void Operator::Refuse(aclnnStatus code, const std::string& what) {
  if (!ok()) return;
  code_ = code;
  Fail(code, absl::StrFormat("%s: %s", name_, what));
}

bool Operator::Needs(const char* name, const void* object) {
  if (!object) Refuse(ACLNN_ERR_PARAM_NULLPTR, absl::StrFormat("%s is null", name));
  return object != nullptr;
}

int Operator::Add(const char* name, Role role, const aclTensor* tensor, bool required) {
  Slot slot{name, role, tensor != nullptr, {}};
  if (tensor) Describe(&slot, tensor);
  if (!tensor && required) Refuse(ACLNN_ERR_PARAM_NULLPTR, absl::StrFormat("%s is null", name));
  slots_.push_back(std::move(slot));
  return static_cast<int>(slots_.size()) - 1;
}

int Operator::AddList(const char* name, Role role, const aclTensorList* list, bool required) {
  // An empty list is how some clients say "none".
  Slot slot{name, role, list && !list->tensors.empty(), {}};
  if (list) {
    for (const aclTensor* tensor : list->tensors) {
      if (tensor) {
        Describe(&slot, tensor);
      } else {
        Refuse(ACLNN_ERR_PARAM_NULLPTR, absl::StrFormat("%s holds a null tensor", name));
      }
    }
  }
  if (!slot.given && required)
    Refuse(list ? ACLNN_ERR_PARAM_INVALID : ACLNN_ERR_PARAM_NULLPTR,
           absl::StrFormat("%s is %s", name, list ? "an empty list" : "null"));
  slots_.push_back(std::move(slot));
  return static_cast<int>(slots_.size()) - 1;
}

void Operator::Describe(Slot* slot, const aclTensor* tensor) {
  View view = tensor->view;
  if (IsFloat8(view.dtype) && !CurrentProfile().has_fp8)
    Refuse(ACLNN_ERR_PARAM_INVALID, absl::StrFormat("%s is %s: %s has no FP8 units", slot->name,
                                                    NameOf(view.dtype), CurrentProfile().soc));
  if (view.format == ACL_FORMAT_FRACTAL_NZ) {
    Require(view.rank >= 2, "%s is FRACTAL_NZ with %d dimensions", slot->name, view.rank);
    if (ok())
      Require(
          view.step(-1) == 1 || view.step(-2) == 1,
          "%s is FRACTAL_NZ, but neither of its last two strides is 1: neither the converted matrix nor its "
          "transposed view",
          slot->name);
  } else if (tensor->storage_rank > 0 && !view.empty() && BitsOf(view.dtype) > 0) {
    int64_t last = view.offset, storage = 1;
    for (int d = 0; d < view.rank; ++d) last += (view.size(d) - 1) * view.step(d);
    for (int d = 0; d < tensor->storage_rank; ++d) storage *= tensor->storage[static_cast<size_t>(d)];
    if (last >= storage)
      Warn("storage-shape",
           absl::StrFormat("%s: %s reaches element %d, but its storage shape has %d elements", name_,
                           slot->name, last, storage));
  }
  slot->views.push_back(view);
}

const View& Operator::at(int slot) const {
  const auto& views = slots_[static_cast<size_t>(slot)].views;
  return views.empty() ? kAbsent : views.front();
}

Operator& Operator::DType(int slot, absl::Span<const aclDataType> allowed) {
  if (!ok()) return *this;
  for (const View& v : list(slot)) {
    bool found = false;
    for (aclDataType dtype : allowed) found = found || dtype == v.dtype;
    Require(found, "%s is %s; it must be %s", name(slot), NameOf(v.dtype),
            absl::StrJoin(allowed, ", ", [](std::string* out, aclDataType d) { out->append(NameOf(d)); }));
  }
  return *this;
}

Operator& Operator::SameDType(int a, int b) {
  if (!ok() || !has(a) || !has(b)) return *this;
  return Require(at(a).dtype == at(b).dtype, "%s is %s and %s is %s; they must have the same dtype", name(a),
                 NameOf(at(a).dtype), name(b), NameOf(at(b).dtype));
}

Operator& Operator::SameShape(int a, int b) {
  if (!ok() || !has(a) || !has(b)) return *this;
  return Require(at(a).SameShape(at(b)), "%s is %s and %s is %s; they must have the same shape", name(a),
                 at(a).ShapeString(), name(b), at(b).ShapeString());
}

Operator& Operator::Rank(int slot, int least, int most) {
  if (!ok()) return *this;
  for (const View& v : list(slot))
    Require(v.rank >= least && v.rank <= most, "%s has %d dimensions; it must have %s", name(slot), v.rank,
            least == most ? std::to_string(least) : absl::StrFormat("%d to %d", least, most));
  return *this;
}

Operator& Operator::Shape(int slot, std::initializer_list<int64_t> dims) {
  if (!ok() || !has(slot)) return *this;
  const View expected = View::Of(at(slot).dtype, dims, nullptr);
  return Require(at(slot).SameShape(expected), "%s is %s; it must be %s", name(slot), at(slot).ShapeString(),
                 expected.ShapeString());
}

Operator& Operator::Contiguous(int slot) {
  if (!ok()) return *this;
  for (const View& v : list(slot)) Require(v.contiguous(), "%s must be contiguous", name(slot));
  return *this;
}

Operator& Operator::Null(int slot, const char* why) {
  if (!ok() || !has(slot)) return *this;
  // op-plugin passes an empty tensor for some absent ones.
  for (const View& v : list(slot)) Require(v.empty(), "%s %s", name(slot), why);
  return *this;
}

Operator& Operator::NeedsFp8(const char* what) {
  return Require(CurrentProfile().has_fp8, "%s: %s has no FP8 units", what, CurrentProfile().soc);
}

int64_t Operator::Dim(int slot, int64_t dim) {
  if (!ok()) return 0;
  const int rank = std::max(1, at(slot).rank);
  Require(dim >= -rank && dim < rank, "dimension %d of %s, which has %d", dim, name(slot), at(slot).rank);
  return ok() ? (dim < 0 ? dim + rank : dim) : 0;
}

aclnnStatus Operator::Finish(Compute compute) {
  if (!ok()) return code_;
  auto executor = std::make_unique<aclOpExecutor>();
  executor->name = name_;
  executor->slots = std::move(slots_);
  executor->workspace = StressWorkspace() ? kStressWorkspace : 0;
  executor->compute = std::make_shared<const Compute>(std::move(compute));
  *workspace_size_ = executor->workspace;
  *executor_ = ExecutorRegistry::Get().Add(std::move(executor));
  return ACLNN_SUCCESS;
}

}  // namespace qiao::cann
