// One Ascend device (of a 910C: one of its two dies) under AscendCL: memory, streams, events, and the operations that
// are composed of aclnn operators (ops/). How weights lie in its memory: weights.h.
//
// Every call may come from any thread. CANN keeps a current context for each thread: Bind sets it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <qiao/backend.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "backends/ascend/cann/library.h"
#include "backends/ascend/weights.h"

namespace qiao::ascend {

// What the name of the SoC tells.
struct Chip {
  std::string soc;      // "Ascend910B4"
  bool has_f8 = false;  // 950: matrix units for E4M3
  uint32_t matrix_dtypes = 0;
  static Chip Of(std::string soc);
};

class AscendDevice : public plugin::Device {
 public:
  static uint32_t Count(std::string& why);
  static plugin::Status Open(uint32_t index, plugin::Host host, std::unique_ptr<plugin::Device>& out);

  AscendDevice(plugin::Host host, int32_t index, aclrtContext context, Chip chip, WeightOptions weights);
  ~AscendDevice() override;
  // What the operations find on the device; before the first of them is launched.
  plugin::Status PlaceConstants();

  plugin::Status Properties(qiao_device_properties& properties) override;
  plugin::Status Allocate(uint64_t bytes, void** out) override;
  void Free(void* memory) override;
  plugin::Status CreateStream(std::unique_ptr<plugin::Stream>& out) override;
  plugin::Status CreateEvent(std::unique_ptr<plugin::Event>& out) override;
  plugin::Status ChooseWeight(const qiao_weight_request& request, qiao_weight_choice& choice) override;
  plugin::Status StoreWeight(plugin::Stream& stream, const qiao_weight_request& request,
                             const qiao_weight_choice& choice, void* dst) override;

  // Makes this device's context the calling thread's.
  plugin::Status Bind() const;
  // Waits for all streams.
  plugin::Status Synchronize() const;

  const Chip& chip() const { return chip_; }
  // On the device: the numbers 0 .. kIota - 1 as i32.
  static constexpr int64_t kIota = 2048;
  void* iota() const { return iota_; }
  // On the device: i8 [kTriangle, kTriangle], 1 above the diagonal; null until it was placed. 4 MiB, so that only a
  // device whose attention wants it has it. The fused operator asks for this width.
  static constexpr int64_t kTriangle = 2048;
  plugin::Status PlaceUpperTriangle();
  void* upper_triangle() const { return upper_triangle_; }
  const Weights& weights() const { return weights_; }
  // Logs what the weights became, when the first launch after they were stored comes.
  void ReportWeights() {
    if (stored_weights_.load(std::memory_order_relaxed) && stored_weights_.exchange(false)) weights_.Report();
  }

 private:
  // Device memory with a copy of these bytes.
  plugin::Status Place(const void* bytes, uint64_t size, void** out);

  plugin::Host host_;
  int32_t index_;
  aclrtContext context_;
  uint64_t id_;  // never used twice in a process
  Chip chip_;
  void* iota_ = nullptr;
  std::once_flag triangle_once_;
  std::atomic<void*> upper_triangle_{nullptr};
  Weights weights_;
  std::atomic<bool> stored_weights_{false};
  std::mutex mutex_;
  std::unordered_map<void*, uint64_t> allocated_;  // guarded by mutex_
};

}  // namespace qiao::ascend
