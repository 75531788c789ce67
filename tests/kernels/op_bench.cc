#include "tests/kernels/op_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include "runtime/base/checked.h"
#include "runtime/ops/catalogue.h"

namespace qiao::bench {
namespace {

constexpr int64_t kLeastRotated = int64_t{512} << 20, kMostRotated = int64_t{1} << 30;
constexpr uint64_t kLimitsStream = uint64_t{1} << 30;  // that the read rate is measured over
constexpr size_t kMostPlaces = 512;
constexpr int32_t kBlock = 128;

// The largest cache that Linux tells of, or 0.
int64_t LargestCache() {
  int64_t largest = 0;
  for (int i = 0; i < 8; ++i) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(i) + "/size");
    int64_t kib = 0;
    if (file >> kib) largest = std::max(largest, kib << 10);  // "266240K"
  }
  return largest;
}

// E4M3 bytes, and upper and lower bytes of bf16 and f32, between about 1/8 and 2, of both signs.
void FillNoise(std::byte* to, int64_t bytes) {
  std::vector<std::byte> noise(1 << 20);
  std::minstd_rand random(1);
  for (std::byte& b : noise) b = static_cast<std::byte>((random() & 0x80) | 0x30 | (random() & 0xf));
  for (int64_t at = 0; at < bytes; at += static_cast<int64_t>(noise.size())) {
    std::memcpy(to + at, noise.data(), static_cast<size_t>(std::min<int64_t>(bytes - at, 1 << 20)));
  }
}

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
  std::exit(1);
}

Bench Open() {
  Bench bench;
  const char* name = std::getenv("QIAO_BENCH_BACKEND");
  hal::DeviceOptions options;
  if (const char* given = std::getenv("QIAO_BENCH_OPTION")) {
    const std::string option = given;
    const size_t equals = option.find('=');
    options.options[option.substr(0, equals)] = equals == std::string::npos ? "" : option.substr(equals + 1);
  }
  bench.device = Must(hal::Device::Open(name != nullptr ? name : "cpu", options, &ops::DescribeCall));
  if (!bench.device->unified()) {
    std::fprintf(stderr, "%s: these benchmarks fill memory from the host\n", bench.device->name().c_str());
    std::exit(1);
  }
  std::fprintf(stderr, "%s\n", bench.device->properties().name);
  if (auto limits = bench.device->MeasureLimits(kLimitsStream); limits.ok()) {
    bench.limits = *limits;
    std::fprintf(stderr, "reads %.1f GB/s, bf16 %.0f GFLOP/s, int8 %.0f GOP/s\n%s\n",
                 limits->read_bytes_per_s / 1e9, limits->flops_bf16 / 1e9, limits->ops_i8 / 1e9, limits->how);
  }
  bench.rotated = std::clamp(LargestCache() / 4 * 5, kLeastRotated, kMostRotated);
  static hal::Buffer memory = Must(bench.device->Allocate(static_cast<uint64_t>(bench.rotated)));
  FillNoise(static_cast<std::byte*>(memory.data()), bench.rotated);
  bench.noise = static_cast<const std::byte*>(memory.data());
  return bench;
}

int64_t BytesOf(const qiao_tensor& t) { return std::max<int64_t>(ops::SpanBytes(t), 1); }

}  // namespace

const Bench& TheBench() {
  static const Bench bench = Open();
  return bench;
}

OpBench::Arg& OpBench::Add(DType dtype, std::vector<int64_t> dims, uint32_t live) {
  Arg& arg = args_.emplace_back();
  arg.tensor = ops::MakeTensor(dtype, dims, live);
  return arg;
}

OpBench& OpBench::Act(DType dtype, std::vector<int64_t> dims, uint32_t live) {
  Add(dtype, std::move(dims), live);
  return *this;
}

OpBench& OpBench::Rotated(DType dtype, std::vector<int64_t> dims, uint32_t live) {
  Add(dtype, std::move(dims), live).rotated = true;
  return *this;
}

