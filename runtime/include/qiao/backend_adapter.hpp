// Part of qiao/backend.hpp: the C table over the classes. It copies short structs up, cuts results, and lets
// no exception pass. Include qiao/backend.hpp.
#ifndef QIAO_BACKEND_ADAPTER_HPP_
#define QIAO_BACKEND_ADAPTER_HPP_

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <new>

#include "qiao/backend.hpp"

namespace qiao::plugin {

// ---- the operations that this header knows ----

struct OpInfo {
  uint32_t id;
  const char* name;
  uint64_t params_size;
};

inline constexpr std::array<OpInfo, 22> kOps = {{
    {QIAO_OP_EMBEDDING, "embedding", sizeof(qiao_embedding_params)},
    {QIAO_OP_RMSNORM, "rmsnorm", sizeof(qiao_rmsnorm_params)},
    {QIAO_OP_LINEAR, "linear", sizeof(qiao_linear_params)},
    {QIAO_OP_GROUPED_LINEAR, "grouped_linear", sizeof(qiao_grouped_linear_params)},
    {QIAO_OP_MOE_GATE, "moe_gate", sizeof(qiao_moe_gate_params)},
    {QIAO_OP_MOE_PERMUTE, "moe_permute", sizeof(qiao_moe_permute_params)},
    {QIAO_OP_MOE_COMBINE, "moe_combine", sizeof(qiao_moe_combine_params)},
    {QIAO_OP_SWIGLU, "swiglu", sizeof(qiao_swiglu_params)},
    {QIAO_OP_ROPE_TABLE, "rope_table", sizeof(qiao_rope_table_params)},
    {QIAO_OP_ROPE, "rope", sizeof(qiao_rope_params)},
    {QIAO_OP_KV_WRITE, "kv_write", sizeof(qiao_kv_write_params)},
    {QIAO_OP_ATTENTION_SCHEDULE, "attention_schedule", sizeof(qiao_attention_schedule_params)},
    {QIAO_OP_LATENT_ATTENTION, "latent_attention", sizeof(qiao_latent_attention_params)},
    {QIAO_OP_GATHER_ROWS, "gather_rows", sizeof(qiao_gather_rows_params)},
    {QIAO_OP_ADD, "add", sizeof(qiao_add_params)},
    {QIAO_OP_CAST, "cast", sizeof(qiao_cast_params)},
    {QIAO_OP_QUANTISE, "quantise", sizeof(qiao_quantise_params)},
    {QIAO_OP_ARGMAX, "argmax", sizeof(qiao_argmax_params)},
    {QIAO_OP_ADD_RMSNORM, "add_rmsnorm", sizeof(qiao_add_rmsnorm_params)},
    {QIAO_OP_MLP, "mlp", sizeof(qiao_mlp_params)},
    {QIAO_OP_MOE_MLP, "moe_mlp", sizeof(qiao_moe_mlp_params)},
    {QIAO_OP_MLA_PROLOG, "mla_prolog", sizeof(qiao_mla_prolog_params)},
}};

inline const OpInfo* FindOp(uint32_t op) {
  for (const OpInfo& info : kOps) {
    if (info.id == op) return &info;
  }
  return nullptr;
}

inline uint64_t ParamsSize(uint32_t op) {
  const OpInfo* info = FindOp(op);
  return info ? info->params_size : 0;
}

inline std::string OpName(uint32_t op) {
  const OpInfo* info = FindOp(op);
  return info ? info->name : "op " + std::to_string(op);
}

// ---- structs of other versions ----

// Copies a struct that begins with its size into `known` bytes at `to`, zeros where it is shorter. False when
// it is longer and its tail holds anything but zeros.
inline bool CopyUp(void* to, size_t known, const void* from) {
  uint32_t size = 0;
  std::memcpy(&size, from, sizeof(size));
  const size_t common = std::min<size_t>(size, known);
  std::memset(to, 0, known);
  std::memcpy(to, from, common);
  const auto known_size = static_cast<uint32_t>(known);
  std::memcpy(to, &known_size, sizeof(known_size));
  const auto* tail = static_cast<const unsigned char*>(from);
  return std::all_of(tail + common, tail + std::max<size_t>(size, common),
                     [](unsigned char c) { return c == 0; });
}

template <typename T>
bool CopyUp(T& to, const T* from) {
  return CopyUp(&to, sizeof(T), from);
}

// An array of such structs: the first one's size is the distance between them.
template <typename T>
bool CopyUp(std::vector<T>& to, const T* from, size_t count) {
  to.assign(count, T{});
  const auto* at = reinterpret_cast<const unsigned char*>(from);
  for (size_t i = 0; i < count; ++i) {
    if (!CopyUp(&to[i], sizeof(T), at + i * from->struct_size)) return false;
  }
  return true;
}

// Writes as much of a result as the caller has room for; keeps the caller's struct_size.
template <typename T>
void CopyOut(T* to, const T& from) {
  const uint32_t size = to->struct_size;
  if (size <= sizeof(uint32_t)) return;
  std::memcpy(to, &from, std::min<size_t>(size, sizeof(T)));
  to->struct_size = size;
}

inline Status CallCopy::Make(const qiao_op_call& call, CallCopy& out) {
  const OpInfo* info = FindOp(call.op);
  if (!info) {
    return Unimplemented("operation id " + std::to_string(call.op) +
                         " is unknown to this plugin: it is newer");
  }
  if (call.argument_count > QIAO_MAX_ARGS) {
    return Unimplemented(
        Format("%s: %u arguments are more than %d", info->name, call.argument_count, QIAO_MAX_ARGS));
  }
  if (!call.params || (call.argument_count > 0 && !call.argument)) {
    return InvalidArgument(std::string(info->name) + ": parameters or arguments are null");
  }
  out.op_ = call.op;
  static_assert(sizeof(out.params_) >= sizeof(qiao_moe_mlp_params));
  if (!CopyUp(out.params_, info->params_size, call.params)) {
    return Unimplemented(std::string(info->name) +
                         ": its parameters use a field that is newer than this plugin");
  }
  if (!CopyUp(out.tensors_, call.argument, call.argument_count)) {
    return Unimplemented(std::string(info->name) +
                         ": an argument uses a field that is newer than this plugin");
  }
  return Ok();
}

// ---- the table ----

// Fills *error; returns the code. An OK status leaves the error alone, unless it has something to say.
inline int32_t Report(qiao_error* error, const Status& status) {
  if (status.ok() && status.message().empty()) return QIAO_OK;
  if (error && error->struct_size > offsetof(qiao_error, message)) {
    error->code = status.code();
    error->vendor_code = status.vendor_code();
    const size_t room =
        std::min<size_t>(error->struct_size, sizeof(qiao_error)) - offsetof(qiao_error, message) - 1;
    error->message[status.message().copy(error->message, room)] = '\0';
  }
  return status.code();
}

template <typename Body>
int32_t Guarded(qiao_error* error, const char* entry, Body body) noexcept {
  try {
    try {
      return Report(error, body());
    } catch (const std::bad_alloc&) {
      return Report(error, {QIAO_RESOURCE_EXHAUSTED, "out of host memory"});
    } catch (const std::exception& e) {
      return Report(error, {QIAO_INTERNAL, std::string(entry) + ": uncaught exception: " + e.what()});
    } catch (...) {
      return Report(error, {QIAO_INTERNAL, std::string(entry) + ": uncaught exception"});
    }
  } catch (...) {
    return QIAO_RESOURCE_EXHAUSTED;  // no memory even for the message
  }
}

template <typename Body>
void Quietly(Body body) noexcept {
  try {
    body();
  } catch (...) {
  }
}

// Set when the table of D is made, before any of its functions can be called.
template <typename D>
inline const char* backend_name = "";

// The functions of the table. Handles are pointers to the classes.
struct Adapter {
  static Device& device(qiao_device* d) { return *reinterpret_cast<Device*>(d); }
  static Stream& stream(qiao_stream* s) { return *reinterpret_cast<Stream*>(s); }
  static Event& event(qiao_event* e) { return *reinterpret_cast<Event*>(e); }
  static const Kernel& kernel(qiao_plan* p) { return *reinterpret_cast<Kernel*>(p); }
  static Capture& capture(qiao_capture* c) { return *reinterpret_cast<Capture*>(c); }

