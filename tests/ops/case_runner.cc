#include "tests/ops/case_runner.h"

#include <algorithm>
#include <cstring>

#include "runtime/base/checked.h"
#include "runtime/ops/graph.h"

namespace qiao::conformance {
namespace {

using ops::ArgSpec;
using ops::Case;
using ops::OpSpec;

// A weight's file bytes in host memory, at an address that is aligned for its dtype and no more.
struct HostWeight {
  std::vector<std::byte> memory;
  std::vector<float> scales;
  std::vector<qiao_piece> pieces;
  std::vector<int32_t> group_start;
  qiao_weight_view view{};

  explicit HostWeight(const Case::Arg& arg) : scales(arg.scales), pieces(arg.pieces) {
    constexpr size_t kAlignment = 64;
    const size_t element = SizeOf(static_cast<DType>(arg.tensor.dtype));
    memory.resize(arg.bytes.size() + 2 * kAlignment);
    auto address = reinterpret_cast<uintptr_t>(memory.data());
    std::byte* base = memory.data() + (kAlignment - address % kAlignment) % kAlignment + element;
    std::memcpy(base, arg.bytes.data(), arg.bytes.size());
    for (qiao_piece& p : pieces) {
      p.data = base + reinterpret_cast<uintptr_t>(p.data);
      p.scale = p.scheme == QIAO_SCHEME_NONE
                    ? nullptr
                    : scales.data() + reinterpret_cast<uintptr_t>(p.scale) / sizeof(float);
    }
    const auto groups = static_cast<size_t>(arg.tensor.dim[0]);
    group_start.assign(groups + 1, static_cast<int32_t>(pieces.size()));
    for (size_t i = pieces.size(); i-- > 0;)
      group_start[static_cast<size_t>(pieces[i].group)] = static_cast<int32_t>(i);
    view.struct_size = sizeof(view);
    view.groups = static_cast<uint32_t>(groups);
    view.group_start = group_start.data();
    view.piece = pieces.data();
  }
};

struct Batch {
  std::vector<int32_t> q_start, kv_len;
  qiao_batch batch{};

  explicit Batch(const Case& c) : q_start(c.q_start), kv_len(c.kv_len) {
    if (q_start.empty()) q_start.push_back(0);
    kv_len.push_back(0);
    batch.struct_size = sizeof(batch);
    batch.rows = c.rows;
    batch.seqs = c.seqs;
    batch.logit_rows = c.logit_rows;
    batch.q_start = q_start.data();
    batch.kv_len = kv_len.data();
  }
};

// Visits each row (the last dimension) of a tensor: its byte offset contiguously and as the tensor's strides
// say.
template <typename F>
void ForEachRow(const qiao_tensor& t, const F& visit) {
  const auto element = static_cast<int64_t>(SizeOf(static_cast<DType>(t.dtype)));
  const int64_t width = t.dim[t.rank - 1];
  const int64_t rows = width ? ops::Elements(t) / width : 0;
  for (int64_t r = 0; r < rows; ++r) {
    int64_t offset = 0, rest = r;
    for (int d = static_cast<int>(t.rank) - 2; d >= 0; --d) {
      offset += rest % t.dim[d] * t.stride[d];
      rest /= t.dim[d];
    }
    visit(static_cast<size_t>(r * width * element), static_cast<size_t>(offset * element),
          static_cast<size_t>(width * element));
  }
}

// One argument on the device: guard zone, data, guard zone.
struct DeviceArg {
  hal::Buffer buffer;
  size_t begin = 0;              // of the data within the buffer
  std::vector<std::byte> image;  // what the buffer held before the launch
  void* pointer = nullptr;
};

qiao_tensor Strided(qiao_tensor t, int64_t padding) {
  int64_t stride = 1;
  for (int d = static_cast<int>(t.rank) - 1; d >= 0; --d) {
    t.stride[d] = stride;
    stride *= t.dim[d];
    stride += padding;
  }
  return t;
}

class DeviceCase {
 public:
  DeviceCase(std::shared_ptr<const hal::Device> device, const OpSpec& spec, const Case& c,
             const Variant& variant)
      : device_(std::move(device)), spec_(spec), case_(c), variant_(variant), batch_(c) {}

