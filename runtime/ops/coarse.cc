#include "runtime/ops/coarse.h"

#include <cstddef>
#include <vector>

namespace qiao::ops {
namespace {

absl::Status RunDecomposition(const OpSpec& spec, const qiao_op_call& call, const qiao_launch& launch) {
  QIAO_RETURN_IF_ERROR(spec.check(call));
  Graph graph;
  Node whole;
  whole.name = std::string(spec.name);
  whole.op = spec.id;
  whole.params = Params::FromBytes(call.params, spec.params_size);
  const std::vector<ArgSpec> args = spec.args(call.params);
  // Values of the call come first, in order, so a value's index finds its pointer; temporaries follow.
  std::vector<std::byte*> pointer;
  for (uint32_t i = 0; i < call.argument_count; ++i) {
    if (call.argument[i].dtype == QIAO_DTYPE_NONE) {
      whole.args.push_back(kNoValue);
      continue;
    }
    Value value;
    value.name = std::string(args[i].name);
    value.tensor = call.argument[i];
    value.role = args[i].weight ? Role::kWeight : Role::kActivation;
    whole.args.push_back(graph.AddValue(std::move(value)));
    pointer.push_back(static_cast<std::byte*>(launch.argument[i]));
  }
  QIAO_RETURN_IF_ERROR(spec.decompose(whole, graph));

  std::vector<std::vector<std::max_align_t>> memory;
  for (size_t i = pointer.size(); i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.base != kNoValue) {
      const auto bytes = static_cast<int64_t>(SizeOf(static_cast<DType>(value.tensor.dtype)));
      pointer.push_back(pointer[static_cast<size_t>(value.base)] + value.offset * bytes);
      continue;
    }
    memory.emplace_back(static_cast<size_t>(SpanBytes(value.tensor)) / sizeof(std::max_align_t) + 1);
    pointer.push_back(reinterpret_cast<std::byte*>(memory.back().data()));
  }

  for (const Node& node : graph.nodes()) {
    const auto tensors = graph.Tensors(node);
    std::vector<void*> arguments;
    for (ValueId id : node.args) {
      arguments.push_back(id == kNoValue ? nullptr : pointer[static_cast<size_t>(id)]);
    }
    qiao_op_call fine{};
    fine.struct_size = sizeof(fine);
    fine.op = node.op;
    fine.params = node.params.data();
    fine.argument_count = static_cast<uint32_t>(tensors.size());
    fine.argument = tensors.data();
    qiao_launch step = launch;
    step.argument_count = fine.argument_count;
    step.argument = arguments.data();
    const OpSpec* part = Find(node.op);
    QIAO_RETURN_IF_ERROR(Annotate(part->check(fine), node.name));
    QIAO_RETURN_IF_ERROR(Annotate(part->reference(fine, step), node.name));
  }
  return absl::OkStatus();
}

}  // namespace

void Append(Graph& graph, std::string name, uint32_t op, Params params, absl::Span<const ValueId> args) {
  Node node;
  node.name = std::move(name);
  node.op = op;
  node.params = params;
  node.args.assign(args.begin(), args.end());
  graph.AddNode(std::move(node));
}

absl::Status AppendMlp(Graph& graph, const std::string& name, ValueId x, ValueId gate_up, ValueId down,
                       ValueId y) {
  const Params linear(qiao_linear_params{});
  QIAO_ASSIGN_OR_RETURN(auto hidden, graph.Emit(name + ".gate_up", QIAO_OP_LINEAR, linear,
                                                {x, kNoValue, gate_up, kNoValue, kNoValue}));
  QIAO_ASSIGN_OR_RETURN(auto product, graph.Emit(name + ".swiglu", QIAO_OP_SWIGLU,
                                                 Params(qiao_swiglu_params{}), {hidden[0], kNoValue}));
  Append(graph, name + ".down", QIAO_OP_LINEAR, linear, {product[0], kNoValue, down, kNoValue, kNoValue, y});
  return absl::OkStatus();
}

void MakeCoarse(OpSpec* spec, absl::Status (*decompose)(const Node&, Graph&)) {
  spec->decompose = decompose;
  spec->reference = [spec](const qiao_op_call& call, const qiao_launch& launch) {
    return RunDecomposition(*spec, call, launch);
  };
}

}  // namespace qiao::ops
