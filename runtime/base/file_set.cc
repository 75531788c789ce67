#include "runtime/base/file_set.h"

#include "runtime/base/mmap.h"

namespace qiao {

absl::StatusOr<std::optional<std::string>> FolderFiles::Read(std::string_view name,
                                                             uint64_t max_bytes) const {
  absl::StatusOr<std::string> text = ReadFile(Where(name), max_bytes);
  if (absl::IsNotFound(text.status())) return std::optional<std::string>();
  QIAO_RETURN_IF_ERROR(text.status());
  return std::optional<std::string>(*std::move(text));
}

std::string FolderFiles::Where(std::string_view name) const {
  return absl::StrFormat("%s/%s", folder_, name);
}

}  // namespace qiao
