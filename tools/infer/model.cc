#include "tools/infer/model.h"

#include "runtime/hal/backend.h"
#include "tools/infer/exit.h"
#include "tools/infer/log.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {

absl::Status FromPublic(const Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.code()), status.message());
}

absl::StatusOr<std::unique_ptr<engine::ModelFolder>> OpenModel(const std::string& path,
                                                               const engine::OpenOptions& options) {
  auto folder = engine::OpenModelFolder(path, options);
  if (!folder.ok()) return WithExit(folder.status(), kExitModel);
  for (const std::string& note : (*folder)->model->notes()) Log(1, note);
  for (const std::string& key : (*folder)->unread_keys) {
    Log(1, absl::StrFormat("%s/config.json: %s is not known and was ignored", path, key));
  }
  return folder;
}

absl::Status CheckDevice(const DeviceArgs& args, const models::ModelInfo& info) {
  if (args.context > info.context) {
    return UsageError(absl::StrFormat("--ctx %d is more than the %d tokens that the model was made for",
                                      args.context, info.context),
                      absl::StrFormat("leave --ctx out, or use at most --ctx %d", info.context));
  }
  auto load = [](std::string_view name) -> absl::Status {
    const auto backend = hal::Backend::Load(name.substr(0, name.find(':')));
    return WithHint(
        WithExit(backend.status(), kExitUnsupported),
        "infer backends lists the plugins that are found, infer doctor says where they are looked for");
  };
  QIAO_RETURN_IF_ERROR(load(args.backend));
  if (args.allow_fallback) QIAO_RETURN_IF_ERROR(load(args.fallback));
  return absl::OkStatus();
}

absl::StatusOr<models::ModelInfo> CheckModel(const std::string& path, const DeviceArgs& args) {
  engine::OpenOptions open;
  open.checkpoint = open.text = false;
  QIAO_ASSIGN_OR_RETURN(const auto folder, OpenModel(path, open));
  QIAO_RETURN_IF_ERROR(CheckDevice(args, folder->model->info()));
  return folder->model->info();
}

engine::RunnerOptions ToRunnerOptions(const DeviceArgs& args) {
  engine::RunnerOptions options;
  options.backend = args.backend;
  options.allow_fallback = args.allow_fallback;
  options.fallback = args.fallback;
  if (args.threads > 0) options.device.options["threads"] = std::to_string(args.threads);
  options.device.hooks.log = [](int level, std::string_view message) { Log(level, message); };
  options.fallback_device = options.device;
  options.device.options.insert(args.device_options.begin(), args.device_options.end());
  // The command line admits no other.
  options.numerics = engine::ParseNumerics(args.numerics).value_or(program::Numerics{});
  options.numerics = engine::WithKvDtype(options.numerics, args.kv_dtype).value_or(options.numerics);
  options.load = engine::ParseLoadMode(args.load).value_or(engine::LoadMode::kAuto);
  options.context = args.context;
  options.page_tokens = args.page_tokens;
  options.chunk = args.chunk;
  options.memory_budget = args.memory_budget;
  options.fast_math_order = args.fast_math_order;
  return options;
}

EngineOptions ToEngineOptions(const std::string& model, const DeviceArgs& args) {
  EngineOptions options;
  options.model = model;
  options.backend = args.backend;
  options.allow_fallback = args.allow_fallback;
  options.fallback = args.fallback;
  options.numerics = args.numerics;
  options.kv_dtype = args.kv_dtype;
  options.threads = args.threads;
  options.load = args.load;
  options.verify = args.verify;
  options.backend_options = args.device_options;
  options.context = args.context;
  options.page_tokens = args.page_tokens;
  options.chunk = args.chunk;
  options.fast_math_order = args.fast_math_order;
  options.draft = args.draft;
  options.draft_tokens = args.draft_tokens;
  options.sequences = 1;  // run and chat ask one thing at a time
  options.memory_budget = args.memory_budget;
  options.log = [](LogLevel level, std::string_view message) { Log(static_cast<int>(level), message); };
  return options;
}

absl::Status ClassifyLoad(absl::Status status, const DeviceArgs& args) {
  switch (status.code()) {
    case absl::StatusCode::kResourceExhausted:
      return WithExit(std::move(status), kExitMemory);
    case absl::StatusCode::kUnimplemented:
      status = WithExit(std::move(status), kExitUnsupported);
      if (args.allow_fallback || args.fallback == args.backend) return status;
      return WithHint(
          std::move(status),
          absl::StrFormat("--allow-fallback runs on the %s plugin what %s lacks; --placement then tells what",
                          args.fallback, args.backend));
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kDataLoss:
      return WithExit(std::move(status), kExitModel);
    default:
      return status;
  }
}

absl::StatusOr<LoadedModel> LoadModel(
    const std::string& path, const DeviceArgs& args, bool text,
    const std::function<absl::Status(const engine::ModelFolder&, engine::RunnerOptions&)>& adjust) {
  LoadedModel loaded;
  ProgressBar bar;
  engine::OpenOptions open;
  open.text = text;
  open.verify = formats::ParseVerify(args.verify).value_or(formats::Verify::kAuto);
  open.progress = bar.callback();
  QIAO_ASSIGN_OR_RETURN(loaded.folder, OpenModel(path, open));
  QIAO_RETURN_IF_ERROR(CheckDevice(args, loaded.folder->model->info()));
  loaded.source = std::make_unique<program::CheckpointSource>(*loaded.folder->checkpoint);
  engine::RunnerOptions options = ToRunnerOptions(args);
  QIAO_RETURN_IF_ERROR(adjust(*loaded.folder, options));
  auto runner = engine::Runner::Plan(*loaded.folder->model, *loaded.source, std::move(options));
  if (!runner.ok()) return ClassifyLoad(runner.status(), args);
  loaded.runner = *std::move(runner);
  QIAO_RETURN_IF_ERROR(ClassifyLoad(loaded.runner->Load(bar.callback()), args));
  return loaded;
}

}  // namespace qiao::tools
