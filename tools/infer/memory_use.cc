#include "tools/infer/memory_use.h"

#include <cstdio>
#include <fstream>
#include <string>

namespace qiao::tools {

MemoryUse ReadMemoryUse() {
  MemoryUse use;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    unsigned long long kib = 0;
    if (std::sscanf(line.c_str(), "VmHWM: %llu kB", &kib) == 1) use.peak = kib * 1024;
    if (std::sscanf(line.c_str(), "RssAnon: %llu kB", &kib) == 1) use.anonymous = kib * 1024;
    if (std::sscanf(line.c_str(), "RssFile: %llu kB", &kib) == 1) use.file = kib * 1024;
  }
  return use;
}

bool ResetPeakMemory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

}  // namespace qiao::tools
