// Running a step: inputs in, launches and copies in order, outputs left where the caller finds them.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "runtime/base/checked.h"
#include "runtime/program/program.h"
#include "runtime/program/program_internal.h"

namespace qiao::program {
namespace {

using Clock = std::chrono::steady_clock;

double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Copies a strided tensor to contiguous memory.
void Gather(const qiao_tensor& t, int64_t rows, const std::byte* from, std::byte* to) {
  const auto size = static_cast<int64_t>(SizeOf(static_cast<DType>(t.dtype)));
  int64_t dim[QIAO_MAX_RANK] = {1, 1, 1, 1, 1}, stride[QIAO_MAX_RANK] = {};
  for (uint32_t i = 0; i < t.rank; ++i) {
    dim[i] = i == 0 ? rows : t.dim[i];
    stride[i] = t.stride[i];
  }
  for (int64_t a = 0; a < dim[0]; ++a) {
    for (int64_t b = 0; b < dim[1]; ++b) {
      for (int64_t c = 0; c < dim[2]; ++c) {
        for (int64_t d = 0; d < dim[3]; ++d) {
          for (int64_t e = 0; e < dim[4]; ++e) {
            const int64_t at = a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3] + e * stride[4];
            std::memcpy(to, from + at * size, static_cast<size_t>(size));
            to += size;
          }
        }
      }
    }
  }
}

}  // namespace

absl::StatusOr<ProgramSet::Compiled*> ProgramSet::CheckStep(const Step& step) const {
  const auto kind = static_cast<size_t>(step.graph);
  if (kind >= programs_.size()) return InvalidArgument("there is no draft graph");
  if (step.bucket < 0 || step.bucket >= static_cast<int32_t>(programs_[kind].size())) {
    return InvalidArgument("there is no bucket %d", step.bucket);
  }
  Compiled* program = programs_[kind][static_cast<size_t>(step.bucket)].get();
  const Bucket& bucket = program->bucket;
  const auto rows = static_cast<int64_t>(step.ids.size());
  const auto seqs = static_cast<int64_t>(step.kv_len.size());
  const auto logits = static_cast<int64_t>(step.logit_index.size());
  if (rows > bucket.rows || seqs > bucket.seqs || logits > bucket.logit_rows) {
    return InvalidArgument(
        "a step of %d rows, %d sequences and %d logit rows does not fit its bucket of %d, %d and %d", rows,
        seqs, logits, bucket.rows, bucket.seqs, bucket.logit_rows);
  }
  if (step.positions.size() != step.ids.size() || step.slots.size() != step.ids.size() ||
      step.q_start.size() != step.kv_len.size() + 1 ||
      step.table.size() != step.kv_len.size() * static_cast<size_t>(bucket.table_width)) {
    return InvalidArgument("the inputs of a step differ in size");
  }
  if (step.hidden.size() != step.ids.size() * program->hidden_row_bytes) {
    return InvalidArgument("a step of %d rows has %d bytes of hidden rows; the graph takes %d a row", rows,
                           step.hidden.size(), program->hidden_row_bytes);
  }
  const CacheGeometry& cache = options_.cache;
  if (step.q_start[0] != 0 || step.q_start.back() != rows) {
    return InvalidArgument("q_start runs from %d to %d, not from 0 to %d", step.q_start[0],
                           step.q_start.back(), rows);
  }
  for (size_t s = 0; s < step.kv_len.size(); ++s) {
    const int64_t length = step.q_start[s + 1] - step.q_start[s];
    const int64_t pages = CeilDiv<int64_t>(step.kv_len[s], cache.page_tokens);
    if (length < 0 || length > step.kv_len[s] || pages > bucket.table_width) {
      return InvalidArgument(
          "sequence %d: %d rows and %d cached tokens do not go together (page table: %d pages of %d)", s,
          length, step.kv_len[s], bucket.table_width, cache.page_tokens);
    }
    for (int64_t i = 0; i < pages; ++i) {
      const int32_t page = step.table[s * static_cast<size_t>(bucket.table_width) + static_cast<size_t>(i)];
      if (page < 0 || page >= cache.pages)
        return InvalidArgument("sequence %d: page %d is outside the cache", s, page);
    }
  }
  for (int32_t slot : step.slots) {
    if (slot < -1 || slot >= cache.pages * cache.page_tokens)
      return InvalidArgument("slot %d is outside the cache", slot);
  }
  for (int32_t i : step.logit_index) {
    if (i < 0 || i >= rows) return InvalidArgument("logits are asked for row %d of %d", i, rows);
  }
  return program;
}

