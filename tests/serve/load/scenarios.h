// What a server is put through. Each returns an error only where it could not be carried out; what the server did
// goes to the findings.
#pragma once

#include "runtime/base/status.h"
#include "tests/serve/load/findings.h"
#include "tests/serve/load/target.h"

namespace qiao::storm {

// `clients` streams at once for `seconds`, each answer compared with that of the same request sent alone before.
absl::Status Streams(Target& target, Findings& findings);
// `clients` connections that ask /health once and then stay for `seconds`.
absl::Status Idle(Target& target, Findings& findings);
// `clients` that send and take a byte a second, beside some that do not, for `seconds`.
absl::Status Slow(Target& target, Findings& findings);
// `clients` that reset their connection while their prompt is read, or their answer is written.
absl::Status Vanish(Target& target, Findings& findings);
// Requests that are not HTTP, not JSON, or ask for too much.
absl::Status Malformed(Target& target, Findings& findings);
// Ten times as many requests a second as the server finishes, for `seconds`.
absl::Status Overload(Target& target, Findings& findings);
// SIGTERM while `clients` streams are under way.
absl::Status Term(Target& target, Findings& findings);

}  // namespace qiao::storm
