// Cat, Slice, Repeat, RepeatInterleave, Roll, padding, UpsampleNearest2d: elements at other places.
#include <aclnnop/aclnn_cat.h>
#include <aclnnop/aclnn_constant_pad_nd.h>
#include <aclnnop/aclnn_reflection_pad1d.h>
#include <aclnnop/aclnn_repeat.h>
#include <aclnnop/aclnn_repeat_interleave.h>
#include <aclnnop/aclnn_roll.h>
#include <aclnnop/aclnn_slice.h>
#include <aclnnop/aclnn_upsample_nearest_2d.h>

#include <cmath>

#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/mapped_copy.h"

using namespace qiao::cann;

namespace {

constexpr std::initializer_list<aclDataType> kCatTypes = {ACL_FLOAT, ACL_FLOAT16, ACL_BF16,  ACL_DOUBLE,
                                                          ACL_INT8,  ACL_UINT8,   ACL_INT16, ACL_INT32,
                                                          ACL_INT64, ACL_BOOL};

// Joins nothing: the shape [0], which is passed over whatever the others are.
bool Nothing(const View& v) { return v.rank == 1 && v.size(0) == 0; }

}  // namespace

aclnnStatus aclnnCatGetWorkspaceSize(const aclTensorList* tensors, int64_t dim, aclTensor* out,
                                     uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnCat", workspaceSize, executor);
  const int x = op.InList("tensors", tensors), y = op.Out("out", out);
  op.DType(x, kCatTypes).DType(y, kCatTypes);
  const int along = static_cast<int>(op.Dim(y, dim));
  if (!op.ok()) return op.Finish({});
  const View& to = op.at(y);
  int64_t length = 0;
  for (const View& v : op.list(x)) {
    if (Nothing(v)) continue;
    bool fits = v.rank == to.rank;
    for (int d = 0; fits && d < v.rank; ++d) fits = d == along || v.size(d) == to.size(d);
    op.Require(fits, "tensors has one of %s, and out is %s, along dimension %d", v.ShapeString(),
               to.ShapeString(), along);
    if (op.ok()) length += v.size(along);
  }
  op.Require(to.rank > 0 && length == to.size(along),
             "the tensors have %d slices along dimension %d, out is %s", length, along, to.ShapeString());
  return op.Finish([=](const Args& args) {
    int64_t begin = 0;
    for (const View& v : args.list(x)) {
      if (Nothing(v)) continue;
      const int64_t n = v.size(along);
      if (!v.empty()) Convert(args[y].Narrow(along, begin, n), v);
      begin += n;
    }
  });
}
QIAO_ACLNN_LAUNCH(Cat)

aclnnStatus aclnnSliceGetWorkspaceSize(const aclTensor* self, int64_t dim, int64_t start, int64_t end,
                                       int64_t step, aclTensor* out, uint64_t* workspaceSize,
                                       aclOpExecutor** executor) {
  Operator op("aclnnSlice", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Rank(x, 1, kMaxDims).Require(step > 0, "step is %d; it must be positive", step);
  const auto along = static_cast<size_t>(op.Dim(x, dim));
  if (!op.ok()) return op.Finish({});
  IndexMaps maps = IdentityMaps(op.at(x));
  const auto length = static_cast<int64_t>(maps[along].size());
  auto clamped = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + length : i, 0, length); };
  maps[along].clear();
  for (int64_t i = clamped(start), last = clamped(end); i < last; i += step) maps[along].push_back(i);
  return FinishMapped(op, x, y, std::move(maps));
}
QIAO_ACLNN_LAUNCH(Slice)

