// Opening and planning models for the commands: errors get the exit code and the hint that fit them.
#pragma once

#include <qiao/engine.h>

#include <memory>
#include <string>

#include "runtime/engine/model_folder.h"
#include "runtime/engine/runner.h"
#include "tools/infer/args.h"

namespace qiao::tools {

// The public API's status as the tools' own.
absl::Status FromPublic(const Status& status);

// Errors are kExitModel.
absl::StatusOr<std::unique_ptr<engine::ModelFolder>> OpenModel(const std::string& path,
                                                               const engine::OpenOptions& options);

// Whether the options fit the model and the backends are there: kExitUsage, kExitUnsupported.
absl::Status CheckDevice(const DeviceArgs& args, const models::ModelInfo& info);
// Reads the config alone: what is wrong with it, or with the options beside it, is known before anything
// takes time. Errors as of OpenModel and CheckDevice.
absl::StatusOr<models::ModelInfo> CheckModel(const std::string& path, const DeviceArgs& args);

engine::RunnerOptions ToRunnerOptions(const DeviceArgs& args);
EngineOptions ToEngineOptions(const std::string& model, const DeviceArgs& args);

// What planning and loading say, with the exit code: kExitMemory, kExitUnsupported, kExitModel.
absl::Status ClassifyLoad(absl::Status status, const DeviceArgs& args);

// A model that is loaded and can run, with what it was made from.
struct LoadedModel {
  std::unique_ptr<engine::ModelFolder> folder;
  std::unique_ptr<program::CheckpointSource> source;
  std::unique_ptr<engine::Runner> runner;
};
// For the commands that step a model themselves. `adjust` sees the model and may change the options.
absl::StatusOr<LoadedModel> LoadModel(
    const std::string& path, const DeviceArgs& args, bool text,
    const std::function<absl::Status(const engine::ModelFolder&, engine::RunnerOptions&)>& adjust);

}  // namespace qiao::tools
