// Loading plugins: libqiao_backend_NAME.so, its table copied and filled with stubs where it is short.
#pragma once

#include <qiao/backend.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/status.h"

namespace qiao::hal {

// A loaded plugin. Shared: the library stays loaded as long as anything made from it lives.
class Backend {
 public:
  // NAME ("cpu") is looked up in QIAO_BACKEND_PATH (colon-separated folders), then beside the running program
  // (../lib, ../lib/qiao, ./), then beside libqiao_engine.so (qiao/, ./), then where Qiao was configured to
  // be installed; a string with a slash is a file. Errors say every place that was tried, what dlopen said,
  // or which ABI version the plugin has.
  static absl::StatusOr<std::shared_ptr<const Backend>> Load(std::string_view name_or_path);
  // A table that is part of this process (the meta device, tests). Must outlive the backend.
  static absl::StatusOr<std::shared_ptr<const Backend>> FromTable(const qiao_backend* table,
                                                                  std::string path = "");
  ~Backend();

  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }
  std::string version() const;
  std::string vendor() const;
  const qiao_backend& table() const { return table_; }
  // 0 devices with the plugin's reason in *why.
  absl::StatusOr<uint32_t> DeviceCount(std::string* why) const;

 private:
  Backend() = default;
  qiao_backend table_{};
  std::string name_, path_;
  void* library_ = nullptr;
};

// Every plugin file on the search path, by name, the first of each name; not loaded yet.
struct FoundBackend {
  std::string name, path;
};
std::vector<FoundBackend> FindBackends();
std::vector<std::string> BackendSearchPath();

// A code and message of the C boundary as a Status.
absl::Status ToStatus(int32_t code, const qiao_error& error, std::string_view doing);

}  // namespace qiao::hal
