// config.json: typed access that remembers what was read, and the parts that many families share.
//
//   QIAO_ASSIGN_OR_RETURN(ConfigReader config, ConfigReader::Open(folder + "/config.json"));
//   QIAO_ASSIGN_OR_RETURN(int64_t hidden, config.GetInt("hidden_size", 1, 1 << 20));
//   QIAO_ASSIGN_OR_RETURN(bool tied, config.GetBoolOr("tie_word_embeddings", false));
//   ...
//   for (const std::string& key : config.UnreadKeys()) ...  // nobody understood these
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::formats {

inline constexpr size_t kMaxConfigBytes = size_t{8} << 20;

// A JSON object with a record of the keys that were asked for. A key whose value is null counts as absent, as
// configs write it. An error names the file, the field ("rope_scaling.factor") and what it should have been.
// Copies, and the readers of nested objects, share one document and one record. Not thread-safe.
class ConfigReader {
 public:
  static absl::StatusOr<ConfigReader> Open(const std::string& path);
  // `what` names the text in errors.
  static absl::StatusOr<ConfigReader> Parse(std::string_view text, std::string_view what);

  // Whether the key is there and not null; records it as read.
  bool Has(std::string_view key) const;

  // Required values. A whole number may be written with a fraction of zero (8.0); a bool is no number. Lists
  // may not be longer than kMaxListLength.
  absl::StatusOr<int64_t> GetInt(std::string_view key, int64_t min, int64_t max) const;
  absl::StatusOr<double> GetDouble(std::string_view key, double min, double max) const;
  absl::StatusOr<bool> GetBool(std::string_view key) const;
  absl::StatusOr<std::string> GetString(std::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> GetIntList(std::string_view key, int64_t min, int64_t max) const;
  absl::StatusOr<std::vector<std::string>> GetStringList(std::string_view key) const;
  // The reader of a nested object.
  absl::StatusOr<ConfigReader> GetObject(std::string_view key) const;

  // The same, absent or a fallback where the key is missing or null; a value of a wrong type or range is
  // still an error.
  absl::StatusOr<std::optional<int64_t>> GetOptionalInt(std::string_view key, int64_t min, int64_t max) const;
  absl::StatusOr<std::optional<double>> GetOptionalDouble(std::string_view key, double min, double max) const;
  absl::StatusOr<std::optional<bool>> GetOptionalBool(std::string_view key) const;
  absl::StatusOr<std::optional<std::string>> GetOptionalString(std::string_view key) const;
  absl::StatusOr<std::optional<std::vector<int64_t>>> GetOptionalIntList(std::string_view key, int64_t min,
                                                                         int64_t max) const;
  absl::StatusOr<std::optional<std::vector<std::string>>> GetOptionalStringList(std::string_view key) const;
  absl::StatusOr<std::optional<ConfigReader>> GetOptionalObject(std::string_view key) const;
  absl::StatusOr<int64_t> GetIntOr(std::string_view key, int64_t fallback, int64_t min, int64_t max) const;
  absl::StatusOr<double> GetDoubleOr(std::string_view key, double fallback, double min, double max) const;
  absl::StatusOr<bool> GetBoolOr(std::string_view key, bool fallback) const;
  absl::StatusOr<std::string> GetStringOr(std::string_view key, std::string_view fallback) const;

  // A whole number or a list of them, as eos_token_id is; empty where the key is missing or null.
  absl::StatusOr<std::vector<int64_t>> GetIntOrList(std::string_view key, int64_t min, int64_t max) const;

  // Records keys as known where a family knows that they change nothing for inference.
  void Ignore(absl::Span<const std::string_view> keys) const;

  // The keys, dotted where nested, that are there with a value other than null and that nobody read. Of a
  // nested object that nobody opened only its own name.
  std::vector<std::string> UnreadKeys() const;

  const Json& json() const { return *node_; }
  // "DIR/config.json", for messages.
  const std::string& what() const;
  // An error about a field: INVALID_ARGUMENT "WHAT: field: MESSAGE".
  absl::Status FieldError(std::string_view key, std::string_view message) const;

  static constexpr size_t kMaxListLength = 100'000;

 private:
  struct Document;
  ConfigReader(std::shared_ptr<Document> document, const Json* node, std::string prefix);
  const Json* Lookup(std::string_view key) const;
  absl::Status Missing(std::string_view key) const;

  std::shared_ptr<Document> document_;
  const Json* node_ = nullptr;
  std::string prefix_;  // "rope_scaling." for a nested object
};

enum class RopeType { kNone, kLinear, kDynamic, kYarn, kLlama3 };

// How rotary frequencies are stretched; models.md gives the formulas, the models apply them. Fields that a
// type does not use keep their defaults.
struct RopeScaling {
  RopeType type = RopeType::kNone;
  double factor = 1.0;
  int64_t original_max_position_embeddings = 0;  // max_position_embeddings where the file does not say
  double beta_fast = 32.0;                       // yarn
  double beta_slow = 1.0;
  double mscale = 0.0;  // 0 = not given
  double mscale_all_dim = 0.0;
  std::optional<double> attention_factor;
  bool truncate = true;
  double low_freq_factor = 1.0;  // llama3
  double high_freq_factor = 4.0;
};

struct Rope {
  double theta = 10000.0;
  double partial_rotary_factor = 1.0;
  RopeScaling scaling;
};

// Reads rope_theta and rope_scaling (hub files; its kind is `type` or `rope_type`), or rope_parameters
// (transformers 5), which wins where both are there. A kind that is not listed above is UNIMPLEMENTED.
absl::StatusOr<Rope> ReadRope(const ConfigReader& config, double default_theta = 10000.0);

// quantization_config, of the block-scaled FP8 checkpoints of DeepSeek and of others, and of INT8 checkpoints
// in the format of compressed-tensors.
struct QuantizationConfig {
  std::string quant_method;  // "fp8", "compressed-tensors"
  // compressed-tensors, whose format is then "int-quantized": INT8 weights with one scale for each output
  // channel, which meet activations that are quantised to INT8 with one scale for each token. The rest stays
  // empty.
  bool int8_channel() const { return quant_method == "compressed-tensors"; }
  std::string fmt;        // "e4m3"; empty where not given
  std::string scale_fmt;  // "ue8m0"; empty: the scales are F32
  std::string activation_scheme;
  int64_t weight_block_size[2] = {0, 0};  // rows and columns; 0, 0 where not given
  std::vector<std::string> modules_to_not_convert;
};

// Of compressed-tensors only the kind above is known; anything else that it could say is UNIMPLEMENTED, with
// the field.
absl::StatusOr<std::optional<QuantizationConfig>> ReadQuantization(const ConfigReader& config);

// torch_dtype, or dtype as transformers 5 calls it: "bfloat16". Empty where the file does not say.
absl::StatusOr<std::string> ReadTorchDType(const ConfigReader& config);

}  // namespace qiao::formats
