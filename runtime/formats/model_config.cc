#include "runtime/formats/model_config.h"

#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "runtime/base/mmap.h"

namespace qiao::formats {
namespace {

constexpr int64_t kMaxPositions = int64_t{1} << 40;

std::string_view KindOf(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "a list";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::null:
      return "null";
    default:
      return "a number";
  }
}

// A whole number that fits in 63 bits, also where it is written as 8.0.
std::optional<int64_t> AsInt(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto v = value.get<uint64_t>();
    if (v > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(v);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) {
    const double v = value.get<double>();
    constexpr double kExact = 9007199254740992.0;  // 2^53
    if (std::trunc(v) == v && std::fabs(v) <= kExact) return static_cast<int64_t>(v);
  }
  return std::nullopt;
}

}  // namespace

struct ConfigReader::Document {
  Json root;
  std::string what;
  absl::flat_hash_set<std::string> read;    // dotted names of values
  absl::flat_hash_set<std::string> opened;  // dotted names of nested objects that have a reader
};

ConfigReader::ConfigReader(std::shared_ptr<Document> document, const Json* node, std::string prefix)
    : document_(std::move(document)), node_(node), prefix_(std::move(prefix)) {}

absl::StatusOr<ConfigReader> ConfigReader::Open(const std::string& path) {
  QIAO_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  return Parse(text, path);
}

absl::StatusOr<ConfigReader> ConfigReader::Parse(std::string_view text, std::string_view what) {
  const JsonLimits limits{.max_bytes = kMaxConfigBytes, .max_depth = 32, .max_values = 1'000'000};
  QIAO_ASSIGN_OR_RETURN(Json root, ParseJson(text, what, limits));
  if (!root.is_object())
    return InvalidArgument("%s: should hold a JSON object, holds %s", what, KindOf(root));
  auto document = std::make_shared<Document>();
  document->root = std::move(root);
  document->what = what;
  const Json* node = &document->root;
  return ConfigReader(std::move(document), node, "");
}

const std::string& ConfigReader::what() const { return document_->what; }

absl::Status ConfigReader::FieldError(std::string_view key, std::string_view message) const {
  return InvalidArgument("%s: %s%s: %s", document_->what, prefix_, key, message);
}

absl::Status ConfigReader::Missing(std::string_view key) const {
  return FieldError(key, "is missing, and this model needs it");
}

const Json* ConfigReader::Lookup(std::string_view key) const {
  std::string name(key);
  document_->read.insert(prefix_ + name);
  const auto it = node_->find(name);
  return it == node_->end() || it->is_null() ? nullptr : &*it;
}

bool ConfigReader::Has(std::string_view key) const { return Lookup(key) != nullptr; }

absl::StatusOr<std::optional<int64_t>> ConfigReader::GetOptionalInt(std::string_view key, int64_t min,
                                                                    int64_t max) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<int64_t>();
  const std::optional<int64_t> number = AsInt(*value);
  if (!number) {
    return FieldError(key, absl::StrFormat("should be a whole number, is %s",
                                           value->is_number() ? "another number" : KindOf(*value)));
  }
  if (*number < min || *number > max) {
    return FieldError(key, absl::StrFormat("is %d, should be from %d to %d", *number, min, max));
  }
  return number;
}

absl::StatusOr<std::optional<double>> ConfigReader::GetOptionalDouble(std::string_view key, double min,
                                                                      double max) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number())
    return FieldError(key, absl::StrFormat("should be a number, is %s", KindOf(*value)));
  const auto number = value->get<double>();
  if (!(number >= min && number <= max)) {
    return FieldError(key, absl::StrFormat("is %g, should be from %g to %g", number, min, max));
  }
  return std::optional<double>(number);
}

absl::StatusOr<std::optional<bool>> ConfigReader::GetOptionalBool(std::string_view key) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean())
    return FieldError(key, absl::StrFormat("should be true or false, is %s", KindOf(*value)));
  return std::optional<bool>(value->get<bool>());
}

absl::StatusOr<std::optional<std::string>> ConfigReader::GetOptionalString(std::string_view key) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string())
    return FieldError(key, absl::StrFormat("should be a string, is %s", KindOf(*value)));
  return std::optional<std::string>(value->get_ref<const std::string&>());
}

