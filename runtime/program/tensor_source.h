// Where parameters come from, seen by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/base/dtype.h"
#include "runtime/base/shape.h"
#include "runtime/base/status.h"

namespace qiao::formats {
class Checkpoint;
}

namespace qiao::program {

// A tensor in host memory (usually a mapped file); row-major; aligned to nothing.
struct HostTensor {
  DType dtype = DType::kInvalid;
  Shape shape;
  const std::byte* data = nullptr;
};

class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // Absent is not an error here; a tensor that is there and of no use is (a dtype that Qiao does not compute
  // with).
  virtual absl::StatusOr<std::optional<HostTensor>> Find(std::string_view name) const = 0;
  // For messages: the folder or file that was searched.
  virtual std::string where() const = 0;
};

// The checkpoint must outlive the source and everything made from it.
class CheckpointSource : public TensorSource {
 public:
  explicit CheckpointSource(const formats::Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  absl::StatusOr<std::optional<HostTensor>> Find(std::string_view name) const override;
  std::string where() const override;

 private:
  const formats::Checkpoint& checkpoint_;
};

}  // namespace qiao::program
