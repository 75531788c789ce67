// A plugin that does not want this host.
#include <qiao/backend.h>

extern "C" QIAO_BACKEND_EXPORT const qiao_backend* qiao_backend_entry(uint32_t, uint32_t) { return nullptr; }
