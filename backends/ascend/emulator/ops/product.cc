#include "backends/ascend/emulator/ops/product.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <vector>

#include "backends/ascend/emulator/nnopbase/fractal.h"
#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/runtime/emulator.h"

namespace qiao::cann {
namespace {

// To 11 bits of mantissa, the leading one among them, to nearest, ties to even.
float ToHf32(float v) {
  uint32_t bits = std::bit_cast<uint32_t>(v);
  if ((bits & 0x7f800000u) == 0x7f800000u) return v;
  constexpr int kDropped = 13;
  bits += (1u << (kDropped - 1)) - 1 + ((bits >> kDropped) & 1);
  return std::bit_cast<float>(bits & ~((1u << kDropped) - 1));
}

Buffer Rounded(const View& v, F32Operands operands) {
  Buffer to(ACL_FLOAT, v);
  MapRows<float, 1>(to, {v}, [=](const auto& in, int64_t n, float* out) {
    std::copy_n(in[0].data(), n, out);
    RoundOperands(out, n, operands);
  });
  return to;
}

// Whether the view's rows can be walked as a kernel's rows.
bool HasRows(const View& v) { return v.size(-1) <= 1 || v.step(-1) == 1; }

// b as a weight: rows of [N, K], or of [K, N] when transposed.
struct Weight {
  Buffer memory;  // where it had to be copied
  View rows;
  bool transposed = false;
};

// `only_nk`: kernels of quantised rows do not take [K, N].
Weight AsWeight(const View& b, bool only_nk) {
  Weight w;
  if (b.format == ACL_FORMAT_FRACTAL_NZ) {
    // Unpacked as it was converted; what was [K, N] is turned where it may not stay so.
    const bool turned = FractalTransposed(b);
    w.memory = turned ? Buffer(b.dtype, {b.size(1), b.size(0)}) : Buffer(b.dtype, {b.size(0), b.size(1)});
    w.rows = w.memory;
    FromFractal(turned ? w.rows.Swap(0, 1) : w.rows, b);
    w.transposed = !turned;
    if (w.transposed && only_nk) {
      w.memory = Converted(w.rows.Swap(0, 1), b.dtype);
      w.rows = w.memory;
      w.transposed = false;
    }
    return w;
  }
  const View t = b.Swap(0, 1);
  if (HasRows(t) && (t.size(0) <= 1 || t.step(0) >= t.size(1))) {
    w.rows = t;
  } else if (!only_nk && HasRows(b) && (b.size(0) <= 1 || b.step(0) >= b.size(1))) {
    w.rows = b;
    w.transposed = true;
  } else {
    w.memory = Converted(t, b.dtype);
    w.rows = w.memory;
  }
  return w;
}

void AddBiasAndStore(const View& sum, const View& out, const float* bias) {
  if (!bias) return Convert(out, sum);
  const View b = View::Of(ACL_FLOAT, {out.size(1)}, bias);
  MapRows<float, 2>(out, {sum, b.BroadcastTo(out)}, [](const auto& in, int64_t n, float* to) {
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) to[i] = in[0][i] + in[1][i];
  });
}

qiao_tensor WeightTensor(const View& rows) {
  qiao_tensor t = Describe(rows.Insert(0));
  t.stride[0] = 0;
  if (rows.size(0) <= 1) t.stride[1] = rows.size(1);
  return t;
}

// A weight as one piece with scales.
struct Piece {
  qiao_piece piece{};
  int32_t start[2] = {0, 1};
  qiao_weight_view view{};
  qiao_tensor tensor{};

