#include "runtime/program/piece_copy.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/checked.h"
#include "runtime/base/dtype.h"
#include "runtime/base/threads.h"

namespace qiao::program {
namespace {

constexpr uint64_t kAlignment = 64;
// One thread's share at a time. Cut at multiples of a huge page in the block, so that no two threads wait for
// the kernel to clear the same one.
constexpr uint64_t kChunk = uint64_t{2} << 20;
// Between two reports: some milliseconds, and some chunks for each thread.
constexpr uint64_t kRound = uint64_t{64} << 20, kRoundPerThread = 4 * kChunk;

struct Chunk {
  const std::byte* from;
  uint64_t to, bytes;
};

}  // namespace

PieceBytes BytesOf(const qiao_piece& piece) {
  PieceBytes bytes;
  if (piece.rows <= 0 || piece.cols <= 0) return bytes;
  const auto elements = static_cast<size_t>((piece.rows - 1) * piece.ld + piece.cols);
  bytes.data = {static_cast<const std::byte*>(piece.data),
                elements * SizeOf(static_cast<DType>(piece.dtype))};
  if (piece.scheme != QIAO_SCHEME_NONE && piece.scale != nullptr) {
    // A scheme other than blocks has one scale a row.
    const int64_t block = piece.scheme == QIAO_SCHEME_BLOCK ? piece.block[0] : 1;
    const int64_t scale_ld = piece.scheme == QIAO_SCHEME_BLOCK ? piece.scale_ld : 1;
    const auto rows = static_cast<size_t>((piece.row0 + piece.rows - 1) / block + 1);
    bytes.scale = {reinterpret_cast<const std::byte*>(piece.scale),
                   rows * static_cast<size_t>(scale_ld) * sizeof(float)};
  }
  return bytes;
}

void PieceCopy::AddBytes(absl::Span<const std::byte> bytes) {
  if (!bytes.empty()) extents_.push_back({bytes.data(), bytes.data() + bytes.size(), 0});
}

void PieceCopy::Add(absl::Span<const qiao_piece> pieces) {
  for (const qiao_piece& piece : pieces) {
    const PieceBytes bytes = BytesOf(piece);
    AddBytes(bytes.data);
    AddBytes(bytes.scale);
  }
}

void PieceCopy::Place() {
  std::sort(extents_.begin(), extents_.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  size_t kept = 0;
  for (const Extent& extent : extents_) {
    if (kept > 0 && extent.begin < extents_[kept - 1].end) {
      extents_[kept - 1].end = std::max(extents_[kept - 1].end, extent.end);
    } else {
      extents_[kept++] = extent;
    }
  }
  extents_.resize(kept);
  bytes_ = 0;
  for (Extent& extent : extents_) {
    extent.offset = bytes_;
    bytes_ = RoundUp(bytes_ + static_cast<uint64_t>(extent.end - extent.begin), kAlignment);
  }
}

absl::Status PieceCopy::Run(std::byte* block, const TensorSource& source, int threads, Report report) const {
  ThreadPool pool(threads);
  const uint64_t round_bytes = std::max(kRound, kRoundPerThread * static_cast<uint64_t>(pool.size()));
  std::vector<Chunk> round;
  uint64_t in_round = 0;
  auto copy = [&]() -> absl::Status {
    pool.ParallelFor(static_cast<int64_t>(round.size()), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const Chunk& chunk = round[static_cast<size_t>(i)];
        std::memcpy(block + chunk.to, chunk.from, chunk.bytes);
        source.LetGo({chunk.from, chunk.bytes});
      }
    });
    round.clear();
    return report(std::exchange(in_round, 0));
  };
  for (const Extent& extent : extents_) {
    const std::byte* from = extent.begin;
    for (uint64_t to = extent.offset; from < extent.end;) {
      const uint64_t bytes =
          std::min<uint64_t>(RoundUp(to + 1, kChunk) - to, static_cast<uint64_t>(extent.end - from));
      round.push_back({from, to, bytes});
      from += bytes;
      to += bytes;
      in_round += bytes;
      if (in_round >= round_bytes) QIAO_RETURN_IF_ERROR(copy());
    }
  }
  return copy();
}

const std::byte* PieceCopy::Find(absl::Span<const std::byte> bytes, std::byte* block) const {
  auto it = std::upper_bound(extents_.begin(), extents_.end(), bytes.data(),
                             [](const std::byte* at, const Extent& extent) { return at < extent.begin; });
  --it;  // what was added lies inside an extent
  return block + it->offset + (bytes.data() - it->begin);
}

qiao_piece PieceCopy::Moved(const qiao_piece& piece, std::byte* block) const {
  qiao_piece moved = piece;
  const PieceBytes bytes = BytesOf(piece);
  if (!bytes.data.empty()) moved.data = Find(bytes.data, block);
  if (!bytes.scale.empty()) moved.scale = reinterpret_cast<const float*>(Find(bytes.scale, block));
  return moved;
}

}  // namespace qiao::program
