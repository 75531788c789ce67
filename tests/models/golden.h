// The reference implementation's outputs (tests/golden/README.md), and a runner over the model beside them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/formats/safetensors.h"
#include "tests/models/loaded_model.h"

namespace qiao {

std::string GoldenFolder(const std::string& name);

// expected.safetensors of one case.
class Golden {
 public:
  static absl::StatusOr<Golden> Open(const std::string& name);
  int prompts() const { return prompts_; }
  bool Has(const std::string& tensor) const { return file_->Find(tensor) != nullptr; }
  std::vector<float> Floats(const std::string& tensor) const;
  std::vector<int32_t> Ints(const std::string& tensor) const;
  Shape ShapeOf(const std::string& tensor) const;

 private:
  std::shared_ptr<formats::SafetensorsFile> file_;
  int prompts_ = 0;
};

// Copies every value whose name ends in one of `suffixes`, by name, for all rows of the last run steps.
class Tap : public program::StepObserver {
 public:
  explicit Tap(std::vector<std::string> suffixes) : suffixes_(std::move(suffixes)) {}
  absl::Status OnLaunch(const program::LaunchEvent& event) override;
  const std::map<std::string, std::vector<std::byte>>& values() const { return values_; }
  template <typename T>
  std::vector<T> Get(const std::string& name) const {
    auto it = values_.find(name);
    if (it == values_.end()) return {};
    const T* data = reinterpret_cast<const T*>(it->second.data());
    return std::vector<T>(data, data + it->second.size() / sizeof(T));
  }

 private:
  std::vector<std::string> suffixes_;
  std::map<std::string, std::vector<std::byte>> values_;
};

}  // namespace qiao