  // The caller's batch with this header's size; `room` holds a copy where it has another. Null stays null.
  static bool Batch(const qiao_batch*& batch, qiao_batch& room) {
    if (!batch || batch->struct_size == sizeof(qiao_batch)) return true;
    const bool known = CopyUp(room, batch);
    batch = &room;
    return known;
  }

  static Status Created(bool made, const char* what) {
    return made ? Ok() : Internal(std::string(what) + " succeeded and returned nothing");
  }

  template <typename D>
  static int32_t Count(uint32_t* count, qiao_error* error) {
    return Guarded(error, "device_count", [&] {
      std::string why;
      *count = D::Count(why);
      return Status(QIAO_OK, *count == 0 ? why : std::string());
    });
  }

  template <typename D>
  static int32_t Open(uint32_t index, const qiao_host* host, qiao_device** out, qiao_error* error) {
    return Guarded(error, "open", [&]() -> Status {
      std::string why;
      if (const uint32_t count = D::Count(why); index >= count) {
        return NotFound(Format("there is no device %u: this machine has %u%s%s", index, count,
                               why.empty() ? "" : ": ", why.c_str()));
      }
      std::unique_ptr<Device> made;
      QIAO_PLUGIN_RETURN_IF_ERROR(D::Open(index, Host(host), made));
      if (made) made->backend_name_ = backend_name<D>;
      *out = reinterpret_cast<qiao_device*>(made.release());
      return Created(*out, "open");
    });
  }

