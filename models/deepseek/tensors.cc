// The tensors of a checkpoint, by the names that DeepSeek's releases give them.
#include "models/deepseek/deepseek.h"

namespace qiao::models {
namespace {

class Lister {
 public:
  explicit Lister(const DeepseekConfig& config) : c_(config) {}

  std::vector<TensorSpec> Run() {
    const double row = 1.0 / static_cast<double>(c_.vocab);
    Add("model.embed_tokens.weight", {c_.vocab, c_.hidden}, Part::kEmbedding, false, row);
    for (int64_t l = 0; l < c_.layers; ++l) Layer(l, c_.is_moe(l));
    Add("model.norm.weight", {c_.hidden}, Part::kNorm);
    if (!c_.tied) Add("lm_head.weight", {c_.vocab, c_.hidden}, Part::kHead);
    for (int64_t m = 0; m < c_.mtp_layers; ++m) Mtp(c_.layers + m);
    return std::move(tensors_);
  }

 private:
  void Add(std::string name, Shape shape, Part part, bool quantised = false, double active = 1.0,
           DType plain = DType::kBF16) {
    tensors_.push_back(
        {std::move(name), shape, mtp_ ? Part::kMtp : part, plain, quantised, mtp_ ? 0.0 : active});
  }

  void Mlp(const std::string& p, int64_t width, Part part, double active = 1.0) {
    Add(p + "gate_proj.weight", {width, c_.hidden}, part, true, active);
    Add(p + "up_proj.weight", {width, c_.hidden}, part, true, active);
    Add(p + "down_proj.weight", {c_.hidden, width}, part, true, active);
  }

  void Layer(int64_t layer, bool moe) {
    const std::string p = absl::StrFormat("model.layers.%d.", layer);
    const std::string a = p + "self_attn.";
    const int64_t q_rows = c_.heads * (c_.nope + c_.rope);
    Add(p + "input_layernorm.weight", {c_.hidden}, Part::kNorm);
    if (c_.q_rank > 0) {
      Add(a + "q_a_proj.weight", {c_.q_rank, c_.hidden}, Part::kAttention, true);
      Add(a + "q_a_layernorm.weight", {c_.q_rank}, Part::kNorm);
      Add(a + "q_b_proj.weight", {q_rows, c_.q_rank}, Part::kAttention, true);
    } else {
      Add(a + "q_proj.weight", {q_rows, c_.hidden}, Part::kAttention, true);
    }
    Add(a + "kv_a_proj_with_mqa.weight", {c_.kv_rank + c_.rope, c_.hidden}, Part::kAttention, true);
    Add(a + "kv_a_layernorm.weight", {c_.kv_rank}, Part::kNorm);
    Add(a + "kv_b_proj.weight", {c_.heads * (c_.nope + c_.v), c_.kv_rank}, Part::kAttention, true);
    Add(a + "o_proj.weight", {c_.hidden, c_.heads * c_.v}, Part::kAttention, true);
    Add(p + "post_attention_layernorm.weight", {c_.hidden}, Part::kNorm);
    if (!moe) {
      Mlp(p + "mlp.", c_.dense_width, Part::kDenseMlp);
      return;
    }
    Add(p + "mlp.gate.weight", {c_.experts, c_.hidden}, Part::kRouter);
    if (!c_.v2)
      Add(p + "mlp.gate.e_score_correction_bias", {c_.experts}, Part::kRouter, false, 1.0, DType::kF32);
    const double share = static_cast<double>(c_.experts_per_token) / static_cast<double>(c_.experts);
    for (int64_t e = 0; e < c_.experts; ++e) {
      Mlp(absl::StrFormat("%smlp.experts.%d.", p, e), c_.expert_width, Part::kExpert, share);
    }
    if (c_.shared_experts > 0) Mlp(p + "mlp.shared_experts.", c_.shared_width(), Part::kSharedExpert);
  }

  // DeepSeek-V3 technical report, 2.2: an ordinary MoE layer behind a projection of [embedding; hidden].
  void Mtp(int64_t layer) {
    mtp_ = true;
    const std::string p = absl::StrFormat("model.layers.%d.", layer);
    Add(p + "embed_tokens.weight", {c_.vocab, c_.hidden}, Part::kMtp);
    Add(p + "enorm.weight", {c_.hidden}, Part::kMtp);
    Add(p + "hnorm.weight", {c_.hidden}, Part::kMtp);
    Add(p + "eh_proj.weight", {c_.hidden, 2 * c_.hidden}, Part::kMtp);
    Layer(layer, true);
    Add(p + "shared_head.norm.weight", {c_.hidden}, Part::kMtp);
    Add(p + "shared_head.head.weight", {c_.vocab, c_.hidden}, Part::kMtp);
    mtp_ = false;
  }

  const DeepseekConfig& c_;
  std::vector<TensorSpec> tensors_;
  bool mtp_ = false;
};

}  // namespace

std::vector<TensorSpec> DeepseekTensors(const DeepseekConfig& config) { return Lister(config).Run(); }

}  // namespace qiao::models
