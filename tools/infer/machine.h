// What the machine has, for doctor and bench. Linux; facts that are unknown elsewhere are 0 or empty.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace qiao::tools {

struct MachineFacts {
  std::string system, kernel, cpu;
  int cpus = 0, usable_cpus = 0;              // in the machine; that this process may use
  std::vector<std::string> instruction_sets;  // of those that kernels know
  std::string huge_pages;                     // transparent ones: "madvise"
  uint64_t memory = 0, available = 0;
  uint64_t memory_limit = 0;  // of the cgroup; 0: none
};
MachineFacts SurveyMachine();

// Whether a program of that name is on PATH.
bool OnPath(const std::string& program);

// What reports say of it, on one line; and the time, as "2026-11-27T21:01:50Z".
std::string MachineLine();
std::string UtcNow();

}  // namespace qiao::tools
