// Inputs for routing cases: the choice of experts is discrete, so that a case must not stand on a knife's
// edge, where two right implementations may choose differently.
#pragma once

#include "absl/types/span.h"
#include "runtime/ops/case_builder.h"

namespace qiao::ops {

// The smallest difference on which the choice for one row depends: between neighbours of the k + 1 largest c,
// and at the edge of the chosen groups.
double GateMargin(const qiao_moe_gate_params& p, absl::Span<const double> logits,
                  absl::Span<const float> bias);

// Far more than f32 noise in scores, which are at most 1.
inline constexpr double kGateMargin = 2e-5;

// Random logits with a margin of kGateMargin.
void FillLogits(const qiao_moe_gate_params& p, absl::Span<const float> bias, Random& random,
                absl::Span<float> logits);

}  // namespace qiao::ops