absl::StatusOr<std::optional<std::vector<int64_t>>> ConfigReader::GetOptionalIntList(std::string_view key,
                                                                                     int64_t min,
                                                                                     int64_t max) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<std::vector<int64_t>>();
  if (!value->is_array()) return FieldError(key, absl::StrFormat("should be a list, is %s", KindOf(*value)));
  if (value->size() > kMaxListLength) {
    return FieldError(
        key, absl::StrFormat("has %d elements, at most %d are allowed", value->size(), kMaxListLength));
  }
  std::vector<int64_t> list;
  list.reserve(value->size());
  for (const Json& element : *value) {
    const std::optional<int64_t> number = AsInt(element);
    if (!number || *number < min || *number > max) {
      return FieldError(
          key, absl::StrFormat("element %d should be a whole number from %d to %d", list.size(), min, max));
    }
    list.push_back(*number);
  }
  return std::optional<std::vector<int64_t>>(std::move(list));
}

absl::StatusOr<std::optional<std::vector<std::string>>> ConfigReader::GetOptionalStringList(
    std::string_view key) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<std::vector<std::string>>();
  if (!value->is_array()) return FieldError(key, absl::StrFormat("should be a list, is %s", KindOf(*value)));
  if (value->size() > kMaxListLength) {
    return FieldError(
        key, absl::StrFormat("has %d elements, at most %d are allowed", value->size(), kMaxListLength));
  }
  std::vector<std::string> list;
  list.reserve(value->size());
  for (const Json& element : *value) {
    if (!element.is_string()) {
      return FieldError(
          key, absl::StrFormat("element %d should be a string, is %s", list.size(), KindOf(element)));
    }
    list.push_back(element.get_ref<const std::string&>());
  }
  return std::optional<std::vector<std::string>>(std::move(list));
}

absl::StatusOr<std::optional<ConfigReader>> ConfigReader::GetOptionalObject(std::string_view key) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::optional<ConfigReader>();
  if (!value->is_object())
    return FieldError(key, absl::StrFormat("should be an object, is %s", KindOf(*value)));
  std::string name = prefix_ + std::string(key);
  document_->opened.insert(name);
  return std::optional<ConfigReader>(ConfigReader(document_, value, name + "."));
}

// The required forms are the optional ones with an error for absence.
#define QIAO_REQUIRE(type, key, expr)                         \
  QIAO_ASSIGN_OR_RETURN(std::optional<type> optional_, expr); \
  if (!optional_) return Missing(key);                        \
  return *std::move(optional_)

absl::StatusOr<int64_t> ConfigReader::GetInt(std::string_view key, int64_t min, int64_t max) const {
  QIAO_REQUIRE(int64_t, key, GetOptionalInt(key, min, max));
}
absl::StatusOr<double> ConfigReader::GetDouble(std::string_view key, double min, double max) const {
  QIAO_REQUIRE(double, key, GetOptionalDouble(key, min, max));
}
absl::StatusOr<bool> ConfigReader::GetBool(std::string_view key) const {
  QIAO_REQUIRE(bool, key, GetOptionalBool(key));
}
absl::StatusOr<std::string> ConfigReader::GetString(std::string_view key) const {
  QIAO_REQUIRE(std::string, key, GetOptionalString(key));
}
absl::StatusOr<std::vector<int64_t>> ConfigReader::GetIntList(std::string_view key, int64_t min,
                                                              int64_t max) const {
  QIAO_REQUIRE(std::vector<int64_t>, key, GetOptionalIntList(key, min, max));
}
absl::StatusOr<std::vector<std::string>> ConfigReader::GetStringList(std::string_view key) const {
  QIAO_REQUIRE(std::vector<std::string>, key, GetOptionalStringList(key));
}
absl::StatusOr<ConfigReader> ConfigReader::GetObject(std::string_view key) const {
  QIAO_REQUIRE(ConfigReader, key, GetOptionalObject(key));
}
#undef QIAO_REQUIRE

absl::StatusOr<int64_t> ConfigReader::GetIntOr(std::string_view key, int64_t fallback, int64_t min,
                                               int64_t max) const {
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> value, GetOptionalInt(key, min, max));
  return value.value_or(fallback);
}
absl::StatusOr<double> ConfigReader::GetDoubleOr(std::string_view key, double fallback, double min,
                                                 double max) const {
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> value, GetOptionalDouble(key, min, max));
  return value.value_or(fallback);
}
absl::StatusOr<bool> ConfigReader::GetBoolOr(std::string_view key, bool fallback) const {
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> value, GetOptionalBool(key));
  return value.value_or(fallback);
}
absl::StatusOr<std::string> ConfigReader::GetStringOr(std::string_view key, std::string_view fallback) const {
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> value, GetOptionalString(key));
  return value.value_or(std::string(fallback));
}

