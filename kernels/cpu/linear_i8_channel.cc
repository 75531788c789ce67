#include "kernels/cpu/linear_i8_channel.h"

#include <algorithm>
#include <new>

#include "kernels/cpu/elements.h"
#include "kernels/cpu/linear_arguments.h"
#include "kernels/cpu/work.h"

namespace qiao::kernels::cpu {
namespace {

// Bytes of packed rows that stay in the second-level cache beside a chunk of the weight.
constexpr int64_t kCachedX = int64_t{1} << 20;

// Rows of x that meet the same matrix: all rows of a head, or those of an expert. Neighbours in every array.
struct Group {
  int64_t matrix;  // of the weight
  int64_t row, head, rows;
  // Numbered by Run.
  int64_t panel = 0;  // the first of its panels
  int64_t row_blocks = 0;
  int64_t first_item = 0;  // its items follow: row blocks, and of each all chunks
};

// The workspace: groups, panels, scratch.
int64_t PackedBytes(int64_t rows, int64_t groups, int64_t k) {
  // A group's last panel may hold one row only.
  const int64_t packed = rows + (kI8PanelRows - 1) * std::min(groups, rows);
  return packed * 2 * RoundUp(k, 4);
}
uint64_t Workspace(int64_t rows, int64_t groups, int64_t k, int threads) {
  return static_cast<uint64_t>(RoundUp(groups * static_cast<int64_t>(sizeof(Group)), 64) +
                               RoundUp(PackedBytes(rows, groups, k), 64) +
                               threads * RoundUp(I8ScratchBytes(k), 64));
}

struct Launch {
  Operand x, x_scale, residual, y;
  const float* bias = nullptr;  // [B,N]
  const qiao_weight_view* weight;
  int64_t n, k;
  Group* groups;
  int64_t group_count = 0;
  char* panels;
  char* scratch;  // one for each thread

  // At most `most` groups.
  Launch(const KernelCall& call, int w, int result, int64_t most)
      : x(call, kX),
        x_scale(call, kXScale),
        y(call, result),
        weight(call.data<const qiao_weight_view>(w)),
        n(y->dim[2]),
        k(x->dim[2]) {
    Memory memory(call.workspace);
    groups = memory.Take<Group>(most);
    panels = memory.Take<char>(PackedBytes(x->dim[0] * x->dim[1], most, k));
    scratch = memory.Take<char>(0);
  }

  void Add(int64_t matrix, int64_t row, int64_t head, int64_t rows) {
    new (groups + group_count++) Group{.matrix = matrix, .row = row, .head = head, .rows = rows};
  }
  int64_t chunks() const { return DivideUp(n, kI8Chunk); }
  const int8_t* Rows(const Group& group, int64_t row) const {
    return x.At<const int8_t>(group.row + row, group.head);
  }
};

int64_t PanelBytes(const I8Tiles& tiles, int64_t k) {
  return DivideUp(k, tiles.group) * tiles.panel_rows * 4;
}

int64_t RowBlock(const I8Tiles& tiles, int64_t k) {
  const int64_t bytes = tiles.panels * PanelBytes(tiles, k);
  return std::max<int64_t>(kCachedX / std::max<int64_t>(bytes, 1), 1) * tiles.panels * tiles.panel_rows;
}

// The rows of a matrix one after the other, through its pieces.
class RowWalk {
 public:
  RowWalk(const qiao_weight_view& view, int64_t matrix, int64_t row)
      : piece_(view.piece + view.group_start[matrix]) {
    for (; row >= piece_->rows; ++piece_) row -= piece_->rows;
    row_ = row;
  }
  const int8_t* data() const { return static_cast<const int8_t*>(piece_->data) + row_ * piece_->ld; }
  float scale() const { return piece_->scale[piece_->row0 + row_]; }
  // Not past the last row.
  void Next() {
    if (++row_ < piece_->rows) return;
    ++piece_;
    row_ = 0;
  }

 private:
  const qiao_piece* piece_;
  int64_t row_ = 0;
};

// The rows of the weight that an item multiplies, and the first ones of the item after it.
struct Chunk {
  const int8_t* w[kI8Chunk + kI8Ahead];
  float scale[kI8Chunk];
  int64_t count;

