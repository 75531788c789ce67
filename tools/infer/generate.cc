#include "tools/infer/generate.h"

#include <random>

#include "tools/infer/exit.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/log.h"
#include "tools/infer/memory_use.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {

SamplingParams ToSampling(const SamplingArgs& args, const SamplingParams& recommended) {
  SamplingParams p = recommended;
  // A filter only means something when there is something to choose from.
  if (p.temperature == 0 && (args.top_k || args.top_p || args.min_p)) p.temperature = 1;
  p.temperature = args.temperature.value_or(p.temperature);
  p.top_k = args.top_k.value_or(p.top_k);
  p.top_p = args.top_p.value_or(p.top_p);
  p.min_p = args.min_p.value_or(p.min_p);
  p.repetition_penalty = args.repetition_penalty.value_or(p.repetition_penalty);
  p.presence_penalty = args.presence_penalty;
  p.frequency_penalty = args.frequency_penalty;
  // Short enough to be typed again.
  p.seed = args.seed ? *args.seed : std::random_device{}() % 1'000'000;
  return p;
}

absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(const std::string& model, const DeviceArgs& args) {
  QIAO_RETURN_IF_ERROR(CheckModel(model, args).status());
  QIAO_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, LoadEngine(ToEngineOptions(model, args), args));
  const DeviceReport device = engine->device();
  const MemoryReport memory = engine->memory();
  Log(1,
      absl::StrFormat(
          "%s on %s (%s): weights %s mapped and %s stored, cache %s for %d tokens, intermediate values %s%s",
          model, args.backend, device.name, Bytes(memory.mapped_weights), Bytes(memory.stored_weights),
          Bytes(memory.cache), engine->context(), Bytes(memory.intermediate),
          device.row_invariant ? "; a row's bits depend on nothing else in the step" : ""));
  return engine;
}

absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(EngineOptions options, const DeviceArgs& args) {
  ProgressBar bar;
  options.progress = bar.callback();
  Result<std::unique_ptr<Engine>> engine = Engine::Load(options);
  if (!engine.ok()) return ClassifyLoad(FromPublic(engine.status()), args);
  return *std::move(engine);
}

absl::StatusOr<GenerateResult> GenerateText(Engine& engine, GenerateRequest request, bool stream) {
  ProgressBar bar(ProgressBar::kCount);
  TextOutput out(StdoutIsTerminal());
  request.prefill_progress = [&](int64_t done, int64_t total) {
    bar.Update("reading the prompt", static_cast<uint64_t>(done), static_cast<uint64_t>(total));
  };
  const CancelOnInterrupt cancel(request.cancel);
  Result<GenerateResult> result = engine.Generate(request, [&](const Token& token) {
    bar.Clear();
    if (stream) out.Write(token.text);
    return true;
  });
  bar.Clear();
  if (stream && !out.ends_line() && result.ok()) out.Write("\n");
  if (!result.ok()) {
    absl::Status status = FromPublic(result.status());
    // A prompt that does not fit, an option out of range.
    if (absl::IsInvalidArgument(status)) return WithExit(std::move(status), kExitUsage);
    if (absl::IsFailedPrecondition(status)) return WithExit(std::move(status), kExitModel);
    return status;
  }
  return *std::move(result);
}

std::string_view FinishName(Finish finish) {
  switch (finish) {
    case Finish::kLength:
      return "length";
    case Finish::kEndOfText:
      return "end_of_text";
    case Finish::kStop:
      return "stop";
    case Finish::kCancelled:
      return "cancelled";
    case Finish::kContext:
      return "context";
  }
  return "";
}

double PrefillRate(const GenerateResult& result) {
  const auto read = static_cast<double>(result.prompt_tokens - result.cached_tokens);
  return result.prefill_seconds > 0 ? read / result.prefill_seconds : 0;
}

double DecodeRate(const GenerateResult& result) {
  const auto steps = static_cast<double>(result.ids.size()) - 1;
  return result.decode_seconds > 0 && steps > 0 ? steps / result.decode_seconds : 0;
}

std::string Summary(const Engine& engine, const GenerateResult& result) {
  std::string_view why;
  switch (result.finish) {
    case Finish::kLength:
      why = "--max-tokens reached";
      break;
    case Finish::kEndOfText:
      why = "end of text";
      break;
    case Finish::kStop:
      why = "stop text";
      break;
    case Finish::kCancelled:
      why = "interrupted";
      break;
    case Finish::kContext:
      why = "context full";
      break;
  }
  std::string text =
      absl::StrFormat("prompt %s tokens", Grouped(static_cast<uint64_t>(result.prompt_tokens)));
  if (result.cached_tokens > 0)
    absl::StrAppendFormat(&text, ", %s of them known", Grouped(static_cast<uint64_t>(result.cached_tokens)));
  absl::StrAppendFormat(&text, ", %s tok/s; %s generated", Rate(PrefillRate(result)),
                        Grouped(result.ids.size()));
  if (DecodeRate(result) > 0) absl::StrAppendFormat(&text, ", %s tok/s", Rate(DecodeRate(result)));
  if (result.drafted > 0) {
    absl::StrAppendFormat(&text, "; %s of %s drafts right", Grouped(static_cast<uint64_t>(result.accepted)),
                          Grouped(static_cast<uint64_t>(result.drafted)));
  }
  absl::StrAppendFormat(&text, "; %s; KV cache %s B per token; peak memory %s", why,
                        Grouped(engine.memory().cache_bytes_per_token), Bytes(ReadMemoryUse().peak));
  return text;
}

}  // namespace qiao::tools
