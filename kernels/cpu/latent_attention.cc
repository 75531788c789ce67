// latent_attention: absorbed multi-head latent attention over the paged cache.
//
// All heads share a token's latent row, and the latent is the value too: a tile of the cache is widened to
// f32 once for a block of queries (latent_attention_plan.h; E4M3 latents: latent_attention_f8_block-inl.h),
// and two small matrix products (latent_attention-inl.h) do the rest.
//
// The order of sums. A query's context is cut at absolute positions into tiles of kTile tokens. A tile alone
// gives its largest score, the sum of exponentials and the weighted sum of latents, each relative to the
// tile's own largest; the tiles' results are merged in rising order by Rescale and Merge. Where there are
// blocks enough for all threads, a block's item walks all its tiles and merges as it goes; else each tile of
// each block is an item that leaves its result in the workspace, and when a wave of them has ended, they are
// merged in the same order by the same operations. So which way is taken, how blocks are cut and how many
// items a wave has changes no bit.
#include <algorithm>
#include <cstdint>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/latent_attention.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/latent_attention-inl.h"
#include "kernels/cpu/latent_attention_f8_block-inl.h"
#include "kernels/cpu/latent_attention_plan.h"
#include "kernels/cpu/ops.h"
#include "kernels/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace qiao::kernels::cpu {
namespace HWY_NAMESPACE {
namespace attention_loops {

using namespace attention;
using attention::Blocks;  // not that of the weights' packing

// T: queries and outputs; Keys: of the cache.
template <typename T, class Keys>
class Attention {
  using Rows = typename Keys::Rows;
  using Latent = typename Rows::Latent;
  using Rope = typename Rows::Rope;
  static constexpr bool kDecoded = std::is_same_v<Keys, DecodedKeys>;

 public:
  Attention(const KernelCall& call, ThreadPool& pool)
      : call_(call),
        o_(Output(call.tensor)),
        pool_(pool),
        layout_(call.tensor),
        work_(static_cast<float*>(call.workspace)),
        partials_(work_ + pool.size() * layout_.Worker()),
        partial_queries_(Partials(call.tensor, pool.size())),
        carried_(partials_ + partial_queries_ * layout_.out_stride) {}

  void Run() {
    Work all = Measure(kBlock);
    if (all.blocks == 0) return;
    // Whole blocks are dealt out largest first, so what is lost is at most the largest one's time on each
    // thread.
    const int64_t threads = pool_.size();
    if (threads == 1 || all.largest * threads * 8 <= all.cost) return RunBlocks(all);
    int64_t size = kBlock;
    for (; size > kLeastBlock && all.tiles < 2 * threads; all = Measure(size)) size /= 2;
    RunTiles(size, all);
  }

 private:
  // A worker's part of the workspace; see Layout.
  struct Room {
    float *query, *key, *weight, *total, *largest, *sum, *old, *fresh;
  };
  Room RoomOf(int worker) const {
    const Layout& l = layout_;
    Room r{};
    r.query = work_ + worker * l.Worker();
    r.key = r.query + l.Queries();
    r.weight = r.key + l.Keys();
    r.total = r.weight + l.Weights();
    r.largest = r.total + l.Sums();
    r.sum = r.largest + l.queries;
    r.old = r.sum + l.queries;
    r.fresh = r.old + l.queries;
    return r;
  }

  // Of all blocks of `size` queries; costs in multiply-adds.
  struct Work {
    int64_t blocks = 0, tiles = 0, cost = 0;
    int64_t queries = 0, largest = 0;  // the largest block's queries and cost
  };
  Work Measure(int64_t size) const {
    Work w;
    for (Blocks b(call_, size); !b.Done(); b.Next()) {
      const Block block = b.Get();
      const int64_t cost = block.count * block.context * (layout_.latent + layout_.channels);
      ++w.blocks;
      w.tiles += block.Tiles();
      w.queries = std::max(w.queries, block.count);
      w.cost += cost;
      w.largest = std::max(w.largest, cost);
    }
    return w;
  }

  void RunBlocks(const Work& all) {
    pool_.ParallelFor(all.blocks, Grain(all.cost / all.blocks),
                      [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
                        // From the back, since later blocks of a sequence see more of it.
                        Blocks first(call_, kBlock);
                        first.Skip(all.blocks - end);
                        int64_t tiles = 0;
                        Blocks b = first;
                        for (int64_t i = begin; i < end; ++i, b.Next()) tiles += b.Get().Tiles();
                        Walk(Cursor{first}, tiles, RoomOf(worker), nullptr, 0);
                      });
  }

