// The rows of the elementwise operators' table, to be included by the files that hold some of it.
#pragma once

#include "backends/ascend/emulator/ops/elementwise.h"

using qiao::cann::FinishElementwise;
using qiao::cann::MakeElementFunction;
using qiao::cann::Operator;

// The table. a, b: the operands; s, t: the scalars; all of type T. kFloats: integers are made f32 first.
#define QIAO_FUNCTION(NAME, FLOATS, ...)                                           \
  namespace {                                                                      \
  struct NAME##Of {                                                                \
    template <typename T>                                                          \
    T operator()([[maybe_unused]] T a, [[maybe_unused]] T b, [[maybe_unused]] T s, \
                 [[maybe_unused]] T t) const {                                     \
      return static_cast<T>(__VA_ARGS__);                                          \
    }                                                                              \
  };                                                                               \
  constexpr auto k##NAME = MakeElementFunction<NAME##Of, FLOATS>();                \
  }
// out = f(self)
#define QIAO_UNARY(NAME, SELF, FLOATS, ...)                                                                 \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                                  \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(const aclTensor* self, aclTensor* out, uint64_t* workspaceSize, \
                                            aclOpExecutor** executor) {                                     \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                                    \
    const int x = op.In(SELF, self), y = op.Out("out", out);                                                \
    op.SameShape(x, y);                                                                                     \
    return FinishElementwise(&op, k##NAME, x, -1, y, {});                                                   \
  }                                                                                                         \
  QIAO_ACLNN_LAUNCH(NAME)
// The same for floats of one dtype only; OUT is out's type.
#define QIAO_UNARY_FLOAT(NAME, SELF, OUT, ...)                                                       \
  QIAO_FUNCTION(NAME, true, __VA_ARGS__)                                                             \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(const aclTensor* self, OUT out, uint64_t* workspaceSize, \
                                            aclOpExecutor** executor) {                              \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                             \
    const int x = op.In(SELF, self), y = op.Out("out", out);                                         \
    op.DType(x, qiao::cann::kFloats).SameDType(x, y).SameShape(x, y);                                \
    return FinishElementwise(&op, k##NAME, x, -1, y, {});                                            \
  }                                                                                                  \
  QIAO_ACLNN_LAUNCH(NAME)
// out = f(self, other)
#define QIAO_BINARY(NAME, FLOATS, ...)                                                                     \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                                 \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(const aclTensor* self, const aclTensor* other, aclTensor* out, \
                                            uint64_t* workspaceSize, aclOpExecutor** executor) {           \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                                   \
    const int x = op.In("self", self), y = op.In("other", other), z = op.Out("out", out);                  \
    return FinishElementwise(&op, k##NAME, x, y, z, {});                                                   \
  }                                                                                                        \
  QIAO_ACLNN_LAUNCH(NAME)
// out = f(self, other, alpha)
#define QIAO_BINARY_ALPHA(NAME, FLOATS, ...)                                                                 \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                                   \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(const aclTensor* self, const aclTensor* other,                   \
                                            const aclScalar* alpha, aclTensor* out, uint64_t* workspaceSize, \
                                            aclOpExecutor** executor) {                                      \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                                     \
    const int x = op.In("self", self), y = op.In("other", other), z = op.Out("out", out);                    \
    op.Needs("alpha", alpha);                                                                                \
    return FinishElementwise(&op, k##NAME, x, y, z, {alpha});                                                \
  }                                                                                                          \
  QIAO_ACLNN_LAUNCH(NAME)
// out = f(self, scalar)
#define QIAO_SCALAR(NAME, FLOATS, ...)                                                                     \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                                 \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(const aclTensor* self, const aclScalar* other, aclTensor* out, \
                                            uint64_t* workspaceSize, aclOpExecutor** executor) {           \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                                   \
    const int x = op.In("self", self), y = op.Out("out", out);                                             \
    op.Needs("other", other);                                                                              \
    op.SameShape(x, y);                                                                                    \
    return FinishElementwise(&op, k##NAME, x, -1, y, {other}, 1);                                          \
  }                                                                                                        \
  QIAO_ACLNN_LAUNCH(NAME)
// selfRef = f(selfRef)
#define QIAO_INPLACE_UNARY(NAME, SELF, FLOATS, ...)                                   \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                            \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(aclTensor* self, uint64_t* workspaceSize, \
                                            aclOpExecutor** executor) {               \
    Operator op("aclnn" #NAME, workspaceSize, executor);                              \
    const int x = op.InOut(SELF, self);                                               \
    return FinishElementwise(&op, k##NAME, x, -1, x, {});                             \
  }                                                                                   \
  QIAO_ACLNN_LAUNCH(NAME)
// selfRef = f(selfRef, other), TENSOR being selfRef's type
#define QIAO_INPLACE_BINARY(NAME, TENSOR, SELF, OTHER, FLOATS, ...)                                       \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                                \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(TENSOR self, const aclTensor* other, uint64_t* workspaceSize, \
                                            aclOpExecutor** executor) {                                   \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                                  \
    const int x = op.InOut(SELF, self), y = op.In(OTHER, other);                                          \
    return FinishElementwise(&op, k##NAME, x, y, x, {});                                                  \
  }                                                                                                       \
  QIAO_ACLNN_LAUNCH(NAME)
// selfRef = f(selfRef, other, alpha)
#define QIAO_INPLACE_BINARY_ALPHA(NAME, FLOATS, ...)                                                         \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                                   \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(aclTensor* self, const aclTensor* other, const aclScalar* alpha, \
                                            uint64_t* workspaceSize, aclOpExecutor** executor) {             \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                                     \
    const int x = op.InOut("selfRef", self), y = op.In("other", other);                                      \
    op.Needs("alpha", alpha);                                                                                \
    return FinishElementwise(&op, k##NAME, x, y, x, {alpha});                                                \
  }                                                                                                          \
  QIAO_ACLNN_LAUNCH(NAME)
// selfRef = f(selfRef, scalar)
#define QIAO_INPLACE_SCALAR(NAME, SCALAR, FLOATS, ...)                                           \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                       \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(aclTensor* self, const aclScalar* scalar,            \
                                            uint64_t* workspaceSize, aclOpExecutor** executor) { \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                         \
    const int x = op.InOut("selfRef", self);                                                     \
    op.Needs(SCALAR, scalar);                                                                    \
    return FinishElementwise(&op, k##NAME, x, -1, x, {scalar}, 1);                               \
  }                                                                                              \
  QIAO_ACLNN_LAUNCH(NAME)
// selfRef = f(selfRef, scalar s, scalar t)
#define QIAO_INPLACE_SCALARS(NAME, FIRST, SECOND, FLOATS, ...)                                \
  QIAO_FUNCTION(NAME, FLOATS, __VA_ARGS__)                                                    \
  aclnnStatus aclnn##NAME##GetWorkspaceSize(aclTensor* self, const aclScalar* first,          \
                                            const aclScalar* second, uint64_t* workspaceSize, \
                                            aclOpExecutor** executor) {                       \
    Operator op("aclnn" #NAME, workspaceSize, executor);                                      \
    const int x = op.InOut("selfRef", self);                                                  \
    op.Needs(FIRST, first);                                                                   \
    op.Needs(SECOND, second);                                                                 \
    return FinishElementwise(&op, k##NAME, x, -1, x, {first, second}, 1);                     \
  }                                                                                           \
  QIAO_ACLNN_LAUNCH(NAME)
