#include "tests/models/golden.h"

#include <algorithm>
#include <cstring>

#include "runtime/ops/catalogue.h"

namespace qiao {

std::string GoldenFolder(const std::string& name) { return std::string(QIAO_TEST_DATA) + "/golden/" + name; }

absl::StatusOr<Golden> Golden::Open(const std::string& name) {
  Golden golden;
  QIAO_ASSIGN_OR_RETURN(formats::SafetensorsFile file,
                        formats::SafetensorsFile::Open(GoldenFolder(name) + "/expected.safetensors"));
  golden.file_ = std::make_shared<formats::SafetensorsFile>(std::move(file));
  while (golden.Has(absl::StrFormat("p%d.input_ids", golden.prompts_))) ++golden.prompts_;
  if (golden.prompts_ == 0) return NotFound("%s: no prompts in expected.safetensors", name);
  return golden;
}

std::vector<float> Golden::Floats(const std::string& tensor) const {
  const formats::TensorView* view = file_->Find(tensor);
  if (view == nullptr || view->dtype != DType::kF32) return {};
  std::vector<float> values(view->data.size() / sizeof(float));
  std::memcpy(values.data(), view->data.data(), view->data.size());
  return values;
}

std::vector<int32_t> Golden::Ints(const std::string& tensor) const {
  const formats::TensorView* view = file_->Find(tensor);
  if (view == nullptr || view->dtype != DType::kI32) return {};
  std::vector<int32_t> values(view->data.size() / sizeof(int32_t));
  std::memcpy(values.data(), view->data.data(), view->data.size());
  return values;
}

Shape Golden::ShapeOf(const std::string& tensor) const {
  const formats::TensorView* view = file_->Find(tensor);
  return view == nullptr ? Shape() : view->shape;
}

absl::Status Tap::OnLaunch(const program::LaunchEvent& event) {
  const std::vector<ops::ArgSpec> args = ops::Find(event.node->op)->args(event.node->params.data());
  for (size_t a = 0; a < event.node->args.size(); ++a) {
    if (args[a].kind != ops::ArgSpec::kOut || event.node->args[a] == ops::kNoValue) continue;
    const std::string& name = event.graph->value(event.node->args[a]).name;
    const bool wanted = std::any_of(suffixes_.begin(), suffixes_.end(),
                                    [&](const std::string& suffix) { return name.ends_with(suffix); });
    if (wanted) QIAO_RETURN_IF_ERROR(event.read(event.node->args[a], values_[name]));
  }
  return absl::OkStatus();
}

}  // namespace qiao
