#include "runtime/ops/graph.h"

#include <optional>

#include "runtime/base/checked.h"
#include "runtime/ops/catalogue.h"

namespace qiao::ops {
namespace {

void SetDims(qiao_tensor& tensor, absl::Span<const int64_t> dims, absl::Span<const int64_t> strides) {
  tensor.rank = static_cast<uint32_t>(dims.size());
  for (size_t i = 0; i < dims.size(); ++i) {
    tensor.dim[i] = dims[i];
    tensor.stride[i] = strides[i];
  }
}

// The index of the last element, counted from the first.
int64_t LastElement(absl::Span<const int64_t> dims, absl::Span<const int64_t> strides) {
  int64_t last = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0) return -1;
    last += (dims[i] - 1) * strides[i];
  }
  return last;
}

int64_t LastElement(const qiao_tensor& t) { return LastElement({t.dim, t.rank}, {t.stride, t.rank}); }

}  // namespace

qiao_tensor MakeTensor(DType dtype, absl::Span<const int64_t> dims, uint32_t live) {
  qiao_tensor tensor{};
  tensor.struct_size = sizeof(tensor);
  tensor.dtype = static_cast<uint32_t>(dtype);
  tensor.live = live;
  tensor.rank = static_cast<uint32_t>(dims.size());
  int64_t stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    tensor.dim[i] = dims[i];
    tensor.stride[i] = stride;
    // Dims that nobody has checked yet may overflow; the rules refuse them afterwards.
    stride = CheckedMul(stride, dims[i]).value_or(0);
  }
  return tensor;
}

void SetRowBlocks(qiao_tensor& tensor, int32_t columns) {
  tensor.scheme = QIAO_SCHEME_BLOCK;
  tensor.block[0] = 1;
  tensor.block[1] = columns;
}
bool HasRowBlocks(const qiao_tensor& tensor) {
  return tensor.scheme == QIAO_SCHEME_BLOCK && tensor.block[0] == 1 && tensor.block[1] >= 1;
}

int64_t Elements(const qiao_tensor& tensor) {
  int64_t n = 1;
  for (uint32_t i = 0; i < tensor.rank; ++i) n *= tensor.dim[i];
  return n;
}

int64_t SpanBytes(const qiao_tensor& tensor) {
  return (LastElement(tensor) + 1) * static_cast<int64_t>(SizeOf(static_cast<DType>(tensor.dtype)));
}

bool IsContiguous(const qiao_tensor& tensor) {
  int64_t stride = 1;
  for (uint32_t i = tensor.rank; i-- > 0;) {
    if (tensor.dim[i] != 1 && tensor.stride[i] != stride) return false;
    const std::optional<int64_t> next = CheckedMul(stride, tensor.dim[i]);
    if (!next) return false;  // no memory is that large
    stride = *next;
  }
  return true;
}

ValueId Graph::AddValue(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size()) - 1;
}

ValueId Graph::AddActivation(std::string name, DType dtype, absl::Span<const int64_t> dims, uint32_t live) {
  Value value;
  value.name = std::move(name);
  value.tensor = MakeTensor(dtype, dims, live);
  return AddValue(std::move(value));
}

absl::StatusOr<ValueId> Graph::AddView(std::string name, ValueId of, int64_t offset,
                                       absl::Span<const int64_t> dims, absl::Span<const int64_t> strides) {
  if (of < 0 || static_cast<size_t>(of) >= values_.size()) {
    return InvalidArgument("view %s: there is no value %d", name, of);
  }
  const Value& whole = value(of);
  if (whole.tensor.layout != QIAO_LAYOUT_STRIDED) {
    return InvalidArgument("view %s: %s is not strided memory", name, whole.name);
  }
  if (dims.size() != strides.size() || dims.empty() || dims.size() > QIAO_MAX_RANK) {
    return InvalidArgument("view %s of %s: %d dims and %d strides; both must number 1 to %d", name,
                           whole.name, dims.size(), strides.size(), QIAO_MAX_RANK);
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] < 0 || strides[i] < 0) {
      return InvalidArgument("view %s of %s: dim %d is %d with stride %d; neither may be negative", name,
                             whole.name, i, dims[i], strides[i]);
    }
  }
  const int64_t last = LastElement(dims, strides);
  if (offset < 0 || (last >= 0 && offset + last > LastElement(whole.tensor))) {
    return InvalidArgument("view %s: elements %d to %d are outside %s, which is %s", name, offset,
                           offset + last, whole.name, ToString(whole.tensor));
  }
  Value view;
  view.name = std::move(name);
  view.role = whole.role;
  view.tensor = whole.tensor;
  SetDims(view.tensor, dims, strides);
  view.base = root(of);
  view.offset = whole.offset + offset;
  view.source = whole.source;
  view.bound = whole.bound;
  return AddValue(std::move(view));
}

