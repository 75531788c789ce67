/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_EMBEDDING_H_
#define QIAO_ACLNNOP_ACLNN_EMBEDDING_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* out[i.., h] = weight[indices[i..], h]. weight [V, H] of any dtype, indices i32 or i64 of any rank, out
 * [indices.., H] with weight's dtype. An index outside [0, V) gives zeros here; on a chip it is undefined.
 */
aclnnStatus aclnnEmbeddingGetWorkspaceSize(const aclTensor* weight, const aclTensor* indices,
                                           const aclTensor* out, uint64_t* workspaceSize,
                                           aclOpExecutor** executor);
aclnnStatus aclnnEmbedding(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                           aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_EMBEDDING_H_ */
