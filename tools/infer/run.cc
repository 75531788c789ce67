// infer run: one prompt, one text.
#include <cstdio>

#include "runtime/base/json.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/generate.h"
#include "tools/infer/input.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/memory_use.h"
#include "tools/infer/model.h"
#include "tools/infer/placement.h"
#include "tools/infer/profile.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

absl::StatusOr<std::string> ReadPrompt(const RunArgs& args) {
  if (args.has_prompt && !args.file.empty())
    return UsageError("the prompt is given twice, as PROMPT and as --file");
  if (args.has_prompt && args.prompt != "-") return args.prompt;
  const bool from_stdin = args.file.empty() || args.file == "-";
  if (from_stdin && !args.has_prompt && args.file.empty() && StdinIsTerminal()) {
    return UsageError("there is no prompt", absl::StrFormat("infer run %s \"Once upon a time\"", args.model));
  }
  QIAO_ASSIGN_OR_RETURN(std::string text, ReadInput(from_stdin ? "-" : args.file));
  // Editors and echo put it there; a model would take it for the end of a paragraph.
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

absl::StatusOr<std::string> RenderMessage(const Engine& engine, const RunArgs& args,
                                          const std::string& prompt) {
  OrderedJson messages = OrderedJson::array();
  if (!args.system.empty()) messages.push_back({{"role", "system"}, {"content", args.system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  Result<std::string> text = engine.RenderChat(DumpJson(messages), /*add_generation_prompt=*/true);
  if (!text.ok()) {
    return WithHint(WithExit(FromPublic(text.status()), kExitModel),
                    "without --chat the prompt is simply continued");
  }
  return *std::move(text);
}

// Planned a second time, with nothing loaded: the engine's public face has no graphs to show.
absl::Status PrintPlacement(const RunArgs& args) {
  engine::OpenOptions open;
  open.text = false;
  open.verify = formats::Verify::kHeader;  // loading does it
  QIAO_ASSIGN_OR_RETURN(auto folder, OpenModel(args.model, open));
  QIAO_RETURN_IF_ERROR(CheckDevice(args.device, folder->model->info()));
  const program::CheckpointSource source(*folder->checkpoint);
  auto runner = engine::Runner::Plan(*folder->model, source, ToRunnerOptions(args.device));
  if (!runner.ok()) return ClassifyLoad(runner.status(), args.device);
  std::fprintf(stderr, "%s\n%s\n", Err(Style::kBold, "placement on " + args.device.backend).c_str(),
               PlacementTable((*runner)->programs().placement()).c_str());
  return absl::OkStatus();
}

OrderedJson ToJson(const Engine& engine, const GenerateResult& result, const SamplingParams& sampling) {
  const MemoryReport memory = engine.memory();
  const DeviceReport device = engine.device();
  OrderedJson json;
  json["text"] = result.text;
  json["ids"] = result.ids;
  json["finish"] = FinishName(result.finish);
  if (!result.logprobs.empty()) json["logprobs"] = result.logprobs;
  if (!result.top_logprobs.empty() && !result.top_logprobs.front().empty()) {
    OrderedJson& top = json["top_logprobs"] = OrderedJson::array();
    for (const std::vector<TokenLogprob>& likeliest : result.top_logprobs) {
      OrderedJson& of_token = top.emplace_back(OrderedJson::array());
      for (const TokenLogprob& t : likeliest) of_token.push_back({{"id", t.id}, {"logprob", t.logprob}});
    }
  }
  json["prompt_tokens"] = result.prompt_tokens;
  json["cached_tokens"] = result.cached_tokens;
  json["drafted_tokens"] = result.drafted;
  json["accepted_tokens"] = result.accepted;
  json["prefill_seconds"] = result.prefill_seconds;
  json["prefill_tokens_per_s"] = PrefillRate(result);
  json["decode_seconds"] = result.decode_seconds;
  json["decode_tokens_per_s"] = DecodeRate(result);
  json["kv_bytes_per_token"] = memory.cache_bytes_per_token;
  json["load"] = memory.load;
  json["mapped_weight_bytes"] = memory.mapped_weights;
  json["stored_weight_bytes"] = memory.stored_weights;
  json["peak_memory_bytes"] = ReadMemoryUse().peak;
  json["temperature"] = sampling.temperature;
  if (sampling.temperature > 0) json["seed"] = sampling.seed;
  json["device"] = device.name;
  json["fallback_launches"] = device.fallback_launches;
  json["copied_bytes"] = device.copied_bytes;
  return json;
}

absl::StatusOr<Constraint> ToConstraint(const RunArgs& args) {
  if (args.json_object) return Constraint{Constraint::Kind::kJsonObject, "", {}};
  if (!args.regex.empty()) return Constraint{Constraint::Kind::kRegex, args.regex, {}};
  if (!args.choices.empty()) return Constraint{Constraint::Kind::kChoice, "", args.choices};
  if (args.json_schema.empty()) return Constraint{};
  QIAO_ASSIGN_OR_RETURN(std::string schema, ReadInput(args.json_schema));
  return Constraint{Constraint::Kind::kJsonSchema, std::move(schema), {}};
}

// Enough to read from memory and soon done: a profile wants shares, not records.
constexpr uint64_t kProfileStream = uint64_t{1} << 30;

// Where the time went, reading the prompt and writing the answer apart.
struct RunProfile {
  std::optional<Limits> limits;
  Profile prefill, decode;

  void Listen(GenerateRequest& request) {
    request.on_operation = [this](const OperationReport& o) {
      (o.prefill ? prefill : decode).Add(o, limits);
    };
  }
  OrderedJson ToJson() const {
    return {{"limits", tools::ToJson(limits)}, {"prefill", prefill.ToJson()}, {"decode", decode.ToJson()}};
  }
  void Print() const {
    std::fprintf(stderr, "\nlimits: %s\n",
                 limits ? OneLine(*limits).c_str() : "not measured by this backend");
    for (const auto& [name, profile] : {std::pair("reading the prompt", &prefill), {"decoding", &decode}}) {
      if (profile->empty()) continue;
      std::fprintf(stderr, "\n%s  %.1f ms in operations, one by one\n%s", Err(Style::kBold, name).c_str(),
                   1e3 * profile->seconds(), profile->Text().c_str());
    }
  }
};

}  // namespace

absl::Status Run(const RunArgs& args) {
  CatchInterrupts();
  if (!args.system.empty() && !args.chat) return UsageError("--system needs --chat");
  QIAO_ASSIGN_OR_RETURN(const std::string prompt, ReadPrompt(args));
  if (args.placement) QIAO_RETURN_IF_ERROR(PrintPlacement(args));
  RunProfile profile;
  if (args.profile) {
    QIAO_ASSIGN_OR_RETURN(profile.limits, MeasureLimits(args.device, kProfileStream));
    ResetPeakMemory();  // what limits are measured on is not the model's
  }
  QIAO_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(args.model, args.device));

  GenerateRequest request;
  request.prompt = prompt;
  if (args.chat) {
    QIAO_ASSIGN_OR_RETURN(request.prompt, RenderMessage(*engine, args, prompt));
    request.rendered = true;
  }
  request.max_tokens = args.max_tokens;
  request.sampling = ToSampling(args.sampling, engine->RecommendedSampling());
  request.stop = args.stop;
  request.logprobs = args.logprobs;
  QIAO_ASSIGN_OR_RETURN(request.constraint, ToConstraint(args));
  request.ignore_end = args.ignore_eos;
  if (args.profile) profile.Listen(request);
  // On a screen the text reads on from the prompt.
  if (!args.json && !args.chat && StdoutIsTerminal()) {
    TextOutput echo(true);
    if (prompt.size() <= 2000) echo.Write(prompt);
  }
  QIAO_ASSIGN_OR_RETURN(const GenerateResult result, GenerateText(*engine, request, /*stream=*/!args.json));

  if (args.json) {
    OrderedJson json = ToJson(*engine, result, request.sampling);
    if (args.profile) json["profile"] = profile.ToJson();
    PrintJson(json);
  }
  if (!args.quiet && !args.json) {
    std::string summary = Summary(*engine, result);
    if (request.sampling.temperature > 0) absl::StrAppendFormat(&summary, "; seed %d", request.sampling.seed);
    std::fprintf(stderr, "%s\n", Err(Style::kDim, summary).c_str());
  }
  if (args.profile && !args.json) profile.Print();
  if (args.placement) {
    const DeviceReport device = engine->device();
    std::fprintf(stderr, "%s launches fell back, %s copied between host and device\n",
                 Grouped(device.fallback_launches).c_str(), Bytes(device.copied_bytes).c_str());
  }
  return result.finish == Finish::kCancelled ? absl::CancelledError() : absl::OkStatus();
}

}  // namespace qiao::tools
