#include "runtime/program/tensor_source.h"

#include "runtime/formats/checkpoint.h"

namespace qiao::program {

absl::StatusOr<std::optional<HostTensor>> CheckpointSource::Find(std::string_view name) const {
  const formats::TensorView* tensor = checkpoint_.Find(name);
  if (tensor == nullptr) return std::optional<HostTensor>();
  QIAO_RETURN_IF_ERROR(tensor->CheckUsable());
  return std::optional<HostTensor>(HostTensor{tensor->dtype, tensor->shape, tensor->data.data()});
}

void CheckpointSource::LetGo(absl::Span<const std::byte> bytes) const { checkpoint_.LetGo(bytes); }

std::string CheckpointSource::where() const { return checkpoint_.folder(); }

}  // namespace qiao::program
