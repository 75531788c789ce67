// Elementwise operators as rows of a table: a name, what it computes, and how its arguments are called.
//
// An operator computes in one of three domains: int64 where all tensors are integers or bool, double where one is f64,
// else f32; the result is rounded once to the output's dtype. Shapes broadcast as NumPy's do.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "backends/ascend/emulator/nnopbase/executor.h"

namespace qiao::cann {

// A piece of a row: n elements of up to two operands, up to two scalars.
template <typename T>
struct Piece {
  const T *a, *b;
  const T* scalar;
  int64_t n;
  T* out;
};

// A function for each domain. `floats`: integers go to f32 first (sin, division).
struct ElementFunction {
  void (*f32)(const Piece<float>&);
  void (*f64)(const Piece<double>&);
  void (*i64)(const Piece<int64_t>&);  // null: integers go to f32 first
};

// F()(a, b, s, t) for T in each of the domains; s, t are the scalars.
template <class F, typename T>
void ElementLoop(const Piece<T>& p) {
  const T s = p.scalar[0], t = p.scalar[1];
  for (int64_t i = 0; i < p.n; ++i) p.out[i] = F()(p.a[i], p.b[i], s, t);
}
template <class F, bool kFloats>
constexpr ElementFunction MakeElementFunction() {
  ElementFunction f{ElementLoop<F, float>, ElementLoop<F, double>, nullptr};
  if constexpr (!kFloats) f.i64 = ElementLoop<F, int64_t>;
  return f;
}

// The first phase, after all arguments were added to `op`: out = f(a, b or a) with the scalars (null: 0). `b` is -1
// where there is one operand only. The first `promoting` scalars take integer tensors to f32 where they are floats; the
// others (alpha) are converted to the tensors' domain.
aclnnStatus FinishElementwise(Operator* op, const ElementFunction& f, int a, int b, int out,
                              std::initializer_list<const aclScalar*> scalars, size_t promoting = 0);

}  // namespace qiao::cann
