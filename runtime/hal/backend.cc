#include "runtime/hal/backend.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_split.h"

namespace qiao::hal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFilePrefix = "libqiao_backend_";
constexpr std::string_view kFileSuffix = ".so";

// ---- stubs ----

int32_t Missing(qiao_error* error, const char* entry) {
  error->code = QIAO_UNIMPLEMENTED;
  const std::string message =
      absl::StrFormat("the plugin does not implement %s: the entry is missing from its table or null", entry);
  message.copy(error->message, sizeof(error->message) - 1);
  error->message[std::min(message.size(), sizeof(error->message) - 1)] = '\0';
  return QIAO_UNIMPLEMENTED;
}

// Functions of an entry's own type: one that returns a code answers UNIMPLEMENTED and says which entry it
// stands for, any other does nothing. Name is the type of a lambda that returns the entry's name.
void FindError(qiao_error*& to, qiao_error* from) { to = from; }
template <typename T>
void FindError(qiao_error*&, T) {}

template <typename Name, typename... Args>
auto Stub(int32_t (*)(Args...), Name) -> int32_t (*)(Args...) {
  return [](Args... args) {
    qiao_error* error = nullptr;
    (FindError(error, args), ...);
    return Missing(error, Name{}());
  };
}
template <typename Name, typename... Args>
auto Stub(void (*)(Args...), Name) -> void (*)(Args...) {
  return [](Args...) {};
}

// A table that is older than this header ends early; a plugin in C may leave entries null.
void FillStubs(qiao_backend& t) {
#define QIAO_FILL(entry) \
  if (!t.entry) t.entry = Stub(t.entry, [] { return #entry; });
  QIAO_FILL(device_count)
  QIAO_FILL(open)
  QIAO_FILL(close)
  QIAO_FILL(properties)
  QIAO_FILL(allocate)
  QIAO_FILL(free)
  QIAO_FILL(copy)
  QIAO_FILL(fill)
  QIAO_FILL(stream_create)
  QIAO_FILL(stream_destroy)
  QIAO_FILL(stream_synchronize)
  QIAO_FILL(event_create)
  QIAO_FILL(event_destroy)
  QIAO_FILL(event_record)
  QIAO_FILL(event_wait)
  QIAO_FILL(event_synchronize)
  QIAO_FILL(event_elapsed)
  QIAO_FILL(weight_choose)
  QIAO_FILL(weight_store)
  QIAO_FILL(cache_choose)
  QIAO_FILL(support)
  QIAO_FILL(output_bytes)
  QIAO_FILL(prepare)
  QIAO_FILL(plan_destroy)
  QIAO_FILL(launch)
  QIAO_FILL(capture_begin)
  QIAO_FILL(capture_end)
  QIAO_FILL(capture_update)
  QIAO_FILL(capture_replay)
  QIAO_FILL(capture_destroy)
  QIAO_FILL(measure_limits)
#undef QIAO_FILL
}

// ---- where plugins are looked for ----

std::string FileName(std::string_view name) {
  return absl::StrFormat("%s%s%s", kFilePrefix, name, kFileSuffix);
}

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string List(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

struct LibraryCloser {
  void operator()(void* library) const { dlclose(library); }
};

}  // namespace

std::vector<std::string> BackendSearchPath() {
  std::vector<std::string> folders;
  const auto add = [&](std::string folder) {
    if (!folder.empty() && std::find(folders.begin(), folders.end(), folder) == folders.end()) {
      folders.push_back(std::move(folder));
    }
  };
  if (const char* path = std::getenv("QIAO_BACKEND_PATH")) {
    for (absl::string_view folder : absl::StrSplit(path, ':')) add(std::string(folder));
  }
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  if (!failed && program.has_parent_path()) {
    const fs::path folder = program.parent_path();
    add((folder / "../lib").lexically_normal().string());
    add((folder / "../lib/qiao").lexically_normal().string());
    add(folder.string());
  }
  // Where libqiao_engine.so holds this code: the plugins lie beside it in the build tree and in qiao/ once
  // installed, wherever that was moved to. A relative name is not trusted: it may mean the working directory.
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&BackendSearchPath), &self) != 0 && self.dli_fname) {
    const fs::path library = self.dli_fname;
    if (library.is_absolute()) {
      add((library.parent_path() / "qiao").lexically_normal().string());
      add(library.parent_path().string());
    }
  }
  add(QIAO_INSTALLED_BACKENDS);
  return folders;
}

