// Small files that belong together, by name: a folder, or what one file holds of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/base/status.h"

namespace qiao {

// Const use from many threads is fine.
class FileSet {
 public:
  virtual ~FileSet() = default;
  // The whole file; absent where there is none of that name. More than `max_bytes` is an error that says the
  // limit.
  virtual absl::StatusOr<std::optional<std::string>> Read(std::string_view name,
                                                          uint64_t max_bytes) const = 0;
  // How messages name it: "FOLDER/NAME".
  virtual std::string Where(std::string_view name) const = 0;
};

// The files of a folder; opened when they are asked for.
class FolderFiles : public FileSet {
 public:
  explicit FolderFiles(std::string folder) : folder_(std::move(folder)) {}
  absl::StatusOr<std::optional<std::string>> Read(std::string_view name, uint64_t max_bytes) const override;
  std::string Where(std::string_view name) const override;

 private:
  std::string folder_;
};

}  // namespace qiao
