// The backend of Huawei's Ascend NPUs: operations of ops.h as lists of aclnn calls on AscendCL streams. README.md says
// what it was written against and what has not been tried on a chip.
#include <qiao/backend.hpp>

#include "backends/ascend/device.h"

using qiao::ascend::AscendDevice;
QIAO_DEFINE_BACKEND(AscendDevice, "ascend", "0.1.0", "Qiao")