std::vector<FoundBackend> FindBackends() {
  std::vector<FoundBackend> found;
  for (const std::string& folder : BackendSearchPath()) {
    std::error_code failed;
    std::vector<FoundBackend> here;
    for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
      const std::string file = it->path().filename().string();
      std::string_view name = file;
      if (name.size() <= kFilePrefix.size() + kFileSuffix.size() ||
          name.substr(0, kFilePrefix.size()) != kFilePrefix ||
          name.substr(name.size() - kFileSuffix.size()) != kFileSuffix) {
        continue;
      }
      name.remove_prefix(kFilePrefix.size());
      name.remove_suffix(kFileSuffix.size());
      if (IsName(name)) here.push_back({std::string(name), it->path().string()});
    }
    // The order of a directory is the file system's; the answer should not be.
    std::sort(here.begin(), here.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    for (FoundBackend& backend : here) {
      const bool known = std::any_of(found.begin(), found.end(),
                                     [&](const FoundBackend& other) { return other.name == backend.name; });
      if (!known) found.push_back(std::move(backend));
    }
  }
  return found;
}

absl::StatusOr<std::shared_ptr<const Backend>> Backend::Load(std::string_view name_or_path) {
  std::string path;
  if (name_or_path.find('/') != std::string_view::npos) {
    path = name_or_path;
  } else {
    if (!IsName(name_or_path)) {
      return InvalidArgument(
          "backend \"%s\": a name has letters, digits, _ and - only; a file needs a slash (./FILE)",
          name_or_path);
    }
    std::vector<std::string> tried;
    for (const std::string& folder : BackendSearchPath()) {
      std::string candidate = (fs::path(folder) / FileName(name_or_path)).string();
      std::error_code failed;
      if (fs::exists(candidate, failed)) {
        path = std::move(candidate);
        break;
      }
      tried.push_back(std::move(candidate));
    }
    if (path.empty()) {
      std::vector<std::string> names;
      for (const FoundBackend& backend : FindBackends()) names.push_back(backend.name);
      return NotFound(
          "backend \"%s\" was not found; tried:%s\nbackends that are there:%s\nset QIAO_BACKEND_PATH to the "
          "folder that holds %s",
          name_or_path, List(tried), names.empty() ? " none" : List(names), FileName(name_or_path));
    }
  }

  // RTLD_NOW: a plugin that lacks a symbol fails here and not in the middle of a step.
  std::unique_ptr<void, LibraryCloser> library(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (!library) {
    const char* said = dlerror();
    std::error_code failed;
    const bool there = fs::exists(path, failed);
    const absl::StatusCode code = there ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kNotFound;
    return absl::Status(
        code, absl::StrFormat("backend %s cannot be loaded: %s", path, said ? said : "unknown error"));
  }
  void* symbol = dlsym(library.get(), QIAO_BACKEND_ENTRY_NAME);
  if (!symbol) {
    return FailedPrecondition("%s is no Qiao backend: it does not export %s", path, QIAO_BACKEND_ENTRY_NAME);
  }
  auto entry = reinterpret_cast<qiao_backend_entry_fn>(symbol);
  const qiao_backend* table = entry(QIAO_ABI_MAJOR, QIAO_ABI_MINOR);
  if (!table) {
    return FailedPrecondition("backend %s does not work with this Qiao, whose plugin ABI is %d.%d", path,
                              QIAO_ABI_MAJOR, QIAO_ABI_MINOR);
  }
  QIAO_ASSIGN_OR_RETURN(std::shared_ptr<const Backend> backend, FromTable(table, path));
  const_cast<Backend&>(*backend).library_ = library.release();
  return backend;
}

absl::StatusOr<std::shared_ptr<const Backend>> Backend::FromTable(const qiao_backend* table,
                                                                  std::string path) {
  const std::string where = path.empty() ? "backend table" : "backend " + path;
  if (!table) return InvalidArgument("%s: the table is null", where);
  // Everything up to the first function has been there from the beginning.
  constexpr size_t kLeast = offsetof(qiao_backend, device_count);
  if (table->struct_size < kLeast) {
    return FailedPrecondition("%s: its table has %u bytes, at least %u are needed; is struct_size set?",
                              where, table->struct_size, kLeast);
  }
  // While the major version is 0, minor versions differ in more than what they add.
  const bool fits =
      table->abi_major == QIAO_ABI_MAJOR && (QIAO_ABI_MAJOR > 0 || table->abi_minor == QIAO_ABI_MINOR);
  if (!fits) {
    return FailedPrecondition(
        "%s was built for plugin ABI %u.%u, this Qiao has %d.%d; rebuild the plugin against this "
        "version's qiao/backend.h",
        where, table->abi_major, table->abi_minor, QIAO_ABI_MAJOR, QIAO_ABI_MINOR);
  }
  std::shared_ptr<Backend> backend(new Backend());
  // Whole pointers only: an entry that the plugin's struct cuts in two is not there.
  const size_t common =
      std::min<size_t>(table->struct_size, sizeof(qiao_backend)) / sizeof(void*) * sizeof(void*);
  std::memcpy(&backend->table_, table, common);
  FillStubs(backend->table_);
  backend->name_ = table->name ? table->name : "";
  if (backend->name_.empty()) return FailedPrecondition("%s: its table has no name", where);
  backend->path_ = std::move(path);
  return std::shared_ptr<const Backend>(std::move(backend));
}

Backend::~Backend() {
  if (library_) dlclose(library_);
}

std::string Backend::version() const { return table_.version ? table_.version : ""; }
std::string Backend::vendor() const { return table_.vendor ? table_.vendor : ""; }

absl::StatusOr<uint32_t> Backend::DeviceCount(std::string* why) const {
  uint32_t count = 0;
  qiao_error error{};
  error.struct_size = sizeof(error);
  const int32_t code = table_.device_count(&count, &error);
  if (code != QIAO_OK)
    return ToStatus(code, error, absl::StrFormat("counting the devices of backend %s", name_));
  if (why) *why = std::string(error.message, strnlen(error.message, sizeof(error.message)));
  return count;
}

absl::Status ToStatus(int32_t code, const qiao_error& error, std::string_view doing) {
  if (code == QIAO_OK) return absl::OkStatus();
  std::string message(doing);
  const std::string_view said(error.message, strnlen(error.message, sizeof(error.message)));
  message += ": ";
  message += said.empty() ? std::string_view("the backend gives no reason") : said;
  if (error.vendor_code != 0) message += absl::StrFormat(" (vendor code %d)", error.vendor_code);

  absl::StatusCode as = absl::StatusCode::kUnknown;
  switch (code) {
    case QIAO_CANCELLED:
      as = absl::StatusCode::kCancelled;
      break;
    case QIAO_UNKNOWN:
      break;
    case QIAO_INVALID_ARGUMENT:
      as = absl::StatusCode::kInvalidArgument;
      break;
    case QIAO_NOT_FOUND:
      as = absl::StatusCode::kNotFound;
      break;
    case QIAO_RESOURCE_EXHAUSTED:
      as = absl::StatusCode::kResourceExhausted;
      break;
    case QIAO_FAILED_PRECONDITION:
      as = absl::StatusCode::kFailedPrecondition;
      break;
    case QIAO_UNIMPLEMENTED:
      as = absl::StatusCode::kUnimplemented;
      break;
    case QIAO_INTERNAL:
      as = absl::StatusCode::kInternal;
      break;
    case QIAO_UNAVAILABLE:
    case QIAO_DEVICE_LOST:
      as = absl::StatusCode::kUnavailable;
      break;
    default:
      message += absl::StrFormat(" (unknown code %d)", code);
  }
  return absl::Status(as, message);
}

}  // namespace qiao::hal
