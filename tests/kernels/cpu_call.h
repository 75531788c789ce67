// A call of an operation with its memory, built argument by argument, and run by the CPU kernels or the
// scalar ones.
#pragma once

#include <gtest/gtest.h>
#include <qiao/ops.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/cpu/kernel.h"
#include "kernels/cpu/packed_weight.h"
#include "kernels/reference/reference.h"
#include "runtime/base/floats.h"
#include "runtime/base/threads.h"

namespace qiao::kernels::cpu {

class TestCall {
 public:
  template <typename P>
  TestCall(uint32_t op, P params) : op_(op), params_(sizeof(P)) {
    params.struct_size = sizeof(P);
    std::memcpy(params_.data(), &params, sizeof(P));
  }

  // Each adds the next argument and returns its number.
  int Absent() { return Push(QIAO_DTYPE_NONE, {}, 0); }
  int Zeros(uint32_t dtype, std::vector<int64_t> dim) {
    int64_t n = 1;
    for (int64_t d : dim) n *= d;
    return Push(dtype, dim, n * ElementBytes(dtype));
  }
  int Normal(uint32_t dtype, std::vector<int64_t> dim, double deviation = 1.0) {
    const int i = Zeros(dtype, std::move(dim));
    FillNormal(i, deviation);
    return i;
  }
  int Integers(std::vector<int32_t> values, std::vector<int64_t> dim) {
    const int i = Zeros(QIAO_I32, std::move(dim));
    std::memcpy(bytes_[Index(i)].data(), values.data(), values.size() * 4);
    return i;
  }
  int Longs(std::vector<int64_t> values) {
    const int i = Zeros(QIAO_I64, {static_cast<int64_t>(values.size())});
    std::memcpy(bytes_[Index(i)].data(), values.data(), values.size() * 8);
    return i;
  }
  // A weight [groups, rows, cols] in pieces: each group is cut at `cut` rows (0: one piece), and with a block
  // each piece begins `row0` rows below a file tensor's start.
  int Weight(uint32_t dtype, int64_t groups, int64_t rows, int64_t cols, int32_t block = 0, int64_t cut = 0,
             int64_t row0 = 0) {
    const int i =
        Normal(dtype, {groups, rows, cols}, dtype == QIAO_F8E4M3 || dtype == QIAO_F8E5M2 ? 30.0 : 0.1);
    Cut(i, block ? QIAO_SCHEME_BLOCK : QIAO_SCHEME_NONE, block, cut, row0);
    return i;
  }
  // An INT8 weight of zeros with a scale for each row of a file tensor that begins `row0` rows above each
  // piece.
  int ChannelWeight(int64_t groups, int64_t rows, int64_t cols, int64_t cut = 0, int64_t row0 = 0) {
    const int i = Zeros(QIAO_I8, {groups, rows, cols});
    Cut(i, QIAO_SCHEME_CHANNEL, 0, cut, row0);
    return i;
  }

  // Argument i, a weight in pieces, as the kernels of `isa` store it; in pieces again without `isa`.
  void Pack(int i, std::optional<Isa> isa, bool transposed, ThreadPool& pool) {
    qiao_tensor& t = tensor_[Index(i)];
    t.layout = QIAO_LAYOUT_PIECES;
    packed_[Index(i)].clear();
    if (!isa) return;
    const PackedHeader header = LayOutPacked(t, *view_of_[Index(i)], transposed, SectionsOf(op_, Index(i)));
    packed_[Index(i)].resize(static_cast<size_t>(header.bytes) + 64);
    StorePacked(header, t, *view_of_[Index(i)], *isa, pool, Aligned(packed_[Index(i)]));
    t.layout = QIAO_LAYOUT_OPAQUE;
  }
  // Of each of these arguments that is not absent, keeps rows first .. first + count.
  void Slice(std::initializer_list<int> arguments, int64_t first, int64_t count) {
    for (int i : arguments) {
      if (tensor(i).dtype == QIAO_DTYPE_NONE) continue;
      const int64_t bytes = tensor(i).stride[0] * ElementBytes(tensor(i).dtype);
      const std::vector<std::byte> whole = this->bytes(i);
      tensor(i).dim[0] = count;
      this->bytes(i).assign(whole.begin() + first * bytes, whole.begin() + (first + count) * bytes);
    }
  }

