#include "runtime/ops/case_builder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "runtime/base/checked.h"
#include "runtime/base/floats.h"
#include "runtime/base/split_mix.h"
#include "runtime/ops/graph.h"

namespace qiao::ops {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Large weights repeat: nothing that a kernel does depends on a million random elements rather than these.
constexpr size_t kDistinctElements = (size_t{1} << 20) + 7;

float Decode(DType dtype, const std::byte* from) {
  uint16_t half = 0;
  float full = 0;
  switch (dtype) {
    case DType::kF32:
      std::memcpy(&full, from, sizeof(full));
      return full;
    case DType::kBF16:
      std::memcpy(&half, from, sizeof(half));
      return Bf16ToFloat(half);
    case DType::kF16:
      std::memcpy(&half, from, sizeof(half));
      return F16ToFloat(half);
    case DType::kF8E4M3:
      return F8E4M3ToFloat(static_cast<uint8_t>(*from));
    case DType::kF8E5M2:
      return F8E5M2ToFloat(static_cast<uint8_t>(*from));
    case DType::kI8:
      return static_cast<float>(static_cast<int8_t>(*from));
    default:
      return kNaN;
  }
}

int64_t Product(absl::Span<const int64_t> dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

}  // namespace

uint64_t Random::Next() { return NextSplitMix64(state_); }

// Box and Muller, "A note on the generation of random normal deviates", 1958.
double Random::Normal() {
  const double radius = std::sqrt(-2 * std::log(1 - Uniform()));
  return radius * std::cos(2 * std::numbers::pi * Uniform());
}

std::vector<std::byte> Encode(DType dtype, absl::Span<const float> values) {
  const size_t size = SizeOf(dtype);
  std::vector<std::byte> bytes(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* to = bytes.data() + i * size;
    const auto half = [&](uint16_t bits) { std::memcpy(to, &bits, sizeof(bits)); };
    switch (dtype) {
      case DType::kF32:
        std::memcpy(to, &values[i], sizeof(float));
        break;
      case DType::kBF16:
        half(FloatToBf16(values[i]));
        break;
      case DType::kF16:
        half(FloatToF16(values[i]));
        break;
      case DType::kF8E4M3:
        *to = std::byte{FloatToF8E4M3(values[i])};
        break;
      case DType::kF8E5M2:
        *to = std::byte{FloatToF8E5M2(values[i])};
        break;
      case DType::kI8:  // of what is no number (dead rows), anything
        *to = static_cast<std::byte>(static_cast<int8_t>(
            std::isnan(values[i]) ? 99 : std::clamp(std::nearbyint(values[i]), -127.0f, 127.0f)));
        break;
      default:
        break;
    }
  }
  return bytes;
}

CaseBuilder::CaseBuilder(const OpSpec& spec, std::string name, Params params, uint64_t seed)
    : spec_(spec), random_(seed) {
  case_.name = std::move(name);
  case_.params = params;
  for (char c : case_.name)
    random_ = Random(random_.Next() ^ static_cast<uint64_t>(static_cast<unsigned char>(c)));
}

CaseBuilder& CaseBuilder::Live(int32_t rows, int32_t seqs, int32_t logit_rows) {
  case_.rows = rows;
  case_.seqs = seqs;
  case_.logit_rows = logit_rows;
  return *this;
}

CaseBuilder& CaseBuilder::Ragged(absl::Span<const std::pair<int32_t, int32_t>> sequences) {
  case_.q_start = {0};
  case_.kv_len.clear();
  for (const auto& [rows, length] : sequences) {
    case_.q_start.push_back(case_.q_start.back() + rows);
    case_.kv_len.push_back(length);
  }
  case_.rows = case_.q_start.back();
  case_.seqs = static_cast<int32_t>(sequences.size());
  return *this;
}

int64_t CaseBuilder::LiveRows(uint32_t live, int64_t all) const {
  switch (live) {
    case QIAO_LIVE_ROWS:
      return std::min<int64_t>(all, case_.rows);
    case QIAO_LIVE_SEQS:
      return std::min<int64_t>(all, case_.seqs);
    case QIAO_LIVE_LOGITS:
      return std::min<int64_t>(all, case_.logit_rows);
    default:
      return all;
  }
}

CaseBuilder& CaseBuilder::Act(DType dtype, absl::Span<const int64_t> dims, uint32_t live, double sigma) {
  const int64_t n = Product(dims);
  const int64_t used = dims[0] ? n / dims[0] * LiveRows(live, dims[0]) : 0;
  std::vector<float> values(static_cast<size_t>(n), kNaN);
  for (int64_t i = 0; i < used; ++i)
    values[static_cast<size_t>(i)] = static_cast<float>(sigma * random_.Normal());
  return Values(dtype, dims, values, live);
}

CaseBuilder& CaseBuilder::Values(DType dtype, absl::Span<const int64_t> dims, absl::Span<const float> values,
                                 uint32_t live) {
  Case::Arg arg;
  arg.tensor = MakeTensor(dtype, dims, live);
  arg.bytes = Encode(dtype, values);
  case_.args.push_back(std::move(arg));
  return *this;
}

CaseBuilder& CaseBuilder::Gains(int64_t n) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(1 + 0.25 * random_.Normal());
  return Values(DType::kF32, {n}, values);
}

