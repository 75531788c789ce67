#include "runtime/program/launch_cost.h"

#include <algorithm>
#include <cstring>

#include "runtime/ops/cost.h"

namespace qiao::program {
namespace {

template <typename T>
absl::StatusOr<std::vector<T>> Read(const LaunchEvent& event, size_t argument) {
  std::vector<std::byte> bytes;
  QIAO_RETURN_IF_ERROR(event.read(event.node->args[argument], bytes));
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// Rows and lengths, as the host knows them.
ops::LiveCounts CountsOf(const qiao_batch& batch) {
  ops::LiveCounts live;
  live.rows = batch.rows;
  live.seqs = batch.seqs;
  live.logit_rows = batch.logit_rows;
  for (int32_t s = 0; s < batch.seqs; ++s) {
    const int64_t rows = batch.q_start[s + 1] - batch.q_start[s], length = batch.kv_len[s];
    live.cached += length;
    // The last row attends to `length` positions, each one before it to one fewer.
    live.context += rows * length - rows * (rows - 1) / 2;
  }
  return live;
}

// Which experts have rows. Operations name what tells it: `ends`, where the rows of each expert end, or the
// choices `ids` of every row; `slot` only has as many columns as a row has choices.
absl::Status ReadRouting(const LaunchEvent& event, absl::Span<const ops::ArgSpec> args, LaunchCost& out,
                         ops::LiveCounts& live) {
  for (size_t i = 0; i < args.size(); ++i) {
    const qiao_tensor& t = event.call->argument[i];
    if (args[i].name == "ends" && t.dtype == QIAO_I64) {
      QIAO_ASSIGN_OR_RETURN(const std::vector<int64_t> ends, Read<int64_t>(event, i));
      for (size_t e = 0; e < ends.size(); ++e) {
        if (ends[e] > (e == 0 ? 0 : ends[e - 1])) out.experts.push_back(static_cast<int32_t>(e));
      }
      live.routed = ends.empty() ? 0 : ends.back();
      live.experts_touched = static_cast<int64_t>(out.experts.size());
      return absl::OkStatus();
    }
    if (args[i].name == "ids" && t.dtype == QIAO_I32 && t.rank == 2) {
      QIAO_ASSIGN_OR_RETURN(out.experts, Read<int32_t>(event, i));
      std::erase_if(out.experts, [](int32_t id) { return id < 0; });
      live.routed = static_cast<int64_t>(out.experts.size());
      std::sort(out.experts.begin(), out.experts.end());
      out.experts.erase(std::unique(out.experts.begin(), out.experts.end()), out.experts.end());
      live.experts_touched = static_cast<int64_t>(out.experts.size());
      return absl::OkStatus();
    }
    if (args[i].name == "slot" && t.rank == 2) live.routed = live.rows * t.dim[1];
  }
  return absl::OkStatus();
}

// Of the first argument with numbers in it; a weight of integers wants products of integers whatever it
// meets.
Arithmetic ArithmeticOf(const qiao_op_call& call, absl::Span<const ops::ArgSpec> args) {
  uint32_t first = QIAO_DTYPE_NONE;
  for (size_t i = 0; i < args.size(); ++i) {
    const uint32_t dtype = call.argument[i].dtype;
    if (args[i].weight && dtype == QIAO_I8) return Arithmetic::kI8;
    const bool number = dtype == QIAO_F32 || dtype == QIAO_F16 || dtype == QIAO_BF16 ||
                        dtype == QIAO_F8E4M3 || dtype == QIAO_F8E5M2 || dtype == QIAO_I8;
    if (first == QIAO_DTYPE_NONE && number && !args[i].weight) first = dtype;
  }
  if (first == QIAO_I8) return Arithmetic::kI8;
  return first == QIAO_F32 || first == QIAO_DTYPE_NONE ? Arithmetic::kF32 : Arithmetic::kBF16;
}

}  // namespace

std::string_view Name(Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kF32:
      return "f32";
    case Arithmetic::kBF16:
      return "bf16";
    case Arithmetic::kI8:
      return "int8";
  }
  return "";
}

double PeakOf(const qiao_device_limits& limits, Arithmetic arithmetic) {
  switch (arithmetic) {
    case Arithmetic::kF32:
      return limits.flops_f32;
    case Arithmetic::kBF16:
      return limits.flops_bf16;
    case Arithmetic::kI8:
      return limits.ops_i8;
  }
  return 0;
}

absl::StatusOr<LaunchCost> CostOf(const LaunchEvent& event) {
  const qiao_op_call& call = *event.call;
  const ops::OpSpec* spec = ops::Find(call.op);
  if (spec == nullptr) return Internal("%s: op %d is not in the catalogue", event.node->name, call.op);
  const std::vector<ops::ArgSpec> args = spec->args(call.params);
  LaunchCost out;
  ops::LiveCounts live = CountsOf(*event.batch);
  QIAO_RETURN_IF_ERROR(ReadRouting(event, args, out, live));
  out.cost = spec->cost(call, live);
  out.arithmetic = ArithmeticOf(call, args);
  // A weight with a group an expert has as many of them as the widest one; others (heads) are in ops that
  // route nothing.
  int64_t groups = 1;
  for (size_t i = 0; i < args.size() && live.experts_touched >= 0; ++i) {
    if (args[i].weight) groups = std::max(groups, call.argument[i].dim[0]);
  }
  for (size_t i = 0; i < args.size(); ++i) {
    const qiao_tensor& t = call.argument[i];
    if (!args[i].weight || t.dtype == QIAO_DTYPE_NONE) continue;
    LaunchCost::Weight weight{.argument = i, .bytes = ops::BytesOf(t, live)};
    if (call.op == QIAO_OP_EMBEDDING) {
      weight.bytes *= static_cast<double>(live.rows) / static_cast<double>(std::max<int64_t>(t.dim[1], 1));
    } else if (groups > 1 && t.dim[0] == groups) {
      weight.expert_bytes = weight.bytes / static_cast<double>(groups);
      weight.bytes = weight.expert_bytes * static_cast<double>(out.experts.size());
    }
    out.weights.push_back(weight);
  }
  return out;
}

}  // namespace qiao::program
