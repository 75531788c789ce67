// linear through a library's GEMM (oneDNN), for weights that it knows: f32 and bf16, unscaled. Only on
// request, because what a row computes then depends on how many rows share the launch: few rows go through
// Qiao's own kernel, many through the library's, and the two add in different orders.
//
// The library is loaded when it is asked for (libdnnl.so.2, Debian's libdnnl2): nobody else pays for its
// start.
#pragma once

#include <qiao/ops.h>

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cpu/kernel.h"

namespace qiao::kernels::cpu {

// oneDNN, loaded once a process. Null, with the reason in *why, where it cannot be had.
class GemmLibrary;
std::shared_ptr<const GemmLibrary> LoadGemmLibrary(std::string* why);

// Rows of one call to the library: fixed, so that a row's sums depend on the rows' number no more than they
// must.
inline constexpr int64_t kLibraryRows = 64;
// Below this many live rows the own kernel is faster: it reads the weight once and pads nothing.
inline constexpr int64_t kLibraryLeast = 32;

// A prepared linear. One thread computes a slice of the outputs for all rows; K is not divided.
class LibraryLinear {
 public:
  // Whether the library has this: x and W of one dtype, f32 or bf16; no scales, bias or residual; B = 1; not
  // transposed; at least kLibraryRows rows in the bucket.
  static bool Takes(const qiao_op_call& call);
  // Whether it may take a linear's weight of such elements, before more is known of the call.
  static bool MayTake(uint32_t dtype, uint32_t scheme);
  // Null, with the reason in *why, where the library refuses.
  static std::unique_ptr<LibraryLinear> Prepare(std::shared_ptr<const GemmLibrary> library,
                                                const qiao_op_call& call, int threads, std::string* why);
  ~LibraryLinear();

  uint64_t workspace_bytes() const;
  // False where the library failed. Calls on one pool take turns.
  bool Run(const KernelCall& call, ThreadPool& pool) const;

 private:
  struct Impl;
  explicit LibraryLinear(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace qiao::kernels::cpu