  absl::StatusOr<DeviceRun> Run();

 private:
  absl::Status PlaceWeight(size_t i);
  absl::Status Place(size_t i, const ArgSpec& arg);
  absl::Status Schedule();
  absl::StatusOr<DeviceArg> Guarded(uint64_t bytes, uint64_t shift, const std::vector<std::byte>* contents,
                                    const qiao_tensor* tensor);
  absl::Status Launch(const qiao_op_call& call, std::vector<void*>& pointers, DeviceRun* run);
  absl::Status Collect(size_t i, const ArgSpec& arg, DeviceRun* run);
  qiao_op_call Call() const;

  std::shared_ptr<const hal::Device> device_;
  const OpSpec& spec_;
  const Case& case_;
  const Variant& variant_;
  Batch batch_;
  hal::Stream stream_;
  hal::Buffer counts_;
  std::vector<qiao_tensor> tensors_;
  std::vector<DeviceArg> args_;
  std::vector<std::unique_ptr<HostWeight>> weights_;
  std::string refusal_;  // of a weight
  double weight_error_ = 0;
};

qiao_op_call DeviceCase::Call() const {
  qiao_op_call call{};
  call.struct_size = sizeof(call);
  call.op = spec_.id;
  call.params = case_.params.data();
  call.argument_count = static_cast<uint32_t>(tensors_.size());
  call.argument = tensors_.data();
  return call;
}

absl::StatusOr<DeviceArg> DeviceCase::Guarded(uint64_t bytes, uint64_t shift,
                                              const std::vector<std::byte>* contents,
                                              const qiao_tensor* tensor) {
  const uint64_t margin = RoundUp<uint64_t>(256, device_->alignment());
  DeviceArg arg;
  arg.begin = margin + shift;
  arg.image.assign(arg.begin + bytes + margin, kGuard);
  if (contents) {
    ForEachRow(*tensor, [&](size_t from, size_t to, size_t size) {
      std::memcpy(arg.image.data() + arg.begin + to, contents->data() + from, size);
    });
  }
  QIAO_ASSIGN_OR_RETURN(arg.buffer, device_->Allocate(arg.image.size()));
  QIAO_RETURN_IF_ERROR(stream_.CopyToDevice(arg.buffer.data(), arg.image.data(), arg.image.size()));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  arg.pointer = static_cast<std::byte*>(arg.buffer.data()) + arg.begin;
  return arg;
}

absl::Status DeviceCase::PlaceWeight(size_t i) {
  weights_.push_back(std::make_unique<HostWeight>(case_.args[i]));
  HostWeight& weight = *weights_.back();
  qiao_tensor& tensor = tensors_[i];
  qiao_weight_request request{};
  request.struct_size = sizeof(request);
  request.op = spec_.id;
  request.argument = static_cast<uint32_t>(i);
  request.activation = tensors_[0].dtype;
  request.params = case_.params.data();
  request.groups = tensor.dim[0];
  request.rows = tensor.dim[1];
  request.cols = tensor.dim[2];
  request.piece_count = static_cast<uint32_t>(weight.pieces.size());
  request.piece = weight.pieces.data();
  request.residence = variant_.residence;
  QIAO_ASSIGN_OR_RETURN(const qiao_weight_choice choice, device_->ChooseWeight(request));
  if (choice.activation != request.activation && request.activation != QIAO_I32) {
    refusal_ =
        absl::StrFormat("wants %s activations for this weight", Name(static_cast<DType>(choice.activation)));
    return absl::OkStatus();
  }
  tensor = ops::MakeTensor(static_cast<DType>(choice.dtype), {request.groups, request.rows, request.cols});
  tensor.scheme = choice.scheme;
  tensor.layout = choice.layout;
  tensor.block[0] = choice.block[0];
  tensor.block[1] = choice.block[1];
  weight_error_ = std::max(weight_error_, choice.error);
  if (choice.layout == QIAO_LAYOUT_PIECES) {
    args_[i].pointer = &weight.view;
    return absl::OkStatus();
  }
  QIAO_ASSIGN_OR_RETURN(args_[i], Guarded(choice.bytes, 0, nullptr, nullptr));
  QIAO_RETURN_IF_ERROR(device_->StoreWeight(stream_, request, choice, args_[i].pointer));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  // From here on the weight may not change either.
  const std::vector<std::byte> before = args_[i].image;
  QIAO_RETURN_IF_ERROR(stream_.CopyToHost(args_[i].image.data(), args_[i].buffer.data(), before.size()));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  for (size_t b = 0; b < before.size(); ++b) {
    const bool inside = b >= args_[i].begin && b < args_[i].begin + choice.bytes;
    if (!inside && args_[i].image[b] != kGuard)
      return Internal("weight_store wrote outside the bytes it asked for");
  }
  return absl::OkStatus();
}

absl::Status DeviceCase::Place(size_t i, const ArgSpec& arg) {
  if (tensors_[i].dtype == QIAO_DTYPE_NONE) return absl::OkStatus();
  if (arg.weight) return PlaceWeight(i);
  if (tensors_[i].layout == QIAO_LAYOUT_OPAQUE) {
    const qiao_op_call call = Call();
    QIAO_ASSIGN_OR_RETURN(const uint64_t bytes, device_->OutputBytes(call));
    tensors_[i].dim[0] = static_cast<int64_t>(bytes);
    QIAO_ASSIGN_OR_RETURN(args_[i], Guarded(bytes, 0, nullptr, nullptr));
    return absl::OkStatus();
  }
  uint64_t shift = 0;
  if (arg.strided) {
    tensors_[i] = Strided(tensors_[i], variant_.padding);
    shift = static_cast<uint64_t>(variant_.shift) * SizeOf(static_cast<DType>(tensors_[i].dtype));
  }
  const bool filled = arg.kind != ArgSpec::kOut;
  QIAO_ASSIGN_OR_RETURN(args_[i], Guarded(static_cast<uint64_t>(ops::SpanBytes(tensors_[i])), shift,
                                          filled ? &case_.args[i].bytes : nullptr, &tensors_[i]));
  return absl::OkStatus();
}

// A device that wants a schedule for its attention gets one.
absl::Status DeviceCase::Schedule() {
  enum { kQLatent = 0, kLatentPool = 2, kQStart = 4, kKvLen = 5, kTable = 6, kScheduleArg = 7 };
  qiao_attention_schedule_params params{};
  params.struct_size = sizeof(params);
  params.heads = static_cast<int32_t>(tensors_[kQLatent].dim[1]);
  params.rows = static_cast<int32_t>(tensors_[kQLatent].dim[0]);
  params.page_tokens = static_cast<int32_t>(tensors_[kLatentPool].dim[1]);
  params.kv_bound = static_cast<int32_t>(tensors_[kTable].dim[1]) * params.page_tokens;
  std::vector<qiao_tensor> tensors = {tensors_[kQStart], tensors_[kKvLen], ops::MakeTensor(DType::kU8, {0})};
  tensors[2].layout = QIAO_LAYOUT_OPAQUE;
  qiao_op_call call{};
  call.struct_size = sizeof(call);
  call.op = QIAO_OP_ATTENTION_SCHEDULE;
  call.params = &params;
  call.argument_count = 3;
  call.argument = tensors.data();
  QIAO_ASSIGN_OR_RETURN(const hal::Support support, device_->Supports(call));
  if (!support.yes) return absl::OkStatus();
  QIAO_ASSIGN_OR_RETURN(const uint64_t bytes, device_->OutputBytes(call));
  if (bytes == 0) return absl::OkStatus();
  tensors[2].dim[0] = static_cast<int64_t>(bytes);
  QIAO_ASSIGN_OR_RETURN(args_[kScheduleArg], Guarded(bytes, 0, nullptr, nullptr));
  std::vector<void*> pointers = {args_[kQStart].pointer, args_[kKvLen].pointer, args_[kScheduleArg].pointer};
  QIAO_RETURN_IF_ERROR(Launch(call, pointers, nullptr));
  tensors_[kScheduleArg] = tensors[2];
  args_[kScheduleArg].image.resize(args_[kScheduleArg].image.size());
  QIAO_RETURN_IF_ERROR(stream_.CopyToHost(args_[kScheduleArg].image.data(), args_[kScheduleArg].buffer.data(),
                                          args_[kScheduleArg].image.size()));
  return stream_.Synchronize();
}

absl::Status DeviceCase::Launch(const qiao_op_call& call, std::vector<void*>& pointers, DeviceRun* run) {
  QIAO_ASSIGN_OR_RETURN(const std::shared_ptr<const hal::Plan> plan, device_->Prepare(call));
  QIAO_ASSIGN_OR_RETURN(DeviceArg workspace, Guarded(plan->workspace_bytes(), 0, nullptr, nullptr));
  qiao_launch launch{};
  launch.struct_size = sizeof(launch);
  launch.argument_count = call.argument_count;
  launch.argument = pointers.data();
  launch.batch = &batch_.batch;
  launch.workspace = workspace.pointer;
  QIAO_RETURN_IF_ERROR(device_->Launch(*plan, stream_, launch));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  std::vector<std::byte> after(workspace.image.size());
  QIAO_RETURN_IF_ERROR(stream_.CopyToHost(after.data(), workspace.buffer.data(), after.size()));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  for (size_t b = 0; b < after.size(); ++b) {
    const bool inside = b >= workspace.begin && b < workspace.begin + plan->workspace_bytes();
    if (!inside && after[b] != kGuard) return Internal("the launch wrote outside its workspace");
  }
  if (run) {
    run->kernel = plan->kernel();
    run->row_invariant = plan->row_invariant();
  }
  return absl::OkStatus();
}

absl::Status DeviceCase::Collect(size_t i, const ArgSpec& arg, DeviceRun* run) {
  const DeviceArg& placed = args_[i];
  if (!placed.buffer) return absl::OkStatus();
  std::vector<std::byte> after(placed.image.size());
  QIAO_RETURN_IF_ERROR(stream_.CopyToHost(after.data(), placed.buffer.data(), after.size()));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  const bool output = arg.kind != ArgSpec::kIn;
  std::vector<std::byte> outside = after;  // with what the operation may write set back
  if (output && tensors_[i].layout == QIAO_LAYOUT_OPAQUE) {
    std::copy_n(placed.image.begin() + static_cast<int64_t>(placed.begin), tensors_[i].dim[0],
                outside.begin() + static_cast<int64_t>(placed.begin));
  } else if (!arg.weight && tensors_[i].layout == QIAO_LAYOUT_STRIDED) {
    std::vector<std::byte>& contents = run->contents.args[i];
    contents.resize(case_.args[i].bytes.size());
    ForEachRow(tensors_[i], [&](size_t to, size_t from, size_t size) {
      std::memcpy(contents.data() + to, after.data() + placed.begin + from, size);
      if (output)
        std::memcpy(outside.data() + placed.begin + from, placed.image.data() + placed.begin + from, size);
    });
  }
  const auto changed = std::mismatch(outside.begin(), outside.end(), placed.image.begin());
  if (changed.first != outside.end()) {
    return Internal("byte %d relative to the start of %s argument %d (%s) has changed",
                    changed.first - outside.begin() - static_cast<int64_t>(placed.begin),
                    output ? "output" : "input", i, arg.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<DeviceRun> DeviceCase::Run() {
  const std::vector<ArgSpec> specs = spec_.args(case_.params.data());
  QIAO_ASSIGN_OR_RETURN(stream_, device_->CreateStream());
  QIAO_ASSIGN_OR_RETURN(counts_, device_->Allocate(4 * sizeof(int32_t)));
  const int32_t counts[4] = {case_.rows, case_.seqs, case_.logit_rows, 0};
  QIAO_RETURN_IF_ERROR(stream_.CopyToDevice(counts_.data(), counts, sizeof(counts)));
  QIAO_RETURN_IF_ERROR(stream_.Synchronize());
  batch_.batch.device_counts = static_cast<const int32_t*>(counts_.data());

  DeviceRun run;
  for (const Case::Arg& arg : case_.args) tensors_.push_back(arg.tensor);
  args_.resize(tensors_.size());
  for (size_t i = 0; i < specs.size() && refusal_.empty(); ++i) {
    QIAO_RETURN_IF_ERROR(Annotate(Place(i, specs[i]), absl::StrFormat("placing %s", specs[i].name)));
  }
  run.why = refusal_;
  if (!refusal_.empty()) return run;
  if (spec_.id == QIAO_OP_LATENT_ATTENTION) QIAO_RETURN_IF_ERROR(Annotate(Schedule(), "attention_schedule"));
  const qiao_op_call call = Call();
  QIAO_RETURN_IF_ERROR(spec_.check(call));
  std::copy(tensors_.begin(), tensors_.end(), run.described);
  QIAO_ASSIGN_OR_RETURN(const hal::Support support, device_->Supports(call));
  run.supported = support.yes;
  run.why = support.why;
  run.weight_error = weight_error_;
  if (!support.yes) return run;

  std::vector<void*> pointers;
  for (const DeviceArg& arg : args_) pointers.push_back(arg.pointer);
  QIAO_RETURN_IF_ERROR(Launch(call, pointers, &run));
  run.contents.args.resize(tensors_.size());
  for (size_t i = 0; i < specs.size(); ++i) QIAO_RETURN_IF_ERROR(Collect(i, specs[i], &run));
  return run;
}

}  // namespace

absl::StatusOr<Contents> RunReference(const OpSpec& spec, const Case& c) {
  const std::vector<ArgSpec> specs = spec.args(c.params.data());
  Contents contents;
  std::vector<std::unique_ptr<HostWeight>> weights;
  std::vector<qiao_tensor> tensors;
  std::vector<void*> pointers;
  for (size_t i = 0; i < specs.size(); ++i) {
    tensors.push_back(c.args[i].tensor);
    contents.args.emplace_back();
    if (c.args[i].tensor.dtype == QIAO_DTYPE_NONE) {
      pointers.push_back(nullptr);
    } else if (specs[i].weight) {
      weights.push_back(std::make_unique<HostWeight>(c.args[i]));
      pointers.push_back(&weights.back()->view);
    } else {
      contents.args.back() = c.args[i].bytes;
      if (specs[i].kind == ArgSpec::kOut)
        std::fill(contents.args.back().begin(), contents.args.back().end(), kGuard);
      pointers.push_back(contents.args.back().data());
    }
  }
  const Batch batch(c);
  qiao_op_call call{};
  call.struct_size = sizeof(call);
  call.op = spec.id;
  call.params = c.params.data();
  call.argument_count = static_cast<uint32_t>(tensors.size());
  call.argument = tensors.data();
  qiao_launch launch{};
  launch.struct_size = sizeof(launch);
  launch.argument_count = call.argument_count;
  launch.argument = pointers.data();
  launch.batch = &batch.batch;
  QIAO_RETURN_IF_ERROR(spec.check(call));
  QIAO_RETURN_IF_ERROR(spec.reference(call, launch));
  return contents;
}

absl::StatusOr<DeviceRun> RunOnDevice(const std::shared_ptr<const hal::Device>& device, const OpSpec& spec,
                                      const Case& c, const Variant& variant) {
  return DeviceCase(device, spec, c, variant).Run();
}

}  // namespace qiao::conformance