  Piece(const View& rows, uint32_t scheme, const float* scale, int64_t scale_ld, int32_t block) {
    piece.struct_size = sizeof(piece);
    piece.dtype = QiaoDType(rows.dtype);
    piece.data = rows.data();
    piece.rows = rows.size(0);
    piece.cols = rows.size(1);
    piece.ld = rows.size(0) <= 1 ? rows.size(1) : rows.step(0);
    piece.scheme = scheme;
    piece.scale = scale;
    piece.scale_ld = scale_ld;
    piece.block[0] = piece.block[1] = block;
    view.struct_size = sizeof(view);
    view.groups = 1;
    view.group_start = start;
    view.piece = &piece;
    tensor = WeightTensor(rows);
    tensor.layout = QIAO_LAYOUT_PIECES;
    tensor.scheme = scheme;
    tensor.block[0] = tensor.block[1] = block;
  }
  Piece(const Piece&) = delete;
};

// Rows with stride 1.
bool HoldsLeastI8(const View& v) {
  std::atomic<bool> found = false;
  Pool().ParallelFor(v.size(0), RowGrain(v.size(1)), [&](int64_t begin, int64_t end, int) {
    int8_t least = 0;
    for (int64_t r = begin; r < end && !found; ++r) {
      const auto* row = reinterpret_cast<const int8_t*>(v.Row(r));
      for (int64_t c = 0; c < v.size(1); ++c) least = std::min(least, row[c]);
      if (least == std::numeric_limits<int8_t>::min()) found = true;
    }
  });
  return found;
}

// The sums themselves, which the kernels keep to themselves.
void Sums(const View& a, const View& w, const View& out, const int32_t* bias) {
  const int64_t k_size = a.size(1), n_size = w.size(0);
  Pool().ParallelFor(a.size(0) * n_size, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, k_size)),
                     [&](int64_t begin, int64_t end, int) {
                       for (int64_t i = begin; i < end; ++i) {
                         const int64_t m = i / n_size, n = i % n_size;
                         const auto* x = reinterpret_cast<const int8_t*>(a.Row(m));
                         const auto* y = reinterpret_cast<const int8_t*>(w.Row(n));
                         uint32_t sum =
                             bias ? static_cast<uint32_t>(bias[n]) : 0;  // wraps as the hardware's does
                         for (int64_t k = 0; k < k_size; ++k)
                           sum += static_cast<uint32_t>(int{x[k]} * int{y[k]});
                         reinterpret_cast<int32_t*>(out.Row(m))[n * out.step(1)] = static_cast<int32_t>(sum);
                       }
                     });
}

}  // namespace

View MatrixOf(View v, const View& to, int64_t i) {
  while (v.rank < to.rank) v = v.Insert(0);
  for (int d = 0; d < to.rank - 2; ++d) {
    if (v.size(d) == 1) v.stride[static_cast<size_t>(d)] = 0;
    v.dim[static_cast<size_t>(d)] = to.size(d);
  }
  v.offset += v.OffsetOf(i, 0, v.rank - 2);
  while (v.rank > 2) v = v.Select(0, 0);
  return v;
}

F32Operands OperandsFor(int64_t cube_math_type) {
  if (ExactMode() || cube_math_type == 0) return F32Operands::kKeep;
  return cube_math_type == 2 ? F32Operands::kF16 : F32Operands::kHf32;
}

void RoundOperands(float* values, int64_t n, F32Operands operands) {
  if (operands == F32Operands::kKeep) return;
  for (int64_t i = 0; i < n; ++i)
    values[i] = operands == F32Operands::kHf32 ? ToHf32(values[i]) : F16ToFloat(FloatToF16(values[i]));
}

