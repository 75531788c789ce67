/* AscendCL as Qiao's CANN emulator serves it: starting and ending, errors, and all the other headers. C and C++. */
#ifndef QIAO_CANN_ACL_H_
#define QIAO_CANN_ACL_H_

#include <acl/acl_base.h>
#include <acl/acl_mdl.h>
#include <acl/acl_rt.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Defined by the emulator's headers only, so that a client can tell what it was built against. */
#define QIAO_CANN_EMULATOR 1

/* Once a process; a second call returns ACL_ERROR_REPEAT_INITIALIZE and changes nothing. `configPath` may be null or
 * name a JSON file, of which only its existence is checked. Functions work without aclInit, with a warning. */
ACL_FUNC_VISIBILITY aclError aclInit(const char* configPath);
/* ACL_ERROR_UNINITIALIZE without an aclInit, ACL_ERROR_REPEAT_FINALIZE the second time. Waits for all streams. */
ACL_FUNC_VISIBILITY aclError aclFinalize(void);

/* Hands out the calling thread's messages since the last call, newest first, one a line, and clears them. Null where
 * there are none. Valid until this thread calls it again or ends. */
ACL_FUNC_VISIBILITY const char* aclGetRecentErrMsg(void);

ACL_FUNC_VISIBILITY aclError aclrtGetVersion(int32_t* majorVersion, int32_t* minorVersion,
                                             int32_t* patchVersion);

#ifdef __cplusplus
}
#endif

#endif /* QIAO_CANN_ACL_H_ */
