// ScatterPaKvCache: rows into the pages of a cache.
#include <aclnnop/aclnn_scatter_pa_kv_cache.h>

#include <string_view>

#include "backends/ascend/emulator/nnopbase/executor.h"
#include "backends/ascend/emulator/ops/loops.h"

using namespace qiao::cann;

namespace {

// rows [T, heads, D] and cache [blocks, block, heads, D].
void CheckPair(Operator& op, int rows, int cache) {
  op.Rank(rows, 3, 3).Rank(cache, 4, 4).SameDType(rows, cache);
  if (!op.ok()) return;
  const View &r = op.at(rows), &c = op.at(cache);
  op.Require(BytesOf(r.dtype) > 0, "%s is %s", op.name(rows), NameOf(r.dtype));
  op.Require(c.size(2) == r.size(1) && c.size(3) == r.size(2), "%s is %s and %s is %s", op.name(rows),
             r.ShapeString(), op.name(cache), c.ShapeString());
  op.Require(c.format != ACL_FORMAT_FRACTAL_NZ, "%s is FRACTAL_NZ", op.name(cache));
}

void Write(const View& rows, const View& cache, const std::vector<int64_t>& slots) {
  const int64_t block = cache.size(1);
  for (size_t t = 0; t < slots.size(); ++t) {
    const int64_t slot = slots[t];
    if (slot < 0 || slot >= cache.size(0) * block) continue;
    CopyBits(cache.Select(0, slot / block).Select(0, slot % block), rows.Select(0, static_cast<int64_t>(t)));
  }
}

}  // namespace

aclnnStatus aclnnScatterPaKvCacheGetWorkspaceSize(
    const aclTensor* key, aclTensor* keyCacheRef, const aclTensor* slotMapping, const aclTensor* value,
    aclTensor* valueCacheRef, const aclTensor* compressLensOptional,
    const aclTensor* compressSeqOffsetOptional, const aclTensor* seqLensOptional, char* cacheModeOptional,
    char* scatterModeOptional, const aclIntArray* stridesOptional, const aclIntArray* offsetsOptional,
    uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnScatterPaKvCache", workspaceSize, executor);
  const int k = op.In("key", key), kc = op.InOut("keyCacheRef", keyCacheRef),
            slots = op.In("slotMapping", slotMapping), v = op.In("value", value),
            vc = op.InOut("valueCacheRef", valueCacheRef);
  op.Null(op.MaybeIn("compressLensOptional", compressLensOptional));
  op.Null(op.MaybeIn("compressSeqOffsetOptional", compressSeqOffsetOptional));
  op.Null(op.MaybeIn("seqLensOptional", seqLensOptional));
  CheckPair(op, k, kc);
  CheckPair(op, v, vc);
  op.DType(slots, {ACL_INT32, ACL_INT64}).Rank(slots, 1, 1);
  auto is = [](const char* given, std::string_view word) { return !given || !*given || word == given; };
  op.Require(is(cacheModeOptional, "Norm"), "cacheModeOptional is \"%s\"; \"Norm\" is served",
             cacheModeOptional ? cacheModeOptional : "");
  op.Require(is(scatterModeOptional, "None"), "scatterModeOptional is \"%s\"; \"None\" is served",
             scatterModeOptional ? scatterModeOptional : "");
  for (int64_t s : stridesOptional ? stridesOptional->values : std::vector<int64_t>())
    op.Require(s == 1, "stridesOptional holds %d; 1 is served", s);
  for (int64_t o : offsetsOptional ? offsetsOptional->values : std::vector<int64_t>())
    op.Require(o == 0, "offsetsOptional holds %d; 0 is served", o);
  if (op.ok()) {
    op.Shape(slots, {op.at(k).size(0)});
    op.Require(op.at(v).size(0) == op.at(k).size(0), "key is %s and value is %s", op.at(k).ShapeString(),
               op.at(v).ShapeString());
    op.Require(op.at(kc).size(0) == op.at(vc).size(0) && op.at(kc).size(1) == op.at(vc).size(1),
               "keyCacheRef is %s and valueCacheRef is %s", op.at(kc).ShapeString(), op.at(vc).ShapeString());
  }
  return op.Finish([=](const Args& args) {
    const std::vector<int64_t> at = Integers(args[slots]);
    Write(args[k], args[kc], at);
    Write(args[v], args[vc], at);
  });
}
QIAO_ACLNN_LAUNCH(ScatterPaKvCache)
