// The answer of GET /v1/stats: what the page shows of the engine while it works.
#pragma once

#include "qiao/engine.h"
#include "runtime/base/json.h"
#include "runtime/serve/api/call.h"
#include "runtime/serve/http/server.h"
#include "runtime/serve/metrics.h"

namespace qiao::serve {

// {"model": {..}, "now": {..}, "totals": {..}, "rates": {..}}
OrderedJson StatsJson(const ModelFacts& facts, const ModelDescription& model, const EngineStats& engine,
                      const Rates& rates, const HttpCounters& http);

}  // namespace qiao::serve