absl::StatusOr<std::vector<int64_t>> ConfigReader::GetIntOrList(std::string_view key, int64_t min,
                                                                int64_t max) const {
  const Json* value = Lookup(key);
  if (value == nullptr) return std::vector<int64_t>();
  if (value->is_array()) return GetIntList(key, min, max);
  QIAO_ASSIGN_OR_RETURN(const int64_t number, GetInt(key, min, max));
  return std::vector<int64_t>{number};
}

void ConfigReader::Ignore(absl::Span<const std::string_view> keys) const {
  for (const std::string_view key : keys) document_->read.insert(prefix_ + std::string(key));
}

std::vector<std::string> ConfigReader::UnreadKeys() const {
  std::vector<std::string> unread;
  for (const auto& [key, value] : node_->items()) {
    if (value.is_null()) continue;
    const std::string name = prefix_ + key;
    if (!document_->read.contains(name)) {
      unread.push_back(name);
    } else if (document_->opened.contains(name)) {
      const std::vector<std::string> inside = ConfigReader(document_, &value, name + ".").UnreadKeys();
      unread.insert(unread.end(), inside.begin(), inside.end());
    }
  }
  return unread;
}

absl::StatusOr<Rope> ReadRope(const ConfigReader& config, double default_theta) {
  constexpr double kMaxTheta = 1e15;
  Rope rope;
  QIAO_ASSIGN_OR_RETURN(rope.theta, config.GetDoubleOr("rope_theta", default_theta, 1.0, kMaxTheta));
  QIAO_ASSIGN_OR_RETURN(rope.partial_rotary_factor,
                        config.GetDoubleOr("partial_rotary_factor", 1.0, 0.0, 1.0));
  QIAO_ASSIGN_OR_RETURN(const int64_t max_positions,
                        config.GetIntOr("max_position_embeddings", 0, 0, kMaxPositions));
  QIAO_ASSIGN_OR_RETURN(std::optional<ConfigReader> parameters, config.GetOptionalObject("rope_parameters"));
  std::string_view field = "rope_parameters";
  if (!parameters) {
    QIAO_ASSIGN_OR_RETURN(parameters, config.GetOptionalObject("rope_scaling"));
    field = "rope_scaling";
  }
  if (!parameters) return rope;
  const ConfigReader& p = *parameters;
  QIAO_ASSIGN_OR_RETURN(rope.theta, p.GetDoubleOr("rope_theta", rope.theta, 1.0, kMaxTheta));
  QIAO_ASSIGN_OR_RETURN(rope.partial_rotary_factor,
                        p.GetDoubleOr("partial_rotary_factor", rope.partial_rotary_factor, 0.0, 1.0));

  // Files that have both names give them the same value; rope_type is the newer one.
  QIAO_ASSIGN_OR_RETURN(const std::string older, p.GetStringOr("type", "default"));
  QIAO_ASSIGN_OR_RETURN(const std::string type, p.GetStringOr("rope_type", older));
  RopeScaling& scaling = rope.scaling;
  if (type == "default" || type == "none") {
    for (const auto& [key, value] : p.json().items()) {
      if (value.is_object()) {
        return Unimplemented(
            "%s: %s.%s: rope parameters of their own for each kind of layer are not supported", config.what(),
            field, key);
      }
    }
    return rope;
  }
  if (type == "linear") {
    scaling.type = RopeType::kLinear;
  } else if (type == "dynamic") {
    scaling.type = RopeType::kDynamic;
  } else if (type == "yarn") {
    scaling.type = RopeType::kYarn;
  } else if (type == "llama3") {
    scaling.type = RopeType::kLlama3;
  } else {
    return Unimplemented(
        "%s: %s: rope type \"%s\" is not supported; supported are default, linear, dynamic, yarn, llama3",
        config.what(), field, type.substr(0, 64));
  }
  QIAO_ASSIGN_OR_RETURN(scaling.factor, p.GetDouble("factor", 1e-3, 1e6));
  QIAO_ASSIGN_OR_RETURN(scaling.original_max_position_embeddings,
                        p.GetIntOr("original_max_position_embeddings", max_positions, 1, kMaxPositions));
  if (scaling.type == RopeType::kYarn) {
    if (scaling.original_max_position_embeddings == 0) {
      return p.FieldError("original_max_position_embeddings",
                          "is missing, and so is max_position_embeddings");
    }
    QIAO_ASSIGN_OR_RETURN(scaling.beta_fast, p.GetDoubleOr("beta_fast", scaling.beta_fast, 1e-3, 1e6));
    QIAO_ASSIGN_OR_RETURN(scaling.beta_slow, p.GetDoubleOr("beta_slow", scaling.beta_slow, 1e-3, 1e6));
    QIAO_ASSIGN_OR_RETURN(scaling.mscale, p.GetDoubleOr("mscale", 0.0, 0.0, 1e3));
    QIAO_ASSIGN_OR_RETURN(scaling.mscale_all_dim, p.GetDoubleOr("mscale_all_dim", 0.0, 0.0, 1e3));
    QIAO_ASSIGN_OR_RETURN(scaling.attention_factor, p.GetOptionalDouble("attention_factor", 1e-6, 1e6));
    QIAO_ASSIGN_OR_RETURN(scaling.truncate, p.GetBoolOr("truncate", true));
  } else if (scaling.type == RopeType::kLlama3) {
    QIAO_ASSIGN_OR_RETURN(scaling.low_freq_factor, p.GetDouble("low_freq_factor", 1e-6, 1e6));
    QIAO_ASSIGN_OR_RETURN(scaling.high_freq_factor, p.GetDouble("high_freq_factor", 1e-6, 1e6));
    if (scaling.original_max_position_embeddings == 0) {
      return p.FieldError("original_max_position_embeddings",
                          "is missing, and so is max_position_embeddings");
    }
    if (scaling.high_freq_factor <= scaling.low_freq_factor) {
      return p.FieldError("high_freq_factor", "should be more than low_freq_factor");
    }
  }
  return rope;
}

