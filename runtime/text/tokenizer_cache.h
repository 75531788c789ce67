// Remembers the ids of short words, since a text says the same words again and again.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "runtime/base/status.h"

namespace qiao::text {

// Thread-safe. At most kShards * kWordsPerShard words; a full shard starts anew.
class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 48;

  // Appends the ids of `word` if they are known.
  bool Find(std::string_view word, std::vector<int32_t>* ids) const {
    const Shard& shard = shards_[ShardOf(word)];
    const std::lock_guard<std::mutex> lock(shard.mutex);
    const auto it = shard.words.find(Abs(word));
    if (it == shard.words.end()) return false;
    ids->insert(ids->end(), it->second.begin(), it->second.end());
    return true;
  }

  void Put(std::string_view word, const int32_t* ids, size_t count) {
    Shard& shard = shards_[ShardOf(word)];
    const std::lock_guard<std::mutex> lock(shard.mutex);
    if (shard.words.size() >= kWordsPerShard) shard.words.clear();
    shard.words.try_emplace(std::string(word), ids, ids + count);
  }

 private:
  static constexpr size_t kShards = 16;
  static constexpr size_t kWordsPerShard = 4096;
  struct Shard {
    mutable std::mutex mutex;  // which ThreadSanitizer knows, unlike the distribution's Abseil
    absl::flat_hash_map<std::string, std::vector<int32_t>> words;
  };

  static size_t ShardOf(std::string_view word) {
    return absl::Hash<absl::string_view>()(Abs(word)) >> 7 & (kShards - 1);
  }

  std::array<Shard, kShards> shards_;
};

}  // namespace qiao::text
