// The shape and dtype rules of an operation, written once and used twice: to fill the descriptions of the
// outputs from the inputs (OpSpec::infer) and to check a complete call (OpSpec::check).
//
//   r.Act(kX, {"T", "K"});
//   r.Weight(kW, {1, "N", "K"});
//   r.Output(kY, r.act(), {"T", "N"}, r.live(kX));
//
// A name stands for the same number wherever it occurs in a call; the first use decides. The first violation
// is kept and names the operation, the argument, its description and what was expected.
#pragma once

#include <qiao/ops.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"
#include "runtime/ops/catalogue.h"

namespace qiao::ops {

// A dimension: a name or a number.
struct Dim {
  Dim(const char* n) : name(n) {}  // NOLINT(google-explicit-constructor)
  Dim(int64_t v) : value(v) {}     // NOLINT(google-explicit-constructor)
  Dim(int32_t v) : value(v) {}     // NOLINT(google-explicit-constructor)
  std::string_view name;
  int64_t value = 0;
};
using Dims = std::vector<Dim>;

class Rules {
 public:
  enum Mode { kInfer, kCheck };

  // Checks what is true of every operation: the number of arguments, which of them may be absent, layouts,
  // ranks, strides. `out` is what infer was asked for.
  Rules(Mode mode, std::string_view op, std::vector<ArgSpec> args, absl::Span<qiao_tensor> tensors,
        DType out);

  // Argument i has one of these dtypes and these dims. An absent one passes.
  void Arg(int i, std::initializer_list<DType> types, const Dims& dims);
  // f32 or bf16, the same for all such arguments of the call.
  void Act(int i, const Dims& dims);
  // Float weights of any stored form.
  void Weight(int i, const Dims& dims);
  // Infer: describes output i, contiguous. Check: its dims are these, its dtype one of `types`.
  void Output(int i, DType inferred, const Dims& dims, uint32_t live,
              std::initializer_list<DType> types = {});
  void Require(bool condition, std::string_view message);
  // After Output, when inferring: the output's bytes are the backend's own.
  void MakeOpaque(int i);
  // After Output: rows of argument i are quantised, one scale for `columns` columns of a row, or for a whole
  // row.
  void SetRowBlocks(int i, int32_t columns);
  void SetRowScales(int i);

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const { return status_; }
  bool inferring() const { return mode_ == kInfer; }
  bool has(int i) const { return tensor(i).dtype != QIAO_DTYPE_NONE; }
  const qiao_tensor& tensor(int i) const { return tensors_[static_cast<size_t>(i)]; }
  DType type(int i) const { return static_cast<DType>(tensor(i).dtype); }
  uint32_t live(int i) const { return tensor(i).live; }
  DType act() const { return act_; }
  DType out() const { return out_; }
  // All dims of argument i as numbers; the last `drop` left out.
  Dims dims(int i, int drop = 0) const;
  // What a name stands for; 0 where it has not been met.
  int64_t operator[](std::string_view name) const;
  void Let(std::string_view name, int64_t value);

 private:
  struct Binding {
    std::string_view name, where;
    int64_t value;
  };
  void Fail(int i, std::string_view what);
  void MatchDims(int i, const Dims& dims);
  void CheckLayout(int i);

  Mode mode_;
  std::string_view op_;
  std::vector<ArgSpec> args_;
  absl::Span<qiao_tensor> tensors_;
  DType out_;
  DType act_ = DType::kInvalid;
  std::vector<Binding> bindings_;
  absl::Status status_;
};

// The parts of an entry that follow from its arguments and rules: infer, check, and for operations with a
// scalar kernel their reference. P is the parameter struct.
absl::Status RunReferenceKernel(const qiao_op_call& call, const qiao_launch& launch);
absl::Status CheckParamsSize(std::string_view op, const void* params, size_t size);

// Of linear and grouped_linear, whose x has the named dimension K: x in f8_e4m3 says how many columns share a
// scale and x_scale has as many; x in i8 has one scale a row and meets a weight of that kind. Others have no
// x_scale.
void CheckQuantisedRows(Rules& r, int x, int x_scale, int w, bool transposed);
// A cache's pool [pages, page_tokens, width]: f32 or bf16; or, `scale` >= 0, f8_e4m3 in blocks of channels
// whose scales are argument `scale`.
void CheckPool(Rules& r, int pool, int scale, Dim width);
// Of moe_gate and moe_mlp.
void CheckGateParams(const qiao_moe_gate_params& p, int64_t experts, Rules& r);

template <typename P>
OpSpec MakeSpec(uint32_t id, std::string_view name, std::vector<ArgSpec> (*args)(const P&),
                void (*rules)(const P&, Rules&)) {
  OpSpec spec;
  spec.id = id;
  spec.name = name;
  spec.params_size = sizeof(P);
  spec.args = [args](const void* params) { return args(*static_cast<const P*>(params)); };
  spec.infer = [name, args, rules](const void* params, absl::Span<qiao_tensor> tensors,
                                   DType out) -> absl::Status {
    QIAO_RETURN_IF_ERROR(CheckParamsSize(name, params, sizeof(P)));
    const P& p = *static_cast<const P*>(params);
    Rules r(Rules::kInfer, name, args(p), tensors, out);
    if (r.ok()) rules(p, r);
    return r.status();
  };
  spec.check = [name, args, rules](const qiao_op_call& call) -> absl::Status {
    QIAO_RETURN_IF_ERROR(CheckParamsSize(name, call.params, sizeof(P)));
    const P& p = *static_cast<const P*>(call.params);
    std::vector<qiao_tensor> tensors(call.argument, call.argument + call.argument_count);
    Rules r(Rules::kCheck, name, args(p), absl::MakeSpan(tensors), DType::kInvalid);
    if (r.ok()) rules(p, r);
    return r.status();
  };
  spec.reference = RunReferenceKernel;
  return spec;
}

}  // namespace qiao::ops
