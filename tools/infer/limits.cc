#include "tools/infer/limits.h"

#include <algorithm>

#include "absl/strings/str_split.h"
#include "runtime/hal/device.h"
#include "tools/infer/exit.h"
#include "tools/infer/log.h"
#include "tools/infer/model.h"

namespace qiao::tools {
namespace {

double ArithmeticSeconds(const Limits& limits, const Demand& demand) {
  double seconds = 0;
  for (size_t i = 0; i < demand.flops.size(); ++i) {
    if (limits.peak[i] > 0) seconds += demand.flops[i] / limits.peak[i];
  }
  return seconds;
}

double ReadSeconds(const Limits& limits, const Demand& demand) {
  return limits.read > 0 ? demand.bytes / limits.read : 0;
}

double PeakOf(const Limits& limits, program::Arithmetic arithmetic) {
  return limits.peak[static_cast<size_t>(arithmetic)];
}

}  // namespace

double RooflineSeconds(const Limits& limits, const Demand& demand) {
  return std::max(ArithmeticSeconds(limits, demand), ReadSeconds(limits, demand));
}

bool BoundByReads(const Limits& limits, const Demand& demand) {
  return ReadSeconds(limits, demand) >= ArithmeticSeconds(limits, demand);
}

absl::StatusOr<std::optional<Limits>> MeasureLimits(const DeviceArgs& args, uint64_t stream_bytes) {
  auto device = hal::Device::Open(args.backend, ToRunnerOptions(args).device);
  if (!device.ok()) return ClassifyLoad(device.status(), args);
  auto measured = (*device)->MeasureLimits(stream_bytes);
  if (absl::IsUnimplemented(measured.status())) {
    Log(1, std::string(Message(measured.status())));
    return std::nullopt;
  }
  if (!measured.ok()) return ClassifyLoad(measured.status(), args);
  Limits limits;
  limits.read = measured->read_bytes_per_s;
  for (size_t i = 0; i < limits.peak.size(); ++i) {
    limits.peak[i] = program::PeakOf(*measured, static_cast<program::Arithmetic>(i));
  }
  limits.threads = measured->threads;
  limits.how = absl::StrSplit(measured->how, '\n', absl::SkipEmpty());
  return limits;
}

void TakeBetter(Limits& limits, const Limits& other) {
  limits.read = std::max(limits.read, other.read);
  for (size_t i = 0; i < limits.peak.size(); ++i) limits.peak[i] = std::max(limits.peak[i], other.peak[i]);
}

OrderedJson ToJson(const std::optional<Limits>& limits) {
  OrderedJson json = OrderedJson::object();
  if (!limits) return json;
  json["read_gb_per_s"] = limits->read / 1e9;
  json["bf16_tflop_per_s"] = PeakOf(*limits, program::Arithmetic::kBF16) / 1e12;
  json["int8_top_per_s"] = PeakOf(*limits, program::Arithmetic::kI8) / 1e12;
  json["f32_tflop_per_s"] = PeakOf(*limits, program::Arithmetic::kF32) / 1e12;
  json["threads"] = limits->threads;
  json["how"] = limits->how;
  return json;
}

std::string OneLine(const Limits& limits) {
  return absl::StrFormat("reads %.1f GB/s; bf16 %.2f, f32 %.2f TFLOP/s; int8 %.2f TOP/s", limits.read / 1e9,
                         PeakOf(limits, program::Arithmetic::kBF16) / 1e12,
                         PeakOf(limits, program::Arithmetic::kF32) / 1e12,
                         PeakOf(limits, program::Arithmetic::kI8) / 1e12);
}

}  // namespace qiao::tools