  void FillNormal(int i, double deviation) {
    std::normal_distribution<double> normal(0, deviation);
    const int64_t n = Count(i);
    for (int64_t c = 0; c < n; ++c) Set(i, c, static_cast<float>(normal(random_)));
  }
  void Set(int i, int64_t at, float v) {
    std::byte* p = bytes_[Index(i)].data();
    switch (tensor_[Index(i)].dtype) {
      case QIAO_F32:
        reinterpret_cast<float*>(p)[at] = v;
        break;
      case QIAO_BF16:
        reinterpret_cast<uint16_t*>(p)[at] = FloatToBf16(v);
        break;
      case QIAO_F16:
        reinterpret_cast<uint16_t*>(p)[at] = FloatToF16(v);
        break;
      case QIAO_F8E4M3:
        reinterpret_cast<uint8_t*>(p)[at] = FloatToF8E4M3(v);
        break;
      case QIAO_F8E5M2:
        reinterpret_cast<uint8_t*>(p)[at] = FloatToF8E5M2(v);
        break;
      default:
        FAIL() << "not a float";
    }
  }
  float Get(int i, int64_t at) const {
    float v = 0;
    const uint32_t dtype = tensor_[Index(i)].dtype;
    if (dtype == QIAO_I32)
      return static_cast<float>(reinterpret_cast<const int32_t*>(bytes_[Index(i)].data())[at]);
    LoadFloats(dtype, bytes_[Index(i)].data() + at * ElementBytes(dtype), 1, &v);
    return v;
  }
  int64_t Count(int i) const {
    const qiao_tensor& t = tensor_[Index(i)];
    int64_t n = 1;
    for (uint32_t d = 0; d < t.rank; ++d) n *= t.dim[d];
    return n;
  }
  qiao_tensor& tensor(int i) { return tensor_[Index(i)]; }
  std::vector<std::byte>& bytes(int i) { return bytes_[Index(i)]; }
  qiao_batch batch{};  // used where struct_size is set

  void RunCpu(Isa isa, ThreadPool& pool) {
    const qiao_op_call op_call = Describe();
    ASSERT_NE(FindKernel(op_), nullptr);
    const OpKernel* kernel = &KernelFor(*FindKernel(op_), op_call);
    std::string why;
    ASSERT_TRUE(kernel->supports(op_call, &why)) << why;
    // Filled with NaNs and guarded, so that neither stale contents nor an overrun goes unseen.
    RunWith(kernel->workspace(op_call, pool.size()),
            [&](const KernelCall& call) { kernel->select(isa)(call, pool); });
  }
  // Hands the call, with a guarded workspace of `size` bytes, to `run`.
  template <typename F>
  void RunWith(uint64_t size, F&& run) {
    std::vector<uint8_t> room(size + 64 + 64, 0xff);
    uint8_t* workspace = room.data() + (64 - reinterpret_cast<uintptr_t>(room.data()) % 64);
    std::vector<void*> pointers = Pointers();
    run(Call(pointers, workspace));
    for (const uint8_t* p = workspace + size; p < room.data() + room.size(); ++p)
      ASSERT_EQ(*p, 0xff) << "the workspace was overrun";
  }
  void RunReference() {
    std::vector<void*> pointers = Pointers();
    reference::Find(op_)(Call(pointers, nullptr));
  }
  qiao_op_call Describe() const {
    return {sizeof(qiao_op_call), op_, params_.data(), static_cast<uint32_t>(tensor_.size()), tensor_.data()};
  }
  // The whole of argument i as floats.
  std::vector<float> Values(int i) const {
    std::vector<float> v(static_cast<size_t>(Count(i)));
    for (size_t c = 0; c < v.size(); ++c) v[c] = Get(i, static_cast<int64_t>(c));
    return v;
  }
  std::mt19937& random() { return random_; }

