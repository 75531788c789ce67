#include "backends/ascend/capture.h"

#include <utility>

#include "backends/ascend/cann/errors.h"
#include "backends/ascend/device.h"
#include "backends/ascend/ops/kernel.h"
#include "backends/ascend/stream.h"

namespace qiao::ascend {

using namespace qiao::plugin;

// Not part of a graph.
bool AscendCapture::Alone(const Step& step) { return step.kernel != nullptr && !step.kernel->repeatable(); }

AscendCapture::~AscendCapture() { Drop(); }

void AscendCapture::Drop() {
  if (device_.Bind().ok()) {
    for (const Segment& segment : segments_) {
      if (segment.graph != nullptr) (void)cann().aclmdlRIDestroy(segment.graph);
    }
  }
  segments_.clear();
}

void AscendCapture::KeepBatch(const qiao_batch& batch) {
  has_batch_ = true;
  batch_ = batch;
  q_start_.clear();
  kv_len_.clear();
  if (batch.q_start != nullptr) q_start_.assign(batch.q_start, batch.q_start + batch.seqs + 1);
  if (batch.kv_len != nullptr) kv_len_.assign(batch.kv_len, batch.kv_len + batch.seqs);
  batch_.q_start = q_start_.data();
  batch_.kv_len = kv_len_.data();
}

void AscendCapture::Add(const AscendKernel& kernel, const qiao_launch& launch) {
  Step step;
  step.kernel = &kernel;
  step.arguments.assign(launch.argument, launch.argument + launch.argument_count);
  step.workspace = launch.workspace;
  steps_.push_back(std::move(step));
  if (launch.batch != nullptr) KeepBatch(*launch.batch);
}

void AscendCapture::Add(std::function<Status(AscendStream&)> work) {
  Step step;
  step.work = std::move(work);
  steps_.push_back(std::move(step));
}

Status AscendCapture::Update(const qiao_batch& batch) {
  const bool same = has_batch_ && batch.rows == batch_.rows && batch.seqs == batch_.seqs &&
                    batch.logit_rows == batch_.logit_rows && batch.device_counts == batch_.device_counts;
  if (!same) {
    // A graph that still runs must not go.
    QIAO_PLUGIN_RETURN_IF_ERROR(device_.Synchronize());
    Drop();
  }
  KeepBatch(batch);
  return Ok();
}

Status AscendCapture::Run(const Step& step, AscendStream& stream) const {
  if (step.kernel == nullptr) return step.work(stream);
  qiao_launch launch{};
  launch.struct_size = sizeof(launch);
  launch.argument_count = static_cast<uint32_t>(step.arguments.size());
  launch.argument = step.arguments.data();
  launch.batch = has_batch_ ? &batch_ : nullptr;
  launch.workspace = step.workspace;
  return step.kernel->LaunchOnce(stream, launch);
}

Status AscendCapture::Build(AscendStream& stream) {
  for (size_t begin = 0, end; begin < steps_.size(); begin = end) {
    end = begin + 1;
    Segment segment{begin, end, nullptr};
    if (!Alone(steps_[begin])) {
      while (end < steps_.size() && !Alone(steps_[end])) ++end;
      segment.end = end;
      QIAO_PLUGIN_RETURN_IF_ERROR(BuildGraph(stream, segment));
    }
    segments_.push_back(segment);
  }
  return Ok();
}

Status AscendCapture::BuildGraph(AscendStream& stream, Segment& segment) {
  aclError code = cann().aclmdlRICaptureBegin(stream.handle(), ACL_MODEL_RI_CAPTURE_MODE_THREAD_LOCAL);
  if (code != ACL_SUCCESS) return Failed("aclmdlRICaptureBegin", code);
  Status status;
  for (size_t i = segment.begin; i < segment.end && status.ok(); ++i) status = Run(steps_[i], stream);
  code = cann().aclmdlRICaptureEnd(stream.handle(), &segment.graph);
  if (!status.ok()) {
    if (segment.graph != nullptr) (void)cann().aclmdlRIDestroy(segment.graph);
    return status;
  }
  return code == ACL_SUCCESS ? Ok() : stream.WithHistory(Failed("aclmdlRICaptureEnd", code));
}

Status AscendCapture::Replay(Stream& base) {
  auto& stream = static_cast<AscendStream&>(base);
  QIAO_PLUGIN_RETURN_IF_ERROR(device_.Bind());
  if (segments_.empty()) {
    if (Status status = Build(stream); !status.ok()) {
      Drop();
      return status;
    }
  }
  for (const Segment& segment : segments_) {
    if (segment.graph == nullptr) {
      QIAO_PLUGIN_RETURN_IF_ERROR(Run(steps_[segment.begin], stream));
    } else if (const aclError code = cann().aclmdlRIExecuteAsync(segment.graph, stream.handle());
               code != ACL_SUCCESS) {
      return stream.WithHistory(Failed("aclmdlRIExecuteAsync", code));
    }
  }
  return Ok();
}

}  // namespace qiao::ascend
