#include "runtime/program/lowering.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "runtime/ops/catalogue.h"

namespace qiao::program {
namespace {

using ops::ArgSpec;
using ops::kNoValue;
using ops::Node;
using ops::OpSpec;
using ops::Role;

// How rows are quantised for weights that want it. To E4M3 as DeepSeek's inference code does (kernel.py,
// act_quant), with the floor of its DeepGEMM: a scale for as many channels as the weight's blocks are wide,
// 128 where it has none. To INT8 with one scale a row and the floor of SGLang's kernel
// (per_token_quant_int8).
constexpr int32_t kE4m3Block = 128;
constexpr float kE4m3Floor = 1e-4f;
constexpr float kI8Floor = 1e-10f;

// What the same place of every bucket's graph holds.
using NodeRow = std::vector<Node>;

struct Placed {
  bool yes = false;
  std::string why;
  uint32_t activation = QIAO_DTYPE_NONE;  // what a weight of it wants to meet, where that is why not
  std::vector<LoweredNode> nodes;         // one a bucket
};

// Multiplies rows with a weight, and nothing else.
bool IsProduct(uint32_t op) { return op == QIAO_OP_LINEAR || op == QIAO_OP_GROUPED_LINEAR; }

class Lowerer {
 public:
  Lowerer(const LoweringOptions& options, const CacheGeometry& cache, WeightStore& weights,
          int32_t pool_device)
      : options_(options), cache_(cache), weights_(weights) {
    result_.pool_device = pool_device;
    pools_may_move_ = static_cast<size_t>(pool_device) + 1 < options.devices.size();
  }

  absl::StatusOr<LoweringResult> Run(const std::vector<std::vector<BuiltGraph>>& kinds);
  // An operation on the caches went elsewhere than the caches: all must start again with the caches there.
  bool pools_must_move() const { return pools_must_move_; }
  const std::vector<std::string>& missing() const { return missing_; }

 private:
  struct QuantisedRows {
    std::vector<std::pair<ops::ValueId, ops::ValueId>> values;  // q and scale in each bucket
    NodeRow nodes;  // until they are placed, before their first use
  };

  absl::Status LayOutPools();
  absl::Status RunKind(const std::vector<BuiltGraph>& built);
  void DescribePools(const std::vector<BuiltGraph>& built);
  absl::Status Place(NodeRow row, Tier tier);
  absl::StatusOr<Placed> Try(const NodeRow& row, int32_t device);
  absl::Status AddSchedule(NodeRow& row, int32_t device);
  absl::Status PlaceParts(const NodeRow& row, const OpSpec& spec);
  QuantisedRows* Quantise(NodeRow& row, DType rows);
  absl::StatusOr<bool> PlaceQuantised(NodeRow row, DType rows, int32_t device, Tier tier,
                                      std::string* why_not);
  DType RowsFor(const Node& node) const;
  bool TouchesPools(const Node& node) const;
  void Accept(Placed placed, int32_t device, Tier tier, std::string why);

