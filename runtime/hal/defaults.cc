// What the runtime does where a plugin has no entry of its own: weights as row-major matrices or as they lie
// in the files, caches with one kind after the other.
#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <vector>

#include "runtime/base/checked.h"
#include "runtime/base/dtype.h"
#include "runtime/base/floats.h"
#include "runtime/base/to_floats.h"
#include "runtime/hal/device.h"
#include "runtime/hal/device_state.h"

namespace qiao::hal {
namespace {

// Weights travel through host memory in chunks of about this size.
constexpr uint64_t kChunkBytes = 4 << 20;

std::string DTypeName(uint32_t dtype) { return std::string(Name(static_cast<DType>(dtype))); }

bool HasScheme(const qiao_piece& piece) { return piece.scheme != QIAO_SCHEME_NONE; }

// What the pieces can be turned into without loss: their own dtype, or f32.
uint32_t ExactDType(const qiao_weight_request& request) {
  const uint32_t first = request.piece[0].dtype;
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& piece = request.piece[i];
    if (HasScheme(piece) || piece.dtype != first) return QIAO_F32;
  }
  return first;
}

// The pieces must cover [groups, rows, cols] exactly, group by group.
absl::Status CheckPieces(const qiao_weight_request& request) {
  const std::string where = absl::StrFormat("weight [%d, %d, %d], argument %d of op %d", request.groups,
                                            request.rows, request.cols, request.argument, request.op);
  if (request.groups < 1 || request.rows < 1 || request.cols < 1 || request.piece_count < 1 ||
      !request.piece) {
    return InvalidArgument("%s: it has no elements or no pieces (%d)", where, request.piece_count);
  }
  int64_t group = 0, rows = 0;
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& p = request.piece[i];
    if (!p.data || SizeOf(static_cast<DType>(p.dtype)) == 0) {
      return InvalidArgument("%s: piece %d has no data or dtype %d", where, i, p.dtype);
    }
    if (p.cols != request.cols || p.rows < 1 || p.ld < p.cols || p.row0 < 0) {
      return InvalidArgument("%s: piece %d is [%d, %d] with leading dimension %d, from row %d", where, i,
                             p.rows, p.cols, p.ld, p.row0);
    }
    const bool channel = p.scheme == QIAO_SCHEME_CHANNEL && p.scale;
    if (HasScheme(p) && !channel &&
        (p.scheme != QIAO_SCHEME_BLOCK || !p.scale || p.block[0] < 1 || p.block[1] < 1 ||
         p.scale_ld < CeilDiv<int64_t>(p.cols, p.block[1]))) {
      return InvalidArgument("%s: piece %d has scheme %d with blocks of %d x %d and %d scales a row", where,
                             i, p.scheme, p.block[0], p.block[1], p.scale_ld);
    }
    if (rows == request.rows) {
      ++group;
      rows = 0;
    }
    if (p.group != group || p.rows > request.rows - rows) {
      return InvalidArgument("%s: piece %d, %d rows of group %d, does not follow %d rows of group %d", where,
                             i, p.rows, p.group, rows, group);
    }
    rows += p.rows;
  }
  if (group != request.groups - 1 || rows != request.rows) {
    return InvalidArgument("%s: its pieces end at row %d of group %d", where, rows, group);
  }
  return absl::OkStatus();
}

std::optional<uint64_t> MatrixBytes(const qiao_weight_request& request, uint32_t dtype) {
  auto bytes =
      CheckedMul<uint64_t>(static_cast<uint64_t>(request.groups), static_cast<uint64_t>(request.rows));
  if (bytes) bytes = CheckedMul(*bytes, static_cast<uint64_t>(request.cols));
  if (bytes) bytes = CheckedMul(*bytes, SizeOf(static_cast<DType>(dtype)));
  return bytes;
}

// Row r of a piece, times its scales. One product per element, so the result is the f32 nearest to it.
void DequantiseRow(const qiao_piece& p, int64_t r, float* to) {
  const auto dtype = static_cast<DType>(p.dtype);
  const auto* from = static_cast<const std::byte*>(p.data) + static_cast<size_t>(r * p.ld) * SizeOf(dtype);
  ToFloats(dtype, from, p.cols, to);
  if (!HasScheme(p)) return;
  if (p.scheme == QIAO_SCHEME_CHANNEL) {
    for (int64_t c = 0; c < p.cols; ++c) to[c] *= p.scale[p.row0 + r];
    return;
  }
  const float* scale = p.scale + ((p.row0 + r) / p.block[0]) * p.scale_ld;
  for (int64_t c = 0; c < p.cols; ++c) to[c] *= scale[c / p.block[1]];
}

}  // namespace

