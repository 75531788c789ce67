// Ctrl-C: the first stops the work cleanly, the second ends the program as if nobody had asked.
#pragma once

#include <qiao/engine.h>

namespace qiao::tools {

// From now on SIGINT and SIGTERM set the flag below.
void CatchInterrupts();
// Whether one came since the last ForgetInterrupt.
bool Interrupted();
// The work was stopped, the program goes on (chat): the next Ctrl-C is a first one again.
void ForgetInterrupt();

// While it lives, an interrupt also cancels `token`. One at a time.
class CancelOnInterrupt {
 public:
  explicit CancelOnInterrupt(const CancelToken& token);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt&) = delete;
  CancelOnInterrupt& operator=(const CancelOnInterrupt&) = delete;

 private:
  CancelToken token_;
};

}  // namespace qiao::tools
