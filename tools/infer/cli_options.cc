#include "tools/infer/cli_options.h"

namespace qiao::tools {
namespace {

constexpr char kDeviceGroup[] = "Device";
constexpr char kDraftingGroup[] = "Drafting (the text is the same with and without)";

}  // namespace

CLI::Validator ByteSize() { return CLI::AsSizeValue(false).description(""); }

std::optional<std::pair<std::string, std::string>> KeyValue(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

void AddDevice(CLI::App* sub, DeviceArgs& d, bool with_context) {
  const std::string group = kDeviceGroup;
  sub->add_option("--backend", d.backend, "Which plugin computes, NAME or NAME:INDEX")
      ->capture_default_str()
      ->group(group);
  sub->add_option(
         "--numerics", d.numerics,
         "bf16: fast; f32: activations, cache and sums in f32, for comparing; w8a8: bf16, and what meets "
         "FP8 weights in FP8 too (w8a8-f32: over f32)")
      ->check(CLI::IsMember({"bf16", "f32", "w8a8", "w8a8-f32"}))
      ->capture_default_str()
      ->group(group);
  sub->add_option("--kv-dtype", d.kv_dtype,
                  "The cache. auto: as the numerics have it; bf16; fp8: latents in FP8 E4M3 with a scale for "
                  "each 128 channels, rope keys in bf16: 57 % of bf16's bytes")
      ->check(CLI::IsMember({"auto", "bf16", "fp8"}))
      ->capture_default_str()
      ->group(group);
  sub->add_flag("--fast-math-order", d.fast_math_order,
                "Sums may run in the order that is fastest: a text may then depend on what else is computed")
      ->group(group);
  sub->add_option(
         "--load", d.load,
         "map: weights stay in their files, nothing is copied; copy: into memory, on huge pages; auto: copy "
         "where they are at most 60 % of what is free")
      ->check(CLI::IsMember({"auto", "map", "copy"}))
      ->capture_default_str()
      ->group(group);
  sub->add_option(
         "--verify", d.verify,
         "Of a .qiao file, compare with their checksums: all tensors; header: none; auto: all where the file "
         "is at most 32 GiB")
      ->check(CLI::IsMember({"auto", "all", "header"}))
      ->capture_default_str()
      ->group(group);
  sub->add_option("--threads", d.threads, "CPU threads; 0: all that this process may use")
      ->check(Between(0, 4096))
      ->group(group);
  sub->add_option_function<std::vector<std::string>>(
         "--device-option",
         [&d](const std::vector<std::string>& options) {
           for (const std::string& option : options) {
             const auto pair = KeyValue(option);
             if (!pair) throw CLI::ValidationError("--device-option", "\"" + option + "\" is not KEY=VALUE");
             d.device_options.insert_or_assign(pair->first, pair->second);
           }
         },
         "KEY=VALUE for the plugin; may be repeated. An unknown key lists those that it has")
      ->group(group);
  if (with_context) {
    sub->add_option("--ctx", d.context,
                    "Tokens that prompt and answer may have together (default: the model's, at most 4096)")
        ->check(Between(int64_t{1}, int64_t{1} << 24))
        ->group(group);
  }
  sub->add_flag("--allow-fallback", d.allow_fallback, "Operations that the backend lacks run on the host")
      ->group(group);
  sub->add_option("--fallback", d.fallback, "The plugin that runs them")->capture_default_str()->group(group);
  sub->add_option("--page-tokens", d.page_tokens, "Tokens of a cache page (default: what the device prefers)")
      ->check(Between(int64_t{1}, int64_t{4096}))
      ->group(group);
  sub->add_option("--chunk", d.chunk, "Tokens of the prompt in one step at most")
      ->check(Between(1, 65536))
      ->capture_default_str()
      ->group(group);
  sub->add_option("--memory-budget", d.memory_budget,
                  "Bytes for all that is allocated, such as 8GB (default: what is free)")
      ->transform(ByteSize())
      ->group(group);
}

void AddDrafting(CLI::App* sub, DeviceArgs& d) {
  const std::string group = kDraftingGroup;
  sub->add_option(
         "--draft", d.draft,
         "Guess the next tokens and check the guesses in one step, while that is faster. mtp: with the "
         "model's own MTP layer; lookup: by what followed earlier in the text; auto: mtp where there is "
         "one; off")
      ->check(CLI::IsMember({"off", "mtp", "lookup", "auto"}))
      ->capture_default_str()
      ->group(group);
  sub->add_option("--draft-tokens", d.draft_tokens, "Guesses in a step at most")
      ->check(Between(1, 16))
      ->capture_default_str()
      ->group(group);
}

void AddLoad(CLI::App* sub, LoadArgs& l) {
  const std::string group = "Load: requests to the engine instead of single cases";
  CLI::Option* requests = sub->add_option("--requests", l.requests, "How many")
                              ->check(Between(int64_t{1}, int64_t{10'000'000}))
                              ->group(group);
  const auto with = [&](CLI::Option* option) { option->needs(requests)->group(group); };
  with(sub->add_option("--rate", l.rate, "Requests a second, at random times (Poisson); inf: all at once")
           ->capture_default_str());
  with(sub->add_option("--prompt-tokens", l.prompt_tokens,
                       "Tokens of a prompt: 128, uniform:16:512, lognormal:MEDIAN:SIGMA[:MOST]")
           ->capture_default_str());
  with(sub->add_option("--output-tokens", l.output_tokens, "Tokens of an answer, likewise")
           ->capture_default_str());
  with(sub->add_option("--shared-prefix", l.shared_prefix,
                       "TOKENS or TOKENS:GROUPS before each prompt, the same for all of a group"));
  with(sub->add_option("--sequences", l.sequences, "Requests that run at once")
           ->check(Between(1, 4096))
           ->capture_default_str());
  with(sub->add_option("--mixed-chunk", l.mixed_chunk,
                       "Tokens of prompts in a step that also makes tokens for others, at most")
           ->check(Between(1, 65536))
           ->capture_default_str());
  with(sub->add_option("--cache-tokens", l.cache_tokens,
                       "Tokens that the cache holds (default: as many as the longest requests need at once)")
           ->check(Between(int64_t{1}, int64_t{1} << 40)));
  with(sub->add_flag("!--no-prefix-cache", l.prefix_cache, "Compute every prompt from its first token"));
  with(sub->add_option("--slo-ttft", l.slo_ttft, "Milliseconds to the first token, that goodput asks for")
           ->check(Between(0.0, 1e9)));
  with(sub->add_option("--slo-tpot", l.slo_tpot, "Milliseconds for each token after it")
           ->check(Between(0.0, 1e9)));
  with(sub->add_option("--plot", l.plot, "Draw the run into this SVG file"));
}

void AddUrl(CLI::App* sub, LoadArgs& l) {
  const std::string group = "Load on a server, over HTTP";
  CLI::Option* url =
      sub->add_option("--url", l.url,
                      "Send the requests to this server instead, such as http://localhost:8080; there "
                      "is no MODEL then")
          ->needs(sub->get_option("--requests"))
          ->group(group);
  const auto with = [&](CLI::Option* option) { option->needs(url)->group(group); };
  with(sub->add_option("--endpoint", l.endpoint,
                       "completions: prompts are token ids; chat: a message of as many common words")
           ->check(CLI::IsMember({"completions", "chat"}))
           ->capture_default_str());
  with(
      sub->add_option("--model-name", l.model_name, "Ask for this model (default: the first that it lists)"));
  // The environment may have it for other commands.
  sub->add_option("--api-key", l.api_key, "The server's key")->envname("QIAO_API_KEY")->group(group);
  with(sub->add_option("--vocab", l.vocab, "Prompts are of token ids below this")
           ->check(Between(int64_t{1}, int64_t{1} << 24))
           ->capture_default_str());
  with(sub->add_option("--temp", l.temperature, "Temperature of the requests; 0 is greedy")
           ->check(Between(0.0, 100.0)));
  // What the server was started with is not for the client to say.
  for (const char* of_engine :
       {"--model", "--sequences", "--mixed-chunk", "--cache-tokens", "--no-prefix-cache"})
    url->excludes(sub->get_option(of_engine));
  for (CLI::Option* option : sub->get_options()) {
    const bool of_device = option->get_group() == kDeviceGroup || option->get_group() == kDraftingGroup;
    if (of_device && option->get_name() != "--ctx") url->excludes(option);
  }
}

void AddSampling(CLI::App* sub, SamplingArgs& s) {
  const std::string group =
      "Sampling (default: the model's generation_config.json, greedy where it does not ask to sample)";
  sub->add_option("--temp", s.temperature, "Temperature; 0 is greedy")
      ->check(Between(0.0, 100.0))
      ->group(group);
  sub->add_option("--top-k", s.top_k, "Only the K likeliest tokens; 0: off")
      ->check(Between(int64_t{0}, int64_t{1} << 24))
      ->group(group);
  sub->add_option("--top-p", s.top_p, "Only the likeliest tokens that together have probability P")
      ->check(Between(0.0, 1.0))
      ->group(group);
  sub->add_option("--min-p", s.min_p, "Only tokens at least P times as likely as the likeliest")
      ->check(Between(0.0, 1.0))
      ->group(group);
  sub->add_option("--repetition-penalty", s.repetition_penalty,
                  "Above 1: tokens that occurred are less likely (logits are divided by it)")
      ->check(Between(1e-3, 100.0))
      ->group(group);
  sub->add_option("--presence-penalty", s.presence_penalty,
                  "Subtracted from the logits of what the answer has already said")
      ->check(Between(-2.0, 2.0))
      ->group(group);
  sub->add_option("--frequency-penalty", s.frequency_penalty, "The same, for each time that it has been said")
      ->check(Between(-2.0, 2.0))
      ->group(group);
  sub->add_option("--seed", s.seed, "The same seed gives the same text (default: another one each time)")
      ->group(group);
}

void AddModel(CLI::App* sub, std::string& model) { sub->add_option("model,--model", model, kModelHelp); }

}  // namespace qiao::tools
