// What each subcommand is told. cli.cc fills these from the command line; the commands know nothing of its
// syntax.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/engine/runner.h"

namespace qiao::tools {

// How to run a model.
struct DeviceArgs {
  std::string backend = "cpu";
  bool allow_fallback = false;
  std::string fallback = "cpu";
  std::string numerics = "bf16", kv_dtype = "auto";
  bool fast_math_order = false;
  std::string load = "auto", verify = "auto";
  int threads = 0;
  std::map<std::string, std::string> device_options;  // of the backend, the plugin's own
  int64_t context = 0;
  int64_t page_tokens = 0;
  int32_t chunk = 512;
  uint64_t memory_budget = 0;
  std::string draft = "off";
  int32_t draft_tokens = 2;
};

struct SamplingArgs {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  double presence_penalty = 0, frequency_penalty = 0;
  std::optional<int64_t> top_k;
  std::optional<uint64_t> seed;
};

struct RunArgs {
  std::string model, prompt, file;
  bool has_prompt = false;
  bool chat = false;
  std::string system;
  DeviceArgs device;
  SamplingArgs sampling;
  int64_t max_tokens = 256;
  std::vector<std::string> stop;
  int32_t logprobs = -1;
  // At most one of them: what the answer must look like.
  bool json_object = false;
  std::string json_schema;  // a file
  std::string regex;
  std::vector<std::string> choices;
  bool ignore_eos = false;
  bool json = false, placement = false, profile = false, quiet = false;
};

struct ChatArgs {
  std::string model, system;
  DeviceArgs device;
  SamplingArgs sampling;
  int64_t max_tokens = 1024;
  std::vector<std::string> stop;
};

struct InspectArgs {
  std::string model;
  DeviceArgs device;
  bool program = false, json = false;
};

struct LogitsArgs {
  std::string model, out;
  std::vector<int32_t> ids;
  int64_t generate = 0;
  DeviceArgs device;
};

struct TokenizeArgs {
  std::string model;
  std::optional<std::string> text, file, jsonl;
};

struct PerplexityArgs {
  std::string model;
  std::optional<std::string> file, jsonl;
  int64_t window = 1024;
  bool json = false;
  DeviceArgs device;
};

// A load of requests, for bench.
struct LoadArgs {
  int64_t requests = 0;  // 0: no load
  std::string rate = "inf", prompt_tokens = "128", output_tokens = "64", shared_prefix;
  int32_t sequences = 8, mixed_chunk = 64;
  int64_t cache_tokens = 0;  // 0: what the longest requests need
  bool prefix_cache = true;
  double slo_ttft = 0, slo_tpot = 0;  // milliseconds; 0: none
  std::string plot;
  // Over HTTP, where there is a url.
  std::string url, endpoint = "completions", model_name, api_key;
  int64_t vocab = 1000;  // prompts have ids below it
  double temperature = 0;
};

struct BenchArgs {
  std::string model;
  LoadArgs load;
  std::string prefill = "128,512,2048", depth = "0,4096,16384", batch = "1,8,32";
  int64_t steps = 16, repeat = 5;
  uint64_t seed = 1;
  uint64_t stream_bytes = 0;  // that the read rate is measured over; 0: the backend's choice
  bool profile = false, json = false;
  DeviceArgs device;
};

struct ServeArgs {
  std::string model, name;
  std::string host = "127.0.0.1";
  int port = 8080;
  std::vector<std::string> api_keys, origins;
  std::string api_key_file;
  bool allow_anyone = false, page = true, prefix_cache = true, json = false;
  int drain_seconds = 30;
  int32_t sequences = 16, queue = 512, mixed_chunk = 64;
  int64_t cache_tokens = 0;  // 0: four contexts
  int64_t max_connections = 4096, max_header_bytes = 16 << 10, max_body_bytes = int64_t{32} << 20;
  int64_t max_bodies_bytes = int64_t{256} << 20;
  int64_t max_n = 16, max_stop = 16, max_logit_bias = 1024, max_schema_bytes = 64 << 10;
  double header_seconds = 10, body_seconds = 30, keep_alive_seconds = 75, write_seconds = 60;
  DeviceArgs device;
};

struct SynthArgs {
  std::string like, out, dtype = "bf16";
  std::optional<int64_t> layers, vocab;
  std::vector<std::pair<std::string, std::string>> set;  // config.json: key, JSON value
  uint64_t seed = 0;
  bool sparse = false;
};

struct ConvertArgs {
  std::string model, out;
  std::string dtype, head, pack = "neutral";
  bool force = false;
};

struct BackendsArgs {
  bool json = false;
};

struct DoctorArgs {
  bool json = false;
};

absl::Status Run(const RunArgs& args);
absl::Status Chat(const ChatArgs& args);
absl::Status Inspect(const InspectArgs& args);
absl::Status Logits(const LogitsArgs& args);
absl::Status Tokenize(const TokenizeArgs& args);
absl::Status Perplexity(const PerplexityArgs& args);
absl::Status Bench(const BenchArgs& args);
absl::Status BenchLoad(const BenchArgs& args);  // what Bench is with requests
absl::Status Serve(const ServeArgs& args);
absl::Status BenchUrl(const BenchArgs& args);  // what it is with requests to a server elsewhere
absl::Status Synth(const SynthArgs& args);
absl::Status Convert(const ConvertArgs& args);
absl::Status Backends(const BackendsArgs& args);
absl::Status Doctor(const DoctorArgs& args);

// Parses the command line into `command`, ready to be called. Help and version are printed here and leave it
// empty.
absl::Status ParseCommandLine(int argc, char** argv, std::function<absl::Status()>& command);

}  // namespace qiao::tools
