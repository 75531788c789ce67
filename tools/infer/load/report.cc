#include "tools/infer/load/report.h"

#include <cmath>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

std::string Dim(std::string_view text) { return Out(Style::kDim, text); }

std::string Ms(double seconds) {
  const double ms = 1e3 * seconds;
  if (ms >= 1000) return Grouped(static_cast<uint64_t>(ms + 0.5));
  return absl::StrFormat(ms < 10 ? "%.2f" : "%.1f", ms);
}

std::string Count(int64_t n) { return Grouped(static_cast<uint64_t>(n)); }

void PrintShortened(const LoadReport& r) {
  if (r.shortened == 0) return;
  std::printf("  %s\n",
              Out(Style::kYellow, absl::StrFormat("%d requests were cut to the context of %s tokens",
                                                  r.shortened, Count(r.server.context)))
                  .c_str());
}

// What is known of a server elsewhere is what it tells.
void PrintRemoteFacts(const LoadReport& r) {
  const ServerFacts& s = r.server;
  std::string about;
  for (const std::string& fact : {r.facts.family, r.facts.weight_format}) {
    if (!fact.empty()) absl::StrAppend(&about, about.empty() ? "  " : ", ", Printable(fact));
  }
  std::printf("%s%s\n", Out(Style::kBold, Printable(r.facts.model)).c_str(), about.c_str());
  Table table({Table::kLeft, Table::kLeft});
  table.Row({"server", Printable(absl::StrCat(s.url, s.route, s.software.empty() ? "" : ": ", s.software))});
  table.Row({"client", Printable(r.facts.machine) + ", " + r.facts.date});
  if (s.context > 0) {
    std::string cache = absl::StrFormat("context %s", Count(s.context));
    if (s.pages > 0) absl::StrAppendFormat(&cache, "; cache of %s pages", Count(s.pages));
    if (s.cache_bytes_per_token > 0)
      absl::StrAppendFormat(&cache, ", %s B a token", Grouped(s.cache_bytes_per_token));
    table.Row({"serving", cache});
  }
  table.Row({"load", Printable(Describe(r.plan))});
  std::fputs(table.Text().c_str(), stdout);
  PrintShortened(r);
}

void PrintFacts(const LoadReport& r) {
  const ServerFacts& s = r.server;
  if (!s.url.empty()) return PrintRemoteFacts(r);
  Table table = PrintHeading(r.facts);
  table.Row({"serving", absl::StrFormat("%d sequences at once, context %s; steps of %d tokens, of prompts %d "
                                        "beside decoding",
                                        s.sequences, Count(s.context), s.chunk, s.mixed_chunk)});
  table.Row({"cache", absl::StrFormat("%s tokens in %s pages, %s B a token; %s", Count(s.cache_tokens),
                                      Count(s.pages), Grouped(s.cache_bytes_per_token),
                                      s.prefix_cache ? "prefixes are kept" : "no prefixes are kept")});
  table.Row({"load", Printable(Describe(r.plan))});
  std::fputs(table.Text().c_str(), stdout);
  PrintShortened(r);
}

void PrintLatencies(const Measures& m) {
  Table table({Table::kLeft, Table::kRight, Table::kRight, Table::kRight, Table::kRight, Table::kRight});
  table.Row({Dim("milliseconds"), Dim("mean"), Dim("p50"), Dim("p90"), Dim("p99"), Dim("max")});
  const auto row = [&](const char* name, const Percentiles& p) {
    if (p.count == 0) return;
    table.Row({name, Ms(p.mean), Out(Style::kBold, Ms(p.p50)), Ms(p.p90), Ms(p.p99), Ms(p.most)});
  };
  row("waiting", m.queue);
  row("first token (TTFT)", m.first_token);
  row("per token after it (TPOT)", m.per_token);
  row("between two tokens", m.gap);
  row("end to end", m.end_to_end);
  std::printf("\n%s", table.Text().c_str());
  if (m.late.most > 0.05)
    std::printf("  %s\n",
                Dim(absl::StrFormat("requests were sent up to %s ms late", Ms(m.late.most))).c_str());
}

