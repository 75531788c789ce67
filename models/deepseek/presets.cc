// The shapes of published models, as their config.json gives them; for synthetic checkpoints and plans.
#include "models/deepseek/deepseek.h"
#include "runtime/base/json.h"

namespace qiao::models {
namespace {

struct Preset {
  std::string_view name;
  bool v2;
  int64_t vocab, hidden, layers, dense_layers, heads, q_rank, kv_rank, nope, rope, v;
  int64_t dense_width, expert_width, experts, topk, shared, groups, topk_group;
  double routed_scale;
  int64_t context;
  double theta, yarn_factor;
  int64_t yarn_original;
  double beta_fast, mscale;
  int64_t mtp, bos, eos;
};

// clang-format off
constexpr Preset kPresets[] = {
    {"deepseek-v2-lite", true, 102400, 2048, 27, 1, 16, 0, 512, 128, 64, 128, 10944, 1408, 64, 6, 2, 1, 1, 1.0, 163840,
     10000, 40, 4096, 32, 0.707, 0, 100000, 100001},
    {"deepseek-v2", true, 102400, 5120, 60, 1, 128, 1536, 512, 128, 64, 128, 12288, 1536, 160, 6, 2, 8, 3, 16.0, 163840,
     10000, 40, 4096, 32, 1.0, 0, 100000, 100001},
    {"deepseek-v3", false, 129280, 7168, 61, 3, 128, 1536, 512, 128, 64, 128, 18432, 2048, 256, 8, 1, 8, 4, 2.5, 163840,
     10000, 40, 4096, 32, 1.0, 1, 0, 1},
    {"kimi-k2", false, 163840, 7168, 61, 1, 64, 1536, 512, 128, 64, 128, 18432, 2048, 384, 8, 1, 1, 1, 2.827, 131072,
     50000, 32, 4096, 1, 1.0, 0, 163584, 163585},
    {"tiny-v2", true, 512, 128, 3, 1, 4, 0, 64, 32, 16, 32, 256, 64, 8, 3, 2, 1, 1, 1.0, 4096,
     10000, 40, 128, 32, 0.707, 0, 0, 1},
    {"tiny-v3", false, 512, 128, 4, 1, 4, 96, 64, 32, 16, 32, 256, 64, 16, 4, 1, 4, 2, 2.5, 4096,
     10000, 40, 128, 32, 1.0, 1, 0, 1},
};
// clang-format on

std::string ToConfig(const Preset& p) {
  OrderedJson j;
  j["architectures"] = {p.v2 ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"};
  j["model_type"] = p.v2 ? "deepseek_v2" : "deepseek_v3";
  j["hidden_act"] = "silu";
  j["attention_bias"] = false;
  j["vocab_size"] = p.vocab;
  j["hidden_size"] = p.hidden;
  j["num_hidden_layers"] = p.layers;
  j["first_k_dense_replace"] = p.dense_layers;
  j["num_attention_heads"] = p.heads;
  j["num_key_value_heads"] = p.heads;
  j["q_lora_rank"] = p.q_rank > 0 ? OrderedJson(p.q_rank) : OrderedJson();
  j["kv_lora_rank"] = p.kv_rank;
  j["qk_nope_head_dim"] = p.nope;
  j["qk_rope_head_dim"] = p.rope;
  j["v_head_dim"] = p.v;
  j["intermediate_size"] = p.dense_width;
  j["moe_intermediate_size"] = p.expert_width;
  j["n_routed_experts"] = p.experts;
  j["num_experts_per_tok"] = p.topk;
  j["n_shared_experts"] = p.shared;
  j["n_group"] = p.groups;
  j["topk_group"] = p.topk_group;
  j["topk_method"] = p.v2 ? (p.groups > 1 ? "group_limited_greedy" : "greedy") : "noaux_tc";
  j["scoring_func"] = p.v2 ? "softmax" : "sigmoid";
  j["norm_topk_prob"] = !p.v2;
  j["routed_scaling_factor"] = p.routed_scale;
  j["moe_layer_freq"] = 1;
  j["max_position_embeddings"] = p.context;
  j["rms_norm_eps"] = 1e-6;
  j["rope_theta"] = p.theta;
  j["rope_scaling"] = {{"type", "yarn"},
                       {"factor", p.yarn_factor},
                       {"original_max_position_embeddings", p.yarn_original},
                       {"beta_fast", p.beta_fast},
                       {"beta_slow", 1},
                       {"mscale", p.mscale},
                       {"mscale_all_dim", p.mscale}};
  j["num_nextn_predict_layers"] = p.mtp;
  j["tie_word_embeddings"] = false;
  j["bos_token_id"] = p.bos;
  j["eos_token_id"] = p.eos;
  j["torch_dtype"] = "bfloat16";
  return j.dump(2) + "\n";
}

}  // namespace

std::optional<std::string> DeepseekPreset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return ToConfig(preset);
  }
  return std::nullopt;
}

std::vector<std::string> DeepseekPresetNames() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

}  // namespace qiao::models
