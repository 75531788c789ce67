// From a function that is compiled for every target to a choice at run time, for one device and not for the
// process: Highway's own dispatch is one global, and two devices of one process may be capped differently.
// Included by the part of a source that is compiled once, after Highway.
#pragma once

#include <cstddef>

#include "hwy/highway.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/kernel.h"

namespace qiao::kernels::cpu {

template <typename Function, size_t kEntries>
Function ChooseFrom(Function const (&table)[kEntries], Isa isa) {
  if constexpr (kEntries == 1) {  // one target only: nothing to choose
    return table[0];
  } else {
    hwy::ChosenTarget chosen;
    chosen.Update(HighwayTargets(isa));
    return table[chosen.GetIndex()];
  }
}

}  // namespace qiao::kernels::cpu

// Defines Kernel SelectFUNCTION(Isa); in the namespace that holds HWY_NAMESPACE.
#define QIAO_CPU_KERNEL(FUNCTION) \
  HWY_EXPORT(FUNCTION);           \
  Kernel Select##FUNCTION(Isa isa) { return ChooseFrom(HWY_DISPATCH_TABLE(FUNCTION), isa); }
