#include "runtime/program/weight_store.h"

#include <algorithm>
#include <set>

#include "runtime/ops/catalogue.h"

namespace qiao::program {

absl::StatusOr<int32_t> WeightStore::Choose(const std::shared_ptr<const hal::Device>& device, uint32_t op,
                                            const ops::Params& params, uint32_t argument, uint32_t activation,
                                            int32_t parameter) {
  std::string key = absl::StrFormat("%d/%p/%d/%d/%d/", parameter, static_cast<const void*>(device.get()), op,
                                    argument, activation);
  key.append(static_cast<const char*>(params.data()), params.size());
  if (auto it = by_key_.find(key); it != by_key_.end()) return it->second;

  const Weight& weight = parameters_.weight(parameter);
  StoredWeight& stored = stored_.emplace_back();
  used_.push_back(false);
  stored.parameter = parameter;
  stored.device = device;
  stored.params = params;
  qiao_weight_request& request = stored.request;
  request.struct_size = sizeof(request);
  request.op = op;
  request.argument = argument;
  request.activation = activation;
  request.params = stored.params.data();
  request.groups = weight.groups;
  request.rows = weight.rows;
  request.cols = weight.cols;
  request.piece_count = static_cast<uint32_t>(weight.pieces.size());
  request.piece = weight.pieces.data();
  absl::StatusOr<qiao_weight_choice> choice = device->ChooseWeight(request);
  if (!choice.ok()) {
    stored_.pop_back();
    used_.pop_back();
    return Annotate(choice.status(), weight.name);
  }
  stored.choice = *choice;
  stored.view.struct_size = sizeof(stored.view);
  stored.view.groups = static_cast<uint32_t>(weight.groups);
  stored.view.group_start = weight.group_start.data();
  stored.view.piece = weight.pieces.data();
  const auto index = static_cast<int32_t>(stored_.size() - 1);
  by_key_.emplace(std::move(key), index);
  return index;
}

qiao_tensor WeightStore::Describe(int32_t index) const {
  const StoredWeight& stored = this->stored(index);
  const qiao_weight_request& r = stored.request;
  qiao_tensor tensor = ops::MakeTensor(static_cast<DType>(stored.choice.dtype), {r.groups, r.rows, r.cols});
  tensor.scheme = stored.choice.scheme;
  tensor.layout = stored.choice.layout;
  tensor.block[0] = stored.choice.block[0];
  tensor.block[1] = stored.choice.block[1];
  return tensor;
}

uint64_t WeightStore::StoredBytes(const hal::Device& device) const {
  uint64_t bytes = 0;
  for (int32_t i = 0; i < size(); ++i) {
    const StoredWeight& s = stored(i);
    if (used(i) && s.device.get() == &device && s.choice.layout != QIAO_LAYOUT_PIECES)
      bytes += s.choice.bytes;
  }
  return bytes;
}

uint64_t WeightStore::MappedBytes() const {
  uint64_t bytes = 0;
  std::set<int32_t> seen;  // a tied embedding lies in the file once
  for (int32_t i = 0; i < size(); ++i) {
    const StoredWeight& s = stored(i);
    if (used(i) && s.choice.layout == QIAO_LAYOUT_PIECES && seen.insert(s.parameter).second) {
      bytes += parameters_.weight(s.parameter).file_bytes;
    }
  }
  return bytes;
}

absl::Status WeightStore::Load(const Progress& progress) {
  uint64_t total = 0, done = 0;
  for (int32_t i = 0; i < size(); ++i) {
    if (used(i) && stored(i).choice.layout != QIAO_LAYOUT_PIECES) total += stored(i).choice.bytes;
  }
  for (int32_t i = 0; i < size(); ++i) {
    StoredWeight& s = stored(i);
    if (!used(i) || s.choice.layout == QIAO_LAYOUT_PIECES || s.buffer) continue;
    QIAO_ASSIGN_OR_RETURN(s.buffer, s.device->Allocate(std::max<uint64_t>(s.choice.bytes, 1)));
    QIAO_ASSIGN_OR_RETURN(hal::Stream stream, s.device->CreateStream());
    QIAO_RETURN_IF_ERROR(Annotate(s.device->StoreWeight(stream, s.request, s.choice, s.buffer.data()),
                                  parameters_.weight(s.parameter).name));
    QIAO_RETURN_IF_ERROR(stream.Synchronize());
    done += s.choice.bytes;
    if (progress && !progress("storing weights", done, total)) return Cancelled("loading was cancelled");
  }
  return absl::OkStatus();
}

}  // namespace qiao::program