CaseBuilder& CaseBuilder::Ints(absl::Span<const int64_t> dims, absl::Span<const int32_t> values,
                               uint32_t live) {
  Case::Arg arg;
  arg.tensor = MakeTensor(DType::kI32, dims, live);
  arg.bytes.resize(values.size() * sizeof(int32_t));
  if (!values.empty()) std::memcpy(arg.bytes.data(), values.data(), arg.bytes.size());
  case_.args.push_back(std::move(arg));
  return *this;
}

CaseBuilder& CaseBuilder::Longs(absl::Span<const int64_t> values) {
  Case::Arg arg;
  arg.tensor = MakeTensor(DType::kI64, {static_cast<int64_t>(values.size())});
  arg.bytes.resize(values.size() * sizeof(int64_t));
  if (!values.empty()) std::memcpy(arg.bytes.data(), values.data(), arg.bytes.size());
  case_.args.push_back(std::move(arg));
  return *this;
}

CaseBuilder& CaseBuilder::QuantisedRows(absl::Span<const int64_t> dims, int32_t block, uint32_t live) {
  std::vector<float> values(static_cast<size_t>(Product(dims)));
  for (float& v : values) v = static_cast<float>(100 * random_.Normal());
  Values(DType::kF8E4M3, dims, values, live);
  SetRowBlocks(last().tensor, block);
  std::vector<int64_t> scale_dims(dims.begin(), dims.end());
  scale_dims.back() = CeilDiv(scale_dims.back(), block);
  std::vector<float> scales(static_cast<size_t>(Product(scale_dims)));
  for (float& s : scales) s = static_cast<float>(0.01 * std::exp2(4 * random_.Uniform() - 2));
  return Values(DType::kF32, scale_dims, scales, live);
}

CaseBuilder& CaseBuilder::Pool(absl::Span<const int64_t> dims, int32_t block) {
  Act(DType::kF8E4M3, dims, QIAO_LIVE_ALL, 100);
  SetRowBlocks(last().tensor, block);
  return *this;
}

CaseBuilder& CaseBuilder::IntegerRows(absl::Span<const int64_t> dims, uint32_t live) {
  // The largest integers too, so that a sum that saturates shows.
  Act(DType::kI8, dims, live, 60);
  last().tensor.scheme = QIAO_SCHEME_CHANNEL;
  std::vector<int64_t> scale_dims(dims.begin(), dims.end());
  scale_dims.back() = 1;
  std::vector<float> scales(static_cast<size_t>(Product(scale_dims)));
  for (float& s : scales) s = static_cast<float>(0.02 * std::exp2(4 * random_.Uniform() - 2));
  return Values(DType::kF32, scale_dims, scales, live);
}

CaseBuilder& CaseBuilder::Weight(int64_t groups, int64_t rows, int64_t cols, const WeightForm& form) {
  Case::Arg arg;
  arg.tensor = MakeTensor(form.dtype, {groups, rows, cols});
  arg.tensor.layout = QIAO_LAYOUT_PIECES;
  const bool blocks = form.block[0] > 0, scaled = blocks || form.channel;
  if (form.channel) arg.tensor.scheme = QIAO_SCHEME_CHANNEL;
  if (blocks) {
    arg.tensor.scheme = QIAO_SCHEME_BLOCK;
    arg.tensor.block[0] = form.block[0];
    arg.tensor.block[1] = form.block[1];
  }
  const std::vector<int64_t> split = form.split.empty() ? std::vector<int64_t>{rows} : form.split;
  const int64_t ld = cols + form.padding;
  const int64_t scale_ld = blocks ? CeilDiv(cols, form.block[1]) : 0;
  const auto element = static_cast<int64_t>(SizeOf(form.dtype));
  const auto add_scales = [&](int64_t file_rows) {
    const auto begin = static_cast<int64_t>(arg.scales.size() * sizeof(float));
    const int64_t count = blocks         ? CeilDiv(file_rows, form.block[0]) * scale_ld
                          : form.channel ? file_rows
                                         : 0;
    arg.scales.resize(arg.scales.size() + static_cast<size_t>(count));
    return begin;
  };

  int64_t elements = 0;
  const int64_t shared_scales = form.group_stride ? add_scales(form.row0 + groups * form.group_stride) : 0;
  for (int64_t g = 0; g < groups; ++g) {
    int64_t below = 0;  // rows of the group that earlier pieces hold
    for (int64_t piece_rows : split) {
      qiao_piece piece{};
      piece.struct_size = sizeof(piece);
      piece.dtype = arg.tensor.dtype;
      piece.data = reinterpret_cast<const void*>(elements * element);
      piece.rows = piece_rows;
      piece.cols = cols;
      piece.ld = ld;
      piece.row0 = form.row0 + (form.group_stride ? g * form.group_stride + below : 0);
      piece.group = static_cast<int32_t>(g);
      piece.scheme = arg.tensor.scheme;
      piece.scale_ld = scale_ld;
      piece.block[0] = form.block[0];
      piece.block[1] = form.block[1];
      const int64_t scales = form.group_stride ? shared_scales : add_scales(piece.row0 + piece_rows);
      piece.scale = reinterpret_cast<const float*>(scales);
      arg.pieces.push_back(piece);
      elements += piece_rows * ld;
      below += piece_rows;
    }
  }

  // Scaled E4M3 elements use the format's range; others give outputs of about the size of the inputs.
  const double sigma = form.channel ? 60
                       : scaled     ? 80
                                    : 1 / std::sqrt(static_cast<double>(std::max<int64_t>(cols, 1)));
  std::vector<float> distinct(std::min(static_cast<size_t>(elements), kDistinctElements));
  for (float& v : distinct) v = static_cast<float>(sigma * random_.Normal());
  const std::vector<std::byte> encoded = Encode(form.dtype, distinct);
  arg.bytes.resize(static_cast<size_t>(elements * element));
  for (size_t at = 0; at < arg.bytes.size(); at += encoded.size()) {
    std::memcpy(arg.bytes.data() + at, encoded.data(), std::min(encoded.size(), arg.bytes.size() - at));
  }
  const double scale = 1 / (80 * std::sqrt(static_cast<double>(std::max<int64_t>(cols, 1))));
  for (float& s : arg.scales) s = static_cast<float>(scale * std::exp2(3 * random_.Uniform() - 1.5));
  case_.args.push_back(std::move(arg));
  return *this;
}

