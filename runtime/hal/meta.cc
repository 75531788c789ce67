// The meta device: a table of this process whose answers are borrowed from another device.
#include <atomic>
#include <bit>
#include <cstring>
#include <utility>

#include "runtime/hal/device.h"
#include "runtime/hal/device_state.h"

namespace qiao::hal {
namespace {

// Addresses begin where no memory is, so that one that is touched by mistake faults at once.
constexpr uint64_t kFirstAddress = 0x4000'0000'0000'0000;

struct Meta {
  std::shared_ptr<const Device> like;
  std::atomic<uint64_t> next{kFirstAddress};
};

Meta& From(qiao_device* device) { return *reinterpret_cast<Meta*>(device); }

int32_t Report(qiao_error* error, int32_t code, std::string_view message) {
  error->code = code;
  error->message[message.copy(error->message, sizeof(error->message) - 1)] = '\0';
  return code;
}

// Statuses of the device that is asked; the codes that both sides have, have the same numbers.
int32_t Report(qiao_error* error, const absl::Status& status) {
  if (status.ok()) return QIAO_OK;
  return Report(error, static_cast<int32_t>(status.code()), Message(status));
}

template <size_t N>
void SetText(char (&field)[N], std::string_view text) {
  field[text.copy(field, N - 1)] = '\0';
}

void Close(qiao_device* device) { delete &From(device); }

int32_t Properties(qiao_device* device, qiao_device_properties* out, qiao_error*) {
  const Device& like = *From(device).like;
  *out = like.properties();
  out->flags &= ~(QIAO_DEVICE_UNIFIED | QIAO_DEVICE_CAPTURE);
  out->flags |= QIAO_DEVICE_EMULATED;
  out->memory_bytes = out->memory_free_bytes = 0;
  SetText(out->name, absl::StrFormat("meta, planning as %s would", like.name()));
  SetText(out->description, "holds no memory and runs nothing");
  return QIAO_OK;
}

int32_t Allocate(qiao_device* device, uint64_t bytes, void** out, qiao_error* error) {
  Meta& meta = From(device);
  const uint64_t alignment = meta.like->alignment();
  if (bytes >= kFirstAddress / 2)
    return Report(error, QIAO_RESOURCE_EXHAUSTED, "no address space is that large");
  const uint64_t room = (bytes / alignment + 1) * alignment;
  const uint64_t address = meta.next.fetch_add(room);
  if (address < kFirstAddress || address > UINT64_MAX - room) {
    return Report(error, QIAO_RESOURCE_EXHAUSTED, "the meta device has handed out all its addresses");
  }
  *out = reinterpret_cast<void*>(address);
  return QIAO_OK;
}

int32_t Copy(qiao_stream*, int32_t kind, void*, const void*, uint64_t bytes, qiao_error* error) {
  if (kind == QIAO_COPY_TO_HOST && bytes > 0) {
    return Report(error, QIAO_FAILED_PRECONDITION, "the meta device only plans: it has nothing to read");
  }
  return QIAO_OK;
}

int32_t Fill(qiao_stream*, void*, int32_t, uint64_t, qiao_error*) { return QIAO_OK; }

// A stream and an event are the device itself: there is nothing to order.
int32_t StreamCreate(qiao_device* device, qiao_stream** out, qiao_error*) {
  *out = reinterpret_cast<qiao_stream*>(device);
  return QIAO_OK;
}
int32_t StreamSynchronize(qiao_stream*, qiao_error*) { return QIAO_OK; }
int32_t EventCreate(qiao_device* device, qiao_event** out, qiao_error*) {
  *out = reinterpret_cast<qiao_event*>(device);
  return QIAO_OK;
}
int32_t EventRecordOrWait(qiao_event*, qiao_stream*, qiao_error*) { return QIAO_OK; }
int32_t EventSynchronize(qiao_event*, qiao_error*) { return QIAO_OK; }
int32_t EventElapsed(qiao_event*, qiao_event*, double* seconds, qiao_error*) {
  *seconds = 0;
  return QIAO_OK;
}

int32_t WeightChoose(qiao_device* device, const qiao_weight_request* request, qiao_weight_choice* out,
                     qiao_error* error) {
  auto choice = From(device).like->ChooseWeight(*request);
  if (!choice.ok()) return Report(error, choice.status());
  *out = *choice;
  return QIAO_OK;
}

int32_t WeightStore(qiao_stream*, const qiao_weight_request*, const qiao_weight_choice*, void*, qiao_error*) {
  return QIAO_OK;
}

int32_t CacheChoose(qiao_device* device, int64_t pages, int64_t page_tokens, uint32_t count,
                    qiao_row_kind* kind, uint64_t* pool_bytes, qiao_error* error) {
  auto bytes = From(device).like->ChooseCache(pages, page_tokens, absl::MakeSpan(kind, count));
  if (!bytes.ok()) return Report(error, bytes.status());
  *pool_bytes = *bytes;
  return QIAO_OK;
}

int32_t SupportCall(qiao_device* device, const qiao_op_call* call, qiao_support* out, qiao_error* error) {
  const Device& like = *From(device).like;
  auto support = like.Supports(*call);
  if (!support.ok()) return Report(error, support.status());
  out->yes = 1;
  SetText(out->why, support->yes ? absl::StrFormat("as %s: %s", like.name(), support->why)
                                 : absl::StrFormat("%s would not: %s", like.name(), support->why));
  return QIAO_OK;
}

int32_t OutputBytes(qiao_device* device, const qiao_op_call* call, uint64_t* bytes, qiao_error* error) {
  auto answer = From(device).like->OutputBytes(*call);
  if (!answer.ok()) return Report(error, answer.status());
  *bytes = *answer;
  return QIAO_OK;
}

// Plans say what the other device's plan says, and are all the same object: they are never launched.
int32_t Prepare(qiao_device* device, const qiao_op_call* call, qiao_plan** out, qiao_plan_info* info,
                qiao_error* error) {
  const Device& like = *From(device).like;
  auto support = like.Supports(*call);
  if (!support.ok()) return Report(error, support.status());
  info->flags = 0;
  info->workspace_bytes = 0;
  SetText(info->kernel, "meta");
  if (support->yes) {
    auto plan = like.Prepare(*call);
    if (!plan.ok()) return Report(error, plan.status());
    if ((*plan)->row_invariant()) info->flags |= QIAO_PLAN_ROW_INVARIANT;
    if ((*plan)->reads_host_batch()) info->flags |= QIAO_PLAN_READS_HOST_BATCH;
    info->workspace_bytes = (*plan)->workspace_bytes();
    SetText(info->kernel, (*plan)->kernel());
  }
  *out = reinterpret_cast<qiao_plan*>(device);
  return QIAO_OK;
}

int32_t Launch(qiao_plan*, qiao_stream*, const qiao_launch*, qiao_error* error) {
  return Report(error, QIAO_FAILED_PRECONDITION, "the meta device only plans");
}

const qiao_backend* Table() {
  static const qiao_backend table = [] {
    qiao_backend t{};
    t.struct_size = sizeof(t);
    t.abi_major = QIAO_ABI_MAJOR;
    t.abi_minor = QIAO_ABI_MINOR;
    t.name = "meta";
    t.version = "";
    t.vendor = "Qiao";
    t.close = Close;
    t.properties = Properties;
    t.allocate = Allocate;
    t.copy = Copy;
    t.fill = Fill;
    t.stream_create = StreamCreate;
    t.stream_synchronize = StreamSynchronize;
    t.event_create = EventCreate;
    t.event_record = EventRecordOrWait;
    t.event_wait = EventRecordOrWait;
    t.event_synchronize = EventSynchronize;
    t.event_elapsed = EventElapsed;
    t.weight_choose = WeightChoose;
    t.weight_store = WeightStore;
    t.cache_choose = CacheChoose;
    t.support = SupportCall;
    t.output_bytes = OutputBytes;
    t.prepare = Prepare;
    t.launch = Launch;
    return t;
  }();
  return &table;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Device>> OpenMetaDevice(std::shared_ptr<const Device> like) {
  if (!like) return InvalidArgument("the meta device needs a device whose answers it borrows");
  QIAO_ASSIGN_OR_RETURN(std::shared_ptr<const Backend> backend, Backend::FromTable(Table()));
  std::unique_ptr<Device::State> state = Device::NewState({}, like->state_->describe);
  std::string name = "meta:" + like->name();
  auto meta = std::make_unique<Meta>();
  meta->like = std::move(like);
  return Device::Adopt(std::move(backend), std::move(name), reinterpret_cast<qiao_device*>(meta.release()),
                       std::move(state));
}

}  // namespace qiao::hal