  Chunk(const Launch& launch, int64_t matrix, int64_t n0, int64_t next_matrix, int64_t next_n0) {
    count = std::min(kI8Chunk, launch.n - n0);
    RowWalk row(*launch.weight, matrix, n0);
    for (int64_t i = 0; i < count; ++i) {
      if (i > 0) row.Next();
      w[i] = row.data();
      scale[i] = row.scale();
    }
    // Those past the end repeat the last: their sums are dropped.
    std::fill(w + count, w + kI8Chunk + kI8Ahead, w[count - 1]);
    if (next_n0 < 0) return;
    RowWalk ahead(*launch.weight, next_matrix, next_n0);
    for (int64_t i = 0; i < std::min(kI8Ahead, launch.n - next_n0); ++i) {
      if (i > 0) ahead.Next();
      w[kI8Chunk + i] = ahead.data();
    }
  }
};

void Finish(const Launch& launch, const I8Tiles& tiles, const Group& group, const Chunk& chunk, int64_t n0,
            int64_t row, int64_t rows, const int32_t* sum) {
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t at = group.row + row + i;
    tiles.finish({.sum = sum + i * kI8Chunk,
                  .count = chunk.count,
                  .x_scale = *launch.x_scale.At<const float>(at, group.head),
                  .w_scale = chunk.scale,
                  .bias = launch.bias ? launch.bias + group.head * launch.n + n0 : nullptr,
                  .residual = launch.residual.At(at, group.head, n0),
                  .y = launch.y.At(at, group.head, n0),
                  .y_dtype = launch.y->dtype});
  }
}

// Rows row .. row + rows of a group times a chunk of its matrix.
void RunItem(const Launch& launch, const I8Tiles& tiles, const Group& group, const Chunk& chunk, int64_t n0,
             int64_t row, int64_t rows, char* scratch) {
  alignas(64) int32_t sum[kI8TileRows * kI8Chunk];
  if (group.rows <= tiles.few) {
    tiles.few_rows(launch.Rows(group, row), launch.x->stride[0], rows, chunk.w, chunk.count, launch.k, sum);
    Finish(launch, tiles, group, chunk, n0, row, rows, sum);
    return;
  }
  const int64_t bytes = PanelBytes(tiles, launch.k);
  const char* panel = launch.panels + (group.panel + row / tiles.panel_rows) * bytes;
  const int64_t tile_rows = tiles.panels * tiles.panel_rows;
  for (int64_t m = 0; m < rows; m += tile_rows, panel += tiles.panels * bytes) {
    const int64_t left = std::min(rows - m, tile_rows);
    const auto panels = static_cast<int>(DivideUp(left, tiles.panel_rows));
    for (int64_t n = 0; n < chunk.count; n += tiles.outputs) {
      // What comes next is fetched during the first pass over the chunk, after which it is in the cache.
      const bool last = n + tiles.outputs >= chunk.count;
      const int8_t* const* next = chunk.w + (m > 0 ? n : last ? kI8Chunk : n + tiles.outputs);
      tiles.tile(panel, bytes, panels, chunk.w + n, next, launch.k, scratch, sum + n);
    }
    Finish(launch, tiles, group, chunk, n0, row + m, left, sum);
  }
}

void Pack(const Launch& launch, const I8Tiles& tiles, ThreadPool& pool) {
  const Group& last = launch.groups[launch.group_count - 1];
  const int64_t panels = last.panel + (last.rows > tiles.few ? DivideUp(last.rows, tiles.panel_rows) : 0);
  const int64_t bytes = PanelBytes(tiles, launch.k);
  pool.ParallelFor(panels, Grain(bytes), [&](int64_t begin, int64_t end, int) {
    const Group* group = launch.groups;
    for (int64_t p = begin; p < end; ++p) {
      while (group->rows <= tiles.few || p >= group->panel + DivideUp(group->rows, tiles.panel_rows)) ++group;
      const int64_t row = (p - group->panel) * tiles.panel_rows;
      tiles.pack(launch.Rows(*group, row), launch.x->stride[0], std::min(tiles.panel_rows, group->rows - row),
                 launch.k, launch.panels + p * bytes);
    }
  });
}

// Numbers panels and items of the groups, and works them off.
void Run(const Launch& launch, const I8Tiles& tiles, ThreadPool& pool) {
  const int64_t row_block = RowBlock(tiles, launch.k), chunks = launch.chunks();
  int64_t panels = 0, items = 0, rows = 0;
  for (int64_t g = 0; g < launch.group_count; ++g) {
    Group& group = launch.groups[g];
    group.panel = panels;
    group.first_item = items;
    const bool packed = group.rows > tiles.few;
    group.row_blocks = packed ? DivideUp(group.rows, row_block) : 1;
    if (packed) panels += DivideUp(group.rows, tiles.panel_rows);
    items += group.row_blocks * chunks;
    rows += group.rows;
  }
  Pack(launch, tiles, pool);
  // Bytes of the weight, where there are few rows; eight rows take as long as those.
  const int64_t work = std::max<int64_t>(rows / launch.group_count / 8, 1) * kI8Chunk * launch.k;
  pool.ParallelFor(items, Grain(work), [&](int64_t begin, int64_t end, int worker) {
    char* scratch = launch.scratch + worker * RoundUp(I8ScratchBytes(launch.k), 64);
    const Group* group = std::upper_bound(launch.groups, launch.groups + launch.group_count, begin,
                                          [](int64_t i, const Group& g) { return i < g.first_item; }) -
                         1;
    for (int64_t i = begin; i < end; ++i) {
      while (i >= group->first_item + group->row_blocks * chunks) ++group;
      const int64_t within = i - group->first_item, n0 = within % chunks * kI8Chunk;
      const int64_t row = within / chunks * row_block;
      const bool more = within + 1 < group->row_blocks * chunks;
      const bool follows = more || group + 1 < launch.groups + launch.group_count;
      const Chunk chunk(launch, group->matrix, n0,
                        more      ? group->matrix
                        : follows ? group[1].matrix
                                  : 0,
                        follows ? (within + 1) % chunks * kI8Chunk : -1);
      RunItem(launch, tiles, *group, chunk, n0, row, std::min(row_block, group->rows - row), scratch);
    }
  });
}

}  // namespace

