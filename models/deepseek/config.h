// config.json of DeepSeek-V2, V2-Lite, V3, R1 and Kimi-K2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/formats/model_config.h"

namespace qiao::models {

struct DeepseekConfig {
  bool v2 = false;  // softmax gate without bias; otherwise V3's sigmoid gate
  std::string model_type;

  int64_t vocab = 0, hidden = 0, layers = 0, context = 0;
  int64_t heads = 0;
  int64_t q_rank = 0;  // 0: queries are not compressed (V2-Lite)
  int64_t kv_rank = 0, nope = 0, rope = 0, v = 0;
  int64_t dense_width = 0, dense_layers = 0;  // the first layers have one MLP

  int64_t experts = 0, experts_per_token = 0, shared_experts = 0, expert_width = 0;
  int64_t groups = 1, topk_group = 1;
  bool renormalise = false;
  double routed_scale = 1.0;

  double rms_eps = 1e-6;
  formats::Rope rotary;
  bool rope_interleaved = true;
  bool tied = false;
  int64_t mtp_layers = 0;

  std::optional<formats::QuantizationConfig> quantization;
  std::string torch_dtype;
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;

  // MTP layers, which come behind the others, always are.
  bool is_moe(int64_t layer) const { return layer >= dense_layers || layer >= layers; }
  int64_t shared_width() const { return shared_experts * expert_width; }
};

// Every field that changes the result is read and checked; `notes` gets what people should know.
absl::StatusOr<DeepseekConfig> ReadDeepseekConfig(const formats::ConfigReader& config,
                                                  std::vector<std::string>& notes);

}  // namespace qiao::models
