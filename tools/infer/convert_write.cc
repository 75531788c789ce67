#include "tools/infer/convert_write.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <system_error>

#include "runtime/base/checked.h"
#include "runtime/base/threads.h"

namespace qiao::tools {
namespace {

// What is converted between two writes; large enough that all threads have rows to work on.
constexpr int64_t kSlabBytes = int64_t{16} << 20;

class Work {
 public:
  Work(const formats::Checkpoint& source, formats::QiaoWriter& writer, const Progress& progress)
      : source_(source), writer_(writer), progress_(progress) {
    for (size_t i = 0; i < writer.next(); ++i) done_ += writer.bytes(i);
  }

  absl::Status Do(const ConvertJob& job);

 private:
  // Calls `part(first row, rows)` for pieces of a slab of rows, in parallel; they are multiples of `grain`.
  template <typename F>
  void Rows(int64_t rows, int64_t grain, F&& part) {
    pool_.ParallelFor(CeilDiv(rows, grain), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) part(i * grain, std::min(grain, rows - i * grain));
    });
  }
  absl::Status Write(absl::Span<const std::byte> bytes) {
    QIAO_RETURN_IF_ERROR(writer_.Write(bytes));
    done_ += bytes.size();
    if (progress_ && !progress_("converting", done_, writer_.payload_bytes()))
      return Cancelled("converting was cancelled; the same command goes on where it stopped");
    return absl::OkStatus();
  }
  void LetGo(const SourceMatrix& m, int64_t row, int64_t rows) {
    const auto bytes = static_cast<size_t>(m.cols) * SizeOf(m.dtype);
    source_.LetGo({m.data + static_cast<size_t>(row) * bytes, static_cast<size_t>(rows) * bytes});
  }
  absl::Status Copy(const formats::TensorView& tensor);
  absl::Status Cast(const ConvertJob& job);
  absl::Status Quantise(const ConvertJob& job);

  const formats::Checkpoint& source_;
  formats::QiaoWriter& writer_;
  const Progress& progress_;
  ThreadPool pool_;
  uint64_t done_ = 0;
  std::vector<std::byte> slab_;
  std::vector<float> scales_;  // of the matrix whose scales come next
  const formats::TensorView* scales_of_ = nullptr;
};

absl::Status Work::Copy(const formats::TensorView& tensor) {
  for (absl::Span<const std::byte> rest = tensor.data; !rest.empty();) {
    const auto piece = rest.subspan(0, static_cast<size_t>(kSlabBytes));
    QIAO_RETURN_IF_ERROR(Write(piece));
    source_.LetGo(piece);
    rest.remove_prefix(piece.size());
  }
  return absl::OkStatus();
}

absl::Status Work::Cast(const ConvertJob& job) {
  const SourceMatrix& m = job.source;
  const int64_t row_bytes = m.cols * static_cast<int64_t>(SizeOf(job.dtype));
  const int64_t slab_rows = std::max<int64_t>(1, kSlabBytes / std::max<int64_t>(row_bytes, 1));
  for (int64_t row = 0; row < m.rows; row += slab_rows) {
    const int64_t rows = std::min(slab_rows, m.rows - row);
    slab_.resize(static_cast<size_t>(rows * row_bytes));
    Rows(rows, 16, [&](int64_t first, int64_t count) {
      CastRows(m, row + first, count, job.dtype, slab_.data() + first * row_bytes);
    });
    LetGo(m, row, rows);
    QIAO_RETURN_IF_ERROR(Write(slab_));
  }
  return absl::OkStatus();
}

// The weight or, where it is there and its scales are not, the scales alone.
absl::Status Work::Quantise(const ConvertJob& job) {
  const SourceMatrix& m = job.source;
  const bool f8 = job.kind == ConvertJob::kF8 || job.kind == ConvertJob::kF8Scale;
  const bool scales_only = job.kind == ConvertJob::kF8Scale || job.kind == ConvertJob::kI8Scale;
  if (scales_only && scales_of_ == job.tensor) {
    return Write({reinterpret_cast<const std::byte*>(scales_.data()), scales_.size() * sizeof(float)});
  }
  const int64_t grain = f8 ? kF8Block : 16;
  const int64_t scales_a_row = f8 ? CeilDiv(m.cols, kF8Block) : 1;  // of each `per` rows
  const int64_t per = f8 ? kF8Block : 1;
  scales_.assign(static_cast<size_t>(CeilDiv(m.rows, per) * scales_a_row), 0);
  scales_of_ = job.tensor;
  const int64_t slab_rows = RoundUp(std::max<int64_t>(1, kSlabBytes / std::max<int64_t>(m.cols, 1)), grain);
  for (int64_t row = 0; row < m.rows; row += slab_rows) {
    const int64_t rows = std::min(slab_rows, m.rows - row);
    slab_.resize(static_cast<size_t>(rows * m.cols));
    std::atomic<bool> finite{true};
    Rows(rows, grain, [&](int64_t first, int64_t count) {
      std::byte* to = scales_only ? nullptr : slab_.data() + first * m.cols;
      float* scales = &scales_[static_cast<size_t>((row + first) / per * scales_a_row)];
      const bool ok = f8 ? QuantisePanelF8(m, row + first, count, to, scales)
                         : QuantiseRowsI8(m, row + first, count, to, scales);
      if (!ok) finite.store(false);
    });
    LetGo(m, row, rows);
    if (!finite.load()) {
      return InvalidArgument(
          "tensor \"%s\": holds a NaN or an infinity in rows %d..%d, for which there is no scale; --dtype "
          "bf16 keeps it",
          job.tensor->name, row, row + rows - 1);
    }
    if (!scales_only) QIAO_RETURN_IF_ERROR(Write(slab_));
  }
  return scales_only ? Quantise(job) : absl::OkStatus();
}

absl::Status Work::Do(const ConvertJob& job) {
  switch (job.kind) {
    case ConvertJob::kCopy:
      return Copy(*job.tensor);
    case ConvertJob::kCast:
      return Cast(job);
    default:
      return Quantise(job);
  }
}

absl::Status CheckDisk(const std::string& out, uint64_t needed) {
  const std::filesystem::path folder = std::filesystem::path(out).parent_path();
  std::error_code error;
  const auto space = std::filesystem::space(folder.empty() ? "." : folder, error);
  if (error || space.available >= needed) return absl::OkStatus();
  return ResourceExhausted("%s: %.1f GB are still to be written and the disk has %.1f GB free", out,
                           static_cast<double>(needed) / 1e9, static_cast<double>(space.available) / 1e9);
}

}  // namespace

absl::StatusOr<ConvertResult> WriteConverted(const engine::ModelFolder& model, ConvertPlan plan,
                                             const std::string& out, const Progress& progress) {
  QIAO_ASSIGN_OR_RETURN(formats::QiaoWriter writer,
                        formats::QiaoWriter::Create(out, std::move(plan.file), plan.source, progress));
  ConvertResult result;
  result.bytes = writer.payload_bytes();
  for (size_t i = 0; i < writer.next(); ++i) result.continued += writer.bytes(i);
  QIAO_RETURN_IF_ERROR(CheckDisk(out, result.bytes - std::min(result.bytes, result.continued)));
  Work work(*model.checkpoint, writer, progress);
  while (writer.next() < plan.jobs.size()) {
    const ConvertJob& job = plan.jobs[writer.next()];
    QIAO_RETURN_IF_ERROR(Annotate(work.Do(job), model.path));
  }
  QIAO_RETURN_IF_ERROR(writer.Commit());
  return result;
}

}  // namespace qiao::tools
