// What stands behind the public API.
#pragma once

#include <qiao/engine.h>

#include <memory>
#include <mutex>
#include <string>

#include "runtime/base/status.h"
#include "runtime/engine/model_folder.h"
#include "runtime/engine/no_throw.h"
#include "runtime/engine/runner.h"
#include "runtime/engine/service.h"
#include "runtime/text/constraint_cache.h"

namespace qiao {

inline constexpr size_t kMostConstraints = 256, kConstraintBytes = size_t{256} << 20;

struct Engine::Impl {
  std::unique_ptr<engine::ModelFolder> folder;
  std::unique_ptr<program::CheckpointSource> source;
  std::unique_ptr<engine::Runner> runner;
  ModelDescription description;  // but for the caches, which are the runner's
  int32_t sequences = 1;
  uint64_t most_prompt_bytes = 0;  // a text that is longer has more tokens than the context
  mutable std::mutex trie_mutex;
  mutable std::shared_ptr<const text::TokenTrie> trie;  // made with the first constraint
  mutable text::ConstraintCache constraints{kMostConstraints, kConstraintBytes};
  std::unique_ptr<engine::Service> service;  // the first to go: its thread uses all of the above

  // Null where the model has none.
  const text::Tokenizer* tokenizer() const { return folder->tokenizer ? &*folder->tokenizer : nullptr; }
  uint64_t MostPromptBytes() const;
  absl::StatusOr<std::vector<int32_t>> PromptIds(const GenerateRequest& request) const;
  // Constraint and trie of the request.
  absl::Status Constrain(const Constraint& constraint, engine::Request& request) const;
  // Checks everything that can be checked before the request's turn comes.
  absl::StatusOr<std::unique_ptr<engine::Request>> MakeRequest(const GenerateRequest& spec) const;
};

Status Public(const absl::Status& status);

// Nothing throws across the boundary: what a standard container or a caller's hook throws becomes a Status.
template <typename F>
auto Guarded(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    return Public(engine::CaughtStatus());
  }
}

}  // namespace qiao
