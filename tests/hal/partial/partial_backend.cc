// A test backend: a discrete device with some of the operations, and with faults on demand. It stands in for
// a port that is half done, so that fallback, copies, stored weights and errors can be tested without such a
// chip.
//
// Its device addresses are reserved and never mapped: a host that follows one dies at once, and an argument
// that lies elsewhere is refused. The memory behind an address is host memory that only this plugin knows.
// Operations are the scalar kernels.
//
// Options:
//   ops=rmsnorm,linear   the operations that it claims; "all" (default) or "none"
//   weights=strided      row-major copies (default); opaque: f32, column-major; default: no answer, the
//   runtime decides deferred=true        work is done when somebody waits for it, and not before
//   fail_alloc=N, fail_launch=N  the N-th allocation or launch fails, from 1
//   lost_at=N            the device is lost in the N-th launch
//   lost_after=N         the N-th launch succeeds, and the next wait finds the device lost
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <qiao/backend.hpp>
#include <set>
#include <shared_mutex>

#include "kernels/common/args.h"
#include "kernels/common/elements.h"
#include "kernels/common/weights.h"
#include "kernels/reference/reference.h"

namespace qiao::partial {
namespace {

using namespace qiao::plugin;

struct Settings {
  std::set<std::string> ops;
  std::string weights = "strided";
  bool deferred = false, schedule = false, e4m3_rows = false;
  int64_t fail_alloc = 0, fail_launch = 0, lost_at = 0, lost_after = 0;
};

class PartialDevice : public HostDevice {
 public:
  PartialDevice(Host host, Settings settings);

  static uint32_t Count(std::string&) { return 2; }
  static Status Open(uint32_t index, Host host, std::unique_ptr<Device>& out);

  Status Properties(qiao_device_properties& properties) override {
    properties.flags = QIAO_DEVICE_EMULATED;
    properties.alignment = 256;
    SetText(properties.name, "partial test device");
    return Ok();
  }
  // Says what it was asked for, so that a test sees its question arrive; 666 is answered with nonsense.
  Status MeasureLimits(uint64_t stream_bytes, qiao_device_limits& limits) override {
    limits.read_bytes_per_s = static_cast<double>(stream_bytes);
    limits.flops_bf16 = stream_bytes == 666 ? -1 : 2e12;
    SetText(limits.how, "by hand");
    return Ok();
  }
  Status Allocate(uint64_t bytes, void** out) override;
  void Free(void* address) override;
  Status CreateStream(std::unique_ptr<Stream>& out) override;
  Status CreateEvent(std::unique_ptr<Event>& out) override;
  Status ChooseWeight(const qiao_weight_request& request, qiao_weight_choice& choice) override;
  Status StoreWeight(Stream& stream, const qiao_weight_request& request, const qiao_weight_choice& choice,
                     void* dst) override;

  // The memory behind a device address; null when it is none, or not `bytes` long from there.
  void* Behind(const void* address, uint64_t bytes = 0) const;

  Status Alive() const { return lost_ ? DeviceLost("partial: the device is lost", 77) : Ok(); }
  // Counts a launch; fails or loses the device when its turn has come.
  Status CountLaunch();
  Status Wait() {
    if (fault_pending_.exchange(false)) lost_ = true;
    return Alive();
  }
  const Settings& settings() const { return settings_; }

 private:
  struct Memory {
    void* behind;
    uint64_t bytes;
  };
  static uint64_t Reserved(uint64_t bytes) { return std::max<uint64_t>(bytes, 1); }

  Settings settings_;
  mutable std::shared_mutex mutex_;
  std::map<uintptr_t, Memory> memory_;  // by device address; guarded by mutex_
  std::atomic<int64_t> allocations_{0}, launches_{0};
  std::atomic<bool> lost_{false}, fault_pending_{false};
};

PartialDevice& Partial(Stream& stream) { return static_cast<PartialDevice&>(stream.device()); }

// ---- order ----

class PartialStream : public Stream {
 public:
  using Work = std::function<Status()>;

  // What nobody waited for is dropped: its memory may be gone.
  ~PartialStream() override = default;