  static void Close(qiao_device* d) {
    Quietly([&] { delete &device(d); });
  }

  static int32_t Properties(qiao_device* d, qiao_device_properties* out, qiao_error* error) {
    return Guarded(error, "properties", [&]() -> Status {
      qiao_device_properties p{};
      p.struct_size = sizeof(p);
      p.alignment = 64;
      QIAO_PLUGIN_RETURN_IF_ERROR(device(d).Properties(p));
      CopyOut(out, p);
      return Ok();
    });
  }

  static int32_t Allocate(qiao_device* d, uint64_t bytes, void** out, qiao_error* error) {
    return Guarded(error, "allocate", [&] { return device(d).Allocate(bytes, out); });
  }

  static void Free(qiao_device* d, void* pointer) {
    Quietly([&] {
      if (pointer) device(d).Free(pointer);
    });
  }

  static int32_t Copy(qiao_stream* s, int32_t kind, void* dst, const void* src, uint64_t bytes,
                      qiao_error* error) {
    return Guarded(error, "copy", [&] { return stream(s).Copy(kind, dst, src, bytes); });
  }

  static int32_t Fill(qiao_stream* s, void* dst, int32_t byte, uint64_t bytes, qiao_error* error) {
    return Guarded(error, "fill", [&] { return stream(s).Fill(dst, static_cast<uint8_t>(byte), bytes); });
  }

  static int32_t StreamCreate(qiao_device* d, qiao_stream** out, qiao_error* error) {
    return Guarded(error, "stream_create", [&]() -> Status {
      std::unique_ptr<Stream> made;
      QIAO_PLUGIN_RETURN_IF_ERROR(device(d).CreateStream(made));
      if (made) made->device_ = &device(d);
      *out = reinterpret_cast<qiao_stream*>(made.release());
      return Created(*out, "stream_create");
    });
  }

  static void StreamDestroy(qiao_stream* s) {
    Quietly([&] { delete &stream(s); });
  }

  static int32_t StreamSynchronize(qiao_stream* s, qiao_error* error) {
    return Guarded(error, "stream_synchronize", [&] { return stream(s).Synchronize(); });
  }

