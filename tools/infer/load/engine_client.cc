#include "tools/infer/load/engine_client.h"

#include "tools/infer/model.h"

namespace qiao::tools {
namespace {

void Note(const Result<GenerateResult>& result, RequestRecord& record) {
  record.ended = Clock::now();
  if (!result.ok()) {
    record.outcome = RequestRecord::Outcome::kFailed;
    record.error = result.status().message();
    return;
  }
  record.queue_seconds = result->queue_seconds;
  record.cached_tokens = result->cached_tokens;
  record.drafted = result->drafted;
  record.accepted = result->accepted;
  record.preemptions = result->preemptions;
  record.outcome = RequestRecord::Outcome::kFinished;
  if (result->finish == Finish::kCancelled) {
    record.outcome = RequestRecord::Outcome::kCancelled;
  } else if (static_cast<int64_t>(record.tokens.size()) < record.asked_tokens) {
    record.error = "it ended before it had all its tokens: the cache was full";
  }
}

}  // namespace

absl::Status EngineClient::Send(const PlannedRequest& request, RequestRecord& record, EndCount& ends) {
  GenerateRequest spec;
  spec.ids = request.ids;
  spec.max_tokens = request.max_tokens;
  spec.ignore_end = true;
  spec.cancel = cancel_;
  return FromPublic(engine_.Submit(
      spec,
      [&record](const Token& token) {
        if (token.id >= 0) record.tokens.push_back(Clock::now());
        return true;
      },
      [&record, &ends](const Result<GenerateResult>& result) {
        Note(result, record);
        ends.Add();
      }));
}

std::optional<ServerState> EngineClient::State() {
  const EngineStats s = engine_.stats();
  return ServerState{.running = s.running,
                     .waiting = s.waiting,
                     .prompt_tokens = s.prompt_tokens,
                     .generated_tokens = s.generated_tokens,
                     .steps = s.steps,
                     .rows = s.rows,
                     .step_seconds = s.step_seconds};
}

}  // namespace qiao::tools
