// What the model's techniques saved for one answer, from the engine's counters and the shapes of the model.
#pragma once

#include "qiao/engine.h"
#include "runtime/base/json.h"
#include "runtime/serve/api/answer.h"

namespace qiao::serve {

// The member "efficiency" of an answer. `prefill_rate`: tokens a second at which this server has read prompts so far,
// 0 unknown; it prices the prompt tokens that were in the cache.
//
// - mla: bytes of cache for the answer's tokens, and what full keys and values in bf16 would take;
// - experts: operations of the products for the tokens that were computed, and with every expert at work;
// - fp8: bytes of the weights, and in bf16;
// - prefix_cache: prompt tokens that were not read again, and the seconds that this saved;
// - mtp: guesses tried and right, or null without guesses. A right guess saves a step of the model; what the step that
//   checked it took longer is in the mean step that prices it.
OrderedJson Efficiency(const ModelDescription& model, const AnswerTotals& totals, double prefill_rate);

}  // namespace qiao::serve
