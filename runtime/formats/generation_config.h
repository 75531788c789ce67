// generation_config.json: how a model's authors want it sampled. Every field may be missing, and so may the
// file.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/base/file_set.h"
#include "runtime/base/status.h"

namespace qiao::formats {

struct GenerationConfig {
  std::optional<bool> do_sample;  // false: greedy, whatever the other fields say
  std::optional<double> temperature;
  std::optional<int64_t> top_k;  // 0 = off
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<int64_t> max_length;      // prompt and answer together, in tokens
  std::optional<int64_t> max_new_tokens;  // of the answer
  std::optional<int64_t> bos_token_id;
  std::optional<int64_t> pad_token_id;
  std::vector<int64_t> eos_token_ids;  // empty where not given
};

// Keys that Qiao does not know are passed over: the file is full of settings for other methods of generation.
absl::StatusOr<GenerationConfig> ParseGenerationConfig(std::string_view text, std::string_view what);
// generation_config.json of a model's files. A missing one gives an empty config.
absl::StatusOr<GenerationConfig> OpenGenerationConfig(const FileSet& files);

}  // namespace qiao::formats
