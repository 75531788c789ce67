// Starting and ending, versions, and the helpers of acl_base.h.
#include <acl/acl.h>

#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/capture.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/dtype.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/event.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"
#include "runtime/base/floats.h"

using namespace qiao::cann;  // the C functions below are the library's surface

extern "C" {

aclError aclInit(const char* configPath) {
  if (configPath != nullptr && *configPath != 0 && !std::ifstream(configPath)) {
    return Fail(ACL_ERROR_INVALID_FILE, absl::StrCat("aclInit: cannot read ", configPath));
  }
  std::lock_guard lock(State().mutex);
  if (State().initialised) return Fail(ACL_ERROR_REPEAT_INITIALIZE, "aclInit: called already");
  State().initialised = true;
  State().finalised = false;
  return ACL_SUCCESS;
}

aclError aclFinalize(void) {
  {
    std::lock_guard lock(State().mutex);
    if (State().finalised) return Fail(ACL_ERROR_REPEAT_FINALIZE, "aclFinalize: called already");
    if (!State().initialised) return Fail(ACL_ERROR_UNINITIALIZE, "aclFinalize: without aclInit");
    State().initialised = false;
    State().finalised = true;
  }
  for (const std::shared_ptr<Stream>& stream : AllStreams(-1)) stream->Wait("aclFinalize", -1, ACL_SUCCESS);
  return ACL_SUCCESS;
}

aclError aclrtGetVersion(int32_t* majorVersion, int32_t* minorVersion, int32_t* patchVersion) {
  if (majorVersion == nullptr || minorVersion == nullptr || patchVersion == nullptr) {
    return Fail(ACL_ERROR_INVALID_PARAM, "aclrtGetVersion: a pointer is null");
  }
  *majorVersion = 1;
  *minorVersion = 0;
  *patchVersion = 0;
  return ACL_SUCCESS;
}

size_t aclDataTypeSize(aclDataType dataType) { return static_cast<size_t>(BytesOf(dataType)); }

int qiao_cann_emulator(void) { return 1; }

float aclFloat16ToFloat(aclFloat16 value) { return qiao::F16ToFloat(value); }

aclFloat16 aclFloatToFloat16(float value) { return qiao::FloatToF16(value); }

}  // extern "C"
