// The entries of the catalogue, one file each. Each is built on first use and lives as long as the process.
#pragma once

#include "runtime/ops/catalogue.h"

namespace qiao::ops {

const OpSpec& EmbeddingSpec();
const OpSpec& RmsNormSpec();
const OpSpec& LinearSpec();
const OpSpec& GroupedLinearSpec();
const OpSpec& MoeGateSpec();
const OpSpec& MoePermuteSpec();
const OpSpec& MoeCombineSpec();
const OpSpec& SwiGluSpec();
const OpSpec& RopeTableSpec();
const OpSpec& RopeSpec();
const OpSpec& KvWriteSpec();
const OpSpec& AttentionScheduleSpec();
const OpSpec& LatentAttentionSpec();
const OpSpec& GatherRowsSpec();
const OpSpec& AddSpec();
const OpSpec& CastSpec();
const OpSpec& QuantiseSpec();
const OpSpec& ArgMaxSpec();
const OpSpec& AddRmsNormSpec();
const OpSpec& MlpSpec();
const OpSpec& MoeMlpSpec();
const OpSpec& MlaPrologSpec();

}  // namespace qiao::ops
