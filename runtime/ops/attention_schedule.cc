// attention_schedule: the catalogue entry; see qiao/ops.h.
#include "runtime/ops/case_builder.h"
#include "runtime/ops/cost.h"
#include "runtime/ops/rules.h"
#include "runtime/ops/specs.h"
#include "runtime/ops/tolerance.h"

namespace qiao::ops {
namespace {

enum { kQStart, kKvLen, kSchedule };

std::vector<ArgSpec> Args(const qiao_attention_schedule_params&) {
  return {
      {.name = "q_start"}, {.name = "kv_len"}, {.name = "schedule", .kind = ArgSpec::kOut, .opaque = true}};
}

void Check(const qiao_attention_schedule_params& p, Rules& r) {
  r.Arg(kKvLen, {DType::kI32}, {"S"});
  r.Arg(kQStart, {DType::kI32}, {r["S"] + 1});
  r.Require(p.heads >= 1 && p.rows >= 0 && p.kv_bound >= 0 && p.page_tokens >= 1,
            "heads and page_tokens must be at least 1, rows and kv_bound not negative");
  // Only the backend knows the size: infer gives an empty one, which Program enlarges to output_bytes.
  if (r.inferring()) {
    r.Output(kSchedule, DType::kU8, {0}, QIAO_LIVE_ALL);
    r.MakeOpaque(kSchedule);
  } else {
    r.Output(kSchedule, DType::kU8, {"bytes"}, QIAO_LIVE_ALL);
  }
}

Cost CostOf(const qiao_op_call& call, const LiveCounts& live) { return StreamingCost(call, live, kKvLen, 0); }

std::vector<Case> Cases(uint64_t seed, bool large) {
  // The bytes are the backend's own; conformance asks only that it can be prepared and launched.
  qiao_attention_schedule_params p{};
  p.heads = 16;
  p.rows = large ? 512 : 12;
  p.kv_bound = large ? 4096 : 160;
  p.page_tokens = 16;
  CaseBuilder b(AttentionScheduleSpec(), "ragged", Params(p), seed);
  return {b.Ragged({{1, 130}, {5, 5}, {3, 60}}).QStart(4).KvLen(4).Output().Finish()};
}

}  // namespace

const OpSpec& AttentionScheduleSpec() {
  static const OpSpec* spec = [] {
    auto* s = new OpSpec(MakeSpec<qiao_attention_schedule_params>(QIAO_OP_ATTENTION_SCHEDULE,
                                                                  "attention_schedule", Args, Check));
    s->cost = CostOf;
    s->cases = Cases;
    s->tolerance = tolerance::Exact;
    return s;
  }();
  return *spec;
}

}  // namespace qiao::ops
