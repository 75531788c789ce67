#include "runtime/hal/device.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/base/dtype.h"
#include "runtime/hal/device_state.h"

namespace qiao::hal {
namespace {

template <typename T>
T Sized() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}

template <size_t N>
std::string Text(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

std::string DescribeById(const qiao_op_call& call) {
  std::string text = absl::StrFormat("op %d(", call.op);
  for (uint32_t i = 0; i < call.argument_count; ++i) {
    const qiao_tensor& t = call.argument[i];
    if (i > 0) text += ", ";
    if (t.dtype == QIAO_DTYPE_NONE) {
      text += "-";
      continue;
    }
    text += Name(static_cast<DType>(t.dtype));
    text += "[";
    for (uint32_t d = 0; d < t.rank && d < QIAO_MAX_RANK; ++d) {
      if (d > 0) text += ",";
      absl::StrAppendFormat(&text, "%d", t.dim[d]);
    }
    text += "]";
  }
  return text + ")";
}

// Two calls have the same signature when one plan can serve both. What rank says is not there is left out.
std::string Signature(const qiao_op_call& call) {
  std::string key;
  const auto add = [&](const void* bytes, size_t size) { key.append(static_cast<const char*>(bytes), size); };
  add(&call.op, sizeof(call.op));
  uint32_t params_size = 0;
  std::memcpy(&params_size, call.params, sizeof(params_size));
  add(call.params, params_size);
  for (uint32_t i = 0; i < call.argument_count; ++i) {
    const qiao_tensor& t = call.argument[i];
    const uint32_t head[] = {t.dtype, t.scheme, t.layout, t.rank, t.live};
    add(head, sizeof(head));
    add(t.dim, t.rank * sizeof(t.dim[0]));
    add(t.stride, t.rank * sizeof(t.stride[0]));
    add(t.block, sizeof(t.block));
  }
  return key;
}

absl::Status CheckCall(const qiao_op_call& call) {
  if (!call.params) return InvalidArgument("op %d: its parameters are null", call.op);
  if (call.argument_count > QIAO_MAX_ARGS || (call.argument_count > 0 && !call.argument)) {
    return InvalidArgument("op %d: %d arguments at %p", call.op, call.argument_count, call.argument);
  }
  for (uint32_t i = 0; i < call.argument_count; ++i) {
    if (call.argument[i].rank > QIAO_MAX_RANK) {
      return InvalidArgument("op %d: argument %d has rank %d, at most %d", call.op, i, call.argument[i].rank,
                             QIAO_MAX_RANK);
    }
  }
  return absl::OkStatus();
}

// ---- the embedder's hooks as C functions. None lets an exception into the plugin. ----

void LogHook(void* context, int32_t level, const char* message) {
  try {
    static_cast<const HostHooks*>(context)->log(level, message ? message : "");
  } catch (...) {
  }
}

int32_t ReserveHook(void* context, uint64_t bytes) {
  try {
    return static_cast<const HostHooks*>(context)->reserve(bytes) ? 1 : 0;
  } catch (...) {
    return 0;
  }
}

void ReleaseHook(void* context, uint64_t bytes) {
  try {
    static_cast<const HostHooks*>(context)->release(bytes);
  } catch (...) {
  }
}

void* AllocateHook(void* context, uint64_t bytes, uint64_t alignment) {
  try {
    return static_cast<const HostHooks*>(context)->allocate(bytes, alignment);
  } catch (...) {
    return nullptr;
  }
}

void DeallocateHook(void* context, void* pointer, uint64_t bytes) {
  try {
    static_cast<const HostHooks*>(context)->deallocate(pointer, bytes);
  } catch (...) {
  }
}

}  // namespace

std::string LaunchRing::ToString() const {
  const uint64_t end = next_.load(std::memory_order_relaxed);
  if (end == 0) return "";
  std::string text = "\nlast launches, newest first:";
  for (uint64_t i = end; i > 0 && end - i < kSize; --i) {
    const Entry& entry = entries_[(i - 1) % kSize];
    const std::string* description = entry.description.load(std::memory_order_relaxed);
    if (!description) continue;
    absl::StrAppendFormat(&text, "\n  #%d %s, stream %d", i, *description,
                          entry.stream.load(std::memory_order_relaxed));
  }
  return text;
}

// ---- Device: opening ----

std::unique_ptr<Device::State> Device::NewState(HostHooks hooks, Describe describe) {
  auto state = std::make_unique<State>();
  state->hooks = std::move(hooks);
  state->describe = describe ? describe : DescribeById;
  return state;
}

absl::StatusOr<std::shared_ptr<const Device>> Device::Open(std::shared_ptr<const Backend> backend,
                                                           uint32_t index, DeviceOptions options,
                                                           Describe describe) {
  if (!backend) return InvalidArgument("opening a device: the backend is null");
  std::string why;
  QIAO_ASSIGN_OR_RETURN(const uint32_t count, backend->DeviceCount(&why));
  if (index >= count) {
    return NotFound("device %s:%d does not exist: backend %s (%s) finds %d device(s) here%s%s",
                    backend->name(), index, backend->name(),
                    backend->path().empty() ? "in this program" : backend->path(), count,
                    why.empty() ? "" : "; it says: ", why);
  }
  if (!options.hooks.allocate != !options.hooks.deallocate) {
    return InvalidArgument("opening device %s:%d: the hooks allocate and deallocate come together",
                           backend->name(), index);
  }

  std::unique_ptr<State> state = NewState(std::move(options.hooks), describe);
  std::vector<qiao_option> given;
  for (const auto& [key, value] : options.options) given.push_back({key.c_str(), value.c_str()});
  auto host = Sized<qiao_host>();
  host.option_count = static_cast<uint32_t>(given.size());
  host.options = given.data();
  host.context = &state->hooks;
  if (state->hooks.log) host.log = LogHook;
  if (state->hooks.reserve) host.reserve = ReserveHook;
  if (state->hooks.release) host.release = ReleaseHook;
  if (state->hooks.allocate) host.allocate = AllocateHook;
  if (state->hooks.deallocate) host.deallocate = DeallocateHook;

  std::string name = index == 0 ? backend->name() : absl::StrFormat("%s:%d", backend->name(), index);
  Error error;
  qiao_device* handle = nullptr;
  const std::string doing = absl::StrFormat("opening device %s", name);
  if (const int32_t code = backend->table().open(index, &host, &handle, &error); code != QIAO_OK) {
    return ToStatus(code, error, doing);
  }
  if (!handle) return Internal("%s: the plugin answers OK and gives no device", doing);
  return Adopt(std::move(backend), std::move(name), handle, std::move(state));
}

absl::StatusOr<std::shared_ptr<const Device>> Device::Open(std::string_view name, DeviceOptions options,
                                                           Describe describe) {
  std::string_view plugin = name;
  uint32_t index = 0;
  // A colon belongs to the index only where digits follow to the end; a path may hold others.
  if (const size_t colon = name.rfind(':'); colon != std::string_view::npos) {
    const std::string_view digits = name.substr(colon + 1);
    const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
    if (number && digits.size() <= 4) {
      plugin = name.substr(0, colon);
      for (char c : digits) index = index * 10 + static_cast<uint32_t>(c - '0');
    } else if (name.find('/') == std::string_view::npos) {
      return InvalidArgument("device \"%s\": after the colon stands the device's number, from 0 to 9999",
                             name);
    }
  }
  QIAO_ASSIGN_OR_RETURN(std::shared_ptr<const Backend> backend, Backend::Load(plugin));
  QIAO_ASSIGN_OR_RETURN(std::shared_ptr<const Device> device,
                        Open(std::move(backend), index, std::move(options), describe));
  const_cast<Device&>(*device).name_ = name;
  return device;
}

absl::StatusOr<std::shared_ptr<const Device>> Device::Adopt(std::shared_ptr<const Backend> backend,
                                                            std::string name, qiao_device* handle,
                                                            std::unique_ptr<State> state) {
  std::shared_ptr<Device> device(new Device());
  device->backend_ = std::move(backend);
  device->name_ = std::move(name);
  device->handle_ = handle;
  device->state_ = std::move(state);

  qiao_device_properties& p = device->properties_;
  p.struct_size = sizeof(p);
  Error error;
  if (const int32_t code = device->backend_->table().properties(handle, &p, &error); code != QIAO_OK) {
    return device->Failed(code, error, "asking for its properties");
  }
  p.struct_size = sizeof(p);
  p.name[sizeof(p.name) - 1] = '\0';
  p.description[sizeof(p.description) - 1] = '\0';
  if (p.alignment < 16 || !std::has_single_bit(p.alignment)) {
    return Internal("device %s: the plugin says alignment %d; it must be a power of two and at least 16",
                    device->name_, p.alignment);
  }
  return std::shared_ptr<const Device>(std::move(device));
}

Device::~Device() {
  if (handle_) backend_->table().close(handle_);
}

absl::StatusOr<qiao_device_limits> Device::MeasureLimits(uint64_t stream_bytes) const {
  QIAO_RETURN_IF_ERROR(Alive());
  Error error;
  auto limits = Sized<qiao_device_limits>();
  const int32_t code = backend_->table().measure_limits(handle_, stream_bytes, &limits, &error);
  if (code != QIAO_OK) return Failed(code, error, "measuring its limits");
  limits.struct_size = sizeof(limits);
  limits.how[sizeof(limits.how) - 1] = '\0';
  for (double limit : {limits.read_bytes_per_s, limits.flops_f32, limits.flops_bf16, limits.ops_i8}) {
    if (!(limit >= 0) || std::isinf(limit)) {
      return Internal("device %s: measuring its limits: the plugin answers %g a second", name_, limit);
    }
  }
  return limits;
}

// ---- Device: errors ----

absl::Status Device::Alive() const {
  if (!state_->lost.load(std::memory_order_acquire)) return absl::OkStatus();
  return Unavailable("device %s is lost and must be opened again; the first fault was: %s", name_,
                     state_->first_fault);
}

absl::Status Device::Failed(int32_t code, const qiao_error& error, std::string_view doing) const {
  absl::Status status = ToStatus(code, error, absl::StrFormat("device %s: %s", name_, doing));
  if (code != QIAO_DEVICE_LOST) return status;
  {
    std::lock_guard lock(state_->lost_mutex);
    if (!state_->lost.load(std::memory_order_relaxed)) {
      state_->first_fault = std::string(Message(status)) + state_->ring.ToString();
      state_->lost.store(true, std::memory_order_release);
    }
  }
  return Alive();
}

// ---- operations ----

absl::StatusOr<Support> Device::Supports(const qiao_op_call& call) const {
  QIAO_RETURN_IF_ERROR(Alive());
  QIAO_RETURN_IF_ERROR(CheckCall(call));
  Error error;
  auto support = Sized<qiao_support>();
  const int32_t code = backend_->table().support(handle_, &call, &support, &error);
  // A plugin without the entry supports nothing, which is an answer and no failure.
  if (code == QIAO_UNIMPLEMENTED) return Support{false, Text(error.message)};
  if (code != QIAO_OK) {
    return Failed(code, error, absl::StrFormat("asking whether it supports %s", state_->describe(call)));
  }
  return Support{support.yes != 0, Text(support.why)};
}

absl::StatusOr<uint64_t> Device::OutputBytes(const qiao_op_call& call) const {
  QIAO_RETURN_IF_ERROR(Alive());
  QIAO_RETURN_IF_ERROR(CheckCall(call));
  Error error;
  uint64_t bytes = 0;
  const int32_t code = backend_->table().output_bytes(handle_, &call, &bytes, &error);
  if (code == QIAO_UNIMPLEMENTED) return 0;
  if (code != QIAO_OK) {
    return Failed(code, error, absl::StrFormat("asking for the output bytes of %s", state_->describe(call)));
  }
  return bytes;
}

absl::StatusOr<std::shared_ptr<const Plan>> Device::Prepare(const qiao_op_call& call) const {
  QIAO_RETURN_IF_ERROR(Alive());
  QIAO_RETURN_IF_ERROR(CheckCall(call));
  const std::string key = Signature(call);
  const std::string* description = nullptr;
  {
    std::lock_guard lock(state_->plans_mutex);
    State::Known& known = state_->plans[key];
    if (std::shared_ptr<const Plan> plan = known.plan.lock()) return plan;
    if (!known.description) known.description = std::make_unique<const std::string>(state_->describe(call));
    description = known.description.get();
  }

  // Preparing may compile for seconds: other threads prepare other calls meanwhile.
  Error error;
  qiao_plan* handle = nullptr;
  auto info = Sized<qiao_plan_info>();
  if (const int32_t code = backend_->table().prepare(handle_, &call, &handle, &info, &error);
      code != QIAO_OK) {
    return Failed(code, error, absl::StrFormat("preparing %s", *description));
  }
  if (!handle)
    return Internal("device %s: preparing %s: the plugin answers OK and null", name_, *description);
  std::shared_ptr<Plan> plan(new Plan());
  plan->device_ = shared_from_this();
  plan->handle_ = handle;
  plan->info_ = info;
  plan->info_.kernel[sizeof(info.kernel) - 1] = '\0';
  plan->op_ = call.op;
  plan->description_ = description;

  std::lock_guard lock(state_->plans_mutex);
  State::Known& known = state_->plans[key];
  // Two threads prepared the same call: the first one's plan is everyone's.
  if (std::shared_ptr<const Plan> earlier = known.plan.lock()) return earlier;
  known.plan = plan;
  return std::shared_ptr<const Plan>(std::move(plan));
}

Plan::~Plan() {
  if (handle_) device_->backend_->table().plan_destroy(handle_);
}

absl::Status Device::Launch(const Plan& plan, Stream& stream, const qiao_launch& launch) const {
  if (plan.device_.get() != this || stream.device_.get() != this) {
    return InvalidArgument("device %s: launching %s: the plan and the stream must be this device's", name_,
                           *plan.description_);
  }
  QIAO_RETURN_IF_ERROR(Alive());
  state_->ring.Record(plan.description_, stream.number_);
  Error error;
  const int32_t code = backend_->table().launch(plan.handle_, stream.handle_, &launch, &error);
  if (code == QIAO_OK) return absl::OkStatus();
  const std::string doing = absl::StrFormat("launching %s (kernel %s) on stream %d", *plan.description_,
                                            plan.info_.kernel, stream.number_);
  absl::Status status = Failed(code, error, doing);
  if (code == QIAO_DEVICE_LOST) return status;
  return absl::Status(status.code(), std::string(Message(status)) + state_->ring.ToString());
}

}  // namespace qiao::hal
