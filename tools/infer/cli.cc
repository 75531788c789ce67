// The command line: every subcommand with its own options, and their help.
#include <qiao/engine.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "tools/infer/args.h"
#include "tools/infer/cli_config.h"
#include "tools/infer/cli_options.h"
#include "tools/infer/exit.h"
#include "tools/infer/log.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

using Command = std::function<absl::Status()>;

constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0    done\n"
    "  1    something failed while running\n"
    "  2    an option or argument is wrong\n"
    "  3    the model or another file is missing or invalid\n"
    "  4    it does not fit the memory\n"
    "  5    the backend is missing or lacks operations that the model needs\n"
    "  130  interrupted";

// A subcommand with its examples, and -v, which all have.
CLI::App* Subcommand(CLI::App& app, const std::string& name, const std::string& about,
                     const std::string& examples) {
  CLI::App* sub = app.add_subcommand(name, about);
  sub->footer("Examples:\n" + examples);
  sub->add_flag_function(
      "-v,--verbose", [](int64_t n) { SetVerbosity(static_cast<int>(n)); },
      "Log on stderr what happens; twice for more");
  return sub;
}

absl::Status NeedModel(const std::string& model) {
  if (!model.empty()) return absl::OkStatus();
  return UsageError("which model? Give its folder or .qiao file as MODEL or --model",
                    "infer run models/demo \"SQLite is a\"");
}

// `run`, unless no model was given.
template <typename Args>
void OnModel(CLI::App* sub, Command& command, std::shared_ptr<Args> a, absl::Status (*run)(const Args&)) {
  sub->callback([&command, a, run] {
    command = [a, run]() -> absl::Status {
      QIAO_RETURN_IF_ERROR(NeedModel(a->model));
      return run(*a);
    };
  });
}

void AddConstraint(CLI::App* sub, RunArgs& a) {
  const std::string group = "The answer's form, one of these (what would break it is never chosen)";
  const std::vector<CLI::Option*> forms = {
      sub->add_flag("--json-object", a.json_object, "A JSON object"),
      sub->add_option("--json-schema", a.json_schema, "What the JSON schema in this file describes"),
      sub->add_option("--regex", a.regex, "What the regular expression matches as a whole"),
      sub->add_option("--choice", a.choices, "This text; may be repeated: one of them")
          ->allow_extra_args(false)};
  for (CLI::Option* form : forms) {
    form->group(group);
    for (CLI::Option* other : forms) {
      if (form != other) form->excludes(other);
    }
  }
}