namespace {

absl::Status OtherThan(const ConfigReader& c, std::string_view key, std::string_view wanted) {
  const absl::Status error = c.FieldError(
      key, absl::StrFormat(
               "of compressed-tensors, Qiao knows INT8 weights by channel with dynamic INT8 activations by "
               "token, where this is %s",
               wanted));
  return absl::Status(absl::StatusCode::kUnimplemented, error.message());
}

// One side of a product: 8-bit integers, symmetric, one scale for each row.
absl::Status CheckInt8(const ConfigReader& c, std::string_view strategy, bool dynamic) {
  QIAO_ASSIGN_OR_RETURN(const int64_t bits, c.GetInt("num_bits", 1, 64));
  if (bits != 8) return OtherThan(c, "num_bits", "8");
  QIAO_ASSIGN_OR_RETURN(const std::string type, c.GetString("type"));
  if (type != "int") return OtherThan(c, "type", "\"int\"");
  QIAO_ASSIGN_OR_RETURN(const std::string by, c.GetString("strategy"));
  if (by != strategy) return OtherThan(c, "strategy", absl::StrFormat("\"%s\"", strategy));
  QIAO_ASSIGN_OR_RETURN(const bool symmetric, c.GetBoolOr("symmetric", true));
  if (!symmetric) return OtherThan(c, "symmetric", "true");
  QIAO_ASSIGN_OR_RETURN(const bool is_dynamic, c.GetBoolOr("dynamic", false));
  if (is_dynamic != dynamic) return OtherThan(c, "dynamic", dynamic ? "true" : "false");
  QIAO_ASSIGN_OR_RETURN(const int64_t group, c.GetIntOr("group_size", -1, -1, int64_t{1} << 20));
  if (group != -1) return OtherThan(c, "group_size", "null or -1");
  for (std::string_view key : {"actorder", "block_structure"}) {
    if (c.Has(key)) return OtherThan(c, key, "null");
  }
  // How the scales were found, and in which dtypes they are stored, which the tensors say themselves.
  constexpr std::string_view kHow[] = {"observer", "observer_kwargs", "scale_dtype", "zp_dtype"};
  c.Ignore(kHow);
  return absl::OkStatus();
}

absl::Status CheckCompressedTensors(const ConfigReader& c) {
  QIAO_ASSIGN_OR_RETURN(const std::string format, c.GetString("format"));
  if (format != "int-quantized") return OtherThan(c, "format", "\"int-quantized\"");
  QIAO_ASSIGN_OR_RETURN(const std::string status, c.GetStringOr("quantization_status", "compressed"));
  if (status != "compressed") return OtherThan(c, "quantization_status", "\"compressed\"");
  if (c.Has("kv_cache_scheme")) return OtherThan(c, "kv_cache_scheme", "null");
  for (std::string_view key : {"sparsity_config", "transform_config"}) {
    QIAO_ASSIGN_OR_RETURN(const std::optional<ConfigReader> object, c.GetOptionalObject(key));
    if (object && !object->json().empty()) return OtherThan(c, key, "empty");
  }
  QIAO_ASSIGN_OR_RETURN(const ConfigReader groups, c.GetObject("config_groups"));
  if (groups.json().size() != 1) return OtherThan(c, "config_groups", "one group");
  QIAO_ASSIGN_OR_RETURN(const ConfigReader group, groups.GetObject(groups.json().items().begin().key()));
  QIAO_ASSIGN_OR_RETURN(const std::vector<std::string> targets, group.GetStringList("targets"));
  if (targets != std::vector<std::string>{"Linear"}) return OtherThan(group, "targets", "[\"Linear\"]");
  QIAO_ASSIGN_OR_RETURN(const std::string own, group.GetStringOr("format", format));
  if (own != format) return OtherThan(group, "format", "\"int-quantized\"");
  if (group.Has("output_activations")) return OtherThan(group, "output_activations", "null");
  QIAO_ASSIGN_OR_RETURN(const ConfigReader weights, group.GetObject("weights"));
  QIAO_RETURN_IF_ERROR(CheckInt8(weights, "channel", false));
  QIAO_ASSIGN_OR_RETURN(const std::optional<ConfigReader> activations,
                        group.GetOptionalObject("input_activations"));
  if (!activations) return OtherThan(group, "input_activations", "given");
  QIAO_RETURN_IF_ERROR(CheckInt8(*activations, "token", true));
  // What was left out shows in the tensors, each of which says its dtype.
  constexpr std::string_view kHarmless[] = {"ignore", "global_compression_ratio", "version"};
  c.Ignore(kHarmless);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<QuantizationConfig>> ReadQuantization(const ConfigReader& config) {
  QIAO_ASSIGN_OR_RETURN(const std::optional<ConfigReader> object,
                        config.GetOptionalObject("quantization_config"));
  if (!object) return std::optional<QuantizationConfig>();
  QuantizationConfig quantization;
  QIAO_ASSIGN_OR_RETURN(quantization.quant_method, object->GetString("quant_method"));
  if (quantization.int8_channel()) {
    QIAO_RETURN_IF_ERROR(CheckCompressedTensors(*object));
    return std::optional<QuantizationConfig>(std::move(quantization));
  }
  QIAO_ASSIGN_OR_RETURN(quantization.fmt, object->GetStringOr("fmt", ""));
  QIAO_ASSIGN_OR_RETURN(quantization.scale_fmt, object->GetStringOr("scale_fmt", ""));
  QIAO_ASSIGN_OR_RETURN(quantization.activation_scheme, object->GetStringOr("activation_scheme", ""));
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::vector<int64_t>> block,
                        object->GetOptionalIntList("weight_block_size", 1, 1 << 20));
  if (block) {
    if (block->size() != 2) return object->FieldError("weight_block_size", "should be [rows, columns]");
    quantization.weight_block_size[0] = (*block)[0];
    quantization.weight_block_size[1] = (*block)[1];
  }
  QIAO_ASSIGN_OR_RETURN(std::optional<std::vector<std::string>> kept,
                        object->GetOptionalStringList("modules_to_not_convert"));
  if (kept) quantization.modules_to_not_convert = *std::move(kept);
  return std::optional<QuantizationConfig>(std::move(quantization));
}

absl::StatusOr<std::string> ReadTorchDType(const ConfigReader& config) {
  QIAO_ASSIGN_OR_RETURN(const std::string older, config.GetStringOr("torch_dtype", ""));
  return config.GetStringOr("dtype", older);
}

}  // namespace qiao::formats
