#include "runtime/engine/draft_gain.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace qiao::engine {
namespace {

constexpr double kHorizon = 512;        // sequences that the shares look back on
constexpr double kSure = 2;             // standard errors
constexpr double kPromises = 0.03;      // a lead that is worth a try
constexpr double kLeast = 0.005;        // a lead that is worth a change
constexpr double kNoDeviation = 0.005;  // of times, at least: clocks and samples are coarse
constexpr size_t kEnough = 6;           // times, to compare with
constexpr int64_t kPatience = 2;        // a trial may take so many times kMaxTry, those without a time too
constexpr double kStale = 16;           // sequences that count of a share that steps have not seen lately
constexpr size_t kManySequences = 3;    // as an order: where no guesses are made until they are known to pay

}  // namespace

DraftGain::DraftGain(int32_t most) {
  most = std::max(most, 1);
  for (int32_t k = 0, step = 1; k < most; k += step) {
    guesses_.push_back(k);
    if (k >= 4 && std::has_single_bit(static_cast<uint32_t>(k))) step = k / 2;
  }
  guesses_.push_back(most);
  shares_.resize(static_cast<size_t>(most));
  for (Class& c : classes_) c.arms.resize(guesses_.size());
}

size_t DraftGain::Order(int64_t sequences) {
  const auto order =
      static_cast<size_t>(std::bit_width(static_cast<uint64_t>(std::max<int64_t>(sequences, 1))));
  return std::min(order, kOrders) - 1;
}

size_t DraftGain::Part(int64_t sequences) {
  const size_t order = Order(sequences);
  const auto above = static_cast<size_t>(std::max<int64_t>(sequences, 1)) - (size_t{1} << order);
  return std::min(above * kParts >> order, kParts - 1);
}

// The middle half keeps what single steps that took long for other reasons would spoil. Its mean's standard error
// is about 1.1 deviations over the root of the number.
DraftGain::Middle DraftGain::MiddleHalf(absl::Span<const float> values) {
  std::array<float, kMaxTry> sorted;
  const size_t n = values.size(), cut = n / 4;
  std::copy(values.begin(), values.end(), sorted.begin());
  std::sort(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(n));
  double sum = 0;
  for (size_t i = cut; i < n - cut; ++i) sum += static_cast<double>(sorted[i]);
  const double range = static_cast<double>(sorted[n - 1 - cut]) - static_cast<double>(sorted[cut]);
  return {sum / static_cast<double>(n - 2 * cut), std::max(range / 1.35, kNoDeviation)};
}

// What is best for a number of sequences near this one is the likeliest.
void DraftGain::Begin(size_t order) {
  Class& c = classes_[order];
  c.begun = true;
  c.best = order < kManySequences ? 1 : 0;
  for (size_t away = 1; away < kOrders; ++away) {
    for (const size_t other : {order - away, order + away}) {
      if (other >= kOrders || classes_[other].steps < static_cast<int64_t>(kEnough)) continue;
      c.best = classes_[other].best;
      return;
    }
  }
}

int32_t DraftGain::Guesses(int64_t sequences) {
  const size_t order = Order(sequences);
  if (!classes_[order].begun) Begin(order);
  Class& c = classes_[order];
  if (c.times[Part(sequences)].size() < kEnough) return guesses_[c.best];
  if (c.trial == kNone) BeginTrial(c);
  if (c.trial != kNone && ++c.asked > kPatience * kMaxTry) {
    c.arms[c.trial].tried = c.steps;
    c.trial = kNone;
  }
  return guesses_[c.trial == kNone ? c.best : c.trial];
}

void DraftGain::BeginTrial(Class& c) {
  c.trial = Due(c);
  c.relative.count = 0;
  c.asked = 0;
  if (c.trial == kNone) return;
  for (auto m = static_cast<size_t>(guesses_[c.best]); m < static_cast<size_t>(guesses_[c.trial]); ++m)
    shares_[m].LookBack(kStale);
}

// The nearest that was never tried, else the one that has waited longest beyond its time or promises most.
size_t DraftGain::Due(const Class& c) const {
  size_t due = kNone;
  const auto distance = [&](size_t arm) { return arm > c.best ? arm - c.best : c.best - arm; };
  for (size_t arm = 0; arm < c.arms.size(); ++arm) {
    if (arm == c.best || (c.arms[arm].known || c.arms[arm].tried > 0)) continue;
    if (due == kNone || distance(arm) < distance(due)) due = arm;
  }
  if (due != kNone) return due;
  int64_t most = -1;
  for (size_t arm = 0; arm < c.arms.size(); ++arm) {
    const Arm& a = c.arms[arm];
    if (arm == c.best) continue;
    int64_t over = c.steps - a.tried - a.wait;
    if (a.known && Lead(c, arm, a.cost) > kPromises)
      over = std::max(over, c.steps - a.tried - std::max(kFirstWait / 2, a.wait / 8));
    if (over > most) {
      most = over;
      due = arm;
    }
  }
  return due;
}

