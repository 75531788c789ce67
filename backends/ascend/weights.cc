#include "backends/ascend/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backends/ascend/device.h"
#include "backends/ascend/stream.h"
#include "kernels/common/weights.h"
#include "runtime/base/floats.h"

namespace qiao::ascend {
namespace {

using namespace qiao::plugin;

constexpr double kBf16Error = 1.0 / 256;       // half a unit in the last place
constexpr double kF32Error = 1.0 / (1 << 24);  // the same
constexpr uint64_t kStagingBytes = uint64_t{16} << 20;
constexpr float kLargestI8 = 127;

bool IsF8(uint32_t dtype) { return dtype == QIAO_F8E4M3 || dtype == QIAO_F8E5M2; }

int64_t BytesOf(uint32_t dtype) { return kernels::ElementBytes(dtype); }

// The request's matrices, piece by piece.
class Matrices {
 public:
  explicit Matrices(const qiao_weight_request& r)
      : group_start_(kernels::GroupStarts(r.piece, r.piece_count)) {
    view_ = {sizeof(view_), static_cast<uint32_t>(r.groups), group_start_.data(), r.piece};
    tensor_.layout = QIAO_LAYOUT_PIECES;
    tensor_.rank = 3;
    tensor_.dim[0] = r.groups;
    tensor_.dim[1] = r.rows;
    tensor_.dim[2] = r.cols;
  }

  // Row r of a group, scales multiplied in (in f32).
  void LoadRow(int64_t group, int64_t r, float* out) const {
    const kernels::WeightMatrix matrix(tensor_, &view_, group);
    matrix.LoadRow(r, out);
    for (int64_t c = 0; c < matrix.cols();) {
      const int64_t end = matrix.ScaleEndInRow(r, c);
      const float scale = matrix.Scale(r, c);
      if (scale == 1.0f) {
        c = end;
      } else {
        for (; c < end; ++c) out[c] *= scale;
      }
    }
  }
  // Row r as int8 and its scale: of one that is stored so already, the very numbers. `row` becomes the row, scales
  // multiplied in.
  float LoadInt8(int64_t group, int64_t r, std::vector<float>& row, int8_t* out) const {
    const kernels::WeightMatrix matrix(tensor_, &view_, group);
    float scale = 0;
    if (matrix.IsInt8Channel(r)) {
      scale = matrix.Scale(r, 0);
      matrix.LoadRow(r, row.data());
      for (size_t c = 0; c < row.size(); ++c) {
        out[c] = static_cast<int8_t>(row[c]);
        row[c] *= scale;
      }
      return scale;
    }
    LoadRow(group, r, row.data());
    for (const float v : row) scale = std::max(scale, std::fabs(v));
    scale /= kLargestI8;
    for (size_t c = 0; c < row.size(); ++c)
      out[c] = scale > 0 ? static_cast<int8_t>(std::nearbyint(row[c] / scale)) : int8_t{0};
    return scale;
  }

 private:
  std::vector<int32_t> group_start_;
  qiao_weight_view view_{};
  qiao_tensor tensor_{};
};

void StoreRow(const std::vector<float>& row, uint32_t dtype, std::byte* to) {
  if (dtype == QIAO_F32) {
    std::memcpy(to, row.data(), row.size() * sizeof(float));
    return;
  }
  auto* bf16 = reinterpret_cast<uint16_t*>(to);
  for (size_t c = 0; c < row.size(); ++c) bf16[c] = FloatToBf16(row[c]);
}

// Sends host memory to consecutive device addresses, in pieces of about kStagingBytes.
class Sender {
 public:
  Sender(Stream& stream, void* to) : stream_(stream), to_(static_cast<std::byte*>(to)) {}

  Status Send(const std::vector<std::byte>& from, uint64_t bytes) {
    QIAO_PLUGIN_RETURN_IF_ERROR(stream_.Copy(QIAO_COPY_TO_DEVICE, to_, from.data(), bytes));
    to_ += bytes;
    return stream_.Synchronize();  // the staging memory is written again
  }

