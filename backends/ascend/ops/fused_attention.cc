#include "backends/ascend/ops/fused_attention.h"

#include <algorithm>
#include <vector>

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

constexpr int64_t kLatent = 512, kRope = 64, kMostHeads = 128;

bool Contiguous(const qiao_tensor& t) { return View::Of(t, nullptr, t.dim[0]).contiguous(); }

}  // namespace

Answer FusedAttentionTakes(const qiao_op_call& call, const Chip& chip) {
  if (chip.has_f8)
    return Answer::No("a 950 has another version of the fused operator, which is not used yet");
  const qiao_tensor &q = call.argument[kQLatent], &rope = call.argument[kQRope],
                    &pool = call.argument[kLatentPool];
  const int64_t heads = q.dim[1], page_tokens = pool.dim[1];
  if (q.dtype != QIAO_BF16 || pool.dtype != QIAO_BF16) return Answer::No("rows or cache are not bf16");
  if (q.dim[2] != kLatent || rope.dim[2] != kRope)
    return Answer::No("latent and rope key are not 512 and 64 wide");
  if (heads > kMostHeads || (heads & (heads - 1)) != 0)
    return Answer::No(Format("%lld heads are no power of two up to 128", static_cast<long long>(heads)));
  if (page_tokens % 16 != 0 || page_tokens > 1024)
    return Answer::No("pages are no multiple of 16 tokens up to 1024");
  for (const int i : {int{kQLatent}, int{kQRope}, int{kLatentPool}, int{kRopePool}, int{kTable}, int{kO}}) {
    if (!Contiguous(call.argument[i])) return Answer::No(Format("argument %d has gaps", i));
  }
  return Answer::Yes();
}

void EmitFusedAttention(Launcher& l, const Arguments& a, void* mask) {
  const qiao_batch* batch = a.batch();
  if (batch == nullptr || a.rows(kQLatent) == 0) return;
  const int64_t seqs = std::min<int64_t>(batch->seqs, a.tensor(kTable).dim[0]);
  std::vector<int64_t> ends, lengths;
  bool one_row_each = true;
  for (int64_t s = 0; s < seqs; ++s) {
    ends.push_back(std::min<int64_t>(batch->q_start[s + 1], a.rows(kQLatent)));
    lengths.push_back(batch->kv_len[s]);
    one_row_each = one_row_each && batch->q_start[s + 1] - batch->q_start[s] == 1;
  }
  const View q = a(kQLatent), o = a(kO);
  const View latents = a.All(kLatentPool), ropes = a.All(kRopePool), table = a.All(kTable).Slice(0, 0, seqs);
  const View lse = l.Temp(ACL_FLOAT, {1});  // not asked for
  constexpr int64_t kAllTokens = 2147483647, kCausal = 3, kNoMask = 0;
  constexpr int64_t kKeyValueHeads = 1, kPrecise = 0, kMaskWidth = AscendDevice::kTriangle;
  const auto scale = static_cast<double>(a.params<qiao_latent_attention_params>().scale);
  const auto attend = [&](const auto& triangle, int64_t sparse_mode) {
    l.Run(cann().FusedInferAttentionScoreV3, q, Tensors{latents}, Tensors{latents}, kNone, triangle,
          Ints(ends), Ints(lengths), kNone, kNone, kNone, kNone, kNone, kNone, kNone, table, kNone, kNone,
          kNone, kNone, kNone, kNone, kNone, kNone, kNone, a(kQRope), ropes, kNone, q[1], scale, kAllTokens,
          kAllTokens, const_cast<char*>("TND"), kKeyValueHeads, sparse_mode, kPrecise, latents[1], int64_t{0},
          false, int64_t{0}, int64_t{0}, o, lse);
  };
  if (one_row_each) {
    attend(kNone, kNoMask);
  } else {
    attend(View::Contiguous(mask, ACL_INT8, {kMaskWidth, kMaskWidth}), kCausal);
  }
}

}  // namespace qiao::ascend
