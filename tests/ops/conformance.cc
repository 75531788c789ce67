#include "tests/ops/conformance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "runtime/ops/graph.h"
#include "tests/ops/case_runner.h"
#include "tests/ops/compare.h"

namespace qiao::conformance {
namespace {

using ops::ArgSpec;
using ops::Case;
using ops::OpSpec;

// The rows of dim[0] of output i whose contents the definition promises.
int64_t PromisedRows(const OpSpec& spec, const std::vector<ArgSpec>& args, const Case& c,
                     const Contents& reference, size_t i) {
  const qiao_tensor& t = c.args[i].tensor;
  if (args[i].kind == ArgSpec::kInOut) return t.dim[0];
  // Dead rows of these are -1 and 0, so that nothing is routed for them; and a row of gather that is dead
  // stays.
  if (args[i].name == "ids" && spec.id != QIAO_OP_ARGMAX) return t.dim[0];
  if (args[i].name == "slot" || spec.id == QIAO_OP_GATHER_ROWS || spec.id == QIAO_OP_MOE_GATE)
    return t.dim[0];
  switch (t.live) {
    case QIAO_LIVE_ROWS:
      return std::min<int64_t>(t.dim[0], c.rows);
    case QIAO_LIVE_SEQS:
      return std::min<int64_t>(t.dim[0], c.seqs);
    case QIAO_LIVE_LOGITS:
      return std::min<int64_t>(t.dim[0], c.logit_rows);
    case QIAO_LIVE_ROUTED:
      for (size_t j = 0; j < args.size(); ++j) {
        if (args[j].name != "ends" || reference.args[j].empty()) continue;
        int64_t last = 0;
        std::memcpy(&last, reference.args[j].data() + reference.args[j].size() - sizeof(last), sizeof(last));
        return std::min(t.dim[0], last);
      }
      return t.dim[0];
    default:
      return t.dim[0];
  }
}

int64_t RowBytes(const qiao_tensor& t) {
  return t.dim[0] ? ops::Elements(t) / t.dim[0] * static_cast<int64_t>(SizeOf(static_cast<DType>(t.dtype)))
                  : 0;
}

// The case of row `row` alone: the same weights, one row. False where the operation has no such case.
bool SliceRow(const OpSpec& spec, const std::vector<ArgSpec>& args, const Case& c, int64_t row, Case* alone) {
  *alone = c;
  alone->rows = alone->rows ? 1 : 0;
  alone->logit_rows = alone->logit_rows ? 1 : 0;
  uint32_t sliced = spec.id == QIAO_OP_ARGMAX ? QIAO_LIVE_LOGITS : QIAO_LIVE_ROWS;
  switch (spec.id) {
    case QIAO_OP_MOE_PERMUTE:
    case QIAO_OP_MOE_COMBINE:
    case QIAO_OP_KV_WRITE:
    case QIAO_OP_GATHER_ROWS:
    case QIAO_OP_ATTENTION_SCHEDULE:
      return false;  // their outputs are not functions of one row
    default:
      break;
  }
  // Rows sorted by expert: the others' experts become empty.
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].name != "ends" || args[i].kind != ArgSpec::kIn || alone->args[i].bytes.empty()) continue;
    sliced = QIAO_LIVE_ROUTED;
    for (size_t at = 0; at < alone->args[i].bytes.size(); at += sizeof(int64_t)) {
      int64_t end = 0;
      std::memcpy(&end, alone->args[i].bytes.data() + at, sizeof(end));
      end = end > row;
      std::memcpy(alone->args[i].bytes.data() + at, &end, sizeof(end));
    }
  }
  if (spec.id == QIAO_OP_LATENT_ATTENTION) {
    enum { kQStart = 4, kKvLen = 5, kTable = 6 };
    const auto s =
        static_cast<size_t>(std::upper_bound(c.q_start.begin(), c.q_start.end(), row) - c.q_start.begin()) -
        1;
    const int32_t length = c.kv_len[s] - c.q_start[s + 1] + static_cast<int32_t>(row) + 1;
    alone->seqs = 1;
    alone->q_start = {0, 1};
    alone->kv_len = {length};
    const auto set = [&](size_t i, const std::vector<int32_t>& values, int64_t first) {
      alone->args[i].tensor.dim[0] = first;
      alone->args[i].bytes.resize(values.size() * sizeof(int32_t));
      std::memcpy(alone->args[i].bytes.data(), values.data(), alone->args[i].bytes.size());
    };
    set(kQStart, {0, 1}, 2);
    set(kKvLen, {length}, 1);
    std::vector<int32_t> table(static_cast<size_t>(c.args[kTable].tensor.dim[1]));
    std::memcpy(table.data(), c.args[kTable].bytes.data() + s * table.size() * sizeof(int32_t),
                table.size() * sizeof(int32_t));
    set(kTable, table, 1);
  }
  for (size_t i = 0; i < args.size(); ++i) {
    Case::Arg& arg = alone->args[i];
    if (arg.tensor.dtype == QIAO_DTYPE_NONE || args[i].weight || arg.tensor.live != sliced) continue;
    const auto bytes = RowBytes(arg.tensor);
    const std::vector<std::byte> whole = arg.bytes;
    arg.bytes.assign(whole.begin() + row * bytes, whole.begin() + (row + 1) * bytes);
    arg.tensor.dim[0] = 1;
  }
  return true;
}