  Status Submit(Work work) {
    QIAO_PLUGIN_RETURN_IF_ERROR(Partial(*this).Alive());
    if (!Partial(*this).settings().deferred) return work();
    work_.push_back(std::move(work));
    ++submitted_;
    return Ok();
  }
  // Does what was submitted up to `number`.
  Status Drain(uint64_t number = UINT64_MAX) {
    while (!work_.empty() && submitted_ - work_.size() < number) {
      Work work = std::move(work_.front());
      work_.pop_front();
      QIAO_PLUGIN_RETURN_IF_ERROR(work());
    }
    return Ok();
  }
  uint64_t submitted() const { return submitted_; }

  Status Copy(int32_t kind, void* dst, const void* src, uint64_t bytes) override {
    void* to = Partial(*this).Behind(dst, bytes);
    const void* from = Partial(*this).Behind(src, bytes);
    const bool to_device = kind != QIAO_COPY_TO_HOST, from_device = kind != QIAO_COPY_TO_DEVICE;
    if ((to != nullptr) != to_device || (from != nullptr) != from_device) {
      return InvalidArgument(Format("copy of kind %d: destination %p %s, source %p %s", kind, dst,
                                    to ? "is on the device" : "is not on the device", src,
                                    from ? "is on the device" : "is not on the device"));
    }
    if (!to) to = dst;
    if (!from) from = src;
    return Submit([=] {
      if (bytes > 0) std::memmove(to, from, bytes);
      return Ok();
    });
  }
  Status Fill(void* dst, uint8_t byte, uint64_t bytes) override {
    void* to = Partial(*this).Behind(dst, bytes);
    if (!to) return InvalidArgument(Format("fill: %p is not on the device", dst));
    return Submit([=] {
      std::memset(to, byte, bytes);
      return Ok();
    });
  }
  Status Synchronize() override {
    QIAO_PLUGIN_RETURN_IF_ERROR(Partial(*this).Alive());
    QIAO_PLUGIN_RETURN_IF_ERROR(Drain());
    return Partial(*this).Wait();
  }

 private:
  std::deque<Work> work_;
  uint64_t submitted_ = 0;
};

class PartialEvent : public HostEvent {
 public:
  Status Record(Stream& stream) override {
    stream_ = &static_cast<PartialStream&>(stream);
    number_ = stream_->submitted();
    return HostEvent::Record(stream);
  }
  // The other stream's work is done now, which is earlier than it need be and never too late.
  Status Wait(Stream&) override { return Synchronize(); }
  Status Synchronize() override { return stream_ ? stream_->Drain(number_) : Ok(); }

 private:
  PartialStream* stream_ = nullptr;
  uint64_t number_ = 0;
};

// ---- operations ----

// A weight that StoreWeight wrote column by column.
bool IsOurs(const qiao_tensor& t) {
  return t.layout == QIAO_LAYOUT_OPAQUE && t.dtype == QIAO_F32 && t.rank == 3;
}

// The call as the scalar kernels see it: our own weights are row-major there.
std::vector<qiao_tensor> Unpacked(const qiao_op_call& call) {
  std::vector<qiao_tensor> tensors(call.argument, call.argument + call.argument_count);
  for (qiao_tensor& t : tensors) {
    if (!IsOurs(t)) continue;
    t.layout = QIAO_LAYOUT_STRIDED;
    t.stride[2] = 1;
    t.stride[1] = t.dim[2];
    t.stride[0] = t.dim[1] * t.dim[2];
  }
  return tensors;
}

class PartialKernel : public Kernel {
 public:
  PartialKernel(CallCopy call, kernels::reference::KernelFn function)
      : call_(std::move(call)), tensors_(Unpacked(call_.call())), function_(function) {}

  void Info(qiao_plan_info& info) const override {
    info.flags = QIAO_PLAN_ROW_INVARIANT;
    info.workspace_bytes = 1;  // asked for so that somebody passes one
    SetName(info, "partial_" + OpName(call_.op()));
  }

  Status Launch(Stream& stream, const qiao_launch& launch) const override {
    PartialDevice& device = Partial(stream);
    QIAO_PLUGIN_RETURN_IF_ERROR(device.CountLaunch());
    std::array<void*, QIAO_MAX_ARGS> pointers{};
    if (launch.argument_count != tensors_.size()) return InvalidArgument("launch: wrong number of arguments");
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].dtype == QIAO_DTYPE_NONE) continue;
      pointers[i] = device.Behind(launch.argument[i]);
      if (!pointers[i]) {
        return InvalidArgument(Format("%s: argument %zu lies at %p, which is not on the device",
                                      OpName(call_.op()).c_str(), i, launch.argument[i]));
      }
    }
    if (!device.Behind(launch.workspace))
      return InvalidArgument("launch: the workspace is not on the device");

