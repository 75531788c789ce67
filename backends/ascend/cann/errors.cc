#include "backends/ascend/cann/errors.h"

#include <algorithm>

#include "backends/ascend/cann/library.h"

namespace qiao::ascend {
namespace {

struct Meaning {
  int64_t first, last;
  const char* text;
  const char* fix;
};

constexpr Meaning kMeanings[] = {
    {100000, 100000, "an argument of a runtime call is invalid", ""},
    {100001, 100001, "the runtime is not initialised", ""},
    {100002, 100002, "the runtime was initialised before", ""},
    {107000, 107000, "an argument of a runtime call is invalid", ""},
    {107001, 107001, "there is no such device", "look at npu-smi info and ASCEND_RT_VISIBLE_DEVICES"},
    {107002, 107002, "this thread has no context", ""},
    {107003, 107003, "the stream belongs to another context or is destroyed", ""},
    {107004, 107007, "a model or an event of a runtime call is invalid", ""},
    {161001, 161001, "an argument that must be given is null", ""},
    {161002, 161002, "an argument is invalid: its dtype, shape, format or value",
     "a toolkit may be older than the call: see the versions in infer doctor"},
    {200000, 200000, "out of memory", "use fewer cache pages, a shorter context or smaller chunks"},
    {207000, 207000, "this chip or this driver does not support the call",
     "driver and toolkit may not go together: see npu-smi info"},
    {207001, 207001, "device memory is exhausted",
     "use fewer cache pages, a shorter context or smaller chunks"},
    {361001, 361001, "the runtime failed inside an operator", ""},
    {500000, 500999, "an internal error of the runtime", "the logs are in ~/ascend/log"},
    {507000, 507999, "a kernel or the device failed while it ran",
     "the device is lost to this process; the logs are in ~/ascend/log"},
    {561000, 561999, "the operator could not be planned",
     "a kernel package for this chip (opp) may be missing; the logs are in ~/ascend/log"},
};

const Meaning* Find(int64_t code) {
  const auto* found = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                   [&](const Meaning& m) { return m.first <= code && code <= m.last; });
  return found == std::end(kMeanings) ? nullptr : found;
}

}  // namespace

std::string Explain(int64_t code) {
  const Meaning* meaning = Find(code);
  return std::to_string(code) + (meaning != nullptr ? std::string(": ") + meaning->text : std::string());
}

std::string LikelyFix(int64_t code) {
  const Meaning* meaning = Find(code);
  return meaning != nullptr ? meaning->fix : "";
}

bool IsLost(int64_t code) { return code >= 507000 && code <= 507999; }

plugin::Status Failed(const std::string& call, int64_t code) {
  std::string message = call + " failed with " + Explain(code);
  if (const char* text = cann().aclGetRecentErrMsg(); text != nullptr && *text != '\0') {
    message += "; CANN says: ";
    message += text;
  }
  if (const std::string fix = LikelyFix(code); !fix.empty()) message += "; " + fix;
  if (IsLost(code)) return plugin::DeviceLost(std::move(message), code);
  const bool memory = code == 207001 || code == 200000;
  return {memory ? QIAO_RESOURCE_EXHAUSTED : QIAO_INTERNAL, std::move(message), code};
}

}  // namespace qiao::ascend
