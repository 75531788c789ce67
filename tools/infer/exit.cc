#include "tools/infer/exit.h"

#include "absl/strings/cord.h"

namespace qiao::tools {
namespace {

constexpr char kExitPayload[] = "qiao.tools/exit";
constexpr char kHintPayload[] = "qiao.tools/hint";

}  // namespace

absl::Status WithExit(absl::Status status, Exit exit) {
  // An interrupted command is one wherever it was interrupted.
  if (status.ok() || absl::IsCancelled(status) || status.GetPayload(kExitPayload)) return status;
  status.SetPayload(kExitPayload, absl::Cord(std::to_string(exit)));
  return status;
}

absl::Status WithHint(absl::Status status, std::string_view hint) {
  if (!status.ok()) status.SetPayload(kHintPayload, absl::Cord(Abs(hint)));
  return status;
}

Exit ExitOf(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  if (auto payload = status.GetPayload(kExitPayload))
    return static_cast<Exit>(std::stoi(std::string(*payload)));
  return absl::IsCancelled(status) ? kExitInterrupted : kExitFailure;
}

std::string HintOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kHintPayload);
  return payload ? std::string(*payload) : std::string();
}

}  // namespace qiao::tools
