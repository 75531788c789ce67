#include "runtime/program/builder.h"

#include <utility>

#include "runtime/ops/coarse.h"

namespace qiao::program {
namespace {

using ops::kNoValue;
using ops::Params;
using ops::Role;

ops::Value MakeInput(std::string name, std::vector<int64_t> dims, uint32_t live, StepInput input) {
  ops::Value value;
  value.name = std::move(name);
  value.role = Role::kInput;
  value.tensor = ops::MakeTensor(DType::kI32, dims, live);
  value.source = static_cast<int32_t>(input);
  return value;
}

}  // namespace

uint64_t BytesPerToken(absl::Span<const LayerCache> layers) {
  uint64_t bytes = 0;
  for (const LayerCache& layer : layers) {
    for (const RowKind& kind : layer.kinds) bytes += static_cast<uint64_t>(kind.width) * SizeOf(kind.dtype);
  }
  return bytes;
}

Builder::Builder(Parameters& parameters, Numerics numerics, const CacheGeometry& cache, Bucket bucket)
    : parameters_(parameters), numerics_(numerics), cache_(cache) {
  built_.bucket = bucket;
  ops::Graph& g = built_.graph;
  auto add = [&](std::string name, std::vector<int64_t> dims, uint32_t live, StepInput input) {
    built_.inputs.push_back(g.AddValue(MakeInput(std::move(name), std::move(dims), live, input)));
  };
  add("ids", {bucket.rows}, QIAO_LIVE_ROWS, StepInput::kIds);
  add("positions", {bucket.rows}, QIAO_LIVE_ROWS, StepInput::kPositions);
  add("slots", {bucket.rows}, QIAO_LIVE_ROWS, StepInput::kSlots);
  add("q_start", {bucket.seqs + 1}, QIAO_LIVE_ALL, StepInput::kQStart);
  add("kv_len", {bucket.seqs}, QIAO_LIVE_SEQS, StepInput::kKvLen);
  add("table", {bucket.seqs, bucket.table_width}, QIAO_LIVE_SEQS, StepInput::kTable);
  add("logit_index", {bucket.logit_rows}, QIAO_LIVE_LOGITS, StepInput::kLogitIndex);
  pool_values_.resize(cache.layers.size());
}

ValueId Builder::hidden(int64_t width) {
  constexpr auto kIndex = static_cast<size_t>(StepInput::kHidden);
  if (built_.inputs.size() == kIndex) {
    ops::Value value = MakeInput("hidden", {bucket().rows, width}, QIAO_LIVE_ROWS, StepInput::kHidden);
    value.tensor.dtype = static_cast<uint32_t>(act());
    built_.inputs.push_back(built_.graph.AddValue(std::move(value)));
  }
  return Input(StepInput::kHidden);
}

void Builder::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

absl::StatusOr<BuiltGraph> Builder::Finish() {
  if (!status_.ok()) return status_;
  if (built_.outputs.empty()) return Internal("a graph without outputs");
  return std::move(built_);
}

absl::InlinedVector<ValueId, 4> Builder::Emit(std::string name, uint32_t op, Params params,
                                              absl::Span<const ValueId> args, DType out) {
  if (!ok()) return {};
  absl::StatusOr<absl::InlinedVector<ValueId, 4>> outputs =
      built_.graph.Emit(std::move(name), op, std::move(params), args, out);
  if (!outputs.ok()) {
    Fail(outputs.status());
    return {};
  }
  return *std::move(outputs);
}

ValueId Builder::Emit1(std::string name, uint32_t op, Params params, absl::Span<const ValueId> args,
                       DType out) {
  const auto outputs = Emit(std::move(name), op, std::move(params), args, out);
  return outputs.empty() ? kNoValue : outputs[0];
}

ValueId Builder::Pool(int32_t layer, int32_t kind) {
  if (!ok()) return kNoValue;
  if (layer < 0 || layer >= static_cast<int32_t>(cache_.layers.size()) || kind < 0 ||
      kind >= static_cast<int32_t>(cache_.layers[static_cast<size_t>(layer)].kinds.size())) {
    Fail(Internal("the cache has no layer %d with a row kind %d", layer, kind));
    return kNoValue;
  }
  std::vector<ValueId>& values = pool_values_[static_cast<size_t>(layer)];
  const LayerCache& spec = cache_.layers[static_cast<size_t>(layer)];
  values.resize(spec.kinds.size(), kNoValue);
  ValueId& id = values[static_cast<size_t>(kind)];
  if (id == kNoValue) {
    const RowKind& row = spec.kinds[static_cast<size_t>(kind)];
    ops::Value value;
    value.name = absl::StrFormat("%s.%s", spec.name, row.name);
    value.role = Role::kPool;
    value.tensor = ops::MakeTensor(row.dtype, {cache_.pages, cache_.page_tokens, row.width});
    if (row.block > 0) ops::SetRowBlocks(value.tensor, row.block);
    value.source = static_cast<int32_t>(built_.pools.size());
    built_.pools.push_back({layer, kind});
    id = built_.graph.AddValue(std::move(value));
  }
  return id;
}

ValueId Builder::ScalePool(int32_t layer, int32_t kind) {
  if (!ok() || Pool(layer, kind) == kNoValue) return kNoValue;
  const RowKind& row = cache_.layers[static_cast<size_t>(layer)].kinds[static_cast<size_t>(kind)];
  return row.scales < 0 ? kNoValue : Pool(layer, row.scales);
}

ValueId Builder::Weight(std::string_view tensor, int64_t rows, int64_t cols) {
  return Weight(tensor, [&] {
    return std::vector<Slice>{
        {.tensor = std::string(tensor), .rows = rows, .cols = cols, .row0 = 0, .count = rows}};
  });
}

ValueId Builder::Weight(std::string_view name, absl::FunctionRef<std::vector<Slice>()> slices) {
  if (!ok()) return kNoValue;
  auto [it, fresh] = parameter_values_.try_emplace(std::string(name), kNoValue);
  if (!fresh) return it->second;
  absl::StatusOr<int32_t> index = parameters_.AddWeight(name, slices);
  if (!index.ok()) {
    Fail(index.status());
    return kNoValue;
  }
  const program::Weight& weight = parameters_.weight(*index);
  const qiao_piece& piece = weight.pieces.front();
  ops::Value value;
  value.name = std::string(name);
  value.role = Role::kWeight;
  value.tensor = ops::MakeTensor(static_cast<DType>(piece.dtype), {weight.groups, weight.rows, weight.cols});
  value.tensor.layout = QIAO_LAYOUT_PIECES;
  value.tensor.scheme = piece.scheme;
  value.tensor.block[0] = piece.block[0];
  value.tensor.block[1] = piece.block[1];
  if (piece.scheme == QIAO_SCHEME_BLOCK && piece.dtype == QIAO_F8E4M3) value.rows = numerics_.f8_rows;
  if (piece.scheme == QIAO_SCHEME_CHANNEL && piece.dtype == QIAO_I8) value.rows = DType::kI8;
  value.source = *index;
  it->second = built_.graph.AddValue(std::move(value));
  return it->second;
}

ValueId Builder::Vector(std::string_view tensor, int64_t size) {
  if (!ok()) return kNoValue;
  auto [it, fresh] = parameter_values_.try_emplace(std::string(tensor), kNoValue);
  if (!fresh) return it->second;
  absl::StatusOr<int32_t> index = parameters_.AddVector(tensor, size);
  if (!index.ok()) {
    Fail(index.status());
    return kNoValue;
  }
  ops::Value value;
  value.name = std::string(tensor);
  value.role = Role::kVector;
  value.tensor = ops::MakeTensor(DType::kF32, {size});
  value.source = *index;
  it->second = built_.graph.AddValue(std::move(value));
  return it->second;
}

ValueId Builder::Constant(std::string_view name, std::vector<float> values) {
  if (!ok()) return kNoValue;
  ops::Value value;
  value.name = std::string(name);
  value.role = Role::kConstant;
  value.tensor = ops::MakeTensor(DType::kF32, {static_cast<int64_t>(values.size())});
  value.source = static_cast<int32_t>(built_.constants.size());
  built_.constants.push_back(std::move(values));
  return built_.graph.AddValue(std::move(value));
}

bool Builder::Has(std::string_view tensor) {
  if (!ok()) return false;
  absl::StatusOr<bool> has = parameters_.Has(tensor);
  if (!has.ok()) Fail(has.status());
  return has.ok() && *has;
}

ValueId Builder::Embedding(std::string name, ValueId ids, ValueId table) {
  return Emit1(std::move(name), QIAO_OP_EMBEDDING, Params(qiao_embedding_params{}), {ids, table}, act());
}

ValueId Builder::RmsNorm(std::string name, ValueId x, ValueId gain, float eps) {
  qiao_rmsnorm_params params{};
  params.eps = eps;
  return Emit1(std::move(name), QIAO_OP_RMSNORM, Params(params), {x, gain});
}

ValueId Builder::RmsNorms(std::string name, absl::Span<const Norm> parts, float eps) {
  if (!ok()) return kNoValue;
  ops::Graph& g = built_.graph;
  int64_t width = 0, offset = 0;
  for (const Norm& part : parts) width += g.value(part.x).tensor.dim[1];
  const int64_t rows = bucket().rows;
  const ValueId whole = g.AddActivation(name, act(), {rows, width}, QIAO_LIVE_ROWS);
  for (size_t i = 0; i < parts.size(); ++i) {
    const int64_t columns = g.value(parts[i].x).tensor.dim[1];
    std::string part = absl::StrFormat("%s.%d", name, i);
    absl::StatusOr<ValueId> view = g.AddView(part, whole, offset, {rows, columns}, {width, 1});
    if (!view.ok()) {
      Fail(view.status());
      return kNoValue;
    }
    qiao_rmsnorm_params params{};
    params.eps = eps;
    ops::Append(g, std::move(part), QIAO_OP_RMSNORM, Params(params), {parts[i].x, parts[i].gain, *view});
    offset += columns;
  }
  return whole;
}

ValueId Builder::Linear(std::string name, ValueId x, ValueId weight, DType out) {
  return Emit1(std::move(name), QIAO_OP_LINEAR, Params(qiao_linear_params{}),
               {x, kNoValue, weight, kNoValue, kNoValue}, out);
}

ValueId Builder::GatherRows(std::string name, ValueId x, ValueId index) {
  return Emit1(std::move(name), QIAO_OP_GATHER_ROWS, Params(qiao_gather_rows_params{}), {x, index});
}

ValueId Builder::Argmax(std::string name, ValueId x) {
  return Emit1(std::move(name), QIAO_OP_ARGMAX, Params(qiao_argmax_params{}), {x});
}

Builder::RopeTable Builder::RopeTables(std::string name, ValueId positions, ValueId inv_freq, float factor) {
  qiao_rope_table_params params{};
  params.factor = factor;
  const auto out = Emit(std::move(name), QIAO_OP_ROPE_TABLE, Params(params), {positions, inv_freq});
  return out.size() == 2 ? RopeTable{out[0], out[1]} : RopeTable{};
}

ValueId Builder::LatentAttention(std::string name, ValueId q_latent, ValueId q_rope, int32_t layer,
                                 float scale) {
  const ValueId latent = Pool(layer, 0), rope = Pool(layer, 1), scales = ScalePool(layer, 0);
  qiao_latent_attention_params params{};
  params.scale = scale;
  params.scaled = scales != kNoValue;
  std::vector<ValueId> args = {q_latent,
                               q_rope,
                               latent,
                               rope,
                               Input(StepInput::kQStart),
                               Input(StepInput::kKvLen),
                               Input(StepInput::kTable),
                               kNoValue};
  if (params.scaled) args.push_back(scales);
  return Emit1(std::move(name), QIAO_OP_LATENT_ATTENTION, Params(params), args);
}

Builder::Normed Builder::AddRmsNorm(std::string name, ValueId x, ValueId residual, ValueId gain, float eps) {
  qiao_add_rmsnorm_params params{};
  params.eps = eps;
  const auto out = Emit(std::move(name), QIAO_OP_ADD_RMSNORM, Params(params), {x, residual, gain});
  return out.size() == 2 ? Normed{out[0], out[1]} : Normed{};
}

ValueId Builder::Mlp(std::string name, ValueId x, ValueId gate_up, ValueId down) {
  return Emit1(std::move(name), QIAO_OP_MLP, Params(qiao_mlp_params{}), {x, gate_up, down});
}

ValueId Builder::MoeMlp(std::string name, ValueId x, const MoeWeights& w, const qiao_moe_gate_params& gate) {
  qiao_moe_mlp_params params{};
  params.gate = gate;
  params.gate.struct_size = sizeof(gate);
  return Emit1(std::move(name), QIAO_OP_MOE_MLP, Params(params),
               {x, w.router, w.bias, w.gate_up, w.down, w.shared_gate_up, w.shared_down});
}

Builder::MlaQuery Builder::MlaProlog(std::string name, ValueId x, RopeTable rope, const MlaWeights& w,
                                     const qiao_mla_prolog_params& params, int32_t layer) {
  const ValueId latent_pool = Pool(layer, 0), rope_pool = Pool(layer, 1), scales = ScalePool(layer, 0);
  qiao_mla_prolog_params with_pools = params;
  with_pools.scaled = scales != kNoValue;
  std::vector<ValueId> args = {x,   rope.cos, rope.sin,  slots(), w.q_a,       w.q_norm,
                               w.q, w.kv_a,   w.kv_norm, w.w_uk,  latent_pool, rope_pool};
  if (with_pools.scaled) args.push_back(scales);
  const auto out = Emit(std::move(name), QIAO_OP_MLA_PROLOG, Params(with_pools), args);
  return out.size() == 2 ? MlaQuery{out[0], out[1]} : MlaQuery{};
}

ValueId Builder::Reshape(std::string name, ValueId x, absl::Span<const int64_t> dims) {
  if (!ok()) return kNoValue;
  const qiao_tensor contiguous = ops::MakeTensor(DType::kF32, dims);
  absl::StatusOr<ValueId> view =
      built_.graph.AddView(std::move(name), x, 0, dims, absl::MakeConstSpan(contiguous.stride, dims.size()));
  if (!view.ok()) {
    Fail(view.status());
    return kNoValue;
  }
  return *view;
}

void Builder::Output(std::string name, ValueId value) {
  if (ok()) built_.outputs.push_back({std::move(name), value});
}

}  // namespace qiao::program
