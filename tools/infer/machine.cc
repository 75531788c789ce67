#include "tools/infer/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>

#include "absl/strings/str_format.h"
#include "runtime/base/threads.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value of "KEY : value" or KEY="value", from the first line that has the key.
std::string ValueOf(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t begin = line.find_first_not_of(" \t:=\"", key.size());
    if (begin == std::string::npos) return "";
    return line.substr(begin, line.find_last_not_of(" \"") + 1 - begin);
  }
  return "";
}

uint64_t KibOf(std::string_view key) {
  return std::strtoull(ValueOf("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

std::vector<std::string> InstructionSets() {
  std::string flags = ValueOf("/proc/cpuinfo", "flags");
  if (flags.empty()) flags = ValueOf("/proc/cpuinfo", "Features");
  std::istringstream words(flags);
  const std::set<std::string> have{std::istream_iterator<std::string>(words), {}};
  std::vector<std::string> known;
  for (const char* name :
       {"avx",      "avx2",       "fma",         "f16c",        "avx512f",     "avx512bw", "avx512dq",
        "avx512vl", "avx512vbmi", "avx512_bf16", "avx512_fp16", "avx512_vnni", "avx_vnni", "amx_tile",
        "amx_bf16", "amx_int8",   "asimd",       "sve",         "sve2",        "bf16",     "i8mm"}) {
    if (have.count(name) > 0) known.emplace_back(name);
  }
  return known;
}

// The least limit of the cgroups that the process is in, from its own up to the root (version 2).
uint64_t MemoryLimit() {
  uint64_t least = 0;
  std::string group = FirstLine("/proc/self/cgroup");
  group = group.starts_with("0::") ? group.substr(3) : "/";
  for (;;) {
    const std::string text = FirstLine("/sys/fs/cgroup" + group + "/memory.max");
    const uint64_t limit = std::strtoull(text.c_str(), nullptr, 10);  // 0 for "max" and for no file
    if (limit > 0 && (least == 0 || limit < least)) least = limit;
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos || group.size() <= 1) return least;
    group.resize(slash);
  }
}

}  // namespace

MachineFacts SurveyMachine() {
  MachineFacts facts;
  facts.system = ValueOf("/etc/os-release", "PRETTY_NAME");
  utsname name{};
  if (::uname(&name) == 0) facts.kernel = std::string(name.sysname) + " " + name.release + " " + name.machine;
  facts.cpu = ValueOf("/proc/cpuinfo", "model name");
  facts.cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  facts.usable_cpus = AvailableCpus();
  facts.instruction_sets = InstructionSets();
  // "always [madvise] never": the one in brackets holds.
  const std::string modes = FirstLine("/sys/kernel/mm/transparent_hugepage/enabled");
  const size_t open = modes.find('['), close = modes.find(']');
  if (open != std::string::npos && close != std::string::npos)
    facts.huge_pages = modes.substr(open + 1, close - open - 1);
  facts.memory = KibOf("MemTotal");
  facts.available = KibOf("MemAvailable");
  facts.memory_limit = MemoryLimit();
  return facts;
}

bool OnPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (!folder.empty() && ::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

std::string MachineLine() {
  const MachineFacts facts = SurveyMachine();
  return absl::StrFormat("%s, %d of %d CPUs, %s; %s", facts.cpu.empty() ? "unknown CPU" : facts.cpu,
                         facts.usable_cpus, facts.cpus, Bytes(facts.memory), facts.kernel);
}

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  char text[32] = {};
  if (::gmtime_r(&now, &utc) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace qiao::tools
