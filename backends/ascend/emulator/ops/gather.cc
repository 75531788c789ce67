// Slices chosen by an index: Embedding, IndexSelect, GatherV2.
#include <aclnnop/aclnn_embedding.h>
#include <aclnnop/aclnn_gather_v2.h>
#include <aclnnop/aclnn_index_select.h>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/mapped_copy.h"

using namespace qiao::cann;

namespace {

aclnnStatus Gather(Operator& op, int self, int64_t dim_given, int index, int out) {
  const int dim = static_cast<int>(op.Dim(self, dim_given));
  op.DType(index, {ACL_INT32, ACL_INT64}).SameDType(self, out);
  if (!op.ok()) return op.Finish({});
  const View &v = op.at(self), &i = op.at(index), &to = op.at(out);
  op.Require(BytesOf(v.dtype) > 0, "%s is %s", op.name(self), NameOf(v.dtype));
  op.Require(to.rank == v.rank + i.rank - 1 || (i.rank == 0 && to.rank == v.rank),
             "%s is %s, %s is %s and %s is %s: the dimension is replaced by the index's", op.name(self),
             v.ShapeString(), op.name(index), i.ShapeString(), op.name(out), to.ShapeString());
  const int index_rank = to.rank - v.rank + 1;
  for (int d = 0; op.ok() && d < to.rank; ++d) {
    const int64_t expected = d < dim                ? v.size(d)
                             : d < dim + index_rank ? (i.rank == 0 ? 1 : i.size(d - dim))
                                                    : v.size(d - index_rank + 1);
    op.Require(to.size(d) == expected, "%s is %s, where %s is %s and %s is %s", op.name(out),
               to.ShapeString(), op.name(self), v.ShapeString(), op.name(index), i.ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const View &from = args[self], &result = args[out];
    if (result.empty()) return;
    std::vector<int64_t> at = Integers(args[index]);
    const int64_t length = from.size(dim);
    for (int64_t& i : at) i = i < 0 || i >= length ? -1 : i;
    // The index's dimensions one slice at a time but for the last, whose entries are one mapped copy.
    const int64_t last = index_rank > 0 ? result.size(dim + index_rank - 1) : 1;
    const View slices = index_rank == 0 ? result.Insert(dim) : result;
    const int inner = dim + std::max(index_rank, 1) - 1;
    IndexMaps maps;
    for (int64_t n = 0; n < static_cast<int64_t>(at.size()); n += last) {
      View slice = slices;
      slice.offset += slices.OffsetOf(n / last, dim, inner);
      for (int d = dim; d < inner; ++d) slice = slice.Select(dim, 0);
      if (maps.empty()) maps = IdentityMaps(slice);
      maps[static_cast<size_t>(dim)].assign(at.begin() + n, at.begin() + n + last);
      CopyMapped(slice, from, maps);
    }
  });
}

}  // namespace

aclnnStatus aclnnEmbeddingGetWorkspaceSize(const aclTensor* weight, const aclTensor* indices,
                                           const aclTensor* out, uint64_t* workspaceSize,
                                           aclOpExecutor** executor) {
  Operator op("aclnnEmbedding", workspaceSize, executor);
  const int w = op.In("weight", weight), i = op.In("indices", indices), y = op.Out("out", out);
  op.Rank(w, 2, 2);
  return Gather(op, w, 0, i, y);
}
QIAO_ACLNN_LAUNCH(Embedding)

aclnnStatus aclnnIndexSelectGetWorkspaceSize(const aclTensor* self, int64_t dim, const aclTensor* index,
                                             aclTensor* out, uint64_t* workspaceSize,
                                             aclOpExecutor** executor) {
  Operator op("aclnnIndexSelect", workspaceSize, executor);
  const int x = op.In("self", self), i = op.In("index", index), y = op.Out("out", out);
  op.Rank(x, 1, kMaxDims).Rank(i, 0, 1);
  return Gather(op, x, dim, i, y);
}
QIAO_ACLNN_LAUNCH(IndexSelect)

aclnnStatus aclnnGatherV2GetWorkspaceSize(const aclTensor* self, int64_t dim, const aclTensor* index,
                                          aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnGatherV2", workspaceSize, executor);
  const int x = op.In("self", self), i = op.In("index", index), y = op.Out("out", out);
  op.Rank(x, 1, kMaxDims);
  return Gather(op, x, dim, i, y);
}
QIAO_ACLNN_LAUNCH(GatherV2)
