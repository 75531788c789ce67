#include "runtime/ops/cost.h"

#include <algorithm>

#include "runtime/base/checked.h"
#include "runtime/base/dtype.h"

namespace qiao::ops {

double LiveOf(const qiao_tensor& tensor, const LiveCounts& live) {
  int64_t rows = tensor.dim[0];
  switch (tensor.live) {
    case QIAO_LIVE_ROWS:
      rows = std::min(rows, live.rows);
      break;
    case QIAO_LIVE_SEQS:
      rows = std::min(rows, live.seqs);
      break;
    case QIAO_LIVE_LOGITS:
      rows = std::min(rows, live.logit_rows);
      break;
    case QIAO_LIVE_ROUTED:
      rows = live.routed < 0 ? rows : std::min(rows, live.routed);
      break;
    default:
      break;
  }
  return static_cast<double>(rows);
}

double BytesOf(const qiao_tensor& tensor, const LiveCounts& live) {
  if (tensor.dtype == QIAO_DTYPE_NONE || tensor.rank == 0) return 0;
  double elements = LiveOf(tensor, live);
  for (uint32_t i = 1; i < tensor.rank; ++i) elements *= static_cast<double>(tensor.dim[i]);
  double bytes = elements * static_cast<double>(SizeOf(static_cast<DType>(tensor.dtype)));
  if (tensor.rank == 3 && tensor.scheme == QIAO_SCHEME_BLOCK && tensor.layout != QIAO_LAYOUT_STRIDED) {
    bytes += static_cast<double>(sizeof(float)) * static_cast<double>(tensor.dim[0]) *
             static_cast<double>(CeilDiv(tensor.dim[1], std::max(tensor.block[0], 1))) *
             static_cast<double>(CeilDiv(tensor.dim[2], std::max(tensor.block[1], 1)));
  }
  if (tensor.rank == 3 && tensor.scheme == QIAO_SCHEME_CHANNEL && tensor.layout != QIAO_LAYOUT_STRIDED) {
    bytes += static_cast<double>(sizeof(float)) * static_cast<double>(tensor.dim[0] * tensor.dim[1]);
  }
  return bytes;
}

double PoolRowBytes(const qiao_tensor& pool) {
  const auto bytes = pool.dim[2] * static_cast<int64_t>(SizeOf(static_cast<DType>(pool.dtype)));
  const int64_t scales =
      pool.scheme == QIAO_SCHEME_BLOCK ? CeilDiv<int64_t>(pool.dim[2], std::max(pool.block[1], 1)) : 0;
  return static_cast<double>(bytes + scales * static_cast<int64_t>(sizeof(float)));
}

Cost StreamingCost(const qiao_op_call& call, const LiveCounts& live, int counted, double flops_per_element) {
  Cost cost;
  for (uint32_t i = 0; i < call.argument_count; ++i) cost.bytes += BytesOf(call.argument[i], live);
  const qiao_tensor& t = call.argument[counted];
  double elements = LiveOf(t, live);
  for (uint32_t i = 1; i < t.rank; ++i) elements *= static_cast<double>(t.dim[i]);
  cost.flops = elements * flops_per_element;
  return cost;
}

}  // namespace qiao::ops
