#include "backends/ascend/device.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "backends/ascend/cann/errors.h"
#include "backends/ascend/ops/ops.h"
#include "backends/ascend/stream.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

// aclrtMalloc gives multiples of 64.
constexpr uint64_t kAlignment = 64;
// What the fused attention of MLA likes.
constexpr uint32_t kPageTokens = 128;

std::atomic<uint64_t> next_id{1};
thread_local uint64_t bound_id = 0;

}  // namespace

Chip Chip::Of(std::string soc) {
  Chip chip;
  chip.soc = std::move(soc);
  chip.matrix_dtypes = 1u << QIAO_F16 | 1u << QIAO_BF16 | 1u << QIAO_I8;
  chip.has_f8 = chip.soc.rfind("Ascend950", 0) == 0;
  if (chip.has_f8) chip.matrix_dtypes |= 1u << QIAO_F8E4M3 | 1u << QIAO_F8E5M2;
  return chip;
}

uint32_t AscendDevice::Count(std::string& why) {
  const Cann* table = LoadCann(why);
  if (table == nullptr) return 0;
  uint32_t count = 0;
  if (const aclError code = table->aclrtGetDeviceCount(&count); code != ACL_SUCCESS) {
    why = "CANN in " + table->prefix + ": " + Failed("aclrtGetDeviceCount", code).message();
    return 0;
  }
  if (count == 0)
    why = "CANN in " + table->prefix + " sees no device; see npu-smi info and ASCEND_RT_VISIBLE_DEVICES";
  return count;
}

Status AscendDevice::Open(uint32_t index, Host host, std::unique_ptr<Device>& out) {
  WeightOptions weights;
  Options options(host);
  AddWeightOptions(options, weights);
  // A vendor's products sum in whatever order is fastest anyway.
  std::string order = "fast";
  options.Text("order", order, {"fast"});
  QIAO_PLUGIN_RETURN_IF_ERROR(options.Finish());

  const auto device = static_cast<int32_t>(index);
  QIAO_PLUGIN_RETURN_IF_ERROR(Check("aclrtSetDevice", cann().aclrtSetDevice(device)));
  aclrtContext context = nullptr;
  if (Status status = Check("aclrtCreateContext", cann().aclrtCreateContext(&context, device));
      !status.ok()) {
    (void)cann().aclrtResetDevice(device);
    return status;
  }
  const char* soc = cann().aclrtGetSocName();
  auto made = std::make_unique<AscendDevice>(std::move(host), device, context,
                                             Chip::Of(soc != nullptr ? soc : "Ascend"), weights);
  QIAO_PLUGIN_RETURN_IF_ERROR(made->PlaceConstants());
  out = std::move(made);
  return Ok();
}

AscendDevice::AscendDevice(Host host, int32_t index, aclrtContext context, Chip chip, WeightOptions weights)
    : host_(std::move(host)),
      index_(index),
      context_(context),
      id_(next_id++),
      chip_(std::move(chip)),
      weights_(host_, chip_.has_f8, weights) {
  RegisterOperations(*this, registry());
}

Status AscendDevice::Place(const void* bytes, uint64_t size, void** out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Allocate(size, out));
  std::unique_ptr<Stream> stream;
  QIAO_PLUGIN_RETURN_IF_ERROR(CreateStream(stream));
  QIAO_PLUGIN_RETURN_IF_ERROR(stream->Copy(QIAO_COPY_TO_DEVICE, *out, bytes, size));
  return stream->Synchronize();
}

Status AscendDevice::PlaceConstants() {
  std::vector<int32_t> numbers(kIota);
  std::iota(numbers.begin(), numbers.end(), 0);
  return Place(numbers.data(), numbers.size() * sizeof(int32_t), &iota_);
}

Status AscendDevice::PlaceUpperTriangle() {
  Status status;
  std::call_once(triangle_once_, [&] {
    constexpr auto kWidth = static_cast<size_t>(kTriangle);
    std::vector<int8_t> mask(kWidth * kWidth, 0);
    for (size_t row = 0; row < kWidth; ++row)
      std::fill_n(mask.begin() + row * kWidth + row + 1, kWidth - row - 1, 1);
    void* placed = nullptr;
    status = Place(mask.data(), mask.size(), &placed);
    if (status.ok()) upper_triangle_ = placed;
  });
  if (status.ok() && upper_triangle_ == nullptr)
    return ResourceExhausted("no room for the mask of the attention");
  return status;
}

