#include "runtime/serve/api/answer.h"

namespace qiao::serve {

std::string DumpJson(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void AppendEvent(std::string_view name, const OrderedJson& data, std::string& out) {
  if (!name.empty()) {
    out += "event: ";
    out += name;
    out += '\n';
  }
  out += "data: ";
  out += DumpJson(data);
  out += "\n\n";
}

}  // namespace qiao::serve