    // What the host may change after launch returns.
    qiao_batch batch{};
    std::vector<int32_t> q_start, kv_len;
    if (launch.batch) {
      batch = *launch.batch;
      if (batch.q_start) q_start.assign(batch.q_start, batch.q_start + batch.seqs + 1);
      if (batch.kv_len) kv_len.assign(batch.kv_len, batch.kv_len + batch.seqs);
    }
    const bool has_batch = launch.batch != nullptr;
    if (device.settings().schedule && call_.op() == QIAO_OP_LATENT_ATTENTION && !pointers[7]) {
      return InvalidArgument("latent_attention: there is no schedule");
    }
    return static_cast<PartialStream&>(stream).Submit([this, pointers, batch, has_batch,
                                                       q_start = std::move(q_start),
                                                       kv_len = std::move(kv_len)]() mutable {
      batch.q_start = q_start.data();
      batch.kv_len = kv_len.data();
      QIAO_PLUGIN_RETURN_IF_ERROR(Schedule(pointers, batch));
      Run(pointers, has_batch ? &batch : nullptr);
      return Ok();
    });
  }

 private:
  // A schedule is the number of sequences and their lengths; attention checks that it is this step's.
  Status Schedule(const std::array<void*, QIAO_MAX_ARGS>& pointers, const qiao_batch& batch) const {
    std::vector<int32_t> step = {batch.seqs};
    for (int32_t s = 0; s < batch.seqs; ++s) step.push_back(batch.kv_len[s]);
    const size_t bytes = step.size() * sizeof(int32_t);
    // Without the option the schedule has no bytes.
    if (call_.op() == QIAO_OP_ATTENTION_SCHEDULE && call_.tensors()[2].dim[0] > 0) {
      std::memcpy(pointers[2], step.data(), bytes);
    }
    if (call_.op() == QIAO_OP_LATENT_ATTENTION && pointers[7] &&
        std::memcmp(pointers[7], step.data(), bytes) != 0) {
      return InvalidArgument("latent_attention: the schedule is not this step's");
    }
    return Ok();
  }

  void Run(std::array<void*, QIAO_MAX_ARGS> pointers, const qiao_batch* batch) const {
    std::deque<std::vector<float>> rows;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (!IsOurs(call_.tensors()[i])) continue;
      const qiao_tensor& t = tensors_[i];
      const auto* packed = static_cast<const float*>(pointers[i]);
      std::vector<float>& plain = rows.emplace_back(static_cast<size_t>(t.dim[0] * t.dim[1] * t.dim[2]));
      for (int64_t g = 0; g < t.dim[0]; ++g) {
        for (int64_t r = 0; r < t.dim[1]; ++r) {
          for (int64_t c = 0; c < t.dim[2]; ++c) {
            const int64_t base = g * t.dim[1] * t.dim[2];
            plain[static_cast<size_t>(base + r * t.dim[2] + c)] = packed[base + c * t.dim[1] + r];
          }
        }
      }
      pointers[i] = plain.data();
    }
    kernels::KernelCall call;
    call.params = call_.params();
    call.tensor = tensors_.data();
    call.pointer = pointers.data();
    call.batch = batch;
    function_(call);
  }

  CallCopy call_;
  std::vector<qiao_tensor> tensors_;
  kernels::reference::KernelFn function_;
};

class PartialOperation : public Operation {
 public:
  PartialOperation(kernels::reference::KernelFn function, bool schedule)
      : function_(function), schedule_(schedule) {}

  Status OutputBytes(const qiao_op_call& call, uint64_t& bytes) const override {
    bytes = 0;
    if (schedule_ && call.op == QIAO_OP_ATTENTION_SCHEDULE) {
      bytes = sizeof(int32_t) * static_cast<uint64_t>(call.argument[1].dim[0] + 1);
    }
    return Ok();
  }

