// Compiled constraints, kept by what they were compiled from.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "runtime/text/constraint.h"

namespace qiao::text {

// Least recently used first out, when there are more than `max_constraints` or they have more than
// `max_bytes` with the masks that they keep. Constraints in use stay valid when they leave the cache.
// Refusals are not kept. Thread-safe; compiling happens outside the lock, so two threads may compile the
// same spec, and one of the results is kept.
class ConstraintCache {
 public:
  struct Counters {
    size_t constraints = 0, bytes = 0;
    uint64_t hits = 0, misses = 0;
  };

  ConstraintCache(size_t max_constraints, size_t max_bytes, const ConstraintLimits& limits = {})
      : max_constraints_(max_constraints), max_bytes_(max_bytes), limits_(limits) {}

  // The errors of CompileConstraint.
  absl::StatusOr<std::shared_ptr<const Constraint>> Get(const ConstraintSpec& spec);
  Counters counters() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const Constraint> constraint;
  };
  size_t Bytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_constraints_, max_bytes_;
  const ConstraintLimits limits_;
  mutable absl::Mutex mutex_;
  std::list<Entry> used_ ABSL_GUARDED_BY(mutex_);  // last used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t hits_ ABSL_GUARDED_BY(mutex_) = 0, misses_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace qiao::text
