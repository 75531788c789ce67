#include "runtime/serve/api/openai_fields.h"

#include <charconv>
#include <utility>

#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

template <typename T, typename U>
void SetIf(const std::optional<T>& value, U& field) {
  if (value) field = static_cast<U>(*value);
}

absl::Status ReadLogitBias(const Fields& body, const ModelFacts& model, const ApiLimits& limits,
                           SamplingParams& sampling) {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* bias, body.Object("logit_bias"));
  if (bias == nullptr) return absl::OkStatus();
  const std::string path = body.PathOf("logit_bias");
  if (static_cast<int64_t>(bias->size()) > limits.logit_bias) {
    return BadParam(
        path, absl::StrFormat("has %d entries; at most %d are allowed", bias->size(), limits.logit_bias));
  }
  for (const auto& [key, value] : bias->items()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id >= model.vocab) {
      return BadParam(path,
                      absl::StrFormat("\"%s\" is no token id of 0..%d", key.substr(0, 40), model.vocab - 1));
    }
    if (!value.is_number() || !(value.get<double>() >= -100 && value.get<double>() <= 100)) {
      return BadParam(path + "." + key, "must be a number of -100..100");
    }
    sampling.logit_bias.emplace_back(id, value.get<float>());
  }
  return absl::OkStatus();
}

absl::Status ReadStopTokens(const Fields& body, const ModelFacts& model, const ApiLimits& limits,
                            std::vector<int32_t>& tokens) {
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* ids, body.Array("stop_token_ids", limits.stop));
  if (ids == nullptr) return absl::OkStatus();
  for (const OrderedJson& id : *ids) {
    if (!IsTokenId(id, model.vocab)) {
      return BadParam(body.PathOf("stop_token_ids"),
                      absl::StrFormat("must be token ids of 0..%d", model.vocab - 1));
    }
    tokens.push_back(id.get<int32_t>());
  }
  return absl::OkStatus();
}

absl::Status SetConstraint(Constraint::Kind kind, std::string text, const std::string& path,
                           Constraint& constraint) {
  if (constraint.kind != Constraint::Kind::kNone) {
    return BadParam(path, "only one constraint on the answer's form can be given");
  }
  constraint.kind = kind;
  constraint.text = std::move(text);
  return absl::OkStatus();
}

// vLLM's spellings of constraints.
absl::Status ReadGuided(const Fields& body, const ApiLimits& limits, Constraint& constraint) {
  if (const OrderedJson* schema = body.Find("guided_json")) {
    const std::string path = body.PathOf("guided_json");
    QIAO_ASSIGN_OR_RETURN(std::string text, SchemaText(*schema, path, limits));
    QIAO_RETURN_IF_ERROR(SetConstraint(Constraint::Kind::kJsonSchema, std::move(text), path, constraint));
  }
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> regex, body.String("guided_regex"));
  if (regex) {
    const std::string path = body.PathOf("guided_regex");
    if (static_cast<int64_t>(regex->size()) > limits.schema_bytes) {
      return BadParam(
          path, absl::StrFormat("has %d bytes; at most %d are allowed", regex->size(), limits.schema_bytes));
    }
    QIAO_RETURN_IF_ERROR(SetConstraint(Constraint::Kind::kRegex, *std::move(regex), path, constraint));
  }
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* choices, body.Array("guided_choice", limits.choices));
  if (choices != nullptr) {
    const std::string path = body.PathOf("guided_choice");
    QIAO_RETURN_IF_ERROR(SetConstraint(Constraint::Kind::kChoice, "", path, constraint));
    for (const OrderedJson& choice : *choices) {
      if (!choice.is_string()) return BadParam(path, "must be an array of strings");
      constraint.choices.push_back(choice.get<std::string>());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> SchemaText(const OrderedJson& schema, const std::string& path,
                                       const ApiLimits& limits) {
  std::string text;
  if (schema.is_string()) {
    text = schema.get<std::string>();
  } else if (schema.is_object() || schema.is_boolean()) {
    text = schema.dump();
  } else {
    return BadParam(path, "must be a JSON schema, an object");
  }
  if (static_cast<int64_t>(text.size()) > limits.schema_bytes) {
    return BadParam(path, absl::StrFormat("the schema has %d bytes; at most %d are allowed", text.size(),
                                          limits.schema_bytes));
  }
  return text;
}

absl::Status ReadFormat(const Fields& format, bool nested, const ApiLimits& limits, Constraint& constraint) {
  QIAO_ASSIGN_OR_RETURN(const std::string type, format.NeedString("type"));
  if (type == "text") return absl::OkStatus();
  if (type == "json_object") {
    return SetConstraint(Constraint::Kind::kJsonObject, "", format.path(), constraint);
  }
  if (type != "json_schema") {
    return BadParam(format.PathOf("type"),
                    absl::StrFormat("\"%s\" is not known; there are text, json_object and json_schema",
                                    type.substr(0, 40)));
  }
  const auto read_schema = [&](const Fields& holder) -> absl::Status {
    const OrderedJson* schema = holder.Find("schema");
    if (schema == nullptr) return BadParam(holder.PathOf("schema"), "is missing");
    QIAO_ASSIGN_OR_RETURN(std::string text, SchemaText(*schema, holder.PathOf("schema"), limits));
    return SetConstraint(Constraint::Kind::kJsonSchema, std::move(text), holder.PathOf("schema"), constraint);
  };
  if (!nested) return read_schema(format);
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* holder, format.Object("json_schema"));
  if (holder == nullptr) return BadParam(format.PathOf("json_schema"), "is missing");
  QIAO_ASSIGN_OR_RETURN(const Fields inner, Fields::Of(*holder, format.PathOf("json_schema")));
  return read_schema(inner);
}

absl::Status ReadStop(const Fields& body, std::string_view name, const ApiLimits& limits,
                      std::vector<std::string>& stop) {
  const OrderedJson* value = body.Find(name);
  if (value == nullptr) return absl::OkStatus();
  const auto add = [&](const OrderedJson& text, const std::string& path) -> absl::Status {
    if (!text.is_string()) return BadParam(path, "must be a string or an array of strings");
    const auto& bytes = text.get_ref<const std::string&>();
    if (static_cast<int64_t>(bytes.size()) > limits.stop_bytes) {
      return BadParam(path, absl::StrFormat("a stop string has %d bytes; at most %d are allowed",
                                            bytes.size(), limits.stop_bytes));
    }
    if (!bytes.empty()) stop.push_back(bytes);
    return absl::OkStatus();
  };
  if (!value->is_array()) return add(*value, body.PathOf(name));
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* array, body.Array(name, limits.stop));
  for (size_t i = 0; i < array->size(); ++i) {
    QIAO_RETURN_IF_ERROR(add((*array)[i], absl::StrFormat("%s[%d]", body.PathOf(name), i)));
  }
  return absl::OkStatus();
}