  void RunTiles(int64_t size, const Work& all) {
    const int64_t queries = all.queries, stride = queries * layout_.out_stride;
    const int64_t slots = partial_queries_ / queries;
    Cursor wave{Blocks(call_, size)};
    for (int64_t first = 0, number = 0; first < all.tiles; first += slots, ++number) {
      const int64_t tiles = std::min(slots, all.tiles - first);
      pool_.ParallelFor(tiles, Grain(all.cost / all.tiles),
                        [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
                          Cursor at = wave;
                          at.Skip(begin);
                          Walk(at, end - begin, RoomOf(worker), partials_ + begin * stride, stride);
                        });
      Cursor next = wave;
      int64_t blocks = 0;
      for (int64_t left = tiles; left > 0; ++blocks) {
        const int64_t step = std::min(left, next.Left());
        next.Skip(step);
        left -= step;
      }
      pool_.ParallelFor(blocks * queries, Grain(tiles / blocks * layout_.wide),
                        [&](int64_t begin, int64_t end, int worker) HWY_ATTR {
                          MergeWave(wave, tiles, queries, number, begin, end, RoomOf(worker).total);
                        });
      wave = next;
    }
  }

  // The results of a wave's tiles, for queries begin .. end of its blocks, where each block counts `queries`.
  void MergeWave(Cursor at, int64_t tiles, int64_t queries, int64_t wave, int64_t begin, int64_t end,
                 float* total) const {
    const int64_t row = layout_.out_stride;
    const float* carried_in = carried_ + (wave + 1) % 2 * layout_.queries * row;
    float* carried_out = carried_ + wave % 2 * layout_.queries * row;
    const float* partial = partials_;
    for (int64_t at_query = 0; at_query < end; at_query += queries) {
      const Block block = at.blocks.Get();
      const int64_t n = std::min(tiles, at.Left());
      const int64_t last = std::min(block.count, end - at_query);
      for (int64_t q = std::max<int64_t>(begin - at_query, 0); q < last && block.Tiles() > 1; ++q) {
        std::copy_n(at.tile == 0 ? partial + q * row : carried_in + q * row, row, total);
        for (int64_t i = at.tile == 0 ? 1 : 0; i < n; ++i) MergeRow(partial + (i * queries + q) * row, total);
        if (at.tile + n == block.Tiles()) {
          Finish(total, total[layout_.wide + kSum], block.first + q);
        } else {
          std::copy_n(total, row, carried_out + q * row);
        }
      }
      partial += n * queries * row;
      tiles -= n;
      at.Skip(n);
    }
  }

  void MergeRow(const float* part, float* total) const {
    const DF d;
    float &largest = total[layout_.wide + kLargest], &sum = total[layout_.wide + kSum];
    VF most, old, fresh;
    Rescale(hn::Set(d, largest), hn::Set(d, part[layout_.wide + kLargest]), most, old, fresh);
    largest = hn::GetLane(most);
    sum = hn::GetLane(Merge(hn::Set(d, sum), old, hn::Set(d, part[layout_.wide + kSum]), fresh));
    for (int64_t c = 0; c < layout_.wide; c += kLanes)
      Store(Merge(Load(total + c), old, Load(part + c), fresh), total + c);
  }

  // Output `row` of the launch. Adding zero makes -0 and 0 one: tiles that a query does not see may have
  // turned one into the other.
  void Finish(const float* total, float sum, int64_t row) const {
    const DF d;
    const VF factor = hn::Div(hn::Set(d, 1.0f), hn::Set(d, sum)), zero = hn::Zero(d);
    T* to = call_.data<T>(o_) + RowOffset(call_.tensor[o_], row);
    if constexpr (kDecoded) {
      return StoreDecodedRow(
          layout_.latent, [&](int64_t c) HWY_ATTR { return hn::Mul(hn::Add(Load(total + c), zero), factor); },
          to);
    }
    for (int64_t c = 0; c < layout_.latent; c += kPair) {
      const VF a = hn::Mul(hn::Add(Load(total + c), zero), factor);
      const VF b = hn::Mul(hn::Add(Load(total + c + kLanes), zero), factor);
      if (c + kPair <= layout_.latent) {
        StoreStored(a, b, to + c);
      } else {
        HWY_ALIGN T padded[kPair];
        StoreStored(a, b, padded);
        std::memcpy(to + c, padded, static_cast<size_t>(layout_.latent - c) * sizeof(T));
      }
    }
  }

