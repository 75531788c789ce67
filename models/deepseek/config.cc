#include "models/deepseek/config.h"

#include <array>

namespace qiao::models {
namespace {

using formats::ConfigReader;

// Far above any model; small enough that products of three fit in 63 bits.
constexpr int64_t kMaxDim = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxExperts = 4096;

// Keys that transformers and the hub write and that change nothing at inference.
constexpr std::string_view kHarmless[] = {
    "architectures",
    "attention_dropout",
    "aux_loss_alpha",
    "auto_map",
    "ep_size",
    "hidden_dropout",
    "initializer_range",
    "num_key_value_heads",
    "pretraining_tp",
    "seq_aux",
    "transformers_version",
    "use_cache",
    "pad_token_id",
    "unk_token_id",
    "head_dim",
    "qk_head_dim",
    "_name_or_path",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "router_aux_loss_coef",
    "is_decoder",
    "is_encoder_decoder",
};

// Keys of other architectures that borrow this model_type: running without them would give other text.
constexpr std::string_view kForeign[] = {
    "index_topk",  "index_n_heads",        "index_head_dim",         "sliding_window",
    "use_qk_norm", "compress_ratios",      "attn_logit_softcapping", "final_logit_softcapping",
    "logit_scale", "embedding_multiplier", "residual_multiplier",    "swiglu_limit",
    "hc_mult",     "expert_dtype",         "zero_expert_num",
};

absl::Status Want(const ConfigReader& c, std::string_view key, std::string_view got,
                  std::string_view wanted) {
  return Unimplemented("%s: %s is \"%s\"; Qiao runs this family with \"%s\"", c.what(), key, got, wanted);
}

absl::Status CheckFixedFields(const ConfigReader& c, const DeepseekConfig& d) {
  QIAO_ASSIGN_OR_RETURN(std::string act, c.GetStringOr("hidden_act", "silu"));
  if (act != "silu") return Want(c, "hidden_act", act, "silu");
  QIAO_ASSIGN_OR_RETURN(bool bias, c.GetBoolOr("attention_bias", false));
  if (bias) return Want(c, "attention_bias", "true", "false");
  QIAO_ASSIGN_OR_RETURN(int64_t freq, c.GetIntOr("moe_layer_freq", 1, 1, kMaxLayers));
  if (freq != 1) return Want(c, "moe_layer_freq", std::to_string(freq), "1");
  const std::string wanted_score = d.v2 ? "softmax" : "sigmoid";
  QIAO_ASSIGN_OR_RETURN(std::string score, c.GetStringOr("scoring_func", wanted_score));
  if (score != wanted_score) return Want(c, "scoring_func", score, wanted_score);
  for (std::string_view key : kForeign) {
    if (c.Has(key)) {
      return Unimplemented(
          "%s: %s belongs to an architecture that Qiao does not run, although model_type is \"%s\"", c.what(),
          key, d.model_type);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadExperts(const ConfigReader& c, DeepseekConfig& d, std::vector<std::string>& notes) {
  QIAO_ASSIGN_OR_RETURN(d.experts, c.GetIntOr("n_routed_experts", 0, 0, kMaxExperts));
  QIAO_ASSIGN_OR_RETURN(d.dense_layers, c.GetIntOr("first_k_dense_replace", 0, 0, kMaxLayers));
  if (d.experts == 0) d.dense_layers = d.layers;
  if (d.dense_layers < d.layers || d.mtp_layers > 0) {
    if (d.experts == 0) return c.FieldError("n_routed_experts", "must be given for a model with MTP layers");
    QIAO_ASSIGN_OR_RETURN(d.experts_per_token, c.GetInt("num_experts_per_tok", 1, d.experts));
    QIAO_ASSIGN_OR_RETURN(d.expert_width, c.GetInt("moe_intermediate_size", 1, kMaxDim));
  }
  QIAO_ASSIGN_OR_RETURN(d.shared_experts, c.GetIntOr("n_shared_experts", 0, 0, 1024));
  QIAO_ASSIGN_OR_RETURN(int64_t groups, c.GetIntOr("n_group", 1, 0, kMaxExperts));
  QIAO_ASSIGN_OR_RETURN(int64_t topk_group, c.GetIntOr("topk_group", 1, 0, kMaxExperts));
  QIAO_ASSIGN_OR_RETURN(bool renormalise, c.GetBoolOr("norm_topk_prob", !d.v2));
  QIAO_ASSIGN_OR_RETURN(d.routed_scale, c.GetDoubleOr("routed_scaling_factor", 1.0, 0.0, 1e6));
  QIAO_ASSIGN_OR_RETURN(std::string method, c.GetStringOr("topk_method", d.v2 ? "greedy" : "noaux_tc"));
  const bool grouped = d.v2 ? method == "group_limited_greedy" : method == "noaux_tc";
  if (d.v2 && !grouped && method != "greedy")
    return Want(c, "topk_method", method, "greedy or group_limited_greedy");
  if (!d.v2 && !grouped) return Want(c, "topk_method", method, "noaux_tc");
  if (grouped && groups > 1) {
    d.groups = groups;
    d.topk_group = topk_group;
    if (d.experts % groups != 0 || topk_group < 1 || topk_group > groups) {
      return c.FieldError("n_group", absl::StrFormat("%d groups of which %d stay do not divide %d experts",
                                                     groups, topk_group, d.experts));
    }
    if (d.experts_per_token > topk_group * (d.experts / groups)) {
      return c.FieldError("num_experts_per_tok", "is more than the experts of topk_group groups");
    }
    if (!d.v2 && d.experts / groups < 2)
      return c.FieldError("n_group", "leaves groups of one expert; two are scored");
  }
  // transformers' DeepSeek-V2 scales and never renormalises; all released V2 checkpoints say false anyway.
  d.renormalise = !d.v2 && renormalise;
  if (d.v2 && renormalise)
    notes.push_back("norm_topk_prob is not applied to deepseek_v2, as in transformers");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DeepseekConfig> ReadDeepseekConfig(const ConfigReader& c, std::vector<std::string>& notes) {
  DeepseekConfig d;
  QIAO_ASSIGN_OR_RETURN(d.model_type, c.GetString("model_type"));
  d.v2 = d.model_type == "deepseek_v2";
  QIAO_ASSIGN_OR_RETURN(d.vocab, c.GetInt("vocab_size", 1, int64_t{1} << 24));
  QIAO_ASSIGN_OR_RETURN(d.hidden, c.GetInt("hidden_size", 1, kMaxDim));
  QIAO_ASSIGN_OR_RETURN(d.layers, c.GetInt("num_hidden_layers", 1, kMaxLayers));
  QIAO_ASSIGN_OR_RETURN(d.context, c.GetIntOr("max_position_embeddings", 2048, 1, int64_t{1} << 30));
  QIAO_ASSIGN_OR_RETURN(d.heads, c.GetInt("num_attention_heads", 1, 4096));
  QIAO_ASSIGN_OR_RETURN(d.q_rank, c.GetIntOr("q_lora_rank", 0, 0, kMaxDim));
  QIAO_ASSIGN_OR_RETURN(d.kv_rank, c.GetInt("kv_lora_rank", 1, kMaxDim));
  QIAO_ASSIGN_OR_RETURN(d.nope, c.GetInt("qk_nope_head_dim", 1, 65536));
  QIAO_ASSIGN_OR_RETURN(d.rope, c.GetInt("qk_rope_head_dim", 2, 65536));
  QIAO_ASSIGN_OR_RETURN(d.v, c.GetInt("v_head_dim", 1, 65536));
  if (d.rope % 2 != 0) return c.FieldError("qk_rope_head_dim", "must be even");
  QIAO_ASSIGN_OR_RETURN(d.dense_width, c.GetInt("intermediate_size", 1, kMaxDim));
  QIAO_ASSIGN_OR_RETURN(d.mtp_layers, c.GetIntOr("num_nextn_predict_layers", 0, 0, 16));
  QIAO_RETURN_IF_ERROR(ReadExperts(c, d, notes));
  QIAO_ASSIGN_OR_RETURN(d.rms_eps, c.GetDoubleOr("rms_norm_eps", 1e-6, 0.0, 1.0));
  QIAO_ASSIGN_OR_RETURN(d.rotary, formats::ReadRope(c));
  if (d.rotary.scaling.type != formats::RopeType::kNone &&
      d.rotary.scaling.type != formats::RopeType::kYarn) {
    return c.FieldError("rope_scaling", "only yarn is known for this family");
  }
  if (d.rotary.partial_rotary_factor != 1.0)
    return c.FieldError("partial_rotary_factor", "must be 1 for this family");
  QIAO_ASSIGN_OR_RETURN(d.rope_interleaved, c.GetBoolOr("rope_interleave", true));
  QIAO_ASSIGN_OR_RETURN(d.tied, c.GetBoolOr("tie_word_embeddings", false));
  QIAO_ASSIGN_OR_RETURN(d.quantization, formats::ReadQuantization(c));
  if (d.quantization && !d.quantization->int8_channel()) {
    const formats::QuantizationConfig& q = *d.quantization;
    if (q.quant_method != "fp8")
      return Want(c, "quantization_config.quant_method", q.quant_method, "fp8 or compressed-tensors");
    if (!q.fmt.empty() && q.fmt != "e4m3") return Want(c, "quantization_config.fmt", q.fmt, "e4m3");
    if (!q.scale_fmt.empty())
      return Want(c, "quantization_config.scale_fmt", q.scale_fmt, "f32 scales (no scale_fmt)");
    if (q.weight_block_size[0] <= 0 || q.weight_block_size[1] <= 0 || q.weight_block_size[0] > kMaxDim ||
        q.weight_block_size[1] > kMaxDim) {
      return c.FieldError("quantization_config.weight_block_size",
                          "must be two positive numbers, such as [128, 128]");
    }
  }
  QIAO_ASSIGN_OR_RETURN(d.torch_dtype, formats::ReadTorchDType(c));
  QIAO_ASSIGN_OR_RETURN(std::optional<int64_t> bos, c.GetOptionalInt("bos_token_id", 0, d.vocab - 1));
  d.bos = bos;
  QIAO_ASSIGN_OR_RETURN(d.eos, c.GetIntOrList("eos_token_id", 0, d.vocab - 1));
  QIAO_RETURN_IF_ERROR(CheckFixedFields(c, d));
  c.Ignore(kHarmless);
  return d;
}

}  // namespace qiao::models
