// Whether a text is well-formed XML, as far as what the tools write goes: elements, attributes in double quotes,
// entities, characters.
#pragma once

#include <string>
#include <string_view>

namespace qiao::tools {

// What is wrong with it, or "".
std::string XmlError(std::string_view xml);

}  // namespace qiao::tools
