#include "runtime/serve/api/efficiency.h"

#include <algorithm>

namespace qiao::serve {

OrderedJson Efficiency(const ModelDescription& m, const AnswerTotals& t, double prefill_rate) {
  const auto kept = static_cast<double>(t.prompt_tokens + t.completion_tokens);
  const auto computed = static_cast<double>(t.prompt_tokens - t.cached_tokens + t.completion_tokens);
  const double per_second =
      t.decode_seconds > 0 ? static_cast<double>(t.completion_tokens) / t.decode_seconds : 0;
  OrderedJson out = {{"prompt_tokens", t.prompt_tokens},         {"cached_tokens", t.cached_tokens},
                     {"completion_tokens", t.completion_tokens}, {"queue_seconds", t.queue_seconds},
                     {"prefill_seconds", t.prefill_seconds},     {"decode_seconds", t.decode_seconds},
                     {"ttft_seconds", t.ttft_seconds},           {"tokens_per_second", per_second}};
  out["mla"] = {{"bytes", kept * static_cast<double>(m.cache_bytes_per_token)},
                {"bytes_without", kept * static_cast<double>(m.cache_bytes_per_token_expanded)}};
  out["experts"] = {{"flops", computed * static_cast<double>(m.flops_per_token)},
                    {"flops_without", computed * static_cast<double>(m.flops_per_token_dense)}};
  out["fp8"] = {{"bytes", m.weight_bytes}, {"bytes_without", m.weight_bytes_bf16}};
  out["prefix_cache"] = {
      {"tokens", t.cached_tokens},
      {"seconds_saved", prefill_rate > 0 ? static_cast<double>(t.cached_tokens) / prefill_rate : 0.0}};
  out["mtp"] = nullptr;
  if (t.drafted > 0) {
    const auto steps = static_cast<double>(std::max<int64_t>(1, t.completion_tokens - t.accepted));
    out["mtp"] = {{"drafted", t.drafted},
                  {"accepted", t.accepted},
                  {"seconds_saved", static_cast<double>(t.accepted) * t.decode_seconds / steps}};
  }
  return out;
}

}  // namespace qiao::serve
