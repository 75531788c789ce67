/* Every header of the emulator's runtime compiles as C, alone and twice. */
#include <acl/acl.h>
#include <acl/acl_base.h>
#include <acl/acl_mdl.h>
#include <acl/acl_rt.h>

int qiao_cann_headers_are_c(void);
int qiao_cann_headers_are_c(void) { return ACL_BF16 == 27 && ACL_SUCCESS == 0 && QIAO_CANN_EMULATOR; }
