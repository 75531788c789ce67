// infer inspect: what is in a model and what it will need. Reads headers only, never weights, unless their
// checksums are asked for.
#include <cstdio>

#include "absl/strings/str_join.h"
#include "runtime/engine/census.h"
#include "runtime/engine/parameter_count.h"
#include "tools/infer/args.h"
#include "tools/infer/exit.h"
#include "tools/infer/graph_text.h"
#include "tools/infer/interrupt.h"
#include "tools/infer/model.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

// What the caches keep for each token of context, beside what multi-head attention would.
struct CacheFacts {
  std::string first_layer;  // "latent 64 + rope 32"
  uint64_t per_token = 0, multi_head = 0;
};

CacheFacts MeasureCache(const models::Model& model, DType dtype) {
  CacheFacts facts;
  const std::vector<program::LayerCache> layers = model.Cache(dtype, /*drafting=*/false);
  facts.per_token = program::BytesPerToken(layers);
  for (size_t i = 0; !layers.empty() && i < layers.front().kinds.size(); ++i) {
    const program::RowKind& kind = layers.front().kinds[i];
    absl::StrAppendFormat(&facts.first_layer, "%s%s %d", i > 0 ? " + " : "", kind.name, kind.width);
    if (dtype == DType::kF8E4M3) absl::StrAppendFormat(&facts.first_layer, " %s", Name(kind.dtype));
  }
  // Nobody keeps heads' keys in FP8 without scales: bf16 at least.
  const uint64_t element = std::max<uint64_t>(SizeOf(dtype), SizeOf(DType::kBF16));
  facts.multi_head = static_cast<uint64_t>(model.info().mha_cache_width) * layers.size() * element;
  return facts;
}

struct Plan {
  absl::Status status;  // why there is none
  std::unique_ptr<engine::Runner> runner;
};

// On a meta device: nothing is allocated, whatever the size.
Plan MakePlan(const engine::ModelFolder& folder, const program::TensorSource& source,
              const DeviceArgs& args) {
  Plan plan;
  engine::RunnerOptions options = ToRunnerOptions(args);
  options.meta = true;
  auto runner = engine::Runner::Plan(*folder.model, source, std::move(options));
  plan.status = ClassifyLoad(runner.status(), args);
  if (runner.ok()) plan.runner = *std::move(runner);
  return plan;
}

struct Findings {
  const engine::ModelFolder& folder;
  engine::ParameterCount parameters;
  engine::Census census;
  CacheFacts cache;
  Plan plan;
};

OrderedJson ToJson(const Findings& f, const DeviceArgs& args) {
  const models::ModelInfo& info = f.folder.model->info();
  OrderedJson json;
  json["path"] = f.folder.path;
  json["family"] = info.family;
  json["architecture"] = info.architecture;
  json["layers"] = info.layers;
  json["mtp_layers"] = info.mtp_layers;
  json["hidden"] = info.hidden;
  json["heads"] = info.heads;
  json["vocab"] = info.vocab;
  json["context"] = info.context;
  json["weight_format"] = info.weight_format;
  json["experts"] = {
      {"routed", info.experts}, {"per_token", info.experts_per_token}, {"shared", info.shared_experts}};
  json["parameters"] = {
      {"stored", f.parameters.stored}, {"unique", f.parameters.unique}, {"active", f.parameters.active}};
  json["files"] = f.folder.checkpoint->file_count();
  json["bytes"] = f.folder.checkpoint->data_bytes();
  if (f.folder.qiao_file != nullptr) {
    json["producer"] = f.folder.qiao_file->producer();
    json["verified"] = f.folder.verified;
  }
  json["active_bytes"] = f.census.active_bytes;
  json["parts"] = OrderedJson::array();
  for (const auto& [part, census] : f.census.parts) {
    json["parts"].push_back({{"name", models::Name(part)},
                             {"tensors", census.tensors},
                             {"parameters", census.parameters},
                             {"bytes", census.bytes},
                             {"dtypes", census.dtypes}});
  }
  json["scales"] = {{"tensors", f.census.scales.tensors}, {"bytes", f.census.scales.bytes}};
  json["unknown_tensors"] = f.census.unknown;
  json["missing_tensors"] = f.census.missing;
  json["missing_mtp_tensors"] = f.census.missing_mtp;
  json["kv_bytes_per_token"] = f.cache.per_token;
  json["mha_kv_bytes_per_token"] = f.cache.multi_head;
  if (f.plan.runner != nullptr) {
    const program::MemoryNeeds& needs = f.plan.runner->programs().memory();
    json["memory"] = {{"context", f.plan.runner->context()},
                      {"numerics", args.numerics},
                      {"kv_dtype", Name(ToRunnerOptions(args).numerics.cache)},
                      {"backend", args.backend},
                      {"load", f.plan.runner->load()},
                      {"load_reason", f.plan.runner->load_reason()},
                      {"mapped_weights", needs.mapped_weights},
                      {"stored_weights", needs.stored_weights},
                      {"vectors", needs.vectors},
                      {"cache", needs.cache},
                      {"arena", needs.arena},
                      {"inputs", needs.inputs},
                      {"allocated", needs.allocated()},
                      {"total", needs.total()}};
  } else {
    json["memory"] = nullptr;
    json["memory_error"] = std::string(Message(f.plan.status));
  }
  json["unread_config_keys"] = f.folder.unread_keys;
  json["notes"] = f.folder.model->notes();
  return json;
}