OpBench& OpBench::Weight(DType dtype, int64_t groups, int64_t rows, int64_t cols) {
  Arg& arg = Add(dtype, {groups, rows, cols}, QIAO_LIVE_ALL);
  arg.weight = true;
  if (dtype == DType::kF8E4M3) {
    arg.tensor.scheme = QIAO_SCHEME_BLOCK;
    arg.tensor.block[0] = arg.tensor.block[1] = kBlock;
  }
  return *this;
}

OpBench& OpBench::Quantised(std::vector<int64_t> dims, int32_t block) {
  Arg& arg = Add(DType::kF8E4M3, std::move(dims), QIAO_LIVE_ROWS);
  ops::SetRowBlocks(arg.tensor, block);
  return *this;
}

OpBench& OpBench::Absent() {
  args_.emplace_back();
  return *this;
}

// Copies of the weight follow each other through the noise and begin again at its start; a weight that is
// larger than it takes the same bytes several times.
absl::Status OpBench::PlaceWeight(Arg& arg, uint32_t index) {
  const Bench& bench = TheBench();
  qiao_tensor& t = arg.tensor;
  const int64_t groups = t.dim[0], rows = t.dim[1], cols = t.dim[2];
  const auto size = static_cast<int64_t>(SizeOf(static_cast<DType>(t.dtype)));
  const int64_t group_bytes = rows * cols * size, room = bench.rotated / group_bytes;
  if (room < 1)
    return InvalidArgument("a weight of %d bytes is more than there are to go round", group_bytes);
  const auto copies =
      static_cast<size_t>(std::clamp<int64_t>(room / groups, 1, static_cast<int64_t>(kMostPlaces)));
  const int64_t scale_ld = CeilDiv(cols, kBlock);
  arg.scales.assign(static_cast<size_t>(CeilDiv(rows, kBlock) * scale_ld), 0.01f);
  arg.group_start.resize(static_cast<size_t>(groups) + 1);
  std::iota(arg.group_start.begin(), arg.group_start.end(), 0);

  std::vector<qiao_weight_choice> choices;
  int64_t next = 0;
  for (size_t copy = 0; copy < copies; ++copy) {
    auto& pieces = *arg.pieces.emplace_back(std::make_unique<std::vector<qiao_piece>>());
    for (int64_t g = 0; g < groups; ++g) {
      qiao_piece piece{};
      piece.struct_size = sizeof(piece);
      piece.dtype = t.dtype;
      piece.data = bench.noise + (next++ % room) * group_bytes;
      piece.rows = rows;
      piece.cols = piece.ld = cols;
      piece.group = static_cast<int32_t>(g);
      piece.scheme = t.scheme;
      if (t.scheme == QIAO_SCHEME_BLOCK) {
        piece.scale = arg.scales.data();
        piece.scale_ld = scale_ld;
        piece.block[0] = piece.block[1] = kBlock;
      }
      pieces.push_back(piece);
    }
    qiao_weight_request request{};
    request.struct_size = sizeof(request);
    request.op = op_;
    request.argument = index;
    request.activation = args_[0].tensor.dtype;
    request.params = params_.data();
    request.groups = groups;
    request.rows = rows;
    request.cols = cols;
    request.piece_count = static_cast<uint32_t>(pieces.size());
    request.piece = pieces.data();
    request.residence = QIAO_WEIGHT_COPY;
    QIAO_ASSIGN_OR_RETURN(const qiao_weight_choice choice, bench.device->ChooseWeight(request));
    if (choice.activation != request.activation) {
      return Unimplemented("the device wants other activations for this weight: %s", choice.why);
    }
    if (copy == 0) {
      t.dtype = choice.dtype;
      t.scheme = choice.scheme;
      t.layout = choice.layout;
      t.block[0] = choice.block[0];
      t.block[1] = choice.block[1];
      const uint64_t each = RoundUp(choice.bytes, choice.alignment);
      if (choice.layout != QIAO_LAYOUT_PIECES) {
        QIAO_ASSIGN_OR_RETURN(arg.memory, bench.device->Allocate(each * copies));
      }
    }
    if (choice.layout != QIAO_LAYOUT_PIECES) {
      void* place =
          static_cast<std::byte*>(arg.memory.data()) + copy * RoundUp(choice.bytes, choice.alignment);
      QIAO_RETURN_IF_ERROR(bench.device->StoreWeight(stream_, request, choice, place));
      arg.places.push_back(place);
    }
  }
  if (!arg.places.empty()) return absl::OkStatus();
  for (const auto& pieces : arg.pieces) {
    arg.views.push_back(
        {sizeof(qiao_weight_view), static_cast<uint32_t>(groups), arg.group_start.data(), pieces->data()});
  }
  for (qiao_weight_view& view : arg.views) arg.places.push_back(&view);
  return absl::OkStatus();
}

