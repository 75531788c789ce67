// Messages of failed calls, a stack for each thread.
#include <acl/acl.h>

#include <deque>
#include <string>

#include "absl/strings/str_cat.h"
#include "backends/ascend/emulator/runtime/check.h"
#include "backends/ascend/emulator/runtime/emulator.h"
#include "backends/ascend/emulator/runtime/thread_own.h"

namespace qiao::cann {
namespace {

constexpr size_t kMostMessages = 64;

struct Messages {
  std::deque<std::string> newest_first;
  std::string handed_out;
};

Messages& Mine() { return ThreadOwn<Messages>(); }

}  // namespace

aclError Fail(aclError code, std::string message) {
  CountFail(code);
  Messages& mine = Mine();
  mine.newest_first.push_front(absl::StrCat("(emulated) ", code, ": ", message));
  if (mine.newest_first.size() > kMostMessages) mine.newest_first.pop_back();
  return code;
}

}  // namespace qiao::cann

extern "C" const char* aclGetRecentErrMsg(void) {
  qiao::cann::Messages& mine = qiao::cann::Mine();
  if (mine.newest_first.empty()) return nullptr;
  mine.handed_out.clear();
  for (const std::string& message : mine.newest_first) {
    absl::StrAppend(&mine.handed_out, mine.handed_out.empty() ? "" : "\n", message);
  }
  mine.newest_first.clear();
  return mine.handed_out.c_str();
}