void Heading(std::string_view text) { std::printf("\n%s\n", Out(Style::kBold, text).c_str()); }

void Print(const Table& table) { std::fputs(table.Text().c_str(), stdout); }

void PrintSummary(const Findings& f) {
  const models::ModelInfo& info = f.folder.model->info();
  const formats::Checkpoint& checkpoint = *f.folder.checkpoint;
  std::printf("%s  %s\n", Out(Style::kBold, Printable(f.folder.path)).c_str(),
              Printable(info.family).c_str());
  Table table({Table::kLeft, Table::kLeft});
  table.Row({"architecture", info.architecture});
  table.Row(
      {"shape", absl::StrFormat("%d layers%s, hidden %s, vocabulary %s, context %s", info.layers,
                                info.mtp_layers > 0 ? absl::StrFormat(" + %d MTP", info.mtp_layers) : "",
                                Grouped(static_cast<uint64_t>(info.hidden)),
                                Grouped(static_cast<uint64_t>(info.vocab)),
                                Grouped(static_cast<uint64_t>(info.context)))});
  table.Row(
      {"weights", absl::StrFormat("%s; %s in %d file%s", info.weight_format, Bytes(checkpoint.data_bytes()),
                                  checkpoint.file_count(), checkpoint.file_count() == 1 ? "" : "s")});
  if (f.folder.qiao_file != nullptr) {
    table.Row({"checksums", f.folder.verified
                                ? "all verified"
                                : "header and texts verified; tensors: not read (--verify all)"});
  }
  table.Row({"text", f.folder.tokenizer ? f.folder.chat_template ? "tokenizer and chat template"
                                                                 : "tokenizer, no chat template"
                                        : "no tokenizer: only infer logits can run it"});
  Print(table);
}

void PrintParameters(const Findings& f) {
  const models::ModelInfo& info = f.folder.model->info();
  Heading("Parameters");
  Table table({Table::kRight, Table::kLeft, Table::kLeft});
  table.Row({Grouped(f.parameters.stored), "stored", ""});
  if (f.parameters.unique != f.parameters.stored) {
    table.Row({Grouped(f.parameters.unique), "unique",
               Out(Style::kDim, "without the MTP layers' copies of embedding and head")});
  }
  std::string active = "embedding and head whole";
  if (info.experts > 0)
    absl::StrAppendFormat(&active, ", %d of %d experts", info.experts_per_token, info.experts);
  if (info.mtp_layers > 0) active += ", no MTP";
  table.Row({Grouped(f.parameters.active), "active for a token", Out(Style::kDim, active)});
  Print(table);
}

void PrintParts(const Findings& f) {
  Heading("Tensors");
  Table table({Table::kLeft, Table::kRight, Table::kRight, Table::kRight, Table::kRight, Table::kLeft});
  auto dim = [](std::string_view text) { return Out(Style::kDim, text); };
  table.Row({"", dim("tensors"), dim("parameters"), dim("bytes"), dim("share"), dim("stored as")});
  const auto all = static_cast<double>(std::max<uint64_t>(1, f.folder.checkpoint->data_bytes()));
  auto share = [&](uint64_t bytes) {
    return absl::StrFormat("%.1f %%", 100.0 * static_cast<double>(bytes) / all);
  };
  for (const auto& [part, census] : f.census.parts) {
    table.Row({std::string(models::Name(part)), Grouped(census.tensors), Grouped(census.parameters),
               Bytes(census.bytes), share(census.bytes), Printable(absl::StrJoin(census.dtypes, ", "))});
  }
  if (!f.census.unknown.empty()) {
    table.Row({Out(Style::kYellow, "unknown"), Grouped(f.census.unknown.size()), "",
               Bytes(f.census.unknown_bytes), share(f.census.unknown_bytes), "not used"});
  }
  Print(table);
  if (f.census.scales.tensors > 0) {
    std::printf("  of which scales of quantised tensors: %s in %s tensors\n",
                Bytes(f.census.scales.bytes).c_str(), Grouped(f.census.scales.tensors).c_str());
  }
  std::printf("  a token reads %s of weights\n", Bytes(f.census.active_bytes).c_str());
}

