#include "runtime/program/weight_store.h"

#include <algorithm>
#include <set>
#include <utility>

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
  request.residence = residence_;
  if (op == QIAO_OP_EMBEDDING) request.residence = QIAO_WEIGHT_MAP;
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
  return bytes + Copies(device).bytes();
}

uint64_t WeightStore::MappedBytes() const {
  uint64_t bytes = 0;
  std::set<int32_t> seen;  // a tied embedding lies in the file once
  for (int32_t i = 0; i < size(); ++i) {
    const StoredWeight& s = stored(i);
    if (used(i) && s.choice.layout == QIAO_LAYOUT_PIECES && !s.copies_pieces() &&
        seen.insert(s.parameter).second) {
      bytes += parameters_.weight(s.parameter).file_bytes;
    }
  }
  return bytes;
}

PieceCopy WeightStore::Copies(const hal::Device& device) const {
  PieceCopy copy;
  for (int32_t i = 0; i < size(); ++i) {
    const StoredWeight& s = stored(i);
    if (used(i) && s.device.get() == &device && s.copies_pieces())
      copy.Add(parameters_.weight(s.parameter).pieces);
  }
  copy.Place();
  return copy;
}

// All pieces of a device lie in one block: from its first byte to its last on huge pages, where it has them.
absl::Status WeightStore::CopyPieces(const hal::Device& device, const PieceCopy& copy,
                                     PieceCopy::Report report) {
  if (copy.bytes() == 0) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(hal::Buffer block, device.Allocate(copy.bytes()));
  auto* to = static_cast<std::byte*>(block.data());
  QIAO_RETURN_IF_ERROR(
      copy.Run(to, parameters_.source(), static_cast<int>(device.properties().threads), report));
  for (int32_t i = 0; i < size(); ++i) {
    StoredWeight& s = stored(i);
    if (!used(i) || s.device.get() != &device || !s.copies_pieces()) continue;
    s.copied.clear();
    for (const qiao_piece& piece : parameters_.weight(s.parameter).pieces)
      s.copied.push_back(copy.Moved(piece, to));
    s.view.piece = s.copied.data();
  }
  blocks_.push_back(std::move(block));
  return absl::OkStatus();
}

void WeightStore::LetGoOfFiles(const StoredWeight& stored) const {
  for (const qiao_piece& piece : parameters_.weight(stored.parameter).pieces) {
    const PieceBytes bytes = BytesOf(piece);
    parameters_.source().LetGo(bytes.data);
    parameters_.source().LetGo(bytes.scale);
  }
}

absl::Status WeightStore::Load(const Progress& progress) {
  uint64_t total = 0, done = 0;
  std::vector<std::pair<const hal::Device*, PieceCopy>> copies;
  for (int32_t i = 0; i < size(); ++i) {
    const StoredWeight& s = stored(i);
    if (!used(i)) continue;
    if (s.choice.layout != QIAO_LAYOUT_PIECES) total += s.choice.bytes;
    const bool known = std::any_of(copies.begin(), copies.end(),
                                   [&](const auto& copy) { return copy.first == s.device.get(); });
    if (!s.copies_pieces() || known) continue;
    copies.emplace_back(s.device.get(), Copies(*s.device));
    total += copies.back().second.bytes();
  }

  auto report = [&](std::string_view what, uint64_t bytes) -> absl::Status {
    done = std::min(done + bytes, total);
    if (progress && !progress(what, done, total)) return Cancelled("loading was cancelled");
    return absl::OkStatus();
  };
  blocks_.clear();
  for (const auto& [device, copy] : copies) {
    QIAO_RETURN_IF_ERROR(
        CopyPieces(*device, copy, [&](uint64_t bytes) { return report("copying weights", bytes); }));
  }
  // While one is stored, its pages of the files are resident beside it. Large ones first: then little else is
  // stored already, and the peak is what all of it takes in the end.
  std::vector<int32_t> order;
  for (int32_t i = 0; i < size(); ++i) {
    if (used(i) && stored(i).choice.layout != QIAO_LAYOUT_PIECES && !stored(i).buffer) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return stored(a).choice.bytes > stored(b).choice.bytes; });
  for (const int32_t i : order) {
    StoredWeight& s = stored(i);
    const Weight& weight = parameters_.weight(s.parameter);
    QIAO_ASSIGN_OR_RETURN(hal::Buffer buffer, s.device->Allocate(std::max<uint64_t>(s.choice.bytes, 1)));
    QIAO_ASSIGN_OR_RETURN(hal::Stream stream, s.device->CreateStream());
    QIAO_RETURN_IF_ERROR(
        Annotate(s.device->StoreWeight(stream, s.request, s.choice, buffer.data()), weight.name));
    QIAO_RETURN_IF_ERROR(stream.Synchronize());
    s.buffer = std::move(buffer);
    LetGoOfFiles(s);
    QIAO_RETURN_IF_ERROR(report("storing weights", s.choice.bytes));
  }
  // The system maps some pages around each that is read, and so brought back what its neighbours had let go.
  for (const StoredWeight& s : stored_) {
    if (s.buffer || !s.copied.empty()) LetGoOfFiles(s);
  }
  return absl::OkStatus();
}

}  // namespace qiao::program