void DraftGain::Record(const Step& step) {
  Learn(step);
  Class& c = classes_[Order(step.sequences)];
  if (!c.begun || !(step.seconds > 0)) return;
  Samples<kTimes>& times = c.times[Part(step.sequences)];
  const double time = std::log(step.seconds);
  if (c.trial == kNone && step.guesses == guesses_[c.best]) {
    ++c.steps;
    times.Add(time);
  } else if (c.trial != kNone && step.guesses == guesses_[c.trial] && times.size() >= kEnough) {
    const Middle best = Of(times);
    c.relative.Add(time - best.mean);
    if (c.relative.count >= kMinTry) Judge(c, best);
  }
}

void DraftGain::Learn(const Step& step) {
  int64_t left = 0;
  for (const int64_t n : step.right) left += n;
  for (size_t m = 0; m < static_cast<size_t>(step.guesses) && m + 1 < step.right.size(); ++m) {
    Share& share = shares_[m];
    share.of += static_cast<double>(left);
    left -= step.right[m];
    share.right += static_cast<double>(left);
    share.LookBack(kHorizon);
  }
}

double DraftGain::Tokens(size_t arm) const {
  double tokens = 1, all = 1;
  for (size_t m = 0; m < static_cast<size_t>(guesses_[arm]); ++m) tokens += all *= shares_[m].value();
  return tokens;
}

// Of the logarithm of what one number of guesses makes over what the other does: of the shares that only one of
// them has to do with.
double DraftGain::Variance(size_t a, size_t b) const {
  const auto [low, high] = std::minmax(a, b);
  double variance = 0;
  for (auto m = static_cast<size_t>(guesses_[low]); m < static_cast<size_t>(guesses_[high]); ++m) {
    double all = 1, behind = 0;  // the tokens that hang on this share
    for (size_t i = 0; i < static_cast<size_t>(guesses_[high]); ++i) {
      all *= shares_[i].value();
      if (i >= m) behind += all;
    }
    const double q = shares_[m].value();
    const double slope = behind / q / Tokens(high);
    variance += slope * slope * q * (1 - q) / (shares_[m].of + 1);
  }
  return variance;
}

// The logarithm of how much faster it is than the best so far.
double DraftGain::Lead(const Class& c, size_t arm, double cost) const {
  return std::log(Tokens(arm) / Tokens(c.best)) - cost;
}

void DraftGain::Judge(Class& c, const Middle& best) {
  const Middle tried = Of(c.relative);
  const double n = static_cast<double>(c.relative.size());
  const double deviation = std::max(tried.deviation, best.deviation);
  const double lead = Lead(c, c.trial, tried.mean);
  const double error =
      std::sqrt(1.2 * deviation * deviation * (1 / n + 1.0 / kTimes) + Variance(c.best, c.trial));
  if (std::abs(lead) < kSure * error && c.relative.count < kMaxTry) return;
  Arm& arm = c.arms[c.trial];
  arm.wait = arm.known ? std::min(arm.wait * 2, kMostWait) : kFirstWait;
  arm.cost = tried.mean;
  arm.known = true;
  arm.tried = c.steps;
  const size_t trial = c.trial;
  c.trial = kNone;
  if (lead > kLeast) Switch(c, trial);
}

void DraftGain::Switch(Class& c, size_t arm) {
  const double cost = c.arms[arm].cost;
  for (Arm& a : c.arms) {
    a.cost -= cost;
    a.wait = std::max(a.wait / 4, kFirstWait);
  }
  Arm& before = c.arms[c.best];
  before.known = true;
  before.tried = c.steps;
  before.wait = kFirstWait / 2;  // it was better until now
  c.best = arm;
  for (Samples<kTimes>& times : c.times) times.count = 0;
}

double DraftGain::Gain(int64_t sequences) const {
  const Class& c = classes_[Order(sequences)];
  if (!c.begun) return 0;
  const auto lead = [&](size_t arm) { return arm == c.best ? 0 : Lead(c, arm, c.arms[arm].cost); };
  if (c.best != 0) return c.arms[0].known ? std::exp(-lead(0)) : 0;
  double gain = 0;
  for (size_t arm = 1; arm < c.arms.size(); ++arm) {
    if (c.arms[arm].known) gain = std::max(gain, std::exp(lead(arm)));
  }
  return gain;
}

}  // namespace qiao::engine