void RunLinearI8(const KernelCall& call, ThreadPool& pool, const I8Tiles& tiles) {
  using namespace linear_arg;
  const int64_t live = LiveRows(call, kX), heads = WithBatch(call.tensor[kX]).dim[1];
  Launch launch(call, kW, kY, heads);
  if (live <= 0 || launch.n <= 0 || heads <= 0) return;
  launch.residual = Operand(call, kResidual);
  if (call.has(kBias)) launch.bias = call.data<const float>(kBias);
  for (int64_t head = 0; head < heads; ++head) launch.Add(head, 0, head, live);
  Run(launch, tiles, pool);
}

void RunGroupedLinearI8(const KernelCall& call, ThreadPool& pool, const I8Tiles& tiles) {
  using namespace grouped_arg;
  const auto* ends = call.data<const int64_t>(kEnds);
  const int64_t experts = call.tensor[kEnds].dim[0];
  Launch launch(call, kW, kY, experts);
  if (launch.n <= 0) return;
  for (int64_t e = 0, first = 0; e < experts; first = ends[e++]) {
    const int64_t rows = std::min(launch.x->dim[0], ends[e]) - first;
    if (rows > 0) launch.Add(e, first, 0, rows);
  }
  if (launch.group_count > 0) Run(launch, tiles, pool);
}

uint64_t LinearI8Workspace(const qiao_op_call& call, int threads) {
  const qiao_tensor x = WithBatch(call.argument[kX]);
  return Workspace(x.dim[0] * x.dim[1], x.dim[1], x.dim[2], threads);
}

uint64_t GroupedLinearI8Workspace(const qiao_op_call& call, int threads) {
  const qiao_tensor& x = call.argument[kX];
  return Workspace(x.dim[0], call.argument[grouped_arg::kEnds].dim[0], x.dim[1], threads);
}

namespace {

void LinearI8(const KernelCall& call, ThreadPool& pool, Isa isa) { RunLinearI8(call, pool, I8TilesFor(isa)); }
void GroupedLinearI8(const KernelCall& call, ThreadPool& pool, Isa isa) {
  RunGroupedLinearI8(call, pool, I8TilesFor(isa));
}

}  // namespace

QIAO_CPU_LAUNCHER(LinearI8)
QIAO_CPU_LAUNCHER(GroupedLinearI8)

}  // namespace qiao::kernels::cpu
