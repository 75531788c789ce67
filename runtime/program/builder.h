// Builder: the language in which a model writes its forward pass. Values, not buffers; each method appends
// one node.
//
//   ValueId x = b.Embedding("embed", b.Weight("model.embed_tokens.weight", V, H), b.ids());
//   ...
//   b.Output("logits", b.Linear("head", x, head, DType::kF32));
//
// The first error sticks: later calls do nothing and Finish returns it, so that a model need not check each
// line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"
#include "runtime/ops/graph.h"
#include "runtime/program/parameters.h"

namespace qiao::program {

using ops::ValueId;

// Upper bounds of one program's step; the live counts come with each step.
struct Bucket {
  int32_t rows = 1;         // token rows
  int32_t seqs = 1;         // sequences
  int32_t logit_rows = 1;   // rows whose logits are wanted
  int32_t table_width = 1;  // pages of one sequence
  bool operator==(const Bucket&) const = default;
};

// One row kind of a layer's cache: what is kept for each token.
struct RowKind {
  std::string name;  // "latent", "rope"
  int64_t width = 0;
  DType dtype = DType::kBF16;
  // With a dtype that needs scales (kF8E4M3): so many of its channels share one, an f32 of the row kind that
  // `scales` names by its index. 0 and -1: none.
  int32_t block = 0, scales = -1;
};
struct LayerCache {
  std::string name;  // "layers.3.cache"
  std::vector<RowKind> kinds;
};
// Bytes that all layers together keep for each token.
uint64_t BytesPerToken(absl::Span<const LayerCache> layers);
struct CacheGeometry {
  int64_t page_tokens = 64;
  int64_t pages = 0;
  std::vector<LayerCache> layers;
};

// A numerics mode is the dtypes that Builder gives to values; kernels never see it.
struct Numerics {
  DType activation = DType::kBF16;
  // Of the rows of the caches. kF8E4M3: MLA's latent in E4M3 with an f32 scale for each 128 channels, its
  // rope key in bf16.
  DType cache = DType::kBF16;
  // What the rows that meet an FP8 weight with scale blocks are quantised to: kF8E4M3 (W8A8, as DeepSeek's
  // inference code does), or kInvalid: nothing. Rows that meet an INT8 weight with channel scales become INT8
  // in every mode, because that is what such a checkpoint was made for.
  DType f8_rows = DType::kInvalid;
};

// The step's inputs, in the order of BuiltGraph::inputs.
enum class StepInput : int32_t {
  kIds,         // i32[rows]
  kPositions,   // i32[rows]
  kSlots,       // i32[rows]: page * page_tokens + offset, -1 writes nothing
  kQStart,      // i32[seqs + 1]
  kKvLen,       // i32[seqs]
  kTable,       // i32[seqs, table_width]
  kLogitIndex,  // i32[logit_rows]: rows
  kHidden,      // activations[rows, width]; only in graphs that ask for it
};

struct BuiltGraph {
  ops::Graph graph;
  Bucket bucket;
  std::vector<ValueId> inputs;  // by StepInput, kHidden only where it was asked for
  std::vector<std::vector<float>> constants;
  // kPool values: layer and kind of each, by Value::source.
  struct Pool {
    int32_t layer, kind;
  };
  std::vector<Pool> pools;
  struct Output {
    std::string name;
    ValueId value;
  };
  std::vector<Output> outputs;
};

class Builder {
 public:
  Builder(Parameters& parameters, Numerics numerics, const CacheGeometry& cache, Bucket bucket);

  const Bucket& bucket() const { return built_.bucket; }
  DType act() const { return numerics_.activation; }

  // Step inputs.
  ValueId ids() const { return Input(StepInput::kIds); }
  ValueId positions() const { return Input(StepInput::kPositions); }
  ValueId slots() const { return Input(StepInput::kSlots); }
  ValueId logit_index() const { return Input(StepInput::kLogitIndex); }
  // Rows [rows, width] that an earlier step computed, in the dtype of activations.
  ValueId hidden(int64_t width);
  // A row kind of a layer's cache.
  ValueId Pool(int32_t layer, int32_t kind);

