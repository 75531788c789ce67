/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_TRIANGULAR_SOLVE_H_
#define QIAO_ACLNNOP_ACLNN_TRIANGULAR_SOLVE_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* xOut: A X = self, A being triangular [.., N, N] (upper, or lower), or its transpose, with ones on its
 * diagonal where unitriangular; self [.., N, M]; the leading dimensions broadcast. mOut = A. f32 or f64.
 */
aclnnStatus aclnnTriangularSolveGetWorkspaceSize(const aclTensor* self, const aclTensor* A, bool upper,
                                                 bool transpose, bool unitriangular, aclTensor* xOut,
                                                 aclTensor* mOut, uint64_t* workspaceSize,
                                                 aclOpExecutor** executor);
aclnnStatus aclnnTriangularSolve(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor,
                                 aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_TRIANGULAR_SOLVE_H_ */
