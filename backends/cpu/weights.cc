#include "backends/cpu/weights.h"

#include <cstdio>
#include <string>
#include <vector>

#include "kernels/common/weights.h"
#include "kernels/cpu/packed_weight.h"
#include "kernels/cpu/support.h"

namespace qiao::cpu_backend {
namespace {

using namespace qiao::plugin;

// What the kernels see of a weight that lies in pieces.
struct Described {
  qiao_tensor tensor{};
  qiao_weight_view view{};
  std::vector<int32_t> group_start;
  bool transposed = false;
  int64_t sections = 1;
};

Described Describe(const qiao_weight_request& request) {
  Described d;
  const qiao_piece& first = request.piece[0];
  d.tensor.struct_size = sizeof(d.tensor);
  d.tensor.dtype = first.dtype;
  d.tensor.scheme = first.scheme;
  d.tensor.layout = QIAO_LAYOUT_PIECES;
  d.tensor.rank = 3;
  d.tensor.dim[0] = request.groups;
  d.tensor.dim[1] = request.rows;
  d.tensor.dim[2] = request.cols;
  d.tensor.block[0] = first.block[0];
  d.tensor.block[1] = first.block[1];
  d.group_start = kernels::GroupStarts(request.piece, request.piece_count);
  d.view = {sizeof(d.view), static_cast<uint32_t>(request.groups), d.group_start.data(), request.piece};
  d.transposed = request.op == QIAO_OP_LINEAR &&
                 static_cast<const qiao_linear_params*>(request.params)->w_transposed != 0;
  d.sections = kernels::cpu::SectionsOf(request.op, request.argument);
  return d;
}

bool IsI8(const qiao_weight_request& request) { return request.piece[0].dtype == QIAO_I8; }

// Where rows are INT8 too, they are multiplied as integers. Where they come as they are (kv_b_proj, absorbed),
// the weight is stored in their dtype with the scales multiplied in, which the host does.
Status ChooseI8(const qiao_weight_request& request, qiao_weight_choice& choice) {
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& piece = request.piece[i];
    if (piece.dtype != QIAO_I8 || piece.scheme != QIAO_SCHEME_CHANNEL) {
      return Unimplemented(
          OpName(request.op) +
          Format(": piece %u is not i8 with a scale for each row, as INT8 weights of this device are", i));
    }
  }
  choice.activation = request.activation;
  if (request.activation == QIAO_I8) {
    choice.dtype = QIAO_I8;
    choice.scheme = QIAO_SCHEME_CHANNEL;
    choice.layout = QIAO_LAYOUT_PIECES;
    choice.bytes = 0;
    choice.error = 0;
    std::snprintf(choice.why, sizeof choice.why, "as it lies in the file: multiplied as integers");
    return Ok();
  }
  if (request.activation != QIAO_F32 && request.activation != QIAO_BF16)
    return Unimplemented(OpName(request.op) + ": INT8 weights meet rows of i8, f32 and bf16");
  const bool narrow = request.activation == QIAO_BF16;
  choice.dtype = request.activation;
  choice.scheme = QIAO_SCHEME_NONE;
  choice.layout = QIAO_LAYOUT_STRIDED;
  choice.bytes = static_cast<uint64_t>(request.groups * request.rows * request.cols) * (narrow ? 2 : 4);
  choice.error = narrow ? 1.0 / 256 : 1.0 / (1 << 24);  // half a unit in the last place
  std::snprintf(choice.why, sizeof choice.why, "stored as %s, because its rows are not quantised",
                narrow ? "bf16" : "f32");
  return Ok();
}

bool MultipliesWeight(uint32_t op) {
  return op == QIAO_OP_LINEAR || op == QIAO_OP_GROUPED_LINEAR || op == QIAO_OP_MLP || op == QIAO_OP_MOE_MLP;
}

}  // namespace

Status ChooseWeight(const qiao_weight_request& request, bool pack, uint64_t alignment,
                    qiao_weight_choice& choice) {
  if (request.piece_count == 0) return InvalidArgument("weight_choose: a weight without pieces");
  if (IsI8(request)) return ChooseI8(request, choice);
  const qiao_piece& first = request.piece[0];
  std::string why;
  if (!kernels::cpu::SupportsWeight(first.dtype, first.scheme, QIAO_LAYOUT_PIECES, first.block, &why)) {
    return Unimplemented(OpName(request.op) + ": " + why);
  }
  for (uint32_t i = 1; i < request.piece_count; ++i) {
    const qiao_piece& piece = request.piece[i];
    const bool same_block = first.scheme != QIAO_SCHEME_BLOCK ||
                            (piece.block[0] == first.block[0] && piece.block[1] == first.block[1]);
    if (piece.dtype != first.dtype || piece.scheme != first.scheme || !same_block) {
      return Unimplemented(OpName(request.op) +
                           Format(": piece %u has another dtype or scale block than piece 0", i));
    }
  }
  choice.dtype = first.dtype;
  choice.scheme = first.scheme;
  choice.layout = QIAO_LAYOUT_PIECES;
  choice.block[0] = first.block[0];
  choice.block[1] = first.block[1];
  choice.activation = request.activation;
  choice.bytes = 0;
  choice.alignment = alignment;
  choice.error = 0;
  if (!pack || request.residence != QIAO_WEIGHT_COPY || !MultipliesWeight(request.op)) {
    std::snprintf(choice.why, sizeof choice.why,
                  "as it lies in the file: its rows are brought into lanes block by block");
    return Ok();
  }
  const Described d = Describe(request);
  choice.layout = QIAO_LAYOUT_OPAQUE;
  choice.bytes =
      static_cast<uint64_t>(kernels::cpu::LayOutPacked(d.tensor, d.view, d.transposed, d.sections).bytes);
  std::snprintf(choice.why, sizeof choice.why,
                "packed in groups of 16 outputs, read from end to end; values unchanged");
  return Ok();
}

Status StoreWeight(const qiao_weight_request& request, const qiao_weight_choice& choice,
                   kernels::cpu::Isa isa, ThreadPool& pool, void* to) {
  if (IsI8(request) && request.activation != QIAO_I8)
    return Unimplemented("weight_store: a plain matrix, which the host writes");
  const Described d = Describe(request);
  const kernels::cpu::PackedHeader header =
      kernels::cpu::LayOutPacked(d.tensor, d.view, d.transposed, d.sections);
  if (choice.layout != QIAO_LAYOUT_OPAQUE || choice.bytes != static_cast<uint64_t>(header.bytes)) {
    return InvalidArgument("weight_store: not a choice that weight_choose made for this weight");
  }
  kernels::cpu::StorePacked(header, d.tensor, d.view, isa, pool, static_cast<std::byte*>(to));
  return Ok();
}

}  // namespace qiao::cpu_backend
