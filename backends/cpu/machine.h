// What this machine is, as far as the properties of the CPU device tell it. Linux; elsewhere facts are
// absent.
#pragma once

#include <cstdint>
#include <string>

namespace qiao::cpu_backend {

// "AMD EPYC 9B45": the brand string of CPUID or of /proc/cpuinfo; "CPU" where there is none.
std::string CpuName();

// "L1d 48 KiB, L2 1 MiB, L3 32 MiB" of the first CPU; empty where unknown.
std::string CacheSizes();

// Bytes that this process may use and those of them that are free: the machine's memory, or the least of the
// limits of the cgroups (v1 and v2) that it is in. 0 where unknown.
struct Memory {
  uint64_t total = 0, free = 0;
};
Memory ReadMemory();

// Whether the kernel gives huge pages to those who ask: the chosen word of transparent_hugepage/enabled
// ("madvise"); empty where unknown.
std::string HugePageMode();

}  // namespace qiao::cpu_backend