std::string Steady(const std::optional<SteadyDecode>& steady, int64_t sequences) {
  if (!steady) {
    return absl::StrFormat("never %d at once with no prompt beside them: more tokens an answer would help",
                           sequences);
  }
  return absl::StrFormat(
      "%s tokens/s while %d decode and no prompt is read: %s tokens in %.2f s, mean depth %s",
      Out(Style::kBold, Rate(steady->tokens_per_second())), steady->sequences, Count(steady->tokens),
      steady->seconds, Count(static_cast<int64_t>(std::lround(steady->depth))));
}

std::string Slo(const Deadlines& d) {
  std::string text;
  if (d.first_token > 0) text = absl::StrFormat("first token within %s ms", Ms(d.first_token));
  if (d.per_token > 0) {
    absl::StrAppendFormat(&text, "%s%s ms a token after it", text.empty() ? "" : ", ", Ms(d.per_token));
  }
  return text;
}

void PrintServing(const LoadReport& r) {
  const Measures& m = r.measures;
  Table table({Table::kLeft, Table::kLeft});
  if (m.met) {
    table.Row({"goodput", absl::StrFormat("%s requests/s: %s of %s kept %s",
                                          Out(Style::kBold, absl::StrFormat("%.2f", m.PerSecond(*m.met))),
                                          Count(*m.met), Count(m.sent), Slo(r.deadlines))});
  }
  const bool remote = !r.server.url.empty();
  if (!remote || m.steady) table.Row({"decoding", Steady(m.steady, std::min(r.server.sequences, m.asked))});
  if (!r.run.samples.empty())
    table.Row({"batch", absl::StrFormat("%.1f running on average, %d at most; %.1f waiting, %d at most",
                                        m.running_mean, m.running_most, m.waiting_mean, m.waiting_most)});
  if (m.steps > 0) {
    table.Row(
        {"steps", absl::StrFormat("%s, of %.1f tokens on average; the model worked %.0f %% of the time",
                                  Count(m.steps), static_cast<double>(m.rows) / static_cast<double>(m.steps),
                                  100 * m.step_seconds / std::max(m.seconds, 1e-9))});
  }
  // A server need not tell.
  if (!remote || m.cached_tokens > 0)
    table.Row({"prefixes", absl::StrFormat("%s of %s prompt tokens were in the cache", Count(m.cached_tokens),
                                           Count(m.prompt_tokens))});
  if (m.drafted > 0) {
    table.Row({"drafts",
               absl::StrFormat("%s of %s tokens accepted (%.0f %%)", Count(m.accepted), Count(m.drafted),
                               100.0 * static_cast<double>(m.accepted) / static_cast<double>(m.drafted))});
  }
  if (m.preemptions > 0)
    table.Row({"preempted", absl::StrFormat("%s times, for want of cache pages", Count(m.preemptions))});
  std::printf("\n%s", table.Text().c_str());
  for (const auto& [text, count] : m.refusals)
    std::printf("  %s %s\n", Out(Style::kYellow, absl::StrFormat("%d refused:", count)).c_str(),
                Printable(text).c_str());
  for (const auto& [text, count] : m.errors)
    std::printf("  %s %s\n", Out(Style::kRed, absl::StrFormat("%d failed:", count)).c_str(),
                Printable(text).c_str());
}

OrderedJson ToMs(const Percentiles& p) {
  if (p.count == 0) return nullptr;
  return {{"count", p.count},   {"mean", 1e3 * p.mean}, {"p50", 1e3 * p.p50},
          {"p90", 1e3 * p.p90}, {"p99", 1e3 * p.p99},   {"max", 1e3 * p.most}};
}

OrderedJson ServerJson(const ServerFacts& s) {
  return {{"sequences", s.sequences},
          {"chunk", s.chunk},
          {"mixed_chunk", s.mixed_chunk},
          {"context", s.context},
          {"cache_tokens", s.cache_tokens},
          {"pages", s.pages},
          {"kv_bytes_per_token", s.cache_bytes_per_token},
          {"prefix_cache", s.prefix_cache}};
}

