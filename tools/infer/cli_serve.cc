// The options of `serve`; the same names, without dashes, are the keys of its --config file.
#include "tools/infer/cli_options.h"

namespace qiao::tools {
namespace {

void AddNetwork(CLI::App* sub, ServeArgs& a) {
  const std::string group = "Network";
  sub->add_option("--host", a.host, "The address to listen on; other machines reach it only at one of theirs")
      ->capture_default_str()
      ->group(group);
  sub->add_option("--port", a.port, "0: any that is free")
      ->check(Between(0, 65535))
      ->capture_default_str()
      ->group(group);
  sub->add_option(
         "--api-key", a.api_keys,
         "Clients must show this key, on every route but /health; may be repeated. QIAO_API_KEY gives one "
         "that does not show in the list of processes")
      ->allow_extra_args(false)
      ->group(group);
  sub->add_option("--api-key-file", a.api_key_file, "Keys, one a line")->group(group);
  sub->add_flag("--allow-anyone", a.allow_anyone, "Listen on another address than loopback without keys")
      ->group(group);
  sub->add_option("--cors-origin", a.origins,
                  "Pages of this origin may call the server, https://chat.example or *; may be repeated")
      ->allow_extra_args(false)
      ->group(group);
  sub->add_flag("!--no-page", a.page, "No web page at /")->group(group);
  sub->add_option("--name", a.name, "The model's name for clients (default: its folder's)")->group(group);
  sub->add_option("--drain-seconds", a.drain_seconds,
                  "After SIGTERM, answers under way may take so long to end")
      ->check(Between(0, 86400))
      ->capture_default_str()
      ->group(group);
}

void AddServing(CLI::App* sub, ServeArgs& a) {
  const std::string group = "Serving";
  sub->add_option("--sequences", a.sequences, "Answers that are written at once")
      ->check(Between(1, 4096))
      ->capture_default_str()
      ->group(group);
  sub->add_option("--queue", a.queue, "Requests that wait at most; those beyond are told to come later (429)")
      ->check(Between(1, 1'000'000))
      ->capture_default_str()
      ->group(group);
  sub->add_option("--cache-tokens", a.cache_tokens,
                  "Tokens that the cache holds, of all (default: four contexts)")
      ->check(Between(int64_t{1}, int64_t{1} << 40))
      ->group(group);
  sub->add_option("--mixed-chunk", a.mixed_chunk,
                  "Tokens of prompts in a step that also makes tokens for others, at most")
      ->check(Between(1, 65536))
      ->capture_default_str()
      ->group(group);
  sub->add_flag("!--no-prefix-cache", a.prefix_cache, "Compute every prompt from its first token")
      ->group(group);
}

void AddLimits(CLI::App* sub, ServeArgs& a) {
  const std::string group = "Limits: what is beyond is refused with an error that names it";
  const auto count = [&](const std::string& name, int64_t& value, int64_t most, const std::string& what) {
    sub->add_option(name, value, what)->check(Between(int64_t{1}, most))->capture_default_str()->group(group);
  };
  const auto seconds = [&](const std::string& name, double& value, const std::string& what) {
    sub->add_option(name, value, what)->check(Between(0.1, 86400.0))->capture_default_str()->group(group);
  };
  count("--max-connections", a.max_connections, 1'000'000, "Connections at once");
  count("--max-header-bytes", a.max_header_bytes, 1 << 20, "Of the request line and the headers");
  count("--max-body-bytes", a.max_body_bytes, int64_t{1} << 32, "Of a body");
  count("--max-bodies-bytes", a.max_bodies_bytes, int64_t{1} << 40,
        "Of all bodies that are being read or handled");
  count("--max-n", a.max_n, 1024, "Answers to one prompt");
  count("--max-stop", a.max_stop, 256, "Stop strings");
  count("--max-logit-bias", a.max_logit_bias, 1024, "Tokens with a bias");
  count("--max-schema-bytes", a.max_schema_bytes, 16 << 20, "Of a JSON schema or regular expression");
  seconds("--header-seconds", a.header_seconds, "For a request's headers");
  seconds("--body-seconds", a.body_seconds, "Without a byte of the body");
  seconds("--keep-alive-seconds", a.keep_alive_seconds, "For an idle connection");
  seconds("--write-seconds", a.write_seconds, "For a client that reads nothing");
}

}  // namespace

void AddServeOptions(CLI::App* sub, ServeArgs& a) {
  AddNetwork(sub, a);
  AddServing(sub, a);
  AddLimits(sub, a);
  AddDrafting(sub, a.device);
  AddDevice(sub, a.device);
  sub->add_flag("--json", a.json, "Say where it listens as one JSON object");
}

}  // namespace qiao::tools
