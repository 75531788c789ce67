// infer serve: a model on the network, until it is told to end.
#include <malloc.h>
#include <poll.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "runtime/base/mmap.h"
#include "runtime/serve/origins.h"
#include "runtime/serve/server.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/generate.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/log.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

constexpr size_t kMostKeyBytes = 1 << 20;  // of a file of keys
constexpr int kLookEveryMs = 100;

absl::StatusOr<std::vector<std::string>> ReadKeys(const ServeArgs& args) {
  std::vector<std::string> keys = args.api_keys;
  if (const char* key = std::getenv("QIAO_API_KEY"); key != nullptr && *key != '\0') keys.emplace_back(key);
  if (!args.api_key_file.empty()) {
    absl::StatusOr<std::string> text = ReadFile(args.api_key_file, kMostKeyBytes);
    if (!text.ok()) return WithExit(text.status(), kExitModel);
    const size_t before = keys.size();
    for (absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipWhitespace())) {
      keys.emplace_back(absl::StripTrailingAsciiWhitespace(line));
    }
    // A file that was meant to guard the server must not leave it open.
    if (keys.size() == before) return UsageError(args.api_key_file + ": no key is in it");
  }
  for (const std::string& key : keys) {
    if (key.empty()) return UsageError("an API key is empty");
  }
  return keys;
}

EngineOptions OptionsFor(const ServeArgs& args) {
  EngineOptions options = ToEngineOptions(args.model, args.device);
  options.sequences = args.sequences;
  options.waiting = args.queue;
  options.cache_tokens = args.cache_tokens;
  options.mixed_chunk = args.mixed_chunk;
  options.prefix_cache = args.prefix_cache;
  options.chunk = std::max(options.chunk, options.sequences);
  return options;
}

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

serve::ServerOptions ServerOptionsFor(const ServeArgs& args, std::vector<std::string> keys) {
  serve::ServerOptions options;
  options.host = args.host;
  options.port = static_cast<uint16_t>(args.port);
  options.model_id = args.name;
  if (options.model_id.empty()) {
    const std::filesystem::path path(args.model);
    options.model_id = (path.has_filename() ? path : path.parent_path()).stem().string();
  }
  options.api_keys = std::move(keys);
  options.origins = args.origins;
  options.page = args.page;
  options.http.connections = args.max_connections;
  options.http.header_bytes = args.max_header_bytes;
  options.http.body_bytes = args.max_body_bytes;
  options.http.bodies_bytes = args.max_bodies_bytes;
  options.http.header_time = Milliseconds(args.header_seconds);
  options.http.body_idle = Milliseconds(args.body_seconds);
  options.http.keep_alive = Milliseconds(args.keep_alive_seconds);
  options.http.write_stall = Milliseconds(args.write_seconds);
  options.api.n = args.max_n;
  options.api.stop = args.max_stop;
  options.api.logit_bias = args.max_logit_bias;
  options.api.schema_bytes = args.max_schema_bytes;
  options.log = [](LogLevel level, std::string_view message) { Log(static_cast<int>(level), message); };
  return options;
}

void Announce(const ServeArgs& args, const Engine& engine, const std::string& name, uint16_t port,
              bool keyed) {
  const bool v6 = args.host.find(':') != std::string::npos;
  const std::string url = absl::StrFormat(v6 ? "http://[%s]:%d" : "http://%s:%d", args.host, port);
  if (args.json) {
    const OrderedJson json = {{"url", url}, {"port", port}, {"model", name}, {"context", engine.context()}};
    std::fprintf(stdout, "%s\n", json.dump().c_str());
    std::fflush(stdout);
    return;
  }
  Table table({Table::kLeft, Table::kLeft});
  if (args.page) table.Row({"page", Out(Style::kBold, url + "/")});
  table.Row({"OpenAI", url + "/v1"});
  table.Row({"Anthropic", url});
  table.Row({"metrics", url + "/metrics"});
  table.Row({"key", keyed ? "asked for on every route but /health" : "none; only this machine can reach it"});
  std::fprintf(stdout, "%s serves %s, context %s tokens, %d answers at once. Ctrl-C ends it.\n%s",
               Out(Style::kBold, "Qiao").c_str(), name.c_str(),
               Grouped(static_cast<uint64_t>(engine.context())).c_str(), args.sequences,
               table.Text().c_str());
  std::fflush(stdout);
}

}  // namespace

// What large requests took goes back to the system when they have ended: glibc would keep blocks of up to 32 MB, and as
// much for each thread, once it has seen some.
void KeepMemoryFlat() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 8 << 20);
  ::mallopt(M_ARENA_MAX, 4);
#endif
}

absl::Status Serve(const ServeArgs& args) {
  QIAO_ASSIGN_OR_RETURN(std::vector<std::string> keys, ReadKeys(args));
  const bool keyed = !keys.empty();
  if (!serve::IsLoopback(args.host) && !keyed && !args.allow_anyone) {
    return UsageError(
        absl::StrFormat("at %s other machines can reach the server, and no key is asked for", args.host),
        "give --api-key or QIAO_API_KEY, or --allow-anyone if that is meant");
  }
  CatchInterrupts();
  KeepMemoryFlat();
  QIAO_RETURN_IF_ERROR(CheckModel(args.model, args.device).status());
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(OptionsFor(args), args.device));
  serve::ServerOptions options = ServerOptionsFor(args, std::move(keys));
  const std::string name = options.model_id;
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<serve::Server> server,
                        serve::Server::Start(*engine, std::move(options)));
  Announce(args, *engine, name, server->port(), keyed);
  // A signal ends the wait early.
  while (!Interrupted()) ::poll(nullptr, 0, kLookEveryMs);
  if (!args.json)
    std::fprintf(stderr, "Ending: no new requests; those under way have %d s. Ctrl-C again stops at once.\n",
                 args.drain_seconds);
  const bool drained = server->Drain(std::chrono::seconds(args.drain_seconds));
  if (!drained)
    Log(2, absl::StrFormat("answers that took longer than %d s were cut off", args.drain_seconds));
  return absl::OkStatus();
}

}  // namespace qiao::tools
