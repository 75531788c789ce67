// Pieces of weights, copied from where they lie in the files into one block of a device's memory.
#pragma once

#include <qiao/ops.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/program/tensor_source.h"

namespace qiao::program {

// The bytes that a piece reads: its rows, and the scales from its file tensor's first to the last that it
// uses.
struct PieceBytes {
  absl::Span<const std::byte> data, scale;  // empty where there is nothing to read
};
PieceBytes BytesOf(const qiao_piece& piece);

//   PieceCopy copy;
//   for each weight: copy.Add(weight.pieces);
//   copy.Place();                                   // copy.bytes() is now known
//   QIAO_RETURN_IF_ERROR(copy.Run(block, source, threads, report));
//   for each piece: piece = copy.Moved(piece, block);
//
// Bytes that several pieces read get one place: kv_b's scales, or a tensor that two weights use. Everything
// lies in the order of the files, so that reading them is sequential, and begins on a cache line. Not
// thread-safe.
class PieceCopy {
 public:
  void Add(absl::Span<const qiao_piece> pieces);
  // After the last Add and before anything below.
  void Place();
  // What the block must hold.
  uint64_t bytes() const { return bytes_; }

  // Told the bytes that were copied since the last time; an error stops the copying and is returned.
  using Report = absl::FunctionRef<absl::Status(uint64_t copied)>;
  // Copies with `threads` threads. The pages of the files are let go as soon as they are copied, so that no
  // weight is resident twice beyond a few MiB.
  absl::Status Run(std::byte* block, const TensorSource& source, int threads, Report report) const;
  // The same piece, reading the copy.
  qiao_piece Moved(const qiao_piece& piece, std::byte* block) const;

 private:
  struct Extent {
    const std::byte *begin, *end;
    uint64_t offset;  // in the block
  };
  void AddBytes(absl::Span<const std::byte> bytes);
  const std::byte* Find(absl::Span<const std::byte> bytes, std::byte* block) const;

  std::vector<Extent> extents_;  // sorted and disjoint once placed
  uint64_t bytes_ = 0;
};

}  // namespace qiao::program
