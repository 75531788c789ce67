#include "kernels/cpu/products_amx.h"

#include <algorithm>

#include "kernels/cpu/multiply_bf16_amx.h"

namespace qiao::kernels::cpu {
namespace {

constexpr int64_t kLeastColumns = 512;  // fewer, and packed columns could take more than f32 rows do

#if defined(__x86_64__)

AmxColumns ColumnsOf(const Blocks& blocks, int64_t rows, const void* data) {
  AmxColumns x;
  x.data = static_cast<const std::byte*>(data);
  x.count = rows;
  x.steps = AmxColumns::Steps(2 * blocks.size);
  return x;
}

// A tile of 16 rows is packed by the call that its first row belongs to.
void Pack(const PackCall& call) {
  const AmxColumns x = ColumnsOf(*call.blocks, call.rows, call.out);
  const void* row[kMostRows];
  const int64_t end = std::min(call.rows, RoundUp(call.end, 16));
  for (int64_t r = call.begin; r < end; ++r) row[r] = call.x + (call.index ? call.index[r] : r) * call.stride;
  for (int64_t tile = DivideUp(call.begin, 16); 16 * tile < call.end; ++tile)
    PackAmxColumns(x, tile, row, 2 * call.blocks->size, reinterpret_cast<std::byte*>(call.out));
}

void Multiply(const MultiplyCall& call) {
  const Blocks& blocks = *call.blocks;
  AmxRows rows[kMaxGroups];
  for (int g = 0; g < call.groups; ++g) {
    for (int i = 0; i < 16; ++i) {
      rows[g].row[i] = call.group[g].line[i];
      rows[g].scale[i] = call.group[g].row_scale ? call.group[g].row_scale[i] : nullptr;
    }
  }
  const AmxWeight weight{
      .e4m3 = call.dtype == QIAO_F8E4M3, .k = blocks.size, .block = blocks.block * blocks.per_scale};
  MultiplyBf16Amx(weight, rows, call.groups, ColumnsOf(blocks, call.rows, call.x), nullptr, 0, call.scratch,
                  call.sum, call.groups * kGroup);
}

#endif

}  // namespace

bool AmxTakes(uint32_t x, const qiao_tensor& w, const Blocks& blocks, bool transposed) {
  const int64_t columns = blocks.block * blocks.per_scale;  // that share a scale
  const bool scales = w.scheme == QIAO_SCHEME_BLOCK && columns % 32 == 0 && columns <= 512;
  return x == QIAO_BF16 && !transposed && w.layout != QIAO_LAYOUT_OPAQUE &&
         (w.dtype == QIAO_F8E4M3 ? scales : w.dtype == QIAO_BF16 && w.scheme == QIAO_SCHEME_NONE) &&
         blocks.size >= kLeastColumns && blocks.size % 16 == 0;
}

const Products& AmxProducts() {
  static const Products table = [] {
    Products p = ProductsFor(Isa::kAmx);
#if defined(__x86_64__)
    p.few_rows = 16;
    p.few_groups = p.many_groups = 4;
    p.row_tile = 16;
    p.row_block = kMostRows;
    p.pack = Pack;
    p.multiply = Multiply;
#endif
    return p;
  }();
  return table;
}

}  // namespace qiao::kernels::cpu
