// A runner over a model, with what keeps it alive.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "runtime/engine/model_folder.h"
#include "runtime/engine/runner.h"

namespace qiao {

struct LoadedModel {
  std::unique_ptr<engine::ModelFolder> folder;
  std::unique_ptr<program::CheckpointSource> source;
  std::unique_ptr<engine::Runner> runner;
};

inline absl::StatusOr<LoadedModel> LoadModel(const std::string& folder, engine::RunnerOptions options) {
  LoadedModel m;
  QIAO_ASSIGN_OR_RETURN(m.folder, engine::OpenModelFolder(folder));
  m.source = std::make_unique<program::CheckpointSource>(*m.folder->checkpoint);
  QIAO_ASSIGN_OR_RETURN(m.runner, engine::Runner::Plan(*m.folder->model, *m.source, std::move(options)));
  QIAO_RETURN_IF_ERROR(m.runner->Load());
  return m;
}

}  // namespace qiao