OrderedJson WorkloadJson(const LoadReport& r) {
  OrderedJson json;
  json["requests"] = r.plan.requests;
  json["rate_per_s"] = nullptr;
  if (!std::isinf(r.plan.rate)) json["rate_per_s"] = r.plan.rate;
  json["prompt_tokens"] = r.plan.prompt.text();
  json["output_tokens"] = r.plan.output.text();
  json["shared_prefix_tokens"] = r.plan.prefix.tokens;
  json["shared_prefix_groups"] = r.plan.prefix.groups;
  json["seed"] = r.plan.seed;
  json["shortened"] = r.shortened;
  return json;
}

OrderedJson SloJson(const LoadReport& r) {
  if (!r.measures.met) return nullptr;
  OrderedJson json;
  json["ttft_ms"] = nullptr;
  json["tpot_ms"] = nullptr;
  if (r.deadlines.first_token > 0) json["ttft_ms"] = 1e3 * r.deadlines.first_token;
  if (r.deadlines.per_token > 0) json["tpot_ms"] = 1e3 * r.deadlines.per_token;
  json["met"] = *r.measures.met;
  json["goodput_requests_per_s"] = r.measures.PerSecond(*r.measures.met);
  return json;
}

OrderedJson SteadyJson(const std::optional<SteadyDecode>& s) {
  if (!s) return nullptr;
  return {{"sequences", s->sequences},
          {"tokens_per_s", s->tokens_per_second()},
          {"tokens", s->tokens},
          {"seconds", s->seconds},
          {"depth_mean", s->depth}};
}

OrderedJson SamplesJson(const std::vector<LoadSample>& samples) {
  OrderedJson at = OrderedJson::array(), running = at, waiting = at, prompt = at, generated = at;
  for (const LoadSample& sample : samples) {
    at.push_back(sample.at);
    running.push_back(sample.state.running);
    waiting.push_back(sample.state.waiting);
    prompt.push_back(sample.state.prompt_tokens);
    generated.push_back(sample.state.generated_tokens);
  }
  return {{"seconds", at},
          {"running", running},
          {"waiting", waiting},
          {"prompt_tokens_computed", prompt},
          {"output_tokens", generated}};
}

const char* NameOf(RequestRecord::Outcome outcome) {
  switch (outcome) {
    case RequestRecord::Outcome::kFinished:
      return "finished";
    case RequestRecord::Outcome::kCancelled:
      return "cancelled";
    case RequestRecord::Outcome::kRefused:
      return "refused";
    case RequestRecord::Outcome::kFailed:
      return "failed";
    default:
      return "unsent";
  }
}

OrderedJson RecordJson(const RequestRecord& r, Clock::time_point start) {
  OrderedJson json;
  json["outcome"] = NameOf(r.outcome);
  json["prompt_tokens"] = r.prompt_tokens;
  json["output_tokens"] = r.tokens.size();
  if (r.outcome == RequestRecord::Outcome::kUnsent) return json;
  json["due_seconds"] = Seconds(r.due - start);
  json["late_ms"] = 1e3 * Seconds(r.sent - r.due);
  json["queue_ms"] = nullptr;
  if (r.queue_seconds >= 0) json["queue_ms"] = 1e3 * (Seconds(r.sent - r.due) + r.queue_seconds);
  json["ttft_ms"] = nullptr;
  json["tpot_ms"] = nullptr;
  const Latencies latencies = LatenciesOf(r);
  if (!r.tokens.empty()) json["ttft_ms"] = 1e3 * latencies.first_token;
  if (latencies.per_token) json["tpot_ms"] = 1e3 * *latencies.per_token;
  json["end_to_end_ms"] = 1e3 * latencies.end_to_end;
  json["cached_tokens"] = r.cached_tokens;
  json["drafted"] = r.drafted;
  json["accepted"] = r.accepted;
  json["preemptions"] = r.preemptions;
  if (!r.error.empty()) json["error"] = r.error;
  return json;
}

}  // namespace

std::string Describe(const WorkloadPlan& p) {
  std::string text = absl::StrFormat("%s requests", Count(p.requests));
  if (std::isinf(p.rate)) {
    text += " at once";
  } else {
    absl::StrAppendFormat(&text, ", %g a second at random times", p.rate);
  }
  text += "; prompts of ";
  if (p.prefix.tokens > 0) {
    absl::StrAppendFormat(&text, "%d shared", p.prefix.tokens);
    if (p.prefix.groups > 1) absl::StrAppendFormat(&text, " (%d kinds)", p.prefix.groups);
    text += " + ";
  }
  absl::StrAppendFormat(&text, "%s tokens, answers of %s; seed %d", p.prompt.text(), p.output.text(), p.seed);
  return text;
}

