// How the CPU device keeps INT8 weights with a scale for each row.
#pragma once

#include <qiao/backend.hpp>

namespace qiao::cpu_backend {

enum class I8Use {
  kNone,       // no INT8 weight
  kIntegers,   // meets INT8 rows: stays in the files
  kAsNumbers,  // meets rows as they are (kv_b_proj, absorbed): stored row-major in their dtype, scales
               // multiplied in
};
I8Use UseOfI8(const qiao_weight_request& request);

// For weights whose use is not kNone.
plugin::Status ChooseI8Weight(const qiao_weight_request& request, qiao_weight_choice& choice);
// For kAsNumbers. bf16 is rounded to nearest, ties to even.
plugin::Status StoreI8AsNumbers(const qiao_weight_request& request, const qiao_weight_choice& choice,
                                void* dst);

}  // namespace qiao::cpu_backend