absl::Status OpBench::Place(Arg& arg) {
  const Bench& bench = TheBench();
  const int64_t bytes = RoundUp(BytesOf(arg.tensor), int64_t{64});
  if (arg.rotated) {
    if (bytes > bench.rotated) return InvalidArgument("an argument of %d bytes is too large", bytes);
    const auto copies = std::min(static_cast<size_t>(bench.rotated / bytes), kMostPlaces);
    for (size_t i = 0; i < copies; ++i) {
      arg.places.push_back(const_cast<std::byte*>(bench.noise) + static_cast<int64_t>(i) * bytes);
    }
    return absl::OkStatus();
  }
  const size_t copies = std::max<size_t>(arg.contents.size(), 1);
  QIAO_ASSIGN_OR_RETURN(arg.memory, bench.device->Allocate(static_cast<uint64_t>(bytes) * copies));
  auto* data = static_cast<std::byte*>(arg.memory.data());
  FillNoise(data, bytes * static_cast<int64_t>(copies));
  for (size_t i = 0; i < copies; ++i, data += bytes) {
    if (!arg.contents.empty()) std::memcpy(data, arg.contents[i].data(), arg.contents[i].size());
    arg.places.push_back(data);
  }
  return absl::OkStatus();
}

absl::Status OpBench::PlaceAll() {
  QIAO_ASSIGN_OR_RETURN(stream_, TheBench().device->CreateStream());
  for (size_t i = 0; i < args_.size(); ++i) {
    Arg& arg = args_[i];
    if (arg.tensor.dtype == QIAO_DTYPE_NONE) {
      arg.places.push_back(nullptr);
    } else if (arg.weight) {
      QIAO_RETURN_IF_ERROR(PlaceWeight(arg, static_cast<uint32_t>(i)));
    } else {
      QIAO_RETURN_IF_ERROR(Place(arg));
    }
  }
  return absl::OkStatus();
}

// All that decides what PlaceAll does.
std::string OpBench::Description() const {
  std::string text = std::to_string(op_);
  const auto append = [&](const void* data, size_t size) {
    text.append(static_cast<const char*>(data), size);
  };
  append(params_.data(), params_.size());
  for (const Arg& arg : args_) {
    append(&arg.tensor, sizeof(arg.tensor));
    text += arg.weight ? 'w' : arg.rotated ? 'r' : 'a';
    for (const std::vector<std::byte>& contents : arg.contents) append(contents.data(), contents.size());
  }
  return text;
}

