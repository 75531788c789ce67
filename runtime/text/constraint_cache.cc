#include "runtime/text/constraint_cache.h"

#include <utility>

namespace qiao::text {
namespace {

// Equal for equal specs only: each part stands behind its length.
std::string KeyOf(const ConstraintSpec& spec) {
  std::string key(1, static_cast<char>('0' + static_cast<int>(spec.kind)));
  const auto add = [&](const std::string& part) { key += std::to_string(part.size()) + ":" + part; };
  add(spec.text);
  for (const std::string& choice : spec.choices) add(choice);
  return key;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Constraint>> ConstraintCache::Get(const ConstraintSpec& spec) {
  std::string key = KeyOf(spec);
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = entries_.find(key); it != entries_.end()) {
      ++hits_;
      used_.splice(used_.begin(), used_, it->second);
      return it->second->constraint;
    }
    ++misses_;
  }
  QIAO_ASSIGN_OR_RETURN(std::shared_ptr<const Constraint> constraint, CompileConstraint(spec, limits_));
  absl::MutexLock lock(&mutex_);
  if (const auto it = entries_.find(key); it != entries_.end()) return it->second->constraint;
  used_.push_front({key, constraint});
  entries_.emplace(std::move(key), used_.begin());
  while (!used_.empty() && (used_.size() > max_constraints_ || Bytes() > max_bytes_)) {
    entries_.erase(used_.back().key);
    used_.pop_back();
  }
  return constraint;
}

// Summed up each time: masks come and go while a constraint is here.
size_t ConstraintCache::Bytes() const {
  size_t bytes = 0;
  for (const Entry& e : used_) bytes += 2 * e.key.size() + e.constraint->size_in_bytes();
  return bytes;
}

ConstraintCache::Counters ConstraintCache::counters() const {
  absl::MutexLock lock(&mutex_);
  return {used_.size(), Bytes(), hits_, misses_};
}

}  // namespace qiao::text