void PrintCache(const Findings& f, const DeviceArgs& args) {
  Heading(absl::StrFormat("KV cache (%s)", Name(ToRunnerOptions(args).numerics.cache)));
  const double ratio =
      static_cast<double>(f.cache.multi_head) / static_cast<double>(std::max<uint64_t>(1, f.cache.per_token));
  Table table({Table::kRight, Table::kLeft, Table::kLeft});
  table.Row({Grouped(f.cache.per_token) + " B", "per token",
             Out(Style::kDim, absl::StrFormat("%s values a layer", f.cache.first_layer))});
  table.Row({Grouped(f.cache.multi_head) + " B", "multi-head attention of this shape",
             Out(Style::kDim, absl::StrFormat("%.1f times as much", ratio))});
  Print(table);
}

void PrintMemory(const Findings& f, const DeviceArgs& args) {
  if (f.plan.runner == nullptr) {
    Heading("Memory");
    std::printf("  not planned: %s\n", Printable(Message(f.plan.status)).c_str());
    return;
  }
  const program::MemoryNeeds& needs = f.plan.runner->programs().memory();
  Heading(absl::StrFormat("Memory (context %s, %s on %s)",
                          Grouped(static_cast<uint64_t>(f.plan.runner->context())), args.numerics,
                          args.backend));
  Table table({Table::kRight, Table::kLeft, Table::kLeft});
  table.Row({Bytes(needs.mapped_weights), "weights in their files",
             Out(Style::kDim, "mapped; the system keeps what fits")});
  table.Row({Bytes(needs.stored_weights + needs.vectors), "weights stored for the device",
             Out(Style::kDim,
                 absl::StrFormat("--load %s: %s", f.plan.runner->load(), f.plan.runner->load_reason()))});
  table.Row({Bytes(needs.cache), "KV cache", ""});
  table.Row({Bytes(needs.arena + needs.inputs), "intermediate values", ""});
  table.Row({Out(Style::kBold, Bytes(needs.total())), "in all",
             Out(Style::kDim, absl::StrFormat("%s of it allocated", Bytes(needs.allocated())))});
  Print(table);
}

// At most so many names of a list that a broken checkpoint may make long.
void PrintNames(std::string_view heading, const std::vector<std::string>& names) {
  if (names.empty()) return;
  constexpr size_t kShown = 10;
  Heading(absl::StrFormat("%s (%s)", heading, Grouped(names.size())));
  for (size_t i = 0; i < names.size() && i < kShown; ++i) std::printf("  %s\n", Printable(names[i]).c_str());
  if (names.size() > kShown) std::printf("  ... (--json lists them all)\n");
}

void PrintAll(const Findings& f, const DeviceArgs& args) {
  PrintSummary(f);
  PrintParameters(f);
  PrintParts(f);
  PrintCache(f, args);
  PrintMemory(f, args);
  PrintNames("Tensors that are missing", f.census.missing);
  if (f.census.missing_mtp > 0) {
    std::printf("\nThe MTP layers lack %s tensors; ordinary decoding does not need them.\n",
                Grouped(f.census.missing_mtp).c_str());
  }
  PrintNames("Tensors that the model has no use for", f.census.unknown);
  PrintNames("Keys of config.json that nobody knows", f.folder.unread_keys);
  PrintNames("Notes", f.folder.model->notes());
}

}  // namespace

absl::Status Inspect(const InspectArgs& args) {
  CatchInterrupts();
  ProgressBar bar;
  engine::OpenOptions open;
  open.verify = args.device.verify == "all" ? formats::Verify::kAll : formats::Verify::kHeader;
  open.progress = bar.callback();
  QIAO_ASSIGN_OR_RETURN(const auto folder, OpenModel(args.model, open));
  bar.Clear();
  if (args.device.context > folder->model->info().context) {
    return CheckDevice(args.device, folder->model->info());
  }
  const program::CheckpointSource source(*folder->checkpoint);
  if (args.program) {
    QIAO_RETURN_IF_ERROR(CheckDevice(args.device, folder->model->info()));
    auto runner = engine::Runner::Plan(*folder->model, source, ToRunnerOptions(args.device));
    if (!runner.ok()) return ClassifyLoad(runner.status(), args.device);
    return PrintProgram((*runner)->programs(), args.json);
  }
  const DType cache = ToRunnerOptions(args.device).numerics.cache;
  const Findings findings{*folder, engine::CountParameters(*folder->model),
                          engine::TakeCensus(*folder->model, *folder->checkpoint),
                          MeasureCache(*folder->model, cache), MakePlan(*folder, source, args.device)};
  if (args.json) {
    PrintJson(ToJson(findings, args.device));
  } else {
    PrintAll(findings, args.device);
  }
  // A model that lacks tensors cannot run; what is there has been told.
  if (!findings.census.missing.empty()) {
    return WithExit(NotFound("%s: %d tensors are missing, the first is %s", args.model,
                             findings.census.missing.size(), findings.census.missing.front()),
                    kExitModel);
  }
  return absl::OkStatus();
}

}  // namespace qiao::tools
