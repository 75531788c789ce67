#include "tools/infer/load/driver.h"

#include <algorithm>

namespace qiao::tools {
namespace {

class Sampler {
 public:
  Sampler(LoadClient& client, LoadRun& run) : client_(client), run_(run), next_(run.start) {
    if (const auto state = client_.State()) base_ = *state;
    run_.samples.reserve(kMostSamples);
  }
  Clock::time_point next() const { return next_; }

  void Sample(Clock::time_point now) {
    std::optional<ServerState> state = client_.State();
    if (state) {
      state->prompt_tokens -= base_.prompt_tokens;
      state->generated_tokens -= base_.generated_tokens;
      state->steps -= base_.steps;
      state->rows -= base_.rows;
      state->step_seconds -= base_.step_seconds;
      run_.samples.push_back({Seconds(now - run_.start), *state});
    }
    if (run_.samples.size() >= kMostSamples) Thin();
    next_ = now + FromSeconds(interval_);
  }

 private:
  void Thin() {
    for (size_t i = 0; 2 * i < run_.samples.size(); ++i) run_.samples[i] = run_.samples[2 * i];
    run_.samples.resize((run_.samples.size() + 1) / 2);
    interval_ *= 2;
  }

  LoadClient& client_;
  LoadRun& run_;
  Clock::time_point next_;
  double interval_ = kSampleSeconds;
  ServerState base_;
};

}  // namespace

LoadRun Drive(LoadClient& client, const Workload& workload,
              const std::function<bool(uint64_t done, uint64_t total)>& go_on) {
  LoadRun run;
  const size_t total = workload.requests.size();
  run.records.resize(total);
  for (size_t i = 0; i < total; ++i) {
    run.records[i].prompt_tokens = static_cast<int64_t>(workload.requests[i].ids.size());
    run.records[i].asked_tokens = workload.requests[i].max_tokens;
    run.records[i].tokens.reserve(static_cast<size_t>(workload.requests[i].max_tokens));
  }
  EndCount ends;
  run.start = Clock::now();
  Sampler sampler(client, run);
  size_t next = 0;
  int64_t sent = 0, ended = 0, refused = 0;
  while (next < total || ended < sent) {
    Clock::time_point now = Clock::now();
    if (now >= sampler.next()) {
      sampler.Sample(now);
      if (!run.interrupted && !go_on(static_cast<uint64_t>(ended + refused), total)) {
        run.interrupted = true;
        next = total;
        client.CancelAll();
      }
    }
    Clock::time_point wake = sampler.next();
    if (next < total) {
      RequestRecord& record = run.records[next];
      const PlannedRequest& request = workload.requests[next];
      record.due = run.start + FromSeconds(request.at);
      if (now >= record.due) {
        record.sent = now;
        record.outcome = RequestRecord::Outcome::kRunning;
        if (const absl::Status status = client.Send(request, record, ends); status.ok()) {
          ++sent;
        } else {
          ++refused;
          record.outcome = RequestRecord::Outcome::kFailed;
          record.error = std::string(Message(status));
          record.ended = Clock::now();
        }
        ++next;
        continue;
      }
      wake = std::min(wake, record.due);
    }
    ended = ends.Wait(wake, ended);
  }
  sampler.Sample(Clock::now());
  for (const RequestRecord& record : run.records) {
    if (record.outcome != RequestRecord::Outcome::kUnsent)
      run.seconds = std::max(run.seconds, Seconds(record.ended - run.start));
  }
  return run;
}

}  // namespace qiao::tools
