#include "backends/ascend/emulator/ops/loops.h"

#include <cstring>

namespace qiao::cann {
namespace {

template <typename T>
void CopyStrided(char* to, int64_t to_step, const char* from, int64_t from_step, int64_t n) {
  auto* t = reinterpret_cast<T*>(to);
  const auto* f = reinterpret_cast<const T*>(from);
  for (int64_t i = 0; i < n; ++i) t[i * to_step] = f[i * from_step];
}

// to[i][j] = from[i][j] where from runs down the columns: a square of elements at a time, through memory of its own,
// so that lines a power of two apart do not push each other out of the cache.
template <typename T>
void CopyAcross(const View& to, const View& from) {
  constexpr int64_t kSquare = 64;
  const int64_t rows = to.size(0), cols = to.size(1), to_step = to.step(0), from_step = from.step(1);
  const int64_t across = (cols + kSquare - 1) / kSquare, down = (rows + kSquare - 1) / kSquare;
  Pool().ParallelFor(across * down, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t s = begin; s < end; ++s) {
      const int64_t r0 = s / across * kSquare, c0 = s % across * kSquare;
      const int64_t r_end = std::min(rows, r0 + kSquare), c_end = std::min(cols, c0 + kSquare);
      T square[kSquare][kSquare];
      for (int64_t c = c0; c < c_end; ++c)
        for (int64_t r = r0; r < r_end; ++r) square[r - r0][c - c0] = from.as<T>()[c * from_step + r];
      for (int64_t r = r0; r < r_end; ++r)
        std::copy_n(square[r - r0], c_end - c0, to.as<T>() + r * to_step + c0);
    }
  });
}

}  // namespace

void CopyRow(int64_t bytes, char* to, int64_t to_step, const char* from, int64_t from_step, int64_t n) {
  if (to_step == 1 && from_step == 1) {
    std::memmove(to, from, static_cast<size_t>(n * bytes));
    return;
  }
  switch (bytes) {
    case 1:
      return CopyStrided<uint8_t>(to, to_step, from, from_step, n);
    case 2:
      return CopyStrided<uint16_t>(to, to_step, from, from_step, n);
    case 4:
      return CopyStrided<uint32_t>(to, to_step, from, from_step, n);
    case 8:
      return CopyStrided<uint64_t>(to, to_step, from, from_step, n);
    default:
      for (int64_t i = 0; i < n; ++i)
        std::memcpy(to + i * to_step * bytes, from + i * from_step * bytes, static_cast<size_t>(bytes));
  }
}

void CopyBits(const View& to, const View& from) {
  std::array<View, 2> both = {to, from};
  Collapse(&both);
  const View &t = both[0], &f = both[1];
  const int64_t width = t.size(-1), rows = t.rows(), bytes = BytesOf(t.dtype);
  if (t.rank == 2 && t.step(1) == 1 && f.step(0) == 1 && f.step(1) != 1) {
    if (bytes == 1) return CopyAcross<uint8_t>(t, f);
    if (bytes == 2) return CopyAcross<uint16_t>(t, f);
    if (bytes == 4) return CopyAcross<uint32_t>(t, f);
  }
  if (width == 0 || rows == 0) return;
  const int64_t pieces = (width + kPiece - 1) / kPiece;
  Pool().ParallelFor(rows * pieces, RowGrain(std::min(width, kPiece)) * 4,
                     [&](int64_t begin, int64_t end, int) {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t r = i / pieces, c = i % pieces * kPiece;
                         CopyRow(bytes, t.Row(r) + c * t.step(-1) * bytes, t.step(-1),
                                 f.Row(r) + c * f.step(-1) * bytes, f.step(-1), std::min(kPiece, width - c));
                       }
                     });
}

void Convert(const View& to, const View& from) {
  if (to.dtype == from.dtype) return CopyBits(to, from);
  auto convert = [&]<typename T>(T) {
    MapRows<T, 1>(to, {from}, [](const auto& in, int64_t n, T* out) { std::copy_n(in[0].data(), n, out); });
  };
  if (IsFloat(from.dtype) && from.dtype != ACL_DOUBLE) {
    convert(float{});
  } else if (from.dtype == ACL_DOUBLE) {
    convert(double{});
  } else {
    convert(int64_t{});
  }
}

std::vector<int64_t> Integers(const View& v) {
  std::vector<int64_t> values(static_cast<size_t>(v.elements()));
  if (values.empty()) return values;
  View flat = v.rank == 0 ? v.Insert(0) : v;
  const int64_t width = flat.size(-1);
  for (int64_t r = 0; r < flat.rows(); ++r)
    LoadRow(flat.dtype, flat.Row(r), flat.step(-1), width, values.data() + r * width);
  return values;
}

std::vector<float> Floats(const View& v) {
  const Buffer values = Converted(v, ACL_FLOAT);
  return {values.as<float>(), values.as<float>() + v.elements()};
}

}  // namespace qiao::cann
