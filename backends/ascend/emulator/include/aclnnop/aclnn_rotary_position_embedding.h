/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_ROTARY_POSITION_EMBEDDING_H_
#define QIAO_ACLNNOP_ACLNN_ROTARY_POSITION_EMBEDDING_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* y = x * cos + rotate(x) * sin (arXiv 2104.09864). mode 0 (half): rotate(x) = (-second half, first half);
 * mode 1 (interleave): of each pair (a, b) it is (-b, a). x, y float of rank 4 (3 is served) [.., D]; cos,
 * sin of x's dtype or f32, full width D, broadcast over the leading dimensions.
 */
aclnnStatus aclnnRotaryPositionEmbeddingGetWorkspaceSize(const aclTensor* x, const aclTensor* cos,
                                                         const aclTensor* sin, int64_t mode,
                                                         const aclTensor* yOut, uint64_t* workspaceSize,
                                                         aclOpExecutor** executor);
aclnnStatus aclnnRotaryPositionEmbedding(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                         aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_ROTARY_POSITION_EMBEDDING_H_ */
