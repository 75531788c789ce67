/* Capturing what is launched on streams into a graph, and replaying it. C and C++.
 *
 * Between Begin and End, launches and asynchronous copies on the captured stream are recorded and not executed. Another
 * stream joins the capture by waiting for an event that was recorded on a captured stream, and must be joined back (an
 * event of its own, waited for on the first stream) before End. Addresses are recorded as they are: what they point to
 * must live until the graph is destroyed. Unsafe during a capture: synchronising and querying, synchronous copies and
 * sets, asynchronous copies with pageable memory, the default stream. Such a call fails and invalidates the capture.
 * Whom it concerns is the mode: GLOBAL every thread, THREAD_LOCAL the capturing one, RELAXED nobody (the captured stream
 * itself can never be synchronised or queried). */
#ifndef QIAO_CANN_ACL_MDL_H_
#define QIAO_CANN_ACL_MDL_H_

#include <acl/acl_base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void* aclmdlRI;

typedef enum {
  ACL_MODEL_RI_CAPTURE_MODE_GLOBAL = 0,
  ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL = 1,
  ACL_MODEL_RI_CAPTURE_MODE_RELAXED = 2
} aclmdlRICaptureMode;

typedef enum {
  ACL_MODEL_RI_CAPTURE_STATUS_NONE = 0,
  ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE = 1,
  ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED = 2
} aclmdlRICaptureStatus;

/* `stream` may not be null (the default stream cannot be captured). */
ACL_FUNC_VISIBILITY aclError aclmdlRICaptureBegin(aclrtStream stream, aclmdlRICaptureMode mode);
/* On the stream (and, unless RELAXED, the thread) that began. *modelRI is null where the capture was invalidated. */
ACL_FUNC_VISIBILITY aclError aclmdlRICaptureEnd(aclrtStream stream, aclmdlRI* modelRI);
/* `modelRI` may be null; it becomes null while nothing is captured. */
ACL_FUNC_VISIBILITY aclError aclmdlRICaptureGetInfo(aclrtStream stream, aclmdlRICaptureStatus* status,
                                                    aclmdlRI* modelRI);
/* Swaps the calling thread's own mode (GLOBAL at first) with *mode: RELAXED lets it make unsafe calls. */
ACL_FUNC_VISIBILITY aclError aclmdlRICaptureThreadExchangeMode(aclmdlRICaptureMode* mode);

/* Replays in stream order. Executions of one graph never overlap. */
ACL_FUNC_VISIBILITY aclError aclmdlRIExecuteAsync(aclmdlRI modelRI, aclrtStream stream);
/* Executions that were launched still complete. */
ACL_FUNC_VISIBILITY aclError aclmdlRIDestroy(aclmdlRI modelRI);

#ifdef __cplusplus
}
#endif

#endif /* QIAO_CANN_ACL_MDL_H_ */
