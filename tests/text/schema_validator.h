// Whether a value is valid by a JSON schema: the specification's meaning (draft 2020-12) of the keywords that
// constraints support, written down plainly and apart from them, to check what they let through.
#pragma once

#include <string>

#include "runtime/base/json.h"

namespace qiao::text {

// Empty when valid, else the first keyword that fails and where. A keyword that it does not know fails.
std::string Invalidity(const Json& schema, const Json& value);

}  // namespace qiao::text