  static int32_t EventCreate(qiao_device* d, qiao_event** out, qiao_error* error) {
    return Guarded(error, "event_create", [&]() -> Status {
      std::unique_ptr<Event> made;
      QIAO_PLUGIN_RETURN_IF_ERROR(device(d).CreateEvent(made));
      *out = reinterpret_cast<qiao_event*>(made.release());
      return Created(*out, "event_create");
    });
  }

  static void EventDestroy(qiao_event* e) {
    Quietly([&] { delete &event(e); });
  }

  static int32_t EventRecord(qiao_event* e, qiao_stream* s, qiao_error* error) {
    return Guarded(error, "event_record", [&] { return event(e).Record(stream(s)); });
  }

  static int32_t EventWait(qiao_event* e, qiao_stream* s, qiao_error* error) {
    return Guarded(error, "event_wait", [&] { return event(e).Wait(stream(s)); });
  }

  static int32_t EventSynchronize(qiao_event* e, qiao_error* error) {
    return Guarded(error, "event_synchronize", [&] { return event(e).Synchronize(); });
  }

  static int32_t EventElapsed(qiao_event* start, qiao_event* end, double* seconds, qiao_error* error) {
    return Guarded(error, "event_elapsed", [&] { return event(end).Elapsed(event(start), *seconds); });
  }

  // A request whose pieces and parameters have this header's sizes.
  struct Request {
    qiao_weight_request request{};
    std::vector<qiao_piece> pieces;
    alignas(16) unsigned char params[256] = {};

    Status From(const qiao_weight_request* from) {
      const OpInfo* info = FindOp(from->op);
      if (!info)
        return Unimplemented("operation id " + std::to_string(from->op) + " is unknown to this plugin");
      bool known = CopyUp(request, from) && CopyUp(pieces, request.piece, request.piece_count);
      if (request.params) {
        known = known && CopyUp(params, info->params_size, request.params);
        request.params = params;
      }
      request.piece = pieces.data();
      if (!known) return Unimplemented("the weight uses a field that is newer than this plugin");
      return Ok();
    }
  };

  static int32_t WeightChoose(qiao_device* d, const qiao_weight_request* from, qiao_weight_choice* out,
                              qiao_error* error) {
    return Guarded(error, "weight_choose", [&]() -> Status {
      Request r;
      QIAO_PLUGIN_RETURN_IF_ERROR(r.From(from));
      qiao_weight_choice choice{};
      choice.struct_size = sizeof(choice);
      choice.activation = from->activation;
      choice.alignment = 64;
      QIAO_PLUGIN_RETURN_IF_ERROR(device(d).ChooseWeight(r.request, choice));
      CopyOut(out, choice);
      return Ok();
    });
  }

  static int32_t WeightStore(qiao_stream* s, const qiao_weight_request* from,
                             const qiao_weight_choice* choice, void* dst, qiao_error* error) {
    return Guarded(error, "weight_store", [&]() -> Status {
      Request r;
      QIAO_PLUGIN_RETURN_IF_ERROR(r.From(from));
      qiao_weight_choice c{};
      if (!CopyUp(c, choice)) return Unimplemented("the choice has a field that is newer than this plugin");
      return stream(s).device().StoreWeight(stream(s), r.request, c, dst);
    });
  }

  static int32_t CacheChoose(qiao_device* d, int64_t pages, int64_t page_tokens, uint32_t count,
                             qiao_row_kind* kind, uint64_t* pool_bytes, qiao_error* error) {
    return Guarded(error, "cache_choose", [&]() -> Status {
      std::vector<qiao_row_kind> kinds;
      if (!CopyUp(kinds, kind, count))
        return Unimplemented("a row kind has a field that is newer than this plugin");
      QIAO_PLUGIN_RETURN_IF_ERROR(device(d).ChooseCache(pages, page_tokens, kinds, *pool_bytes));
      const size_t distance = count > 0 ? kind->struct_size : 0;
      for (uint32_t i = 0; i < count; ++i) {
        CopyOut(reinterpret_cast<qiao_row_kind*>(reinterpret_cast<unsigned char*>(kind) + i * distance),
                kinds[i]);
      }
      return Ok();
    });
  }

