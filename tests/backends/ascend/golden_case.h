// The cases of tests/golden/aclnn as the tests read them; golden.py there says what the fields mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::ascend_test {

enum class Element { kF32, kF16, kBf16, kI8, kU8, kI32, kI64, kBool, kF8E4M3 };

int ElementBytes(Element element);
// Integers beyond 2^53 do not occur.
double ReadElement(Element element, const std::byte* at);
void WriteElement(Element element, double value, std::byte* at);
// The distance from |value| to the next larger number of the dtype; 1 for integers.
double UnitInTheLastPlace(Element element, double value);

struct GoldenTensor {
  enum class Role { kNull, kInput, kOutput, kInPlace };

  std::string name;
  Role role = Role::kNull;
  Element element = Element::kF32;
  // The elements that are compared: of the buffer where `view_shape` says how the operand itself is described.
  std::vector<int64_t> shape, strides;
  int64_t offset = 0;
  std::vector<int64_t> view_shape;  // shape, mostly
  std::vector<int64_t> view_strides;
  std::vector<int64_t> storage;  // of FRACTAL_NZ its own dimensions, otherwise one
  int format = 2;
  std::vector<std::byte> data, want;  // whole buffers; data is empty of an output, want of an input
  double absolute = 0, ulps = 0;
  std::optional<double> share;
  int64_t count = 0;  // elements that are defined: 0 all, -1 none
};

struct GoldenCase {
  std::string name, op;
  std::string profile;  // empty: any
  Json attributes;
  std::vector<GoldenTensor> tensors;

  const GoldenTensor* Find(std::string_view tensor) const;
};

// All families, read once. Inputs that are to be made again are made, so this takes a moment and some memory.
absl::StatusOr<std::vector<GoldenCase>> ReadGoldenCases(std::string_view op);
// The operators that have cases, and for those with a profile OP@PROFILE.
absl::StatusOr<std::vector<std::string>> GoldenOperators();

// Of a view: where element `index` in row-major order lies, in elements.
int64_t PlaceOf(int64_t index, const std::vector<int64_t>& shape, const std::vector<int64_t>& strides,
                int64_t offset);

}  // namespace qiao::ascend_test