void AddRun(CLI::App& app, Command& command) {
  auto a = std::make_shared<RunArgs>();
  auto named = std::make_shared<std::string>();
  auto prompt = std::make_shared<std::optional<std::string>>();
  CLI::App* sub = Subcommand(app, "run", "Continue a text, or answer one message",
                             "  infer run models/demo \"In the beginning\"\n"
                             "  infer run models/demo --temp 0 --max-tokens 32 --json \"SQLite is a\"\n"
                             "  echo \"A transaction is\" | infer run models/demo\n"
                             "  infer run models/chat --chat \"Who wrote this?\" --system \"Be brief.\"\n"
                             "  infer run models/demo --backend null --allow-fallback --placement \"Hello\"");
  sub->add_option("model", a->model, kModelHelp);
  sub->add_option("prompt", *prompt, "The text to continue; - or nothing: stdin");
  sub->add_option("--model", *named, "The model; the first argument is then the prompt");
  sub->add_option("--file", a->file, "Read the prompt from a file");
  sub->add_flag("--chat", a->chat, "The prompt is a message: put it into the model's chat template");
  sub->add_option("--system", a->system, "With --chat: a system message before it");
  sub->add_option("--max-tokens", a->max_tokens, "Tokens to generate at most")
      ->check(Between(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  sub->add_option("--stop", a->stop, "End before this text; may be repeated")->allow_extra_args(false);
  sub->add_flag("--ignore-eos", a->ignore_eos, "Go on after the end-of-text token");
  sub->add_option("--logprobs", a->logprobs,
                  "With --json: each token's log-probability, and those of the N likeliest")
      ->check(Between(0, 20));
  AddConstraint(sub, *a);
  sub->add_flag("--json", a->json, "Print one JSON object at the end instead of text");
  sub->add_flag("--placement", a->placement, "Tell where each operation runs and why");
  sub->add_flag("--profile", a->profile,
                "Tell where the time goes, by operation, beside what the machine could do; slows the run");
  sub->add_flag("-q,--quiet", a->quiet, "No summary");
  AddSampling(sub, a->sampling);
  AddDrafting(sub, a->device);
  AddDevice(sub, a->device);
  sub->callback([&command, a, named, prompt] {
    command = [a, named, prompt]() -> absl::Status {
      if (!named->empty()) {
        if (*prompt) return UsageError("the model is given twice, as MODEL and as --model");
        if (!a->model.empty()) *prompt = a->model;
        a->model = *named;
      }
      QIAO_RETURN_IF_ERROR(NeedModel(a->model));
      a->has_prompt = prompt->has_value();
      a->prompt = prompt->value_or("");
      return Run(*a);
    };
  });
}

void AddChat(CLI::App& app, Command& command) {
  auto a = std::make_shared<ChatArgs>();
  CLI::App* sub = Subcommand(app, "chat", "Talk with a model, turn by turn",
                             "  infer chat models/chat\n"
                             "  infer chat models/chat --system \"Answer in verse.\" --temp 0.7\n"
                             "  printf 'Hello\\n/reset\\nHello again\\n' | infer chat models/chat");
  AddModel(sub, a->model);
  sub->add_option("--system", a->system, "A system message at the start");
  sub->add_option("--max-tokens", a->max_tokens, "Tokens of one answer at most")
      ->check(Between(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  sub->add_option("--stop", a->stop, "End an answer before this text; may be repeated")
      ->allow_extra_args(false);
  AddSampling(sub, a->sampling);
  AddDrafting(sub, a->device);
  AddDevice(sub, a->device);
  OnModel(sub, command, a, Chat);
}

void AddInspect(CLI::App& app, Command& command) {
  auto a = std::make_shared<InspectArgs>();
  CLI::App* sub = Subcommand(app, "inspect", "What is in a model, and what it will need",
                             "  infer inspect models/demo\n"
                             "  infer inspect models/demo --ctx 2048 --numerics f32\n"
                             "  infer inspect models/demo --program --backend reference\n"
                             "  infer inspect models/demo --json | jq .parameters");
  AddModel(sub, a->model);
  sub->add_flag("--program", a->program,
                "Print the graph of operations of the smallest and the largest step");
  sub->add_flag("--json", a->json, "Print one JSON object");
  AddDevice(sub, a->device);
  OnModel(sub, command, a, Inspect);
}

void AddLogits(CLI::App& app, Command& command) {
  auto a = std::make_shared<LogitsArgs>();
  CLI::App* sub =
      Subcommand(app, "logits", "The logits of every token of a prompt, and of a greedy continuation",
                 "  infer logits --model models/demo --ids 3,17,5 --out logits.safetensors\n"
                 "  infer logits --model models/demo --ids 3,17,5 --generate 32 --numerics f32 "
                 "--backend reference --out logits.safetensors\n"
                 "The file holds ids, I32 [T+N], and logits, F32 [T+N, V], a row for each id.");
  AddModel(sub, a->model);
  sub->add_option("--ids", a->ids, "The prompt: token ids, such as 3,17,5")->delimiter(',')->required();
  sub->add_option("--generate", a->generate, "Tokens to continue with, greedily, whatever they are")
      ->check(Between(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  sub->add_option("--out", a->out, "The safetensors file to write")->required();
  AddDevice(sub, a->device, /*with_context=*/false);
  OnModel(sub, command, a, Logits);
}

// One source of several.
CLI::Option_group* Sources(CLI::App* sub) {
  CLI::Option_group* group = sub->add_option_group("Input", "One of these");
  group->require_option(1);
  return group;
}

void AddTokenize(CLI::App& app, Command& command) {
  auto a = std::make_shared<TokenizeArgs>();
  CLI::App* sub = Subcommand(app, "tokenize", "Text to token ids and back; chat messages to the prompt",
                             "  infer tokenize --model models/demo --text \"Hello, world!\"\n"
                             "  infer tokenize --model models/demo --file book.txt\n"
                             "  echo '{\"ids\":[3,17,5]}' | infer tokenize --model models/demo --jsonl -\n"
                             "A line of --jsonl is one of {\"text\":..}, answered with {\"ids\":[..]} "
                             "without added special tokens;\n"
                             "{\"ids\":..}, with {\"text\":..}; {\"messages\":.., "
                             "\"add_generation_prompt\":.., \"tools\":.., \"kwargs\":{..}}, with\n"
                             "{\"rendered\":..}. A line that is wrong is answered with {\"error\":..}, and "
                             "the exit code is then 1.");
  AddModel(sub, a->model);
  CLI::Option_group* input = Sources(sub);
  input->add_option("--text", a->text, "This text");
  input->add_option("--file", a->file, "The text of a file; -: stdin");
  input->add_option("--jsonl", a->jsonl, "A file of requests, one JSON object a line; -: stdin");
  OnModel(sub, command, a, Tokenize);
}

void AddPerplexity(CLI::App& app, Command& command) {
  auto a = std::make_shared<PerplexityArgs>();
  CLI::App* sub = Subcommand(
      app, "perplexity", "How well a model predicts a text",
      "  infer perplexity --model models/demo --file book.txt\n"
      "  infer perplexity --model models/demo --jsonl models/demo/eval/test.jsonl --numerics f32 --json\n"
      "A document is the file, or the \"text\" of each line of --jsonl. Its ids are begin-of-text, the "
      "text's,\n"
      "end-of-text; they are predicted in consecutive windows, each from an empty context, and all count:\n"
      "perplexity = exp(negative log-likelihood / tokens).");
  AddModel(sub, a->model);
  CLI::Option_group* input = Sources(sub);
  input->add_option("--file", a->file, "One document; -: stdin");
  input->add_option("--jsonl", a->jsonl, "One document a line, {\"text\":..}; -: stdin");
  sub->add_option("--window", a->window, "Predictions of a window")
      ->check(Between(int64_t{1}, int64_t{1} << 24))
      ->capture_default_str();
  sub->add_flag("--json", a->json, "Print one JSON object");
  AddDevice(sub, a->device, /*with_context=*/false);
  OnModel(sub, command, a, Perplexity);
}

void AddBench(CLI::App& app, Command& command) {
  auto a = std::make_shared<BenchArgs>();
  CLI::App* sub = Subcommand(
      app, "bench", "How fast a model runs, beside what the machine could do",
      "  infer bench models/demo\n"
      "  infer bench models/demo --prefill 512 --depth 0 --batch 1 --profile\n"
      "  infer bench models/demo --depth 0,1024 --batch 1,4,16 --json > bench.json\n"
      "  infer bench models/demo --prefill none --depth 0 --batch 1 --threads 1 --repeat 9\n"
      "  infer bench models/demo --requests 200 --rate 40 --prompt-tokens lognormal:100:0.8:1000\n"
      "    --output-tokens uniform:16:128 --slo-ttft 200 --slo-tpot 20 --plot load.svg\n"
      "  infer bench --url http://localhost:8080 --requests 200 --rate 40 --output-tokens 64\n\n"
      "What is measured\n"
      "  limits   The rate of reads over 4 GiB of memory (half of what is free, where that is less) and the\n"
      "           peaks of f32, bf16 and int8 arithmetic in registers, before and after everything else; "
      "the\n"
      "           better of both counts.\n"
      "  loading  From opening the files until the model can run, and from there the time of a prompt of "
      "128\n"
      "           tokens to its first token.\n"
      "  memory   VmHWM of the process, without the memory that limits are measured on, and RssAnon and\n"
      "           RssFile at the end.\n"
      "  prefill  A prompt of N tokens, from an empty cache to the first token.\n"
      "  decode   B sequences with ids of their own, each with D tokens in its cache, make --steps tokens\n"
      "           each. Beyond 64 tokens a cache is filled with copies of its first pages.\n"
      "Cases run in turn, --repeat times, after one watched run of the same tokens; rates are medians.\n"
      "Cases that do not fit the context or the memory are listed as skipped.\n"
      "The limit of a case is the rate at which either its arithmetic would run at the peak of its numbers\n"
      "or its bytes would be read at the read rate, whichever is slower. Bytes are all weights that it uses\n"
      "once (experts that its tokens chose, rows of the embedding that they look up) and the cache once, "
      "for\n"
      "each step or for a whole prompt. \"share\" is the measured rate over that limit, and \"experts\" how\n"
      "many different ones a layer used in a step.\n"
      "With --fast-math-order all cases run without it first, and a second table says how many times as "
      "fast\n"
      "they are with it. The model is loaded twice, one after the other.\n"
      "With --requests the model serves instead: requests come at random times, with random tokens, as many\n"
      "as are asked for, all drawn from --seed before the start. Times count from when a request was due.\n"
      "  TTFT     until the first token.\n"
      "  TPOT     from the first token to the last, for each token after the first.\n"
      "  goodput  Requests a second that kept --slo-ttft and --slo-tpot.\n"
      "  decoding The rate while all sequences decode and no prompt is read: what the batch of that size\n"
      "           does in the cases above.\n"
      "With --url another process serves: any server with OpenAI's /v1/completions or /v1/chat/completions,\n"
      "over http. A token's time is when the text came that it is part of; where usage tells of more tokens\n"
      "than pieces of text, they are spread over the pieces. 429 and 503 are counted as refused, and not "
      "sent\n"
      "again. What runs and waits is known where the server has GET /v1/stats.");
  AddModel(sub, a->model);
  AddLoad(sub, a->load);
  AddDrafting(sub, a->device);
  sub->add_option("--prefill", a->prefill, "Lengths of prompts; none: no prompts")->capture_default_str();
  sub->add_option("--depth", a->depth,
                  "Tokens in the cache of each sequence before it decodes; none: no decoding")
      ->capture_default_str();
  sub->add_option("--batch", a->batch, "Sequences that decode together")->capture_default_str();
  sub->add_option("--steps", a->steps, "Tokens that each of them makes in one run")
      ->check(Between(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  sub->add_option("--repeat", a->repeat, "Runs of each case")
      ->check(Between(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  sub->add_option("--seed", a->seed, "Of the token ids")->capture_default_str();
  sub->add_option("--stream", a->stream_bytes,
                  "Memory that the read rate is measured over, such as 1GB (default: 4 GiB, at most half of "
                  "what is free)")
      ->transform(ByteSize());
  sub->add_flag("--profile", a->profile, "Where the time of each case goes, by operation");
  for (const char* of_cases :
       {"--prefill", "--depth", "--batch", "--steps", "--repeat", "--stream", "--profile"})
    sub->get_option(of_cases)->excludes(sub->get_option("--requests"));
  sub->add_flag("--json", a->json, "Print one JSON object");
  AddDevice(sub, a->device);
  AddUrl(sub, a->load);
  sub->callback([&command, a] {
    command = [a]() -> absl::Status {
      if (a->load.url.empty()) QIAO_RETURN_IF_ERROR(NeedModel(a->model));
      return Bench(*a);
    };
  });
}

void AddSynth(CLI::App& app, Command& command) {
  auto a = std::make_shared<SynthArgs>();
  CLI::App* sub = Subcommand(
      app, "synth", "Write a checkpoint of random weights in the shape of a known model",
      "  infer synth --like tiny-v3 --out /tmp/tiny\n"
      "  infer synth --like deepseek-v2-lite --layers 4 --dtype bf16 --seed 1 --out /tmp/lite\n"
      "  infer synth --like deepseek-v3 --dtype fp8 --sparse --out /tmp/v3     # 690 GB of holes, no disk\n"
      "  infer synth --like deepseek-v3 --layers 8 --set n_routed_experts=16 --dtype fp8 --out /tmp/small\n"
      "With --layers, at least one layer keeps its experts. There is no tokenizer: use infer logits.");
  sub->add_option("--like", a->like,
                  "The model: deepseek-v3, deepseek-v2, deepseek-v2-lite, kimi-k2, tiny-v3, tiny-v2")
      ->required();
  sub->add_option("--out", a->out, "The folder to write; made where it does not exist")->required();
  sub->add_option(
         "--dtype", a->dtype,
         "fp8: in blocks of 128x128 with scales, as DeepSeek releases; int8: with a scale for each output "
         "channel, for W8A8; bf16; f32")
      ->check(CLI::IsMember({"fp8", "int8", "bf16", "f32"}))
      ->capture_default_str();
  sub->add_option("--layers", a->layers, "Fewer layers")->check(Between(int64_t{1}, int64_t{1024}));
  sub->add_option("--vocab", a->vocab, "Another size of the vocabulary")
      ->check(Between(int64_t{2}, int64_t{1} << 24));
  sub->add_option_function<std::vector<std::string>>(
         "--set",
         [a](const std::vector<std::string>& settings) {
           for (const std::string& setting : settings) {
             const auto pair = KeyValue(setting);
             if (!pair) throw CLI::ValidationError("--set", "needs KEY=VALUE");
             a->set.push_back(*pair);
           }
         },
         "Another value in config.json, KEY=VALUE with VALUE as JSON; may be repeated")
      ->allow_extra_args(false);
  sub->add_option("--seed", a->seed, "The same seed gives the same weights")->capture_default_str();
  sub->add_flag("--sparse", a->sparse, "Holes instead of weights: the full size, and almost no disk");
  sub->callback([&command, a] { command = [a] { return Synth(*a); }; });
}

void AddServe(CLI::App& app, Command& command) {
  auto a = std::make_shared<ServeArgs>();
  CLI::App* sub =
      Subcommand(app, "serve", "Put a model on the network: OpenAI's and Anthropic's APIs, and a web page",
                 "  infer serve models/demo\n"
                 "  infer serve models/demo --port 8000 --sequences 32 --draft auto\n"
                 "  QIAO_API_KEY=secret infer serve models/demo --host 0.0.0.0\n"
                 "  infer serve --config serve.toml        # model = \"models/demo\", port = 8000, ...\n"
                 "There is no TLS: put a proxy such as nginx before it (README, \"Serving\").");
  AddModel(sub, a->model);
  AddConfig(sub);
  AddServeOptions(sub, *a);
  OnModel(sub, command, a, Serve);
}

void AddConvert(CLI::App& app, Command& command) {
  auto a = std::make_shared<ConvertArgs>();
  CLI::App* sub =
      Subcommand(app, "convert", "Write a model into one .qiao file, in another number format if you like",
                 "  infer convert models/demo demo.qiao\n"
                 "  infer convert DeepSeek-V2-Lite lite.qiao --dtype fp8 --head fp8\n"
                 "  infer convert lite.qiao lite-bf16.qiao --dtype bf16\n"
                 "Embedding, norms and router stay as releases have them (bf16). The file grows as "
                 "OUT.partial; after an\n"
                 "interruption the same command goes on with it.");
  sub->add_option("model", a->model, "The model: a folder or a .qiao file")->required();
  sub->add_option("out", a->out, "The .qiao file to write")->required();
  sub->add_option("--dtype", a->dtype,
                  "fp8: in blocks of 128x128 with scales, as DeepSeek releases; bf16; int8: a scale a row "
                  "(default: as "
                  "it is)")
      ->check(CLI::IsMember({"fp8", "bf16", "int8"}));
  sub->add_option("--head", a->head, "The output head (default: bf16 with --dtype, else as it is)")
      ->check(CLI::IsMember({"fp8", "bf16"}));
  sub->add_option("--pack", a->pack, "neutral: row-major, for every backend; cpu: in that backend's own form")
      ->check(CLI::IsMember({"cpu", "neutral"}))
      ->capture_default_str();
  sub->add_flag("--force", a->force, "Replace OUT where it is there");
  sub->callback([&command, a] { command = [a] { return Convert(*a); }; });
}

void AddBackends(CLI::App& app, Command& command) {
  auto a = std::make_shared<BackendsArgs>();
  CLI::App* sub = Subcommand(app, "backends", "The plugins that are found, and their devices",
                             "  infer backends\n"
                             "  infer backends --json\n"
                             "  QIAO_BACKEND_PATH=/opt/vendor/lib infer backends");
  sub->add_flag("--json", a->json, "Print one JSON object");
  sub->callback([&command, a] { command = [a] { return Backends(*a); }; });
}

void AddDoctor(CLI::App& app, Command& command) {
  auto a = std::make_shared<DoctorArgs>();
  CLI::App* sub = Subcommand(app, "doctor", "What this machine has, what is missing and how to get it",
                             "  infer doctor\n"
                             "  infer doctor --json > report.json     # for a bug report");
  sub->add_flag("--json", a->json, "Print one JSON object");
  sub->callback([&command, a] { command = [a] { return Doctor(*a); }; });
}

}  // namespace

absl::Status ParseCommandLine(int argc, char** argv, Command& command) {
  CLI::App app("infer: run mixture-of-experts language models on the chip at hand", "infer");
  app.set_version_flag("--version", "infer " + Version(), "Print the version");
  app.set_help_flag("-h,--help", "Print this, or the help of a subcommand");
  app.require_subcommand(1);
  app.get_formatter()->column_width(30);
  for (const char* type : {"INT", "UINT"}) app.get_formatter()->label(type, "N");
  app.get_formatter()->label("FLOAT", "X");
  app.footer(std::string("Examples:\n"
                         "  infer run models/demo \"SQLite is a\"\n"
                         "  infer inspect models/demo\n"
                         "  infer backends\n"
                         "  infer run --help\n\n") +
             kExitCodes);
  AddRun(app, command);
  AddChat(app, command);
  AddInspect(app, command);
  AddLogits(app, command);
  AddTokenize(app, command);
  AddPerplexity(app, command);
  AddBench(app, command);
  AddServe(app, command);
  AddSynth(app, command);
  AddConvert(app, command);
  AddBackends(app, command);
  AddDoctor(app, command);
  if (argc <= 1) {
    std::fputs(app.help().c_str(), stderr);
    return UsageError("which subcommand?", "infer run models/demo \"SQLite is a\"");
  }
  try {
    QIAO_ASSIGN_OR_RETURN(std::vector<std::string> arguments,
                          WithConfig(app, std::vector<std::string>(argv + 1, argv + argc)));
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
  } catch (const CLI::CallForVersion& version) {
    std::fprintf(stdout, "%s\n", version.what());
  } catch (const CLI::ParseError& error) {
    std::string help = "infer ";
    for (const CLI::App* sub : app.get_subcommands()) help += sub->get_name() + " ";
    return UsageError(error.what(), help + "--help");
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
