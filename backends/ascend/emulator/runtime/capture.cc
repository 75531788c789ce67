#include "backends/ascend/emulator/runtime/capture.h"

#include <algorithm>
#include <atomic>
#include <random>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/event.h"
#include "backends/ascend/emulator/runtime/race.h"
#include "backends/ascend/emulator/runtime/state.h"
#include "backends/ascend/emulator/runtime/stream.h"

namespace qiao::cann {
namespace {

struct Captures {
  std::mutex mutex;
  std::vector<std::shared_ptr<Capture>> active;  // begun and not ended, the invalidated ones too
  std::atomic<size_t> count{0};
};

Captures& All() {
  static auto* const captures = new Captures;
  return *captures;
}

thread_local aclmdlRICaptureMode thread_mode = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;

void Invalidate(Capture& capture, std::string why) {
  if (capture.invalid) return;
  capture.invalid = true;
  capture.why = std::move(why);
}

aclError FailInvalid(const char* api, const Capture& capture) {
  return Fail(
      ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
      absl::StrCat(api, ": the capture of ", capture.origin->Describe(), " was invalidated: ", capture.why));
}

// Whether an unsafe call of this thread breaks the capture.
bool Concerns(const Capture& capture) {
  const bool own = capture.thread == std::this_thread::get_id();
  if (thread_mode == ACL_MODEL_RI_CAPTURE_MODE_RELAXED) return false;
  if (capture.mode == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL)
    return own || thread_mode == ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;
  return capture.mode == ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL && own;
}

void Union(std::vector<size_t>& into, const std::vector<size_t>& from) {
  for (size_t node : from) {
    if (std::find(into.begin(), into.end(), node) == into.end()) into.push_back(node);
  }
}

// The first node that the origin's end does not come after, or the number of nodes.
size_t FirstUnjoined(const Capture& capture) {
  std::vector<bool> joined(capture.nodes.size());
  std::vector<size_t> open;
  if (auto it = capture.frontier.find(capture.origin.get()); it != capture.frontier.end()) open = it->second;
  while (!open.empty()) {
    const size_t node = open.back();
    open.pop_back();
    if (joined[node]) continue;
    joined[node] = true;
    for (size_t before : capture.nodes[node].after) open.push_back(before);
  }
  return static_cast<size_t>(std::find(joined.begin(), joined.end(), false) - joined.begin());
}

// Any order that the graph allows: as captured, or in stress mode a random one.
std::vector<size_t> OrderOf(const Graph& graph) {
  std::vector<size_t> order(graph.nodes.size());
  if (!GetSettings().stress()) {
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    return order;
  }
  static std::atomic<uint64_t> runs{0};
  std::mt19937_64 random(GetSettings().seed * 7919 + ++runs);
  std::vector<size_t> missing(graph.nodes.size()), ready;
  std::vector<std::vector<size_t>> before(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    missing[i] = graph.nodes[i].after.size();
    for (size_t earlier : graph.nodes[i].after) before[earlier].push_back(i);
    if (missing[i] == 0) ready.push_back(i);
  }
  for (size_t& next : order) {
    const size_t pick = static_cast<size_t>(random() % ready.size());
    next = ready[pick];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(pick));
    for (size_t later : before[next]) {
      if (--missing[later] == 0) ready.push_back(later);
    }
  }
  return order;
}

// Its streams are captured no more. What it knows of them stays for who still holds it.
void EndLocked(const std::shared_ptr<Capture>& capture) {
  for (const std::shared_ptr<Stream>& stream : capture->streams) stream->capture = nullptr;
  capture->streams.clear();
  capture->frontier.clear();
  All().active.erase(std::find(All().active.begin(), All().active.end(), capture));
  All().count = All().active.size();
}

std::vector<race::Step> StepsOf(const Graph& graph) {
  std::vector<race::Step> steps;
  if (!GetSettings().stress()) return steps;
  for (const Node& node : graph.nodes) steps.push_back({&node.task, node.after});
  return steps;
}

void RunGraph(Graph& graph) {
  std::lock_guard lock(graph.running);
  for (size_t i : OrderOf(graph)) graph.nodes[i].task.run();
}

}  // namespace

void AbandonCapture(Stream& stream, const char* api) {
  std::lock_guard lock(All().mutex);
  const std::shared_ptr<Capture> capture = stream.capture;
  if (capture == nullptr) return;
  Invalidate(*capture, absl::StrCat(api, " ended ", stream.Describe(), " during it"));
  EndLocked(capture);
}

bool AnyCapture() { return All().count.load(std::memory_order_acquire) > 0; }

