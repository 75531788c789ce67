// The process's devices, contexts and handles, and each thread's current context.
#pragma once

#include <acl/acl_rt.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backends/ascend/emulator/runtime/handles.h"

namespace qiao::cann {

class Stream;
struct Event;
struct Graph;

struct Context {
  uint64_t id = 0;
  void* handle = nullptr;
  int device = 0;
  bool is_default = false;
  std::atomic<bool> dead{false};
  std::shared_ptr<Stream> default_stream;  // not in the table of streams: null names it
};

struct Physical {
  ~Physical();
  uint64_t id = 0;
  void* handle = nullptr;
  int device = 0;
  uint64_t bytes = 0;
  int fd = -1;
};

struct Device {
  int uses = 0;  // aclrtSetDevice less aclrtResetDevice
  std::shared_ptr<Context> default_context;
  std::set<int> peers;  // whose memory it may reach
};

struct ProcessState {
  std::mutex mutex;  // of what follows up to the tables, which have their own
  std::vector<Device> devices;
  bool initialised = false;
  bool finalised = false;

  HandleTable<Context, HandleKind::kContext> contexts;
  HandleTable<Stream, HandleKind::kStream> streams;
  HandleTable<Event, HandleKind::kEvent> events;
  HandleTable<Graph, HandleKind::kGraph> graphs;
  HandleTable<Physical, HandleKind::kPhysical> physical;
};

// Made at first use and never destroyed; the first use also arranges the report at exit and that no worker outlives main.
ProcessState& State();

uint32_t DeviceCount();

// This thread's, or null: none was set, or it was destroyed.
std::shared_ptr<Context> CurrentContext();
void SetCurrentContext(std::shared_ptr<Context> context);

// 107002 with a message that says why.
aclError FailNoContext(const char* api);

// The stream behind a handle, null being the current context's default stream: it must live and belong to the current
// context. Otherwise *code is what Fail returned, and the result null.
std::shared_ptr<Stream> FindStream(const char* api, aclrtStream handle, aclError* code);

// Whether device `from` may touch memory of device `to`.
bool MayReach(int from, int to);

}  // namespace qiao::cann
