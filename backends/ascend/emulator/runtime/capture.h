// Capturing streams into graphs. One lock guards all captures and every Stream::capture.
#pragma once

#include <acl/acl_mdl.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backends/ascend/emulator/runtime/emulator.h"

namespace qiao::cann {

class Stream;
struct Record;

struct Node {
  Task task;
  std::vector<size_t> after;  // earlier nodes
};

struct Capture {
  aclmdlRICaptureMode mode = ACL_MODEL_RI_CAPTURE_MODE_GLOBAL;
  std::thread::id thread;
  std::shared_ptr<Stream> origin;
  std::vector<Node> nodes;
  // For each stream that takes part, the nodes that its next one comes after.
  std::map<Stream*, std::vector<size_t>> frontier;
  std::vector<std::shared_ptr<Stream>> streams;  // let go at the end
  bool invalid = false;
  std::string why;  // it is invalid
};

struct Graph {
  uint64_t id = 0;
  void* handle = nullptr;
  std::vector<Node> nodes;
  std::mutex running;  // executions never overlap
};

// What became of a task offered to a stream's capture.
enum class Captured { kNo, kYes, kFailed };

// Records the task where the stream is captured. kFailed: *code is what Fail returned.
Captured CaptureTask(Stream& stream, Task& task, aclError* code);
// The same for recording and waiting for events. `record` is filled in by the first.
Captured CaptureRecord(Stream& stream, Record& record);
Captured CaptureWait(const std::shared_ptr<Stream>& stream, const Record& record, aclError* code);

// For calls that are not safe during a capture. Fails, and invalidates the captures that it breaks. `what` says what the
// call does ("synchronises a stream").
aclError CheckSafe(const char* api, const char* what);
// Fails where this very stream is being captured, whatever the mode.
aclError CheckNotCaptured(const char* api, Stream& stream);
// The stream is going: its capture, if any, ends without a graph.
void AbandonCapture(Stream& stream, const char* api);
// Whether any capture is active, for warnings.
bool AnyCapture();

}  // namespace qiao::cann