  // The operation and the call in this header's sizes.
  static Status FindOperation(qiao_device* d, const qiao_op_call* from, CallCopy& copy,
                              const Operation*& op) {
    qiao_op_call call{};
    if (!CopyUp(call, from)) return Unimplemented("the call uses a field that is newer than this plugin");
    op = device(d).operations().Find(call.op);
    if (!op) {
      const bool none = device(d).operations().empty();
      return Unimplemented(device(d).backend_name_ + " has no " + (none ? "operations" : OpName(call.op)));
    }
    return CallCopy::Make(call, copy);
  }

  static int32_t Support(qiao_device* d, const qiao_op_call* from, qiao_support* out, qiao_error* error) {
    return Guarded(error, "support", [&]() -> Status {
      CallCopy copy;
      const Operation* op = nullptr;
      Answer answer;
      if (Status status = FindOperation(d, from, copy, op); status.ok()) {
        const qiao_op_call call = copy.call();
        answer = op->Support(call);
      } else if (status.code() == QIAO_UNIMPLEMENTED) {
        answer = Answer::No(status.message());
      } else {
        return status;
      }
      qiao_support support{};
      support.yes = answer.yes;
      answer.why.copy(support.why, sizeof(support.why) - 1);
      CopyOut(out, support);
      return Ok();
    });
  }

  static int32_t OutputBytes(qiao_device* d, const qiao_op_call* from, uint64_t* bytes, qiao_error* error) {
    return Guarded(error, "output_bytes", [&]() -> Status {
      CallCopy copy;
      const Operation* op = nullptr;
      QIAO_PLUGIN_RETURN_IF_ERROR(FindOperation(d, from, copy, op));
      const qiao_op_call call = copy.call();
      return op->OutputBytes(call, *bytes);
    });
  }

  static int32_t Prepare(qiao_device* d, const qiao_op_call* from, qiao_plan** out, qiao_plan_info* info,
                         qiao_error* error) {
    return Guarded(error, "prepare", [&]() -> Status {
      CallCopy copy;
      const Operation* op = nullptr;
      QIAO_PLUGIN_RETURN_IF_ERROR(FindOperation(d, from, copy, op));
      const qiao_op_call call = copy.call();
      if (Answer answer = op->Support(call); !answer.yes) {
        return Unimplemented(OpName(call.op) + ": " + answer.why);
      }
      Status status;
      std::unique_ptr<Kernel> made = op->Prepare(call, status);
      QIAO_PLUGIN_RETURN_IF_ERROR(status);
      QIAO_PLUGIN_RETURN_IF_ERROR(Created(made != nullptr, "prepare"));
      qiao_plan_info local{};
      local.struct_size = sizeof(local);
      made->Info(local);
      CopyOut(info, local);
      *out = reinterpret_cast<qiao_plan*>(made.release());
      return Ok();
    });
  }

  static void PlanDestroy(qiao_plan* p) {
    Quietly([&] { delete &kernel(p); });
  }

  static int32_t Launch(qiao_plan* p, qiao_stream* s, const qiao_launch* launch, qiao_error* error) {
    return Guarded(error, "launch", [&]() -> Status {
      // In the steady state all sizes agree and nothing is copied.
      if (launch->struct_size == sizeof(qiao_launch) &&
          (!launch->batch || launch->batch->struct_size == sizeof(qiao_batch))) {
        return kernel(p).Launch(stream(s), *launch);
      }
      qiao_launch local;
      qiao_batch batch;
      if (!CopyUp(local, launch) || !Batch(local.batch, batch)) {
        return Unimplemented("the launch uses a field that is newer than this plugin");
      }
      return kernel(p).Launch(stream(s), local);
    });
  }

  static int32_t CaptureBegin(qiao_stream* s, qiao_error* error) {
    return Guarded(error, "capture_begin", [&] { return stream(s).BeginCapture(); });
  }