  // Parameters. A matrix [rows, cols] of one tensor; or any stack of slices.
  ValueId Weight(std::string_view tensor, int64_t rows, int64_t cols);
  ValueId Weight(std::string_view name, absl::FunctionRef<std::vector<Slice>()> slices);
  ValueId Vector(std::string_view tensor, int64_t size);
  ValueId Constant(std::string_view name, std::vector<float> values);
  bool Has(std::string_view tensor);

  // Fine operations (qiao/ops.h). `out` kInvalid: the dtype of x.
  ValueId Embedding(std::string name, ValueId ids, ValueId table);
  ValueId RmsNorm(std::string name, ValueId x, ValueId gain, float eps);
  // The norms of several x [T,Ni], side by side in one [T, sum of Ni] called `name`: each writes its columns.
  struct Norm {
    ValueId x = ops::kNoValue, gain = ops::kNoValue;
  };
  ValueId RmsNorms(std::string name, absl::Span<const Norm> parts, float eps);
  // x [T,K] or [T,B,K] -> [T,N] or [T,B,N]
  ValueId Linear(std::string name, ValueId x, ValueId weight, DType out = DType::kInvalid);
  ValueId GatherRows(std::string name, ValueId x, ValueId index);
  ValueId Argmax(std::string name, ValueId x);
  struct RopeTable {
    ValueId cos = ops::kNoValue, sin = ops::kNoValue;
  };
  RopeTable RopeTables(std::string name, ValueId positions, ValueId inv_freq, float factor);
  // q_latent [T,h,L], q_rope [T,h,R] over a layer's latent (kind 0, with or without scales) and rope (kind 1)
  // -> [T,h,L]
  ValueId LatentAttention(std::string name, ValueId q_latent, ValueId q_rope, int32_t layer, float scale);

  // Coarse operations.
  struct Normed {
    ValueId normed = ops::kNoValue, sum = ops::kNoValue;
  };
  Normed AddRmsNorm(std::string name, ValueId x, ValueId residual, ValueId gain, float eps);
  ValueId Mlp(std::string name, ValueId x, ValueId gate_up, ValueId down);
  struct MoeWeights {
    ValueId router = ops::kNoValue, bias = ops::kNoValue, gate_up = ops::kNoValue, down = ops::kNoValue,
            shared_gate_up = ops::kNoValue, shared_down = ops::kNoValue;
  };
  // Values NAME.ids [T,k] and NAME.w [T,k] tell the choice.
  ValueId MoeMlp(std::string name, ValueId x, const MoeWeights& weights, const qiao_moe_gate_params& gate);
  struct MlaWeights {
    ValueId q_a = ops::kNoValue, q_norm = ops::kNoValue;  // absent without query compression
    ValueId q = ops::kNoValue, kv_a = ops::kNoValue, kv_norm = ops::kNoValue, w_uk = ops::kNoValue;
  };
  struct MlaQuery {
    ValueId latent = ops::kNoValue, rope = ops::kNoValue;
  };
  MlaQuery MlaProlog(std::string name, ValueId x, RopeTable rope, const MlaWeights& weights,
                     const qiao_mla_prolog_params& params, int32_t layer);

  // The same elements, contiguous, in other dims.
  ValueId Reshape(std::string name, ValueId x, absl::Span<const int64_t> dims);
  void Output(std::string name, ValueId value);

  void Fail(absl::Status status);
  bool ok() const { return status_.ok(); }
  absl::StatusOr<BuiltGraph> Finish();

 private:
  // The pool of the scales of a row kind; kNoValue where it has none.
  ValueId ScalePool(int32_t layer, int32_t kind);
  ValueId Input(StepInput input) const { return built_.inputs[static_cast<size_t>(input)]; }
  absl::InlinedVector<ValueId, 4> Emit(std::string name, uint32_t op, ops::Params params,
                                       absl::Span<const ValueId> args, DType out = DType::kInvalid);
  ValueId Emit1(std::string name, uint32_t op, ops::Params params, absl::Span<const ValueId> args,
                DType out = DType::kInvalid);

  Parameters& parameters_;
  Numerics numerics_;
  const CacheGeometry& cache_;
  BuiltGraph built_;
  absl::flat_hash_map<std::string, ValueId> parameter_values_;
  std::vector<std::vector<ValueId>> pool_values_;
  absl::Status status_;
};

}  // namespace qiao::program