absl::Status ReadSampling(const Fields& body, const ModelFacts& model, SamplingParams& sampling) {
  sampling = model.sampling;
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> temperature, body.Number("temperature", 0, 2));
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> top_p, body.Number("top_p", 0, 1));
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> min_p, body.Number("min_p", 0, 1));
  // -1 is what vLLM calls off.
  QIAO_ASSIGN_OR_RETURN(std::optional<int64_t> top_k, body.Int("top_k", -1, int64_t{1} << 31));
  if (top_k && *top_k < 0) top_k = 0;
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> repetition, body.Number("repetition_penalty", 0.01, 10));
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> presence, body.Number("presence_penalty", -2, 2));
  QIAO_ASSIGN_OR_RETURN(const std::optional<double> frequency, body.Number("frequency_penalty", -2, 2));
  SetIf(temperature, sampling.temperature);
  SetIf(top_p, sampling.top_p);
  SetIf(min_p, sampling.min_p);
  SetIf(top_k, sampling.top_k);
  SetIf(repetition, sampling.repetition_penalty);
  SetIf(presence, sampling.presence_penalty);
  SetIf(frequency, sampling.frequency_penalty);
  // A nucleus of nothing is the likeliest token.
  if (sampling.top_p == 0) sampling.top_p = 1, sampling.top_k = 1;
  return absl::OkStatus();
}

absl::Status ReadCommon(const Fields& body, const ModelFacts& model, const ApiLimits& limits, Call& call) {
  QIAO_ASSIGN_OR_RETURN(std::optional<std::string> name, body.String("model"));
  call.model = name.value_or("");
  GenerateRequest& spec = call.spec;
  QIAO_RETURN_IF_ERROR(ReadSampling(body, model, spec.sampling));
  QIAO_RETURN_IF_ERROR(ReadLogitBias(body, model, limits, spec.sampling));
  QIAO_ASSIGN_OR_RETURN(
      const std::optional<int64_t> seed,
      body.Int("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()));
  if (seed) call.seed = static_cast<uint64_t>(*seed);
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> n, body.Int("n", 1, limits.n));
  SetIf(n, spec.n);
  QIAO_RETURN_IF_ERROR(ReadStop(body, "stop", limits, spec.stop));
  QIAO_RETURN_IF_ERROR(ReadStopTokens(body, model, limits, spec.stop_tokens));
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> ignore_end, body.Bool("ignore_eos"));
  SetIf(ignore_end, spec.ignore_end);
  QIAO_ASSIGN_OR_RETURN(const std::optional<int64_t> priority, body.Int("priority", -1000, 1000));
  SetIf(priority, spec.priority);
  QIAO_RETURN_IF_ERROR(ReadGuided(body, limits, spec.constraint));
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> stream, body.Bool("stream"));
  SetIf(stream, call.stream);
  QIAO_ASSIGN_OR_RETURN(const OrderedJson* options, body.Object("stream_options"));
  if (options != nullptr) {
    QIAO_ASSIGN_OR_RETURN(const Fields stream_options, Fields::Of(*options, "stream_options"));
    QIAO_ASSIGN_OR_RETURN(const std::optional<bool> usage, stream_options.Bool("include_usage"));
    SetIf(usage, call.include_usage);
  }
  QIAO_ASSIGN_OR_RETURN(const std::optional<bool> efficiency, body.Bool("efficiency"));
  SetIf(efficiency, call.efficiency);
  return absl::OkStatus();
}

}  // namespace qiao::serve
