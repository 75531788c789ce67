// latent_attention: the fused operator where it takes the call, and otherwise composed sequence by sequence from what
// the host knows of the batch: pages are gathered, scores are one product over latent and rope key together, and the
// softmax is f32. Any sizes, f32 and bf16.
#include <algorithm>
#include <vector>

#include "backends/ascend/ops/fused_attention.h"
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// Scores are held for as many rows at a time as fit into this.
constexpr int64_t kScoreBytes = 64 << 20;
// Added to scores that a row must not see: with it no exponential is above zero, and it is finite, so that the
// triangle may be made by any multiplication.
constexpr float kMasked = -1e30f;

struct Sequence {
  int64_t index, begin, rows, length;
};

class LatentAttentionKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "latent_attention";
  LatentAttentionKernel(AscendDevice& device, CallCopy call, const char* name)
      : LatentAttentionKernel(device, call, FusedAttentionTakes(call.call(), device.chip()).yes, name) {}

  static Answer Support(const qiao_op_call& call, const AscendDevice& device) {
    if (ParamsOf<qiao_latent_attention_params>(call).scaled)
      return Answer::No("a cache in E4M3: this chip has no units for it; bf16 is the narrowest here");
    const qiao_tensor &q = call.argument[kQLatent], &latent = call.argument[kLatentPool];
    if (latent.dtype != call.argument[kRopePool].dtype)
      return Answer::No("latent and rope pool differ in dtype");
    if (q.dtype == QIAO_BF16 && latent.dtype != QIAO_BF16)
      return Answer::No("bf16 rows with a cache that is not");
    if (Answer acts = NeedActs(call, {kQLatent, kQRope, kLatentPool, kRopePool, kO}); !acts.yes) return acts;
    const Answer fused = FusedAttentionTakes(call, device.chip());
    return Answer::Yes(fused.yes ? "FusedInferAttentionScore" : "composed: " + fused.why);
  }

  bool repeatable() const override { return false; }

 protected:
  Status Prepared() override { return fused_ ? device().PlaceUpperTriangle() : Ok(); }

  void Emit(Launcher& l, const Arguments& a) const override {
    if (fused_) return EmitFusedAttention(l, a, device().upper_triangle());
    // The page table with its rows at aligned addresses.
    const View table = a(kTable);
    const View pages =
        l.Temp(ACL_INT32, {a.tensor(kTable).dim[0], (table[1] + 7) / 8 * 8}).Slice(1, 0, table[1]);
    if (a.rows(kQLatent) > 0) l.Copy(pages.Slice(0, 0, table[0]), table);
    for (const Sequence& s : Sequences(a)) {
      const uint64_t mark = l.Mark();
      Attend(l, a, s, pages);
      l.Release(mark);
    }
  }

 private:
  LatentAttentionKernel(AscendDevice& device, CallCopy call, bool fused, const char*)
      : AscendKernel(device, std::move(call), fused ? "fused_infer_attention_score" : "latent_attention"),
        fused_(fused) {}

  // Those of the batch; while measuring, one that takes as much workspace as any can.
  static std::vector<Sequence> Sequences(const Arguments& a) {
    const qiao_batch* batch = a.batch();
    const qiao_tensor& table = a.tensor(kTable);
    if (batch == nullptr)
      return {{0, 0, a.tensor(kQLatent).dim[0], table.dim[1] * a.tensor(kLatentPool).dim[1]}};
    std::vector<Sequence> sequences;
    const int64_t rows = a.rows(kQLatent);
    for (int64_t s = 0; s < std::min<int64_t>(batch->seqs, table.dim[0]); ++s) {
      const int64_t begin = batch->q_start[s], end = std::min<int64_t>(batch->q_start[s + 1], rows);
      if (end > begin) sequences.push_back({s, begin, end - begin, batch->kv_len[s]});
    }
    return sequences;
  }

  static int64_t RowsAtOnce(int64_t heads, int64_t length) {
    const int64_t row_bytes = std::max<int64_t>(1, heads * length * 4);
    return std::max<int64_t>(1, kScoreBytes / row_bytes);
  }

  static void Attend(Launcher& l, const Arguments& a, const Sequence& s, const View& table) {
    const View q_latent = a(kQLatent), q_rope = a(kQRope), o = a(kO);
    const int64_t heads = q_latent[1], latent = q_latent[2], rope = q_rope[2];
    const aclDataType type = q_latent.dtype;  // of the products' operands
    const View keys = Keys(l, a, s, table, type, latent + rope);
    const int64_t at_once = RowsAtOnce(heads, s.length);
    for (int64_t first = 0; first < s.rows; first += at_once) {
      const uint64_t mark = l.Mark();
      const int64_t rows = std::min(at_once, s.rows - first);
      const int64_t visible = s.length - s.rows + first + rows;  // to the last of these rows
      const View q = l.Temp(type, {rows, heads, latent + rope});
      l.Copy(q.Slice(2, 0, latent), q_latent.Slice(0, s.begin + first, rows));
      l.Copy(q.Slice(2, latent, rope), q_rope.Slice(0, s.begin + first, rows));
      const View key = keys.Slice(0, 0, visible);
      const View scores = l.Temp(ACL_FLOAT, {rows, heads, visible});
      l.Run(cann().Matmul, q.Merge(0), key.Swap(0, 1), scores.Merge(0), kKeepDtype);
      l.Run(cann().Muls, scores, Scalar(a.params<qiao_latent_attention_params>().scale), scores);
      if (rows > 1) Mask(l, scores);
      l.Run(cann().Softmax, scores, int64_t{2}, scores);
      const View p = l.As(scores, type);
      const View to = o.Slice(0, s.begin + first, rows);
      const View product = to.MayMerge(0) ? to : l.Temp(type, {rows, heads, latent});
      l.Run(cann().Matmul, p.Merge(0), key.Slice(1, 0, latent), product.Merge(0), kKeepDtype);
      if (!to.MayMerge(0)) l.Copy(to, product);
      l.Release(mark);
    }
  }

  // Latent and rope key of each cached token side by side, [pages * page_tokens, L + R], of which the rows past the
  // sequence's length hold anything.
  static View Keys(Launcher& l, const Arguments& a, const Sequence& s, const View& tables, aclDataType type,
                   int64_t width) {
    const View latents = a.All(kLatentPool), ropes = a.All(kRopePool);
    const int64_t page_tokens = latents[1], pages = (s.length + page_tokens - 1) / page_tokens;
    const View table = tables.Select(0, s.index).Slice(0, 0, pages);
    const View keys = l.Temp(type, {pages, page_tokens, width});
    const auto gather = [&](const View& pool, const View& to) {
      const View gathered = l.Temp(pool.dtype, {pages, page_tokens, pool[2]});
      l.Run(cann().IndexSelect, pool, int64_t{0}, table, gathered);
      l.Copy(to, gathered);  // which also widens a bf16 cache for f32 rows
    };
    gather(latents, keys.Slice(2, 0, latents[2]));
    gather(ropes, keys.Slice(2, latents[2], ropes[2]));
    return keys.Merge(0);
  }

  // Row i of n sees all but the last n - 1 - i tokens.
  static void Mask(Launcher& l, const View& scores) {
    const int64_t rows = scores[0], visible = scores[2];
    const View triangle = l.Temp(ACL_FLOAT, {rows, visible});
    l.Run(cann().InplaceFillScalar, triangle, Scalar(kMasked));
    l.Run(cann().Triu, triangle, visible - rows + 1, triangle);
    l.Run(cann().Add, scores, triangle.Insert(1, 1), Scalar(1.0f), scores);
  }

  bool fused_;
};

}  // namespace

void AddLatentAttention(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<LatentAttentionKernel>>(QIAO_OP_LATENT_ATTENTION, device);
}

}  // namespace qiao::ascend
