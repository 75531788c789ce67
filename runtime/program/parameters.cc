#include "runtime/program/parameters.h"

#include <algorithm>

#include "runtime/base/checked.h"
#include "runtime/base/to_floats.h"

namespace qiao::program {
namespace {

absl::Status Missing(const TensorSource& source, std::string_view tensor) {
  return NotFound(
      "%s: tensor \"%s\" is missing; the checkpoint is incomplete, or its config.json describes another "
      "model",
      source.where(), tensor);
}

bool IsPlainFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// All elements of a tensor whose dtype IsPlainFloat.
std::vector<float> Floats(const HostTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  ToFloats(tensor.dtype, tensor.data, tensor.shape.elements(), values.data());
  return values;
}

}  // namespace

const void* Parameters::Aligned(const HostTensor& tensor, std::string_view name) {
  if (reinterpret_cast<uintptr_t>(tensor.data) % SizeOf(tensor.dtype) == 0) return tensor.data;
  std::vector<std::byte>& copy = copies_[std::string(name)];
  if (copy.empty()) {
    const size_t bytes = static_cast<size_t>(tensor.shape.elements()) * SizeOf(tensor.dtype);
    copy.assign(tensor.data, tensor.data + bytes);
  }
  return copy.data();
}

absl::StatusOr<qiao_piece> Parameters::Resolve(const Slice& slice) {
  QIAO_ASSIGN_OR_RETURN(std::optional<HostTensor> found, source_.Find(slice.tensor));
  if (!found) return Missing(source_, slice.tensor);
  const Shape want{slice.rows, slice.cols};
  if (found->shape != want) {
    return InvalidArgument("%s: tensor \"%s\" has shape %s, but config.json makes it %s", source_.where(),
                           slice.tensor, found->shape.ToString(), want.ToString());
  }
  if (slice.row0 < 0 || slice.count < 0 || slice.row0 + slice.count > slice.rows) {
    return Internal("rows %d..%d of \"%s\" are outside its %d rows", slice.row0, slice.row0 + slice.count,
                    slice.tensor, slice.rows);
  }
  qiao_piece piece{};
  piece.struct_size = sizeof(piece);
  piece.dtype = static_cast<uint32_t>(found->dtype);
  const auto* first = static_cast<const std::byte*>(Aligned(*found, slice.tensor));
  piece.data = first + static_cast<size_t>(slice.row0 * slice.cols) * SizeOf(found->dtype);
  piece.rows = slice.count;
  piece.cols = slice.cols;
  piece.ld = slice.cols;
  piece.row0 = slice.row0;
  piece.group = slice.group;
  if (IsPlainFloat(found->dtype)) return piece;
  if (found->dtype == DType::kF8E4M3 || found->dtype == DType::kF8E5M2) {
    QIAO_RETURN_IF_ERROR(ResolveBlockScales(slice, piece));
  } else if (found->dtype == DType::kI8) {
    QIAO_RETURN_IF_ERROR(ResolveChannelScales(slice, piece));
  } else {
    return InvalidArgument(
        "%s: tensor \"%s\" is %s, which is no weight format that Qiao computes with (f32, f16, bf16, f8, i8)",
        source_.where(), slice.tensor, Name(found->dtype));
  }
  return piece;
}

absl::StatusOr<Parameters::Scale> Parameters::FindScale(const Slice& slice, const qiao_piece& piece) {
  const auto dtype = static_cast<DType>(piece.dtype);
  if (quantisation_.scale_suffix.empty()) {
    return InvalidArgument(
        "%s: tensor \"%s\" is %s, but config.json has no quantization_config that says how it is scaled",
        source_.where(), slice.tensor, Name(dtype));
  }
  if (quantisation_.channel != (dtype == DType::kI8)) {
    return InvalidArgument("%s: tensor \"%s\" is %s, but by config.json's quantization_config it would be %s",
                           source_.where(), slice.tensor, Name(dtype),
                           quantisation_.channel ? "i8 with a scale for each row" : "f8 in scale blocks");
  }
  std::string name = slice.tensor + quantisation_.scale_suffix;
  QIAO_ASSIGN_OR_RETURN(std::optional<HostTensor> tensor, source_.Find(name));
  if (!tensor) return Missing(source_, name);
  return Scale{std::move(name), *std::move(tensor)};
}

absl::Status Parameters::ResolveBlockScales(const Slice& slice, qiao_piece& piece) {
  QIAO_ASSIGN_OR_RETURN(const Scale scale, FindScale(slice, piece));
  const Shape shape{CeilDiv<int64_t>(slice.rows, quantisation_.block[0]),
                    CeilDiv<int64_t>(slice.cols, quantisation_.block[1])};
  if (scale.tensor.dtype != DType::kF32 || scale.tensor.shape != shape) {
    return InvalidArgument("%s: tensor \"%s\" is %s%s, but the %dx%d blocks of a %s weight need f32%s",
                           source_.where(), scale.name, Name(scale.tensor.dtype),
                           scale.tensor.shape.ToString(), quantisation_.block[0], quantisation_.block[1],
                           Shape{slice.rows, slice.cols}.ToString(), shape.ToString());
  }
  piece.scheme = QIAO_SCHEME_BLOCK;
  piece.scale = static_cast<const float*>(Aligned(scale.tensor, scale.name));
  piece.scale_ld = shape[1];
  piece.block[0] = quantisation_.block[0];
  piece.block[1] = quantisation_.block[1];
  return absl::OkStatus();
}

absl::Status Parameters::ResolveChannelScales(const Slice& slice, qiao_piece& piece) {
  QIAO_ASSIGN_OR_RETURN(const Scale scale, FindScale(slice, piece));
  if (!IsPlainFloat(scale.tensor.dtype) ||
      (scale.tensor.shape != Shape{slice.rows, 1} && scale.tensor.shape != Shape{slice.rows})) {
    return InvalidArgument("%s: tensor \"%s\" is %s%s, but the rows of a %s weight need f32, bf16 or f16%s",
                           source_.where(), scale.name, Name(scale.tensor.dtype),
                           scale.tensor.shape.ToString(), Shape{slice.rows, slice.cols}.ToString(),
                           Shape{slice.rows, 1}.ToString());
  }
  std::vector<float>& scales = channel_scales_[slice.tensor];
  if (scales.empty()) scales = Floats(scale.tensor);
  piece.scheme = QIAO_SCHEME_CHANNEL;
  piece.scale = scales.data();
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Parameters::AddWeight(std::string_view name,
                                              absl::FunctionRef<std::vector<Slice>()> slices) {
  if (auto it = weight_by_name_.find(Abs(name)); it != weight_by_name_.end()) return it->second;
  Weight weight;
  weight.name = name;
  int64_t rows = 0;
  for (const Slice& slice : slices()) {
    QIAO_ASSIGN_OR_RETURN(qiao_piece piece, Resolve(slice));
    if (!weight.pieces.empty()) {
      const qiao_piece& first = weight.pieces.front();
      if (piece.dtype != first.dtype || piece.cols != first.cols) {
        return InvalidArgument(
            "%s: the tensors of %s differ in dtype or width: \"%s\" is %s with %d columns, the first is %s "
            "with %d",
            source_.where(), name, slice.tensor, Name(static_cast<DType>(piece.dtype)), piece.cols,
            Name(static_cast<DType>(first.dtype)), first.cols);
      }
    }
    if (weight.group_start.empty() || piece.group != weight.pieces.back().group) {
      if (piece.group != static_cast<int32_t>(weight.group_start.size())) {
        return Internal("%s: groups of slices are not 0, 1, 2, ...", name);
      }
      if (weight.group_start.size() > 1 && rows != weight.rows)
        return Internal("%s: groups differ in rows", name);
      weight.group_start.push_back(static_cast<int32_t>(weight.pieces.size()));
      rows = 0;
    }
    rows += piece.rows;
    if (weight.group_start.size() == 1) weight.rows = rows;
    weight.file_bytes +=
        static_cast<uint64_t>(piece.rows * piece.cols) * SizeOf(static_cast<DType>(piece.dtype));
    if (piece.scheme == QIAO_SCHEME_BLOCK) {
      const int64_t blocks = (piece.row0 + piece.rows - 1) / piece.block[0] - piece.row0 / piece.block[0] + 1;
      weight.file_bytes += static_cast<uint64_t>(blocks * piece.scale_ld) * sizeof(float);
    }
    if (piece.scheme == QIAO_SCHEME_CHANNEL)
      weight.file_bytes += static_cast<uint64_t>(piece.rows) * sizeof(float);
    weight.cols = piece.cols;
    weight.pieces.push_back(piece);
  }
  if (weight.pieces.empty()) return Internal("%s: a weight without slices", name);
  if (rows != weight.rows) return Internal("%s: groups differ in rows", name);
  weight.groups = static_cast<int64_t>(weight.group_start.size());
  weight.group_start.push_back(static_cast<int32_t>(weight.pieces.size()));
  const auto index = static_cast<int32_t>(weights_.size());
  weights_.push_back(std::move(weight));
  weight_by_name_.emplace(name, index);
  return index;
}

absl::StatusOr<int32_t> Parameters::AddVector(std::string_view name, int64_t size) {
  if (auto it = vector_by_name_.find(Abs(name)); it != vector_by_name_.end()) return it->second;
  QIAO_ASSIGN_OR_RETURN(std::optional<HostTensor> found, source_.Find(name));
  if (!found) return Missing(source_, name);
  if (found->shape != Shape{size}) {
    return InvalidArgument("%s: tensor \"%s\" has shape %s, but config.json makes it [%d]", source_.where(),
                           name, found->shape.ToString(), size);
  }
  if (!IsPlainFloat(found->dtype)) {
    return InvalidArgument("%s: tensor \"%s\" is %s; f32, f16 or bf16 was expected", source_.where(), name,
                           Name(found->dtype));
  }
  Vector vector;
  vector.name = name;
  vector.values = Floats(*found);
  const auto index = static_cast<int32_t>(vectors_.size());
  vectors_.push_back(std::move(vector));
  vector_by_name_.emplace(name, index);
  return index;
}

absl::StatusOr<bool> Parameters::Has(std::string_view tensor) const {
  QIAO_ASSIGN_OR_RETURN(std::optional<HostTensor> found, source_.Find(tensor));
  return found.has_value();
}

}  // namespace qiao::program
