#include "tools/infer/synth_layout.h"

#include <cmath>

#include "runtime/base/checked.h"
#include "runtime/formats/model_config.h"
#include "tools/infer/weight_formats.h"

namespace qiao::tools {
namespace {

std::string_view TorchName(SynthDType dtype) { return dtype == SynthDType::kF32 ? "float32" : "bfloat16"; }

SynthTensor::Kind KindOf(const models::TensorSpec& spec) {
  // By name, because the parts of MTP layers do not tell.
  if (spec.name.ends_with("bias")) return SynthTensor::kBias;
  if (spec.shape.rank() == 1) return SynthTensor::kGain;
  return spec.name.ends_with("embed_tokens.weight") ? SynthTensor::kEmbedding : SynthTensor::kMatrix;
}

absl::Status SetBytes(SynthTensor& tensor) {
  std::optional<uint64_t> bytes = SizeOf(tensor.dtype);
  for (const int64_t dim : tensor.dims) {
    if (bytes) bytes = CheckedMul(*bytes, static_cast<uint64_t>(dim));
  }
  if (!bytes || *bytes > (uint64_t{1} << 50))
    return InvalidArgument("tensor %s: is too large to write", tensor.name);
  tensor.bytes = *bytes;
  return absl::OkStatus();
}

// A tensor and, where it is quantised, its scales.
absl::StatusOr<std::vector<SynthTensor>> Expand(const models::TensorSpec& spec, SynthDType dtype) {
  SynthTensor tensor;
  tensor.name = spec.name;
  for (int i = 0; i < spec.shape.rank(); ++i) tensor.dims.push_back(spec.shape[i]);
  tensor.kind = KindOf(spec);
  tensor.fan_in = tensor.dims.empty() ? 1 : tensor.dims.back();
  const bool int8 = dtype == SynthDType::kInt8;
  tensor.quantised = (dtype == SynthDType::kFp8 || int8) && spec.quantised && tensor.dims.size() == 2;
  tensor.dtype = tensor.quantised            ? (int8 ? DType::kI8 : DType::kF8E4M3)
                 : dtype == SynthDType::kF32 ? DType::kF32
                                             : spec.plain;
  QIAO_RETURN_IF_ERROR(SetBytes(tensor));
  std::vector<SynthTensor> tensors = {tensor};
  if (tensor.quantised) {
    SynthTensor scale;
    scale.name = absl::StrFormat("%s%s", tensor.name, int8 ? kI8Suffix : kF8Suffix);
    scale.dims = {CeilDiv(tensor.dims[0], kF8Block), CeilDiv(tensor.dims[1], kF8Block)};
    if (int8) scale.dims = {tensor.dims[0], 1};
    scale.kind = int8 ? SynthTensor::kChannelScale : SynthTensor::kScale;
    scale.fan_in = tensor.fan_in;
    scale.dtype = DType::kF32;
    QIAO_RETURN_IF_ERROR(SetBytes(scale));
    tensors.push_back(std::move(scale));
  }
  return tensors;
}

// As llm-compressor writes it.
OrderedJson Int8Config() {
  const OrderedJson weights = {
      {"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "channel"}, {"dynamic", false}};
  const OrderedJson activations = {
      {"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "token"}, {"dynamic", true}};
  OrderedJson config;
  config["quant_method"] = "compressed-tensors";
  config["format"] = "int-quantized";
  config["quantization_status"] = "compressed";
  config["config_groups"]["group_0"] = {{"targets", {"Linear"}},
                                        {"weights", weights},
                                        {"input_activations", activations},
                                        {"output_activations", nullptr}};
  config["ignore"] = {"lm_head"};
  return config;
}

void NameFiles(std::vector<SynthFile>& files) {
  for (size_t i = 0; i < files.size(); ++i) {
    files[i].name = files.size() == 1
                        ? "model.safetensors"
                        : absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, files.size());
  }
}

}  // namespace

absl::StatusOr<SynthDType> ParseSynthDType(std::string_view name) {
  if (name == "fp8") return SynthDType::kFp8;
  if (name == "int8") return SynthDType::kInt8;
  if (name == "bf16") return SynthDType::kBf16;
  if (name == "f32") return SynthDType::kF32;
  return InvalidArgument("dtype \"%s\" is not known; there are fp8, int8, bf16 and f32", name);
}

absl::StatusOr<SynthPlan> PlanSynth(OrderedJson config, SynthDType dtype, uint64_t file_bytes) {
  config["torch_dtype"] = TorchName(dtype);
  config.erase("quantization_config");
  if (dtype == SynthDType::kFp8) config["quantization_config"] = F8Config();
  if (dtype == SynthDType::kInt8) config["quantization_config"] = Int8Config();
  SynthPlan plan;
  plan.config = config.dump(2) + "\n";
  QIAO_ASSIGN_OR_RETURN(const formats::ConfigReader reader,
                        formats::ConfigReader::Parse(plan.config, "the config of the checkpoint to write"));
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<models::Model> model, models::MakeModel(reader));
  for (const models::TensorSpec& spec : model->Tensors()) {
    QIAO_ASSIGN_OR_RETURN(std::vector<SynthTensor> tensors, Expand(spec, dtype));
    plan.parameters += static_cast<uint64_t>(spec.shape.elements());
    uint64_t bytes = 0;
    for (const SynthTensor& tensor : tensors) bytes += tensor.bytes;
    // A tensor and its scales stay together.
    if (plan.files.empty() || (plan.files.back().bytes > 0 && plan.files.back().bytes + bytes > file_bytes)) {
      plan.files.emplace_back();
    }
    SynthFile& file = plan.files.back();
    for (SynthTensor& tensor : tensors) file.tensors.push_back(std::move(tensor));
    file.bytes += bytes;
    plan.bytes += bytes;
  }
  NameFiles(plan.files);
  return plan;
}

}  // namespace qiao::tools