void Print(const LoadReport& r) {
  const Measures& m = r.measures;
  PrintFacts(r);
  std::printf(
      "\n  %s of %s requests finished in %.2f s%s: %s requests/s, %s prompt tokens/s, %s answer tokens/s\n",
      Count(m.finished).c_str(), Count(m.asked).c_str(), m.seconds, r.run.interrupted ? " (interrupted)" : "",
      Out(Style::kBold, absl::StrFormat("%.2f", m.PerSecond(m.finished))).c_str(),
      Out(Style::kBold, Rate(m.PerSecond(m.prompt_tokens))).c_str(),
      Out(Style::kBold, Rate(m.PerSecond(m.output_tokens))).c_str());
  if (m.finished > 0) PrintLatencies(m);
  PrintServing(r);
}

OrderedJson ToJson(const LoadReport& r) {
  const ServerFacts& s = r.server;
  const Measures& m = r.measures;
  OrderedJson json;
  json["model"] = r.facts.model;
  json["family"] = r.facts.family;
  json["weight_format"] = r.facts.weight_format;
  json["backend"] = r.facts.backend;
  json["device"] = r.facts.device;
  json["numerics"] = r.facts.numerics;
  json["row_invariant"] = r.facts.row_invariant;
  json["machine"] = r.facts.machine;
  json["date"] = r.facts.date;
  json["url"] = nullptr;
  json["route"] = nullptr;
  json["server"] = nullptr;
  if (!s.url.empty()) {
    json["url"] = s.url;
    json["route"] = s.route;
    json["server"] = s.software;
  }
  json["load_seconds"] = s.load_seconds;
  json["peak_memory_bytes"] = r.peak_memory;
  json["serving"] = ServerJson(s);
  json["workload"] = WorkloadJson(r);
  json["seconds"] = m.seconds;
  json["interrupted"] = r.run.interrupted;
  json["sent"] = m.sent;
  json["finished"] = m.finished;
  json["failed"] = m.failed;
  json["refused"] = m.refused;
  json["cancelled"] = m.cancelled;
  json["requests_per_s"] = m.PerSecond(m.finished);
  json["prompt_tokens_per_s"] = m.PerSecond(m.prompt_tokens);
  json["output_tokens_per_s"] = m.PerSecond(m.output_tokens);
  json["prompt_tokens"] = m.prompt_tokens;
  json["output_tokens"] = m.output_tokens;
  json["cached_tokens"] = m.cached_tokens;
  json["drafted"] = m.drafted;
  json["accepted"] = m.accepted;
  json["preemptions"] = m.preemptions;
  json["queue_ms"] = ToMs(m.queue);
  json["ttft_ms"] = ToMs(m.first_token);
  json["tpot_ms"] = ToMs(m.per_token);
  json["gap_ms"] = ToMs(m.gap);
  json["end_to_end_ms"] = ToMs(m.end_to_end);
  json["late_ms"] = ToMs(m.late);
  json["slo"] = SloJson(r);
  json["steady_decode"] = SteadyJson(m.steady);
  json["running_mean"] = m.running_mean;
  json["running_max"] = m.running_most;
  json["waiting_mean"] = m.waiting_mean;
  json["waiting_max"] = m.waiting_most;
  json["steps"] = m.steps;
  json["rows"] = m.rows;
  json["step_seconds"] = m.step_seconds;
  json["errors"] = OrderedJson::object();
  for (const auto& [text, count] : m.errors) json["errors"][text] = count;
  json["refusals"] = OrderedJson::object();
  for (const auto& [text, count] : m.refusals) json["refusals"][text] = count;
  json["samples"] = SamplesJson(r.run.samples);
  json["requests"] = OrderedJson::array();
  for (const RequestRecord& record : r.run.records)
    json["requests"].push_back(RecordJson(record, r.run.start));
  return json;
}

}  // namespace qiao::tools
