#include "backends/ascend/cann/launcher.h"

#include <algorithm>
#include <cstdio>

#include "backends/ascend/cann/errors.h"
#include "backends/ascend/stream.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// Of workspace pieces: CANN wants 32 bytes, vectors of a cache line are read faster.
constexpr uint64_t kAlignment = 512;

uint64_t RoundUp(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

void Recording::Destroy(const Object& object) {
  switch (object.kind) {
    case Object::kTensor:
      cann().aclDestroyTensor(static_cast<const aclTensor*>(object.handle));
      break;
    case Object::kScalar:
      cann().aclDestroyScalar(static_cast<const aclScalar*>(object.handle));
      break;
    case Object::kInts:
      cann().aclDestroyIntArray(static_cast<const aclIntArray*>(object.handle));
      break;
    case Object::kList:
      cann().aclDestroyTensorList(static_cast<const aclTensorList*>(object.handle));
      break;
  }
}

Recording::~Recording() {
  for (const Step& step : steps_) cann().aclDestroyAclOpExecutor(step.executor);
  for (const Object& object : objects_) Destroy(object);
}

Status Recording::Launch(AscendStream& stream) const {
  for (const Step& step : steps_) {
    stream.Note(step.name);
    const aclnnStatus code = step.run(step.workspace, step.bytes, step.executor, stream.handle());
    if (code != 0) return stream.WithHistory(Failed(std::string(step.name) + " (launched again)", code));
  }
  return Ok();
}

Launcher::Launcher(AscendStream& stream, const char* plan, void* workspace, uint64_t bytes,
                   Recording* recording)
    : stream_(&stream),
      plan_(plan),
      workspace_(static_cast<char*>(workspace)),
      bytes_(bytes),
      recording_(recording) {}

Launcher::~Launcher() { DestroyObjects(); }

void Launcher::DestroyObjects() {
  for (const Recording::Object& object : objects_) Recording::Destroy(object);
  objects_.clear();
}

View Launcher::Temp(aclDataType dtype, std::initializer_list<int64_t> dims) {
  View view = View::Contiguous(workspace_ + used_, dtype, dims);
  used_ += RoundUp(static_cast<uint64_t>(view.elements() * ElementBytes(dtype)));
  most_ = std::max(most_, used_);
  if (!measuring() && used_ > bytes_ && status_.ok())
    status_ =
        Internal(Format("%s: its list of calls takes more workspace than it was measured to take", plan_));
  return view;
}

uint64_t Launcher::workspace_bytes() const { return most_ + kVendorWorkspace; }

View Launcher::Packed(const View& view) {
  if (view.contiguous()) return view;
  const View packed = view.ContiguousAt(Temp(view.dtype, {view.elements()}).data, view.dtype);
  Copy(packed, view);
  return packed;
}

View Launcher::As(const View& view, aclDataType dtype) {
  if (view.dtype == dtype) return view;
  const View cast = view.ContiguousAt(Temp(dtype, {view.elements()}).data, dtype);
  Run(cann().Cast, view, dtype, cast);
  return cast;
}

aclTensor* Launcher::Pass(const View& view) {
  int64_t span = 1 + view.offset;
  for (int d = 0; d < view.rank; ++d)
    span +=
        (std::max<int64_t>(view.dim[static_cast<size_t>(d)], 1) - 1) * view.stride[static_cast<size_t>(d)];
  const int64_t* storage = view.storage_rank > 0 ? view.storage.data() : &span;
  const int storage_rank = view.storage_rank > 0 ? view.storage_rank : 1;
  aclTensor* tensor = cann().aclCreateTensor(view.dim.data(), static_cast<uint64_t>(view.rank), view.dtype,
                                             view.stride.data(), view.offset, view.format, storage,
                                             static_cast<uint64_t>(storage_rank), view.data);
  if (tensor != nullptr) objects_.push_back({Recording::Object::kTensor, tensor});
  return tensor;
}

aclScalar* Launcher::Pass(const Scalar& scalar) {
  Scalar value = scalar;
  void* from = value.dtype == ACL_FLOAT ? static_cast<void*>(&value.f32) : static_cast<void*>(&value.i32);
  aclScalar* made = cann().aclCreateScalar(from, value.dtype);
  if (made != nullptr) objects_.push_back({Recording::Object::kScalar, made});
  return made;
}

aclIntArray* Launcher::Pass(const Ints& ints) {
  aclIntArray* made = cann().aclCreateIntArray(ints.values.data(), ints.values.size());
  if (made != nullptr) objects_.push_back({Recording::Object::kInts, made});
  return made;
}

// A list owns its tensors.
aclTensorList* Launcher::Pass(const Tensors& tensors) {
  std::vector<const aclTensor*> handles;
  const size_t before = objects_.size();
  for (const View& view : tensors.views) handles.push_back(Pass(view));
  aclTensorList* made = cann().aclCreateTensorList(handles.data(), handles.size());
  if (made == nullptr) return nullptr;
  objects_.resize(before);
  objects_.push_back({Recording::Object::kList, made});
  return made;
}

aclnnStatus Launcher::Second(const char* name, RunFn run, uint64_t bytes, aclOpExecutor* executor) {
  stream_->Note(name);
  void* workspace = nullptr;
  if (bytes > 0) {
    // The tail of the plan's workspace; where that is too short, memory of the stream.
    if (bytes <= kVendorWorkspace && kVendorWorkspace <= bytes_) {
      workspace = workspace_ + (bytes_ - kVendorWorkspace);
    } else {
      status_ = stream_->Spare(bytes, &workspace);
      if (!status_.ok()) return 0;
    }
  }
  if (recording_ != nullptr) {
    if (const aclnnStatus code = cann().aclSetAclOpExecutorRepeatable(executor); code != 0) return code;
    recording_->steps_.push_back({name, run, executor, workspace, bytes});
    recording_->objects_.insert(recording_->objects_.end(), objects_.begin(), objects_.end());
    objects_.clear();
  }
  return run(workspace, bytes, executor, stream_->handle());
}

void Launcher::Fail(const char* name, const std::string& arguments, aclnnStatus code) {
  status_ = stream_->WithHistory(Failed(Format("%s: %s(%s)", plan_, name, arguments.c_str()), code));
}

namespace {
void Append(std::string& text, const std::string& more) { text += (text.empty() ? "" : ", ") + more; }
}  // namespace

void Launcher::Describe(std::string& text, const View& view) { Append(text, view.ToString()); }
void Launcher::Describe(std::string& text, const Scalar& scalar) {
  DescribeNumber(text, scalar.dtype == ACL_FLOAT ? static_cast<double>(scalar.f32) : scalar.i32);
}
void Launcher::Describe(std::string& text, const Ints& ints) {
  Append(text, Format("%zu numbers", ints.values.size()));
}
void Launcher::Describe(std::string& text, const Tensors& tensors) {
  std::string list;
  for (const View& view : tensors.views) Append(list, view.ToString());
  Append(text, "{" + list + "}");
}
void Launcher::Describe(std::string& text, None) { Append(text, "none"); }
void Launcher::Describe(std::string& text, const char* value) { Append(text, value); }
void Launcher::DescribeNumber(std::string& text, double value) { Append(text, Format("%g", value)); }

}  // namespace qiao::ascend