CaseBuilder& CaseBuilder::QStart(int32_t bucket) {
  std::vector<int32_t> values = case_.q_start;
  values.resize(static_cast<size_t>(bucket) + 1, case_.rows);
  return Ints({bucket + 1}, values);
}

CaseBuilder& CaseBuilder::KvLen(int32_t bucket) {
  std::vector<int32_t> values = case_.kv_len;
  values.resize(static_cast<size_t>(bucket), 0);
  return Ints({bucket}, values, QIAO_LIVE_SEQS);
}

CaseBuilder& CaseBuilder::Absent() {
  case_.args.emplace_back();
  return *this;
}

CaseBuilder& CaseBuilder::Output() { return Absent(); }

Case CaseBuilder::Finish(DType out) {
  std::vector<qiao_tensor> tensors;
  for (const Case::Arg& arg : case_.args) tensors.push_back(arg.tensor);
  if (absl::Status s = spec_.infer(case_.params.data(), absl::MakeSpan(tensors), out); !s.ok()) {
    case_.name += absl::StrFormat(": %s", Message(s));
    case_.args.clear();
    return std::move(case_);
  }
  const std::vector<ArgSpec> args = spec_.args(case_.params.data());
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].kind != ArgSpec::kOut) continue;
    case_.args[i].tensor = tensors[i];
    case_.args[i].bytes.resize(static_cast<size_t>(SpanBytes(tensors[i])));
  }
  return std::move(case_);
}

std::vector<double> DecodeWeight(const Case::Arg& weight) {
  const auto dtype = static_cast<DType>(weight.tensor.dtype);
  const auto element = static_cast<int64_t>(SizeOf(dtype));
  std::vector<double> values;
  for (const qiao_piece& p : weight.pieces) {
    for (int64_t r = 0; r < p.rows; ++r) {
      for (int64_t c = 0; c < p.cols; ++c) {
        const int64_t at = reinterpret_cast<int64_t>(p.data) + (r * p.ld + c) * element;
        double scale = 1;
        if (p.scheme != QIAO_SCHEME_NONE) {
          const int64_t block = p.scheme == QIAO_SCHEME_CHANNEL
                                    ? p.row0 + r
                                    : (p.row0 + r) / p.block[0] * p.scale_ld + c / p.block[1];
          const int64_t first = reinterpret_cast<int64_t>(p.scale) / static_cast<int64_t>(sizeof(float));
          scale = static_cast<double>(weight.scales[static_cast<size_t>(first + block)]);
        }
        values.push_back(scale * static_cast<double>(Decode(dtype, weight.bytes.data() + at)));
      }
    }
  }
  return values;
}

std::string FormName(const WeightForm& form) {
  std::string name(Name(form.dtype));
  if (form.block[0]) name += absl::StrFormat("/%dx%d", form.block[0], form.block[1]);
  if (form.channel) name += "/channel";
  if (form.split.size() > 1) name += absl::StrFormat(" in %d", form.split.size());
  if (form.padding) name += " padded";
  if (form.group_stride) name += " heads";
  return name;
}

}  // namespace qiao::ops
