// A model's forward pass, ready to run: one program a bucket, sharing weights, caches and one arena. A model
// that drafts tokens has a second graph, and a second program a bucket, over the same.
//
//   QIAO_ASSIGN_OR_RETURN(auto programs, ProgramSet::Plan(parameters, build, options));  // reads no weight
//   if (programs->memory().total() > budget) ...
//   QIAO_RETURN_IF_ERROR(programs->Load(progress));
//   QIAO_RETURN_IF_ERROR(programs->Run(step));
//   auto logits = programs->Output<float>("logits");
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "runtime/hal/device.h"
#include "runtime/program/builder.h"
#include "runtime/program/lowering.h"
#include "runtime/program/observer.h"
#include "runtime/program/weight_store.h"

namespace qiao::program {

struct ProgramOptions {
  // [0] was asked for; [1], a unified device, takes what [0] does not support. Leave it out to forbid that.
  std::vector<std::shared_ptr<const hal::Device>> devices;
  Numerics numerics;
  CacheGeometry cache;
  std::vector<Bucket> buckets;  // at least one
  // Weights that are so many bytes at most, as they lie in the files, are wished for as copies in the
  // device's memory (QIAO_WEIGHT_COPY); larger ones stay mapped. 0: never, UINT64_MAX: always.
  uint64_t copy_up_to = 0;
};

// Bytes, by what they are for. Host and device are the same thing on a unified device.
struct MemoryNeeds {
  uint64_t mapped_weights = 0;  // stay in the files; pages of theirs come and go
  uint64_t stored_weights = 0;  // in a form of the backend's choosing, or copied as they are
  uint64_t vectors = 0;
  uint64_t cache = 0;
  uint64_t arena = 0;  // intermediate values and workspaces of the largest bucket
  uint64_t inputs = 0;
  uint64_t allocated() const { return stored_weights + vectors + cache + arena + inputs; }
  uint64_t total() const { return mapped_weights + allocated(); }
};

// What falling back costs. May be read while a step runs.
struct FallbackCounters {
  std::atomic<uint64_t> launches = 0;           // on the fallback device
  std::atomic<uint64_t> copies = 0, bytes = 0;  // between memories, inputs and outputs included
};

// Which of a model's graphs; the order in which they are planned.
enum class GraphKind : int32_t { kMain, kDraft };

// One step's inputs; the spans' sizes are the live counts and stay within the bucket.
struct Step {
  int32_t bucket = 0;
  absl::Span<const int32_t> ids, positions, slots;  // [rows]
  absl::Span<const int32_t> q_start;                // [seqs + 1]
  absl::Span<const int32_t> kv_len;                 // [seqs]
  absl::Span<const int32_t> table;                  // [seqs, bucket.table_width]
  absl::Span<const int32_t> logit_index;            // [logit_rows]
  absl::Span<const std::byte> hidden = {};          // [rows, width], where the graph takes Builder::hidden
  GraphKind graph = GraphKind::kMain;
};

// One step at a time. Plan and Load allocate; Run does not.
class ProgramSet {
 public:
  using BuildFn = std::function<absl::Status(Builder&)>;

  // Builds, places and prepares the graphs of all buckets and plans the memory; `draft`, if there, makes the
  // graphs of GraphKind::kDraft. `parameters` must outlive the result.
  static absl::StatusOr<std::unique_ptr<ProgramSet>> Plan(Parameters& parameters, const BuildFn& build,
                                                          ProgramOptions options,
                                                          const BuildFn& draft = nullptr);
  ~ProgramSet();

  const MemoryNeeds& memory() const { return memory_; }
  // Of all weights that the model asks for, as they lie in the files; and whether copies were wished for.
  uint64_t file_bytes() const { return file_bytes_; }
  bool copies_weights() const { return file_bytes_ <= options_.copy_up_to; }
  absl::Span<const PlacementRow> placement() const { return lowered_.placement; }
  absl::Span<const Bucket> buckets() const { return options_.buckets; }
  const CacheGeometry& cache() const { return options_.cache; }
  const WeightStore& weights() const { return weights_; }
  const LoweredGraph& lowered(int32_t bucket, GraphKind kind = GraphKind::kMain) const {
    return lowered_.kinds[static_cast<size_t>(kind)][static_cast<size_t>(bucket)];
  }
  // Whether every plan keeps a row's bits whatever else is in the step.
  bool row_invariant() const { return row_invariant_; }

  // Allocates caches and arena and stores the weights. CANCELLED when `progress` says stop. After an error it
  // may be called again.
  absl::Status Load(const Progress& progress);
  // RESOURCE_EXHAUSTED, INVALID_ARGUMENT for a step outside its bucket, or the device's error. The devices
  // have ended their work when it returns, after an error too.
  absl::Status Run(const Step& step, StepObserver* observer = nullptr);

  // An output of the last step, in host memory until the next one: the live rows, row-major.
  template <typename T>
  absl::Span<const T> Output(std::string_view name) const {
    const absl::Span<const std::byte> bytes = OutputBytes(name);
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  // Copies whole pages of all layers' caches (copy on write).
  absl::Status CopyPage(int32_t from, int32_t to);

  const FallbackCounters& fallback() const { return fallback_; }

 private:
  struct Compiled;  // one bucket of one graph
  struct Memory;    // one memory space
  ProgramSet(Parameters& parameters, ProgramOptions options);
  absl::Status Compile(const std::vector<std::vector<BuiltGraph>>& kinds);
  absl::Status CompileBucket(size_t kind, size_t bucket, const BuiltGraph& built);
  void Bind(Compiled& program);
  absl::StatusOr<Compiled*> CheckStep(const Step& step) const;
  absl::Status Enqueue(Compiled& program, const Step& step, StepObserver* observer);
  absl::Span<const std::byte> OutputBytes(std::string_view name) const;
  absl::Status CopyBetween(const Compiled& program, size_t step, const qiao_batch& batch,
                           StepObserver* observer);
  absl::Status Observe(const Compiled& program, size_t step, const qiao_batch& batch, double seconds,
                       StepObserver& observer);

  Parameters& parameters_;
  ProgramOptions options_;
  WeightStore weights_;
  LoweringResult lowered_;
  std::vector<std::vector<std::unique_ptr<Compiled>>> programs_;  // by GraphKind and bucket
  // [0] host memory, [1] devices[0]'s own where it is not unified.
  std::vector<std::unique_ptr<Memory>> spaces_;
  std::vector<hal::Stream> streams_;  // by device
  MemoryNeeds memory_;
  uint64_t file_bytes_ = 0;
  FallbackCounters fallback_;
  bool row_invariant_ = true;
  bool loaded_ = false;
  const Compiled* last_ = nullptr;  // that ran; null after a step that failed
  int64_t last_rows_ = 0, last_seqs_ = 0, last_logit_rows_ = 0;
};

}  // namespace qiao::program
