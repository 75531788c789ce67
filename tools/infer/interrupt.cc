#include "tools/infer/interrupt.h"

#include <signal.h>

#include <atomic>

namespace qiao::tools {
namespace {

// A signal handler has only globals to go by; both are lock-free, so it may touch them.
std::atomic<bool> g_interrupted{false};
std::atomic<const CancelToken*> g_token{nullptr};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<const CancelToken*>::is_always_lock_free);

extern "C" void OnInterrupt(int) {
  g_interrupted.store(true);
  if (const CancelToken* token = g_token.load()) token->Cancel();  // an atomic store
}

}  // namespace

void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = &OnInterrupt;
  sigemptyset(&action.sa_mask);
  // The second signal finds the default action. No SA_RESTART: a read from the terminal ends with EINTR.
  action.sa_flags = SA_RESETHAND;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return g_interrupted.load(); }

void ForgetInterrupt() {
  g_interrupted.store(false);
  CatchInterrupts();
}

CancelOnInterrupt::CancelOnInterrupt(const CancelToken& token) : token_(token) {
  g_token.store(&token_);
  if (Interrupted()) token_.Cancel();
}

CancelOnInterrupt::~CancelOnInterrupt() { g_token.store(nullptr); }

}  // namespace qiao::tools
