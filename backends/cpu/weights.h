// How the cpu backend wants its weights: as they lie in the files, or, where the host would rather not keep
// them mapped, packed into memory of its own (kernels/cpu/packed_weight.h). INT8 weights that meet other rows
// than INT8 are stored in the rows' dtype.
#pragma once

#include <qiao/backend.hpp>

#include "kernels/cpu/isa.h"
#include "runtime/base/threads.h"

namespace qiao::cpu_backend {

// `pack`: whether packed weights may be answered at all.
plugin::Status ChooseWeight(const qiao_weight_request& request, bool pack, uint64_t alignment,
                            qiao_weight_choice& choice);
// Writes a weight that ChooseWeight answered with OPAQUE. UNIMPLEMENTED for one that it answered with STRIDED:
// the host writes it.
plugin::Status StoreWeight(const qiao_weight_request& request, const qiao_weight_choice& choice,
                           kernels::cpu::Isa isa, ThreadPool& pool, void* to);

}  // namespace qiao::cpu_backend