absl::Status ProgramSet::Run(const Step& step, StepObserver* observer) {
  if (streams_.empty()) return FailedPrecondition("Load has not been called");
  QIAO_ASSIGN_OR_RETURN(Compiled* const program, CheckStep(step));
  Compiled& p = *program;
  Memory& host = *spaces_[kHostSpace];
  Memory& device = *spaces_[kDeviceSpace];

  auto put = [&](StepInput input, auto values) {
    if (values.empty()) return;  // memcpy takes no null pointer, not even for nothing
    std::memcpy(host.inputs.data + p.input_offsets[static_cast<size_t>(input)], values.data(),
                values.size() * sizeof(values[0]));
  };
  put(StepInput::kIds, step.ids);
  put(StepInput::kPositions, step.positions);
  put(StepInput::kSlots, step.slots);
  put(StepInput::kQStart, step.q_start);
  put(StepInput::kKvLen, step.kv_len);
  put(StepInput::kTable, step.table);
  put(StepInput::kLogitIndex, step.logit_index);
  put(StepInput::kHidden, step.hidden);
  const uint64_t counts_at = p.input_offsets.back();
  const int32_t counts[4] = {static_cast<int32_t>(step.ids.size()), static_cast<int32_t>(step.kv_len.size()),
                             static_cast<int32_t>(step.logit_index.size()), 0};
  std::memcpy(host.inputs.data + counts_at, counts, sizeof(counts));
  if (device.in_use) {
    const uint64_t bytes = counts_at + sizeof(counts);
    QIAO_RETURN_IF_ERROR(streams_[0].CopyToDevice(device.inputs.data, host.inputs.data, bytes));
    ++fallback_.copies;
    fallback_.bytes += bytes;
  }

  std::array<qiao_batch, kSpaces> batches{};
  for (size_t s = 0; s < kSpaces; ++s) {
    qiao_batch& batch = batches[s];
    batch.struct_size = sizeof(batch);
    batch.rows = counts[0];
    batch.seqs = counts[1];
    batch.logit_rows = counts[2];
    batch.q_start = step.q_start.data();
    batch.kv_len = step.kv_len.data();
    batch.device_counts = reinterpret_cast<const int32_t*>(spaces_[s]->inputs.data + counts_at);
  }

  last_ = nullptr;
  for (size_t i = 0; i < p.items.size(); ++i) {
    const Compiled::Item& item = p.items[i];
    if (item.node < 0) {
      QIAO_RETURN_IF_ERROR(CopyBetween(p, i, batches[kHostSpace], observer));
      continue;
    }
    hal::Stream& stream = streams_[static_cast<size_t>(item.device)];
    const hal::Device& where = *options_.devices[static_cast<size_t>(item.device)];
    const qiao_batch& batch = batches[where.unified() ? kHostSpace : kDeviceSpace];
    qiao_launch launch{};
    launch.struct_size = sizeof(launch);
    launch.argument_count = static_cast<uint32_t>(item.pointers.size());
    launch.argument = item.pointers.data();
    launch.batch = &batch;
    launch.workspace = item.workspace;
    const Clock::time_point start = observer != nullptr ? Clock::now() : Clock::time_point();
    absl::Status status = where.Launch(*item.plan, stream, launch);
    if (!status.ok()) return Annotate(status, p.lowered->nodes[static_cast<size_t>(item.node)].node.name);
    if (item.device > 0) ++fallback_.launches;
    if (observer != nullptr) {
      QIAO_RETURN_IF_ERROR(stream.Synchronize());
      QIAO_RETURN_IF_ERROR(Observe(p, i, batch, Since(start), *observer));
    } else if (item.device > 0 || (where.unified() && options_.devices.size() > 1)) {
      // Two devices that share the host's memory have no other order between them.
      QIAO_RETURN_IF_ERROR(stream.Synchronize());
    }
  }
  for (hal::Stream& stream : streams_) QIAO_RETURN_IF_ERROR(stream.Synchronize());
  last_ = program;
  last_rows_ = counts[0];
  last_seqs_ = counts[1];
  last_logit_rows_ = counts[2];
  return absl::OkStatus();
}

absl::Status ProgramSet::CopyBetween(const Compiled& p, size_t index, const qiao_batch& batch,
                                     StepObserver* observer) {
  const Compiled::Item& item = p.items[index];
  const ops::Value& value = p.lowered->graph.value(item.value);
  const Compiled::Place& place = p.places[static_cast<size_t>(item.value)];
  auto at = [&](int space) {
    return spaces_[static_cast<size_t>(space)]->arena.data + place.arena[static_cast<size_t>(space)];
  };
  const uint64_t bytes =
      ExtentBytes(value.tensor, LiveRowsOf(value.tensor, p.bucket, batch.rows, batch.seqs, batch.logit_rows));
  const Clock::time_point start = Clock::now();
  if (item.to == kHostSpace) {
    QIAO_RETURN_IF_ERROR(streams_[0].CopyToHost(at(item.to), at(item.from), bytes));
  } else {
    QIAO_RETURN_IF_ERROR(streams_[0].CopyToDevice(at(item.to), at(item.from), bytes));
  }
  // To the host: it computes next. To the device: the arena's host bytes may be reused by the host's next
  // launch.
  QIAO_RETURN_IF_ERROR(streams_[0].Synchronize());
  ++fallback_.copies;
  fallback_.bytes += bytes;
  if (observer != nullptr) observer->OnCopy(value.name, bytes, Since(start));
  return absl::OkStatus();
}

