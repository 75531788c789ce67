// What every kernel needs to read its arguments: the call, live row counts, rows of a weight that lies in
// pieces.
#pragma once

#include <qiao/ops.h>

#include <algorithm>
#include <cstdint>

namespace qiao::kernels {

// One launch as a kernel sees it. tensor[i] and pointer[i] are argument i in the order of qiao/ops.h.
struct KernelCall {
  const void* params = nullptr;
  const qiao_tensor* tensor = nullptr;
  void* const* pointer = nullptr;
  const qiao_batch* batch = nullptr;  // may be null where every row is live
  void* workspace = nullptr;

  template <typename T>
  const T& as() const {
    return *static_cast<const T*>(params);
  }
  template <typename T>
  T* data(int i) const {
    return static_cast<T*>(pointer[i]);
  }
  bool has(int i) const { return tensor[i].dtype != QIAO_DTYPE_NONE && pointer[i] != nullptr; }
};

// linear takes rows [T,K] as short for [T,1,K]: the same description with the dimension written out. An
// absent argument stays absent.
inline qiao_tensor WithBatch(qiao_tensor t) {
  if (t.rank != 2) return t;
  t.rank = 3;
  t.dim[2] = t.dim[1];
  t.stride[2] = t.stride[1];
  t.dim[1] = 1;
  t.stride[1] = 0;
  return t;
}

// The live rows of argument i; `ends` and `experts` for QIAO_LIVE_ROUTED.
inline int64_t LiveRows(const KernelCall& call, int i, const int64_t* ends = nullptr, int64_t experts = 0) {
  const qiao_tensor& t = call.tensor[i];
  const int64_t all = t.dim[0];
  const qiao_batch* b = call.batch;
  switch (t.live) {
    case QIAO_LIVE_ROWS:
      return b ? std::min<int64_t>(all, b->rows) : all;
    case QIAO_LIVE_SEQS:
      return b ? std::min<int64_t>(all, b->seqs) : all;
    case QIAO_LIVE_LOGITS:
      return b ? std::min<int64_t>(all, b->logit_rows) : all;
    case QIAO_LIVE_ROUTED:
      return ends && experts > 0 ? std::min(all, ends[experts - 1]) : all;
    default:
      return all;
  }
}

}  // namespace qiao::kernels
