// One operation of the catalogue on a device, launched over and over with weights and large inputs that come
// from memory and from no cache. For the benchmarks beside this file.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/hal/device.h"
#include "runtime/ops/graph.h"
#include "runtime/program/launch_cost.h"

namespace qiao::bench {

// The device: QIAO_BENCH_BACKEND, or cpu, with QIAO_BENCH_OPTION, a KEY=VALUE of the plugin's; opened and its
// limits measured once.
struct Bench {
  std::shared_ptr<const hal::Device> device;
  qiao_device_limits limits{};
  int64_t rotated = 0;  // bytes to go round: a quarter more than the largest cache holds, at least 512 MiB
  const std::byte* noise = nullptr;  // so many bytes, small finite numbers in every format
};
const Bench& TheBench();

class OpBench {
 public:
  OpBench(uint32_t op, ops::Params params) : op_(op), params_(params) {}

  // Arguments in the order of ops.h. `live` as in qiao_tensor.
  OpBench& Act(DType dtype, std::vector<int64_t> dims, uint32_t live = QIAO_LIVE_ROWS);
  // The same from another place in memory for each launch.
  OpBench& Rotated(DType dtype, std::vector<int64_t> dims, uint32_t live = QIAO_LIVE_ROWS);
  // A weight [groups, rows, cols] in other memory for each launch, E4M3 in blocks of 128x128; stored as the
  // device asks where it may have a copy, which is what a model that fits the memory gets.
  OpBench& Weight(DType dtype, int64_t groups, int64_t rows, int64_t cols);
  // E4M3 rows with a scale for each `block` columns.
  OpBench& Quantised(std::vector<int64_t> dims, int32_t block);
  OpBench& Absent();
  // Contents that change from launch to launch.
  template <typename T>
  OpBench& Variants(DType dtype, std::vector<int64_t> dims, std::vector<std::vector<T>> values,
                    uint32_t live = QIAO_LIVE_ALL) {
    Arg& arg = Add(dtype, std::move(dims), live);
    for (const std::vector<T>& v : values) {
      arg.contents.emplace_back(reinterpret_cast<const std::byte*>(v.data()),
                                reinterpret_cast<const std::byte*>(v.data() + v.size()));
    }
    return *this;
  }

  // `rows` live rows, shared evenly by `seqs` sequences: the last of the `length` tokens that each has then.
  // Counters: GB/s and GFLOP/s of what the catalogue says that it must do, and the share of the roofline.
  void Run(benchmark::State& state, int64_t rows, int64_t length = 0, int64_t seqs = 1);

 private:
  struct Arg {
    qiao_tensor tensor{};
    bool weight = false, rotated = false;
    std::vector<std::vector<std::byte>> contents;  // or empty: noise
    // What a launch is given: places in memory, or views of weights.
    std::vector<void*> places;
    hal::Buffer memory;
    std::vector<std::unique_ptr<std::vector<qiao_piece>>> pieces;
    std::vector<float> scales;
    std::vector<int32_t> group_start;
    std::vector<qiao_weight_view> views;
  };
  Arg& Add(DType dtype, std::vector<int64_t> dims, uint32_t live);
  std::string Description() const;
  absl::Status PlaceAll();
  absl::Status Place(Arg& arg);
  absl::Status PlaceWeight(Arg& arg, uint32_t index);
  absl::Status Measure(benchmark::State& state, int32_t rows, int32_t length, int32_t seqs);

  uint32_t op_;
  ops::Params params_;
  std::vector<Arg> args_;
  hal::Stream stream_;
};

}  // namespace qiao::bench
