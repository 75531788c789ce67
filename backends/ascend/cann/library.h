// CANN as this backend finds it: the three libraries of a toolkit, loaded with dlopen, and a table of the functions
// that it calls. Nothing of CANN is linked, so the plugin loads on every machine and says what is missing.
//
// Where it is looked for, in this order:
//   QIAO_CANN            a toolkit's folder (the one that has lib64/), or "emulator": the emulator beside the plugin
//   ASCEND_TOOLKIT_HOME  as CANN's own set_env.sh sets it
//
// Threads: Load may be called from any; the table is immutable once loaded. It is never unloaded: CANN's threads
// may outlive any device.
#pragma once

#include <string>

#include "backends/ascend/cann/functions.h"

namespace qiao::ascend {

// A two-phase operator: the first phase checks, plans and gives an executor, the second enqueues it.
using RunFn = aclnnStatus (*)(void* workspace, uint64_t bytes, aclOpExecutor* executor, aclrtStream stream);
template <typename Get>
struct Operator {
  const char* name;
  Get get_workspace_size = nullptr;
  RunFn run = nullptr;
};

struct Cann {
#define QIAO_MEMBER(name) decltype(&::name) name = nullptr;
  QIAO_ACL_RUNTIME(QIAO_MEMBER)
  QIAO_ACL_OBJECTS(QIAO_MEMBER)
#undef QIAO_MEMBER
#define QIAO_MEMBER(name) Operator<decltype(&::aclnn##name##GetWorkspaceSize)> name{"aclnn" #name};
  QIAO_ACLNN_OPERATORS(QIAO_MEMBER)
#undef QIAO_MEMBER

  std::string prefix;     // where it was found
  bool emulated = false;  // it is this project's emulator
};

// The table, after the first call that found all of it and whose aclInit succeeded; null with a reason that names
// what was looked for and what is missing. A failure is not remembered: the environment may change.
const Cann* LoadCann(std::string& why);

// The table once LoadCann has succeeded.
const Cann& cann();

}  // namespace qiao::ascend
