// The products of multiply.h through AMX's tiles (multiply_bf16_amx.h).
#pragma once

#include "kernels/cpu/multiply.h"

namespace qiao::kernels::cpu {

// Whether these operands go through tiles: bf16 rows, and E4M3 or bf16 weights whose rows of K elements lie
// one after the other, K at least 512 and divisible by 16.
bool AmxTakes(uint32_t x, const qiao_tensor& w, const Blocks& blocks, bool transposed);

// Only where AmxTakes, on machines where Isa::kAmx was chosen. Nothing on other architectures calls it.
const Products& AmxProducts();

}  // namespace qiao::kernels::cpu
