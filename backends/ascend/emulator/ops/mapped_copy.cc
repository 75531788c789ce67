#include "backends/ascend/emulator/ops/mapped_copy.h"

#include <cstring>
#include <numeric>

#include "backends/ascend/emulator/ops/loops.h"

namespace qiao::cann {
namespace {

template <typename T>
void CopyRows(const View& to, const View& from, const IndexMaps& maps, const void* fill_bytes) {
  T fill{};
  if (fill_bytes) std::memcpy(&fill, fill_bytes, sizeof fill);
  const std::vector<int64_t>& last = maps.back();
  const int64_t width = to.size(-1), to_step = to.step(-1), from_step = from.step(-1);
  Pool().ParallelFor(to.rows(), RowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      // Where the row comes from; nowhere, if one of its indices is outside.
      int64_t rest = r, at = 0;
      bool inside = true;
      for (int d = to.rank - 2; d >= 0; --d) {
        const int64_t index = maps[static_cast<size_t>(d)][static_cast<size_t>(rest % to.size(d))];
        rest /= to.size(d);
        inside = inside && index >= 0;
        at += index * from.step(d);
      }
      auto* row = reinterpret_cast<T*>(to.Row(r));
      const T* source = from.as<T>() + (inside ? at : 0);
      for (int64_t i = 0; i < width; ++i) {
        const int64_t index = last[static_cast<size_t>(i)];
        row[i * to_step] = inside && index >= 0 ? source[index * from_step] : fill;
      }
    }
  });
}

struct Wide {
  uint64_t part[2];
};

}  // namespace

IndexMaps IdentityMaps(const View& v) {
  IndexMaps maps(static_cast<size_t>(v.rank));
  for (int d = 0; d < v.rank; ++d) {
    maps[static_cast<size_t>(d)].resize(static_cast<size_t>(v.size(d)));
    std::iota(maps[static_cast<size_t>(d)].begin(), maps[static_cast<size_t>(d)].end(), 0);
  }
  return maps;
}

void CopyMapped(const View& to, const View& from, const IndexMaps& maps, const void* fill) {
  if (to.empty()) return;
  switch (BytesOf(to.dtype)) {
    case 1:
      return CopyRows<uint8_t>(to, from, maps, fill);
    case 2:
      return CopyRows<uint16_t>(to, from, maps, fill);
    case 4:
      return CopyRows<uint32_t>(to, from, maps, fill);
    case 8:
      return CopyRows<uint64_t>(to, from, maps, fill);
    default:
      return CopyRows<Wide>(to, from, maps, fill);
  }
}

aclnnStatus FinishMapped(Operator& op, int self, int out, IndexMaps maps, const aclScalar* fill) {
  op.SameDType(self, out);
  if (!op.ok()) return op.Finish({});
  const aclDataType dtype = op.at(self).dtype;
  op.Require(BytesOf(dtype) > 0 && (!fill || HasElements(dtype)), "%s is %s", op.name(self), NameOf(dtype));
  View expected = op.at(self);
  for (int d = 0; d < expected.rank; ++d)
    expected.dim[static_cast<size_t>(d)] = static_cast<int64_t>(maps[static_cast<size_t>(d)].size());
  op.Require(op.at(out).SameShape(expected), "%s is %s; it must be %s", op.name(out),
             op.at(out).ShapeString(), expected.ShapeString());
  if (!op.ok()) return op.Finish({});
  std::vector<char> value;
  if (fill) {
    value.resize(static_cast<size_t>(BytesOf(dtype)));
    Convert(View::Of(dtype, {1}, value.data()), View::Of(fill->dtype, {1}, fill->bytes));
  }
  return op.Finish([=, maps = std::move(maps)](const Args& args) {
    if (maps.empty()) return CopyBits(args[out], args[self]);
    CopyMapped(args[out], args[self], maps, value.empty() ? nullptr : value.data());
  });
}

}  // namespace qiao::cann
