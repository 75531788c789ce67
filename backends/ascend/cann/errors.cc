#include "backends/ascend/cann/errors.h"

#include <algorithm>

#include "backends/ascend/cann/library.h"

namespace qiao::ascend {
namespace {

struct Meaning {
  int64_t first, last;
  const char* text;
  const char* fix;
  bool lost = false;  // the device is unusable after it
};

constexpr char kMemoryFix[] = "use fewer cache pages, a shorter context or smaller chunks";
constexpr char kLogs[] = "the logs are in ~/ascend/log";

// The first that fits.
constexpr Meaning kMeanings[] = {
    {100000, 100000, "an argument of a runtime call is invalid", ""},
    {100001, 100001, "the runtime is not initialised", ""},
    {100002, 100002, "the runtime was initialised before", ""},
    {107000, 107000, "an argument of a runtime call is invalid", ""},
    {107001, 107001, "there is no such device", "look at npu-smi info and ASCEND_RT_VISIBLE_DEVICES"},
    {107002, 107002, "this thread has no context", ""},
    {107003, 107003, "the stream belongs to another context", ""},
    {107006, 107007, "an event's time is not known, or before that of the other", ""},
    {107008, 107008, "an address is not aligned", ""},
    {107016, 107018, "a handle or a kind of memory is invalid", ""},
    {107019, 107020, "a wait or a task timed out", kLogs},
    {107027, 107030, "not allowed while a stream is captured", ""},
    {161001, 161001, "an argument that must be given is null", ""},
    {161002, 161002, "an argument is invalid: its dtype, shape, format or value",
     "a toolkit may be older than the call: see the versions in infer doctor"},
    {200000, 200000, "the runtime got no memory", kMemoryFix},
    {200001, 200001, "the call is not supported", "driver and toolkit may not go together: see npu-smi info"},
    {200002, 200002, "the device is invalid", "look at npu-smi info and ASCEND_RT_VISIBLE_DEVICES"},
    {207000, 207000, "this chip or this driver does not support the call",
     "driver and toolkit may not go together: see npu-smi info"},
    {207001, 207001, "device memory is exhausted", kMemoryFix},
    {207004, 207004, "there is no device", "look at npu-smi info and ASCEND_RT_VISIBLE_DEVICES"},
    {207005, 207005, "a resource of the device is exhausted", "close what else uses the device"},
    {361001, 361001, "the runtime failed inside an operator", kLogs},
    {500000, 500999, "an internal error of the runtime", kLogs},
    {507004, 507006, "work is not complete", ""},
    {507046, 507047, "waiting for the device timed out", kLogs},
    {507000, 507999, "a kernel or the device failed while it ran",
     "the device is lost to this process; the logs are in ~/ascend/log", true},
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

plugin::Status Failed(const std::string& call, int64_t code) {
  std::string message = call + " failed with " + Explain(code);
  if (const char* text = cann().aclGetRecentErrMsg(); text != nullptr && *text != '\0') {
    message += "; CANN says: ";
    message += text;
  }
  const Meaning* meaning = Find(code);
  if (meaning != nullptr && *meaning->fix != '\0') message += std::string("; ") + meaning->fix;
  if (meaning != nullptr && meaning->lost) return plugin::DeviceLost(std::move(message), code);
  const bool memory = code == 207001 || code == 200000;
  return {memory ? QIAO_RESOURCE_EXHAUSTED : QIAO_INTERNAL, std::move(message), code};
}

plugin::Status Check(const char* call, aclError code) {
  return code == ACL_SUCCESS ? plugin::Ok() : Failed(call, code);
}

}  // namespace qiao::ascend