void Product(const View& a, const View& b, const View& out, F32Operands operands, const float* bias) {
  if (out.empty()) return;
  const bool round = operands != F32Operands::kKeep;
  // Rows are f32 or bf16, as the kernels take them; f16 becomes f32, which is exact.
  Buffer a_memory, b_memory;
  View x = a;
  if (a.dtype == ACL_FLOAT && round) {
    a_memory = Rounded(a, operands);
    x = a_memory;
  } else if (a.dtype == ACL_FLOAT16 || !HasRows(a)) {
    a_memory = Converted(a, a.dtype == ACL_FLOAT16 ? ACL_FLOAT : a.dtype);
    x = a_memory;
  }
  View y = b;
  if (b.dtype == ACL_FLOAT && round) {
    b_memory = Rounded(b, operands);
    y = b_memory;
  }
  const Weight w = AsWeight(y, false);
  // The kernel writes x's dtype, or f32.
  const bool direct = !bias && HasRows(out) && (out.dtype == ACL_FLOAT || out.dtype == x.dtype);
  Buffer sum;
  if (!direct) sum = Buffer(ACL_FLOAT, out);
  if (x.size(1) == 0) {
    if (direct) sum = Buffer(ACL_FLOAT, out);
    std::memset(sum.view().data(), 0, static_cast<size_t>(out.elements()) * sizeof(float));
    return AddBiasAndStore(sum, out, bias);
  }
  const qiao_linear_params params{sizeof(params), w.transposed};
  KernelRun(QIAO_OP_LINEAR, &params)
      .Add(x)
      .AddAbsent()
      .Add(WeightTensor(w.rows), w.rows.data())
      .AddAbsent()
      .AddAbsent()
      .Add(direct ? out : sum.view())
      .Run();
  if (!direct) AddBiasAndStore(sum, out, bias);
}

void IntegerProduct(const View& a, const View& b, const View& out, const IntegerScales& scales) {
  if (out.empty()) return;
  const int64_t m_size = a.size(0), n_size = b.size(1), k_size = a.size(1);
  Buffer a_memory;
  View x = a;
  if (!HasRows(a)) {
    a_memory = Converted(a, ACL_INT8);
    x = a_memory;
  }
  const Weight w = AsWeight(b, true);
  constexpr int64_t kKernelK = 131072;
  const bool kernel = out.dtype != ACL_INT32 && !scales.integer_bias && k_size > 0 && k_size <= kKernelK &&
                      !HoldsLeastI8(x) && !HoldsLeastI8(w.rows);
  if (!kernel) {
    if (out.dtype == ACL_INT32) return Sums(x, w.rows, out, scales.integer_bias);
    Buffer sums(ACL_INT32, {m_size, n_size}), products(ACL_FLOAT, {m_size, n_size});
    Sums(x, w.rows, sums, scales.integer_bias);
    for (int64_t m = 0; m < m_size; ++m) {
      const float row = scales.a_scale ? scales.a_scale[m] : 1.0f;
      for (int64_t n = 0; n < n_size; ++n)
        products.as<float>()[m * n_size + n] =
            static_cast<float>(sums.as<int32_t>()[m * n_size + n]) * (row * scales.b_scale[n]);
    }
    return AddBiasAndStore(products, out, scales.bias);
  }
  const qiao_linear_params params{sizeof(params), 0};
  std::vector<float> ones;
  if (!scales.a_scale) ones.assign(static_cast<size_t>(m_size), 1.0f);
  qiao_tensor rows = Describe(x);
  rows.scheme = QIAO_SCHEME_CHANNEL;
  const bool direct = !scales.bias && HasRows(out) && (out.dtype == ACL_FLOAT || out.dtype == ACL_BF16);
  Buffer sum;
  if (!direct) sum = Buffer(ACL_FLOAT, out);
  Piece piece(w.rows, QIAO_SCHEME_CHANNEL, scales.b_scale, 0, 0);
  KernelRun(QIAO_OP_LINEAR, &params)
      .Add(rows, x.data())
      .Add(View::Of(ACL_FLOAT, {m_size, 1}, scales.a_scale ? scales.a_scale : ones.data()))
      .Add(piece.tensor, &piece.view)
      .AddAbsent()
      .AddAbsent()
      .Add(direct ? out : sum.view())
      .Run();
  if (!direct) AddBiasAndStore(sum, out, scales.bias);
}