AscendDevice::~AscendDevice() {
  Free(iota_);
  Free(upper_triangle_);
  (void)cann().aclrtDestroyContext(context_);
  (void)cann().aclrtResetDevice(index_);
  if (bound_id == id_) bound_id = 0;
}

Status AscendDevice::Bind() const {
  if (bound_id == id_) return Ok();
  QIAO_PLUGIN_RETURN_IF_ERROR(Check("aclrtSetCurrentContext", cann().aclrtSetCurrentContext(context_)));
  bound_id = id_;
  return Ok();
}

Status AscendDevice::Synchronize() const {
  QIAO_PLUGIN_RETURN_IF_ERROR(Bind());
  return Check("aclrtSynchronizeDevice", cann().aclrtSynchronizeDevice());
}

Status AscendDevice::Properties(qiao_device_properties& properties) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Bind());
  size_t free = 0, total = 0;
  QIAO_PLUGIN_RETURN_IF_ERROR(Check("aclrtGetMemInfo", cann().aclrtGetMemInfo(ACL_HBM_MEM, &free, &total)));
  properties.flags = QIAO_DEVICE_CAPTURE;
  if (cann().emulated) properties.flags |= QIAO_DEVICE_EMULATED;
  properties.memory_bytes = total;
  properties.memory_free_bytes = free;
  properties.alignment = kAlignment;
  properties.page_tokens = kPageTokens;
  properties.matrix_dtypes = chip_.matrix_dtypes;
  SetText(properties.name, chip_.soc + (cann().emulated ? " (emulated)" : ""));
  std::string description = "CANN in " + cann().prefix;
  description += chip_.has_f8 ? "\nmatrix units for bf16, int8 and E4M3"
                              : "\nmatrix units for bf16 and int8; none for E4M3: " + weights_.Summary();
  SetText(properties.description, description);
  return Ok();
}

Status AscendDevice::Allocate(uint64_t bytes, void** out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Bind());
  const uint64_t size = std::max<uint64_t>(bytes, 1);
  QIAO_PLUGIN_RETURN_IF_ERROR(host_.Reserve(size));
  void* memory = nullptr;
  if (const aclError code = cann().aclrtMalloc(&memory, size, ACL_MEM_MALLOC_HUGE_FIRST);
      code != ACL_SUCCESS) {
    host_.Release(size);
    return Failed(Format("aclrtMalloc of %.1f MiB", static_cast<double>(size) / 1048576), code);
  }
  const std::lock_guard lock(mutex_);
  allocated_[memory] = size;
  *out = memory;
  return Ok();
}

void AscendDevice::Free(void* memory) {
  uint64_t size = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto found = allocated_.find(memory);
    if (found == allocated_.end()) return;
    size = found->second;
    allocated_.erase(found);
  }
  if (Bind().ok()) (void)cann().aclrtFree(memory);
  host_.Release(size);
}

Status AscendDevice::CreateStream(std::unique_ptr<Stream>& out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Bind());
  aclrtStream handle = nullptr;
  QIAO_PLUGIN_RETURN_IF_ERROR(Check("aclrtCreateStream", cann().aclrtCreateStream(&handle)));
  out = std::make_unique<AscendStream>(*this, handle);
  return Ok();
}

Status AscendDevice::CreateEvent(std::unique_ptr<Event>& out) {
  QIAO_PLUGIN_RETURN_IF_ERROR(Bind());
  aclrtEvent handle = nullptr;
  QIAO_PLUGIN_RETURN_IF_ERROR(Check("aclrtCreateEvent", cann().aclrtCreateEvent(&handle)));
  out = std::make_unique<AscendEvent>(*this, handle);
  return Ok();
}

Status AscendDevice::ChooseWeight(const qiao_weight_request& request, qiao_weight_choice& choice) {
  choice.alignment = kAlignment;
  return weights_.Choose(request, choice);
}

Status AscendDevice::StoreWeight(Stream& stream, const qiao_weight_request& request,
                                 const qiao_weight_choice& choice, void* dst) {
  stored_weights_ = true;
  return weights_.Store(stream, request, choice, dst);
}

}  // namespace qiao::ascend
