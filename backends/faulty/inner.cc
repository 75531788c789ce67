#include "backends/faulty/inner.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

namespace qiao::faulty_backend {
namespace {

namespace fs = std::filesystem;
using plugin::FailedPrecondition;
using plugin::Format;
using plugin::Ok;
using plugin::Status;

std::vector<std::string> Folders() {
  std::vector<std::string> folders;
  if (const char* path = std::getenv("QIAO_BACKEND_PATH")) {
    const std::string all = path;
    for (size_t at = 0; at <= all.size();) {
      const size_t end = std::min(all.find(':', at), all.size());
      if (end > at) folders.push_back(all.substr(at, end - at));
      at = end + 1;
    }
  }
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&Folders), &self) != 0 && self.dli_fname) {
    // Empty where the loader found this plugin by its bare name: that says nothing about a folder.
    const fs::path folder = fs::path(self.dli_fname).parent_path();
    if (!folder.empty()) folders.push_back(folder.string());
  }
  return folders;
}

Status Find(const std::string& name, std::string& path) {
  std::string tried;
  for (const std::string& folder : Folders()) {
    path = (fs::path(folder) / ("libqiao_backend_" + name + ".so")).string();
    std::error_code failed;
    if (fs::exists(path, failed)) return Ok();
    tried += "\n  " + path;
  }
  return plugin::NotFound("inner backend \"" + name + "\" was not found; tried:" + tried);
}

}  // namespace

Inner::~Inner() {
  if (library_) dlclose(library_);
}

Status Inner::Read(const std::string& path) {
  library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library_) {
    const char* said = dlerror();
    return FailedPrecondition("inner backend " + path + " cannot be loaded: " + (said ? said : "no reason"));
  }
  auto entry = reinterpret_cast<qiao_backend_entry_fn>(dlsym(library_, QIAO_BACKEND_ENTRY_NAME));
  const qiao_backend* table = entry ? entry(QIAO_ABI_MAJOR, QIAO_ABI_MINOR) : nullptr;
  if (!table || table->struct_size < offsetof(qiao_backend, device_count) ||
      table->abi_major != QIAO_ABI_MAJOR || table->abi_minor != QIAO_ABI_MINOR) {
    return FailedPrecondition(Format("inner backend %s has no table of plugin ABI %d.%d", path.c_str(),
                                     QIAO_ABI_MAJOR, QIAO_ABI_MINOR));
  }
  // Whole pointers only, as the loader of this plugin does.
  const size_t common = std::min<size_t>(table->struct_size, sizeof(table_)) / sizeof(void*) * sizeof(void*);
  std::memcpy(&table_, table, common);
  if (!table_.device_count || !table_.open || !table_.close) {
    return FailedPrecondition("inner backend " + path + " opens and closes no devices");
  }
  return Ok();
}

Status Inner::Load(const std::string& given, std::unique_ptr<Inner>& out) {
  std::unique_ptr<Inner> inner(new Inner());
  std::string name = given, path;
  if (const size_t colon = name.rfind(':'); colon != std::string::npos) {
    const std::string digits = name.substr(colon + 1);
    if (!digits.empty() && digits.size() <= 4 &&
        digits.find_first_not_of("0123456789") == std::string::npos) {
      inner->index_ = static_cast<uint32_t>(std::strtoul(digits.c_str(), nullptr, 10));
      name.resize(colon);
    }
  }
  if (name.find('/') != std::string::npos) {
    path = name;
  } else {
    QIAO_PLUGIN_RETURN_IF_ERROR(Find(name, path));
  }
  QIAO_PLUGIN_RETURN_IF_ERROR(inner->Read(path));
  out = std::move(inner);
  return Ok();
}

}  // namespace qiao::faulty_backend
