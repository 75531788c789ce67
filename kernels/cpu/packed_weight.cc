#include "kernels/cpu/packed_weight.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/cpu/weight_groups.h"

namespace qiao::kernels::cpu {
namespace {

// Whether every group's 16 outputs share their scales.
bool ShareScales(const qiao_tensor& w, const qiao_weight_view& view, bool transposed, int64_t section_rows) {
  if (transposed) return w.block[1] % kGroup == 0;
  if (w.block[0] % kGroup != 0) return false;
  for (uint32_t m = 0; m < view.groups; ++m) {
    int64_t row = 0;
    for (int32_t i = view.group_start[m]; i < view.group_start[m + 1]; ++i) {
      const qiao_piece& piece = view.piece[i];
      if (piece.row0 % kGroup != 0 || row % section_rows % kGroup != 0) return false;
      row += piece.rows;
    }
  }
  return true;
}

}  // namespace

int64_t SectionsOf(uint32_t op, uint32_t argument) {
  const bool gate_up =
      (op == QIAO_OP_MLP && argument == 1) || (op == QIAO_OP_MOE_MLP && (argument == 3 || argument == 5));
  return gate_up ? 2 : 1;
}

PackedHeader LayOutPacked(const qiao_tensor& w, const qiao_weight_view& view, bool transposed,
                          int64_t sections) {
  PackedHeader h{};
  h.magic = PackedHeader::kMagic;
  h.transposed = transposed;
  const int64_t outputs = w.dim[transposed ? 2 : 1], k = w.dim[transposed ? 1 : 2];
  qiao_tensor pieces = w;
  pieces.layout = QIAO_LAYOUT_PIECES;
  h.scale_columns = ScaleColumns(pieces, &view, transposed, 0);
  const Blocks blocks(k, h.scale_columns);
  h.section_rows = outputs / sections;
  h.section_groups = DivideUp(h.section_rows, kGroup);
  h.groups = sections * h.section_groups;
  if (w.scheme == QIAO_SCHEME_BLOCK) {
    h.scale_each = !ShareScales(w, view, transposed, h.section_rows);
    h.group_scales = blocks.scales() * (h.scale_each ? kGroup : 1);
  }
  h.group_bytes = blocks.padded() * kGroup * ElementBytes(w.dtype);
  h.scales_at = RoundUp(sizeof(PackedHeader), 64);
  h.elements_at = h.scales_at + RoundUp(w.dim[0] * h.groups * h.group_scales * 4, 4096);
  h.bytes = h.elements_at + w.dim[0] * h.groups * h.group_bytes;
  return h;
}

void StorePacked(const PackedHeader& header, const qiao_tensor& w, const qiao_weight_view& view, Isa isa,
                 ThreadPool& pool, std::byte* to) {
  const bool transposed = header.transposed != 0;
  const Blocks blocks(w.dim[transposed ? 1 : 2], header.scale_columns);
  const Products& products = ProductsFor(isa);
  qiao_tensor pieces = w;
  pieces.layout = QIAO_LAYOUT_PIECES;
  std::memcpy(to, &header, sizeof(header));
  std::atomic<bool> nans{false};
  const int64_t own = ResolverBytes(blocks, transposed);
  std::vector<std::byte> memory(static_cast<size_t>(pool.size() * own + 64));
  auto* aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
  constexpr int64_t kPiece = 1 << 20;  // bytes that are worth handing out
  const int64_t grain = std::max<int64_t>(1, kPiece / std::max<int64_t>(1, header.group_bytes));
  pool.ParallelFor(w.dim[0] * header.groups, grain, [&](int64_t begin, int64_t end, int worker) {
    GroupResolver resolver(pieces, &view, blocks, transposed, aligned + worker * own);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t matrix = i / header.groups, g = i % header.groups;
      const int64_t section = g / header.section_groups, row = g % header.section_groups * kGroup;
      const int64_t count = std::min(kGroup, header.section_rows - row);
      const GroupRef group = resolver.Resolve(0, matrix, section * header.section_rows + row, count);
      if (products.pack_group(blocks, w.dtype, group, to + header.elements_at + i * header.group_bytes))
        nans.store(true, std::memory_order_relaxed);
      if (header.group_scales == 0) continue;
      float* scale = reinterpret_cast<float*>(to + header.scales_at) + i * header.group_scales;
      for (int64_t s = 0; s < header.group_scales; ++s) {
        // The resolver may give a scale for each output where all are equal.
        if (header.scale_each) {
          scale[s] = group.scale_each ? group.scale[s] : group.scale[s / kGroup];
        } else {
          scale[s] = group.scale_each ? group.scale[s * kGroup] : group.scale[s];
        }
      }
    }
  });
  reinterpret_cast<PackedHeader*>(to)->nans = nans.load();
}

}  // namespace qiao::kernels::cpu
