#include "runtime/formats/generation_config.h"

#include <string>

#include "runtime/formats/model_config.h"

namespace qiao::formats {

absl::StatusOr<GenerationConfig> ParseGenerationConfig(std::string_view text, std::string_view what) {
  constexpr int64_t kMaxTokenId = INT32_MAX;
  constexpr int64_t kMaxTokens = int64_t{1} << 40;
  QIAO_ASSIGN_OR_RETURN(const ConfigReader reader, ConfigReader::Parse(text, what));
  GenerationConfig config;
  QIAO_ASSIGN_OR_RETURN(config.do_sample, reader.GetOptionalBool("do_sample"));
  QIAO_ASSIGN_OR_RETURN(config.temperature, reader.GetOptionalDouble("temperature", 0.0, 100.0));
  QIAO_ASSIGN_OR_RETURN(config.top_k, reader.GetOptionalInt("top_k", 0, kMaxTokenId));
  QIAO_ASSIGN_OR_RETURN(config.top_p, reader.GetOptionalDouble("top_p", 0.0, 1.0));
  QIAO_ASSIGN_OR_RETURN(config.min_p, reader.GetOptionalDouble("min_p", 0.0, 1.0));
  QIAO_ASSIGN_OR_RETURN(config.repetition_penalty, reader.GetOptionalDouble("repetition_penalty", 1e-3, 1e3));
  QIAO_ASSIGN_OR_RETURN(config.max_length, reader.GetOptionalInt("max_length", 1, kMaxTokens));
  QIAO_ASSIGN_OR_RETURN(config.max_new_tokens, reader.GetOptionalInt("max_new_tokens", 1, kMaxTokens));
  QIAO_ASSIGN_OR_RETURN(config.bos_token_id, reader.GetOptionalInt("bos_token_id", 0, kMaxTokenId));
  QIAO_ASSIGN_OR_RETURN(config.pad_token_id, reader.GetOptionalInt("pad_token_id", 0, kMaxTokenId));
  QIAO_ASSIGN_OR_RETURN(config.eos_token_ids, reader.GetIntOrList("eos_token_id", 0, kMaxTokenId));
  return config;
}

absl::StatusOr<GenerationConfig> OpenGenerationConfig(const FileSet& files) {
  constexpr char kName[] = "generation_config.json";
  QIAO_ASSIGN_OR_RETURN(const std::optional<std::string> text, files.Read(kName, kMaxConfigBytes));
  if (!text) return GenerationConfig();
  return ParseGenerationConfig(*text, files.Where(kName));
}

}  // namespace qiao::formats
