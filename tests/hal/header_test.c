/* qiao/backend.h and qiao/ops.h are C: this file is compiled as C11 without extensions. What it holds is the smallest
 * backend in C, which backend_test.cc loads as a table. */
#include "qiao/backend.h"
#include "qiao/ops.h"

static int32_t CountDevices(uint32_t* count, qiao_error* error) {
  static const char why[] = "written in C, for a test";
  size_t i;
  *count = 0;
  for (i = 0; i < sizeof(why); ++i) error->message[i] = why[i];
  return QIAO_OK;
}

const qiao_backend* QiaoBackendInC(void);

const qiao_backend* QiaoBackendInC(void) {
  static qiao_backend table;
  table.struct_size = sizeof(qiao_backend);
  table.abi_major = QIAO_ABI_MAJOR;
  table.abi_minor = QIAO_ABI_MINOR;
  table.name = "in_c";
  table.device_count = CountDevices;
  return &table;
}
