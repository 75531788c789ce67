// Rows along one dimension, and reductions over several.
#pragma once

#include <cstdint>
#include <vector>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

namespace qiao::cann {

// Rows that run along a dimension, whichever it is.
inline View Along(const View& v, int dim) { return v.rank == 0 ? v.Insert(0) : v.Swap(dim, v.rank - 1); }

// Whether a comes before b among the largest: a NaN beats numbers.
template <typename T>
bool Beats(T a, T b) {
  return a > b || (a != a && b == b);
}

// body(r, row): each row of the last dimension as T. Rows are shared among threads.
template <typename T, class Body>
void ForEachRow(const View& v, Body body) {
  const int64_t width = v.size(-1);
  Pool().ParallelFor(v.rows(), RowGrain(width), [&](int64_t begin, int64_t end, int) {
    std::vector<T> row(static_cast<size_t>(width));
    for (int64_t r = begin; r < end; ++r) {
      LoadRow(v.dtype, v.Row(r), v.step(-1), width, row.data());
      body(r, row);
    }
  });
}

// The dimensions that `dims` names, as bits; all of them where it is empty.
inline uint32_t DimSet(Operator& op, int slot, const aclIntArray* dims) {
  uint32_t set = 0;
  for (int64_t d : dims->values) set |= 1u << op.Dim(slot, d);
  return dims->values.empty() ? ~0u : set;
}

// The shape of v without the dimensions in `reduced`, or with length 1 there.
inline View ReducedShape(const View& v, uint32_t reduced, bool keep) {
  View shape = v;
  shape.rank = 0;
  for (int d = 0; d < v.rank; ++d) {
    const bool gone = reduced >> d & 1;
    if (!gone || keep) shape.dim[static_cast<size_t>(shape.rank++)] = gone ? 1 : v.size(d);
  }
  return shape;
}

// to[i] = fold(the elements of `from` at kept index i, as a std::vector<T>&), in row-major order of the kept dimensions.
template <typename T, class Fold>
void Reduce(const View& from, uint32_t reduced, const View& to, Fold fold) {
  View kept = from, rest = from;
  kept.rank = rest.rank = 0;
  for (int d = 0; d < from.rank; ++d) {
    View& part = reduced >> d & 1 ? rest : kept;
    part.dim[static_cast<size_t>(part.rank)] = from.size(d);
    part.stride[static_cast<size_t>(part.rank++)] = from.step(d);
  }
  if (rest.rank == 0) rest = rest.Insert(0);
  const int64_t count = rest.elements(), width = rest.size(-1), rows = rest.rows(),
                from_bytes = BytesOf(from.dtype), to_bytes = BytesOf(to.dtype);
  Pool().ParallelFor(kept.elements(), RowGrain(count), [&](int64_t begin, int64_t end, int) {
    std::vector<T> values(static_cast<size_t>(count));
    for (int64_t i = begin; i < end; ++i) {
      const char* base = from.data() + kept.OffsetOf(i, 0, kept.rank) * from_bytes;
      if (width > 0)
        for (int64_t r = 0; r < rows; ++r)
          LoadRow(from.dtype, base + rest.OffsetOf(r, 0, rest.rank - 1) * from_bytes, rest.step(-1), width,
                  values.data() + r * width);
      const T result = fold(values);
      StoreRow(to.dtype, to.data() + to.OffsetOf(i, 0, to.rank) * to_bytes, 1, 1, &result);
    }
  });
}

}  // namespace qiao::cann
