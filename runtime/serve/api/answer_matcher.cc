#include "runtime/serve/api/answer_matcher.h"

#include <utility>

#include "runtime/serve/api/answer_text.h"

namespace qiao::serve {

void MarkerMatcher::Reset(std::vector<std::string_view> markers, bool spaces) {
  markers_ = std::move(markers);
  first_.fill(false);
  for (const std::string_view marker : markers_) first_[static_cast<unsigned char>(marker.front())] = true;
  keep_spaces_ = spaces && !markers_.empty();
  spaces_.clear();
  tail_.clear();
}

int MarkerMatcher::Push(char c, std::string* plain) {
  std::string retry;  // bytes of a tail that came to nothing, to be tried from the second on
  size_t next = 0;
  for (bool again = true; again;) {
    if (tail_.empty() && !first_[static_cast<unsigned char>(c)]) {
      if (keep_spaces_ && IsSpace(c)) {
        spaces_ += c;
        if (spaces_.size() > kMaxSpaces) plain->append(std::exchange(spaces_, {}));
      } else {
        plain->append(std::exchange(spaces_, {}));
        *plain += c;
      }
    } else {
      tail_ += c;
      bool begun = false;
      for (size_t i = 0; i < markers_.size(); ++i) {
        if (tail_ == markers_[i]) return static_cast<int>(i);
        begun = begun || markers_[i].starts_with(tail_);
      }
      if (!begun) {
        // No marker begins where the tail did.
        const std::string failed = std::exchange(tail_, {});
        plain->append(std::exchange(spaces_, {}));
        *plain += failed.front();
        retry.replace(0, next, failed, 1);
        next = 0;
      }
    }
    again = next < retry.size();
    if (again) c = retry[next++];
  }
  return kNone;
}

std::string MarkerMatcher::Take() {
  std::string held = std::exchange(spaces_, {});
  held += std::exchange(tail_, {});
  return held;
}

}  // namespace qiao::serve
