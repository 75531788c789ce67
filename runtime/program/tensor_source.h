// Where parameters come from, seen by name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/types/span.h"
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
  // The bytes, of tensors that Find gave, are not read again soon: where they are pages of a mapped file,
  // those pages need not stay resident. They can still be read. From any thread.
  virtual void LetGo(absl::Span<const std::byte>) const {}
  // For messages: the folder or file that was searched.
  virtual std::string where() const = 0;
};

// The checkpoint must outlive the source and everything made from it.
class CheckpointSource : public TensorSource {
 public:
  explicit CheckpointSource(const formats::Checkpoint& checkpoint) : checkpoint_(checkpoint) {}
  absl::StatusOr<std::optional<HostTensor>> Find(std::string_view name) const override;
  void LetGo(absl::Span<const std::byte> bytes) const override;
  std::string where() const override;

 private:
  const formats::Checkpoint& checkpoint_;
};

}  // namespace qiao::program
