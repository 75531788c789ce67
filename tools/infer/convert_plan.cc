#include "tools/infer/convert_plan.h"

#include <qiao/engine.h>
#include <sys/stat.h>

#include <optional>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "runtime/base/checked.h"
#include "runtime/base/json.h"
#include "tools/infer/weight_formats.h"

namespace qiao::tools {
namespace {

// The texts that are taken along, as they are: what Qiao reads of a model, and what people look for.
constexpr std::string_view kTexts[] = {"config.json",
                                       "generation_config.json",
                                       "tokenizer.json",
                                       "tokenizer_config.json",
                                       "chat_template.jinja",
                                       "special_tokens_map.json",
                                       "LICENSE",
                                       "LICENSE-MODEL",
                                       "README.md"};
constexpr uint64_t kMaxTextBytes = uint64_t{64} << 20;
// Changes when the same input gives other bytes: unfinished files of an older Qiao are then not continued.
constexpr std::string_view kRevision = "convert 1";

enum class Target { kKeep, kPlain, kF8, kI8 };

class Planner {
 public:
  Planner(const engine::ModelFolder& model, const ConvertFormat& format)
      : model_(model), format_(format), quantisation_(model.model->quantisation()) {}

  absl::StatusOr<ConvertPlan> Run();

 private:
  absl::Status CheckFormat() const;
  absl::Status AddTexts();
  absl::StatusOr<std::string> NewConfig(const std::string& old) const;
  absl::Status AddSource();
  Target TargetOf(const models::TensorSpec& spec) const;
  absl::StatusOr<SourceMatrix> Source(const formats::TensorView& tensor,
                                      const formats::TensorView* scale) const;
  absl::Status AddTensor(const formats::TensorView& tensor, const models::TensorSpec* spec);
  void Add(std::string name, DType dtype, std::vector<int64_t> dims, ConvertJob job);

