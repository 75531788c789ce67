// What libascendcl.so of the CANN emulator offers to the emulator's other libraries (libnnopbase.so, libopapi.so): errors,
// launching work on a stream, the chip's profile, and how strictly things are checked. All functions may be called from
// any thread.
#pragma once

#include <acl/acl_base.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#define QIAO_CANN_EXPORT __attribute__((visibility("default")))

namespace qiao::cann {

// Pushes a message onto the calling thread's stack, which aclGetRecentErrMsg hands out, and returns `code`. Counted in the
// report as a failed call. The message names what was wrong and where; the code is put before it.
QIAO_CANN_EXPORT aclError Fail(aclError code, std::string message);

// Undefined by CANN's documents, but served. Counted, and logged on stderr the first time for each `rule` (a short fixed
// name with dashes), unless QIAO_CANN_CHECK=fail.
QIAO_CANN_EXPORT void Warn(std::string_view rule, std::string message);

// A range that a task reads or writes. `name` must be static ("x", "out", "workspace"). Empty ranges are ignored.
struct Access {
  const void* address = nullptr;
  uint64_t bytes = 0;
  bool write = false;
  const char* name = "";
};

// Work for a stream. `run` may be executed many times (a captured graph is replayed), each time in stream order on the
// stream's worker thread, and must not throw or call the runtime. `accesses` are all device and pinned host ranges that it
// touches: they are checked when the task begins (a task that would touch freed memory does not run; its stream
// fails with ACL_ERROR_RT_AICORE_EXCEPTION) and stay mapped while it runs.
struct Task {
  std::string name;
  std::vector<Access> accesses;
  std::function<void()> run;
};

// In stream order; recorded instead while the stream is captured. Null is the current context's default stream. Fails
// where the stream does not live, belongs to another context than the thread's, or its capture is invalidated.
QIAO_CANN_EXPORT aclError Enqueue(aclrtStream stream, Task task);

// ACL_SUCCESS where [address, address + bytes) lies in one live device allocation (or adjacent mappings of one
// reservation), or `bytes` is 0. Otherwise a code, and *why (may be null) says what the address is. Pushes no message.
QIAO_CANN_EXPORT aclError CheckDeviceRange(const void* address, uint64_t bytes, std::string* why);

// A chip, as a file of profiles/ describes it.
struct Profile {
  std::string soc;  // "Ascend910B4"
  int cube_cores = 0;
  int vector_cores = 0;
  uint64_t hbm_bytes = 0;
  uint64_t l2_bytes = 0;
  bool has_fp8 = false;  // e4m3 matrix units
  // Dense peaks as published, 0 where not known: for models of time; nothing in the emulator measures them.
  double f16_tflops = 0;
  double int8_tops = 0;
  double hbm_gbytes_per_second = 0;
};

// All emulated devices are alike. Where no profile could be read, one without a name, cores or memory.
QIAO_CANN_EXPORT const Profile& CurrentProfile();

// QIAO_CANN_EXACT=1: f32 arithmetic stays f32, where the hardware would round to HF32 or f16.
QIAO_CANN_EXPORT bool ExactMode();

// QIAO_CANN_CHECK=stress: operators ask for workspaces and scribble on them.
QIAO_CANN_EXPORT bool StressWorkspace();

}  // namespace qiao::cann

// The mark of this project's emulator: a client that loads libascendcl.so by name and finds this symbol knows that
// there is no chip behind it. Returns 1.
extern "C" QIAO_CANN_EXPORT int qiao_cann_emulator(void);
