#include "backends/ascend/emulator/ops/elementwise.h"

#include <aclnnop/aclnn_abs.h>
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_clamp.h>
#include <aclnnop/aclnn_cos.h>
#include <aclnnop/aclnn_div.h>
#include <aclnnop/aclnn_masked_fill_scalar.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_nan_to_num.h>
#include <aclnnop/aclnn_ne_tensor.h>
#include <aclnnop/aclnn_sin.h>
#include <aclnnop/aclnn_sub.h>

#include <cmath>

#include "backends/ascend/emulator/ops/elementwise_rows.h"
#include "backends/ascend/emulator/ops/loops.h"

namespace qiao::cann {
namespace {

template <typename T>
void Run(void (*f)(const Piece<T>&), const View& out, const View& a, const View& b,
         const std::array<T, 2>& scalar) {
  MapRows<T, 2>(out, {a.BroadcastTo(out), b.BroadcastTo(out)}, [&](const auto& in, int64_t n, T* result) {
    f({in[0].data(), in[1].data(), scalar.data(), n, result});
  });
}

}  // namespace

aclnnStatus FinishElementwise(Operator* op, const ElementFunction& f, int a, int b, int out,
                              std::initializer_list<const aclScalar*> scalars, size_t promoting) {
  if (!op->ok()) return op->Finish({});
  bool floats = !f.i64, doubles = false;
  for (int slot : {a, b}) {
    if (slot < 0) continue;
    const View& v = op->at(slot);
    op->Require(HasElements(v.dtype), "%s is %s, which has no arithmetic", op->name(slot), NameOf(v.dtype));
    op->Require(v.BroadcastsTo(op->at(out)), "%s is %s, which does not broadcast to %s of %s", op->name(slot),
                v.ShapeString(), op->at(out).ShapeString(), op->name(out));
    floats = floats || IsFloat(v.dtype);
    doubles = doubles || v.dtype == ACL_DOUBLE;
  }
  op->Require(HasElements(op->at(out).dtype), "%s is %s, which has no arithmetic", op->name(out),
              NameOf(op->at(out).dtype));
  std::array<double, 2> real{};
  std::array<int64_t, 2> whole{};
  size_t i = 0;
  for (const aclScalar* s : scalars) {
    if (s) {
      floats = floats || (i < promoting && IsFloat(s->dtype));
      real[i] = s->ToDouble();
      whole[i] = s->ToInt64();
    }
    ++i;
  }
  const int second = b < 0 ? a : b;
  return op->Finish([=](const Args& args) {
    const View &x = args[a], &y = args[second], &to = args[out];
    if (doubles) {
      Run<double>(f.f64, to, x, y, real);
    } else if (floats) {
      Run<float>(f.f32, to, x, y, {static_cast<float>(real[0]), static_cast<float>(real[1])});
    } else {
      Run<int64_t>(f.i64, to, x, y, whole);
    }
  });
}

}  // namespace qiao::cann

// clang-format off
QIAO_UNARY(Abs, "self", false, a < 0 || (a == 0 && std::signbit(static_cast<double>(a))) ? -a : a)
QIAO_UNARY(Cos, "input", true, std::cos(a))
QIAO_UNARY(Sin, "input", true, std::sin(a))
QIAO_BINARY_ALPHA(Add, false, a + s * b)
QIAO_BINARY_ALPHA(Sub, false, a - s * b)
QIAO_BINARY(Mul, false, a * b)
QIAO_BINARY(Div, true, a / b)
QIAO_BINARY(NeTensor, false, a != b)
QIAO_SCALAR(Muls, false, a * s)
QIAO_SCALAR(Divs, true, a / s)
QIAO_FUNCTION(Adds, false, a + t * s)
QIAO_FUNCTION(ClampMinMax, false, (a < s ? s : a) > t ? t : a < s ? s : a)
QIAO_FUNCTION(ClampMin, false, a < s ? s : a)
QIAO_FUNCTION(ClampMax, false, a > t ? t : a)
QIAO_FUNCTION(MaskedFill, false, b != 0 ? s : a)
// clang-format on

aclnnStatus aclnnAddsGetWorkspaceSize(const aclTensor* self, const aclScalar* other, const aclScalar* alpha,
                                      aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnAdds", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Needs("other", other);
  op.Needs("alpha", alpha);
  op.SameShape(x, y);
  return FinishElementwise(&op, kAdds, x, -1, y, {other, alpha}, 1);
}
QIAO_ACLNN_LAUNCH(Adds)

aclnnStatus aclnnClampGetWorkspaceSize(const aclTensor* self, const aclScalar* clipValueMin,
                                       const aclScalar* clipValueMax, aclTensor* out, uint64_t* workspaceSize,
                                       aclOpExecutor** executor) {
  Operator op("aclnnClamp", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  if (!clipValueMin) op.Needs("clipValueMin and clipValueMax", clipValueMax);
  op.SameShape(x, y);
  const auto& f = !clipValueMin ? kClampMax : !clipValueMax ? kClampMin : kClampMinMax;
  return FinishElementwise(&op, f, x, -1, y, {clipValueMin, clipValueMax}, 2);
}
QIAO_ACLNN_LAUNCH(Clamp)

aclnnStatus aclnnClampMinGetWorkspaceSize(const aclTensor* self, const aclScalar* clipValueMin,
                                          aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnClampMin", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.Needs("clipValueMin", clipValueMin);
  op.SameShape(x, y);
  return FinishElementwise(&op, kClampMin, x, -1, y, {clipValueMin}, 1);
}
QIAO_ACLNN_LAUNCH(ClampMin)

aclnnStatus aclnnInplaceMaskedFillScalarGetWorkspaceSize(aclTensor* selfRef, const aclTensor* mask,
                                                         const aclScalar* value, uint64_t* workspaceSize,
                                                         aclOpExecutor** executor) {
  Operator op("aclnnInplaceMaskedFillScalar", workspaceSize, executor);
  const int x = op.InOut("selfRef", selfRef), m = op.In("mask", mask);
  op.Needs("value", value);
  op.DType(m, {ACL_BOOL, ACL_INT8, ACL_UINT8});
  return FinishElementwise(&op, kMaskedFill, x, m, x, {value});
}
QIAO_ACLNN_LAUNCH(InplaceMaskedFillScalar)

aclnnStatus aclnnNanToNumGetWorkspaceSize(const aclTensor* self, float nan, float posinf, float neginf,
                                          aclTensor* out, uint64_t* workspaceSize, aclOpExecutor** executor) {
  Operator op("aclnnNanToNum", workspaceSize, executor);
  const int x = op.In("self", self), y = op.Out("out", out);
  op.SameShape(x, y);
  if (op.ok())
    op.Require(qiao::cann::HasElements(op.at(x).dtype) && qiao::cann::HasElements(op.at(y).dtype),
               "self is %s and out %s", qiao::cann::NameOf(op.at(x).dtype),
               qiao::cann::NameOf(op.at(y).dtype));
  return op.Finish([=](const qiao::cann::Args& args) {
    if (!qiao::cann::IsFloat(args[x].dtype)) return qiao::cann::Convert(args[y], args[x]);
    qiao::cann::MapRows<double, 1>(args[y], {args[x]}, [=](const auto& in, int64_t n, double* result) {
      for (int64_t i = 0; i < n; ++i) {
        const double v = in[0][static_cast<size_t>(i)];
        result[i] = std::isnan(v)   ? static_cast<double>(nan)
                    : std::isinf(v) ? static_cast<double>(v > 0 ? posinf : neginf)
                                    : v;
      }
    });
  });
}
QIAO_ACLNN_LAUNCH(NanToNum)
