#include "backends/cpu/i8_weights.h"

#include <cstdio>

#include "runtime/base/floats.h"

namespace qiao::cpu_backend {

using namespace qiao::plugin;

I8Use UseOfI8(const qiao_weight_request& request) {
  if (request.piece_count == 0 || request.piece[0].dtype != QIAO_I8) return I8Use::kNone;
  return request.activation == QIAO_I8 ? I8Use::kIntegers : I8Use::kAsNumbers;
}

Status ChooseI8Weight(const qiao_weight_request& request, qiao_weight_choice& choice) {
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& piece = request.piece[i];
    if (piece.dtype != QIAO_I8 || piece.scheme != QIAO_SCHEME_CHANNEL) {
      return Unimplemented(OpName(request.op) +
                           Format(": piece %u is not i8 with a scale for each row, as INT8 "
                                  "weights of this device are",
                                  i));
    }
  }
  choice.activation = request.activation;
  if (UseOfI8(request) == I8Use::kIntegers) {
    choice.dtype = QIAO_I8;
    choice.scheme = QIAO_SCHEME_CHANNEL;
    choice.layout = QIAO_LAYOUT_PIECES;
    choice.bytes = 0;
    choice.error = 0;
    std::snprintf(choice.why, sizeof(choice.why), "stays mapped: multiplied as integers");
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
  std::snprintf(choice.why, sizeof(choice.why), "stored as %s, because its rows are not quantised",
                narrow ? "bf16" : "f32");
  return Ok();
}

Status StoreI8AsNumbers(const qiao_weight_request& request, const qiao_weight_choice& choice, void* dst) {
  auto* wide = static_cast<float*>(dst);
  auto* narrow = static_cast<uint16_t*>(dst);
  int64_t at = 0;
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& piece = request.piece[i];
    for (int64_t r = 0; r < piece.rows; ++r) {
      const auto* row = static_cast<const int8_t*>(piece.data) + r * piece.ld;
      const float scale = piece.scale[piece.row0 + r];
      for (int64_t c = 0; c < piece.cols; ++c, ++at) {
        const float v = static_cast<float>(row[c]) * scale;
        if (choice.dtype == QIAO_BF16) {
          narrow[at] = FloatToBf16(v);
        } else {
          wide[at] = v;
        }
      }
    }
  }
  return Ok();
}

}  // namespace qiao::cpu_backend
