#include "runtime/engine/draft_gain.h"

#include <algorithm>
#include <bit>

namespace qiao::engine {

size_t DraftGain::Order(int64_t sequences) {
  const auto order =
      static_cast<size_t>(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(sequences, 1))));
  return std::min(order, kOrders) - 1;
}

bool DraftGain::Try(int64_t sequences) {
  const Class& c = classes_[Order(sequences)];
  if (c.with.steps < kTries) return true;
  if (c.without.steps < kTries) return false;
  return c.since_try >= kAgain ? !c.wins() : c.wins();
}

void DraftGain::Record(int64_t sequences, bool drafted, int64_t tokens, double seconds) {
  Class& c = classes_[Order(sequences)];
  const bool wins = c.wins();
  Way& way = drafted ? c.with : c.without;
  ++way.steps;
  way.tokens = way.tokens * kKeep + static_cast<double>(tokens);
  way.seconds = way.seconds * kKeep + seconds;
  // A try again is kTries steps long.
  if (drafted == wins) {
    ++c.since_try;
  } else if (c.since_try >= kAgain + kTries - 1) {
    c.since_try = 0;
  } else if (c.since_try >= kAgain) {
    ++c.since_try;
  }
}

double DraftGain::Gain(int64_t sequences) const {
  const Class& c = classes_[Order(sequences)];
  return c.without.rate() > 0 ? c.with.rate() / c.without.rate() : 0;
}

}  // namespace qiao::engine
