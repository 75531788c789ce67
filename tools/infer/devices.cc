#include "tools/infer/devices.h"

#include "absl/strings/str_split.h"

namespace qiao::tools {

bool BackendFacts::usable() const {
  for (const DeviceFacts& device : devices) {
    if (device.error.empty()) return true;
  }
  return false;
}

std::vector<BackendFacts> SurveyBackends() {
  std::vector<BackendFacts> all;
  for (const hal::FoundBackend& found : hal::FindBackends()) {
    BackendFacts& facts = all.emplace_back();
    facts.name = found.name;
    facts.path = found.path;
    auto backend = hal::Backend::Load(found.path);
    if (!backend.ok()) {
      facts.error = std::string(Message(backend.status()));
      continue;
    }
    facts.version = (*backend)->version();
    facts.vendor = (*backend)->vendor();
    auto count = (*backend)->DeviceCount(&facts.no_device);
    if (!count.ok()) {
      facts.error = std::string(Message(count.status()));
      continue;
    }
    for (uint32_t i = 0; i < *count; ++i) {
      DeviceFacts& device = facts.devices.emplace_back();
      device.name = i == 0 ? facts.name : absl::StrFormat("%s:%d", facts.name, i);
      auto opened = hal::Device::Open(*backend, i, {});
      if (!opened.ok()) {
        device.error = std::string(Message(opened.status()));
        continue;
      }
      device.properties = (*opened)->properties();
      device.description = absl::StrSplit(device.properties.description, '\n', absl::SkipEmpty());
    }
  }
  return all;
}

}  // namespace qiao::tools
