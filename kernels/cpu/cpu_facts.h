// What a CPU and the kernel above it say of the instruction sets that they offer: the raw registers, so that
// every outcome of choosing among them (isa.h) can be tested on any machine.
#pragma once

#include <cstdint>
#include <string>

namespace qiao::kernels::cpu {

struct CpuFacts {
  int64_t targets = 0;     // Highway's bits of the targets that this machine runs
  std::string vendor;      // CPUID leaf 0: "GenuineIntel"; empty off x86, as all below is zero there
  uint32_t leaf7_ecx = 0;  // CPUID leaf 7, sub-leaf 0
  uint32_t leaf7_edx = 0;
  uint32_t leaf7_1_eax = 0;  // CPUID leaf 7, sub-leaf 1
  uint64_t xcr0 = 0;         // the register state that the kernel saves; 0 where XGETBV does not run

  // Asks the kernel, for all threads of the process, for the memory that AMX's tiles are saved in. 0, or
  // errno's value.
  int (*request_tiles)() = nullptr;

  // Each names what is missing, or is empty.
  std::string LacksGfni() const;   // GFNI, which all that have AVX-512 VBMI2 also have
  std::string LacksBf16() const;   // AVX512-BF16
  std::string LacksAmx() const;    // AMX-TILE, AMX-BF16, AMX-INT8
  bool SavesTiles() const;         // XCR0 has both of AMX's states
  bool Bf16SlowerThanF32() const;  // vdpbf16ps does fewer multiply-adds a cycle than an f32 FMA
};

CpuFacts ReadCpuFacts();

}  // namespace qiao::kernels::cpu
