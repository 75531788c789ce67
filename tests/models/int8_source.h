// The shipped model's FP8 weights made INT8, in memory: what an INT8 checkpoint of it would hold.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "runtime/formats/checkpoint.h"
#include "runtime/program/tensor_source.h"

namespace qiao {

// quantization_config of such a checkpoint, as llm-compressor writes it.
extern const char kInt8QuantizationConfig[];

// The model that a config.json describes, with INT8 weights in place of FP8 ones.
absl::StatusOr<std::unique_ptr<models::Model>> MakeInt8Model(const std::string& config_path);

// Finds each FP8 tensor of a checkpoint as INT8: per row, scale = max|w| / 127 and q = w / scale to the
// nearest. The scales are bf16, [rows, 1], and rounded before they are divided by.
class Int8Source : public program::TensorSource {
 public:
  // Quantises everything at once. The checkpoint must outlive the source.
  explicit Int8Source(const formats::Checkpoint& checkpoint);
  absl::StatusOr<std::optional<program::HostTensor>> Find(std::string_view name) const override;
  std::string where() const override { return checkpoint_.folder() + " as INT8"; }

 private:
  struct Tensor {
    DType dtype;
    Shape shape;
    std::vector<std::byte> bytes;
  };
  const formats::Checkpoint& checkpoint_;
  program::CheckpointSource plain_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

}  // namespace qiao
