// qiao_serve_storm: puts a server through what clients do to servers, and says which promises it kept. The exit code
// is 0 where it kept all, 1 where it broke one, 2 where the scenario could not be carried out.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "tests/serve/load/scenarios.h"

namespace qiao::storm {
namespace {

struct Scenario {
  absl::Status (*run)(Target&, Findings&);
  int64_t clients;
  double seconds;
};

const std::map<std::string, Scenario>& Scenarios() {
  static const auto* const all = new std::map<std::string, Scenario>{
      {"streams", {Streams, 256, 300}}, {"idle", {Idle, 2000, 2}},        {"slow", {Slow, 500, 20}},
      {"vanish", {Vanish, 100, 0}},     {"malformed", {Malformed, 1, 0}}, {"overload", {Overload, 64, 10}},
      {"term", {Term, 64, 0}}};
  return *all;
}

int Main(int argc, char** argv) {
  StormOptions options;
  CLI::App app("Load and abuse for a server of OpenAI's protocol");
  app.add_option(
         "scenario", options.scenario,
         "streams: many at once, each answer compared with the same request's alone; idle: connections "
         "that do nothing; slow: clients of a byte a second beside healthy ones; vanish: resets while "
         "prompts are read and answers written; malformed: what is no HTTP, no JSON, or too much; "
         "overload: ten times the capacity; term: SIGTERM to --pid under load")
      ->required()
      ->check(CLI::IsMember(Scenarios()).description(""));
  app.add_option("--url", options.url, "The server, http://HOST:PORT")->required();
  app.add_option("--api-key", options.api_key, "Its key")->envname("QIAO_API_KEY");
  app.add_option("--pid", options.pid, "Its process, on this machine: to see its memory");
  app.add_option("--clients", options.clients, "How many (default: the scenario's own)");
  app.add_option("--seconds", options.seconds, "For how long (default: the scenario's own)");
  app.add_option("--prompt-words", options.prompt_words, "Words of a prompt, on average")
      ->capture_default_str();
  app.add_option("--max-tokens", options.max_tokens, "Tokens of an answer at most")->capture_default_str();
  app.add_option("--distinct", options.distinct, "Different requests")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of what is sent")->capture_default_str();
  app.add_option("--rss-growth", options.rss_growth_mb,
                 "streams: megabytes that memory may grow in the second half")
      ->capture_default_str();
  app.add_option("--free-seconds", options.free_seconds, "vanish: until when everything must be freed")
      ->capture_default_str();
  app.add_option("--most-seconds", options.most_seconds, "malformed: until when a case must be refused")
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print one JSON object");
  CLI11_PARSE(app, argc, argv);

  const Scenario& scenario = Scenarios().at(options.scenario);
  if (options.clients <= 0) options.clients = scenario.clients;
  if (options.seconds <= 0) options.seconds = scenario.seconds;
  options.max_tokens = std::max<int64_t>(1, options.max_tokens);
  RaiseFileLimit();
  Findings findings(options.scenario, options.json);
  auto target = Target::Connect(options);
  absl::Status status = target.status();
  if (status.ok()) {
    status = scenario.run(**target, findings);
    findings.Finish();
  }
  if (!status.ok()) {
    std::fprintf(stderr, "error: %s\n", std::string(Message(status)).c_str());
    return 2;
  }
  return findings.broken() ? 1 : 0;
}

}  // namespace
}  // namespace qiao::storm

int main(int argc, char** argv) { return qiao::storm::Main(argc, argv); }