  static int32_t CaptureEnd(qiao_stream* s, qiao_capture** out, qiao_error* error) {
    return Guarded(error, "capture_end", [&]() -> Status {
      std::unique_ptr<Capture> made;
      QIAO_PLUGIN_RETURN_IF_ERROR(stream(s).EndCapture(made));
      *out = reinterpret_cast<qiao_capture*>(made.release());
      return Created(*out, "capture_end");
    });
  }

  static int32_t CaptureUpdate(qiao_capture* c, const qiao_batch* batch, qiao_error* error) {
    return Guarded(error, "capture_update", [&]() -> Status {
      qiao_batch room;
      if (!Batch(batch, room)) return Unimplemented("the batch has a field that is newer than this plugin");
      return capture(c).Update(*batch);
    });
  }

  static int32_t CaptureReplay(qiao_capture* c, qiao_stream* s, qiao_error* error) {
    return Guarded(error, "capture_replay", [&] { return capture(c).Replay(stream(s)); });
  }

  static void CaptureDestroy(qiao_capture* c) {
    Quietly([&] { delete &capture(c); });
  }

  static int32_t MeasureLimits(qiao_device* d, uint64_t stream_bytes, qiao_device_limits* out,
                               qiao_error* error) {
    return Guarded(error, "measure_limits", [&]() -> Status {
      qiao_device_limits limits{};
      limits.struct_size = sizeof(limits);
      QIAO_PLUGIN_RETURN_IF_ERROR(device(d).MeasureLimits(stream_bytes, limits));
      CopyOut(out, limits);
      return Ok();
    });
  }
};

// The table of a backend whose device class is D. One table for each D; the texts live as long as the plugin.
template <typename D>
const qiao_backend* MakeTable(const char* name, const char* version, const char* vendor) {
  static const qiao_backend table = [&] {
    qiao_backend t{};
    t.struct_size = sizeof(t);
    t.abi_major = QIAO_ABI_MAJOR;
    t.abi_minor = QIAO_ABI_MINOR;
    t.name = backend_name<D> = name;
    t.version = version;
    t.vendor = vendor;
    t.device_count = Adapter::Count<D>;
    t.open = Adapter::Open<D>;
    t.close = Adapter::Close;
    t.properties = Adapter::Properties;
    t.allocate = Adapter::Allocate;
    t.free = Adapter::Free;
    t.copy = Adapter::Copy;
    t.fill = Adapter::Fill;
    t.stream_create = Adapter::StreamCreate;
    t.stream_destroy = Adapter::StreamDestroy;
    t.stream_synchronize = Adapter::StreamSynchronize;
    t.event_create = Adapter::EventCreate;
    t.event_destroy = Adapter::EventDestroy;
    t.event_record = Adapter::EventRecord;
    t.event_wait = Adapter::EventWait;
    t.event_synchronize = Adapter::EventSynchronize;
    t.event_elapsed = Adapter::EventElapsed;
    t.weight_choose = Adapter::WeightChoose;
    t.weight_store = Adapter::WeightStore;
    t.cache_choose = Adapter::CacheChoose;
    t.support = Adapter::Support;
    t.output_bytes = Adapter::OutputBytes;
    t.prepare = Adapter::Prepare;
    t.plan_destroy = Adapter::PlanDestroy;
    t.launch = Adapter::Launch;
    t.capture_begin = Adapter::CaptureBegin;
    t.capture_end = Adapter::CaptureEnd;
    t.capture_update = Adapter::CaptureUpdate;
    t.capture_replay = Adapter::CaptureReplay;
    t.capture_destroy = Adapter::CaptureDestroy;
    t.measure_limits = Adapter::MeasureLimits;
    return t;
  }();
  return &table;
}

}  // namespace qiao::plugin

// Exports the entry point of a plugin; once, at namespace scope. The host compares the versions itself and
// says what it found, so the table is given to any host.
#define QIAO_DEFINE_BACKEND(D, name, version, vendor)                                         \
  extern "C" QIAO_BACKEND_EXPORT const qiao_backend* qiao_backend_entry(uint32_t, uint32_t) { \
    return ::qiao::plugin::MakeTable<D>(name, version, vendor);                               \
  }

#endif  // QIAO_BACKEND_ADAPTER_HPP_
