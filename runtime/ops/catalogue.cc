#include "runtime/ops/catalogue.h"

#include "runtime/ops/specs.h"

namespace qiao::ops {
namespace {

#define QIAO_SAME_DTYPE(ours, theirs) static_assert(static_cast<uint32_t>(DType::ours) == theirs)
QIAO_SAME_DTYPE(kInvalid, QIAO_DTYPE_NONE);
QIAO_SAME_DTYPE(kF32, QIAO_F32);
QIAO_SAME_DTYPE(kF16, QIAO_F16);
QIAO_SAME_DTYPE(kBF16, QIAO_BF16);
QIAO_SAME_DTYPE(kF8E4M3, QIAO_F8E4M3);
QIAO_SAME_DTYPE(kF8E5M2, QIAO_F8E5M2);
QIAO_SAME_DTYPE(kI8, QIAO_I8);
QIAO_SAME_DTYPE(kU8, QIAO_U8);
QIAO_SAME_DTYPE(kI32, QIAO_I32);
QIAO_SAME_DTYPE(kI64, QIAO_I64);
#undef QIAO_SAME_DTYPE

const std::vector<const OpSpec*>& Entries() {
  static const auto* entries = new std::vector<const OpSpec*>{
      &EmbeddingSpec(),       &RmsNormSpec(),    &LinearSpec(),     &GroupedLinearSpec(),
      &MoeGateSpec(),         &MoePermuteSpec(), &MoeCombineSpec(), &SwiGluSpec(),
      &RopeTableSpec(),       &RopeSpec(),       &KvWriteSpec(),    &AttentionScheduleSpec(),
      &LatentAttentionSpec(), &GatherRowsSpec(), &AddSpec(),        &CastSpec(),
      &QuantiseSpec(),        &ArgMaxSpec(),     &AddRmsNormSpec(), &MlpSpec(),
      &MoeMlpSpec(),          &MlaPrologSpec()};
  return *entries;
}

}  // namespace

absl::Span<const OpSpec* const> Catalogue() { return Entries(); }

const OpSpec* Find(uint32_t id) {
  for (const OpSpec* spec : Entries()) {
    if (spec->id == id) return spec;
  }
  return nullptr;
}

const OpSpec* Find(std::string_view name) {
  for (const OpSpec* spec : Entries()) {
    if (spec->name == name) return spec;
  }
  return nullptr;
}

std::string_view OpName(uint32_t id) {
  const OpSpec* spec = Find(id);
  return spec ? spec->name : "unknown";
}

}  // namespace qiao::ops