  Answer Support(const qiao_op_call& call) const override {
    std::vector<qiao_tensor> tensors = Unpacked(call);
    qiao_op_call unpacked = call;
    unpacked.argument = tensors.data();
    for (uint32_t i = 0; i < call.argument_count; ++i) {
      if (call.argument[i].layout == QIAO_LAYOUT_PIECES) {
        return Answer::No(Format("argument %u lies in host memory; weights must be stored", i));
      }
    }
    std::string why;
    if (!kernels::reference::Supported(unpacked, &why)) return Answer::No(std::move(why));
    return Answer::Yes();
  }

  std::unique_ptr<Kernel> Prepare(const qiao_op_call& call, Status& status) const override {
    CallCopy copy;
    status = CallCopy::Make(call, copy);
    if (!status.ok()) return nullptr;
    return std::make_unique<PartialKernel>(std::move(copy), function_);
  }

 private:
  kernels::reference::KernelFn function_;
  bool schedule_;
};

// ---- the device ----

PartialDevice::PartialDevice(Host host, Settings settings)
    : HostDevice(std::move(host), 256), settings_(std::move(settings)) {
  for (const OpInfo& op : kOps) {
    if (!settings_.ops.count("all") && !settings_.ops.count(op.name)) continue;
    if (auto function = kernels::reference::Find(op.id)) {
      registry().Add<PartialOperation>(op.id, function, settings_.schedule);
    }
  }
}

Status PartialDevice::Open(uint32_t, Host host, std::unique_ptr<Device>& out) {
  Settings s;
  std::string ops = "all";
  constexpr int64_t kMost = INT64_MAX;
  Options options(host);
  options.Text("ops", ops)
      .Text("weights", s.weights, {"strided", "opaque", "default"})
      .Flag("deferred", s.deferred)
      .Flag("schedule", s.schedule)
      .Flag("e4m3_rows", s.e4m3_rows)
      .Integer("fail_alloc", s.fail_alloc, 0, kMost)
      .Integer("fail_launch", s.fail_launch, 0, kMost)
      .Integer("lost_at", s.lost_at, 0, kMost)
      .Integer("lost_after", s.lost_after, 0, kMost);
  QIAO_PLUGIN_RETURN_IF_ERROR(options.Finish());
  for (size_t at = 0; at <= ops.size();) {
    const size_t comma = std::min(ops.find(',', at), ops.size());
    const std::string name = ops.substr(at, comma - at);
    const bool known =
        name == "all" || name == "none" ||
        std::any_of(kOps.begin(), kOps.end(), [&](const OpInfo& op) { return name == op.name; });
    if (!known) return InvalidArgument("option ops: \"" + name + "\" is no operation");
    s.ops.insert(name);
    at = comma + 1;
  }
  out = std::make_unique<PartialDevice>(std::move(host), std::move(s));
  return Ok();
}

Status PartialDevice::Allocate(uint64_t bytes, void** out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Alive());
  if (++allocations_ == settings_.fail_alloc) {
    return {QIAO_RESOURCE_EXHAUSTED,
            Format("partial: no room for %llu bytes, as option fail_alloc asks",
                   static_cast<unsigned long long>(bytes)),
            2};
  }
  void* behind = nullptr;
  QIAO_PLUGIN_RETURN_IF_ERROR(HostDevice::Allocate(bytes, &behind));
  void* address =
      mmap(nullptr, Reserved(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    HostDevice::Free(behind);
    return ResourceExhausted("partial: no address space");
  }
  std::unique_lock lock(mutex_);
  memory_[reinterpret_cast<uintptr_t>(address)] = {behind, bytes};
  *out = address;
  return Ok();
}

void PartialDevice::Free(void* address) {
  Memory memory{};
  {
    std::unique_lock lock(mutex_);
    auto it = memory_.find(reinterpret_cast<uintptr_t>(address));
    if (it == memory_.end()) return;
    memory = it->second;
    memory_.erase(it);
  }
  munmap(address, Reserved(memory.bytes));
  HostDevice::Free(memory.behind);
}

void* PartialDevice::Behind(const void* address, uint64_t bytes) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  std::shared_lock lock(mutex_);
  auto it = memory_.upper_bound(at);
  if (it == memory_.begin()) return nullptr;
  --it;
  const uint64_t offset = at - it->first;
  if (offset > it->second.bytes || bytes > it->second.bytes - offset) return nullptr;
  return static_cast<char*>(it->second.behind) + offset;
}

