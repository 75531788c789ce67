// infer synth: checkpoints of random weights in the shape of known models, for tests, plans and benchmarks.
#include <algorithm>
#include <cstdio>

#include "runtime/base/json.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/synth_layout.h"
#include "tools/infer/synth_write.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

absl::StatusOr<OrderedJson> MakeConfig(const SynthArgs& args) {
  auto preset = models::PresetConfig(args.like);
  if (!preset.ok()) return WithExit(preset.status(), kExitUsage);
  QIAO_ASSIGN_OR_RETURN(OrderedJson config, ParseOrderedJson(*preset, "the preset"));
  if (args.layers) {
    config["num_hidden_layers"] = *args.layers;
    // The first layers are dense; a model cut short keeps a layer with experts, which are what it is about.
    if (config.contains("first_k_dense_replace") && config["first_k_dense_replace"].is_number_integer()) {
      config["first_k_dense_replace"] =
          std::min(config["first_k_dense_replace"].get<int64_t>(), *args.layers - 1);
    }
  }
  if (args.vocab) {
    config["vocab_size"] = *args.vocab;
    // Special tokens of a larger vocabulary come to its end.
    for (const char* key : {"bos_token_id", "eos_token_id"}) {
      if (config.contains(key) && config[key].is_number_integer()) {
        config[key] = std::min(config[key].get<int64_t>(), *args.vocab - 1);
      }
    }
  }
  for (const auto& [key, text] : args.set) {
    auto value = ParseOrderedJson(text, "--set " + key);
    if (!value.ok()) return WithExit(value.status(), kExitUsage);
    config[key] = *std::move(value);
  }
  return config;
}

}  // namespace

absl::Status Synth(const SynthArgs& args) {
  CatchInterrupts();
  QIAO_ASSIGN_OR_RETURN(OrderedJson config, MakeConfig(args));
  QIAO_ASSIGN_OR_RETURN(const SynthDType dtype, ParseSynthDType(args.dtype));
  auto plan = PlanSynth(std::move(config), dtype);
  if (!plan.ok()) return WithExit(plan.status(), kExitUsage);
  ProgressBar bar;
  SynthWriteOptions options;
  options.seed = args.seed;
  options.sparse = args.sparse;
  options.progress = bar.callback();
  absl::Status status = WriteSynth(*plan, args.out, options);
  bar.Clear();
  if (absl::IsInvalidArgument(status)) return WithExit(std::move(status), kExitUsage);
  QIAO_RETURN_IF_ERROR(status);
  std::fprintf(stderr, "%s: %s parameters, %s in %d file%s%s\n", args.out.c_str(),
               Rounded(plan->parameters).c_str(), Bytes(plan->bytes).c_str(),
               static_cast<int>(plan->files.size()), plan->files.size() == 1 ? "" : "s",
               args.sparse ? ", all holes" : "");
  return absl::OkStatus();
}

}  // namespace qiao::tools
