// Slices written where an index says: InplaceIndexCopy, InplaceIndexFillTensor.
#include <aclnnop/aclnn_index_copy.h>
#include <aclnnop/aclnn_index_fill_tensor.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

aclnnStatus aclnnInplaceIndexCopyGetWorkspaceSize(aclTensor* selfRef, int64_t dim, const aclTensor* index,
                                                  const aclTensor* source, uint64_t* workspaceSize,
                                                  aclOpExecutor** executor) {
  Operator op("aclnnInplaceIndexCopy", workspaceSize, executor);
  const int x = op.InOut("selfRef", selfRef), i = op.In("index", index), s = op.In("source", source);
  op.DType(i, {ACL_INT32, ACL_INT64}).SameDType(x, s).Rank(x, 1, kMaxDims).Rank(i, 0, 1);
  const int along = static_cast<int>(op.Dim(x, dim));
  if (op.ok()) {
    const View& v = op.at(x);
    op.Require(BytesOf(v.dtype) > 0, "selfRef is %s", NameOf(v.dtype));
    View expected = v;
    expected.dim[static_cast<size_t>(along)] = op.at(i).elements();
    op.Require(op.at(s).SameShape(expected), "source is %s; it must be %s", op.at(s).ShapeString(),
               expected.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const View &to = args[x], &from = args[s];
    if (from.empty()) return;
    const std::vector<int64_t> at = Integers(args[i]);
    // In order: the last of equal indices stays.
    for (size_t n = 0; n < at.size(); ++n)
      if (at[n] >= 0 && at[n] < to.size(along))
        CopyBits(to.Select(along, at[n]), from.Select(along, static_cast<int64_t>(n)));
  });
}
QIAO_ACLNN_LAUNCH(InplaceIndexCopy)

aclnnStatus aclnnInplaceIndexFillTensorGetWorkspaceSize(aclTensor* selfRef, int64_t dim,
                                                        const aclIntArray* index, const aclScalar* value,
                                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnInplaceIndexFillTensor", workspaceSize, executor);
  const int x = op.InOut("selfRef", selfRef);
  op.Rank(x, 1, kMaxDims);
  if (!op.Needs("index", index) || !op.Needs("value", value)) return op.Finish({});
  const int along = static_cast<int>(op.Dim(x, dim));
  if (!op.ok()) return op.Finish({});
  op.Require(HasElements(op.at(x).dtype), "selfRef is %s", NameOf(op.at(x).dtype));
  const int64_t length = op.at(x).size(along);
  for (int64_t i : index->values)
    op.Require(i >= -length && i < length, "index %d is outside of dimension %d, which has %d", i, along,
               length);
  return op.Finish([=, at = index->values, value = *value](const Args& args) {
    const View& to = args[x];
    Buffer one(to.dtype, {1});
    Convert(one, View::Of(value.dtype, {1}, value.bytes));
    for (int64_t i : at) {
      const View slice = to.Select(along, i < 0 ? i + length : i);
      CopyBits(slice, one.view().BroadcastTo(slice));
    }
  });
}
QIAO_ACLNN_LAUNCH(InplaceIndexFillTensor)
