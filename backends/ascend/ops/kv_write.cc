// kv_write: ScatterPaKvCache, two row kinds a call: the latent is its key, the rope key its value.
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/ops/ops.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

class KvWriteKernel : public AscendKernel {
 public:
  static constexpr char kName[] = "kv_write";
  using AscendKernel::AscendKernel;

  static Answer Support(const qiao_op_call& call, const AscendDevice&) {
    const auto& p = ParamsOf<qiao_kv_write_params>(call);
    if (p.scaled)
      return Answer::No("a cache in E4M3: this chip has no units for it; bf16 is the narrowest here");
    for (int i = 0; i < p.kinds; ++i) {
      const qiao_tensor& pool = call.argument[p.kinds + 1 + i];
      if (!IsAct(call.argument[i]) || !IsAct(pool))
        return Answer::No(Format("row kind %d must be f32 or bf16", i));
      if (!View::Of(pool, nullptr, pool.dim[0]).contiguous())
        return Answer::No(Format("pool %d has gaps, which ScatterPaKvCache does not know", i));
    }
    return Answer::Yes();
  }

 protected:
  uint32_t flags() const override { return QIAO_PLAN_ROW_INVARIANT; }
  void Emit(Launcher& l, const Arguments& a) const override {
    const auto kinds = static_cast<int>(a.params<qiao_kv_write_params>().kinds);
    if (a.rows(kinds) == 0) return;
    const View slot = a(kinds);
    for (int i = 0; i < kinds; i += 2) {
      // An odd one is written twice: the operator wants a pair.
      const int j = i + 1 < kinds ? i + 1 : i;
      View key = Rows(l, a, i, kinds), value = j == i ? key : Rows(l, a, j, kinds);
      l.Run(cann().ScatterPaKvCache, key, Pool(a, i, kinds), slot, value, Pool(a, j, kinds), kNone, kNone,
            kNone, kNone, kNone, kNone, kNone);
    }
  }

 private:
  // Rows [T, 1, width] in the pool's dtype.
  static View Rows(Launcher& l, const Arguments& a, int kind, int kinds) {
    const View rows = l.Packed(l.As(a(kind), AclType(a.tensor(kinds + 1 + kind).dtype)));
    return rows.Insert(1, 1, rows[1]);
  }
  // [pages, page_tokens, 1, width]
  static View Pool(const Arguments& a, int kind, int kinds) {
    const View pool = a.All(kinds + 1 + kind);
    return pool.Insert(2, 1, pool[2]);
  }
};

}  // namespace

void AddKvWrite(AscendDevice& device, Operations& to) {
  to.Add<AscendOperation<KvWriteKernel>>(QIAO_OP_KV_WRITE, device);
}

}  // namespace qiao::ascend
