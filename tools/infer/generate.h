// One generation as run and chat show it: sampling options, streamed text, summary.
#pragma once

#include <qiao/engine.h>

#include <string>

#include "tools/infer/args.h"

namespace qiao::tools {

// The sampling that the options ask for, over what the model's authors recommend. Without a seed: a random
// one.
SamplingParams ToSampling(const SamplingArgs& args, const SamplingParams& recommended);

// Checks, plans, loads, with a progress bar. Errors have exit codes.
absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(const std::string& model, const DeviceArgs& args);
// The same for options that were made from `args`, and a model that was checked.
absl::StatusOr<std::unique_ptr<Engine>> LoadEngine(EngineOptions options, const DeviceArgs& args);

// Generates; text goes to stdout as it comes where `stream`. Ctrl-C ends it with Finish::kCancelled.
absl::StatusOr<GenerateResult> GenerateText(Engine& engine, GenerateRequest request, bool stream);

std::string_view FinishName(Finish finish);  // "end_of_text"

// Tokens a second; 0 where nothing was measured. The first token comes with the prompt.
double PrefillRate(const GenerateResult& result);
double DecodeRate(const GenerateResult& result);

// "9 tokens read at 812/s, 64 written at 240/s ... peak memory 61 MB"
std::string Summary(const Engine& engine, const GenerateResult& result);

}  // namespace qiao::tools
