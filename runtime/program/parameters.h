// The parameters that a model asks for, resolved once and shared by the programs of all its buckets.
#pragma once

#include <qiao/ops.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/program/tensor_source.h"

namespace qiao::program {

// Rows row0 .. row0+count of a file tensor that must have the shape [rows, cols].
struct Slice {
  std::string tensor;
  int64_t rows = 0, cols = 0;
  int64_t row0 = 0, count = 0;
  // Expert or head; slices are listed by ascending group, and those of a group are stacked.
  int32_t group = 0;
};

// How quantised tensors of a checkpoint are marked.
struct Quantisation {
  // The scales of tensor NAME are NAME + scale_suffix, f32 [ceil(rows/block[0]), ceil(cols/block[1])]; a
  // value is stored * scale. Empty: the checkpoint has no quantised tensors.
  std::string scale_suffix;
  int32_t block[2] = {128, 128};
  // The quantised tensors are INT8 instead, and the scales one a row: f32, bf16 or f16, [rows, 1] or [rows].
  bool channel = false;
};

// A matrix parameter: [groups, rows, cols] in pieces that point into the files.
struct Weight {
  std::string name;
  int64_t groups = 1, rows = 0, cols = 0;
  std::vector<qiao_piece> pieces;
  std::vector<int32_t> group_start;
  uint64_t file_bytes = 0;  // of the pieces and of the scale blocks they use
};

// A 1-D parameter, converted to f32.
struct Vector {
  std::string name;
  std::vector<float> values;
};

// Not thread-safe while a model is being built; constant afterwards. References stay valid.
class Parameters {
 public:
  // `source` must outlive this object: the pieces point into what it returned.
  Parameters(const TensorSource& source, Quantisation quantisation)
      : source_(source), quantisation_(std::move(quantisation)) {}

  // The weight called `name`, made from `slices` when it is asked for the first time. Errors name file
  // folder, tensor, and the shape that was expected and found.
  absl::StatusOr<int32_t> AddWeight(std::string_view name, absl::FunctionRef<std::vector<Slice>()> slices);
  // The tensor `name` of `size` elements.
  absl::StatusOr<int32_t> AddVector(std::string_view name, int64_t size);
  absl::StatusOr<bool> Has(std::string_view tensor) const;

  const Weight& weight(int32_t i) const { return weights_[static_cast<size_t>(i)]; }
  const Vector& vector(int32_t i) const { return vectors_[static_cast<size_t>(i)]; }
  size_t weight_count() const { return weights_.size(); }
  size_t vector_count() const { return vectors_.size(); }
  const Quantisation& quantisation() const { return quantisation_; }
  const TensorSource& source() const { return source_; }

 private:
  struct Scale {
    std::string name;
    HostTensor tensor;
  };
  absl::StatusOr<qiao_piece> Resolve(const Slice& slice);
  absl::Status ResolveBlockScales(const Slice& slice, qiao_piece& piece);
  absl::Status ResolveChannelScales(const Slice& slice, qiao_piece& piece);
  absl::StatusOr<Scale> FindScale(const Slice& slice, const qiao_piece& piece);
  // Pointers that kernels may use: a tensor that is not aligned to its element in the file is copied once.
  const void* Aligned(const HostTensor& tensor, std::string_view name);

  const TensorSource& source_;
  Quantisation quantisation_;
  std::deque<Weight> weights_;
  std::deque<Vector> vectors_;
  absl::flat_hash_map<std::string, int32_t> weight_by_name_, vector_by_name_;
  absl::flat_hash_map<std::string, std::vector<std::byte>> copies_;
  absl::flat_hash_map<std::string, std::vector<float>> channel_scales_;  // by tensor, as f32
};

}  // namespace qiao::program