absl::Status ProgramSet::Observe(const Compiled& p, size_t index, const qiao_batch& batch, double seconds,
                                 StepObserver& observer) {
  const Compiled::Item& item = p.items[index];
  const LoweredNode& node = p.lowered->nodes[static_cast<size_t>(item.node)];
  const qiao_op_call call = MakeCall(node.node, node.tensors);
  LaunchEvent event;
  event.graph = &p.lowered->graph;
  event.node = &node.node;
  event.call = &call;
  event.plan = item.plan.get();
  event.batch = &batch;
  event.seconds = seconds;
  event.read = [&](ops::ValueId id, std::vector<std::byte>& out) -> absl::Status {
    const auto arg = std::find(node.node.args.begin(), node.node.args.end(), id);
    if (arg == node.node.args.end()) {
      return InvalidArgument("%s is no argument of %s", p.lowered->graph.value(id).name, node.node.name);
    }
    const auto a = static_cast<size_t>(arg - node.node.args.begin());
    const qiao_tensor& tensor = node.tensors[a];
    if (tensor.layout != QIAO_LAYOUT_STRIDED)
      return InvalidArgument("%s is opaque", p.lowered->graph.value(id).name);
    const int64_t rows = LiveRowsOf(tensor, p.bucket, batch.rows, batch.seqs, batch.logit_rows);
    const uint64_t extent = ExtentBytes(tensor, rows);
    std::vector<std::byte> raw(extent);
    hal::Stream& stream = streams_[static_cast<size_t>(item.device)];
    QIAO_RETURN_IF_ERROR(stream.CopyToHost(raw.data(), item.pointers[a], extent));
    QIAO_RETURN_IF_ERROR(stream.Synchronize());
    int64_t elements = rows;
    for (uint32_t i = 1; i < tensor.rank; ++i) elements *= tensor.dim[i];
    out.resize(static_cast<size_t>(elements) * SizeOf(static_cast<DType>(tensor.dtype)));
    Gather(tensor, rows, raw.data(), out.data());
    return absl::OkStatus();
  };
  return observer.OnLaunch(event);
}

absl::Span<const std::byte> ProgramSet::OutputBytes(std::string_view name) const {
  if (last_ == nullptr) return {};
  const Compiled& p = *last_;
  for (const Compiled::Output& output : p.outputs) {
    if (output.name != name) continue;
    const ops::Value& value = p.lowered->graph.value(output.value);
    const ops::ValueId root = p.lowered->graph.root(output.value);
    const std::byte* data =
        spaces_[kHostSpace]->arena.data + p.places[static_cast<size_t>(root)].arena[kHostSpace] +
        value.offset * static_cast<int64_t>(SizeOf(static_cast<DType>(value.tensor.dtype)));
    return {data, ExtentBytes(value.tensor,
                              LiveRowsOf(value.tensor, p.bucket, last_rows_, last_seqs_, last_logit_rows_))};
  }
  return {};
}

absl::Status ProgramSet::CopyPage(int32_t from, int32_t to) {
  if (streams_.empty()) return FailedPrecondition("Load has not been called");
  const CacheGeometry& cache = options_.cache;
  if (from < 0 || to < 0 || from >= cache.pages || to >= cache.pages) {
    return InvalidArgument("page %d or %d is outside the cache of %d", from, to, cache.pages);
  }
  const bool unified = options_.devices[static_cast<size_t>(lowered_.pool_device)]->unified();
  const Memory& space = *spaces_[unified ? kHostSpace : kDeviceSpace];
  hal::Stream& stream = streams_[static_cast<size_t>(lowered_.pool_device)];
  for (size_t l = 0; l < lowered_.pools.size(); ++l) {
    for (const qiao_row_kind& kind : lowered_.pools[l].kinds) {
      const uint64_t row = static_cast<uint64_t>(kind.width) * SizeOf(static_cast<DType>(kind.dtype));
      std::byte* base = space.pools[l].data + kind.offset;
      for (int64_t r = 0; r < cache.page_tokens; ++r) {
        const uint64_t within = static_cast<uint64_t>(r) * kind.row_stride;
        QIAO_RETURN_IF_ERROR(
            stream.CopyOnDevice(base + static_cast<uint64_t>(to) * kind.page_stride + within,
                                base + static_cast<uint64_t>(from) * kind.page_stride + within, row));
      }
    }
  }
  return stream.Synchronize();
}

}  // namespace qiao::program
