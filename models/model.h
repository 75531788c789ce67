// What the engine and the tools need to know of a model family. A family is a folder: its config, its forward
// pass as calls on program::Builder, the names of its tensors. No loops over numbers here; kernels do those.
//
// To add one: a folder with a class derived from Model, and its line in registry.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/dtype.h"
#include "runtime/base/shape.h"
#include "runtime/base/status.h"
#include "runtime/formats/model_config.h"
#include "runtime/program/builder.h"

namespace qiao::models {

// What a tensor of a checkpoint is for.
enum class Part {
  kEmbedding,
  kAttention,
  kDenseMlp,
  kRouter,
  kExpert,  // routed
  kSharedExpert,
  kNorm,
  kHead,
  kMtp,  // multi-token prediction layers, which run only to draft tokens
};
std::string_view Name(Part part);

// One tensor that a checkpoint of this model holds; the scales of quantised ones are not listed.
struct TensorSpec {
  std::string name;
  Shape shape;
  Part part = Part::kAttention;
  DType plain = DType::kBF16;  // the dtype that releases store it in when it is not quantised
  bool quantised = false;      // one of those that an FP8 or INT8 release stores as such, with scales
  // Which share of it one token uses: experts k/E, a row of the embedding 1/V, everything else 1.
  double active = 1.0;
};

struct ModelInfo {
  std::string family;        // "deepseek_v3"
  std::string architecture;  // what it is, for people: "MLA, 256 experts top 8 + 1 shared"
  int64_t vocab = 0, hidden = 0, layers = 0, context = 0;
  int64_t heads = 0;
  int64_t experts = 0, experts_per_token = 0, shared_experts = 0;
  int64_t mtp_layers = 0;
  std::optional<int64_t> bos;
  std::vector<int64_t> eos;
  // Numbers that multi-head attention of the same shape would keep for each token and layer.
  int64_t mha_cache_width = 0;
  std::string weight_format;  // "fp8 e4m3, 128x128 blocks", int8's, or the config's torch_dtype
};

// Immutable; used from any thread.
class Model {
 public:
  virtual ~Model() = default;
  const ModelInfo& info() const { return info_; }
  virtual program::Quantisation quantisation() const = 0;
  // Whether the model can draft tokens with a multi-token prediction layer of its own (DeepSeek-V3 technical
  // report, arXiv 2412.19437, section 2.2).
  virtual bool drafts() const { return false; }
  // The row kinds that each layer keeps for each token, in `dtype` (kF8E4M3 is what program::Numerics says).
  // With `drafting`, those of the MTP layer come last.
  virtual std::vector<program::LayerCache> Cache(DType dtype, bool drafting) const = 0;
  // Emits the forward pass of one step. Outputs: "logits" f32 [logit_rows, V], "argmax" i32 [logit_rows]; with
  // `drafting` also "hidden" [rows, H], every row after the last norm, in the dtype of activations.
  // Values that taps find by name: "layers.N.input" (the residual stream before layer N), "layers.N.moe.ids",
  // "layers.N.moe.w".
  virtual absl::Status Build(program::Builder& b, bool drafting) const = 0;
  // Emits the MTP layer: a row at position i comes with b.hidden(H), the "hidden" that position i has in the
  // main model or in an earlier draft, and in b.ids() with the token that follows it, which position i + 1
  // will have. Outputs: "argmax" i32 [logit_rows], the likeliest token of position i + 2, and "hidden"
  // [logit_rows, H] for a further draft from it. Values that taps find by name, beside those of layer N =
  // layers: "draft.logits" f32 [logit_rows, V]. Only where drafts(); FAILED_PRECONDITION for a checkpoint
  // that lacks the layer although its config.json tells of one.
  virtual absl::Status BuildDraft(program::Builder& /*b*/) const {
    return Internal("%s has no draft", info_.family);
  }
  // Every tensor of a complete checkpoint, in the order of releases.
  virtual std::vector<TensorSpec> Tensors() const = 0;
  // Things the config says that do not matter here, or matter to people ("norm_topk_prob is ignored, as in
  // ...").
  const std::vector<std::string>& notes() const { return notes_; }

 protected:
  ModelInfo info_;
  std::vector<std::string> notes_;
};

// The model that a config.json describes. UNIMPLEMENTED with the list of known families for an architecture
// that is not known; INVALID_ARGUMENT that names the field otherwise. Afterwards config.UnreadKeys() are the
// keys nobody knows.
absl::StatusOr<std::unique_ptr<Model>> MakeModel(const formats::ConfigReader& config);

// The config.json of a model by the name that people use ("deepseek-v3", "deepseek-v2-lite", "kimi-k2"), for
// making checkpoints of its shape; NOT_FOUND lists the names.
absl::StatusOr<std::string> PresetConfig(std::string_view name);
std::vector<std::string> PresetNames();

}  // namespace qiao::models
