// Every plugin on the search path, tried: for `backends` and `doctor`.
#pragma once

#include <string>
#include <vector>

#include "runtime/hal/device.h"

namespace qiao::tools {

struct DeviceFacts {
  std::string name;   // as --backend takes it: "mychip:1"
  std::string error;  // why it cannot be opened; then the rest is empty
  qiao_device_properties properties{};
  std::vector<std::string> description;  // a line a fact
};

struct BackendFacts {
  std::string name, path;
  std::string error;  // why it cannot be loaded; then the rest is empty
  std::string version, vendor;
  std::string no_device;  // the plugin's reason where there is none
  std::vector<DeviceFacts> devices;
  bool usable() const;
};

std::vector<BackendFacts> SurveyBackends();

}  // namespace qiao::tools
