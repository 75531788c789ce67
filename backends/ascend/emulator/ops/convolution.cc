// Convolution in one and two dimensions, and its rows (Im2col).
#include <aclnnop/aclnn_convolution.h>
#include <aclnnop/aclnn_im2col.h>

#include "backends/ascend/emulator/ops/loops.h"
#include "backends/ascend/emulator/ops/product.h"
#include "backends/ascend/emulator/ops/window.h"

using namespace qiao::cann;

namespace {

// [.., C, L] as [.., C, 1, L].
View Planar(const View& v) { return v.rank == 3 ? v.Insert(2) : v; }

struct Convolved {
  Windows window;
  int64_t groups = 1;
  bool transposed = false;
};

// As f32, rounded as the matrix unit rounds its operands.
Buffer Operand(const View& v, F32Operands operands) {
  Buffer to = Converted(v, ACL_FLOAT);
  if (v.dtype == ACL_FLOAT) RoundOperands(to.as<float>(), v.elements(), operands);
  return to;
}

// All contiguous f32, rank 4; sums in double, one store.
void Convolve(const View& in, const View& weight, const View& out, const float* bias, const Convolved& how) {
  const int64_t in_group = in.size(1) / how.groups, out_group = out.size(1) / how.groups;
  const Window &vertical = how.window[0], &horizontal = how.window[1];
  // The position of the input that kernel element k meets at output position o; -1: none.
  auto meets = [&](const Window& w, int64_t o, int64_t k, int64_t n) -> int64_t {
    if (!how.transposed) {
      const int64_t i = o * w.stride - w.before + k * w.dilation;
      return i >= 0 && i < n ? i : -1;
    }
    const int64_t i = o + w.before - k * w.dilation;
    return i >= 0 && i % w.stride == 0 && i / w.stride < n ? i / w.stride : -1;
  };
  Pool().ParallelFor(out.size(0) * out.size(1), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t n = plane / out.size(1), co = plane % out.size(1), group = co / out_group;
      for (int64_t r = 0; r < out.size(2); ++r) {
        for (int64_t c = 0; c < out.size(3); ++c) {
          double sum = 0;
          for (int64_t i = 0; i < vertical.kernel; ++i) {
            const int64_t y = meets(vertical, r, i, in.size(2));
            if (y < 0) continue;
            for (int64_t j = 0; j < horizontal.kernel; ++j) {
              const int64_t x = meets(horizontal, c, j, in.size(3));
              if (x < 0) continue;
              for (int64_t k = 0; k < in_group; ++k) {
                const int64_t ci = group * in_group + k;
                const int64_t w = how.transposed ? ci * weight.step(0) + (co % out_group) * weight.step(1)
                                                 : co * weight.step(0) + k * weight.step(1);
                sum += static_cast<double>(
                           in.as<float>()[n * in.step(0) + ci * in.step(1) + y * in.step(2) + x]) *
                       static_cast<double>(weight.as<float>()[w + i * weight.step(2) + j]);
              }
            }
          }
          if (bias) sum += static_cast<double>(bias[co]);
          out.as<float>()[plane * out.step(1) + r * out.step(2) + c] = static_cast<float>(sum);
        }
      }
    }
  });
}

}  // namespace