absl::StatusOr<qiao_weight_choice> Device::ChooseWeight(const qiao_weight_request& request) const {
  QIAO_RETURN_IF_ERROR(Alive());
  QIAO_RETURN_IF_ERROR(CheckPieces(request));
  qiao_weight_choice choice{};
  choice.struct_size = sizeof(choice);
  choice.activation = request.activation;
  choice.alignment = alignment();
  Error error;
  int32_t code = backend_->table().weight_choose(handle_, &request, &choice, &error);
  if (code == QIAO_UNIMPLEMENTED && request.residence != QIAO_WEIGHT_MAP) {
    // A plugin may be older than the wish, and refuse what it does not know.
    qiao_weight_request plain = request;
    plain.residence = QIAO_WEIGHT_MAP;
    code = backend_->table().weight_choose(handle_, &plain, &choice, &error);
  }
  if (code == QIAO_OK) {
    choice.struct_size = sizeof(choice);
    choice.why[sizeof(choice.why) - 1] = '\0';
    if (choice.layout > QIAO_LAYOUT_OPAQUE || SizeOf(static_cast<DType>(choice.dtype)) == 0 ||
        !std::has_single_bit(choice.alignment) ||
        (choice.layout == QIAO_LAYOUT_PIECES && choice.bytes != 0)) {
      return Internal(
          "device %s: choosing a weight's form: the plugin answers dtype %d, layout %d, %d bytes, alignment "
          "%d, which is no form",
          name_, choice.dtype, choice.layout, choice.bytes, choice.alignment);
    }
    return choice;
  }
  if (code != QIAO_UNIMPLEMENTED) {
    return Failed(code, error,
                  absl::StrFormat("choosing how to store weight [%d, %d, %d], argument %d of op %d",
                                  request.groups, request.rows, request.cols, request.argument, request.op));
  }

  choice.activation = request.activation;
  choice.alignment = alignment();
  const qiao_piece& first = request.piece[0];
  if (unified()) {
    choice.dtype = first.dtype;
    choice.scheme = first.scheme;
    choice.block[0] = first.block[0];
    choice.block[1] = first.block[1];
    choice.layout = QIAO_LAYOUT_PIECES;
    absl::SNPrintF(choice.why, sizeof(choice.why), "as it lies in the files");
    return choice;
  }
  choice.dtype = ExactDType(request);
  choice.layout = QIAO_LAYOUT_STRIDED;
  const auto bytes = MatrixBytes(request, choice.dtype);
  if (!bytes) {
    return InvalidArgument("weight [%d, %d, %d] has more bytes than fit in 64 bits", request.groups,
                           request.rows, request.cols);
  }
  choice.bytes = *bytes;
  absl::SNPrintF(choice.why, sizeof(choice.why), "row-major %s, written by the runtime",
                 DTypeName(choice.dtype));
  return choice;
}

absl::Status Device::StoreWeight(Stream& stream, const qiao_weight_request& request,
                                 const qiao_weight_choice& choice, void* dst) const {
  if (choice.layout == QIAO_LAYOUT_PIECES) return absl::OkStatus();
  QIAO_RETURN_IF_ERROR(Alive());
  if (stream.device().get() != this)
    return InvalidArgument("device %s: storing a weight on another's stream", name_);
  QIAO_RETURN_IF_ERROR(CheckPieces(request));
  Error error;
  // The choice says all; an older plugin refuses a wish that it does not know.
  qiao_weight_request plain = request;
  plain.residence = QIAO_WEIGHT_MAP;
  const int32_t code = backend_->table().weight_store(stream.handle(), &plain, &choice, dst, &error);
  if (code == QIAO_OK) return stream.Synchronize();
  if (code == QIAO_UNIMPLEMENTED && choice.layout == QIAO_LAYOUT_STRIDED &&
      choice.scheme == QIAO_SCHEME_NONE) {
    return StorePieces(stream, request, choice, dst);
  }
  return Failed(code, error,
                absl::StrFormat("storing weight [%d, %d, %d] as %s, layout %d", request.groups, request.rows,
                                request.cols, DTypeName(choice.dtype), choice.layout));
}

