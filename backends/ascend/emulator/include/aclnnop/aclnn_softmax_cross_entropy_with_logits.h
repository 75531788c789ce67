/* Written by tools/make_aclnn_headers.py from ops/aclnnop.txt. */
#ifndef QIAO_ACLNNOP_ACLNN_SOFTMAX_CROSS_ENTROPY_WITH_LOGITS_H_
#define QIAO_ACLNNOP_ACLNN_SOFTMAX_CROSS_ENTROPY_WITH_LOGITS_H_

#include <aclnn/aclnn_base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* loss[i] = -sum over j of labels[i, j] * log softmax(features[i])[j]; backprop = softmax(features) - labels.
 * Floats of one dtype; features, labels, backprop [N, C], loss [N].
 */
aclnnStatus aclnnSoftmaxCrossEntropyWithLogitsGetWorkspaceSize(const aclTensor* features, aclTensor* labels,
                                                               aclTensor* loss, aclTensor* backprop,
                                                               uint64_t* workspaceSize,
                                                               aclOpExecutor** executor);
aclnnStatus aclnnSoftmaxCrossEntropyWithLogits(void* workspace, uint64_t workspaceSize,
                                               aclOpExecutor* executor, aclrtStream stream);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNNOP_ACLNN_SOFTMAX_CROSS_ENTROPY_WITH_LOGITS_H_ */