Captured CaptureTask(Stream& stream, Task& task, aclError* code) {
  if (!AnyCapture()) return Captured::kNo;
  std::lock_guard lock(All().mutex);
  if (stream.capture == nullptr) return Captured::kNo;
  Capture& capture = *stream.capture;
  if (capture.invalid) {
    *code = FailInvalid(task.name.c_str(), capture);
    return Captured::kFailed;
  }
  std::vector<size_t>& frontier = capture.frontier[&stream];
  const size_t node = capture.nodes.size();
  capture.nodes.push_back({std::move(task), std::move(frontier)});
  frontier = {node};
  return Captured::kYes;
}

Captured CaptureRecord(Stream& stream, Record& record) {
  if (!AnyCapture()) return Captured::kNo;
  std::lock_guard lock(All().mutex);
  if (stream.capture == nullptr) return Captured::kNo;
  record.capture = stream.capture;
  record.nodes = stream.capture->frontier[&stream];
  return Captured::kYes;
}

Captured CaptureWait(const std::shared_ptr<Stream>& stream, const Record& record, aclError* code) {
  constexpr const char* kApi = "aclrtStreamWaitEvent";
  if (!AnyCapture() && record.capture == nullptr) return Captured::kNo;
  std::lock_guard lock(All().mutex);
  const std::shared_ptr<Capture> mine = stream->capture;
  if (mine == nullptr && record.capture == nullptr) return Captured::kNo;
  if (mine != nullptr && mine->invalid) {
    *code = FailInvalid(kApi, *mine);
    return Captured::kFailed;
  }
  const std::shared_ptr<Capture>& theirs = record.capture;
  const bool active =
      theirs != nullptr && std::find(All().active.begin(), All().active.end(), theirs) != All().active.end();
  if (!active || (mine != nullptr && mine != theirs)) {
    const std::string why =
        absl::StrCat(kApi, ": ", stream->Describe(), mine != nullptr ? ", which is captured," : "",
                     " would wait for an event that was ",
                     theirs == nullptr ? "recorded outside the capture" : "captured into another graph");
    if (mine != nullptr) Invalidate(*mine, why);
    *code = Fail(ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT, why);
    return Captured::kFailed;
  }
  if (theirs->invalid) {
    *code = FailInvalid(kApi, *theirs);
    return Captured::kFailed;
  }
  if (mine == nullptr) {
    stream->capture = theirs;
    theirs->streams.push_back(stream);
  }
  Union(theirs->frontier[stream.get()], record.nodes);
  return Captured::kYes;
}

aclError CheckSafe(const char* api, const char* what) {
  if (!AnyCapture()) return ACL_SUCCESS;
  std::lock_guard lock(All().mutex);
  std::string broken;
  for (const std::shared_ptr<Capture>& capture : All().active) {
    if (capture->invalid || !Concerns(*capture)) continue;
    if (broken.empty()) broken = capture->origin->Describe();
    Invalidate(*capture, absl::StrCat(api, ", which ", what, ", was called during it"));
  }
  if (broken.empty()) return ACL_SUCCESS;
  return Fail(ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
              absl::StrCat(api, ", which ", what, ", is not permitted while ", broken,
                           " is captured; the capture is lost"));
}

aclError CheckNotCaptured(const char* api, Stream& stream) {
  if (!AnyCapture()) return ACL_SUCCESS;
  std::lock_guard lock(All().mutex);
  if (stream.capture == nullptr) return ACL_SUCCESS;
  Invalidate(*stream.capture, absl::StrCat(api, " was called for ", stream.Describe(), " during it"));
  return Fail(ACL_ERROR_RT_STREAM_CAPTURED,
              absl::StrCat(api, ": ", stream.Describe(), " is being captured; the capture is lost"));
}

}  // namespace qiao::cann

using namespace qiao::cann;  // the C functions below are the library's surface

extern "C" {

aclError aclmdlRICaptureBegin(aclrtStream handle, aclmdlRICaptureMode mode) {
  constexpr const char* kApi = "aclmdlRICaptureBegin";
  if (handle == nullptr || mode < ACL_MODEL_RI_CAPTURE_MODE_GLOBAL ||
      mode > ACL_MODEL_RI_CAPTURE_MODE_RELAXED) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID,
                absl::StrCat(kApi, ": the default stream cannot be captured, or mode ",
                             static_cast<int>(mode), " is none"));
  }
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  std::lock_guard lock(All().mutex);
  if (stream->capture != nullptr) {
    return Fail(ACL_ERROR_RT_STREAM_CAPTURED,
                absl::StrCat(kApi, ": ", stream->Describe(), " is being captured already"));
  }
  auto capture = std::make_shared<Capture>();
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->origin = stream;
  capture->streams.push_back(stream);
  stream->capture = capture;
  All().active.push_back(std::move(capture));
  All().count = All().active.size();
  return ACL_SUCCESS;
}

