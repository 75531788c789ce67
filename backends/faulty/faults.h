// Which calls of a device fail, wait, or lose it: the rules that its options state, and the counts that they
// are compared with.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <qiao/backend.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace qiao::faulty_backend {

// Every entry of the table that can fail is of one kind (README.md lists them). kAny stands for all.
enum class Kind {
  kAlloc,
  kCopy,
  kLaunch,
  kPrepare,
  kStore,
  kChoose,
  kSynchronise,
  kEvent,
  kStream,
  kSupport,
  kCapture,
  kQuery,
  kAny
};
inline constexpr size_t kKinds = static_cast<size_t>(Kind::kAny) + 1;
std::string_view Name(Kind kind);

// The options as they were given: comma-separated rules; empty where there are none.
struct FaultOptions {
  std::string fail, lose;  // KIND:N, KIND:N+, KIND:N..M
  std::string delay;       // the same and :MILLISECONDS
  std::string after;       // KIND:N, one
};

// Thread-safe after Read.
class Faults {
 public:
  explicit Faults(plugin::Host host) : host_(std::move(host)) {}

  // INVALID_ARGUMENT with the rule and what it should look like.
  plugin::Status Read(const FaultOptions& options);

  // To be asked once for each call, which then is made only where the answer is OK. Waits where a rule says
  // so. A fault is logged (QIAO_LOG_INFO) with the text of its status.
  plugin::Status Next(Kind kind);

  // "alloc=3 copy=0 ... any=17": the calls that were counted.
  std::string Counts() const;

 private:
  enum class Action { kFail, kDelay, kLose };
  struct Rule {
    Action action;
    Kind kind;
    int64_t first, last;
    int64_t milliseconds;
  };
  plugin::Status ReadRules(Action action, const char* option, const std::string& text);
  plugin::Status Decide(Kind kind, int64_t& milliseconds, bool& is_new);

  plugin::Host host_;
  std::vector<Rule> rules_;
  Kind after_kind_ = Kind::kAny;
  int64_t until_ = 1;  // calls of after_kind_ until counting begins, that one included

  mutable std::mutex mutex_;
  std::array<int64_t, kKinds> calls_{};  // guarded by mutex_, as are the next two
  bool counting_ = true;
  std::string lost_;  // why; empty while the device lives
};

}  // namespace qiao::faulty_backend
