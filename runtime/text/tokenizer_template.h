// The "post_processor" of a tokenizer.json: which ids stand before and after those of the text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"

namespace qiao::text {

// Supported: null, ByteLevel (it only moves offsets), TemplateProcessing for one text, Sequence.
struct PostProcessor {
  std::vector<int32_t> before, after;

  static absl::StatusOr<PostProcessor> FromJson(const Json& spec, std::string_view where);
};

}  // namespace qiao::text
