// The families that Qiao knows: one line each.
#include <array>

#include "absl/strings/str_join.h"
#include "models/deepseek/deepseek.h"
#include "models/model.h"

namespace qiao::models {
namespace {

struct Family {
  std::string_view model_type;
  absl::StatusOr<std::unique_ptr<Model>> (*make)(const formats::ConfigReader&);
};

constexpr std::array<Family, 3> kFamilies = {{
    {"deepseek_v2", MakeDeepseek},
    {"deepseek_v3", MakeDeepseek},
    {"kimi_k2", MakeDeepseek},
}};

}  // namespace

std::string_view Name(Part part) {
  switch (part) {
    case Part::kEmbedding:
      return "embedding";
    case Part::kAttention:
      return "attention";
    case Part::kDenseMlp:
      return "dense MLP";
    case Part::kRouter:
      return "router";
    case Part::kExpert:
      return "routed experts";
    case Part::kSharedExpert:
      return "shared experts";
    case Part::kNorm:
      return "norms";
    case Part::kHead:
      return "head";
    case Part::kMtp:
      return "MTP layers";
  }
  return "";
}

absl::StatusOr<std::unique_ptr<Model>> MakeModel(const formats::ConfigReader& config) {
  QIAO_ASSIGN_OR_RETURN(std::string type, config.GetString("model_type"));
  for (const Family& family : kFamilies) {
    if (family.model_type == type) return family.make(config);
  }
  std::string known;
  for (const Family& family : kFamilies)
    absl::StrAppendFormat(&known, "%s%s", known.empty() ? "" : ", ", family.model_type);
  return Unimplemented("%s: model_type \"%s\" is not one that Qiao runs (%s)", config.what(), type, known);
}

absl::StatusOr<std::string> PresetConfig(std::string_view name) {
  if (std::optional<std::string> config = DeepseekPreset(name)) return *std::move(config);
  return NotFound("there is no model called \"%s\" to imitate; known: %s", name,
                  absl::StrJoin(PresetNames(), ", "));
}

std::vector<std::string> PresetNames() { return DeepseekPresetNames(); }

}  // namespace qiao::models