// Some live rows, computed alone, must have the bits that they had among others.
absl::Status CheckRowInvariance(const std::shared_ptr<const hal::Device>& device, const OpSpec& spec,
                                const std::vector<ArgSpec>& args, const Case& c, const Contents& reference,
                                const DeviceRun& whole) {
  int64_t live = 0;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].kind != ArgSpec::kOut) continue;
    live = c.args[i].tensor.live == QIAO_LIVE_ROWS ? c.rows : PromisedRows(spec, args, c, reference, i);
    break;
  }
  std::set<int64_t> rows;
  if (live > 0) rows = {0, live / 2, live - 1};
  for (int64_t row : rows) {
    Case alone;
    if (!SliceRow(spec, args, c, row, &alone)) return absl::OkStatus();
    QIAO_ASSIGN_OR_RETURN(const DeviceRun run, RunOnDevice(device, spec, alone, Variant{}));
    if (!run.supported || !run.row_invariant) continue;
    for (size_t i = 0; i < args.size(); ++i) {
      if (args[i].kind != ArgSpec::kOut) continue;
      const auto bytes = static_cast<size_t>(RowBytes(c.args[i].tensor));
      if (std::memcmp(run.contents.args[i].data(),
                      whole.contents.args[i].data() + static_cast<size_t>(row) * bytes, bytes) != 0) {
        return Internal("the plan says row_invariant, but row %d of %s has other bits when computed alone",
                        row, args[i].name);
      }
    }
  }
  return absl::OkStatus();
}

// Every byte outside the promised rows of an operation that leaves dead rows untouched is checked by
// comparing all rows (the reference starts from the same guard bytes).
absl::Status CompareAll(const OpSpec& spec, const std::vector<ArgSpec>& args, const Case& c,
                        const Contents& reference, const DeviceRun& run, double* of_tolerance) {
  qiao_op_call call{};
  call.struct_size = sizeof(call);
  call.op = spec.id;
  call.params = c.params.data();
  call.argument_count = static_cast<uint32_t>(c.args.size());
  std::vector<qiao_tensor> tensors;
  for (const Case::Arg& arg : c.args) tensors.push_back(arg.tensor);
  call.argument = tensors.data();
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].kind == ArgSpec::kIn || tensors[i].layout == QIAO_LAYOUT_OPAQUE) continue;
    ops::Tolerance tolerance = spec.tolerance(call, static_cast<int>(i));
    if (run.weight_error > 0) {
      // What storing the weight cost is not the kernel's error; an output's peak is some times its rms.
      tolerance.max_abs_over_rms += 8 * run.weight_error;
      tolerance.calc_diff = std::pow(std::sqrt(2 * tolerance.calc_diff) + run.weight_error, 2) / 2;
    }
    const int64_t rows = PromisedRows(spec, args, c, reference, i);
    const int64_t per_row = tensors[i].dim[0] ? ops::Elements(tensors[i]) / tensors[i].dim[0] : 0;
    const Difference d = Compare(static_cast<DType>(tensors[i].dtype), run.contents.args[i].data(),
                                 reference.args[i].data(), rows * per_row, tolerance);
    *of_tolerance = std::max(*of_tolerance, d.of_tolerance);
    if (d.of_tolerance > 1) return Internal("%s: %s", args[i].name, d.text);
  }
  return absl::OkStatus();
}

