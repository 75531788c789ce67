/* aclnn/aclnn_base.h: what every operator header includes.
 *
 * The two phases of an operator X:
 *   aclnnXGetWorkspaceSize(arguments.., &workspaceSize, &executor) checks everything and says how much device memory
 *     the launch needs; nothing runs. On an error *executor is not written.
 *   aclnnX(workspace, workspaceSize, executor, stream) copies what it needs, puts the work on the stream and returns.
 *     A stream of null is the current context's default stream. The workspace must stay until the work is done, in
 *     stream order.
 */
#ifndef QIAO_ACLNN_ACLNN_BASE_H_
#define QIAO_ACLNN_ACLNN_BASE_H_

#include <aclnn/acl_meta.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Starts and ends the operator library. Both may be left out, and called repeatedly. configPath may be null. */
aclnnStatus aclnnInit(const char* configPath);
aclnnStatus aclnnFinalize(void);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNN_ACLNN_BASE_H_ */