Status PartialDevice::CountLaunch() {
  QIAO_PLUGIN_RETURN_IF_ERROR(Alive());
  const int64_t number = ++launches_;
  if (number == settings_.lost_at) {
    lost_ = true;
    return DeviceLost(Format("partial: launch %lld took the device down", static_cast<long long>(number)),
                      77);
  }
  if (number == settings_.fail_launch) {
    return {QIAO_INTERNAL,
            Format("partial: launch %lld fails, as option fail_launch asks", static_cast<long long>(number)),
            42};
  }
  if (number == settings_.lost_after) fault_pending_ = true;
  return Ok();
}

Status PartialDevice::CreateStream(std::unique_ptr<Stream>& out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Alive());
  out = std::make_unique<PartialStream>();
  return Ok();
}

Status PartialDevice::CreateEvent(std::unique_ptr<Event>& out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Alive());
  out = std::make_unique<PartialEvent>();
  return Ok();
}

Status PartialDevice::ChooseWeight(const qiao_weight_request& request, qiao_weight_choice& choice) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Alive());
  if (settings_.weights == "default") return HostDevice::ChooseWeight(request, choice);
  const bool opaque = settings_.weights == "opaque";
  choice.dtype = opaque ? static_cast<uint32_t>(QIAO_F32) : request.piece[0].dtype;
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& piece = request.piece[i];
    if (piece.scheme != QIAO_SCHEME_NONE || piece.dtype != choice.dtype) choice.dtype = QIAO_F32;
  }
  choice.layout = opaque ? QIAO_LAYOUT_OPAQUE : QIAO_LAYOUT_STRIDED;
  choice.bytes = static_cast<uint64_t>(request.groups * request.rows * request.cols *
                                       kernels::ElementBytes(choice.dtype));
  const bool linear =
      request.op == QIAO_OP_GROUPED_LINEAR || (request.op == QIAO_OP_LINEAR && request.groups == 1);
  if (settings_.e4m3_rows && linear) choice.activation = QIAO_F8E4M3;
  SetText(choice.why, opaque ? "column-major f32" : "row-major copy");
  return Ok();
}

Status PartialDevice::StoreWeight(Stream& stream, const qiao_weight_request& request,
                                  const qiao_weight_choice& choice, void* dst) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Alive());
  if (settings_.weights == "default") return HostDevice::StoreWeight(stream, request, choice, dst);
  QIAO_PLUGIN_RETURN_IF_ERROR(static_cast<PartialStream&>(stream).Drain());
  auto* to = static_cast<char*>(Behind(dst, choice.bytes));
  if (!to) return InvalidArgument(Format("weight_store: %p is not on the device", dst));
  std::vector<float> row(static_cast<size_t>(request.cols));
  int64_t done = 0;  // rows of all groups
  for (uint32_t i = 0; i < request.piece_count; ++i) {
    const qiao_piece& p = request.piece[i];
    const int64_t size = kernels::ElementBytes(p.dtype);
    for (int64_t r = 0; r < p.rows; ++r, ++done) {
      const char* from = static_cast<const char*>(p.data) + r * p.ld * size;
      if (choice.layout == QIAO_LAYOUT_STRIDED && choice.dtype == p.dtype && p.scheme == QIAO_SCHEME_NONE) {
        std::memcpy(to + done * p.cols * size, from, static_cast<size_t>(p.cols * size));
        continue;
      }
      kernels::LoadFloats(p.dtype, from, p.cols, row.data());
      for (int64_t c = 0; c < p.cols; ++c) {
        float v = row[static_cast<size_t>(c)];
        if (p.scheme == QIAO_SCHEME_CHANNEL) {
          v *= p.scale[p.row0 + r];
        } else if (p.scheme == QIAO_SCHEME_BLOCK) {
          v *= p.scale[(p.row0 + r) / p.block[0] * p.scale_ld + c / p.block[1]];
        }
        const int64_t group = done / request.rows, n = done % request.rows;
        const int64_t at = choice.layout == QIAO_LAYOUT_OPAQUE
                               ? group * request.rows * p.cols + c * request.rows + n
                               : done * p.cols + c;
        reinterpret_cast<float*>(to)[at] = v;
      }
    }
  }
  return Ok();
}

}  // namespace
}  // namespace qiao::partial

QIAO_DEFINE_BACKEND(qiao::partial::PartialDevice, "partial", "0.1.0", "Qiao's tests")