aclError aclmdlRICaptureEnd(aclrtStream handle, aclmdlRI* modelRI) {
  constexpr const char* kApi = "aclmdlRICaptureEnd";
  if (modelRI == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": modelRI is null"));
  *modelRI = nullptr;
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  std::lock_guard lock(All().mutex);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (capture == nullptr || capture->origin != stream) {
    return Fail(
        ACL_ERROR_RT_PARAM_INVALID,
        absl::StrCat(
            kApi, ": no capture began on ", stream->Describe(),
            capture == nullptr ? "" : absl::StrCat("; it joined that of ", capture->origin->Describe())));
  }
  if (capture->mode != ACL_MODEL_RI_CAPTURE_MODE_RELAXED && capture->thread != std::this_thread::get_id()) {
    Invalidate(*capture, absl::StrCat(kApi, " was called by another thread than the one that began"));
  }
  const size_t node = FirstUnjoined(*capture);
  EndLocked(capture);
  if (capture->invalid) return FailInvalid(kApi, *capture);
  if (node < capture->nodes.size()) {
    return Fail(ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT,
                absl::StrCat(kApi, ": ", capture->nodes[node].task.name,
                             " was captured on a stream that was not joined back to ", stream->Describe(),
                             " by an event"));
  }
  auto graph = std::make_shared<Graph>();
  graph->nodes = std::move(capture->nodes);
  *modelRI = State().graphs.Add(graph);
  race::OnCaptured(absl::StrCat("graph #", graph->id), StepsOf(*graph));
  return ACL_SUCCESS;
}

aclError aclmdlRICaptureGetInfo(aclrtStream handle, aclmdlRICaptureStatus* status, aclmdlRI* modelRI) {
  constexpr const char* kApi = "aclmdlRICaptureGetInfo";
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStream(kApi, handle, &code);
  if (stream == nullptr) return code;
  if (status == nullptr) return Fail(ACL_ERROR_RT_PARAM_INVALID, absl::StrCat(kApi, ": status is null"));
  std::lock_guard lock(All().mutex);
  *status = stream->capture == nullptr ? ACL_MODEL_RI_CAPTURE_STATUS_NONE
            : stream->capture->invalid ? ACL_MODEL_RI_CAPTURE_STATUS_INVALIDATED
                                       : ACL_MODEL_RI_CAPTURE_STATUS_ACTIVE;
  // The graph does not exist before the end; what is not null only tells captures apart.
  if (modelRI != nullptr) *modelRI = stream->capture.get();
  return ACL_SUCCESS;
}

aclError aclmdlRICaptureThreadExchangeMode(aclmdlRICaptureMode* mode) {
  if (mode == nullptr || *mode < ACL_MODEL_RI_CAPTURE_MODE_GLOBAL ||
      *mode > ACL_MODEL_RI_CAPTURE_MODE_RELAXED) {
    return Fail(ACL_ERROR_RT_PARAM_INVALID, "aclmdlRICaptureThreadExchangeMode: mode is null or unknown");
  }
  std::swap(thread_mode, *mode);
  return ACL_SUCCESS;
}

aclError aclmdlRIExecuteAsync(aclmdlRI handle, aclrtStream stream_handle) {
  constexpr const char* kApi = "aclmdlRIExecuteAsync";
  std::shared_ptr<Graph> graph = State().graphs.Find(handle);
  if (graph == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE, absl::StrCat(kApi, ": ", State().graphs.Describe(handle)));
  }
  aclError code = ACL_SUCCESS;
  std::shared_ptr<Stream> stream = FindStreamForWork(kApi, stream_handle, &code);
  if (stream == nullptr) return code;
  Item item;
  item.task.name = absl::StrCat("graph #", graph->id);
  for (size_t i = 0; i < graph->nodes.size(); ++i) {
    const Node& node = graph->nodes[i];
    std::string why;
    if ((code = PinAccesses(node.task, &item.pins, &why)) != ACL_SUCCESS) {
      return Fail(code, absl::StrCat(kApi, " of ", item.task.name, ", node ", i, ": ", why));
    }
  }
  item.task.run = [graph] { RunGraph(*graph); };
  if (AnyCapture()) {
    Task child = item.task;
    for (const Node& node : graph->nodes) {
      child.accesses.insert(child.accesses.end(), node.task.accesses.begin(), node.task.accesses.end());
    }
    switch (CaptureTask(*stream, child, &code)) {
      case Captured::kYes:
        return ACL_SUCCESS;
      case Captured::kFailed:
        return code;
      case Captured::kNo:
        break;
    }
  }
  race::OnGraph(*stream, item.task.name, StepsOf(*graph));
  return stream->Push(kApi, std::move(item));
}

aclError aclmdlRIDestroy(aclmdlRI handle) {
  if (State().graphs.Remove(handle) == nullptr) {
    return Fail(ACL_ERROR_RT_INVALID_HANDLE,
                absl::StrCat("aclmdlRIDestroy: ", State().graphs.Describe(handle)));
  }
  return ACL_SUCCESS;
}

}  // extern "C"
