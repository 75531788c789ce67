// infer logits: what a model computes, for comparing with other implementations.
#include "runtime/formats/safetensors_writer.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

template <typename T>
absl::Span<const std::byte> AsBytes(absl::Span<const T> values) {
  return {reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T)};
}

absl::Status CheckIds(const std::vector<int32_t>& ids, int64_t vocab) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab) {
      return UsageError(
          absl::StrFormat("--ids: number %d is %d, the model's ids are 0..%d", i, ids[i], vocab - 1));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Logits(const LogitsArgs& args) {
  CatchInterrupts();
  const int64_t total = static_cast<int64_t>(args.ids.size()) + args.generate;
  const auto adjust = [&](const engine::ModelFolder& folder, engine::RunnerOptions& options) -> absl::Status {
    const models::ModelInfo& info = folder.model->info();
    QIAO_RETURN_IF_ERROR(CheckIds(args.ids, info.vocab));
    if (total > info.context) {
      return UsageError(
          absl::StrFormat("%d tokens and %d to generate are more than the %d that the model was made for",
                          args.ids.size(), args.generate, info.context));
    }
    options.context = total;
    options.all_logits = true;
    return absl::OkStatus();
  };
  QIAO_ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel(args.model, args.device, /*text=*/false, adjust));
  engine::Runner& runner = *loaded.runner;
  const int64_t vocab = runner.model().info().vocab;

  // The logits go to the file as they come; the ids, whose last are known last, behind them.
  auto created = formats::SafetensorsWriter::Create(
      args.out, {{"logits", "F32", {total, vocab}}, {"ids", "I32", {total}}}, {{"format", "pt"}},
      formats::TensorOrder::kAsDeclared);
  if (!created.ok()) return WithExit(created.status(), kExitModel);
  formats::SafetensorsWriter writer = *std::move(created);
  ProgressBar bar(ProgressBar::kCount);
  int64_t written = 0;
  auto write_rows = [&]() -> absl::Status {
    for (int64_t i = 0; i < runner.logit_rows(); ++i)
      QIAO_RETURN_IF_ERROR(writer.Write(AsBytes(runner.Logits(i))));
    written += runner.logit_rows();
    if (bar.Update("computing", static_cast<uint64_t>(written), static_cast<uint64_t>(total)))
      return absl::OkStatus();
    return absl::CancelledError();
  };
  engine::Sequence sequence = runner.NewSequence();
  QIAO_RETURN_IF_ERROR(runner.Prefill(sequence, args.ids, [&](int64_t) { return write_rows(); }));
  std::vector<int32_t> ids = args.ids;
  for (int64_t n = 0; n < args.generate; ++n) {
    ids.push_back(runner.Argmax(runner.logit_rows() - 1));
    const engine::Work work{&sequence, {&ids.back(), 1}, true};
    QIAO_RETURN_IF_ERROR(runner.Step({&work, 1}));
    QIAO_RETURN_IF_ERROR(write_rows());
  }
  QIAO_RETURN_IF_ERROR(writer.Write(AsBytes(absl::Span<const int32_t>(ids))));
  return writer.Commit();
}

}  // namespace qiao::tools
