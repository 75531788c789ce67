// AMX for tests on machines without it: a handler of SIGILL that executes AMX instructions in software, so
// that the very code that runs on the hardware runs here, on any number of threads. Linux on x86-64.
//
// Executed: LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILELOADDT1, TILESTORED, TDPBF16PS,
// TDPBSSD, TDPBSUD, TDPBUSD, TDPBUUD. What the processor would refuse (a tile that is not configured, shapes
// that do not fit) and every other illegal instruction is reported on stderr with its address and bytes, and
// ends the process with SIGILL. An instruction takes one to two microseconds more than on the hardware.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/isa.h"

namespace qiao::kernels::cpu {

// While one of these lives, AMX instructions can be executed: by the hardware, where CPU and kernel offer it,
// and then no handler is installed; else by the emulator. The last one gone restores the handler before.
class AmxForTests {
 public:
  AmxForTests();
  ~AmxForTests();
  AmxForTests(const AmxForTests&) = delete;
  AmxForTests& operator=(const AmxForTests&) = delete;

  static bool OnHardware();
  // How many instructions the emulator has executed, all threads together.
  static uint64_t Emulated();
  // Whether this machine runs the rest of a kernel for Isa::kAmx: AVX-512 up to VBMI and BF16.
  static bool RunsTheRest();
  // What kernels can be tested with while one of these lives: SupportedIsas() and, where the rest of it runs,
  // kAmx. Highest first.
  static std::vector<Isa> Isas();
};

}  // namespace qiao::kernels::cpu