 private:
  static std::byte* Aligned(std::vector<std::byte>& v) {
    return v.data() + (64 - reinterpret_cast<uintptr_t>(v.data()) % 64) % 64;
  }
  static size_t Index(int i) { return static_cast<size_t>(i); }
  int Push(uint32_t dtype, const std::vector<int64_t>& dim, int64_t bytes) {
    qiao_tensor t{};
    t.struct_size = sizeof t;
    t.dtype = dtype;
    t.rank = static_cast<uint32_t>(dim.size());
    int64_t stride = 1;
    for (size_t d = dim.size(); d-- > 0;) {
      t.dim[d] = dim[d];
      t.stride[d] = stride;
      stride *= dim[d];
    }
    tensor_.push_back(t);
    bytes_.emplace_back(static_cast<size_t>(bytes));
    view_of_.push_back(nullptr);
    packed_.emplace_back();
    return static_cast<int>(tensor_.size()) - 1;
  }
  // Argument i [groups, rows, cols] becomes a weight in pieces with random scales; the rest as Weight says.
  void Cut(int i, uint32_t scheme, int32_t block, int64_t cut, int64_t row0) {
    qiao_tensor& t = tensor_[Index(i)];
    t.layout = QIAO_LAYOUT_PIECES;
    t.scheme = scheme;
    t.block[0] = t.block[1] = block;
    const int64_t groups = t.dim[0], rows = t.dim[1], cols = t.dim[2];
    std::uniform_real_distribution<float> scale(0.001f, 0.002f);
    auto& pieces = pieces_.emplace_back();
    auto& starts = starts_.emplace_back();
    for (int64_t g = 0; g < groups; ++g) {
      starts.push_back(static_cast<int32_t>(pieces.size()));
      for (int64_t r = 0; r < rows;) {
        qiao_piece p{};
        p.struct_size = sizeof p;
        p.dtype = t.dtype;
        p.data = bytes_[Index(i)].data() + (g * rows + r) * cols * ElementBytes(t.dtype);
        p.rows = r == 0 && cut ? cut : rows - r;
        p.cols = p.ld = cols;
        p.row0 = row0;
        p.group = static_cast<int32_t>(g);
        p.scheme = scheme;
        p.block[0] = p.block[1] = block;
        int64_t scales = 0;
        if (scheme == QIAO_SCHEME_CHANNEL) scales = row0 + p.rows;
        if (scheme == QIAO_SCHEME_BLOCK) {
          p.scale_ld = (cols + block - 1) / block;
          scales = (row0 + p.rows + block - 1) / block * p.scale_ld;
        }
        if (scales > 0) {
          auto& values = scales_.emplace_back(static_cast<size_t>(scales));
          for (float& v : values) v = scale(random_);
          p.scale = values.data();
        }
        pieces.push_back(p);
        r += p.rows;
      }
    }
    starts.push_back(static_cast<int32_t>(pieces.size()));
    views_.push_back({sizeof(qiao_weight_view), static_cast<uint32_t>(groups), starts.data(), pieces.data()});
    view_of_[Index(i)] = &views_.back();
  }
  std::vector<void*> Pointers() {
    std::vector<void*> pointers;
    for (size_t i = 0; i < tensor_.size(); ++i) {
      if (!packed_[i].empty()) {
        pointers.push_back(Aligned(packed_[i]));
        continue;
      }
      void* p =
          view_of_[i] ? const_cast<qiao_weight_view*>(view_of_[i]) : static_cast<void*>(bytes_[i].data());
      pointers.push_back(tensor_[i].dtype == QIAO_DTYPE_NONE ? nullptr : p);
    }
    return pointers;
  }
  KernelCall Call(std::vector<void*>& pointers, void* workspace) const {
    return {params_.data(), tensor_.data(), pointers.data(), batch.struct_size ? &batch : nullptr, workspace};
  }

  uint32_t op_;
  std::vector<std::byte> params_;
  std::vector<qiao_tensor> tensor_;
  std::deque<std::vector<std::byte>> bytes_;
  std::vector<const qiao_weight_view*> view_of_;
  std::vector<std::vector<std::byte>> packed_;  // of a weight that is packed; else empty
  std::deque<std::vector<qiao_piece>> pieces_;
  std::deque<std::vector<int32_t>> starts_;
  std::deque<std::vector<float>> scales_;
  std::deque<qiao_weight_view> views_;
  std::mt19937 random_{12345};
};

// max |a - b| / rms(b)
inline double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0, squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) return INFINITY;
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    squares += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return squares > 0 ? worst / std::sqrt(squares / static_cast<double>(b.size())) : worst;
}

// Runs `call` with the scalar kernels, then on every instruction set, and compares output argument `out`.
inline void ExpectLikeReference(TestCall& call, std::initializer_list<int> outs, double tolerance) {
  ThreadPool pool(2);
  std::vector<std::vector<std::byte>> before;
  std::vector<std::vector<float>> wanted;
  for (int out : outs) before.push_back(call.bytes(out));
  call.RunReference();
  for (int out : outs) wanted.push_back(call.Values(out));
  for (Isa isa : SupportedIsas()) {
    SCOPED_TRACE(std::string(Name(isa)));
    size_t i = 0;
    for (int out : outs) call.bytes(out) = before[i++];
    ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
    i = 0;
    for (int out : outs) EXPECT_LE(Distance(call.Values(out), wanted[i++]), tolerance) << "output " << out;
  }
}

}  // namespace qiao::kernels::cpu