 private:
  Stream& stream_;
  std::byte* to_;
};

bool Transposed(const qiao_weight_request& r) {
  return r.op == QIAO_OP_LINEAR && static_cast<const qiao_linear_params*>(r.params)->w_transposed != 0;
}

bool IsOurs(const qiao_weight_request& r) {
  return r.op == QIAO_OP_EMBEDDING || r.op == QIAO_OP_LINEAR || r.op == QIAO_OP_GROUPED_LINEAR;
}

// Stored as [K, N] and not as the files have it.
bool Turned(const qiao_weight_request& r, uint32_t dtype) {
  return r.op == QIAO_OP_GROUPED_LINEAR || (r.op == QIAO_OP_LINEAR && dtype == QIAO_I8);
}

// Of one matrix.
int64_t StoredElements(const qiao_weight_request& r, uint32_t dtype, bool nz) {
  if (!nz) return r.rows * r.cols;
  const bool turned = Turned(r, dtype);
  return FractalElements(AclType(dtype), turned ? r.cols : r.rows, turned ? r.rows : r.cols);
}

// Device memory for as long as a weight is stored.
class Scratch {
 public:
  explicit Scratch(AscendDevice& device) : device_(device) {}
  ~Scratch() { device_.Free(memory_); }
  Status Allocate(uint64_t bytes) { return device_.Allocate(bytes, &memory_); }
  void* data() const { return memory_; }

 private:
  AscendDevice& device_;
  void* memory_ = nullptr;
};

// One matrix from row by row to FRACTAL_NZ; done when it returns.
Status Convert(AscendStream& stream, const qiao_weight_request& r, uint32_t dtype, void* from, void* to) {
  const bool turned = Turned(r, dtype);
  const int64_t rows = turned ? r.cols : r.rows, cols = turned ? r.rows : r.cols;
  Launcher l(stream, "weight_store", nullptr, 0, nullptr);
  l.Run(cann().NpuFormatCast, View::Contiguous(from, AclType(dtype), {rows, cols}),
        View::FractalNz(to, AclType(dtype), {rows, cols}));
  QIAO_PLUGIN_RETURN_IF_ERROR(l.status());
  return stream.Synchronize();
}

void SetWhy(qiao_weight_choice& choice, const std::string& why) {
  choice.why[why.copy(choice.why, sizeof(choice.why) - 1)] = '\0';
}

// Whether storing as `dtype` changes a number.
bool Exact(const qiao_weight_request& r, uint32_t dtype) {
  return std::all_of(r.piece, r.piece + r.piece_count, [&](const qiao_piece& p) {
    if (p.scheme != QIAO_SCHEME_NONE) return false;
    return p.dtype == dtype || dtype == QIAO_F32 || (IsF8(p.dtype) && dtype == QIAO_BF16);
  });
}

}  // namespace

void AddWeightOptions(Options& options, WeightOptions& to) {
  options.Text("weights", to.narrow, {"auto", "bf16"}).Number("int8_error", to.int8_error).Flag("nz", to.nz);
}

Int8Layout LayOutInt8(int64_t groups, int64_t n, int64_t k, bool nz) {
  constexpr uint64_t kAlignment = 64;
  Int8Layout layout{};
  const int64_t numbers = nz ? FractalElements(ACL_INT8, k, n) : n * k;
  layout.scales = (static_cast<uint64_t>(groups * numbers) + kAlignment - 1) / kAlignment * kAlignment;
  layout.bytes = layout.scales + static_cast<uint64_t>(groups * n) * sizeof(float);
  return layout;
}

std::string Weights::Summary() const {
  if (options_.narrow == "bf16") return "E4M3 weights are stored as bf16, as the option weights says";
  return Format(
      "E4M3 weights become int8 with a scale for each channel where that adds an error of %g at most, else "
      "bf16",
      options_.int8_error);
}

double Weights::Int8Error(const qiao_weight_request& request) {
  const void* key = request.piece[0].data;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = int8_error_.find(key); found != int8_error_.end()) return found->second;
  }
  const Matrices matrices(request);
  const auto width = static_cast<size_t>(request.cols);
  std::vector<float> row(width);
  std::vector<int8_t> q(width);
  double squares = 0, differences = 0;
  for (int64_t g = 0; g < request.groups; ++g) {
    for (int64_t r = 0; r < request.rows; ++r) {
      const float scale = matrices.LoadInt8(g, r, row, q.data());
      for (size_t c = 0; c < width; ++c) {
        const double difference =
            static_cast<double>(row[c]) - static_cast<double>(static_cast<float>(q[c]) * scale);
        squares += static_cast<double>(row[c]) * static_cast<double>(row[c]);
        differences += difference * difference;
      }
    }
  }
  const double error = squares > 0 ? std::sqrt(differences / squares) : 0;
  const std::lock_guard lock(mutex_);
  int8_error_[key] = error;
  return error;
}