Outcome RunCase(const std::shared_ptr<const hal::Device>& device, const OpSpec& spec, const Case& c,
                const Contents& reference, const Variant& variant) {
  Outcome outcome;
  outcome.op = std::string(spec.name);
  outcome.case_name = variant.name.empty() ? c.name : c.name + "; " + variant.name;
  const std::vector<ArgSpec> args = spec.args(c.params.data());
  const auto fail = [&](const absl::Status& s) {
    outcome.kind = Outcome::kFailed;
    outcome.why = s.ToString();
    return outcome;
  };
  absl::StatusOr<DeviceRun> run = RunOnDevice(device, spec, c, variant);
  if (!run.ok()) return fail(run.status());
  outcome.kernel = run->kernel;
  if (!run->supported) {
    outcome.kind = Outcome::kUnsupported;
    outcome.why = run->why;
    return outcome;
  }
  if (absl::Status s = CompareAll(spec, args, c, reference, *run, &outcome.of_tolerance); !s.ok())
    return fail(s);
  if (run->row_invariant) {
    if (absl::Status s = CheckRowInvariance(device, spec, args, c, reference, *run); !s.ok()) return fail(s);
    outcome.row_invariant = true;
  }
  return outcome;
}

}  // namespace

std::vector<Outcome> Run(const std::shared_ptr<const hal::Device>& device, const OpSpec& spec, uint64_t seed,
                         bool large) {
  const std::vector<Variant> variants = {
      {.name = ""}, {.name = "strided", .padding = 16}, {.name = "strided oddly", .padding = 3, .shift = 1}};
  std::vector<Outcome> outcomes;
  for (const Case& c : spec.cases(seed, large)) {
    Outcome broken;
    broken.kind = Outcome::kFailed;
    broken.op = std::string(spec.name);
    broken.case_name = c.name;
    if (c.args.empty()) {
      broken.why = "the case breaks the operation's own rules";
      outcomes.push_back(broken);
      continue;
    }
    const absl::StatusOr<Contents> reference = RunReference(spec, c);
    if (!reference.ok()) {
      broken.why = "the definition: " + reference.status().ToString();
      outcomes.push_back(broken);
      continue;
    }
    bool strided = false, weights = false;
    for (const ArgSpec& arg : spec.args(c.params.data())) {
      strided |= arg.strided;
      weights |= arg.weight;
    }
    for (size_t v = 0; v < (strided ? variants.size() : 1); ++v) {
      outcomes.push_back(RunCase(device, spec, c, *reference, variants[v]));
    }
    // A row that is computed alone for comparison has its weights mapped: both must give the same bits.
    if (weights) {
      outcomes.push_back(RunCase(device, spec, c, *reference, {.name = "weights copied", .residence = QIAO_WEIGHT_COPY}));
    }
  }
  return outcomes;
}

std::string SupportTable(std::string_view device, const std::vector<Outcome>& outcomes) {
  struct Row {
    int passed = 0, unsupported = 0, failed = 0, invariant = 0;
    double of_tolerance = 0;
    std::set<std::string> kernels, reasons;
  };
  std::map<std::string, Row> rows;
  std::vector<std::string> order;
  for (const Outcome& o : outcomes) {
    if (!rows.contains(o.op)) order.push_back(o.op);
    Row& row = rows[o.op];
    row.passed += o.kind == Outcome::kPassed;
    row.unsupported += o.kind == Outcome::kUnsupported;
    row.failed += o.kind == Outcome::kFailed;
    row.invariant += o.row_invariant;
    if (o.kind == Outcome::kPassed) row.of_tolerance = std::max(row.of_tolerance, o.of_tolerance);
    if (!o.kernel.empty()) row.kernels.insert(o.kernel);
    if (o.kind == Outcome::kUnsupported) row.reasons.insert(o.why);
  }
  std::string text = absl::StrFormat("%s\n%-20s %6s %6s %6s %9s %9s  %s\n", device, "operation", "passed",
                                     "no", "failed", "invariant", "of tol.", "kernels");
  for (const std::string& op : order) {
    const Row& row = rows[op];
    std::string kernels;
    for (const std::string& kernel : row.kernels) kernels += (kernels.empty() ? "" : ", ") + kernel;
    text += absl::StrFormat("%-20s %6d %6d %6d %9d %8.1f%%  %s\n", op, row.passed, row.unsupported,
                            row.failed, row.invariant, 100 * row.of_tolerance, kernels);
    for (const std::string& reason : row.reasons) text += absl::StrFormat("%22sno: %s\n", "", reason);
  }
  return text;
}

}  // namespace qiao::conformance
