#include "models/deepseek/deepseek.h"

#include <cmath>
#include <limits>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/ops/rope_frequencies.h"

namespace qiao::models {
namespace {

using program::Builder;
using program::Slice;
using program::ValueId;

// transformers fixes the eps of the norms inside MLA, whatever rms_norm_eps says.
constexpr float kMlaNormEps = 1e-6f;

// Channels of a cached E4M3 latent that share a scale.
constexpr int32_t kScaleBlock = 128;

absl::StatusOr<ops::RopeFrequencies> Frequencies(const DeepseekConfig& c) {
  const formats::RopeScaling& s = c.rotary.scaling;
  ops::RopeScaling scaling;
  if (s.type == formats::RopeType::kYarn) {
    scaling.kind = ops::RopeScaling::kYarn;
    scaling.factor = s.factor;
    scaling.original_max = s.original_max_position_embeddings;
    scaling.beta_fast = s.beta_fast;
    scaling.beta_slow = s.beta_slow;
    scaling.mscale = s.mscale;
    scaling.mscale_all_dim = s.mscale_all_dim;
    scaling.attention_factor = s.attention_factor.value_or(0);
    scaling.truncate = s.truncate;
  }
  return ops::ComputeRopeFrequencies(c.rotary.theta, c.rope, scaling);
}

// (nope + rope)^-0.5, times yarn's mscale squared where mscale_all_dim asks for it.
float SoftmaxScale(const DeepseekConfig& c) {
  double scale = 1.0 / std::sqrt(static_cast<double>(c.nope + c.rope));
  const formats::RopeScaling& s = c.rotary.scaling;
  if (s.type == formats::RopeType::kYarn && s.mscale_all_dim != 0) {
    const double m = ops::YarnMscale(s.factor, s.mscale_all_dim);
    scale *= m * m;
  }
  return static_cast<float>(scale);
}

class Deepseek : public Model {
 public:
  Deepseek(DeepseekConfig config, ops::RopeFrequencies frequencies, std::vector<std::string> notes);

  program::Quantisation quantisation() const override;
  bool drafts() const override { return c_.mtp_layers > 0; }
  std::vector<program::LayerCache> Cache(DType dtype, bool drafting) const override;
  absl::Status Build(Builder& b, bool drafting) const override;
  absl::Status BuildDraft(Builder& b) const override;
  std::vector<TensorSpec> Tensors() const override { return DeepseekTensors(c_); }

 private:
  // The residual stream, and what the last sublayer adds to it: the addition is part of the next norm.
  struct Stream {
    ValueId stream = ops::kNoValue, update = ops::kNoValue;
  };
  ValueId Table(Builder& b) const { return b.Weight("model.embed_tokens.weight", c_.vocab, c_.hidden); }
  ValueId Head(Builder& b) const;
  Builder::RopeTable Rope(Builder& b) const;
  Stream Layer(Builder& b, int64_t layer, Stream before, Builder::RopeTable rope) const;
  ValueId Attention(Builder& b, int64_t layer, ValueId x, Builder::RopeTable rope) const;
  ValueId FeedForward(Builder& b, int64_t layer, ValueId x) const;
  ValueId GateUp(Builder& b, const std::string& prefix, int64_t width) const;
  qiao_moe_gate_params Gate() const;

