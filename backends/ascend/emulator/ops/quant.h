// Per-row quantisation to INT8, which DynamicQuant and MoeInitRoutingV3 share.
#pragma once

#include "backends/ascend/emulator/nnopbase/view.h"

namespace qiao::cann {

// Per row: scale = max|x * smooth| / 127, y = x * smooth / scale to the nearest integer, ties to even. x f32, f16 or bf16
// [.., K]; smooth (may be null) broadcasts to x; y i8 of x's shape; scale f32 without the last dimension.
void QuantiseRows(const View& x, const View* smooth, const View& y, const View& scale);

}  // namespace qiao::cann