Status Weights::Choose(const qiao_weight_request& r, qiao_weight_choice& choice) {
  if (!IsOurs(r)) return Unimplemented(OpName(r.op) + " runs in parts");
  if (r.piece_count == 0 || r.groups < 1) return InvalidArgument("weight_choose: a weight without pieces");
  choice.scheme = QIAO_SCHEME_NONE;
  choice.block[0] = choice.block[1] = 0;
  choice.activation = r.activation;
  choice.error = 0;

  if (r.op == QIAO_OP_EMBEDDING) {
    choice.dtype = Exact(r, QIAO_BF16) ? QIAO_BF16 : QIAO_F32;
    choice.layout = QIAO_LAYOUT_OPAQUE;
    choice.bytes = static_cast<uint64_t>((r.rows + 2) * r.cols * BytesOf(choice.dtype));
    choice.error = Exact(r, choice.dtype) ? 0 : kF32Error;
    SetWhy(choice, choice.dtype == QIAO_BF16 ? "bf16, as in the file" : "f32, scales multiplied in");
    return Ok();
  }

  const bool grouped = r.op == QIAO_OP_GROUPED_LINEAR;
  const bool narrow_rows = r.activation == QIAO_I8;
  bool int8 = narrow_rows;
  std::string why;
  const qiao_piece& first = r.piece[0];
  if (narrow_rows) {
    if (Transposed(r)) return Unimplemented("a transposed weight does not meet INT8 rows");
    const bool same = std::all_of(r.piece, r.piece + r.piece_count,
                                  [](const qiao_piece& piece) { return piece.dtype == QIAO_I8; });
    choice.error = same ? 0 : Int8Error(r);
    why = same ? "int8, as in the file" : Format("int8 with a scale a channel: adds %.4f rms", choice.error);
  } else if (r.activation == QIAO_BF16 && IsF8(first.dtype) && !Transposed(r) && (grouped || r.groups == 1)) {
    if (has_f8_) {
      why = "bf16: products in E4M3 are not used yet";
    } else if (options_.narrow == "bf16") {
      why = "bf16: the option weights says so";
    } else if (const double error = Int8Error(r); error <= options_.int8_error) {
      int8 = true;
      choice.error = error;
      why = Format("int8 with a scale a channel: adds %.4f rms, %.4f allowed", error, options_.int8_error);
    } else {
      why = Format("bf16: int8 would add %.4f rms, more than %.4f", error, options_.int8_error);
    }
  }
  if (int8) {
    choice.dtype = QIAO_I8;
    choice.scheme = QIAO_SCHEME_CHANNEL;
    choice.layout = QIAO_LAYOUT_OPAQUE;
    choice.activation = QIAO_I8;
    choice.bytes = LayOutInt8(r.groups, r.rows, r.cols, options_.nz).bytes;
    SetWhy(choice, why);
    return Ok();
  }

  if (r.activation != QIAO_F32 && r.activation != QIAO_BF16)
    return Unimplemented(OpName(r.op) + ": weights of this device meet rows of f32, bf16 and i8");
  choice.dtype = r.activation;
  const bool nz = StoresNz(r, choice.dtype);
  choice.layout = grouped || nz ? QIAO_LAYOUT_OPAQUE : QIAO_LAYOUT_STRIDED;
  auto elements = static_cast<uint64_t>(r.groups * r.rows * r.cols);
  if (nz) elements = static_cast<uint64_t>(r.groups * StoredElements(r, choice.dtype, true));
  choice.bytes = elements * static_cast<uint64_t>(BytesOf(choice.dtype));
  if (!Exact(r, choice.dtype)) choice.error = choice.dtype == QIAO_BF16 ? kBf16Error : kF32Error;
  if (why.empty()) {
    why = choice.dtype == QIAO_BF16 ? "bf16" : "f32";
    why += choice.error == 0 ? ": exact" : ": rounded";
  }
  if (nz) why += "; in FRACTAL_NZ";
  SetWhy(choice, why);
  return Ok();
}

bool Weights::StoresNz(const qiao_weight_request& r, uint32_t dtype) const {
  if (!options_.nz || r.op == QIAO_OP_EMBEDDING || dtype == QIAO_F32 || Transposed(r)) return false;
  return r.op == QIAO_OP_GROUPED_LINEAR || r.groups == 1;
}

