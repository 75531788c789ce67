// infer backends: what is found, and what each device is.
#include <cstdio>

#include "absl/strings/str_split.h"
#include "tools/infer/args.h"
#include "tools/infer/devices.h"
#include "tools/infer/exit.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

OrderedJson ToJson(const DeviceFacts& device) {
  OrderedJson json;
  json["name"] = device.name;
  if (!device.error.empty()) {
    json["error"] = device.error;
    return json;
  }
  const qiao_device_properties& p = device.properties;
  json["device"] = p.name;
  json["description"] = device.description;
  json["memory_bytes"] = p.memory_bytes;
  json["memory_free_bytes"] = p.memory_free_bytes;
  json["unified"] = (p.flags & QIAO_DEVICE_UNIFIED) != 0;
  json["emulated"] = (p.flags & QIAO_DEVICE_EMULATED) != 0;
  json["threads"] = p.threads;
  json["page_tokens"] = p.page_tokens;
  json["alignment"] = p.alignment;
  return json;
}

void PrintDevice(const DeviceFacts& device) {
  if (!device.error.empty()) {
    std::printf("  %s  %s\n", device.name.c_str(), Out(Style::kRed, Printable(device.error)).c_str());
    return;
  }
  const qiao_device_properties& p = device.properties;
  std::printf("  %s  %s\n", Out(Style::kCyan, device.name).c_str(), Printable(p.name).c_str());
  for (const std::string& line : device.description) std::printf("      %s\n", Printable(line).c_str());
  std::string memory =
      p.memory_bytes == 0 ? "memory unknown" : absl::StrFormat("%s memory", Bytes(p.memory_bytes));
  if (p.memory_free_bytes > 0) absl::StrAppendFormat(&memory, ", %s free", Bytes(p.memory_free_bytes));
  memory += (p.flags & QIAO_DEVICE_UNIFIED) != 0 ? ", shared with the host" : ", its own";
  if (p.threads > 0) absl::StrAppendFormat(&memory, "; %d thread%s", p.threads, p.threads == 1 ? "" : "s");
  if ((p.flags & QIAO_DEVICE_EMULATED) != 0) memory += "; emulated";
  std::printf("      %s\n", memory.c_str());
}

}  // namespace

absl::Status Backends(const BackendsArgs& args) {
  const std::vector<BackendFacts> found = SurveyBackends();
  if (args.json) {
    OrderedJson json;
    json["backends"] = OrderedJson::array();
    for (const BackendFacts& backend : found) {
      OrderedJson entry{{"name", backend.name}, {"path", backend.path}};
      if (!backend.error.empty()) {
        entry["error"] = backend.error;
      } else {
        entry["version"] = backend.version;
        entry["vendor"] = backend.vendor;
        entry["devices"] = OrderedJson::array();
        for (const DeviceFacts& device : backend.devices) entry["devices"].push_back(ToJson(device));
        if (!backend.no_device.empty()) entry["no_device"] = backend.no_device;
      }
      json["backends"].push_back(std::move(entry));
    }
    json["search_path"] = hal::BackendSearchPath();
    PrintJson(json);
  } else {
    for (const BackendFacts& backend : found) {
      std::printf("%s", Out(Style::kBold, backend.name).c_str());
      if (backend.error.empty())
        std::printf(" %s, %s", Printable(backend.version).c_str(), Printable(backend.vendor).c_str());
      std::printf("  %s\n", Out(Style::kDim, Printable(backend.path)).c_str());
      if (!backend.error.empty()) std::printf("  %s\n", Out(Style::kRed, Printable(backend.error)).c_str());
      for (const DeviceFacts& device : backend.devices) PrintDevice(device);
      if (!backend.no_device.empty()) std::printf("  no device: %s\n", Printable(backend.no_device).c_str());
    }
  }
  std::fflush(stdout);
  for (const BackendFacts& backend : found) {
    if (backend.usable()) return absl::OkStatus();
  }
  return WithHint(WithExit(NotFound("no plugin with a device was found"), kExitUnsupported),
                  "infer doctor says where plugins are looked for");
}

}  // namespace qiao::tools
