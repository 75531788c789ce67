/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_CONVOLUTION_H_
#define QIAO_ACLNNOP_ACLNN_CONVOLUTION_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* A convolution in one (NCL) or two (NCHW) dimensions, or transposed: its gradient with respect to the input.
 * input [N, Cin, ..], weight [Cout, Cin / groups, ..] (transposed: [Cin, Cout / groups, ..]), bias [Cout] or
 * null, output [N, Cout, ..]; stride, padding, dilation, outputPadding: one entry a dimension. Floats;
 * cubeMathType as for Matmul.
 */
aclnnStatus aclnnConvolutionGetWorkspaceSize(const aclTensor* input, const aclTensor* weight,
                                             const aclTensor* bias, const aclIntArray* stride,
                                             const aclIntArray* padding, const aclIntArray* dilation,
                                             bool transposed, const aclIntArray* outputPadding,
                                             const int64_t groups, aclTensor* output, int8_t cubeMathType,
                                             uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnConvolution(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                             aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_CONVOLUTION_H_ */
