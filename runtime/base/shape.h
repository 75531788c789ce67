// A tensor's extent: up to kMaxRank dimensions, outermost first, each >= 0.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include "absl/types/span.h"

namespace qiao {

class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  // Dimensions past kMaxRank are dropped; readers of files check the rank first.
  explicit Shape(absl::Span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  absl::Span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }

  // The number of elements, absent when it does not fit in 63 bits or a dimension is negative. 1 for rank 0.
  std::optional<int64_t> CheckedElements() const;
  // The same where the shape is known to be sane.
  int64_t elements() const { return CheckedElements().value_or(0); }

  std::string ToString() const;  // "[3, 128]"
  bool operator==(const Shape& other) const { return dims() == other.dims(); }

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace qiao
