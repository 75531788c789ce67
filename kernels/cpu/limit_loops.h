// The loops that limits.cc times: arithmetic that stays in registers, and a walk over memory. Each is
// compiled for its own instruction set by function attributes and offered only where CPUID (and, for tiles,
// the operating system) says that it runs. They compute nothing that anybody wants.
#pragma once

#include <cstddef>
#include <vector>

namespace qiao::kernels::cpu {

struct ArithmeticLoop {
  const char* name;   // "vdpbf16ps of 512 bits"
  double operations;  // of one run: a product and a sum count as two
  void (*run)();      // a millisecond or so; from several threads at once
};

// Those that this CPU runs, none of them known to be the fastest: that is measured.
std::vector<ArithmeticLoop> F32Loops();
std::vector<ArithmeticLoop> Bf16Loops();  // products of bf16 pairs, sums in f32; f32's own loops do that too
std::vector<ArithmeticLoop> I8Loops();    // products of int8 pairs, sums in int32

struct ReadLoop {
  const char* name;  // "512-bit loads"
  // Reads every byte once; `bytes` is a multiple of 4096 and `data` aligned to 64. Returns a sum of sorts, so
  // that nothing is left out.
  unsigned (*run)(const std::byte* data, size_t bytes);
};

// The widest loads that this CPU has.
ReadLoop BestReadLoop();

}  // namespace qiao::kernels::cpu