Status Weights::Store(Stream& base, const qiao_weight_request& r, const qiao_weight_choice& choice,
                      void* dst) {
  if (!IsOurs(r))
    return Unimplemented("the host writes weights that this backend did not choose the layout of");
  auto& stream = static_cast<AscendStream&>(base);
  const Matrices matrices(r);
  const bool int8 = choice.dtype == QIAO_I8, nz = StoresNz(r, choice.dtype), turned = Turned(r, choice.dtype);
  const auto element = static_cast<uint64_t>(BytesOf(choice.dtype));
  const auto width = static_cast<size_t>(r.cols);
  const uint64_t row_bytes = element * width;
  std::vector<float> row(width), scales;
  std::vector<std::byte> staging, line(row_bytes);
  // Converted from a copy beside it, one matrix at a time.
  Scratch plain(stream.owner());
  if (nz) QIAO_PLUGIN_RETURN_IF_ERROR(plain.Allocate(static_cast<uint64_t>(r.rows) * row_bytes));

  auto* to = static_cast<std::byte*>(dst);
  const auto zeros = [&]() -> Status {
    if (r.op != QIAO_OP_EMBEDDING) return Ok();
    staging.assign(row_bytes, std::byte{0});
    Sender sender(stream, to);
    to += row_bytes;
    return sender.Send(staging, row_bytes);
  };
  QIAO_PLUGIN_RETURN_IF_ERROR(zeros());
  // What is turned travels in whole.
  const int64_t chunk =
      turned ? r.rows : std::clamp<int64_t>(static_cast<int64_t>(kStagingBytes / row_bytes), 1, r.rows);
  staging.resize(static_cast<size_t>(chunk) * row_bytes);
  for (int64_t g = 0; g < r.groups; ++g) {
    Sender sender(stream, nz ? plain.data() : to);
    for (int64_t begin = 0; begin < r.rows; begin += chunk) {
      const int64_t count = std::min(chunk, r.rows - begin);
      for (int64_t i = 0; i < count; ++i) {
        std::byte* line_to = turned ? line.data() : staging.data() + static_cast<uint64_t>(i) * row_bytes;
        if (int8) {
          scales.push_back(matrices.LoadInt8(g, begin + i, row, reinterpret_cast<int8_t*>(line_to)));
        } else {
          matrices.LoadRow(g, begin + i, row.data());
          StoreRow(row, choice.dtype, line_to);
        }
        if (!turned) continue;
        for (size_t c = 0; c < width; ++c) {
          std::memcpy(staging.data() + (c * static_cast<size_t>(count) + static_cast<size_t>(i)) * element,
                      line.data() + c * element, element);
        }
      }
      QIAO_PLUGIN_RETURN_IF_ERROR(sender.Send(staging, static_cast<uint64_t>(count) * row_bytes));
    }
    if (nz) QIAO_PLUGIN_RETURN_IF_ERROR(Convert(stream, r, choice.dtype, plain.data(), to));
    to += static_cast<uint64_t>(StoredElements(r, choice.dtype, nz)) * element;
  }
  QIAO_PLUGIN_RETURN_IF_ERROR(zeros());
  if (int8) {
    const Int8Layout layout = LayOutInt8(r.groups, r.rows, r.cols, options_.nz);
    staging.assign(scales.size() * sizeof(float), std::byte{0});
    std::memcpy(staging.data(), scales.data(), staging.size());
    Sender after(stream, static_cast<std::byte*>(dst) + layout.scales);
    QIAO_PLUGIN_RETURN_IF_ERROR(after.Send(staging, staging.size()));
  }

  const std::lock_guard lock(mutex_);
  Stored& stored = stored_[int8 ? "int8" : choice.dtype == QIAO_BF16 ? "bf16" : "f32"];
  ++stored.weights;
  stored.bytes += choice.bytes;
  stored.worst = std::max(stored.worst, choice.error);
  return Ok();
}

void Weights::Report() {
  std::map<std::string, Stored> stored;
  {
    const std::lock_guard lock(mutex_);
    stored.swap(stored_);
  }
  for (const auto& [dtype, s] : stored) {
    host_.Log(QIAO_LOG_INFO, Format("ascend: %lld weights stored as %s: %.1f MiB, error at most %.4g",
                                    static_cast<long long>(s.weights), dtype.c_str(),
                                    static_cast<double>(s.bytes) / 1048576, s.worst));
  }
}

}  // namespace qiao::ascend
