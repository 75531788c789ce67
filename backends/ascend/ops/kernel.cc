#include "backends/ascend/ops/kernel.h"

#include <atomic>
#include <mutex>

#include "backends/ascend/capture.h"
#include "backends/ascend/stream.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

std::atomic<uint64_t> next_id{1};

RecordingKey KeyOf(uint64_t kernel, const qiao_launch& launch) {
  RecordingKey key;
  key.words.reserve(launch.argument_count + 5);
  key.words = {kernel, reinterpret_cast<uint64_t>(launch.workspace)};
  for (uint32_t i = 0; i < launch.argument_count; ++i)
    key.words.push_back(reinterpret_cast<uint64_t>(launch.argument[i]));
  if (const qiao_batch* b = launch.batch) {
    for (const int32_t n : {b->rows, b->seqs, b->logit_rows}) key.words.push_back(static_cast<uint64_t>(n));
  }
  return key;
}

}  // namespace

AscendKernel::AscendKernel(AscendDevice& device, CallCopy call, const char* name)
    : device_(device), call_(std::move(call)), name_(name), id_(next_id++) {}

Status AscendKernel::Prepare() {
  Launcher measure;
  const qiao_op_call call = call_.call();
  Emit(measure, Arguments(call, nullptr, nullptr));
  workspace_bytes_ = measure.workspace_bytes();
  return Prepared();
}

void AscendKernel::Info(qiao_plan_info& info) const {
  info.flags = flags() | QIAO_PLAN_READS_HOST_BATCH | QIAO_PLAN_CAPTURABLE;
  info.workspace_bytes = workspace_bytes_;
  SetName(info, std::string("aclnn_") + name_);
}

Status AscendKernel::Launch(Stream& base, const qiao_launch& launch) const {
  auto& stream = static_cast<AscendStream&>(base);
  QIAO_PLUGIN_RETURN_IF_ERROR(device_.Bind());
  device_.ReportWeights();
  if (AscendCapture* capture = stream.capturing()) {
    capture->Add(*this, launch);
    return Ok();
  }
  if (!repeatable()) return LaunchOnce(stream, launch);
  RecordingKey key = KeyOf(id_, launch);
  if (const Recording* known = stream.Find(key)) return known->Launch(stream);
  auto recording = std::make_unique<Recording>();
  QIAO_PLUGIN_RETURN_IF_ERROR(LaunchOnce(stream, launch, recording.get()));
  stream.Keep(std::move(key), std::move(recording));
  return Ok();
}

Status AscendKernel::LaunchOnce(AscendStream& stream, const qiao_launch& launch, Recording* recording) const {
  const qiao_op_call call = call_.call();
  Launcher l(stream, name_, launch.workspace, workspace_bytes_, recording);
  Emit(l, Arguments(call, launch.argument, launch.batch));
  return l.status();
}

bool IsAct(const qiao_tensor& tensor) { return tensor.dtype == QIAO_F32 || tensor.dtype == QIAO_BF16; }

Answer NeedActs(const qiao_op_call& call, std::initializer_list<int> arguments) {
  for (const int i : arguments) {
    if (Has(call, static_cast<uint32_t>(i)) && !IsAct(call.argument[i]))
      return Answer::No(Format("argument %d must be f32 or bf16", i));
  }
  return Answer::Yes();
}

}  // namespace qiao::ascend
