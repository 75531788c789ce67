#include "runtime/program/program.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/ops/catalogue.h"
#include "runtime/program/arena.h"
#include "runtime/program/program_internal.h"

namespace qiao::program {
namespace {

using ops::ArgSpec;
using ops::kNoValue;
using ops::Role;
using ops::Value;
using ops::ValueId;

int SpaceOf(const hal::Device& device) { return device.unified() ? kHostSpace : kDeviceSpace; }

}  // namespace

absl::Status Block::Allocate(const hal::Device* device, uint64_t bytes) {
  bytes = std::max<uint64_t>(bytes, 1);
  if (device == nullptr) {
    host.reset(new (std::nothrow) std::byte[bytes + 63]);
    if (host == nullptr) return ResourceExhausted("no host memory for %d bytes", bytes);
    data = reinterpret_cast<std::byte*>(RoundUp(reinterpret_cast<uintptr_t>(host.get()), uintptr_t{64}));
    return absl::OkStatus();
  }
  QIAO_ASSIGN_OR_RETURN(buffer, device->Allocate(bytes));
  data = static_cast<std::byte*>(buffer.data());
  return absl::OkStatus();
}

int64_t LiveRowsOf(const qiao_tensor& tensor, const Bucket& bucket, int64_t rows, int64_t seqs,
                   int64_t logit_rows) {
  const int64_t all = tensor.rank > 0 ? tensor.dim[0] : 1;
  switch (tensor.live) {
    case QIAO_LIVE_ROWS:
      return std::min(all, rows);
    case QIAO_LIVE_SEQS:
      return std::min(all, seqs);
    case QIAO_LIVE_LOGITS:
      return std::min(all, logit_rows);
    case QIAO_LIVE_ROUTED:
      return std::min(all, rows * CeilDiv<int64_t>(all, bucket.rows));
    default:
      return all;
  }
}

uint64_t ExtentBytes(const qiao_tensor& tensor, int64_t rows) {
  int64_t last = 0;
  for (uint32_t i = 0; i < tensor.rank; ++i) {
    const int64_t n = i == 0 ? rows : tensor.dim[i];
    if (n <= 0) return 0;
    last += (n - 1) * tensor.stride[i];
  }
  return static_cast<uint64_t>(last + 1) * SizeOf(static_cast<DType>(tensor.dtype));
}

ProgramSet::ProgramSet(Parameters& parameters, ProgramOptions options)
    : parameters_(parameters), options_(std::move(options)), weights_(parameters) {}

ProgramSet::~ProgramSet() = default;

absl::StatusOr<std::unique_ptr<ProgramSet>> ProgramSet::Plan(Parameters& parameters, const BuildFn& build,
                                                             ProgramOptions options, const BuildFn& draft) {
  if (options.devices.empty() || options.buckets.empty())
    return Internal("a program needs a device and a bucket");
  if (options.devices.size() > 2 || (options.devices.size() == 2 && !options.devices[1]->unified())) {
    return InvalidArgument("the fallback device must share the host's memory, which %s does not",
                           options.devices.back()->name());
  }
  std::unique_ptr<ProgramSet> set(new ProgramSet(parameters, std::move(options)));
  std::vector<std::vector<BuiltGraph>> kinds;
  for (const BuildFn* fn : {&build, &draft}) {
    if (!*fn) continue;
    std::vector<BuiltGraph>& graphs = kinds.emplace_back();
    for (const Bucket& bucket : set->options_.buckets) {
      Builder builder(parameters, set->options_.numerics, set->options_.cache, bucket);
      QIAO_RETURN_IF_ERROR((*fn)(builder));
      QIAO_ASSIGN_OR_RETURN(BuiltGraph built, builder.Finish());
      graphs.push_back(std::move(built));
    }
  }
  for (size_t i = 0; i < parameters.weight_count(); ++i) {
    set->file_bytes_ += parameters.weight(static_cast<int32_t>(i)).file_bytes;
  }
  set->weights_.set_residence(set->copies_weights() ? QIAO_WEIGHT_COPY : QIAO_WEIGHT_MAP);
  LoweringOptions lowering{.devices = set->options_.devices};
  QIAO_ASSIGN_OR_RETURN(set->lowered_, Lower(kinds, lowering, set->options_.cache, set->weights_));
  QIAO_RETURN_IF_ERROR(set->Compile(kinds));
  return set;
}

absl::Status ProgramSet::Compile(const std::vector<std::vector<BuiltGraph>>& kinds) {
  for (int i = 0; i < kSpaces; ++i) spaces_.push_back(std::make_unique<Memory>());
  spaces_[kHostSpace]->in_use = true;
  for (const auto& device : options_.devices) {
    Memory& space = *spaces_[static_cast<size_t>(SpaceOf(*device))];
    if (space.device == nullptr) space.device = device;
    space.in_use = true;
    space.alignment = std::max(space.alignment, device->alignment());
  }
  programs_.resize(kinds.size());
  for (size_t k = 0; k < kinds.size(); ++k) {
    for (size_t b = 0; b < kinds[k].size(); ++b) QIAO_RETURN_IF_ERROR(CompileBucket(k, b, kinds[k][b]));
  }

  for (const auto& device : options_.devices) memory_.stored_weights += weights_.StoredBytes(*device);
  memory_.mapped_weights = weights_.MappedBytes();
  for (const LoweringResult::PoolLayout& pool : lowered_.pools) memory_.cache += pool.bytes;
  for (const auto& space : spaces_) {
    memory_.vectors += space->value_bytes;
    memory_.arena += space->arena_bytes + space->workspace_bytes;
    memory_.inputs += space->input_bytes;
  }
  return absl::OkStatus();
}

absl::Status ProgramSet::CompileBucket(size_t kind, size_t bucket, const BuiltGraph& built) {
  auto program = std::make_unique<Compiled>();
  Compiled& p = *program;
  p.lowered = &lowered_.kinds[kind][bucket];
  p.kind = kind;
  p.bucket = built.bucket;
  p.pools = built.pools;
  p.constants = built.constants;
  const ops::Graph& graph = p.lowered->graph;
  p.places.resize(graph.values().size());

  // The inputs lie in one region, so that a device with its own memory gets them by one copy. Behind them:
  // the counts.
  uint64_t offset = 0;
  const uint64_t alignment = std::max(spaces_[0]->alignment, spaces_[1]->alignment);
  for (ValueId id : built.inputs) {
    const Value& value = graph.value(id);
    p.input_offsets.push_back(offset);
    offset = RoundUp(offset + ExtentBytes(value.tensor, value.tensor.dim[0]), alignment);
  }
  if (built.inputs.size() > static_cast<size_t>(StepInput::kHidden)) {
    const qiao_tensor& hidden = graph.value(built.inputs.back()).tensor;
    p.hidden_row_bytes = static_cast<uint64_t>(hidden.dim[1]) * SizeOf(static_cast<DType>(hidden.dtype));
  }
  p.input_offsets.push_back(offset);
  offset = RoundUp(offset + 4 * sizeof(int32_t), alignment);
  for (auto& space : spaces_) {
    if (space->in_use) space->input_bytes = std::max(space->input_bytes, offset);
  }

  // Launches in order, with a copy before the first use of a value that lies in the other memory.
  struct Life {
    int32_t first = -1, last = -1;
  };
  std::array<std::vector<Life>, kSpaces> lives;
  for (auto& l : lives) l.resize(p.places.size());
  auto touch = [&](ValueId root, int space) {
    Life& life = lives[static_cast<size_t>(space)][static_cast<size_t>(root)];
    const auto now = static_cast<int32_t>(p.items.size());
    if (life.first < 0) life.first = now;
    life.last = now;
  };
  auto need_in = [&](ValueId id, int space) -> absl::Status {
    const ValueId root = graph.root(id);
    const Value& value = graph.value(root);
    Memory& memory = *spaces_[static_cast<size_t>(space)];
    if (value.role == Role::kVector || value.role == Role::kConstant) {
      const bool fresh =
          value.role == Role::kVector
              ? memory.vectors.try_emplace(value.source, memory.value_bytes).second
              : memory.constants.try_emplace({p.kind, value.source}, memory.value_bytes).second;
      if (fresh) {
        memory.value_bytes =
            RoundUp(memory.value_bytes + ExtentBytes(value.tensor, value.tensor.dim[0]), alignment);
      }
      return absl::OkStatus();
    }
    if (value.role != Role::kActivation) return absl::OkStatus();
    const int home = p.places[static_cast<size_t>(root)].home;
    if (home < 0) return Internal("%s is used before it is computed", value.name);
    if (home != space && lives[static_cast<size_t>(space)][static_cast<size_t>(root)].first < 0) {
      Compiled::Item copy;
      copy.value = root;
      copy.from = home;
      copy.to = space;
      touch(root, home);
      touch(root, space);
      p.items.push_back(std::move(copy));
    }
    touch(root, space);
    return absl::OkStatus();
  };

  for (size_t n = 0; n < p.lowered->nodes.size(); ++n) {
    const LoweredNode& node = p.lowered->nodes[n];
    const auto& device = options_.devices[static_cast<size_t>(node.device)];
    const int space = SpaceOf(*device);
    const std::vector<ArgSpec> args = ops::Find(node.node.op)->args(node.node.params.data());
    for (size_t a = 0; a < node.node.args.size(); ++a) {
      if (node.node.args[a] == kNoValue || args[a].kind == ArgSpec::kOut) continue;
      QIAO_RETURN_IF_ERROR(need_in(node.node.args[a], space));
    }
    for (size_t a = 0; a < node.node.args.size(); ++a) {
      if (node.node.args[a] == kNoValue || args[a].kind != ArgSpec::kOut) continue;
      const ValueId root = graph.root(node.node.args[a]);
      Compiled::Place& place = p.places[static_cast<size_t>(root)];
      if (place.home >= 0 && place.home != space)
        return Internal("%s is computed in two memories", graph.value(root).name);
      place.home = space;
      touch(root, space);
    }
    Compiled::Item item;
    item.node = static_cast<int32_t>(n);
    item.device = node.device;
    absl::StatusOr<std::shared_ptr<const hal::Plan>> plan =
        device->Prepare(MakeCall(node.node, node.tensors));
    if (!plan.ok()) return Annotate(plan.status(), node.node.name);
    item.plan = *std::move(plan);
    row_invariant_ = row_invariant_ && item.plan->row_invariant();
    Memory& memory = *spaces_[static_cast<size_t>(space)];
    memory.workspace_bytes =
        std::max(memory.workspace_bytes, RoundUp(item.plan->workspace_bytes(), alignment));
    p.items.push_back(std::move(item));
  }
  for (const BuiltGraph::Output& output : built.outputs) {
    QIAO_RETURN_IF_ERROR(need_in(output.value, kHostSpace));
    const ValueId root = graph.root(output.value);
    // Outputs stay until the step has ended.
    if (graph.value(root).role == Role::kActivation) {
      lives[kHostSpace][static_cast<size_t>(root)].last =
          static_cast<int32_t>(p.lowered->nodes.size() * 4 + 4);
    }
    p.outputs.push_back({output.name, output.value});
  }

  for (int space = 0; space < kSpaces; ++space) {
    std::vector<ArenaItem> items;
    std::vector<size_t> owner;
    for (size_t v = 0; v < p.places.size(); ++v) {
      const Life& life = lives[static_cast<size_t>(space)][v];
      const Value& value = graph.value(static_cast<ValueId>(v));
      if (life.first < 0 || value.role != Role::kActivation) continue;
      items.push_back(
          {.bytes = ExtentBytes(value.tensor, value.tensor.dim[0]), .first = life.first, .last = life.last});
      owner.push_back(v);
    }
    Memory& memory = *spaces_[static_cast<size_t>(space)];
    memory.arena_bytes = std::max(memory.arena_bytes, PlanArena(absl::MakeSpan(items), alignment));
    for (size_t i = 0; i < items.size(); ++i) {
      p.places[owner[i]].arena[static_cast<size_t>(space)] = static_cast<int64_t>(items[i].offset);
    }
  }
  programs_[kind].push_back(std::move(program));
  return absl::OkStatus();
}

absl::Status ProgramSet::Load(const Progress& progress) {
  for (const auto& device : options_.devices) {
    QIAO_ASSIGN_OR_RETURN(hal::Stream stream, device->CreateStream());
    streams_.push_back(std::move(stream));
  }
  for (size_t s = 0; s < spaces_.size(); ++s) {
    Memory& space = *spaces_[s];
    if (!space.in_use) continue;
    QIAO_RETURN_IF_ERROR(space.arena.Allocate(space.device.get(), space.arena_bytes + space.workspace_bytes));
    QIAO_RETURN_IF_ERROR(space.inputs.Allocate(space.device.get(), space.input_bytes));
    QIAO_RETURN_IF_ERROR(space.values.Allocate(space.device.get(), space.value_bytes));
    auto put = [&](uint64_t offset, const std::vector<float>& values) -> absl::Status {
      const uint64_t bytes = values.size() * sizeof(float);
      if (s == kHostSpace) {
        std::memcpy(space.values.data + offset, values.data(), bytes);
        return absl::OkStatus();
      }
      QIAO_RETURN_IF_ERROR(streams_[0].CopyToDevice(space.values.data + offset, values.data(), bytes));
      return streams_[0].Synchronize();
    };
    for (const auto& [index, offset] : space.vectors)
      QIAO_RETURN_IF_ERROR(put(offset, parameters_.vector(index).values));
    // Constants are the same in every bucket.
    for (const auto& [constant, offset] : space.constants) {
      const auto& [kind, index] = constant;
      QIAO_RETURN_IF_ERROR(put(offset, programs_[kind].front()->constants[static_cast<size_t>(index)]));
    }
  }
  const auto& pool_device = options_.devices[static_cast<size_t>(lowered_.pool_device)];
  Memory& pool_space = *spaces_[static_cast<size_t>(SpaceOf(*pool_device))];
  for (const LoweringResult::PoolLayout& layout : lowered_.pools) {
    Block block;
    QIAO_RETURN_IF_ERROR(block.Allocate(pool_device.get(), layout.bytes));
    pool_space.pools.push_back(std::move(block));
  }
  QIAO_RETURN_IF_ERROR(weights_.Load(progress));
  for (auto& kind : programs_) {
    for (auto& program : kind) Bind(*program);
  }
  return absl::OkStatus();
}

// All addresses are known from here on: a launch only passes them.
void ProgramSet::Bind(Compiled& p) {
  const ops::Graph& graph = p.lowered->graph;
  for (Compiled::Item& item : p.items) {
    if (item.node < 0) continue;
    const LoweredNode& node = p.lowered->nodes[static_cast<size_t>(item.node)];
    const int s = SpaceOf(*options_.devices[static_cast<size_t>(item.device)]);
    Memory& space = *spaces_[static_cast<size_t>(s)];
    item.workspace = space.arena.data + space.arena_bytes;
    size_t weight = 0;
    for (ValueId id : node.node.args) {
      std::byte* pointer = nullptr;
      if (id != kNoValue) {
        const Value& value = graph.value(id);
        const ValueId root = graph.root(id);
        const Value& base = graph.value(root);
        const auto source = static_cast<size_t>(base.source);
        switch (base.role) {
          case Role::kActivation:
            pointer = space.arena.data + p.places[static_cast<size_t>(root)].arena[static_cast<size_t>(s)];
            break;
          case Role::kInput:
            pointer = space.inputs.data + p.input_offsets[source];
            break;
          case Role::kConstant:
            pointer = space.values.data + space.constants[{p.kind, base.source}];
            break;
          case Role::kVector:
            pointer = space.values.data + space.vectors[base.source];
            break;
          case Role::kPool: {
            const BuiltGraph::Pool& pool = p.pools[source];
            const auto& layout = lowered_.pools[static_cast<size_t>(pool.layer)];
            pointer = space.pools[static_cast<size_t>(pool.layer)].data +
                      layout.kinds[static_cast<size_t>(pool.kind)].offset;
            break;
          }
          case Role::kWeight:
            pointer = static_cast<std::byte*>(weights_.stored(node.weights[weight++]).pointer());
            break;
        }
        pointer += value.offset * static_cast<int64_t>(SizeOf(static_cast<DType>(value.tensor.dtype)));
      }
      item.pointers.push_back(pointer);
    }
  }
}

}  // namespace qiao::program