  // One worker's run of tiles. With `partial`, tile i of the run leaves its results there, unless it is the
  // only one of its block; without, blocks are whole.
  void Walk(Cursor at, int64_t tiles, const Room& room, float* partial, int64_t partial_stride) const {
    Rows ring[kRing];
    ReadAhead<Rows> ahead(ring, layout_, at.blocks.Get().count);
    Cursor next = at;
    int64_t found = 0, tokens = 0;  // tiles whose rows are in the ring, and tokens of those behind tile i
    for (int64_t i = 0; i < tiles; ++i) {
      for (; found < tiles && found < i + kRing && (found <= i || tokens < kTile); ++found) {
        Find(next, ring[found % kRing]);
        next.Skip(1);
        if (found > i) tokens += ring[found % kRing].count;
      }
      ahead.Turn(i, found);
      const Block block = at.blocks.Get();
      const int64_t tile = at.tile;
      if (i == 0 || tile == 0) Prepare(block, room);
      const bool merge = partial == nullptr || block.Tiles() == 1;
      float* out = merge ? room.total : partial + i * partial_stride;
      RunTile(at.blocks, block, tile, ring[i % kRing], room, merge, out, ahead);
      at.Skip(1);
      tokens -= found > i + 1 ? ring[(i + 1) % kRing].count : 0;
      if (merge && tile + 1 == block.Tiles()) {
        for (int64_t q = 0; q < block.count; ++q)
          Finish(room.total + q * layout_.out_stride, room.sum[q], block.first + q);
      }
    }
  }

  void Find(const Cursor& at, Rows& rows) const {
    const qiao_tensor &lt = call_.tensor[kLatentPool], &rt = call_.tensor[kRopePool];
    const qiao_tensor& st = call_.tensor[kLatentScale];
    const Block block = at.blocks.Get();
    const int32_t* table = call_.data<const int32_t>(kTable) + block.seq * call_.tensor[kTable].stride[0];
    const int64_t first = at.tile * kTile, page_tokens = lt.dim[1];
    const int64_t tokens = std::min(kTile, block.context - first);
    for (int64_t j = 0; j < tokens;) {
      const int64_t page = table[(first + j) / page_tokens], in_page = (first + j) % page_tokens;
      const Latent* latent =
          call_.data<const Latent>(kLatentPool) + page * lt.stride[0] + in_page * lt.stride[1];
      const Rope* rope = call_.data<const Rope>(kRopePool) + page * rt.stride[0] + in_page * rt.stride[1];
      const int64_t end = std::min(tokens, j + page_tokens - in_page);
      if constexpr (kDecoded) {
        const float* scale =
            call_.data<const float>(kLatentScale) + page * st.stride[0] + in_page * st.stride[1];
        for (int64_t i = j; i < end; ++i, scale += st.stride[1]) rows.scale[i] = scale;
      }
      for (; j < end; ++j) {
        rows.latent[j] = latent;
        rows.rope[j] = rope;
        latent += lt.stride[1];
        rope += rt.stride[1];
      }
    }
    rows.count = tokens;
    std::fill(rows.latent + tokens, rows.latent + kTile, rows.latent[tokens - 1]);
    std::fill(rows.rope + tokens, rows.rope + kTile, rows.rope[tokens - 1]);
  }

  // The block's queries, times the scale, transposed for the scores.
  void Prepare(const Block& block, const Room& room) const {
    const Layout& l = layout_;
    const float scale = call_.as<qiao_latent_attention_params>().scale;
    const qiao_tensor &lt = call_.tensor[kQLatent], &rt = call_.tensor[kQRope];
    const auto prefetch = [&](int64_t q) HWY_ATTR {
      for (int64_t row = block.first + q; row < block.first + std::min(q + kLanes, block.count); ++row) {
        const T* latent = call_.data<const T>(kQLatent) + RowOffset(lt, row);
        for (int64_t c = 0; c < l.latent; c += kLine / sizeof(T)) Prefetch<kLine>(latent + c, 0);
      }
    };
    prefetch(0);
    for (int64_t q = 0; q < block.count; q += kLanes) {
      prefetch(q + kLanes);
      const T *latent[kLanes] = {}, *rope[kLanes] = {};
      for (int64_t i = 0; i < std::min(kLanes, block.count - q); ++i) {
        const int64_t row = block.first + q + i;
        latent[i] = call_.data<const T>(kQLatent) + RowOffset(lt, row);
        rope[i] = call_.data<const T>(kQRope) + RowOffset(rt, row);
      }
      float* to = room.query + q * l.channels;
      using RopeOrder = std::conditional_t<kDecoded, Natural, Stored>;
      TransposeRows<typename Keys::Order>(latent, l.latent, l.wide, scale, to);
      TransposeRows<RopeOrder>(rope, l.rope, l.channels - l.wide, scale, to + l.wide * kLanes);
    }
  }

