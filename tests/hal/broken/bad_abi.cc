// A plugin of another ABI.
#include <qiao/backend.h>

extern "C" QIAO_BACKEND_EXPORT const qiao_backend* qiao_backend_entry(uint32_t, uint32_t) {
  static const qiao_backend table = [] {
    qiao_backend t{};
    t.struct_size = sizeof(t);
    t.abi_major = 7;
    t.abi_minor = 3;
    t.name = "bad_abi";
    return t;
  }();
  return &table;
}
