#include "runtime/ops/rules.h"

#include <algorithm>

#include "kernels/reference/reference.h"
#include "runtime/base/checked.h"
#include "runtime/ops/graph.h"

namespace qiao::ops {

Rules::Rules(Mode mode, std::string_view op, std::vector<ArgSpec> args, absl::Span<qiao_tensor> tensors,
             DType out)
    : mode_(mode), op_(op), args_(std::move(args)), tensors_(tensors), out_(out) {
  if (tensors_.size() != args_.size()) {
    status_ = InvalidArgument("%s: %d arguments, takes %d", op_, tensors_.size(), args_.size());
    return;
  }
  for (int i = 0; i < static_cast<int>(args_.size()) && ok(); ++i) {
    const ArgSpec& arg = args_[static_cast<size_t>(i)];
    if (mode_ == kInfer && arg.kind == ArgSpec::kOut) continue;
    if (has(i)) {
      CheckLayout(i);
    } else if (!arg.optional) {
      status_ = InvalidArgument("%s: argument %d (%s) is missing", op_, i, arg.name);
    }
  }
}

void Rules::Fail(int i, std::string_view what) {
  if (!ok()) return;
  status_ = InvalidArgument("%s: argument %d (%s) is %s: %s", op_, i, args_[static_cast<size_t>(i)].name,
                            ToString(tensor(i)), what);
}

void Rules::CheckLayout(int i) {
  const qiao_tensor& t = tensor(i);
  const ArgSpec& arg = args_[static_cast<size_t>(i)];
  if (t.rank < 1 || t.rank > QIAO_MAX_RANK) {
    status_ = InvalidArgument("%s: argument %d (%s) has rank %d, must be 1 to %d", op_, i, arg.name, t.rank,
                              QIAO_MAX_RANK);
    return;
  }
  if (SizeOf(type(i)) == 0) return Fail(i, absl::StrFormat("dtype %d is unknown", t.dtype));
  int64_t bytes = static_cast<int64_t>(SizeOf(type(i)));
  for (uint32_t d = 0; d < t.rank; ++d) {
    if (t.dim[d] < 0) return Fail(i, absl::StrFormat("dim %d is negative", d));
    const auto product = CheckedMul(bytes, std::max<int64_t>(t.dim[d], 1));
    if (!product) return Fail(i, "its size overflows");
    bytes = *product;
  }
  if (t.layout == QIAO_LAYOUT_OPAQUE) {
    if (!arg.weight && !arg.opaque) Fail(i, "only weights and schedules may be opaque");
    return;
  }
  if (t.layout == QIAO_LAYOUT_PIECES) {
    if (!arg.weight) Fail(i, "only weights may lie in pieces");
    return;
  }
  if (t.layout != QIAO_LAYOUT_STRIDED) return Fail(i, absl::StrFormat("layout %d is unknown", t.layout));
  if (arg.weight && t.stride[t.rank - 1] != 1) return Fail(i, "the last dimension's stride must be 1");
  if (arg.weight) return;
  if ((IsFloat(type(i)) || type(i) == DType::kI8) && t.dim[t.rank - 1] > 1 && t.stride[t.rank - 1] != 1) {
    return Fail(i, "the last dimension's stride must be 1");
  }
  if (!arg.strided && !IsContiguous(t)) return Fail(i, "it must be contiguous");
  for (uint32_t d = 0; d < t.rank; ++d) {
    if (t.stride[d] < 0) return Fail(i, absl::StrFormat("stride %d is negative", d));
  }
}

void Rules::Arg(int i, std::initializer_list<DType> types, const Dims& dims) {
  if (!ok() || !has(i)) return;
  if (std::find(types.begin(), types.end(), type(i)) == types.end()) {
    std::string expected;
    for (DType t : types) expected += absl::StrFormat("%s%s", expected.empty() ? "" : " or ", Name(t));
    return Fail(i, absl::StrFormat("its dtype must be %s", expected));
  }
  MatchDims(i, dims);
}

void Rules::Act(int i, const Dims& dims) {
  if (!ok() || !has(i)) return;
  if (type(i) != DType::kF32 && type(i) != DType::kBF16) return Fail(i, "its dtype must be f32 or bf16");
  if (act_ == DType::kInvalid) act_ = type(i);
  if (type(i) != act_)
    return Fail(i, absl::StrFormat("its dtype must be %s, as of the other activations", Name(act_)));
  MatchDims(i, dims);
}

void Rules::Weight(int i, const Dims& dims) {
  if (!ok() || !has(i)) return;
  if (!IsFloat(type(i)) && type(i) != DType::kI8 && tensor(i).layout != QIAO_LAYOUT_OPAQUE) {
    return Fail(i, "its dtype must be a float one or i8");
  }
  if (tensor(i).scheme > QIAO_SCHEME_CHANNEL) return Fail(i, "its scale scheme is unknown");
  if (tensor(i).scheme == QIAO_SCHEME_BLOCK && (tensor(i).block[0] < 1 || tensor(i).block[1] < 1)) {
    return Fail(i, "its scale blocks must have at least one row and one column");
  }
  MatchDims(i, dims);
}

void Rules::MatchDims(int i, const Dims& dims) {
  const qiao_tensor& t = tensor(i);
  if (t.rank != dims.size()) return Fail(i, absl::StrFormat("its rank must be %d", dims.size()));
  const std::string_view where = args_[static_cast<size_t>(i)].name;
  for (size_t d = 0; d < dims.size(); ++d) {
    const Dim& want = dims[d];
    if (want.name.empty()) {
      if (t.dim[d] != want.value) return Fail(i, absl::StrFormat("dim %d must be %d", d, want.value));
      continue;
    }
    const auto bound = std::find_if(bindings_.begin(), bindings_.end(),
                                    [&](const Binding& b) { return b.name == want.name; });
    if (bound == bindings_.end()) {
      bindings_.push_back({want.name, where, t.dim[d]});
    } else if (bound->value != t.dim[d]) {
      return Fail(
          i, absl::StrFormat("dim %d must be %s = %d (from %s)", d, want.name, bound->value, bound->where));
    }
  }
}

void Rules::Output(int i, DType inferred, const Dims& dims, uint32_t live,
                   std::initializer_list<DType> types) {
  if (!ok()) return;
  if (mode_ == kCheck) {
    if (types.size() == 0) {
      Arg(i, {inferred}, dims);
    } else {
      Arg(i, types, dims);
    }
    return;
  }
  const std::string_view name = args_[static_cast<size_t>(i)].name;
  if (types.size() != 0 && std::find(types.begin(), types.end(), inferred) == types.end()) {
    status_ = InvalidArgument("%s: output %s cannot be %s; say a dtype that it can have", op_, name,
                              Name(inferred));
    return;
  }
  std::vector<int64_t> numbers;
  for (const Dim& d : dims) numbers.push_back(d.name.empty() ? d.value : (*this)[d.name]);
  tensors_[static_cast<size_t>(i)] = MakeTensor(inferred, numbers, live);
  CheckLayout(i);
}

void Rules::Require(bool condition, std::string_view message) {
  if (ok() && !condition) status_ = InvalidArgument("%s: %s", op_, message);
}

void Rules::MakeOpaque(int i) { tensors_[static_cast<size_t>(i)].layout = QIAO_LAYOUT_OPAQUE; }

void Rules::SetRowBlocks(int i, int32_t columns) {
  if (!ok()) return;
  qiao_tensor& t = tensors_[static_cast<size_t>(i)];
  if (mode_ == kInfer) {
    ops::SetRowBlocks(t, columns);
  } else if (!HasRowBlocks(t) || t.block[1] != columns) {
    Fail(i, absl::StrFormat("its scheme must be scales for blocks of 1x%d", columns));
  }
}

void Rules::SetRowScales(int i) {
  if (!ok()) return;
  qiao_tensor& t = tensors_[static_cast<size_t>(i)];
  if (mode_ == kInfer) {
    t.scheme = QIAO_SCHEME_CHANNEL;
  } else if (t.scheme != QIAO_SCHEME_CHANNEL) {
    Fail(i, "its scheme must be one scale a row");
  }
}

Dims Rules::dims(int i, int drop) const {
  Dims result;
  const qiao_tensor& t = tensor(i);
  for (int d = 0; d + drop < static_cast<int>(t.rank); ++d) result.emplace_back(t.dim[d]);
  return result;
}

int64_t Rules::operator[](std::string_view name) const {
  for (const Binding& b : bindings_) {
    if (b.name == name) return b.value;
  }
  return 0;
}

void Rules::Let(std::string_view name, int64_t value) {
  bindings_.push_back({name, "the parameters", value});
}

void CheckQuantisedRows(Rules& r, int x, int x_scale, int w, bool transposed) {
  if (!r.ok()) return;
  // -127 * -128 times so many fit 32 bits.
  constexpr int64_t kMostProducts = 131072;
  const qiao_tensor &t = r.tensor(x), &weight = r.tensor(w);
  const bool i8 = r.type(x) == DType::kI8;
  r.Require((i8 || r.type(x) == DType::kF8E4M3) == r.has(x_scale),
            "x_scale is given with x in f8_e4m3 or i8, and only then");
  if (!r.ok() || !r.has(x_scale)) return;
  Dims dims = r.dims(x, 1);
  if (i8) {
    r.Require(t.scheme == QIAO_SCHEME_CHANNEL,
              absl::StrFormat("x is %s with scales: its scheme must be one scale a row", ToString(t)));
    // One that a device has stored is its own affair.
    const bool i8_weight = weight.dtype == QIAO_I8 && weight.scheme == QIAO_SCHEME_CHANNEL;
    r.Require(!transposed && (weight.layout != QIAO_LAYOUT_PIECES || i8_weight),
              absl::StrFormat(
                  "x in i8 meets weights in i8 with a scale for each row, not transposed; this one is %s",
                  ToString(weight)));
    r.Require(r["K"] <= kMostProducts,
              absl::StrFormat("K is %d; sums of i8 products fit 32 bits up to %d", r["K"], kMostProducts));
    dims.emplace_back(1);
  } else {
    r.Require(HasRowBlocks(t),
              absl::StrFormat("x is %s with scales: its scheme must be blocks of 1 x columns", ToString(t)));
    if (r.ok()) dims.emplace_back(CeilDiv(t.dim[t.rank - 1], t.block[1]));
  }
  r.Arg(x_scale, {DType::kF32}, dims);
}

void CheckPool(Rules& r, int pool, int scale, Dim width) {
  if (scale < 0) return r.Arg(pool, {DType::kF32, DType::kBF16}, {"pages", "page_tokens", width});
  r.Arg(pool, {DType::kF8E4M3}, {"pages", "page_tokens", width});
  if (!r.ok()) return;
  const qiao_tensor& t = r.tensor(pool);
  r.Require(
      HasRowBlocks(t),
      absl::StrFormat("a pool is %s with scales: its scheme must be blocks of 1 x channels", ToString(t)));
  if (!r.ok()) return;
  r.Arg(scale, {DType::kF32}, {"pages", "page_tokens", CeilDiv(t.dim[2], t.block[1])});
}

void CheckGateParams(const qiao_moe_gate_params& p, int64_t experts, Rules& r) {
  const int64_t groups = p.groups > 1 ? p.groups : 1;
  r.Require(p.score == QIAO_SCORE_SOFTMAX || p.score == QIAO_SCORE_SIGMOID,
            "score must be softmax or sigmoid");
  r.Require(p.group_score == QIAO_GROUP_SCORE_MAX || p.group_score == QIAO_GROUP_SCORE_TOP2_SUM,
            "group_score must be the maximum or the sum of the top 2");
  r.Require(p.groups >= 0 && experts % groups == 0,
            absl::StrFormat("groups (%d) must divide the number of experts (%d)", p.groups, experts));
  r.Require(p.k >= 1 && p.k <= experts,
            absl::StrFormat("k is %d, must be 1 to the %d experts", p.k, experts));
  if (groups == 1) return;
  r.Require(p.topk_group >= 1 && p.topk_group <= groups,
            absl::StrFormat("topk_group is %d, must be 1 to the %d groups", p.topk_group, groups));
  r.Require(p.group_score != QIAO_GROUP_SCORE_TOP2_SUM || experts / groups >= 2,
            "the sum of a group's top 2 needs groups of 2 or more");
}

absl::Status CheckParamsSize(std::string_view op, const void* params, size_t size) {
  if (!params) return InvalidArgument("%s: no parameters", op);
  const uint32_t got = *static_cast<const uint32_t*>(params);
  if (got != size) {
    return InvalidArgument("%s: its parameter struct says %d bytes, this version of Qiao knows %d", op, got,
                           size);
  }
  return absl::OkStatus();
}

absl::Status RunReferenceKernel(const qiao_op_call& call, const qiao_launch& launch) {
  std::string why;
  if (!kernels::reference::Supported(call, &why)) {
    return Unimplemented("%s: the scalar kernels do not take it: %s", ToString(call), why);
  }
  kernels::KernelCall k;
  k.params = call.params;
  k.tensor = call.argument;
  k.pointer = launch.argument;
  k.batch = launch.batch;
  k.workspace = launch.workspace;
  kernels::reference::Find(call.op)(k);
  return absl::OkStatus();
}

}  // namespace qiao::ops
