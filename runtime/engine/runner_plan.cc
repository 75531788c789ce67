// Runner::Plan: devices, buckets, memory, before any weight is read.
#include <algorithm>
#include <utility>

#include "runtime/base/checked.h"
#include "runtime/engine/runner.h"
#include "runtime/ops/graph.h"

namespace qiao::engine {
namespace {

// Logits of one step are kept as f32; with a large vocabulary this bounds the rows of a step that asks for
// all.
constexpr int64_t kMaxLogitBytes = int64_t{256} << 20;
constexpr int64_t kMaxContext = int64_t{1} << 24;

std::string Size(uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 10240 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.1f GiB", mib / 1024);
}

}  // namespace

absl::StatusOr<program::Numerics> ParseNumerics(std::string_view name) {
  if (name == "f32") return program::Numerics{DType::kF32, DType::kF32};
  if (name == "bf16") return program::Numerics{DType::kBF16, DType::kBF16};
  if (name == "w8a8") return program::Numerics{DType::kBF16, DType::kBF16, DType::kF8E4M3};
  if (name == "w8a8-f32") return program::Numerics{DType::kF32, DType::kF32, DType::kF8E4M3};
  return InvalidArgument("numerics \"%s\" is not known; there are bf16, f32, w8a8 and w8a8-f32", name);
}

absl::StatusOr<program::Numerics> WithKvDtype(program::Numerics numerics, std::string_view name) {
  if (name == "auto") return numerics;
  if (name == "bf16" || name == "fp8") {
    numerics.cache = name == "fp8" ? DType::kF8E4M3 : DType::kBF16;
    return numerics;
  }
  return InvalidArgument("kv_dtype \"%s\" is not known; there are auto, bf16 and fp8", name);
}

absl::StatusOr<LoadMode> ParseLoadMode(std::string_view name) {
  if (name == "auto") return LoadMode::kAuto;
  if (name == "map") return LoadMode::kMap;
  if (name == "copy") return LoadMode::kCopy;
  return InvalidArgument("load \"%s\" is not known; there are auto, map and copy", name);
}

int64_t ContextOf(int64_t asked, const models::ModelInfo& info) {
  return asked != 0 ? asked : std::min(info.context, RunnerOptions::kDefaultContext);
}

absl::Status Runner::OpenDevices() {
  hal::DeviceOptions opening = options_.device;
  if (options_.fast_math_order) opening.options["order"] = "fast";
  QIAO_ASSIGN_OR_RETURN(auto device, hal::Device::Open(options_.backend, opening, &ops::DescribeCall));
  devices_.push_back(std::move(device));
  if (devices_.front()->unified()) free_bytes_ = devices_.front()->properties().memory_free_bytes;
  if (options_.allow_fallback && options_.fallback != options_.backend) {
    QIAO_ASSIGN_OR_RETURN(auto host,
                          hal::Device::Open(options_.fallback, options_.fallback_device, &ops::DescribeCall));
    devices_.push_back(std::move(host));
  }
  if (options_.meta) {
    QIAO_ASSIGN_OR_RETURN(auto meta, hal::OpenMetaDevice(devices_.front()));
    devices_ = {std::move(meta)};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Runner>> Runner::Plan(const models::Model& model,
                                                     const program::TensorSource& source,
                                                     RunnerOptions options) {
  std::unique_ptr<Runner> runner(new Runner(model, std::move(options)));
  RunnerOptions& o = runner->options_;
  const models::ModelInfo& info = model.info();
  if (o.context < 0 || o.context > kMaxContext)
    return InvalidArgument("context is %d, must be 1..%d", o.context, kMaxContext);
  if (o.context > info.context) {
    return InvalidArgument(
        "a context of %d tokens was asked for, but the model was made for %d (max_position_embeddings)",
        o.context, info.context);
  }
  if (o.sequences < 1 || o.sequences > 4096)
    return InvalidArgument("sequences is %d, must be 1..4096", o.sequences);
  if (o.cache_tokens < 0) return InvalidArgument("cache_tokens is %d, must not be negative", o.cache_tokens);
  if (o.logits_each < 1 || o.logits_each > 64)
    return InvalidArgument("logits_each is %d, must be 1..64", o.logits_each);
  if (o.draft_tokens < 0 || o.draft_tokens > 63)
    return InvalidArgument("draft_tokens is %d, must be 0..63", o.draft_tokens);
  if (o.draft_tokens > 0 && !model.drafts()) {
    return FailedPrecondition(
        "%d draft tokens were asked for, but the model has no MTP layer to draft with "
        "(num_nextn_predict_layers in its config.json); run it without",
        o.draft_tokens);
  }
  if (o.score_rows < 0 || o.score_rows > 65536)
    return InvalidArgument("score_rows is %d, must be 0..65536", o.score_rows);
  o.logits_each = std::max(o.logits_each, 1 + o.draft_tokens);
  if (o.chunk < 1 || o.chunk > 65536) return InvalidArgument("chunk is %d, must be 1..65536", o.chunk);
  if (o.page_tokens < 0 || o.page_tokens > 4096)
    return InvalidArgument("page_tokens is %d, must be 1..4096", o.page_tokens);
  if (o.numerics.f8_rows != DType::kInvalid && model.quantisation().scale_suffix.empty()) {
    return InvalidArgument(
        "numerics w8a8 quantises what meets 8-bit weights, and this checkpoint has none (its config.json has "
        "no quantization_config); choose bf16 or f32");
  }
  QIAO_RETURN_IF_ERROR(runner->OpenDevices());
  if (o.page_tokens == 0) {
    const uint32_t preferred = runner->devices_.front()->properties().page_tokens;
    o.page_tokens = preferred != 0 ? preferred : 64;
  }
  runner->context_ = ContextOf(o.context, info);

  program::ProgramOptions programs;
  programs.devices = runner->devices_;
  programs.numerics = o.numerics;
  programs.cache.page_tokens = o.page_tokens;
  programs.cache.layers = model.Cache(o.numerics.cache, o.draft_tokens > 0);
  const int64_t pages_each = CeilDiv(runner->context_, o.page_tokens);
  programs.cache.pages = pages_each * o.sequences;
  if (o.cache_tokens > 0) programs.cache.pages = CeilDiv(o.cache_tokens, o.page_tokens);
  runner->cache_bytes_per_token_ = program::BytesPerToken(programs.cache.layers);

  // Rows double from one to a chunk by steps of eight: few programs, and a step is never far below its
  // bucket.
  int64_t chunk = std::min<int64_t>(o.chunk, runner->context_ * o.sequences);
  if (o.all_logits) {
    chunk =
        std::clamp<int64_t>(kMaxLogitBytes / (info.vocab * static_cast<int64_t>(sizeof(float))), 1, chunk);
  }
  for (int64_t rows = 1;; rows = std::min(rows * 8, chunk)) {
    program::Bucket bucket;
    bucket.rows = static_cast<int32_t>(rows);
    bucket.seqs = static_cast<int32_t>(std::min<int64_t>(rows, o.sequences));
    bucket.logit_rows = o.all_logits ? bucket.rows
                                     : static_cast<int32_t>(std::min<int64_t>(
                                           rows, int64_t{bucket.seqs} * o.logits_each + o.score_rows));
    bucket.table_width = static_cast<int32_t>(pages_each);
    programs.buckets.push_back(bucket);
    if (rows == chunk) break;
  }
  QIAO_RETURN_IF_ERROR(runner->PlanPrograms(source, std::move(programs)));
  return runner;
}

absl::Status Runner::PlanPrograms(const program::TensorSource& source, program::ProgramOptions options) {
  auto plan = [&]() -> absl::Status {
    programs_.reset();
    parameters_ = std::make_unique<program::Parameters>(source, model_.quantisation());
    const bool drafting = options_.draft_tokens > 0;
    const auto build = [&](program::Builder& b) { return model_.Build(b, drafting); };
    program::ProgramSet::BuildFn draft;
    if (drafting) draft = [&](program::Builder& b) { return model_.BuildDraft(b); };
    QIAO_ASSIGN_OR_RETURN(programs_, program::ProgramSet::Plan(*parameters_, build, options, draft));
    return CheckBudget();
  };
  if (options_.load != LoadMode::kAuto) {
    options.copy_up_to = options_.load == LoadMode::kCopy ? UINT64_MAX : 0;
    load_reason_ = "as asked for";
    return plan();
  }
  options.copy_up_to = static_cast<uint64_t>(static_cast<double>(free_bytes_) * RunnerOptions::kCopyShare);
  absl::Status planned = plan();
  if (programs_ == nullptr) return planned;
  const bool copies = programs_->copies_weights();
  load_reason_ =
      free_bytes_ == 0
          ? absl::StrFormat("%s does not say what memory it shares with the host", devices_.front()->name())
          : absl::StrFormat("the weights' %s are %s than %.0f %% of the %s that are free",
                            Size(programs_->file_bytes()), copies ? "less" : "more",
                            100 * RunnerOptions::kCopyShare, Size(free_bytes_));
  if (!copies || !absl::IsResourceExhausted(planned)) return planned;
  options.copy_up_to = 0;
  load_reason_ = absl::StrFormat("a copy of the weights' %s does not fit the memory budget of %s",
                                 Size(programs_->file_bytes()), Size(options_.memory_budget));
  return plan();
}

// A budget that was given holds for what is allocated. Without one, mapped weights count too: beyond the
// machine's memory they would be read from disk again for every token, which nobody wants without having
// asked for it.
absl::Status Runner::CheckBudget() const {
  if (options_.meta) return absl::OkStatus();
  const program::MemoryNeeds& needs = programs_->memory();
  const hal::Device& device = *devices_.front();
  const bool given = options_.memory_budget != 0;
  const uint64_t limit = given ? options_.memory_budget : device.properties().memory_free_bytes;
  const uint64_t mapped = given || !device.unified() ? 0 : needs.mapped_weights;
  const uint64_t wanted = needs.allocated() + mapped;
  if (limit == 0 || wanted <= limit) return absl::OkStatus();  // a limit of 0: the device does not say
  const std::string whose = given ? "the memory budget" : absl::StrFormat("what %s has free", device.name());
  std::string_view advice = "a smaller context or chunk";
  if (needs.stored_weights > 0 && programs_->copies_weights() && wanted - needs.stored_weights <= limit) {
    advice = "leaving the weights in their files (--load map)";
  } else if (!given && needs.allocated() <= limit) {
    advice =
        "a machine with more memory, or give a memory budget: the weights are then read from disk as they "
        "are needed";
  }
  return ResourceExhausted(
      "the model needs %s: weights %s, cache %s (%d tokens), intermediate values %s; that is "
      "more than %s, %s. Try %s",
      Size(wanted), Size(needs.stored_weights + mapped), Size(needs.cache),
      programs_->cache().pages * page_tokens(), Size(needs.arena + needs.inputs + needs.vectors), whose,
      Size(limit), advice);
}

}  // namespace qiao::engine
