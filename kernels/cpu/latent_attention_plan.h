// How a launch of latent_attention is divided into work, and how its workspace is laid out. Common to all
// targets; nothing here decides what a query computes.
//
// A query is a (row, head) pair; the queries of a sequence, in the order of rows and then heads, are cut into
// blocks that meet the cache together. A query's context is cut at multiples of kTile into tiles.
#pragma once

#include <qiao/ops.h>

#include <algorithm>
#include <cstdint>

#include "kernels/common/args.h"
#include "kernels/cpu/elements.h"

namespace qiao::kernels::cpu::attention {

enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kLatentScale };
// The output comes behind the scales, where the latent has any.
inline bool HasScales(const qiao_tensor* tensor) { return tensor[kLatentPool].dtype == QIAO_F8E4M3; }
inline int Output(const qiao_tensor* tensor) { return HasScales(tensor) ? kLatentScale + 1 : kLatentScale; }

inline constexpr int64_t kTile = 128;        // tokens; part of the arithmetic
inline constexpr int64_t kBlock = 64;        // the most queries of a block
inline constexpr int64_t kLeastBlock = 16;   // blocks are not cut below this for the sake of more items
inline constexpr int64_t kPartials = 512;    // queries whose result over one tile a worker may leave behind
inline constexpr int64_t kWidth = 32;        // channels are padded to a multiple of two of the widest vectors
inline constexpr int64_t kDecodeWidth = 64;  // an E4M3 latent's to a multiple of four, which share a scale
inline constexpr int64_t kOdd = 16;          // a line of floats, which keeps strides off the powers of two

// Sizes in floats. A worker's room holds the block's queries, transposed; some of a tile's keys, widened, or
// with E4M3 latents all of them; its weights, transposed; the block's sums; and numbers that each query has
// one of.
struct Layout {
  bool decoded;
  int64_t latent, rope, wide, channels;  // channels: latent and rope key, each padded
  int64_t out_stride;
  int64_t queries;  // of the largest block

  static constexpr int64_t kNumbers = 4;  // a query's: largest score, sum of weights, and two factors

  explicit Layout(const qiao_tensor* tensor)
      : decoded(HasScales(tensor)),
        latent(tensor[kLatentPool].dim[2]),
        rope(tensor[kRopePool].dim[2]),
        wide(RoundUp(latent, decoded ? kDecodeWidth : kWidth)),
        channels(wide + RoundUp(rope, kWidth)),
        out_stride(wide + kOdd),
        queries(std::min(kBlock, RoundUp(tensor[kQLatent].dim[0] * tensor[kQLatent].dim[1], kLeastBlock))) {}

  int64_t Queries() const { return queries * channels; }
  // Panels of decoded keys are of two channels at least and lie kOdd further apart than they are large.
  int64_t Keys() const { return decoded ? channels * (kTile + kOdd / 2) : kTile * kWidth; }
  int64_t Weights() const { return kTile * queries; }
  int64_t Sums() const { return queries * out_stride; }
  int64_t Worker() const { return Queries() + Keys() + Weights() + Sums() + kNumbers * queries; }
};

// A query's result over some of its context: out_stride floats, of which the first `latent` are the weighted
// sum of latents and these two follow the padded ones.
inline constexpr int64_t kLargest = 0, kSum = 1;

// Queries that there is room for partial results of, all workers together. One worker leaves none behind.
inline int64_t Partials(const qiao_tensor* tensor, int threads) {
  const int64_t tokens = tensor[kTable].dim[1] * tensor[kLatentPool].dim[1];
  const int64_t all = tensor[kQLatent].dim[0] * tensor[kQLatent].dim[1] * DivideUp(tokens, kTile);
  return threads == 1 ? 0 : std::min(threads * kPartials, all);
}

// Two blocks' sums are carried from one wave of items to the next.
inline int64_t WorkspaceFloats(const qiao_tensor* tensor, int threads) {
  const Layout l(tensor);
  return threads * l.Worker() + (Partials(tensor, threads) + 2 * l.queries) * l.out_stride;
}

struct Block {
  int64_t seq;
  int64_t first, count;  // queries of the launch: row * heads + head
  int64_t context;       // tokens that the last of them sees
  int64_t Tiles() const { return DivideUp(context, kTile); }
};

// The blocks of a launch, one after the other.
class Blocks {
 public:
  Blocks(const KernelCall& call, int64_t block)
      : start_(call.data<const int32_t>(kQStart)),
        length_(call.data<const int32_t>(kKvLen)),
        heads_(call.tensor[kQLatent].dim[1]),
        rows_(LiveRows(call, kQLatent)),
        seqs_(call.tensor[kKvLen].dim[0]),
        block_(block) {
    if (call.batch) seqs_ = std::min<int64_t>(seqs_, call.batch->seqs);
    Settle();
  }

  bool Done() const { return seq_ >= seqs_; }
  Block Get() const {
    Block b{seq_, start_[seq_] * heads_ + from_, std::min(block_, Pairs() - from_), 0};
    b.context = Seen(b, b.count - 1);
    return b;
  }
  void Next() {
    from_ += block_;
    Settle();
  }
  // Past n blocks; whole sequences in one step.
  void Skip(int64_t n) {
    while (n > 0 && !Done()) {
      const int64_t left = DivideUp(Pairs() - from_, block_);
      if (n < left) {
        from_ += n * block_;
        return;
      }
      n -= left;
      from_ = Pairs();
      Settle();
    }
  }
  // How many tokens the block's query i sees.
  int64_t Seen(const Block& b, int64_t i) const {
    return length_[b.seq] - start_[b.seq + 1] + (b.first + i) / heads_ + 1;
  }

 private:
  int64_t Pairs() const { return (std::min<int64_t>(start_[seq_ + 1], rows_) - start_[seq_]) * heads_; }
  // Past sequences without queries left.
  void Settle() {
    while (seq_ < seqs_ && from_ >= Pairs()) {
      ++seq_;
      from_ = 0;
    }
  }

  const int32_t *start_, *length_;
  int64_t heads_, rows_, seqs_, block_;
  int64_t seq_ = 0, from_ = 0;
};

// The tiles of the blocks of a launch, one after the other; tiles of a block in rising order.
struct Cursor {
  Blocks blocks;
  int64_t tile = 0;

  // Tiles of the block from here on.
  int64_t Left() const { return blocks.Get().Tiles() - tile; }
  void Skip(int64_t n) {
    while (n > 0 && !blocks.Done()) {
      const int64_t step = std::min(n, Left());
      tile += step;
      n -= step;
      if (Left() == 0) {
        blocks.Next();
        tile = 0;
      }
    }
  }
};

}  // namespace qiao::kernels::cpu::attention