aclnnStatus aclnnRepeatGetWorkspaceSize(const aclTensor* self, const aclIntArray* repeats, aclTensor* out,
                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnRepeat", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("repeats", repeats) || !op.ok()) return op.Finish({});
  const int rank = static_cast<int>(repeats->values.size());
  op.SameDType(x, y).Require(rank >= op.at(x).rank && rank <= kMaxDims,
                             "repeats has %d entries, self %d dimensions; %d is the most", rank,
                             op.at(x).rank, kMaxDims);
  op.Require(BytesOf(op.at(x).dtype) > 0, "self is %s", NameOf(op.at(x).dtype));
  if (!op.ok()) return op.Finish({});
  View wide = op.at(x);
  while (wide.rank < rank) wide = wide.Insert(0);
  View expected = wide;
  IndexMaps maps(static_cast<size_t>(rank));
  for (int d = 0; d < rank; ++d) {
    const int64_t times = repeats->values[static_cast<size_t>(d)];
    op.Require(times >= 0, "repeats[%d] is %d", d, times);
    if (!op.ok()) return op.Finish({});
    expected.dim[static_cast<size_t>(d)] = wide.size(d) * times;
    for (int64_t i = 0; i < wide.size(d) * times; ++i)
      maps[static_cast<size_t>(d)].push_back(i % wide.size(d));
  }
  op.Require(op.at(y).SameShape(expected), "out is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
  return op.Finish([=](const Args& args) {
    if (rank == 0) return CopyBits(args[y], args[x]);
    View from = args[x];
    while (from.rank < rank) from = from.Insert(0);
    CopyMapped(args[y], from, maps);
  });
}
QIAO_ACLNN_LAUNCH(Repeat)

aclnnStatus aclnnRepeatInterleaveIntWithDimGetWorkspaceSize(const aclTensor* self, int64_t repeats,
                                                            int64_t dim, int64_t outputSize, aclTensor* out,
                                                            uint64_t* workspaceSize,
                                                            aclOpExecutor** executor) {
  Operator op("aclnnRepeatInterleaveIntWithDim", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Rank(x, 1, kMaxDims).Require(repeats >= 0, "repeats is %d", repeats);
  const auto along = static_cast<size_t>(op.Dim(x, dim));
  if (!op.ok()) return op.Finish({});
  IndexMaps maps = IdentityMaps(op.at(x));
  const auto length = static_cast<int64_t>(maps[along].size());
  op.Require(outputSize == length * repeats, "outputSize is %d; it must be %d", outputSize, length * repeats);
  if (!op.ok()) return op.Finish({});
  maps[along].clear();
  for (int64_t i = 0; i < length * repeats; ++i) maps[along].push_back(i / repeats);
  return FinishMapped(op, x, y, std::move(maps));
}
QIAO_ACLNN_LAUNCH(RepeatInterleaveIntWithDim)

aclnnStatus aclnnRollGetWorkspaceSize(const aclTensor* x, const aclIntArray* shifts, const aclIntArray* dims,
                                      aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnRoll", workspaceSize, executor);
  const int in = op.In("x", x), y = op.Out("out", out);
  if (!op.Needs("shifts", shifts) || !op.Needs("dims", dims) || !op.ok()) return op.Finish({});
  auto shifted = [](int64_t i, int64_t shift, int64_t n) { return ((i - shift) % n + n) % n; };
  if (dims->values.empty()) {
    op.SameDType(in, y).SameShape(in, y).Require(
        shifts->values.size() == 1, "dims is empty, and shifts has %d entries", shifts->values.size());
    op.Require(BytesOf(op.at(in).dtype) > 0, "x is %s", NameOf(op.at(in).dtype));
    if (!op.ok()) return op.Finish({});
    const int64_t shift = shifts->values[0];
    return op.Finish([=](const Args& args) {
      const View &from = args[in], &to = args[y];
      if (from.empty()) return;
      const int64_t n = from.elements(), begin = shifted(0, shift, n);
      const Buffer memory = Converted(from, from.dtype), rolled(from.dtype, {n});
      const View flat = View::Of(from.dtype, {n}, memory.view().data());
      CopyBits(rolled.view().Narrow(0, 0, n - begin), flat.Narrow(0, begin, n - begin));
      CopyBits(rolled.view().Narrow(0, n - begin, begin), flat.Narrow(0, 0, begin));
      CopyBits(to, to.Over(to.dtype, rolled.view().data()));
    });
  }
  op.Require(shifts->values.size() == dims->values.size(), "shifts has %d entries, dims %d",
             shifts->values.size(), dims->values.size());
  IndexMaps maps = IdentityMaps(op.at(in));
  for (size_t k = 0; op.ok() && k < dims->values.size(); ++k) {
    const auto d = static_cast<size_t>(op.Dim(in, dims->values[k]));
    if (!op.ok()) break;
    const std::vector<int64_t> before = maps[d];
    const auto n = static_cast<int64_t>(before.size());
    for (int64_t i = 0; i < n; ++i)
      maps[d][static_cast<size_t>(i)] = before[static_cast<size_t>(shifted(i, shifts->values[k], n))];
  }
  return FinishMapped(op, in, y, std::move(maps));
}
QIAO_ACLNN_LAUNCH(Roll)

aclnnStatus aclnnConstantPadNdGetWorkspaceSize(const aclTensor* self, const aclIntArray* pad,
                                               const aclScalar* value, aclTensor* out,
                                               uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnConstantPadNd", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("pad", pad) || !op.Needs("value", value) || !op.ok()) return op.Finish({});
  const View& v = op.at(x);
  const std::vector<int64_t>& pads = pad->values;
  op.Require(pads.size() % 2 == 0 && pads.size() <= 2 * static_cast<size_t>(v.rank),
             "pad has %d entries, self is %s", pads.size(), v.ShapeString());
  if (!op.ok()) return op.Finish({});
  IndexMaps maps = IdentityMaps(v);
  for (size_t k = 0; k < pads.size() / 2; ++k) {
    const size_t d = maps.size() - 1 - k;
    const auto n = static_cast<int64_t>(maps[d].size()), before = pads[2 * k],
               length = n + before + pads[2 * k + 1];
    op.Require(length >= 0, "pad cuts %d off dimension %d, which has %d", n - length, d, n);
    if (!op.ok()) return op.Finish({});
    maps[d].clear();
    for (int64_t i = 0; i < length; ++i) maps[d].push_back(i < before || i >= before + n ? -1 : i - before);
  }
  return FinishMapped(op, x, y, std::move(maps), value);
}
QIAO_ACLNN_LAUNCH(ConstantPadNd)

aclnnStatus aclnnReflectionPad1dGetWorkspaceSize(const aclTensor* self, const aclIntArray* padding,
                                                 aclTensor* out, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor) {
  Operator op("aclnnReflectionPad1d", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Rank(x, 2, 3);
  if (!op.Needs("padding", padding) || !op.ok()) return op.Finish({});
  op.Require(padding->values.size() == 2, "padding has %d entries; it must have 2", padding->values.size());
  if (!op.ok()) return op.Finish({});
  IndexMaps maps = IdentityMaps(op.at(x));
  const int64_t n = op.at(x).size(-1), before = padding->values[0], after = padding->values[1];
  op.Require(before < n && after < n && before > -n && after > -n, "padding is (%d, %d), self is %s", before,
             after, op.at(x).ShapeString());
  if (!op.ok()) return op.Finish({});
  maps.back().clear();
  for (int64_t i = -before; i < n + after; ++i) {
    const int64_t mirrored = std::abs(i);
    maps.back().push_back(mirrored < n ? mirrored : 2 * (n - 1) - mirrored);
  }
  return FinishMapped(op, x, y, std::move(maps));
}
QIAO_ACLNN_LAUNCH(ReflectionPad1d)

aclnnStatus aclnnUpsampleNearest2dGetWorkspaceSize(const aclTensor* self, const aclIntArray* outputSize,
                                                   aclTensor* out, uint64_t* workspaceSize,
                                                   aclOpExecutor** executor) {
  Operator op("aclnnUpsampleNearest2d", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Rank(x, 4, 4).DType(x, {ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_DOUBLE, ACL_UINT8});
  if (!op.Needs("outputSize", outputSize) || !op.ok()) return op.Finish({});
  op.Require(outputSize->values.size() == 2, "outputSize has %d entries; it must have 2",
             outputSize->values.size());
  op.Require(!op.at(x).empty(), "self is %s", op.at(x).ShapeString());
  if (!op.ok()) return op.Finish({});
  IndexMaps maps = IdentityMaps(op.at(x));
  for (size_t k = 0; k < 2; ++k) {
    const auto n = static_cast<int64_t>(maps[2 + k].size()), length = outputSize->values[k];
    op.Require(length > 0, "outputSize[%d] is %d", k, length);
    maps[2 + k].clear();
    const float scale = static_cast<float>(n) / static_cast<float>(length);
    for (int64_t i = 0; i < length; ++i)
      maps[2 + k].push_back(std::min(n - 1, static_cast<int64_t>(std::floor(static_cast<float>(i) * scale))));
  }
  return FinishMapped(op, x, y, std::move(maps));
}
QIAO_ACLNN_LAUNCH(UpsampleNearest2d)
