#include "tests/models/int8_source.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "runtime/base/floats.h"
#include "runtime/base/json.h"

namespace qiao {
namespace {

constexpr int64_t kBlock = 128;
constexpr std::string_view kScaleSuffix = "_scale_inv";

std::vector<std::byte> Bytes(const void* data, size_t size) {
  const auto* p = static_cast<const std::byte*>(data);
  return {p, p + size};
}

}  // namespace

const char kInt8QuantizationConfig[] = R"({
  "quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed",
  "kv_cache_scheme": null, "ignore": ["lm_head"],
  "config_groups": {"group_0": {
    "targets": ["Linear"], "output_activations": null,
    "weights": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "channel", "dynamic": false,
                "group_size": null, "actorder": null, "block_structure": null, "observer": "minmax"},
    "input_activations": {"num_bits": 8, "type": "int", "symmetric": true, "strategy": "token", "dynamic": true,
                          "group_size": null, "observer": null}}}})";

absl::StatusOr<std::unique_ptr<models::Model>> MakeInt8Model(const std::string& config_path) {
  std::ifstream file(config_path);
  std::stringstream text;
  text << file.rdbuf();
  QIAO_ASSIGN_OR_RETURN(Json config, ParseJson(text.str(), config_path));
  QIAO_ASSIGN_OR_RETURN(config["quantization_config"], ParseJson(kInt8QuantizationConfig, "INT8"));
  QIAO_ASSIGN_OR_RETURN(const formats::ConfigReader reader,
                        formats::ConfigReader::Parse(config.dump(), config_path));
  return models::MakeModel(reader);
}

Int8Source::Int8Source(const formats::Checkpoint& checkpoint) : checkpoint_(checkpoint), plain_(checkpoint) {
  for (const formats::Checkpoint::Entry& entry : checkpoint.tensors()) {
    const formats::TensorView& w = *entry.tensor;
    if (w.dtype != DType::kF8E4M3) continue;
    const std::string name(w.name);
    const formats::TensorView* scale = checkpoint.Find(name + std::string(kScaleSuffix));
    if (scale == nullptr) continue;
    const int64_t rows = w.shape[0], cols = w.shape[1], blocks = (cols + kBlock - 1) / kBlock;
    std::vector<float> scales(scale->data.size() / sizeof(float)), row(static_cast<size_t>(cols));
    std::memcpy(scales.data(), scale->data.data(), scale->data.size());
    std::vector<int8_t> q(static_cast<size_t>(rows * cols));
    std::vector<uint16_t> channel(static_cast<size_t>(rows));
    for (int64_t r = 0; r < rows; ++r) {
      float largest = 1e-10f;
      for (int64_t c = 0; c < cols; ++c) {
        row[static_cast<size_t>(c)] =
            F8E4M3ToFloat(static_cast<uint8_t>(w.data[static_cast<size_t>(r * cols + c)])) *
            scales[static_cast<size_t>(r / kBlock * blocks + c / kBlock)];
        largest = std::max(largest, std::fabs(row[static_cast<size_t>(c)]));
      }
      channel[static_cast<size_t>(r)] = FloatToBf16(largest / 127);
      const float by = Bf16ToFloat(channel[static_cast<size_t>(r)]);
      for (int64_t c = 0; c < cols; ++c) {
        const float v = std::nearbyint(row[static_cast<size_t>(c)] / by);
        q[static_cast<size_t>(r * cols + c)] = static_cast<int8_t>(std::clamp(v, -127.0f, 127.0f));
      }
    }
    tensors_[name] = {DType::kI8, w.shape, Bytes(q.data(), q.size())};
    tensors_[name + "_scale"] = {DType::kBF16, Shape{rows, 1}, Bytes(channel.data(), channel.size() * 2)};
  }
}

absl::StatusOr<std::optional<program::HostTensor>> Int8Source::Find(std::string_view name) const {
  auto it = tensors_.find(name);
  if (it == tensors_.end()) return plain_.Find(name);
  return std::optional<program::HostTensor>(
      program::HostTensor{it->second.dtype, it->second.shape, it->second.bytes.data()});
}

}  // namespace qiao