  // Tile number `tile` of the block: merged into room.total, or its own result as rows of `out`.
  void RunTile(const Blocks& blocks, const Block& block, int64_t tile, const Rows& rows, const Room& room,
               bool merge, float* out, ReadAhead<Rows>& ahead) const {
    const DF d;
    const Layout& l = layout_;
    const int64_t first = tile * kTile, tokens = std::min(kTile, block.context - first);
    const int64_t queries = RoundUp(block.count, kLanes);
    const Keys keys = KeysOf(rows, tokens, room, ahead);
    Scores(keys, tokens, room.query, queries, room.weight, l.queries, ahead);

    const bool masked = blocks.Seen(block, 0) < first + tokens;
    for (int64_t q = 0; q < queries; q += kLanes) {
      HWY_ALIGN float seen[kLanes];
      for (int64_t i = 0; i < kLanes && masked; ++i) {
        const int64_t last = std::min(q + i, block.count - 1);
        seen[i] = static_cast<float>(std::clamp<int64_t>(blocks.Seen(block, last) - first, 0, kTile));
      }
      VF largest, sum;
      Exponentials(room.weight + q, l.queries, tokens, masked, masked ? Load(seen) : hn::Zero(d), largest,
                   sum);
      if (!merge || tile == 0) {
        Store(largest, room.largest + q);
        Store(sum, room.sum + q);
        for (int64_t i = q; i < std::min(q + kLanes, block.count) && !merge; ++i) {
          out[i * l.out_stride + l.wide + kLargest] = room.largest[i];
          out[i * l.out_stride + l.wide + kSum] = room.sum[i];
        }
        continue;
      }
      VF most, old, fresh;
      Rescale(Load(room.largest + q), largest, most, old, fresh);
      Store(most, room.largest + q);
      Store(Merge(Load(room.sum + q), old, sum, fresh), room.sum + q);
      Store(old, room.old + q);
      Store(fresh, room.fresh + q);
    }
    Sums(keys, tokens, room.weight, l.queries, block.count, out, l.out_stride,
         merge && tile > 0 ? room.old : nullptr, room.fresh, ahead);
  }

  Keys KeysOf(const Rows& rows, int64_t tokens, const Room& room, ReadAhead<Rows>& ahead) const {
    const Layout& l = layout_;
    if constexpr (kDecoded) {
      const DecodedKeys keys{l.wide, l.channels, room.key};
      DecodeTile(rows, tokens, l, call_.tensor[kLatentPool].block[1], keys, ahead);
      return keys;
    } else {
      return Keys{&rows, l.latent, l.wide, l.rope, l.channels, room.key};
    }
  }

  const KernelCall& call_;
  const int o_;
  ThreadPool& pool_;
  const Layout layout_;
  float* const work_;
  float* const partials_;
  const int64_t partial_queries_;
  float* const carried_;
};

}  // namespace attention_loops

void LatentAttention(const KernelCall& call, ThreadPool& pool) {
  using namespace attention_loops;
  const bool narrow = call.tensor[attention::kQLatent].dtype == QIAO_BF16;
  if (attention::HasScales(call.tensor)) {
    narrow ? Attention<Bf16, DecodedKeys>(call, pool).Run() : Attention<float, DecodedKeys>(call, pool).Run();
  } else {
    narrow ? Attention<Bf16, Keys<Bf16>>(call, pool).Run() : Attention<float, Keys<float>>(call, pool).Run();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace qiao::kernels::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace qiao::kernels::cpu {

QIAO_CPU_KERNEL(LatentAttention)

uint64_t LatentAttentionWorkspace(const qiao_op_call& call, int threads) {
  return static_cast<uint64_t>(attention::WorkspaceFloats(call.argument, threads)) * sizeof(float);
}

}  // namespace qiao::kernels::cpu
#endif
