#include "runtime/serve/stats.h"

namespace qiao::serve {

OrderedJson StatsJson(const ModelFacts& facts, const ModelDescription& m, const EngineStats& e,
                      const Rates& rates, const HttpCounters& http) {
  OrderedJson out;
  out["model"] = {{"id", facts.id},
                  {"family", m.family},
                  {"parameters", m.parameters},
                  {"active_parameters", m.active_parameters},
                  {"layers", m.layers},
                  {"experts", m.experts},
                  {"experts_per_token", m.experts_per_token},
                  {"context", facts.context},
                  {"weight_format", m.weight_format},
                  {"cache_bytes_per_token", m.cache_bytes_per_token},
                  {"cache_bytes_per_token_expanded", m.cache_bytes_per_token_expanded},
                  {"weight_bytes", m.weight_bytes},
                  {"weight_bytes_bf16", m.weight_bytes_bf16},
                  {"mtp", m.mtp}};
  out["now"] = {
      {"running", e.running},       {"waiting", e.waiting},           {"pages", e.pages},
      {"pages_free", e.pages_free}, {"pages_cached", e.pages_cached}, {"connections", http.connections},
      {"drafting", e.drafting}};
  out["totals"] = {{"prompt_tokens", e.prompt_tokens},
                   {"cached_tokens", e.cached_tokens},
                   {"generated_tokens", e.generated_tokens},
                   {"drafted", e.drafted},
                   {"accepted", e.accepted},
                   {"finished", e.finished},
                   {"failed", e.failed},
                   {"cancelled", e.cancelled},
                   {"preemptions", e.preemptions},
                   {"steps", e.steps},
                   {"rows", e.rows},
                   {"step_seconds", e.step_seconds}};
  out["rates"] = {{"generated_per_second", rates.generated_per_second},
                  {"prompt_per_second", rates.prompt_per_second},
                  {"batch", rates.batch}};
  return out;
}

}  // namespace qiao::serve
