// Copies, conversions, fills, triangles and permutations.
#include <aclnnop/aclnn_cast.h>
#include <aclnnop/aclnn_copy.h>
#include <aclnnop/aclnn_fill_scalar.h>
#include <aclnnop/aclnn_permute.h>
#include <aclnnop/aclnn_tril.h>
#include <aclnnop/aclnn_triu.h>
#include <aclnnop/aclnn_zero.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

namespace {

Operator& Convertible(Operator& op, int from, int to) {
  if (!op.ok()) return op;
  const aclDataType a = op.at(from).dtype, b = op.at(to).dtype;
  return op.Require(BytesOf(a) > 0 && (a == b || (HasElements(a) && HasElements(b))),
                    "%s is %s and %s is %s: no conversion", op.name(from), NameOf(a), op.name(to), NameOf(b));
}

constexpr aclScalar kZero{ACL_INT8};

void Fill(const View& to, const aclScalar& value) {
  // One element, converted once, and repeated.
  Buffer one(to.dtype, {1});
  Convert(one, View::Of(value.dtype, {1}, value.bytes));
  CopyBits(to, one.view().BroadcastTo(to));
}

// Keeps what `keep(column - row)` says.
aclnnStatus FinishTriangle(Operator& op, int x, int y, int64_t diagonal, bool upper) {
  op.Rank(x, 2, kMaxDims).SameShape(x, y);
  Convertible(op, x, y);
  return op.Finish([=](const Args& args) {
    const View &from = args[x], &to = args[y];
    const int64_t rows = from.size(-2), cols = from.size(-1), batches = from.elements(0, from.rank - 2);
    if (from.empty()) return;
    for (int64_t i = 0; i < batches * rows; ++i) {
      auto part = [&](const View& v, int64_t begin, int64_t end) {
        View row = View::Of(v.dtype, {end - begin}, v.base);
        row.offset = v.offset + v.OffsetOf(i, 0, v.rank - 1) + begin * v.step(-1);
        row.stride[0] = v.step(-1);
        return row;
      };
      // The first column on or right of the diagonal (upper), or right of it (lower).
      const int64_t cut = std::clamp<int64_t>(i % rows + diagonal + (upper ? 0 : 1), 0, cols);
      const int64_t keep_begin = upper ? cut : 0, keep_end = upper ? cols : cut;
      Convert(part(to, keep_begin, keep_end), part(from, keep_begin, keep_end));
      Fill(part(to, upper ? 0 : cut, upper ? cut : cols), kZero);
    }
  });
}

}  // namespace

aclnnStatus aclnnCastGetWorkspaceSize(const aclTensor* self, const aclDataType dtype, aclTensor* out,
                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnCast", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.SameShape(x, y);
  if (op.ok())
    op.Require(op.at(y).dtype == dtype, "dtype is %s and out is %s", NameOf(dtype), NameOf(op.at(y).dtype));
  Convertible(op, x, y);
  return op.Finish([=](const Args& args) { Convert(args[y], args[x]); });
}
QIAO_ACLNN_LAUNCH(Cast)

aclnnStatus aclnnInplaceCopyGetWorkspaceSize(aclTensor* selfRef, const aclTensor* src,
                                             uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnInplaceCopy", workspaceSize, executor);
  const int to = op.Out("selfRef", selfRef), from = op.In("src", src);
  if (op.ok())
    op.Require(op.at(from).BroadcastsTo(op.at(to)), "src is %s, which does not broadcast to %s of selfRef",
               op.at(from).ShapeString(), op.at(to).ShapeString());
  Convertible(op, from, to);
  return op.Finish([=](const Args& args) { Convert(args[to], args[from].BroadcastTo(args[to])); });
}
QIAO_ACLNN_LAUNCH(InplaceCopy)

aclnnStatus aclnnInplaceFillScalarGetWorkspaceSize(aclTensor* selfRef, const aclScalar* value,
                                                   uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnInplaceFillScalar", workspaceSize, executor);
  const int to = op.Out("selfRef", selfRef);
  if (!op.Needs("value", value)) return op.Finish({});
  op.Require(HasElements(op.at(to).dtype), "selfRef is %s", NameOf(op.at(to).dtype));
  return op.Finish([=, value = *value](const Args& args) { Fill(args[to], value); });
}
QIAO_ACLNN_LAUNCH(InplaceFillScalar)

aclnnStatus aclnnInplaceZeroGetWorkspaceSize(aclTensor* selfRef, uint64_t* workspaceSize,
                                             aclOpExecutor** executor) {
  Operator op("aclnnInplaceZero", workspaceSize, executor);
  const int to = op.Out("selfRef", selfRef);
  if (op.ok()) op.Require(HasElements(op.at(to).dtype), "selfRef is %s", NameOf(op.at(to).dtype));
  return op.Finish([=](const Args& args) { Fill(args[to], kZero); });
}
QIAO_ACLNN_LAUNCH(InplaceZero)

aclnnStatus aclnnTriuGetWorkspaceSize(const aclTensor* self, int64_t diagonal, aclTensor* out,
                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnTriu", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  return FinishTriangle(op, x, y, diagonal, true);
}
QIAO_ACLNN_LAUNCH(Triu)

aclnnStatus aclnnInplaceTriuGetWorkspaceSize(aclTensor* selfRef, int64_t diagonal, uint64_t* workspaceSize,
                                             aclOpExecutor** executor) {
  Operator op("aclnnInplaceTriu", workspaceSize, executor);
  const int x = op.InOut("selfRef", selfRef);
  return FinishTriangle(op, x, x, diagonal, true);
}
QIAO_ACLNN_LAUNCH(InplaceTriu)

aclnnStatus aclnnTrilGetWorkspaceSize(const aclTensor* self, int64_t diagonal, aclTensor* out,
                                      uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnTril", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  return FinishTriangle(op, x, y, diagonal, false);
}
QIAO_ACLNN_LAUNCH(Tril)

aclnnStatus aclnnPermuteGetWorkspaceSize(const aclTensor* self, const aclIntArray* dims, aclTensor* out,
                                         uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnPermute", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!op.Needs("dims", dims) || !op.ok()) return op.Finish({});
  const View& from = op.at(x);
  op.Require(dims->values.size() == static_cast<size_t>(from.rank), "dims has %d entries, self %d dimensions",
             dims->values.size(), from.rank);
  std::vector<int> order;
  View moved = from;
  for (size_t i = 0; op.ok() && i < dims->values.size(); ++i) {
    const int64_t d = op.Dim(x, dims->values[i]);
    for (int seen : order) op.Require(seen != d, "dims names dimension %d twice", d);
    order.push_back(static_cast<int>(d));
    moved.dim[i] = from.size(static_cast<int>(d));
  }
  op.Require(moved.SameShape(op.at(y)), "out is %s; it must be %s", op.at(y).ShapeString(),
             moved.ShapeString());
  op.SameDType(x, y).Require(BytesOf(from.dtype) > 0, "self is %s", NameOf(from.dtype));
  return op.Finish([=](const Args& args) {
    View v = args[x];
    for (size_t i = 0; i < order.size(); ++i) {
      v.dim[i] = args[x].size(order[i]);
      v.stride[i] = args[x].step(order[i]);
    }
    CopyBits(args[y], v);
  });
}
QIAO_ACLNN_LAUNCH(Permute)
