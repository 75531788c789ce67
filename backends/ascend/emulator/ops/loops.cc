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

}  // namespace

void CopyBits(const View& to, const View& from) {
  std::array<View, 2> both = {to, from};
  Collapse(&both);
  const View &t = both[0], &f = both[1];
  const int64_t width = t.size(-1), rows = t.rows(), bytes = BytesOf(t.dtype);
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

}  // namespace qiao::cann