aclnnStatus aclnnConvolutionGetWorkspaceSize(const aclTensor* input, const aclTensor* weight,
                                             const aclTensor* bias, const aclIntArray* stride,
                                             const aclIntArray* padding, const aclIntArray* dilation,
                                             bool transposed, const aclIntArray* outputPadding,
                                             const int64_t groups, aclTensor* output, int8_t cubeMathType,
                                             uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnConvolution", workspaceSize, executor);
  const int x = op.In("input", input), w = op.In("weight", weight), b = op.MaybeIn("bias", bias),
            y = op.Out("output", output);
  for (const auto& [name, array] :
       {std::pair{"stride", stride}, {"padding", padding}, {"dilation", dilation}})
    op.Needs(name, array);
  op.DType(x, kFloats).DType(w, kFloats).DType(b, kFloats).DType(y, kFloats).SameDType(x, w).SameDType(x, y);
  op.Rank(x, 3, 4).Require(cubeMathType >= 0 && cubeMathType <= 3, "cubeMathType is %d; it must be 0 to 3",
                           cubeMathType);
  op.Require(groups > 0, "groups is %d", groups);
  if (!op.ok()) return op.Finish({});
  const View in = op.at(x), k = op.at(w);
  op.Rank(w, in.rank, in.rank).Rank(y, in.rank, in.rank);
  const auto dims = static_cast<size_t>(in.rank - 2);
  for (const auto* array : {stride, padding, dilation})
    op.Require(array->values.size() == 1 || array->values.size() == dims,
               "stride, padding and dilation have %d entries each", dims);
  op.Require(!transposed || !outputPadding || outputPadding->values.size() <= dims,
             "outputPadding has %d entries, not %d", outputPadding ? outputPadding->values.size() : 0, dims);
  if (!op.ok()) return op.Finish({});
  Convolved how;
  how.groups = groups;
  how.transposed = transposed;
  op.Require(in.size(1) % groups == 0 && k.size(0) % groups == 0, "input is %s, weight %s, in %d groups",
             in.ShapeString(), k.ShapeString(), groups);
  op.Require(transposed ? k.size(0) == in.size(1) : k.size(1) == in.size(1) / groups,
             "input is %s and weight %s, in %d groups: their channels differ", in.ShapeString(),
             k.ShapeString(), groups);
  const int64_t channels = transposed ? k.size(1) * groups : k.size(0);
  View expected = in;
  expected.dim[1] = channels;
  for (size_t d = 0; d < dims; ++d) {
    Window& window = how.window[d + 2 - dims];
    window.kernel = k.size(static_cast<int>(d) + 2);
    window.stride = EntryOf(stride, d, 1);
    window.dilation = EntryOf(dilation, d, 1);
    window.before = window.after = EntryOf(padding, d, 0);
    op.Require(window.good(), "a stride or a dilation is not positive, or a padding negative");
    if (!op.ok()) return op.Finish({});
    const int64_t n = in.size(static_cast<int>(d) + 2), extra = EntryOf(outputPadding, d, 0);
    expected.dim[d + 2] =
        transposed ? (n - 1) * window.stride - 2 * window.before + window.reach() + extra : window.Count(n);
  }
  op.Require(op.at(y).SameShape(expected), "output is %s; it must be %s", op.at(y).ShapeString(),
             expected.ShapeString());
  if (op.has(b)) op.Shape(b, {channels});
  const F32Operands operands = OperandsFor(cubeMathType);
  return op.Finish([=](const Args& args) {
    if (args[y].empty()) return;
    const Buffer from = Operand(args[x], operands), kernel = Operand(args[w], operands),
                 to(ACL_FLOAT, args[y]);
    Buffer add;
    if (args.has(b)) add = Converted(args[b], ACL_FLOAT);
    Convolve(Planar(from), Planar(kernel), Planar(to), args.has(b) ? add.as<float>() : nullptr, how);
    Convert(args[y], to);
  });
}
QIAO_ACLNN_LAUNCH(Convolution)

aclnnStatus aclnnIm2colGetWorkspaceSize(const aclTensor* self, const aclIntArray* kernelSize,
                                        const aclIntArray* dilation, const aclIntArray* padding,
                                        const aclIntArray* stride, const aclTensor* out,
                                        uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnIm2col", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.DType(x, kFloats).SameDType(x, y).Rank(x, 3, 4);
  for (const auto& [name, array] : {std::pair{"kernelSize", kernelSize},
                                    {"dilation", dilation},
                                    {"padding", padding},
                                    {"stride", stride}})
    if (op.Needs(name, array))
      op.Require(array->values.size() == 2, "%s has %d entries; it must have 2", name, array->values.size());
  if (!op.ok()) return op.Finish({});
  const View from = Batched(op.at(x));
  Windows w;
  std::array<int64_t, 2> count{};
  for (size_t d = 0; d < 2; ++d) {
    w[d].kernel = kernelSize->values[d];
    w[d].dilation = dilation->values[d];
    w[d].before = w[d].after = padding->values[d];
    w[d].stride = stride->values[d];
    op.Require(w[d].good(), "a kernel, stride or dilation is not positive, or a padding negative");
    if (!op.ok()) return op.Finish({});
    count[d] = w[d].Count(from.size(static_cast<int>(d) + 2));
  }
  const int64_t taps = w[0].kernel * w[1].kernel, places = count[0] * count[1];
  if (op.at(x).rank == 4) {
    op.Shape(y, {from.size(0), from.size(1) * taps, places});
  } else {
    op.Shape(y, {from.size(1) * taps, places});
  }
  return op.Finish([=](const Args& args) {
    const View in = Batched(args[x]);
    const View to = args[y].rank == 2 ? args[y].Insert(0) : args[y];
    if (to.empty()) return;
    Pool().ParallelFor(to.size(0) * to.size(1), RowGrain(places), [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(places)), line(static_cast<size_t>(in.size(3)));
      for (int64_t r = begin; r < end; ++r) {
        const int64_t n = r / to.size(1), c = r % to.size(1) / taps, ky = r % taps / w[1].kernel,
                      kx = r % w[1].kernel;
        const View plane = in.Select(0, n).Select(0, c);
        for (int64_t i = 0; i < count[0]; ++i) {
          const int64_t v = i * w[0].stride - w[0].before + ky * w[0].dilation;
          const bool inside = v >= 0 && v < in.size(2);
          if (inside) LoadRow(plane.dtype, plane.Row(v), plane.step(-1), plane.size(-1), line.data());
          for (int64_t j = 0; j < count[1]; ++j) {
            const int64_t h = j * w[1].stride - w[1].before + kx * w[1].dilation;
            row[static_cast<size_t>(i * count[1] + j)] =
                inside && h >= 0 && h < in.size(3) ? line[static_cast<size_t>(h)] : 0.0f;
          }
        }
        StoreRow(to.dtype, to.Row(r), to.step(-1), places, row.data());
      }
    });
  });
}
QIAO_ACLNN_LAUNCH(Im2col)
