// Weights as the devices want them: negotiated once for each weight, use and device, then stored once for all
// programs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/hal/device.h"
#include "runtime/ops/graph.h"
#include "runtime/program/parameters.h"
#include "runtime/program/piece_copy.h"

namespace qiao::program {

// One weight in one use on one device.
struct StoredWeight {
  int32_t parameter = -1;
  std::shared_ptr<const hal::Device> device;
  ops::Params params;  // of the operation; request.params points here
  qiao_weight_request request{};
  qiao_weight_choice choice{};
  hal::Buffer buffer;              // unless the choice is PIECES
  qiao_weight_view view{};         // when it is
  std::vector<qiao_piece> copied;  // what the view then shows, once they are copied

  // Pieces that the host copies, because it wished for a copy and the backend takes pieces.
  bool copies_pieces() const {
    return choice.layout == QIAO_LAYOUT_PIECES && request.residence == QIAO_WEIGHT_COPY;
  }

  // What a launch gets as the argument's pointer; null before Load.
  void* pointer() { return choice.layout == QIAO_LAYOUT_PIECES ? static_cast<void*>(&view) : buffer.data(); }
};

// Not thread-safe. Indices and references stay valid.
class WeightStore {
 public:
  explicit WeightStore(const Parameters& parameters) : parameters_(parameters) {}

  // What is asked for from now on: QIAO_WEIGHT_MAP or QIAO_WEIGHT_COPY. An embedding, of which a step reads a
  // few rows, always stays mapped.
  void set_residence(uint32_t residence) { residence_ = residence; }

  // Asks `device` how it wants argument `argument` of an operation, which is parameter `parameter`; equal
  // questions are asked once.
  absl::StatusOr<int32_t> Choose(const std::shared_ptr<const hal::Device>& device, uint32_t op,
                                 const ops::Params& params, uint32_t argument, uint32_t activation,
                                 int32_t parameter);
  // The description of a weight as it will be stored.
  qiao_tensor Describe(int32_t index) const;

  // Counts a choice as used by a program: only those are stored.
  void Use(int32_t index) { used_[static_cast<size_t>(index)] = true; }
  void ClearUse() { std::fill(used_.begin(), used_.end(), false); }
  bool used(int32_t index) const { return used_[static_cast<size_t>(index)]; }

  StoredWeight& stored(int32_t index) { return stored_[static_cast<size_t>(index)]; }
  const StoredWeight& stored(int32_t index) const { return stored_[static_cast<size_t>(index)]; }
  int32_t size() const { return static_cast<int32_t>(stored_.size()); }

  // Bytes that storing and copying takes on `device`, and bytes that stay in the files.
  uint64_t StoredBytes(const hal::Device& device) const;
  uint64_t MappedBytes() const;

  // Stores and copies what is used. Of the source, the pages that were stored or copied are let go.
  absl::Status Load(const Progress& progress);

 private:
  // The pieces that are copied to `device`, placed.
  PieceCopy Copies(const hal::Device& device) const;
  absl::Status CopyPieces(const hal::Device& device, const PieceCopy& copy, PieceCopy::Report report);
  void LetGoOfFiles(const StoredWeight& stored) const;

  const Parameters& parameters_;
  uint32_t residence_ = QIAO_WEIGHT_MAP;
  std::vector<hal::Buffer> blocks_;  // of copied pieces, one a device
  std::deque<StoredWeight> stored_;
  std::deque<bool> used_;
  absl::flat_hash_map<std::string, int32_t> by_key_;
};

}  // namespace qiao::program
