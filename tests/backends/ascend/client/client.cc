// Small programs against the emulator, one for each argument, run in processes of their own: what they are told comes from
// the environment, which is read once. Most have a mistake in them on purpose. What they print is for the test to read.
#include <acl/acl.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "backends/ascend/emulator/runtime/emulator.h"

namespace {

using qiao::cann::Access;
using qiao::cann::Enqueue;
using qiao::cann::Task;

constexpr size_t kBytes = 4096;

// Prints what a call returned and said.
void Show(const char* call, aclError code) {
  const char* text = aclGetRecentErrMsg();
  std::printf("%s: %d%s%s\n", call, code, text == nullptr ? "" : " ", text == nullptr ? "" : text);
}
#define SHOW(call) Show(#call, call)

struct Setup {
  Setup() {
    aclInit(nullptr);
    aclrtSetDevice(0);
    aclrtMalloc(&a, kBytes, ACL_MEM_MALLOC_HUGE_FIRST);
    aclrtMalloc(&b, kBytes, ACL_MEM_MALLOC_HUGE_FIRST);
    aclrtCreateStream(&one);
    aclrtCreateStream(&two);
    aclrtCreateEvent(&event);
    aclrtCreateEvent(&other_event);
  }
  // All waited for, and given back.
  void End() {
    aclrtSynchronizeDevice();
    for (void* memory : {a, b}) aclrtFree(memory);
    aclrtDestroyEvent(event);
    aclrtDestroyEvent(other_event);
    aclrtDestroyStream(one);
    aclrtDestroyStream(two);
    aclrtResetDevice(0);
    aclFinalize();
  }
  void* a = nullptr;
  void* b = nullptr;
  aclrtStream one = nullptr, two = nullptr;
  aclrtEvent event = nullptr, other_event = nullptr;
};

Task Write(const char* name, void* at) {
  return {name, {{at, kBytes, true, "out"}}, [at] { std::memset(at, 1, kBytes); }};
}
Task Read(const char* name, void* at) {
  return {name, {{at, kBytes, false, "x"}}, [at] {
            volatile char byte = *static_cast<char*>(at);
            (void)byte;
          }};
}

// ---- nothing wrong ----

void Clean() {
  Setup s;
  std::vector<char> host(kBytes);
  for (int i = 0; i < 20; ++i) {
    Enqueue(s.one, Write("Produce", s.a));
    aclrtRecordEvent(s.event, s.one);
    aclrtStreamWaitEvent(s.two, s.event);
    Enqueue(s.two, Read("Consume", s.a));
    aclrtMemcpyAsync(s.b, kBytes, s.a, kBytes, ACL_MEMCPY_DEVICE_TO_DEVICE, s.two);
    aclrtRecordEvent(s.other_event, s.two);
    aclrtStreamWaitEvent(s.one, s.other_event);
  }
  aclrtSynchronizeStream(s.two);
  aclrtMemcpy(host.data(), kBytes, s.b, kBytes, ACL_MEMCPY_DEVICE_TO_HOST);
  std::printf("byte %d\n", host[kBytes - 1]);
  aclmdlRI graph = nullptr;
  aclmdlRICaptureBegin(s.one, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
  Enqueue(s.one, Write("Produce", s.a));
  aclrtRecordEvent(s.event, s.one);
  aclrtStreamWaitEvent(s.two, s.event);
  Enqueue(s.one, Read("Consume", s.a));
  Enqueue(s.two, Read("ConsumeToo", s.a));
  aclrtRecordEvent(s.other_event, s.two);
  aclrtStreamWaitEvent(s.one, s.other_event);
  Enqueue(s.one, Write("ProduceAgain", s.a));
  SHOW(aclmdlRICaptureEnd(s.one, &graph));
  for (int i = 0; i < 5; ++i) SHOW(aclmdlRIExecuteAsync(graph, s.one));
  SHOW(aclrtSynchronizeStream(s.one));
  SHOW(aclmdlRIDestroy(graph));
  s.End();
}

void Profile() {
  uint32_t count = 0;
  SHOW(aclrtGetDeviceCount(&count));
  const char* soc = aclrtGetSocName();
  std::printf("soc %s devices %u fp8 %d exact %d workspace %d\n", soc == nullptr ? "none" : soc, count,
              qiao::cann::CurrentProfile().has_fp8, qiao::cann::ExactMode(), qiao::cann::StressWorkspace());
}

void LastUse() {
  aclInit(nullptr);
  aclrtSetDevice(0);
  aclrtSetDevice(0);
  aclrtContext before = nullptr;
  aclrtStream stream = nullptr;
  int32_t device = -1;
  void* memory = nullptr;
  aclrtGetCurrentContext(&before);
  aclrtCreateStream(&stream);
  aclrtMalloc(&memory, kBytes, ACL_MEM_MALLOC_HUGE_FIRST);
  bool ran = false;
  Enqueue(stream, {"Late", {}, [&] { ran = true; }});
  std::printf("first\n");
  SHOW(aclrtResetDevice(0));
  SHOW(aclrtGetDevice(&device));
  std::printf("last\n");
  SHOW(aclrtResetDevice(0));
  std::printf("ran %d\n", ran);
  SHOW(aclrtGetDevice(&device));
  SHOW(aclrtSetCurrentContext(before));
  SHOW(aclrtResetDevice(0));
  std::printf("again\n");
  SHOW(aclrtSetDevice(0));
  SHOW(aclrtSynchronizeStream(stream));
  SHOW(aclrtFree(memory));
}

void TwoDevices() {
  Setup s;
  SHOW(aclrtSetDevice(1));
  SHOW(aclrtSynchronizeStream(s.one));
  void* far = nullptr;
  SHOW(aclrtMalloc(&far, kBytes, ACL_MEM_MALLOC_HUGE_FIRST));
  int32_t can = 0;
  SHOW(aclrtDeviceCanAccessPeer(&can, 1, 0));
  std::printf("can %d\n", can);
  SHOW(aclrtMemcpy(far, kBytes, s.a, kBytes, ACL_MEMCPY_DEVICE_TO_DEVICE));
  SHOW(aclrtDeviceEnablePeerAccess(0, 0));
  SHOW(aclrtMemcpy(far, kBytes, s.b, kBytes, ACL_MEMCPY_DEVICE_TO_DEVICE));
  size_t free = 0, total = 0;
  SHOW(aclrtGetMemInfo(ACL_HBM_MEM, &free, &total));
  std::printf("used %zu\n", total - free);
}

// ---- mistakes ----

void MissingSynchronisation() {
  Setup s;
  std::vector<char> host(kBytes);
  Enqueue(s.one, Write("Matmul", s.a));
  aclrtMemcpy(host.data(), kBytes, s.a, kBytes, ACL_MEMCPY_DEVICE_TO_HOST);
  s.End();
}

void MissingEvent() {
  Setup s;
  Enqueue(s.one, Write("Matmul", s.a));
  Enqueue(s.two, Read("Softmax", s.a));
  s.End();
}

// The event is waited for before it is recorded for what matters.
void StaleEvent() {
  Setup s;
  aclrtRecordEvent(s.event, s.one);
  Enqueue(s.one, Write("Matmul", s.a));
  aclrtStreamWaitEvent(s.two, s.event);
  Enqueue(s.two, Write("Add", s.a));
  s.End();
}

void DefaultStream() {
  Setup s;
  Enqueue(nullptr, Write("TransMatmulWeight", s.a));
  Enqueue(s.one, Read("Matmul", s.a));
  s.End();
}

void FreeWithoutSynchronisation() {
  Setup s;
  std::atomic<bool> freed{false};
  Enqueue(s.one, {"Slow", {}, [&] {
                    while (!freed) std::this_thread::yield();
                  }});
  Enqueue(s.one, Write("Matmul", s.a));
  SHOW(aclrtFree(s.a));
  freed = true;
  SHOW(aclrtSynchronizeStream(s.one));
}

// By luck the task has run when its memory is freed, but nothing said that it would have.
void FreeByLuck() {
  Setup s;
  std::atomic<bool> ran{false};
  Enqueue(s.one, Write("Matmul", s.a));
  Enqueue(s.one, {"Tell", {}, [&] { ran = true; }});
  while (!ran) std::this_thread::yield();
  SHOW(aclrtFree(s.a));
  aclrtSynchronizeStream(s.one);
}

void GraphRace() {
  Setup s;
  aclmdlRI graph = nullptr;
  aclmdlRICaptureBegin(s.one, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
  aclrtRecordEvent(s.event, s.one);
  aclrtStreamWaitEvent(s.two, s.event);
  Enqueue(s.one, Write("Left", s.a));
  Enqueue(s.two, Write("Right", s.a));
  aclrtRecordEvent(s.other_event, s.two);
  aclrtStreamWaitEvent(s.one, s.other_event);
  SHOW(aclmdlRICaptureEnd(s.one, &graph));
  aclmdlRIDestroy(graph);
  s.End();
}

// A replay that nothing orders against a copy.
void ReplayRace() {
  Setup s;
  std::vector<char> host(kBytes);
  aclmdlRI graph = nullptr;
  aclmdlRICaptureBegin(s.one, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
  Enqueue(s.one, Write("Step", s.a));
  aclmdlRICaptureEnd(s.one, &graph);
  aclmdlRIExecuteAsync(graph, s.one);
  aclrtMemcpy(host.data(), kBytes, s.a, kBytes, ACL_MEMCPY_DEVICE_TO_HOST);
  s.End();
}

void PinnedReuse() {
  Setup s;
  void* pinned = nullptr;
  aclrtMallocHost(&pinned, kBytes);
  aclrtMemcpyAsync(s.a, kBytes, pinned, kBytes, ACL_MEMCPY_HOST_TO_DEVICE, s.one);
  aclrtMemcpyAsync(pinned, kBytes, s.b, kBytes, ACL_MEMCPY_DEVICE_TO_HOST, s.two);
  s.End();
}

void HostPointer() {
  Setup s;
  std::vector<char> host(kBytes);
  SHOW(Enqueue(s.one, Read("Matmul", host.data())));
  s.End();
}

void Overrun() {
  Setup s;
  SHOW(Enqueue(s.one, {"MaxPool", {{s.a, kBytes + 33, true, "out"}}, [] {}}));
  s.End();
}

void Leak() {
  Setup s;
  aclrtSynchronizeDevice();
}

// The process ends while streams are full.
void EndBusy() {
  Setup s;
  for (int i = 0; i < 1000; ++i) {
    Enqueue(s.one, {"Slow", {}, [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }});
  }
  aclrtRecordEvent(s.event, s.one);
  aclrtStreamWaitEvent(s.two, s.event);
  std::printf("ends\n");
}

// Both orders of two nodes that neither comes first.
void Orders() {
  Setup s;
  std::string order;
  const auto append = [&](char c) { return Task{std::string(1, c), {}, [&order, c] { order += c; }}; };
  aclmdlRI graph = nullptr;
  aclmdlRICaptureBegin(s.one, ACL_MODEL_RI_CAPTURE_MODE_GLOBAL);
  aclrtRecordEvent(s.event, s.one);
  aclrtStreamWaitEvent(s.two, s.event);
  Enqueue(s.one, append('a'));
  Enqueue(s.two, append('b'));
  aclrtRecordEvent(s.other_event, s.two);
  aclrtStreamWaitEvent(s.one, s.other_event);
  Enqueue(s.one, append('.'));
  aclmdlRICaptureEnd(s.one, &graph);
  for (int i = 0; i < 30; ++i) aclmdlRIExecuteAsync(graph, s.one);
  aclrtSynchronizeStream(s.one);
  std::printf("order %s\n", order.c_str());
  aclmdlRIDestroy(graph);
  s.End();
}

// Globals are destroyed after the main thread's own objects, and may still call the runtime.
struct AtExit {
  bool on = false;
  ~AtExit() {
    if (!on) return;
    aclrtStream stream = nullptr;
    SHOW(aclrtSynchronizeStream(stream));
    SHOW(aclrtFree(nullptr));
    SHOW(aclrtFree(nullptr));
    std::fflush(stdout);
  }
};

void CallsAtExit() {
  static AtExit at_exit;
  at_exit.on = true;
  Setup s;
  s.End();
  SHOW(aclrtFree(nullptr));
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<void()>> programs = {
      {"clean", Clean},
      {"profile", Profile},
      {"last-use", LastUse},
      {"two-devices", TwoDevices},
      {"missing-synchronisation", MissingSynchronisation},
      {"missing-event", MissingEvent},
      {"stale-event", StaleEvent},
      {"default-stream", DefaultStream},
      {"free-without-synchronisation", FreeWithoutSynchronisation},
      {"free-by-luck", FreeByLuck},
      {"graph-race", GraphRace},
      {"replay-race", ReplayRace},
      {"pinned-reuse", PinnedReuse},
      {"host-pointer", HostPointer},
      {"overrun", Overrun},
      {"leak", Leak},
      {"end-busy", EndBusy},
      {"orders", Orders},
      {"calls-at-exit", CallsAtExit},
  };
  const auto it = programs.find(argc == 2 ? argv[1] : "");
  if (it == programs.end()) {
    std::fprintf(stderr, "there is no such program\n");
    return 2;
  }
  it->second();
  std::fflush(stdout);
  return 0;
}