  const LoweringOptions& options_;
  const CacheGeometry& cache_;
  WeightStore& weights_;
  LoweringResult result_;
  // Of the kind of graph that is being lowered, one a bucket.
  std::vector<LoweredGraph> graphs_;
  std::vector<ops::ValueId> q_start_, kv_len_;
  // The schedule that the attention of a device uses, one value a bucket; made with the first attention.
  std::vector<std::vector<ops::ValueId>> schedules_;
  // By the value that they are made of, their dtype and the columns of a scale.
  std::map<std::tuple<ops::ValueId, DType, int32_t>, QuantisedRows> quantised_;
  bool pools_may_move_ = false, pools_must_move_ = false;
  std::vector<std::string> missing_;
};

absl::Status Lowerer::LayOutPools() {
  const hal::Device& device = *options_.devices[static_cast<size_t>(result_.pool_device)];
  for (const LayerCache& layer : cache_.layers) {
    LoweringResult::PoolLayout layout;
    for (const RowKind& kind : layer.kinds) {
      qiao_row_kind row{};
      row.struct_size = sizeof(row);
      row.dtype = static_cast<uint32_t>(kind.dtype);
      row.width = kind.width;
      layout.kinds.push_back(row);
    }
    QIAO_ASSIGN_OR_RETURN(layout.bytes,
                          device.ChooseCache(cache_.pages, cache_.page_tokens, absl::MakeSpan(layout.kinds)));
    result_.pools.push_back(std::move(layout));
  }
  return absl::OkStatus();
}

void Lowerer::DescribePools(const std::vector<BuiltGraph>& built) {
  for (size_t g = 0; g < built.size(); ++g) {
    ops::Graph& graph = graphs_[g].graph;
    for (size_t v = 0; v < graph.values().size(); ++v) {
      ops::Value& value = graph.value(static_cast<ops::ValueId>(v));
      if (value.role != Role::kPool) continue;
      const BuiltGraph::Pool& pool = built[g].pools[static_cast<size_t>(value.source)];
      const qiao_row_kind& kind =
          result_.pools[static_cast<size_t>(pool.layer)].kinds[static_cast<size_t>(pool.kind)];
      const auto size = static_cast<int64_t>(SizeOf(static_cast<DType>(kind.dtype)));
      value.tensor.stride[0] = static_cast<int64_t>(kind.page_stride) / size;
      value.tensor.stride[1] = static_cast<int64_t>(kind.row_stride) / size;
    }
  }
}

bool Lowerer::TouchesPools(const Node& node) const {
  const ops::Graph& graph = graphs_.front().graph;
  return std::any_of(node.args.begin(), node.args.end(), [&](ops::ValueId id) {
    return id != kNoValue && graph.value(graph.root(id)).role == Role::kPool;
  });
}

absl::StatusOr<Placed> Lowerer::Try(const NodeRow& row, int32_t device_index) {
  const auto& device = options_.devices[static_cast<size_t>(device_index)];
  Placed placed;
  for (size_t g = 0; g < row.size(); ++g) {
    const Node& node = row[g];
    const ops::Graph& graph = graphs_[g].graph;
    const OpSpec* spec = ops::Find(node.op);
    if (spec == nullptr) return Internal("%s: operation %d is not in the catalogue", node.name, node.op);
    LoweredNode lowered;
    lowered.node = node;
    lowered.device = device_index;
    lowered.tensors = graph.Tensors(node);
    const std::vector<ArgSpec> args = spec->args(node.params.data());
    for (size_t a = 0; a < args.size() && a < node.args.size(); ++a) {
      if (!args[a].weight || node.args[a] == kNoValue) continue;
      // The activation that a weight meets is the operation's first argument.
      QIAO_ASSIGN_OR_RETURN(int32_t index,
                            weights_.Choose(device, node.op, node.params, static_cast<uint32_t>(a),
                                            lowered.tensors[0].dtype, graph.value(node.args[a]).source));
      const qiao_weight_choice& choice = weights_.stored(index).choice;
      if (choice.activation != lowered.tensors[0].dtype && lowered.tensors[0].dtype != QIAO_I32) {
        placed.activation = choice.activation;
        placed.why = absl::StrFormat("%s wants %s activations for %s, which this numerics mode does not give",
                                     device->name(), Name(static_cast<DType>(choice.activation)),
                                     graph.value(node.args[a]).name);
        return placed;
      }
      lowered.tensors[a] = weights_.Describe(index);
      lowered.weights.push_back(index);
    }
    const qiao_op_call call = MakeCall(node, lowered.tensors);
    QIAO_RETURN_IF_ERROR(Annotate(spec->check(call), node.name));
    QIAO_ASSIGN_OR_RETURN(hal::Support support, device->Supports(call));
    placed.why = support.why;
    if (!support.yes) return placed;
    placed.nodes.push_back(std::move(lowered));
  }
  placed.yes = true;
  return placed;
}

void Lowerer::Accept(Placed placed, int32_t device, Tier tier, std::string why) {
  const LoweredNode& first = placed.nodes.front();
  const qiao_op_call call = MakeCall(first.node, first.tensors);
  PlacementRow report{.name = first.node.name,
                      .op = std::string(ops::OpName(first.node.op)),
                      .device = options_.devices[static_cast<size_t>(device)]->name(),
                      .shapes = ops::ToString(call),
                      .tier = tier,
                      .why = std::move(why)};
  result_.placement.push_back(std::move(report));
  for (size_t g = 0; g < placed.nodes.size(); ++g) {
    LoweredNode& node = placed.nodes[g];
    node.tier = tier;
    for (int32_t index : node.weights) weights_.Use(index);
    graphs_[g].nodes.push_back(std::move(node));
  }
}

// The attention of a device that wants a schedule gets one, made once a step from the first attention's
// shapes.
absl::Status Lowerer::AddSchedule(NodeRow& row, int32_t device) {
  constexpr size_t kScheduleArg = 7;
  std::vector<ops::ValueId>& made = schedules_[static_cast<size_t>(device)];
  if (made.empty()) {
    NodeRow schedule;
    for (size_t g = 0; g < row.size(); ++g) {
      ops::Graph& graph = graphs_[g].graph;
      const auto tensors = graph.Tensors(row[g]);
      qiao_attention_schedule_params params{};
      params.heads = static_cast<int32_t>(tensors[0].dim[1]);
      params.rows = static_cast<int32_t>(tensors[0].dim[0]);
      params.page_tokens = static_cast<int32_t>(tensors[2].dim[1]);
      params.kv_bound = static_cast<int32_t>(tensors[6].dim[1] * tensors[2].dim[1]);
      Node node{.name = "attention_schedule",
                .op = QIAO_OP_ATTENTION_SCHEDULE,
                .params = ops::Params(params),
                .args = {}};
      node.args = {q_start_[g], kv_len_[g]};
      qiao_tensor out = ops::MakeTensor(DType::kU8, {0});
      out.layout = QIAO_LAYOUT_OPAQUE;
      auto described = graph.Tensors(node);
      described.push_back(out);
      const qiao_op_call call = MakeCall(node, described);
      QIAO_ASSIGN_OR_RETURN(uint64_t bytes, options_.devices[static_cast<size_t>(device)]->OutputBytes(call));
      ops::ValueId value = kNoValue;
      if (bytes > 0) {
        value = graph.AddActivation("attention_schedule", DType::kU8, {static_cast<int64_t>(bytes)},
                                    QIAO_LIVE_ALL);
        graph.value(value).tensor.layout = QIAO_LAYOUT_OPAQUE;
        node.args.push_back(value);
        schedule.push_back(std::move(node));
      }
      made.push_back(value);
    }
    if (!schedule.empty()) {
      if (schedule.size() != row.size()) return Internal("a schedule for some buckets and not for others");
      QIAO_ASSIGN_OR_RETURN(Placed placed, Try(schedule, device));
      if (!placed.yes) {
        return Internal("%s states a size for attention_schedule but does not support it: %s",
                        options_.devices[static_cast<size_t>(device)]->name(), placed.why);
      }
      Accept(std::move(placed), device, Tier::kNative, "");
    }
  }
  for (size_t g = 0; g < row.size(); ++g) row[g].args[kScheduleArg] = made[g];
  return absl::OkStatus();
}

// What the rows of a product must be quantised to before they meet its weight, because the numerics ask for
// it; of a coarse operation, whether any of its products is such a one. kInvalid: nothing. The absorbed
// products of MLA, which are those by heads, take their rows as they are: DeepSeek's code dequantises
// kv_b_proj for them.
DType Lowerer::RowsFor(const Node& node) const {
  const ops::Graph& graph = graphs_.front().graph;
  const OpSpec* spec = ops::Find(node.op);
  const bool by_heads = node.op == QIAO_OP_LINEAR && graph.value(node.args[0]).tensor.rank > 2;
  if (by_heads || (!IsProduct(node.op) && spec->decompose == nullptr)) return DType::kInvalid;
  const std::vector<ArgSpec> args = spec->args(node.params.data());
  for (size_t a = 0; a < args.size() && a < node.args.size(); ++a) {
    if (!args[a].weight || node.args[a] == kNoValue) continue;
    if (const DType rows = graph.value(node.args[a]).rows; rows != DType::kInvalid) return rows;
  }
  return DType::kInvalid;
}

// Gives the products of `row` quantised rows: the values of a `quantise` that all products of the same rows
// share. Null for rows that quantise does not take, such as a view with gaps.
Lowerer::QuantisedRows* Lowerer::Quantise(NodeRow& row, DType rows) {
  const Node& first = row.front();
  const bool grouped = first.op == QIAO_OP_GROUPED_LINEAR;
  const qiao_tensor& weight = graphs_.front().graph.value(first.args[grouped ? 3 : 2]).tensor;
  qiao_quantise_params params{};
  params.floor = kI8Floor;
  if (rows == DType::kF8E4M3) {
    params.block = weight.scheme == QIAO_SCHEME_BLOCK ? weight.block[1] : kE4m3Block;
    params.floor = kE4m3Floor;
  }
  const auto [it, fresh] = quantised_.try_emplace({first.args[0], rows, params.block});
  QuantisedRows& quantised = it->second;
  if (fresh) {
    for (size_t g = 0; g < row.size(); ++g) {
      ops::Graph& graph = graphs_[g].graph;
      const size_t before = graph.nodes().size();
      const ops::ValueId x = row[g].args[0], ends = grouped ? row[g].args[2] : kNoValue;
      const std::string name =
          absl::StrFormat("%s.%s", graph.value(x).name, rows == DType::kI8 ? "i8" : "e4m3");
      auto out = graph.Emit(name, QIAO_OP_QUANTISE, ops::Params(params), {x, ends}, rows);
      if (!out.ok()) {
        quantised_.erase(it);
        return nullptr;
      }
      quantised.nodes.push_back(std::move(graph.TakeNodes(before).front()));
      quantised.values.emplace_back((*out)[0], (*out)[1]);
    }
  }
  for (size_t g = 0; g < row.size(); ++g) {
    row[g].args[0] = quantised.values[g].first;
    row[g].args[1] = quantised.values[g].second;
  }
  return &quantised;
}

// A product whose weight is to meet quantised rows gets them. False, with the reason, where the device does
// not take it even so.
absl::StatusOr<bool> Lowerer::PlaceQuantised(NodeRow row, DType rows, int32_t device, Tier tier,
                                             std::string* why_not) {
  if (!IsProduct(row.front().op)) return false;
  QuantisedRows* quantised = Quantise(row, rows);
  if (quantised == nullptr) {
    *why_not = absl::StrFormat("its rows cannot be quantised to %s: they do not lie one behind the other",
                               Name(rows));
    return false;
  }
  QIAO_ASSIGN_OR_RETURN(Placed placed, Try(row, device));
  if (!placed.yes) {
    if (device == 0) *why_not = placed.why;
    return false;
  }
  if (!quantised->nodes.empty())
    QIAO_RETURN_IF_ERROR(Place(std::exchange(quantised->nodes, {}), Tier::kNative));
  Accept(std::move(placed), device, device == 0 ? tier : Tier::kFallback, device == 0 ? "" : *why_not);
  return true;
}

absl::Status Lowerer::PlaceParts(const NodeRow& row, const OpSpec& spec) {
  std::vector<NodeRow> parts;
  for (size_t g = 0; g < row.size(); ++g) {
    ops::Graph& graph = graphs_[g].graph;
    const size_t before = graph.nodes().size();
    QIAO_RETURN_IF_ERROR(Annotate(spec.decompose(row[g], graph), row[g].name));
    std::vector<Node> nodes = graph.TakeNodes(before);
    if (parts.empty()) parts.resize(nodes.size());
    if (parts.size() != nodes.size()) return Internal("%s: buckets decompose differently", row[g].name);
    for (size_t n = 0; n < nodes.size(); ++n) parts[n].push_back(std::move(nodes[n]));
  }
  for (NodeRow& part : parts) QIAO_RETURN_IF_ERROR(Place(std::move(part), Tier::kDecomposed));
  return absl::OkStatus();
}

absl::Status Lowerer::Place(NodeRow row, Tier tier) {
  const Node& first = row.front();
  const OpSpec* spec = ops::Find(first.op);
  if (spec == nullptr) return Internal("%s: operation %d is not in the catalogue", first.name, first.op);
  const bool pools = TouchesPools(first);
  const DType rows = RowsFor(first);
  // Rows are quantised between the parts of a coarse operation, so it runs in parts whatever a device claims.
  if (rows != DType::kInvalid && spec->decompose != nullptr) return PlaceParts(row, *spec);
  std::string why_not;
  for (int32_t d = 0; d < static_cast<int32_t>(options_.devices.size()); ++d) {
    if (rows != DType::kInvalid) {
      QIAO_ASSIGN_OR_RETURN(const bool done, PlaceQuantised(row, rows, d, tier, &why_not));
      if (done) return absl::OkStatus();
      continue;
    }
    QIAO_ASSIGN_OR_RETURN(Placed placed, Try(row, d));
    if (placed.yes && pools && d != result_.pool_device) {
      placed.yes = false;
      placed.why = "shares its cache with an operation that the device does not support";
    }
    if (placed.yes && first.op == QIAO_OP_LATENT_ATTENTION) {
      // Whether attention is supported does not depend on the schedule, so it is made when it is known to run
      // here.
      QIAO_RETURN_IF_ERROR(AddSchedule(row, d));
      QIAO_ASSIGN_OR_RETURN(placed, Try(row, d));
      if (!placed.yes)
        return Internal("%s refuses attention with its own schedule: %s",
                        options_.devices[static_cast<size_t>(d)]->name(), placed.why);
    }
    if (placed.yes) {
      Accept(std::move(placed), d, d == 0 ? tier : Tier::kFallback, d == 0 ? "" : why_not);
      return absl::OkStatus();
    }
    if (d == 0) why_not = placed.why;
    if (placed.activation == QIAO_F8E4M3 || placed.activation == QIAO_I8) {
      std::string why_not_quantised = why_not;
      QIAO_ASSIGN_OR_RETURN(const bool done, PlaceQuantised(row, static_cast<DType>(placed.activation), d,
                                                            tier, &why_not_quantised));
      if (done) return absl::OkStatus();
    }
    // Its parts may still run here.
    if (spec->decompose != nullptr) return PlaceParts(row, *spec);
    if (pools && d == result_.pool_device && pools_may_move_) {
      pools_must_move_ = true;
      return absl::OkStatus();
    }
  }
  const auto tensors = graphs_.front().graph.Tensors(first);
  const qiao_op_call call = MakeCall(first, tensors);
  missing_.push_back(absl::StrFormat("%s: %s: %s", first.name, ops::ToString(call),
                                     why_not.empty() ? "no reason given" : why_not));
  return absl::OkStatus();
}

absl::Status Lowerer::RunKind(const std::vector<BuiltGraph>& built) {
  graphs_.clear();
  q_start_.clear();
  kv_len_.clear();
  quantised_.clear();
  schedules_.assign(options_.devices.size(), {});
  for (const BuiltGraph& graph : built) {
    LoweredGraph& lowered = graphs_.emplace_back();
    lowered.graph = graph.graph;
    lowered.graph.TakeNodes(0);
    q_start_.push_back(graph.inputs[static_cast<size_t>(StepInput::kQStart)]);
    kv_len_.push_back(graph.inputs[static_cast<size_t>(StepInput::kKvLen)]);
  }
  DescribePools(built);
  const std::vector<Node>& first = built.front().graph.nodes();
  for (size_t n = 0; n < first.size() && !pools_must_move_; ++n) {
    NodeRow row;
    for (const BuiltGraph& graph : built) {
      if (graph.graph.nodes().size() != first.size() || graph.graph.nodes()[n].op != first[n].op)
        return Internal("the graphs of two buckets differ at node %d", n);
      row.push_back(graph.graph.nodes()[n]);
    }
    QIAO_RETURN_IF_ERROR(Place(std::move(row), Tier::kNative));
  }
  result_.kinds.push_back(std::move(graphs_));
  return absl::OkStatus();
}

absl::StatusOr<LoweringResult> Lowerer::Run(const std::vector<std::vector<BuiltGraph>>& kinds) {
  QIAO_RETURN_IF_ERROR(LayOutPools());
  for (const std::vector<BuiltGraph>& built : kinds) {
    QIAO_RETURN_IF_ERROR(RunKind(built));
    if (pools_must_move_) break;
  }
  return std::move(result_);
}

}  // namespace

qiao_op_call MakeCall(const ops::Node& node, absl::Span<const qiao_tensor> tensors) {
  qiao_op_call call{};
  call.struct_size = sizeof(call);
  call.op = node.op;
  call.params = node.params.data();
  call.argument_count = static_cast<uint32_t>(tensors.size());
  call.argument = tensors.data();
  return call;
}

absl::StatusOr<LoweringResult> Lower(const std::vector<std::vector<BuiltGraph>>& kinds,
                                     const LoweringOptions& options, const CacheGeometry& cache,
                                     WeightStore& weights) {
  if (kinds.empty() || kinds.front().empty() || options.devices.empty()) return Internal("nothing to lower");
  for (int32_t pool_device = 0; pool_device < static_cast<int32_t>(options.devices.size()); ++pool_device) {
    Lowerer lowerer(options, cache, weights, pool_device);
    weights.ClearUse();
    absl::StatusOr<LoweringResult> result = lowerer.Run(kinds);
    if (!result.ok()) return result.status();
    if (lowerer.pools_must_move()) continue;
    if (lowerer.missing().empty()) return result;
    std::string list;
    for (const std::string& line : lowerer.missing()) absl::StrAppendFormat(&list, "\n  %s", line);
    const bool fallback = options.devices.size() > 1;
    return Unimplemented("%s does not support %d operations of this model%s:%s",
                         options.devices.front()->name(), lowerer.missing().size(),
                         fallback ? ", and neither does the fallback"
                                  : "; allow fallback to the host (--allow-fallback) to run them there",
                         list);
  }
  return Internal("placement found no device for the caches");
}

}  // namespace qiao::program
