// Finds markers in a text that comes byte by byte, and holds back what may yet become one.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace qiao::serve {

// The result depends on the bytes only, never on how they were grouped. A marker that begins earlier wins, and of two
// that begin alike the one that is complete first.
class MarkerMatcher {
 public:
  static constexpr size_t kMaxSpaces = 256;
  static constexpr int kNone = -1;

  // Forgets all. With `spaces`, white space before a marker belongs to it (and is held back, kMaxSpaces of it at
  // most). The markers' text must outlive the matcher.
  void Reset(std::vector<std::string_view> markers, bool spaces);

  // The index of the marker that ends with `c`, or kNone. Appends to `plain` what turned out to be no marker's. After a
  // match, Take gives the marker and the white space before it; it must be called before the next Push.
  int Push(char c, std::string* plain);
  std::string_view marker(int index) const { return markers_[static_cast<size_t>(index)]; }

  // What is held back, which is forgotten.
  std::string Take();
  // How much of it is white space before the marker.
  size_t spaces() const { return spaces_.size(); }

 private:
  std::vector<std::string_view> markers_;
  std::array<bool, 256> first_ = {};  // bytes with which a marker begins
  bool keep_spaces_ = false;
  std::string spaces_, tail_;
};

}  // namespace qiao::serve
