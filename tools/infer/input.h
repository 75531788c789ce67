// Text that a command reads: a file, or stdin for "-".
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/base/status.h"

namespace qiao::tools {

// The whole of it, at most kMaxInputBytes.
inline constexpr uint64_t kMaxInputBytes = uint64_t{256} << 20;
absl::StatusOr<std::string> ReadInput(const std::string& path);

// Each line without its end, numbered from 1; empty lines are passed over. Ends at the first error of `each`.
absl::Status ForEachLine(const std::string& path,
                         const std::function<absl::Status(int64_t number, std::string_view line)>& each);

}  // namespace qiao::tools
