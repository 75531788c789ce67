#include "runtime/base/shape.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/base/checked.h"

namespace qiao {

Shape::Shape(std::initializer_list<int64_t> dims) : Shape(absl::MakeConstSpan(dims.begin(), dims.size())) {}

Shape::Shape(absl::Span<const int64_t> dims)
    : rank_(static_cast<int>(std::min(dims.size(), static_cast<size_t>(kMaxRank)))) {
  std::copy_n(dims.begin(), rank_, dims_.begin());
}

std::optional<int64_t> Shape::CheckedElements() const {
  int64_t n = 1;
  for (int64_t d : dims()) {
    if (d < 0) return std::nullopt;
    std::optional<int64_t> next = CheckedMul(n, d);
    if (!next) return std::nullopt;
    n = *next;
  }
  return n;
}

std::string Shape::ToString() const { return absl::StrCat("[", absl::StrJoin(dims(), ", "), "]"); }

}  // namespace qiao
