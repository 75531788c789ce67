#include "runtime/serve/api/answer.h"

namespace qiao::serve {

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