  DeepseekConfig c_;
  ops::RopeFrequencies frequencies_;
};

Deepseek::Deepseek(DeepseekConfig config, ops::RopeFrequencies frequencies, std::vector<std::string> notes)
    : c_(std::move(config)), frequencies_(std::move(frequencies)) {
  notes_ = std::move(notes);
  info_.family = c_.model_type;
  info_.vocab = c_.vocab;
  info_.hidden = c_.hidden;
  info_.layers = c_.layers;
  info_.context = c_.context;
  info_.heads = c_.heads;
  info_.experts = c_.experts;
  info_.experts_per_token = c_.experts_per_token;
  info_.shared_experts = c_.shared_experts;
  info_.mtp_layers = c_.mtp_layers;
  info_.bos = c_.bos;
  info_.eos = c_.eos;
  info_.mha_cache_width = c_.heads * (c_.nope + c_.rope + c_.v);
  info_.architecture = absl::StrFormat("MLA %d + %d, %d heads", c_.kv_rank, c_.rope, c_.heads);
  if (c_.dense_layers < c_.layers) {
    absl::StrAppendFormat(&info_.architecture, "; %d experts, top %d, %d shared", c_.experts,
                          c_.experts_per_token, c_.shared_experts);
  }
  info_.weight_format =
      c_.quantization && c_.quantization->int8_channel() ? "int8, a scale for each output channel"
      : c_.quantization ? absl::StrFormat("fp8 e4m3, %dx%d blocks", c_.quantization->weight_block_size[0],
                                          c_.quantization->weight_block_size[1])
                        : (c_.torch_dtype.empty() ? "unquantised" : c_.torch_dtype);
}

program::Quantisation Deepseek::quantisation() const {
  program::Quantisation q;
  if (c_.quantization && c_.quantization->int8_channel()) {
    q.scale_suffix = "_scale";
    q.channel = true;
  } else if (c_.quantization) {
    q.scale_suffix = "_scale_inv";  // a misnomer: values are multiplied by it
    q.block[0] = static_cast<int32_t>(c_.quantization->weight_block_size[0]);
    q.block[1] = static_cast<int32_t>(c_.quantization->weight_block_size[1]);
  }
  return q;
}

std::vector<program::LayerCache> Deepseek::Cache(DType dtype, bool drafting) const {
  std::vector<program::RowKind> kinds = {{"latent", c_.kv_rank, dtype}, {"rope", c_.rope, dtype}};
  if (dtype == DType::kF8E4M3) {
    // As many channels as DeepSeek's FP8 code lets share a scale; the last block may be short.
    kinds[0].block = kScaleBlock;
    kinds[0].scales = 2;
    kinds[1].dtype = DType::kBF16;
    kinds.push_back({"latent_scale", CeilDiv<int64_t>(c_.kv_rank, kScaleBlock), DType::kF32});
  }
  std::vector<program::LayerCache> layers;
  for (int64_t l = 0; l < c_.layers + (drafting ? 1 : 0); ++l)
    layers.push_back({absl::StrFormat("layers.%d.cache", l), kinds});
  return layers;
}

ValueId Deepseek::GateUp(Builder& b, const std::string& prefix, int64_t width) const {
  return b.Weight(prefix + ".gate_up_proj", [&] {
    return std::vector<Slice>{{prefix + ".gate_proj.weight", width, c_.hidden, 0, width, 0},
                              {prefix + ".up_proj.weight", width, c_.hidden, 0, width, 0}};
  });
}

ValueId Deepseek::Attention(Builder& b, int64_t layer, ValueId x, Builder::RopeTable rope) const {
  const std::string p = absl::StrFormat("model.layers.%d.self_attn.", layer);
  const std::string name = absl::StrFormat("layers.%d.attention", layer);
  const int64_t head_rows = c_.nope + c_.v;
  // kv_b_proj holds, head by head, the rows that make keys and the rows that make values from the latent.
  // Absorbed, the first bring queries into the latent space and the second bring results out of it.
  auto heads_of_kv_b = [&](std::string_view which, int64_t row0, int64_t count) {
    return b.Weight(absl::StrFormat("%skv_b_proj.%s", p, which), [&] {
      std::vector<Slice> slices;
      for (int64_t h = 0; h < c_.heads; ++h) {
        slices.push_back({p + "kv_b_proj.weight", c_.heads * head_rows, c_.kv_rank, h * head_rows + row0,
                          count, static_cast<int32_t>(h)});
      }
      return slices;
    });
  };

  Builder::MlaWeights w;
  const int64_t q_rows = c_.heads * (c_.nope + c_.rope);
  if (c_.q_rank > 0) {
    w.q_a = b.Weight(p + "q_a_proj.weight", c_.q_rank, c_.hidden);
    w.q_norm = b.Vector(p + "q_a_layernorm.weight", c_.q_rank);
    w.q = b.Weight(p + "q_b_proj.weight", q_rows, c_.q_rank);
  } else {
    w.q = b.Weight(p + "q_proj.weight", q_rows, c_.hidden);
  }
  w.kv_a = b.Weight(p + "kv_a_proj_with_mqa.weight", c_.kv_rank + c_.rope, c_.hidden);
  w.kv_norm = b.Vector(p + "kv_a_layernorm.weight", c_.kv_rank);
  w.w_uk = heads_of_kv_b("keys", 0, c_.nope);

  qiao_mla_prolog_params params{};
  params.heads = static_cast<int32_t>(c_.heads);
  params.nope = static_cast<int32_t>(c_.nope);
  params.rope_style = c_.rope_interleaved ? QIAO_ROPE_INTERLEAVED : QIAO_ROPE_HALF;
  params.eps = kMlaNormEps;
  const auto index = static_cast<int32_t>(layer);
  const Builder::MlaQuery q = b.MlaProlog(name + ".prolog", x, rope, w, params, index);
  const ValueId o = b.LatentAttention(name + ".latent", q.latent, q.rope, index, SoftmaxScale(c_));
  const ValueId values = b.Linear(name + ".values", o, heads_of_kv_b("values", c_.nope, c_.v));
  const ValueId flat = b.Reshape(name + ".heads", values, {b.bucket().rows, c_.heads * c_.v});
  return b.Linear(name + ".o", flat, b.Weight(p + "o_proj.weight", c_.hidden, c_.heads * c_.v));
}

qiao_moe_gate_params Deepseek::Gate() const {
  qiao_moe_gate_params g{};
  g.score = c_.v2 ? QIAO_SCORE_SOFTMAX : QIAO_SCORE_SIGMOID;
  g.k = static_cast<int32_t>(c_.experts_per_token);
  g.groups = static_cast<int32_t>(c_.groups);
  g.topk_group = static_cast<int32_t>(c_.topk_group);
  g.group_score = c_.v2 ? QIAO_GROUP_SCORE_MAX : QIAO_GROUP_SCORE_TOP2_SUM;
  g.mask_value = c_.v2 ? 0.0f : -std::numeric_limits<float>::infinity();
  g.renormalise = c_.renormalise ? 1 : 0;
  g.renorm_eps = 1e-20f;
  g.scale = static_cast<float>(c_.routed_scale);
  return g;
}

ValueId Deepseek::FeedForward(Builder& b, int64_t layer, ValueId x) const {
  const std::string p = absl::StrFormat("model.layers.%d.mlp", layer);
  if (!c_.is_moe(layer)) {
    return b.Mlp(absl::StrFormat("layers.%d.mlp", layer), x, GateUp(b, p, c_.dense_width),
                 b.Weight(p + ".down_proj.weight", c_.hidden, c_.dense_width));
  }
  Builder::MoeWeights w;
  w.router = b.Weight(p + ".gate.weight", c_.experts, c_.hidden);
  if (!c_.v2) w.bias = b.Vector(p + ".gate.e_score_correction_bias", c_.experts);
  const int64_t width = c_.expert_width;
  w.gate_up = b.Weight(p + ".experts.gate_up_proj", [&] {
    std::vector<Slice> slices;
    for (int64_t e = 0; e < c_.experts; ++e) {
      const std::string expert = absl::StrFormat("%s.experts.%d.", p, e);
      slices.push_back({expert + "gate_proj.weight", width, c_.hidden, 0, width, static_cast<int32_t>(e)});
      slices.push_back({expert + "up_proj.weight", width, c_.hidden, 0, width, static_cast<int32_t>(e)});
    }
    return slices;
  });
  w.down = b.Weight(p + ".experts.down_proj", [&] {
    std::vector<Slice> slices;
    for (int64_t e = 0; e < c_.experts; ++e) {
      slices.push_back({absl::StrFormat("%s.experts.%d.down_proj.weight", p, e), c_.hidden, width, 0,
                        c_.hidden, static_cast<int32_t>(e)});
    }
    return slices;
  });
  if (c_.shared_experts > 0) {
    w.shared_gate_up = GateUp(b, p + ".shared_experts", c_.shared_width());
    w.shared_down = b.Weight(p + ".shared_experts.down_proj.weight", c_.hidden, c_.shared_width());
  }
  return b.MoeMlp(absl::StrFormat("layers.%d.moe", layer), x, w, Gate());
}

Builder::RopeTable Deepseek::Rope(Builder& b) const {
  return b.RopeTables("rope_table", b.positions(), b.Constant("rope.inv_freq", frequencies_.inv_freq),
                      frequencies_.factor);
}

ValueId Deepseek::Head(Builder& b) const {
  const bool own_head = !c_.tied || b.Has("lm_head.weight");
  return own_head ? b.Weight("lm_head.weight", c_.vocab, c_.hidden) : Table(b);
}

// Without an update yet, the stream is normed as it is.
Deepseek::Stream Deepseek::Layer(Builder& b, int64_t layer, Stream before, Builder::RopeTable rope) const {
  const auto eps = static_cast<float>(c_.rms_eps);
  const std::string p = absl::StrFormat("model.layers.%d.", layer);
  const ValueId gain = b.Vector(p + "input_layernorm.weight", c_.hidden);
  ValueId x, stream = before.stream;
  if (before.update == ops::kNoValue) {
    x = b.RmsNorm(absl::StrFormat("layers.%d.input_norm", layer), stream, gain, eps);
  } else {
    const Builder::Normed normed =
        b.AddRmsNorm(absl::StrFormat("layers.%d.input", layer), before.update, stream, gain, eps);
    x = normed.normed;
    stream = normed.sum;
  }
  const ValueId attention = Attention(b, layer, x, rope);
  const Builder::Normed middle =
      b.AddRmsNorm(absl::StrFormat("layers.%d.middle", layer), attention, stream,
                   b.Vector(p + "post_attention_layernorm.weight", c_.hidden), eps);
  return {middle.sum, FeedForward(b, layer, middle.normed)};
}

absl::Status Deepseek::Build(Builder& b, bool drafting) const {
  const auto eps = static_cast<float>(c_.rms_eps);
  const ValueId table = Table(b);
  const Builder::RopeTable rope = Rope(b);
  Stream s{b.Embedding("layers.0.input", b.ids(), table)};
  for (int64_t l = 0; l < c_.layers && b.ok(); ++l) s = Layer(b, l, s, rope);
  const ValueId gain = b.Vector("model.norm.weight", c_.hidden);
  ValueId normed;
  if (drafting) {
    // The MTP layer takes every row as it leaves the last norm; transformers, vLLM and SGLang agree on that,
    // the report is silent.
    const ValueId all = b.AddRmsNorm("final", s.update, s.stream, gain, eps).normed;
    b.Output("hidden", all);
    normed = b.GatherRows("final.rows", all, b.logit_index());
  } else {
    // Only the rows whose logits are wanted go through the last norm and the head.
    const ValueId last_update = b.GatherRows("final.update", s.update, b.logit_index());
    const ValueId last_stream = b.GatherRows("final.stream", s.stream, b.logit_index());
    normed = b.AddRmsNorm("final", last_update, last_stream, gain, eps).normed;
  }
  const ValueId logits = b.Linear("logits", normed, Head(b), DType::kF32);
  b.Output("logits", logits);
  b.Output("argmax", b.Argmax("argmax", logits));
  return absl::OkStatus();
}

// DeepSeek-V3 technical report, 2.2, equations 21 to 23, at depth 1; a model with more MTP layers drafts with
// its first. The report shares embedding and head with the main model. Releases store copies of both inside
// the MTP layer; the main model's are used, as vLLM and SGLang do, which saves two matrices of V x H.
absl::Status Deepseek::BuildDraft(Builder& b) const {
  const auto eps = static_cast<float>(c_.rms_eps);
  const std::string p = absl::StrFormat("model.layers.%d.", c_.layers);
  const std::string name = absl::StrFormat("layers.%d.", c_.layers);
  if (!b.Has(p + "eh_proj.weight") && b.ok()) {
    return FailedPrecondition(
        "drafting needs the MTP layer, but the checkpoint has no tensor \"%seh_proj.weight\", although its "
        "config.json tells of one (num_nextn_predict_layers); run it without drafting",
        p);
  }
  const ValueId token = b.Embedding(name + "embed", b.ids(), Table(b));
  const ValueId both = b.RmsNorms(name + "eh",
                                  {{token, b.Vector(p + "enorm.weight", c_.hidden)},
                                   {b.hidden(c_.hidden), b.Vector(p + "hnorm.weight", c_.hidden)}},
                                  eps);
  const Stream before{
      b.Linear(name + "input", both, b.Weight(p + "eh_proj.weight", c_.hidden, 2 * c_.hidden))};
  const Stream s = Layer(b, c_.layers, before, Rope(b));
  const ValueId last_update = b.GatherRows("draft.update", s.update, b.logit_index());
  const ValueId last_stream = b.GatherRows("draft.stream", s.stream, b.logit_index());
  const ValueId gain = b.Vector(p + "shared_head.norm.weight", c_.hidden);
  const ValueId hidden = b.AddRmsNorm("draft.final", last_update, last_stream, gain, eps).normed;
  b.Output("hidden", hidden);
  b.Output("argmax", b.Argmax("draft.argmax", b.Linear("draft.logits", hidden, Head(b), DType::kF32)));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> MakeDeepseek(const formats::ConfigReader& config) {
  std::vector<std::string> notes;
  QIAO_ASSIGN_OR_RETURN(DeepseekConfig parsed, ReadDeepseekConfig(config, notes));
  absl::StatusOr<ops::RopeFrequencies> frequencies = Frequencies(parsed);
  if (!frequencies.ok()) return Annotate(frequencies.status(), config.what());
  return std::make_unique<Deepseek>(std::move(parsed), *std::move(frequencies), std::move(notes));
}

}  // namespace qiao::models
