// A plugin that was built when the table ended before the weights: what follows in memory is not a table.
#include <cstddef>
#include <qiao/backend.hpp>

namespace {

using namespace qiao::plugin;

class ShortDevice : public HostDevice {
 public:
  using HostDevice::HostDevice;
  static uint32_t Count(std::string&) { return 1; }
  static Status Open(uint32_t, Host host, std::unique_ptr<Device>& out) {
    out = std::make_unique<ShortDevice>(std::move(host));
    return Ok();
  }
  Status Properties(qiao_device_properties& properties) override {
    SetText(properties.name, "short table");
    return Ok();
  }
};

}  // namespace

extern "C" QIAO_BACKEND_EXPORT const qiao_backend* qiao_backend_entry(uint32_t, uint32_t) {
  static const qiao_backend table = [] {
    qiao_backend t = *MakeTable<ShortDevice>("short_table", "0.0.1", "Qiao's tests");
    t.struct_size = offsetof(qiao_backend, weight_choose);
    std::memset(reinterpret_cast<char*>(&t) + t.struct_size, 0x5a, sizeof(t) - t.struct_size);
    return t;
  }();
  return &table;
}
