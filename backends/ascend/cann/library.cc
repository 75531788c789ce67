#include "backends/ascend/cann/library.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "backends/ascend/cann/errors.h"

namespace qiao::ascend {
namespace {

// Only the emulator's runtime exports it.
constexpr char kEmulatorMark[] = "qiao_cann_emulator";
constexpr aclError kRepeatedInitialisation = 100002;

std::atomic<const Cann*> loaded{nullptr};

// The folder of this plugin.
std::filesystem::path OwnFolder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&LoadCann), &info) == 0 || info.dli_fname == nullptr) return {};
  return std::filesystem::absolute(info.dli_fname).parent_path();
}

// The toolkit's folder, or empty with a reason.
std::string FindPrefix(std::string& why) {
  const char* own = std::getenv("QIAO_CANN");
  if (own == nullptr || *own == '\0') {
    const char* home = std::getenv("ASCEND_TOOLKIT_HOME");
    if (home != nullptr && *home != '\0') return home;
    why =
        "no CANN: neither ASCEND_TOOLKIT_HOME (set by the toolkit's set_env.sh) nor QIAO_CANN (a toolkit's "
        "folder, "
        "or \"emulator\") is set";
    return {};
  }
  if (std::string_view(own) != "emulator") return own;
  // Beside the plugin where Qiao is installed, one folder further in its build tree.
  const std::filesystem::path folder = OwnFolder();
  std::error_code ignored;
  for (const char* place : {"cann-emulator", "qiao/cann-emulator"}) {
    if (std::filesystem::exists(folder / place / "lib64", ignored)) return (folder / place).string();
  }
  why = "QIAO_CANN=emulator, but there is no cann-emulator folder in " + folder.string() + " nor in " +
        (folder / "qiao").string();
  return {};
}

class Loader {
 public:
  explicit Loader(std::string prefix) : prefix_(std::move(prefix)) {}

  void* Open(const char* name) {
    const std::string path = prefix_ + "/lib64/" + name;
    // Global, as if they were linked: a toolkit's libraries load further ones that expect to see these.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
    if (library == nullptr) Miss(std::string("library ") + dlerror());
    return library;
  }
  template <typename F>
  void Take(void* library, const char* symbol, F& function) {
    if (library == nullptr) return;
    function = reinterpret_cast<F>(dlsym(library, symbol));
    if (function == nullptr) Miss(std::string("symbol ") + symbol);
  }
  void Miss(std::string what) { missing_.push_back(std::move(what)); }

  // Everything that is missing, in one line.
  std::string Missing() const {
    constexpr size_t kMost = 12;
    std::string text;
    for (size_t i = 0; i < missing_.size() && i < kMost; ++i) text += (i > 0 ? ", " : "") + missing_[i];
    if (missing_.size() > kMost) text += " and " + std::to_string(missing_.size() - kMost) + " more";
    return text;
  }

 private:
  std::string prefix_;
  std::vector<std::string> missing_;
};

}  // namespace

const Cann& cann() { return *loaded.load(std::memory_order_acquire); }

const Cann* LoadCann(std::string& why) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (const Cann* known = loaded.load(std::memory_order_acquire)) return known;

  auto table = std::make_unique<Cann>();
  table->prefix = FindPrefix(why);
  if (table->prefix.empty()) return nullptr;
  Loader loader(table->prefix);
  void* runtime = loader.Open("libascendcl.so");
  void* objects = loader.Open("libnnopbase.so");
  void* operators = loader.Open("libopapi.so");
#define QIAO_TAKE(name) loader.Take(runtime, #name, table->name);
  QIAO_ACL_RUNTIME(QIAO_TAKE)
#undef QIAO_TAKE
#define QIAO_TAKE(name) loader.Take(objects, #name, table->name);
  QIAO_ACL_OBJECTS(QIAO_TAKE)
#undef QIAO_TAKE
#define QIAO_TAKE(name)                                                                     \
  loader.Take(operators, "aclnn" #name "GetWorkspaceSize", table->name.get_workspace_size); \
  loader.Take(operators, "aclnn" #name, table->name.run);
  QIAO_ACLNN_OPERATORS(QIAO_TAKE)
#undef QIAO_TAKE
  if (const std::string missing = loader.Missing(); !missing.empty()) {
    why = "CANN in " + table->prefix + " lacks: " + missing;
    return nullptr;
  }
  table->emulated = dlsym(runtime, kEmulatorMark) != nullptr;

  const aclError code = table->aclInit(nullptr);
  if (code != ACL_SUCCESS && code != kRepeatedInitialisation) {
    const char* text = table->aclGetRecentErrMsg();
    why = "CANN in " + table->prefix + ": aclInit failed: " + Explain(code) +
          (text != nullptr && *text != '\0' ? std::string("; ") + text : std::string());
    return nullptr;
  }
  loaded.store(table.get(), std::memory_order_release);
  return table.release();
}

}  // namespace qiao::ascend