absl::InlinedVector<qiao_tensor, 12> Graph::Tensors(const Node& node) const {
  absl::InlinedVector<qiao_tensor, 12> tensors;
  for (ValueId id : node.args) tensors.push_back(id == kNoValue ? qiao_tensor{} : value(id).tensor);
  return tensors;
}

absl::StatusOr<absl::InlinedVector<ValueId, 4>> Graph::Emit(std::string name, uint32_t op, Params params,
                                                            absl::Span<const ValueId> args, DType out) {
  const OpSpec* spec = Find(op);
  if (!spec) return InvalidArgument("node %s: there is no operation %d", name, op);
  if (params.size() != spec->params_size) {
    return InvalidArgument("node %s: %d bytes of parameters; %s takes %d", name, params.size(), spec->name,
                           spec->params_size);
  }
  const std::vector<ArgSpec> arg_specs = spec->args(params.data());
  size_t outputs = 0;
  for (const ArgSpec& arg : arg_specs) outputs += arg.kind == ArgSpec::kOut;
  if (args.size() + outputs != arg_specs.size()) {
    return InvalidArgument("node %s: %d arguments; %s takes %d besides its outputs", name, args.size(),
                           spec->name, arg_specs.size() - outputs);
  }

  Node node;
  node.name = name;
  node.op = op;
  node.params = params;
  size_t next = 0;
  for (const ArgSpec& arg : arg_specs) {
    const ValueId id = arg.kind == ArgSpec::kOut ? kNoValue : args[next++];
    if (id != kNoValue && (id < 0 || static_cast<size_t>(id) >= values_.size())) {
      return InvalidArgument("node %s: argument %s: there is no value %d", name, arg.name, id);
    }
    node.args.push_back(id);
  }
  absl::InlinedVector<qiao_tensor, 12> tensors = Tensors(node);
  if (absl::Status s = spec->infer(params.data(), absl::MakeSpan(tensors), out); !s.ok()) {
    return Annotate(s, absl::StrFormat("node %s", name));
  }

  absl::InlinedVector<ValueId, 4> created;
  for (size_t i = 0; i < arg_specs.size(); ++i) {
    if (arg_specs[i].kind != ArgSpec::kOut) continue;
    Value value;
    value.name = outputs == 1 ? name : absl::StrFormat("%s.%s", name, arg_specs[i].name);
    value.tensor = tensors[i];
    node.args[i] = AddValue(std::move(value));
    created.push_back(node.args[i]);
  }
  AddNode(std::move(node));
  return created;
}

std::string ToString(const qiao_tensor& tensor) {
  if (tensor.dtype == QIAO_DTYPE_NONE) return "-";
  std::string text(Name(static_cast<DType>(tensor.dtype)));
  if (tensor.scheme == QIAO_SCHEME_BLOCK) text += absl::StrFormat("/%dx%d", tensor.block[0], tensor.block[1]);
  if (tensor.scheme == QIAO_SCHEME_CHANNEL) text += "/channel";
  text += "[";
  const uint32_t rank = tensor.rank < QIAO_MAX_RANK ? tensor.rank : QIAO_MAX_RANK;
  for (uint32_t i = 0; i < rank; ++i) text += absl::StrFormat("%s%d", i ? "," : "", tensor.dim[i]);
  text += "]";
  if (tensor.layout == QIAO_LAYOUT_OPAQUE) text += " packed";
  if (tensor.layout == QIAO_LAYOUT_STRIDED && !IsContiguous(tensor)) {
    text += " by ";
    for (uint32_t i = 0; i < rank; ++i) text += absl::StrFormat("%s%d", i ? "," : "(", tensor.stride[i]);
    text += ")";
  }
  return text;
}

std::string ToString(const qiao_op_call& call) {
  const OpSpec* spec = Find(call.op);
  std::vector<ArgSpec> args;
  if (spec && call.params) args = spec->args(call.params);
  std::string text = spec ? std::string(spec->name) : absl::StrFormat("op %d", call.op);
  text += "(";
  bool outputs = false;
  for (uint32_t i = 0; i < call.argument_count; ++i) {
    const bool out = i < args.size() && args[i].kind == ArgSpec::kOut;
    if (out && !outputs) {
      text += ") -> ";
    } else if (i > 0) {
      text += ", ";
    }
    outputs |= out;
    text += ToString(call.argument[i]);
  }
  if (!outputs) text += ")";
  return text;
}

}  // namespace qiao::ops
