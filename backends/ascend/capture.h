// A captured step of an Ascend stream: its launches, with those that depend on rows and addresses only in ACL graphs
// (aclmdlRI), and attention, whose calls depend on the sequences' lengths, launched between them. Other counts of rows in
// the batch make the graphs anew.
//
// Threads: as a stream, one at a time. The plans and the memory that were launched must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <qiao/backend.hpp>
#include <vector>

#include "backends/ascend/cann/library.h"

namespace qiao::ascend {

class AscendDevice;
class AscendKernel;
class AscendStream;

class AscendCapture : public plugin::Capture {
 public:
  explicit AscendCapture(AscendDevice& device) : device_(device) {}
  ~AscendCapture() override;

  // While capturing: keeps a launch, or other work of the stream, without doing it.
  void Add(const AscendKernel& kernel, const qiao_launch& launch);
  void Add(std::function<plugin::Status(AscendStream&)> work);

  plugin::Status Update(const qiao_batch& batch) override;
  plugin::Status Replay(plugin::Stream& stream) override;

 private:
  struct Step {
    const AscendKernel* kernel = nullptr;
    std::vector<void*> arguments;
    void* workspace = nullptr;
    std::function<plugin::Status(AscendStream&)> work;  // where there is no kernel
  };
  // Steps begin .. end: one graph, or one launch that reads lengths (graph null).
  struct Segment {
    size_t begin = 0, end = 0;
    aclmdlRI graph = nullptr;
  };
  static bool Alone(const Step& step);
  plugin::Status Build(AscendStream& stream);
  plugin::Status BuildGraph(AscendStream& stream, Segment& segment);
  plugin::Status Run(const Step& step, AscendStream& stream) const;
  void Drop();
  void KeepBatch(const qiao_batch& batch);

  AscendDevice& device_;
  std::vector<Step> steps_;
  std::vector<Segment> segments_;  // empty: to be built
  bool has_batch_ = false;
  qiao_batch batch_{};
  std::vector<int32_t> q_start_, kv_len_;
};

}  // namespace qiao::ascend