  const engine::ModelFolder& model_;
  const ConvertFormat& format_;
  const program::Quantisation quantisation_;
  ConvertPlan plan_;
};

absl::Status Planner::CheckFormat() const {
  if (format_.pack != "neutral") {
    return Unimplemented(
        "--pack %s: packed forms are not written to files yet; --pack neutral, the default, stores "
        "the weights row-major, which every backend reads",
        format_.pack);
  }
  const bool f8 = format_.dtype.empty() ? quantisation_.scale_suffix == kF8Suffix : format_.dtype == "fp8";
  if (format_.head == "fp8" && !f8) {
    return InvalidArgument(
        "--head fp8: the head's scales need the other weights to be FP8 as well; add --dtype fp8");
  }
  if (format_.head == "fp8" && model_.checkpoint->Find("lm_head.weight") == nullptr) {
    return InvalidArgument("--head fp8: %s has no head of its own: it is the embedding, which stays as it is",
                           model_.path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Planner::NewConfig(const std::string& old) const {
  if (format_.dtype.empty()) return old;
  QIAO_ASSIGN_OR_RETURN(OrderedJson config, ParseOrderedJson(old, model_.files->Where("config.json")));
  config.erase("quantization_config");
  config[config.contains("dtype") && !config.contains("torch_dtype") ? "dtype" : "torch_dtype"] = "bfloat16";
  if (format_.dtype == "fp8") {
    config["quantization_config"] = F8Config();
  } else if (format_.dtype == "int8") {
    auto numbers = [](const char* strategy, bool dynamic) {
      return OrderedJson{{"num_bits", 8},
                         {"type", "int"},
                         {"symmetric", true},
                         {"strategy", strategy},
                         {"dynamic", dynamic}};
    };
    config["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                     {"format", "int-quantized"},
                                     {"config_groups",
                                      {{"group_0",
                                        {{"targets", {"Linear"}},
                                         {"weights", numbers("channel", false)},
                                         {"input_activations", numbers("token", true)}}}}},
                                     {"ignore", {"lm_head", "re:.*mlp.gate$"}}};
  }
  std::string text = config.dump(2) + "\n";
  // Whoever opens the result must understand it.
  QIAO_ASSIGN_OR_RETURN(const formats::ConfigReader reader,
                        formats::ConfigReader::Parse(text, "the result's config.json"));
  QIAO_RETURN_IF_ERROR(models::MakeModel(reader).status());
  return text;
}

absl::Status Planner::AddTexts() {
  for (const std::string_view name : kTexts) {
    QIAO_ASSIGN_OR_RETURN(std::optional<std::string> text, model_.files->Read(name, kMaxTextBytes));
    if (!text) continue;
    if (name == "config.json") {
      QIAO_ASSIGN_OR_RETURN(*text, NewConfig(*text));
    }
    plan_.file.texts.push_back({std::string(name), *std::move(text)});
  }
  return absl::OkStatus();
}

// What the bytes depend on and the declared tensors do not tell.
absl::Status Planner::AddSource() {
  std::vector<std::string> paths;
  if (model_.qiao_file != nullptr) paths.push_back(model_.qiao_file->path());
  for (const formats::SafetensorsFile& file : model_.checkpoint->files()) paths.push_back(file.path());
  plan_.source = absl::StrFormat("%s, %s/%s/%s", kRevision, format_.dtype, format_.head, format_.pack);
  for (const std::string& path : paths) {
    struct stat st;
    if (::stat(path.c_str(), &st) != 0) return NotFound("%s: has gone away", path);
    absl::StrAppendFormat(&plan_.source, "\n%s %d %d.%09d", path.substr(path.rfind('/') + 1), st.st_size,
                          st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
  }
  return absl::OkStatus();
}

Target Planner::TargetOf(const models::TensorSpec& spec) const {
  const bool head = spec.part == models::Part::kHead;
  if (head && format_.head == "fp8") return Target::kF8;
  if (head && format_.head == "bf16") return Target::kPlain;
  if (format_.dtype.empty()) return Target::kKeep;
  if (!spec.quantised || spec.shape.rank() != 2) return Target::kPlain;
  if (format_.dtype == "fp8") return Target::kF8;
  if (format_.dtype == "int8") return Target::kI8;
  return Target::kPlain;
}

absl::StatusOr<SourceMatrix> Planner::Source(const formats::TensorView& tensor,
                                             const formats::TensorView* scale) const {
  SourceMatrix m;
  m.dtype = tensor.dtype;
  m.data = tensor.data.data();
  m.rows = 1;
  m.cols = tensor.shape.rank() == 0 ? 1 : tensor.shape[tensor.shape.rank() - 1];
  for (int i = 0; i + 1 < tensor.shape.rank(); ++i) m.rows *= tensor.shape[i];
  if (m.dtype == DType::kF32 || m.dtype == DType::kF16 || m.dtype == DType::kBF16) return m;
  const bool f8 = m.dtype == DType::kF8E4M3;
  if (!f8 && m.dtype != DType::kI8) {
    return Unimplemented("%s: tensor \"%s\" is %s, which cannot be converted", model_.path, tensor.name,
                         tensor.dtype_name);
  }
  m.block[0] = f8 ? quantisation_.block[0] : 1;
  m.block[1] = f8 ? quantisation_.block[1] : std::max<int64_t>(m.cols, 1);
  if (scale == nullptr) {
    return NotFound("%s: tensor \"%s%s\" is missing; \"%s\" is %s and cannot be converted without it",
                    model_.path, tensor.name, f8 ? kF8Suffix : kI8Suffix, tensor.name, tensor.dtype_name);
  }
  const Shape want{CeilDiv(m.rows, m.block[0]), CeilDiv(m.cols, m.block[1])};
  if (scale->dtype != DType::kF32 || scale->shape != want) {
    return InvalidArgument("%s: tensor \"%s\" is %s%s, and f32%s was expected", model_.path, scale->name,
                           scale->dtype_name, scale->shape.ToString(), want.ToString());
  }
  m.scale = scale->data.data();
  return m;
}

void Planner::Add(std::string name, DType dtype, std::vector<int64_t> dims, ConvertJob job) {
  job.dtype = dtype;
  plan_.file.tensors.push_back({std::move(name), std::string(SafetensorsName(dtype)), std::move(dims)});
  plan_.jobs.push_back(job);
}

absl::Status Planner::AddTensor(const formats::TensorView& tensor, const models::TensorSpec* spec) {
  auto copy = [&](const formats::TensorView& from) -> absl::Status {
    // Dtypes that Qiao does not compute with are kept too, where the model does not need them.
    if (from.rank > Shape::kMaxRank || !from.packing.empty())
      return Annotate(from.CheckUsable(), model_.path);
    std::vector<int64_t> dims;
    for (int i = 0; i < from.shape.rank(); ++i) dims.push_back(from.shape[i]);
    plan_.file.tensors.push_back({std::string(from.name), std::string(from.dtype_name), std::move(dims)});
    plan_.jobs.push_back({ConvertJob::kCopy, from.dtype, &from, {}});
    return absl::OkStatus();
  };
  if (spec == nullptr) return copy(tensor);
  if (tensor.shape != spec->shape) {
    return InvalidArgument("%s: tensor \"%s\" has shape %s, but config.json makes it %s", model_.path,
                           tensor.name, tensor.shape.ToString(), spec->shape.ToString());
  }
  const std::string name(tensor.name);
  const formats::TensorView* scale = quantisation_.scale_suffix.empty()
                                         ? nullptr
                                         : model_.checkpoint->Find(name + quantisation_.scale_suffix);
  const Target target = TargetOf(*spec);
  const bool f8 = tensor.dtype == DType::kF8E4M3 && scale != nullptr && quantisation_.block[0] == kF8Block &&
                  quantisation_.block[1] == kF8Block;
  const bool i8 = tensor.dtype == DType::kI8 && scale != nullptr && quantisation_.scale_suffix == kI8Suffix;
  if (target == Target::kKeep || (target == Target::kF8 && f8) || (target == Target::kI8 && i8)) {
    QIAO_RETURN_IF_ERROR(copy(tensor));
    return scale == nullptr ? absl::OkStatus() : copy(*scale);
  }
  if (target == Target::kPlain && scale == nullptr && tensor.dtype == spec->plain) return copy(tensor);
  ConvertJob job;
  job.tensor = &tensor;
  QIAO_ASSIGN_OR_RETURN(job.source, Source(tensor, scale));
  const int64_t rows = job.source.rows, cols = job.source.cols;
  std::vector<int64_t> dims;
  for (int i = 0; i < spec->shape.rank(); ++i) dims.push_back(spec->shape[i]);
  if (target == Target::kPlain) {
    job.kind = ConvertJob::kCast;
    Add(name, spec->plain, dims, job);
  } else if (target == Target::kF8) {
    job.kind = ConvertJob::kF8;
    Add(name, DType::kF8E4M3, dims, job);
    job.kind = ConvertJob::kF8Scale;
    Add(absl::StrFormat("%s%s", name, kF8Suffix), DType::kF32,
        {CeilDiv(rows, kF8Block), CeilDiv(cols, kF8Block)}, job);
  } else {
    job.kind = ConvertJob::kI8;
    Add(name, DType::kI8, dims, job);
    job.kind = ConvertJob::kI8Scale;
    Add(absl::StrFormat("%s%s", name, kI8Suffix), DType::kF32, {rows, 1}, job);
  }
  return absl::OkStatus();
}

absl::StatusOr<ConvertPlan> Planner::Run() {
  QIAO_RETURN_IF_ERROR(CheckFormat());
  plan_.file.producer = "qiao " + Version();
  QIAO_RETURN_IF_ERROR(AddTexts());
  QIAO_RETURN_IF_ERROR(AddSource());
  const std::vector<models::TensorSpec> specs = model_.model->Tensors();
  absl::flat_hash_map<absl::string_view, const models::TensorSpec*> by_name;
  for (const models::TensorSpec& spec : specs) by_name.emplace(Abs(spec.name), &spec);
  const formats::Checkpoint& checkpoint = *model_.checkpoint;
  for (const models::TensorSpec& spec : specs) {
    if (spec.part != models::Part::kMtp && checkpoint.Find(spec.name) == nullptr)
      return NotFound("%s: tensor \"%s\" is missing; the checkpoint is incomplete", model_.path, spec.name);
  }
  const std::string& suffix = quantisation_.scale_suffix;
  for (const formats::Checkpoint::Entry& entry : checkpoint.tensors()) {
    const formats::TensorView& tensor = *entry.tensor;
    const auto spec = by_name.find(Abs(tensor.name));
    // The scales of a weight come with it.
    if (spec == by_name.end() && !suffix.empty() && tensor.name.ends_with(suffix) &&
        by_name.contains(Abs(tensor.name.substr(0, tensor.name.size() - suffix.size()))) &&
        checkpoint.Find(tensor.name.substr(0, tensor.name.size() - suffix.size())) != nullptr) {
      continue;
    }
    QIAO_RETURN_IF_ERROR(AddTensor(tensor, spec == by_name.end() ? nullptr : spec->second));
  }
  return std::move(plan_);
}

}  // namespace

absl::StatusOr<ConvertPlan> PlanConvert(const engine::ModelFolder& model, const ConvertFormat& format) {
  return Planner(model, format).Run();
}

}  // namespace qiao::tools