absl::Status OpBench::Measure(benchmark::State& state, int32_t rows, int32_t length, int32_t seqs) {
  const Bench& bench = TheBench();
  std::vector<qiao_tensor> tensors;
  for (const Arg& arg : args_) tensors.push_back(arg.tensor);
  const qiao_op_call call{sizeof(call), op_, params_.data(), static_cast<uint32_t>(tensors.size()),
                          tensors.data()};
  QIAO_RETURN_IF_ERROR(ops::Find(op_)->check(call));
  QIAO_ASSIGN_OR_RETURN(const hal::Support support, bench.device->Supports(call));
  if (!support.yes) return Unimplemented("not supported: %s", support.why);
  QIAO_ASSIGN_OR_RETURN(const auto plan, bench.device->Prepare(call));
  QIAO_ASSIGN_OR_RETURN(const hal::Buffer workspace, bench.device->Allocate(plan->workspace_bytes()));

  std::vector<int32_t> q_start;
  for (int32_t s = 0; s <= seqs; ++s) q_start.push_back(s * (rows / seqs));
  const std::vector<int32_t> kv_len(static_cast<size_t>(seqs), std::max(rows / seqs, length));
  const int32_t counts[4] = {rows, seqs, rows, 0};
  const qiao_batch batch{sizeof(batch), rows, seqs, rows, q_start.data(), kv_len.data(), counts};
  std::vector<void*> pointers(args_.size());
  const auto launch = [&](size_t i) -> absl::Status {
    for (size_t a = 0; a < args_.size(); ++a) pointers[a] = args_[a].places[i % args_[a].places.size()];
    const qiao_launch l{sizeof(l), call.argument_count, pointers.data(), &batch, workspace.data()};
    QIAO_RETURN_IF_ERROR(bench.device->Launch(*plan, stream_, l));
    return stream_.Synchronize();
  };

  // What launches have to do, from a few of them.
  ops::Node node;
  node.op = op_;
  for (size_t a = 0; a < args_.size(); ++a) node.args.push_back(static_cast<ops::ValueId>(a));
  program::LaunchEvent event;
  event.node = &node;
  event.call = &call;
  event.plan = plan.get();
  event.batch = &batch;
  event.read = [&](ops::ValueId id, std::vector<std::byte>& out) -> absl::Status {
    const auto* from = static_cast<const std::byte*>(pointers[static_cast<size_t>(id)]);
    out.assign(from, from + BytesOf(tensors[static_cast<size_t>(id)]));
    return absl::OkStatus();
  };
  constexpr size_t kWatched = 8;
  double flops = 0, bytes = 0, roofline = 0;
  for (size_t i = 0; i < kWatched; ++i) {
    QIAO_RETURN_IF_ERROR(launch(i));
    QIAO_ASSIGN_OR_RETURN(const program::LaunchCost cost, program::CostOf(event));
    const double peak = program::PeakOf(bench.limits, cost.arithmetic);
    flops += cost.cost.flops / kWatched;
    bytes += cost.cost.bytes / kWatched;
    if (peak > 0 && bench.limits.read_bytes_per_s > 0) {
      roofline +=
          std::max(cost.cost.flops / peak, cost.cost.bytes / bench.limits.read_bytes_per_s) / kWatched;
    }
  }

  size_t i = kWatched;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    if (absl::Status status = launch(i++); !status.ok()) return status;
  }
  // Google Benchmark's own rates print "GB/s=20/s".
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double launches = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = flops / 1e9 * launches / seconds;
  state.counters["GB/s"] = bytes / 1e9 * launches / seconds;
  if (roofline > 0) state.counters["roofline"] = roofline * launches / seconds;
  state.SetLabel(plan->kernel());
  return absl::OkStatus();
}

// Google Benchmark calls with more and more iterations until they take long enough. What the first call placed
// serves them all: storing the weights takes longer than most measurements.
void OpBench::Run(benchmark::State& state, int64_t rows, int64_t length, int64_t seqs) {
  static std::string placed_as;
  static std::unique_ptr<OpBench> placed;
  absl::Status status;
  if (std::string description = Description(); placed == nullptr || placed_as != description) {
    placed.reset();  // its memory first
    placed = std::make_unique<OpBench>(std::move(*this));
    status = placed->PlaceAll();
    placed_as = status.ok() ? std::move(description) : "";
  }
  if (status.ok()) {
    status = placed->Measure(state, static_cast<int32_t>(rows), static_cast<int32_t>(length),
                             static_cast<int32_t>(seqs));
  }
  if (!status.ok()) state.SkipWithError(std::string(Message(status)).c_str());
}

}  // namespace qiao::bench