absl::Status Device::StorePieces(Stream& stream, const qiao_weight_request& request,
                                 const qiao_weight_choice& choice, void* dst) const {
  const size_t size = SizeOf(static_cast<DType>(choice.dtype));
  const auto bytes = MatrixBytes(request, choice.dtype);
  if (!bytes || *bytes != choice.bytes) {
    return InvalidArgument(
        "device %s: storing weight [%d, %d, %d] as row-major %s takes %d bytes, the choice says %d", name_,
        request.groups, request.rows, request.cols, DTypeName(choice.dtype), bytes.value_or(0), choice.bytes);
  }
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& p = request.piece[i];
    const bool same = p.dtype == choice.dtype && !HasScheme(p);
    const bool number = choice.dtype == QIAO_F32 || choice.dtype == QIAO_BF16;
    if (!same && !(number && HasFloats(static_cast<DType>(p.dtype)))) {
      return Unimplemented(
          "device %s: the runtime cannot store a %s piece as %s; the plugin's weight_store must", name_,
          DTypeName(p.dtype), DTypeName(choice.dtype));
    }
  }

  const uint64_t row_bytes = static_cast<uint64_t>(request.cols) * size;
  const auto chunk_rows = static_cast<int64_t>(std::max<uint64_t>(1, kChunkBytes / row_bytes));
  std::vector<std::byte> chunk;
  std::vector<float> numbers(choice.dtype == QIAO_BF16 ? static_cast<size_t>(request.cols) : 0);
  auto* to = static_cast<std::byte*>(dst);
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& p = request.piece[i];
    const bool same = p.dtype == choice.dtype && !HasScheme(p);
    if (same && p.ld == p.cols) {
      const uint64_t all = static_cast<uint64_t>(p.rows) * row_bytes;
      QIAO_RETURN_IF_ERROR(stream.CopyToDevice(to, p.data, all));
      to += all;
      continue;
    }
    for (int64_t r0 = 0; r0 < p.rows; r0 += chunk_rows) {
      const int64_t rows = std::min(chunk_rows, p.rows - r0);
      // The chunk before must have left; the first time there is nothing to wait for.
      if (!chunk.empty()) QIAO_RETURN_IF_ERROR(stream.Synchronize());
      chunk.resize(static_cast<size_t>(rows) * row_bytes);
      for (int64_t r = 0; r < rows; ++r) {
        std::byte* row = chunk.data() + static_cast<size_t>(r) * row_bytes;
        if (same) {
          const auto* from =
              static_cast<const std::byte*>(p.data) + static_cast<size_t>((r0 + r) * p.ld) * size;
          std::memcpy(row, from, row_bytes);
        } else if (choice.dtype == QIAO_BF16) {
          DequantiseRow(p, r0 + r, numbers.data());
          std::transform(numbers.begin(), numbers.end(), reinterpret_cast<uint16_t*>(row), FloatToBf16);
        } else {
          DequantiseRow(p, r0 + r, reinterpret_cast<float*>(row));
        }
      }
      QIAO_RETURN_IF_ERROR(stream.CopyToDevice(to, chunk.data(), chunk.size()));
      to += chunk.size();
    }
  }
  return stream.Synchronize();
}

absl::StatusOr<uint64_t> Device::ChooseCache(int64_t pages, int64_t page_tokens,
                                             absl::Span<qiao_row_kind> kinds) const {
  QIAO_RETURN_IF_ERROR(Alive());
  if (pages < 1 || page_tokens < 1 || kinds.empty()) {
    return InvalidArgument("a cache of %d pages of %d tokens with %d row kinds", pages, page_tokens,
                           kinds.size());
  }
  for (const qiao_row_kind& kind : kinds) {
    if (kind.width < 1 || SizeOf(static_cast<DType>(kind.dtype)) == 0) {
      return InvalidArgument("a cache row of %d elements of dtype %d", kind.width, kind.dtype);
    }
  }
  Error error;
  uint64_t pool_bytes = 0;
  const int32_t code = backend_->table().cache_choose(
      handle_, pages, page_tokens, static_cast<uint32_t>(kinds.size()), kinds.data(), &pool_bytes, &error);
  if (code == QIAO_OK) {
    for (const qiao_row_kind& kind : kinds) {
      // The last row of the last page must end inside the pool.
      const uint64_t row = static_cast<uint64_t>(kind.width) * SizeOf(static_cast<DType>(kind.dtype));
      auto end = CheckedMul<uint64_t>(static_cast<uint64_t>(pages - 1), kind.page_stride);
      auto rows = CheckedMul<uint64_t>(static_cast<uint64_t>(page_tokens - 1), kind.row_stride);
      if (end && rows) end = CheckedAdd(*end, *rows);
      if (end) end = CheckedAdd(*end, kind.offset);
      if (end) end = CheckedAdd(*end, row);
      if (!end || !rows || *end > pool_bytes) {
        return Internal(
            "device %s: choosing a cache: offset %d, strides %d and %d leave its own pool of %d bytes", name_,
            kind.offset, kind.page_stride, kind.row_stride, pool_bytes);
      }
    }
    return pool_bytes;
  }
  if (code != QIAO_UNIMPLEMENTED) {
    return Failed(code, error,
                  absl::StrFormat("choosing a cache of %d pages of %d tokens", pages, page_tokens));
  }

  uint64_t at = 0;
  for (qiao_row_kind& kind : kinds) {
    const auto row =
        CheckedMul<uint64_t>(static_cast<uint64_t>(kind.width), SizeOf(static_cast<DType>(kind.dtype)));
    auto page = row ? CheckedMul(*row, static_cast<uint64_t>(page_tokens)) : row;
    auto all = page ? CheckedMul(*page, static_cast<uint64_t>(pages)) : page;
    // Rounding up must not wrap either.
    if (all) all = CheckedAdd(*all, alignment());
    const auto end = all ? CheckedAdd(at, *all) : all;
    if (!end) {
      return InvalidArgument(
          "a cache of %d pages of %d tokens of %d elements has more bytes than fit in 64 bits", pages,
          page_tokens, kind.width);
    }
    kind.offset = at;
    kind.row_stride = *row;
    kind.page_stride = *page;
    at = RoundUp(at + *page * static_cast<uint64_t>(pages), alignment());
  }
  return at;
}

}  // namespace qiao::hal
