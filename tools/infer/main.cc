// infer: Qiao on the command line.
#include <csignal>
#include <exception>
#include <new>

#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/terminal.h"

int main(int argc, char** argv) {
  using namespace qiao::tools;
  // Whoever reads our output may go away (`infer ... | head`): that is the end, not an error.
  std::signal(SIGPIPE, SIG_DFL);
  try {
    std::function<absl::Status()> command;
    absl::Status status = ParseCommandLine(argc, argv, command);
    if (status.ok() && command) status = command();
    return Report(status);
  } catch (const std::bad_alloc&) {
    return Report(WithExit(absl::ResourceExhaustedError("no memory left"), kExitMemory));
  } catch (const std::exception& e) {
    return Report(absl::InternalError(e.what()));
  }
}
