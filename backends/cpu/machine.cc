#include "backends/cpu/machine.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace qiao::cpu_backend {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::optional<uint64_t> Number(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  const auto result = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

// The value of "Key:   123 kB" in bytes.
std::optional<uint64_t> Kilobytes(const std::string& text, const std::string& key) {
  const size_t at = text.find(key + ":");
  if (at == std::string::npos) return std::nullopt;
  const auto value = Number(std::string_view(text).substr(at + key.size() + 1));
  return value ? std::optional(*value * 1024) : std::nullopt;
}

// One cgroup's limit and use. Page cache that the group could give back counts as free.
void Limit(const std::string& folder, const char* limit_file, const char* use_file,
           const std::string& inactive_key, Memory& memory) {
  const auto limit = Number(ReadFile(folder + "/" + limit_file));  // "max" is no number
  if (!limit || (memory.total != 0 && *limit >= memory.total)) return;
  memory.total = *limit;
  uint64_t used = Number(ReadFile(folder + "/" + use_file)).value_or(0);
  const std::string stat = ReadFile(folder + "/memory.stat");
  if (const size_t at = stat.find(inactive_key + " "); at != std::string::npos) {
    used -= std::min(used, Number(std::string_view(stat).substr(at + inactive_key.size())).value_or(0));
  }
  memory.free = std::min(memory.free, *limit - std::min(*limit, used));
}

// Applies `limit` to a cgroup and all above it.
template <typename Apply>
void Upwards(const std::string& mount, std::string path, const Apply& apply) {
  while (true) {
    while (!path.empty() && path.back() == '/') path.pop_back();
    apply(mount + path);
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

}  // namespace

std::string CpuName() {
  std::string name;
#if defined(__x86_64__)
  unsigned words[12] = {};
  // GCC's header returns unsigned here, clang's int.
  if (static_cast<unsigned>(__get_cpuid_max(0x80000000u, nullptr)) >= 0x80000004u) {
    for (unsigned i = 0; i < 3; ++i) {
      unsigned* w = words + 4 * i;
      __get_cpuid(0x80000002u + i, w, w + 1, w + 2, w + 3);
    }
    char text[49] = {};
    std::memcpy(text, words, 48);
    name = text;
  }
#else
  std::istringstream lines(ReadFile("/proc/cpuinfo"));
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      name = line.substr(colon + 2);
      break;
    }
  }
#endif
  const size_t begin = name.find_first_not_of(' ');
  if (begin == std::string::npos) return "CPU";
  return name.substr(begin, name.find_last_not_of(' ') + 1 - begin);
}

std::string CacheSizes() {
  std::string sizes;
  for (int i = 0; i < 8; ++i) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/";
    const std::string level = ReadFile(folder + "level"), type = ReadFile(folder + "type");
    const std::string size = ReadFile(folder + "size");
    if (level.empty() || size.empty() || type == "Instruction") continue;
    const auto kib = Number(size);
    const bool mib = kib && *kib >= 1024 && *kib % 1024 == 0 && size.back() == 'K';
    if (!sizes.empty()) sizes += ", ";
    sizes += "L" + level + (type == "Data" ? "d " : " ");
    sizes += mib ? std::to_string(*kib / 1024) + " MiB" : size + "iB";
  }
  return sizes;
}

Memory ReadMemory() {
  const std::string meminfo = ReadFile("/proc/meminfo");
  Memory memory{Kilobytes(meminfo, "MemTotal").value_or(0), Kilobytes(meminfo, "MemAvailable").value_or(0)};
  std::istringstream lines(ReadFile("/proc/self/cgroup"));  // "hierarchy:controllers:path"
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1),
                      path = line.substr(second + 1);
    if (controllers.empty()) {
      Upwards("/sys/fs/cgroup", path, [&](const std::string& folder) {
        Limit(folder, "memory.max", "memory.current", "inactive_file", memory);
      });
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      Upwards("/sys/fs/cgroup/memory", path, [&](const std::string& folder) {
        Limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", memory);
      });
    }
  }
  return memory;
}

std::string HugePageMode() {
  const std::string modes =
      ReadFile("/sys/kernel/mm/transparent_hugepage/enabled");  // "always [madvise] never"
  const size_t begin = modes.find('['), end = modes.find(']');
  return begin == std::string::npos || end == std::string::npos ? ""
                                                                : modes.substr(begin + 1, end - begin - 1);
}

}  // namespace qiao::cpu_backend