void BlockProduct(const View& a, const View& b, const View& a_scale, const View& b_scale, const View& out,
                  const float* bias) {
  if (out.empty()) return;
  Buffer a_memory;
  View x = a;
  if (!HasRows(a)) {
    a_memory = Converted(a, a.dtype);
    x = a_memory;
  }
  const Weight w = AsWeight(b, true);
  const Buffer rows_scale = Converted(a_scale, ACL_FLOAT);
  const Buffer weight_scale = Converted(b_scale.Swap(0, 1), ACL_FLOAT);  // [N / 128, K / 128]
  const bool direct = !bias && HasRows(out) && (out.dtype == ACL_FLOAT || out.dtype == ACL_BF16);
  Buffer sum;
  if (!direct) sum = Buffer(ACL_FLOAT, out);
  const qiao_linear_params params{sizeof(params), 0};
  qiao_tensor rows = Describe(x);
  rows.scheme = QIAO_SCHEME_BLOCK;
  rows.block[0] = 1;
  rows.block[1] = kBlock;
  Piece piece(w.rows, QIAO_SCHEME_BLOCK, weight_scale.as<float>(), weight_scale.view().size(1), kBlock);
  KernelRun(QIAO_OP_LINEAR, &params)
      .Add(rows, x.data())
      .Add(rows_scale)
      .Add(piece.tensor, &piece.view)
      .AddAbsent()
      .AddAbsent()
      .Add(direct ? out : sum.view())
      .Run();
  if (!direct) AddBiasAndStore(sum, out, bias);
}

namespace {

// Every row of every tile: copy(row of the converted matrix, first column, columns, its place in the fractal). A few tiles
// together, so that both sides are walked by whole cache lines.
template <class CopyTile>
void WalkFractal(const Fractal& f, char* memory, int64_t bytes, CopyTile copy) {
  constexpr int64_t kTogether = 4;
  Pool().ParallelFor(f.row_tiles(), RowGrain(f.cols * Fractal::kRows), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t first = 0; first < f.col_tiles(); first += kTogether)
        for (int64_t r = i * Fractal::kRows; r < std::min(f.rows, (i + 1) * Fractal::kRows); ++r)
          for (int64_t tile = first; tile < std::min(f.col_tiles(), first + kTogether); ++tile)
            copy(r, tile * f.c0, std::min(f.c0, f.cols - tile * f.c0), memory + f.TileRow(r, tile) * bytes);
  });
}

// A tile's row, mostly of 32 bytes.
void CopyTileRow(char* to, int64_t to_step, const char* from, int64_t from_step, int64_t n, int64_t bytes) {
  if (to_step == 1 && from_step == 1 && n * bytes == 32) {
    std::memcpy(to, from, 32);
  } else {
    CopyRow(bytes, to, to_step, from, from_step, n);
  }
}

}  // namespace

void FromFractal(const View& plain, const View& fractal) {
  const Fractal f = FractalOf(fractal);
  const View p = FractalTransposed(fractal) ? plain.Swap(0, 1) : plain;
  const int64_t bytes = BytesOf(plain.dtype);
  WalkFractal(f, FractalData(fractal, 0), bytes, [&](int64_t r, int64_t c, int64_t n, char* tile) {
    CopyTileRow(p.Row(r) + c * p.step(1) * bytes, p.step(1), tile, 1, n, bytes);
  });
}

void ToFractal(const View& fractal, const View& plain) {
  const Fractal f = FractalOf(fractal);
  const View p = FractalTransposed(fractal) ? plain.Swap(0, 1) : plain;
  const int64_t bytes = BytesOf(plain.dtype);
  char* memory = FractalData(fractal, 0);
  std::memset(memory, 0, static_cast<size_t>(f.elements() * bytes));
  WalkFractal(f, memory, bytes, [&](int64_t r, int64_t c, int64_t n, char* tile) {
    CopyTileRow(tile, 1, p.Row(r) + c * p.step(1) * bytes, p.step(1), n, bytes);
  });
}

}  // namespace qiao::cann
