// model.safetensors.index.json: which file of a checkpoint holds which tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::formats {

inline constexpr size_t kMaxIndexBytes = size_t{512} << 20;
inline constexpr size_t kMaxIndexTensors = 4'000'000;
inline constexpr size_t kMaxIndexFiles = 10'000;
inline constexpr size_t kMaxFileNameBytes = 255;

struct ModelIndex {
  struct Entry {
    std::string_view tensor;  // a view into `text`
    uint32_t file;            // of `files`
  };
  std::vector<std::string> files;  // plain names, sorted
  std::vector<Entry> tensors;      // in the index's order, no name twice
  std::vector<char> text;          // what the names are views of

  ModelIndex() = default;
  ModelIndex(ModelIndex&&) = default;
  ModelIndex& operator=(ModelIndex&&) = default;
};

// `what` names the text in errors. Only "weight_map" is read: "metadata" is for people, and its sizes are
// wrong in many published checkpoints. File names with a folder in them are refused.
absl::StatusOr<ModelIndex> ParseModelIndex(std::string_view text, std::string_view what);

}  // namespace qiao::formats
