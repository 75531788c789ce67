/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_NPU_FORMAT_CAST_H_
#define QIAO_ACLNNOP_ACLNN_NPU_FORMAT_CAST_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* What aclnnNpuFormatCast's destination looks like: dstFormat FRACTAL_NZ (29) or ND (2), additionalDtype the
 * dtype that decides the width of a fractal (32 bytes of it): srcTensor's, or -1 for that. *dstShape is made
 * with new[] and is the caller's to delete[]: of FRACTAL_NZ for a [.., R, C] source [.., ceil(C/c0),
 * ceil(R/16), 16, c0].
 */
aclnnStatus aclnnNpuFormatCastCalculateSizeAndFormat(const aclTensor* srcTensor, const int dstFormat,
                                                     int additionalDtype, int64_t** dstShape,
                                                     uint64_t* dstShapeSize, int* actualFormat);

/* Writes srcTensor (ND, contiguous) as dstTensor (view dims as srcTensor, format and storage shape from the
 * function above), or back.
 */
aclnnStatus aclnnNpuFormatCastGetWorkspaceSize(const aclTensor* srcTensor, aclTensor* dstTensor,
                                               uint64_t* workspaceSize, aclOpExecutor** executor);
aclnnStatus aclnnNpuFormatCast(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                               aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_NPU_FORMAT_CAST_H_ */
