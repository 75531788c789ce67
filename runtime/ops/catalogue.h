// The op catalogue: for each operation of qiao/ops.h its shape and dtype rules, its cost, its scalar
// definition, its decomposition if it is coarse, its test cases and its tolerance. One entry generates the
// operation's conformance tests, its benchmark and its row in the support table. To add an operation: an id
// and a parameter struct in ops.h, an entry here (a file of its own), a kernel in kernels/reference.
#pragma once

#include <qiao/ops.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/status.h"
#include "runtime/ops/graph.h"

namespace qiao::ops {

struct ArgSpec {
  enum Kind { kIn, kOut, kInOut };
  std::string_view name;
  Kind kind = kIn;
  bool optional = false;
  bool weight = false;   // negotiated; kIn only
  bool strided = false;  // may have strides other than row-major (the last dimension's is always 1)
  bool opaque = false;   // an intermediate in the backend's own form
};

// The live counts of a step, for costs.
struct LiveCounts {
  int64_t rows = 0, seqs = 0, logit_rows = 0;
  int64_t context = 0;           // sum over live rows of the positions each attends to
  int64_t cached = 0;            // sum over sequences of kv_len
  int64_t experts_touched = -1;  // distinct experts of a MoE layer; -1: all
  int64_t routed = -1;           // live rows of arguments sorted by expert: rows * k; -1: all
};

// What one call must do at least: floating-point operations, and bytes read and written (weights that are
// used and activations once each), the denominator of the roofline.
struct Cost {
  double flops = 0;
  double bytes = 0;
};

// One generated conformance case, made for a seed. Inputs are filled, outputs sized; the harness lays the
// tensors out (strided where `strided`, with guard zones), runs reference and backend, and compares.
struct Case {
  std::string name;  // "T=5,N=33,K=129,f8,bf16"
  Params params;
  struct Arg {
    qiao_tensor tensor{};          // contiguous; a weight has layout PIECES
    std::vector<std::byte> bytes;  // contiguous contents; for a weight the file bytes of all its pieces
    // For a weight: pieces whose data and scale are offsets in bytes into `bytes` and `scales`; the harness
    // adds the addresses.
    std::vector<qiao_piece> pieces;
    std::vector<float> scales;
  };
  std::vector<Arg> args;
  // The batch: rows <= T, ragged.
  std::vector<int32_t> q_start, kv_len;
  int32_t rows = 0, seqs = 0, logit_rows = 0;
};

// How far a backend's output may be from the scalar definition's. All tolerances stand in tolerance.cc.
struct Tolerance {
  double max_abs_over_rms = 0;  // max |y - ref| / rms(ref), 0: bitwise
  double calc_diff = 0;         // 1 - 2<x,y>/(|x|^2+|y|^2), DeepGEMM's measure
};

struct OpSpec {
  uint32_t id = 0;
  std::string_view name;  // "latent_attention"
  size_t params_size = 0;
  // May depend on the parameters (kv_write's number of kinds).
  std::function<std::vector<ArgSpec>(const void* params)> args;
  // Fills the output descriptions from the others. tensors has one entry an argument.
  std::function<absl::Status(const void* params, absl::Span<qiao_tensor> tensors, DType out)> infer;
  // Checks a complete call: ranks, shapes that must agree, dtypes, parameter ranges. Everything that Program
  // prepares has passed it, so backends need to look only at what they cannot do.
  std::function<absl::Status(const qiao_op_call&)> check;
  std::function<Cost(const qiao_op_call&, const LiveCounts&)> cost;
  // The definition: the scalar kernel, or for a coarse operation the kernels of its decomposition in turn.
  std::function<absl::Status(const qiao_op_call&, const qiao_launch&)> reference;
  // Coarse operations only: appends nodes that compute the same into `graph`; temporaries are named after the
  // node.
  std::function<absl::Status(const Node&, Graph& graph)> decompose;
  std::function<std::vector<Case>(uint64_t seed, bool large)> cases;
  // For output argument `arg` of the call.
  std::function<Tolerance(const qiao_op_call&, int arg)> tolerance;
};

// All entries, by id.
absl::Span<const OpSpec* const> Catalogue();
const OpSpec* Find(uint32_t id);
const OpSpec* Find(std::string_view name);
std::string_view OpName(uint32_t id);  // "op 4711" is "unknown"

}  // namespace qiao::ops
