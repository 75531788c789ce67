// Elementwise operators that write what they read: more rows of the table.
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_clamp.h>
#include <aclnnop/aclnn_cos.h>
#include <aclnnop/aclnn_div.h>
#include <aclnnop/aclnn_exp.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_pow_tensor_tensor.h>
#include <aclnnop/aclnn_sin.h>
#include <aclnnop/aclnn_sub.h>
#include <aclnnop/aclnn_threshold.h>

#include <cmath>

#include "backends/ascend/emulator/ops/elementwise_rows.h"

// clang-format off
QIAO_INPLACE_UNARY(InplaceCos, "inputRef", true, std::cos(a))
QIAO_INPLACE_UNARY(InplaceSin, "inputRef", true, std::sin(a))
QIAO_INPLACE_UNARY(InplaceExp, "selfRef", true, std::exp(a))
QIAO_INPLACE_BINARY_ALPHA(InplaceAdd, false, a + s * b)
QIAO_INPLACE_BINARY_ALPHA(InplaceSub, false, a - s * b)
QIAO_INPLACE_BINARY(InplaceMul, aclTensor*, "selfRef", "other", false, a * b)
QIAO_INPLACE_BINARY(InplaceDiv, aclTensor*, "selfRef", "other", true, a / b)
QIAO_INPLACE_BINARY(InplacePowTensorTensor, const aclTensor*, "self", "exponent", true, std::pow(a, b))
QIAO_INPLACE_SCALAR(InplaceMuls, "other", false, a * s)
QIAO_INPLACE_SCALAR(InplaceDivs, "other", true, a / s)
QIAO_INPLACE_SCALAR(InplaceClampMax, "clipValueMax", false, a > s ? s : a)
QIAO_INPLACE_SCALARS(InplaceAdds, "other", "alpha", false, a + t * s)
QIAO_INPLACE_SCALARS(InplaceSubs, "other", "alpha", false, a - t * s)
QIAO_INPLACE_SCALARS(InplaceThreshold, "threshold", "value", false, a <= s ? t : a)
// clang-format on
