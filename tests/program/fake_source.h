// A checkpoint that a test writes by hand.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/program/tensor_source.h"

namespace qiao::program {

class FakeSource : public TensorSource {
 public:
  void AddF32(const std::string& name, Shape shape, std::vector<float> values);
  // Deterministic values in (-1, 1) * scale that depend on the name.
  void AddRandom(const std::string& name, Shape shape, float scale = 1.0f);
  // E4M3 with f32 scales in NAME_scale_inv.
  void AddRandomF8(const std::string& name, int64_t rows, int64_t cols, int64_t block);
  // INT8 with bf16 scales [rows, 1] in NAME_scale; f32 [rows] where `wide`.
  void AddRandomI8(const std::string& name, int64_t rows, int64_t cols, bool wide = false);
  // The bytes lie one byte off their alignment.
  void Misalign(const std::string& name);
  void Erase(const std::string& name) { tensors_.erase(name); }

  absl::StatusOr<std::optional<HostTensor>> Find(std::string_view name) const override;
  std::string where() const override { return "fake"; }

 private:
  struct Entry {
    DType dtype;
    Shape shape;
    std::vector<std::byte> bytes;
    size_t offset = 0;
  };
  std::map<std::string, Entry, std::less<>> tensors_;
};

}  // namespace qiao::program
