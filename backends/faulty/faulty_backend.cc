// The faulty backend: passes every call to another plugin, but for those that its options name. For tests.
// README.md says what the options are.
//
// It fills the C table itself instead of deriving from qiao/backend.hpp's classes: structs of any version go
// through as they come, and what the inner backend answers is what the host gets, bit for bit.
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <qiao/backend.hpp>
#include <string>
#include <utility>
#include <vector>

#include "backends/faulty/faults.h"
#include "backends/faulty/inner.h"

namespace qiao::faulty_backend {
namespace {

using plugin::Guarded;
using plugin::Host;
using plugin::InvalidArgument;
using plugin::Ok;
using plugin::Report;
using plugin::Status;

constexpr char kVersion[] = "0.1.0";
constexpr char kKnown[] = "inner, fail, delay, lose, after, count";

struct FaultyDevice {
  explicit FaultyDevice(Host h) : host(h), faults(std::move(h)) {}
  ~FaultyDevice() {
    if (handle) inner->table().close(handle);
  }
  Host host;
  Faults faults;
  bool count = false;
  std::string asked;  // the rules, for the description
  std::unique_ptr<Inner> inner;
  qiao_device* handle = nullptr;  // the inner backend's
};

// The inner backend's handle, and the device that it belongs to.
template <typename Handle>
struct Of {
  FaultyDevice* device;
  Handle* handle;
};

FaultyDevice& At(qiao_device* d) { return *reinterpret_cast<FaultyDevice*>(d); }
template <typename Handle>
Of<Handle>& At(Handle* h) {
  return *reinterpret_cast<Of<Handle>*>(h);
}

template <typename... Parameters>
using Entry = int32_t (*qiao_backend::*)(Parameters...);

// The inner backend's entry, or the answer that stands for one that is missing.
template <typename... Parameters, typename... Args>
int32_t Pass(FaultyDevice& d, Entry<Parameters...> entry, qiao_error* error, Args... args) {
  const auto function = d.inner->table().*entry;
  if (function) return function(args..., error);
  return Guarded(error, "faulty", [&] {
    return plugin::Unimplemented("the inner backend " + d.inner->name() + " has no such entry");
  });
}

int32_t Fault(FaultyDevice& d, Kind kind, qiao_error* error) {
  return Guarded(error, "faulty", [&] { return d.faults.Next(kind); });
}

template <typename... Parameters, typename... Args>
int32_t Through(FaultyDevice& d, Kind kind, Entry<Parameters...> entry, qiao_error* error, Args... args) {
  if (const int32_t code = Fault(d, kind, error); code != QIAO_OK) return code;
  return Pass(d, entry, error, args...);
}

// A wait that fails has waited: the caller may then free what the device was working on.
template <typename... Parameters, typename... Args>
int32_t Wait(FaultyDevice& d, Entry<Parameters...> entry, qiao_error* error, Args... args) {
  const int32_t inner = Pass(d, entry, error, args...);
  const int32_t code = Fault(d, Kind::kSynchronise, error);
  return code != QIAO_OK ? code : inner;
}

// An entry that gives out a handle. The wrapper is made first: then there is nothing to undo.
template <typename Handle, typename Make>
int32_t Wrap(FaultyDevice& d, Handle** out, qiao_error* error, Make make) {
  std::unique_ptr<Of<Handle>> made(new (std::nothrow) Of<Handle>{&d, nullptr});
  if (!made) return Guarded(error, "faulty", []() -> Status { throw std::bad_alloc(); });
  const int32_t code = make(&made->handle);
  *out = code == QIAO_OK && made->handle ? reinterpret_cast<Handle*>(made.release()) : nullptr;
  return code;
}

template <typename Handle>
void Destroy(Handle* handle, void (*qiao_backend::*entry)(Handle*)) {
  if (!handle) return;
  std::unique_ptr<Of<Handle>> wrapper(&At(handle));
  if (const auto function = wrapper->device->inner->table().*entry) function(wrapper->handle);
}

// ---- opening ----

int32_t DeviceCount(uint32_t* count, qiao_error*) {
  *count = 1;  // which one it is, `inner` says
  return QIAO_OK;
}

// The host's struct with other options, cut to what this header knows.
int32_t OpenInner(FaultyDevice& d, const qiao_host* host, const std::vector<qiao_option>& options,
                  qiao_error* error) {
  uint32_t count = 0;
  if (const int32_t code = d.inner->table().device_count(&count, error); code != QIAO_OK) return code;
  if (d.inner->index() >= count) {
    return Report(error, plugin::NotFound(plugin::Format("the inner backend %s has %u devices, and no %u",
                                                         d.inner->name().c_str(), count, d.inner->index())));
  }
  qiao_host inner{};
  if (host) std::memcpy(&inner, host, std::min<size_t>(host->struct_size, sizeof(inner)));
  inner.struct_size = sizeof(inner);
  inner.options = options.data();
  inner.option_count = static_cast<uint32_t>(options.size());
  const int32_t code = d.inner->table().open(d.inner->index(), &inner, &d.handle, error);
  if (code != QIAO_INVALID_ARGUMENT) return code;
  // Most likely an unknown key: the list that the inner backend gives lacks those of this one.
  const std::string said(error->message, strnlen(error->message, sizeof(error->message)));
  return Report(error, InvalidArgument(said + "; faulty itself knows: " + kKnown));
}

Status Configure(FaultyDevice& d, std::vector<qiao_option>& rest) {
  FaultOptions faults;
  std::string inner = "cpu";
  const std::pair<const char*, std::string*> own[] = {{"inner", &inner},
                                                      {"fail", &faults.fail},
                                                      {"delay", &faults.delay},
                                                      {"lose", &faults.lose},
                                                      {"after", &faults.after}};
  for (const auto& [key, value] : d.host.options()) {
    bool taken = key == "count";
    for (const auto& [name, to] : own) {
      if (key != name) continue;
      *to = value;
      taken = true;
      if (to != &inner && !value.empty()) d.asked += (d.asked.empty() ? "" : " ") + key + "=" + value;
    }
    if (key == "count" && value != "0" && value != "1")
      return InvalidArgument("option count = \"" + value + "\" is not 0 or 1");
    if (key == "count") d.count = value == "1";
    if (!taken) rest.push_back({key.c_str(), value.c_str()});
  }
  QIAO_PLUGIN_RETURN_IF_ERROR(d.faults.Read(faults));
  return Inner::Load(inner, d.inner);
}

int32_t Open(uint32_t, const qiao_host* host, qiao_device** out, qiao_error* error) {
  int32_t inner = QIAO_OK;
  const int32_t code = Guarded(error, "open", [&]() -> Status {
    auto device = std::make_unique<FaultyDevice>(Host(host));
    std::vector<qiao_option> rest;
    QIAO_PLUGIN_RETURN_IF_ERROR(Configure(*device, rest));
    inner = OpenInner(*device, host, rest, error);
    if (inner == QIAO_OK) *out = reinterpret_cast<qiao_device*>(device.release());
    return Ok();
  });
  return code != QIAO_OK ? code : inner;
}

void Close(qiao_device* d) {
  const std::unique_ptr<FaultyDevice> device(&At(d));
  if (!device->count) return;
  plugin::Quietly([&] { device->host.Log(QIAO_LOG_INFO, "faulty: calls " + device->faults.Counts()); });
}

template <size_t N>
void Replace(char (&field)[N], const std::string& text) {
  field[text.copy(field, N - 1)] = '\0';
}

int32_t Properties(qiao_device* d, qiao_device_properties* out, qiao_error* error) {
  FaultyDevice& device = At(d);
  const int32_t code = Through(device, Kind::kQuery, &qiao_backend::properties, error, device.handle, out);
  if (code != QIAO_OK || out->struct_size < offsetof(qiao_device_properties, memory_bytes)) return code;
  return Guarded(error, "properties", [&] {
    const std::string inner = device.inner->name();
    Replace(out->name, "faults over " + inner + ": " + std::string(out->name));
    std::string what = "for tests: passes every call to " + inner + ", and fails, delays or loses what ";
    what += device.asked.empty() ? "its options name (none)" : "was asked for: " + device.asked;
    Replace(out->description, what + "\n" + std::string(out->description));
    return Ok();
  });
}

// ---- memory ----

int32_t Allocate(qiao_device* d, uint64_t bytes, void** out, qiao_error* error) {
  return Through(At(d), Kind::kAlloc, &qiao_backend::allocate, error, At(d).handle, bytes, out);
}

void Free(qiao_device* d, void* pointer) {
  if (const auto function = At(d).inner->table().free) function(At(d).handle, pointer);
}

int32_t Copy(qiao_stream* s, int32_t kind, void* dst, const void* src, uint64_t bytes, qiao_error* error) {
  return Through(*At(s).device, Kind::kCopy, &qiao_backend::copy, error, At(s).handle, kind, dst, src, bytes);
}

int32_t Fill(qiao_stream* s, void* dst, int32_t byte, uint64_t bytes, qiao_error* error) {
  return Through(*At(s).device, Kind::kCopy, &qiao_backend::fill, error, At(s).handle, dst, byte, bytes);
}

// ---- order ----

int32_t StreamCreate(qiao_device* d, qiao_stream** out, qiao_error* error) {
  return Wrap(At(d), out, error, [&](qiao_stream** made) {
    return Through(At(d), Kind::kStream, &qiao_backend::stream_create, error, At(d).handle, made);
  });
}

void StreamDestroy(qiao_stream* s) { Destroy(s, &qiao_backend::stream_destroy); }

int32_t StreamSynchronize(qiao_stream* s, qiao_error* error) {
  return Wait(*At(s).device, &qiao_backend::stream_synchronize, error, At(s).handle);
}

int32_t EventCreate(qiao_device* d, qiao_event** out, qiao_error* error) {
  return Wrap(At(d), out, error, [&](qiao_event** made) {
    return Through(At(d), Kind::kEvent, &qiao_backend::event_create, error, At(d).handle, made);
  });
}

void EventDestroy(qiao_event* e) { Destroy(e, &qiao_backend::event_destroy); }

int32_t EventRecord(qiao_event* e, qiao_stream* s, qiao_error* error) {
  return Through(*At(e).device, Kind::kEvent, &qiao_backend::event_record, error, At(e).handle, At(s).handle);
}

int32_t EventWait(qiao_event* e, qiao_stream* s, qiao_error* error) {
  return Through(*At(e).device, Kind::kEvent, &qiao_backend::event_wait, error, At(e).handle, At(s).handle);
}

int32_t EventSynchronize(qiao_event* e, qiao_error* error) {
  return Wait(*At(e).device, &qiao_backend::event_synchronize, error, At(e).handle);
}

int32_t EventElapsed(qiao_event* start, qiao_event* end, double* seconds, qiao_error* error) {
  return Through(*At(end).device, Kind::kEvent, &qiao_backend::event_elapsed, error, At(start).handle,
                 At(end).handle, seconds);
}

// ---- weights and caches ----

int32_t WeightChoose(qiao_device* d, const qiao_weight_request* request, qiao_weight_choice* out,
                     qiao_error* error) {
  return Through(At(d), Kind::kChoose, &qiao_backend::weight_choose, error, At(d).handle, request, out);
}

int32_t WeightStore(qiao_stream* s, const qiao_weight_request* request, const qiao_weight_choice* choice,
                    void* dst, qiao_error* error) {
  return Through(*At(s).device, Kind::kStore, &qiao_backend::weight_store, error, At(s).handle, request,
                 choice, dst);
}

int32_t CacheChoose(qiao_device* d, int64_t pages, int64_t page_tokens, uint32_t count, qiao_row_kind* kind,
                    uint64_t* pool_bytes, qiao_error* error) {
  return Through(At(d), Kind::kChoose, &qiao_backend::cache_choose, error, At(d).handle, pages, page_tokens,
                 count, kind, pool_bytes);
}

// ---- operations ----

int32_t Support(qiao_device* d, const qiao_op_call* call, qiao_support* out, qiao_error* error) {
  return Through(At(d), Kind::kSupport, &qiao_backend::support, error, At(d).handle, call, out);
}

int32_t OutputBytes(qiao_device* d, const qiao_op_call* call, uint64_t* bytes, qiao_error* error) {
  return Through(At(d), Kind::kSupport, &qiao_backend::output_bytes, error, At(d).handle, call, bytes);
}

int32_t Prepare(qiao_device* d, const qiao_op_call* call, qiao_plan** out, qiao_plan_info* info,
                qiao_error* error) {
  return Wrap(At(d), out, error, [&](qiao_plan** made) {
    return Through(At(d), Kind::kPrepare, &qiao_backend::prepare, error, At(d).handle, call, made, info);
  });
}

void PlanDestroy(qiao_plan* p) { Destroy(p, &qiao_backend::plan_destroy); }

int32_t Launch(qiao_plan* p, qiao_stream* s, const qiao_launch* launch, qiao_error* error) {
  return Through(*At(p).device, Kind::kLaunch, &qiao_backend::launch, error, At(p).handle, At(s).handle,
                 launch);
}

// ---- capture ----

int32_t CaptureBegin(qiao_stream* s, qiao_error* error) {
  return Through(*At(s).device, Kind::kCapture, &qiao_backend::capture_begin, error, At(s).handle);
}

int32_t CaptureEnd(qiao_stream* s, qiao_capture** out, qiao_error* error) {
  return Wrap(*At(s).device, out, error, [&](qiao_capture** made) {
    return Through(*At(s).device, Kind::kCapture, &qiao_backend::capture_end, error, At(s).handle, made);
  });
}

int32_t CaptureUpdate(qiao_capture* c, const qiao_batch* batch, qiao_error* error) {
  return Through(*At(c).device, Kind::kCapture, &qiao_backend::capture_update, error, At(c).handle, batch);
}

int32_t CaptureReplay(qiao_capture* c, qiao_stream* s, qiao_error* error) {
  return Through(*At(c).device, Kind::kLaunch, &qiao_backend::capture_replay, error, At(c).handle,
                 At(s).handle);
}

void CaptureDestroy(qiao_capture* c) { Destroy(c, &qiao_backend::capture_destroy); }

int32_t MeasureLimits(qiao_device* d, uint64_t stream_bytes, qiao_device_limits* out, qiao_error* error) {
  return Through(At(d), Kind::kQuery, &qiao_backend::measure_limits, error, At(d).handle, stream_bytes, out);
}

constexpr qiao_backend kTable = {
    .struct_size = sizeof(qiao_backend),
    .abi_major = QIAO_ABI_MAJOR,
    .abi_minor = QIAO_ABI_MINOR,
    .name = "faulty",
    .version = kVersion,
    .vendor = "Qiao",
    .device_count = DeviceCount,
    .open = Open,
    .close = Close,
    .properties = Properties,
    .allocate = Allocate,
    .free = Free,
    .copy = Copy,
    .fill = Fill,
    .stream_create = StreamCreate,
    .stream_destroy = StreamDestroy,
    .stream_synchronize = StreamSynchronize,
    .event_create = EventCreate,
    .event_destroy = EventDestroy,
    .event_record = EventRecord,
    .event_wait = EventWait,
    .event_synchronize = EventSynchronize,
    .event_elapsed = EventElapsed,
    .weight_choose = WeightChoose,
    .weight_store = WeightStore,
    .cache_choose = CacheChoose,
    .support = Support,
    .output_bytes = OutputBytes,
    .prepare = Prepare,
    .plan_destroy = PlanDestroy,
    .launch = Launch,
    .capture_begin = CaptureBegin,
    .capture_end = CaptureEnd,
    .capture_update = CaptureUpdate,
    .capture_replay = CaptureReplay,
    .capture_destroy = CaptureDestroy,
    .measure_limits = MeasureLimits,
};

}  // namespace
}  // namespace qiao::faulty_backend

extern "C" QIAO_BACKEND_EXPORT const qiao_backend* qiao_backend_entry(uint32_t, uint32_t) {
  return &qiao::faulty_backend::kTable;
}
