// What one request may ask for. Each limit is checked before the work that it bounds, and named in the 400 that it
// causes.
#pragma once

#include <cstdint>

namespace qiao::serve {

struct ApiLimits {
  int json_depth = 64;
  int64_t json_values = int64_t{1} << 20;
  int64_t n = 16;         // choices for a prompt
  int64_t prompts = 128;  // of one completion request
  int64_t messages = 16'384;
  int64_t content_parts = 1024;              // of one message
  int64_t max_tokens = int64_t{1} << 24;     // the context bounds it further
  int64_t logit_bias = 1024;                 // entries
  int64_t stop = 16;                         // strings
  int64_t stop_bytes = 256;                  // of one
  int64_t logprobs = 20;                     // of the likeliest, a token
  int64_t schema_bytes = int64_t{64} << 10;  // of a JSON schema or regular expression
  int64_t choices = 1024;                    // that `guided_choice` gives
  int64_t tokenize_bytes = int64_t{8} << 20;
};

}  // namespace qiao::serve
