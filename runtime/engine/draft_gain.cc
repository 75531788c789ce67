#include "runtime/engine/draft_gain.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace qiao::engine {
namespace {

constexpr double kHorizon = 512;        // sequences that the shares look back on
constexpr double kPromises = 0.03;      // a lead that is worth a try
constexpr double kLeast = 0.005;        // a lead that is worth a change
constexpr double kNoDeviation = 0.005;  // of times, at least: clocks and samples are coarse
constexpr size_t kEnough = 6;           // times, to compare with
constexpr int64_t kPatience = 400;      // steps that a trial may take, those without a time too
constexpr double kForgets = 0.1;        // what a cost may have changed by between two tries
constexpr double kStale = 16;           // sequences that count of a share that steps have not seen lately
constexpr size_t kManySequences = 3;    // as an order: where no guesses are made until they are known to pay

// Standard errors after so many comparisons, which are looked at after each.
double Sure(size_t comparisons) { return comparisons == 1 ? 6 : comparisons < 4 ? 4 : 2.5; }

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
  std::array<float, kTimes> sorted;
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
  if (c.trial != kNone && ++c.asked > kPatience) {
    c.arms[c.trial].tried = c.steps;
    c.trial = kNone;
  }
  return guesses_[c.trial != kNone && c.turn ? c.trial : c.best];
}

void DraftGain::BeginTrial(Class& c) {
  c.trial = Due(c);
  c.turn = false;
  c.asked = 0;
  c.before.reset();
  c.block.count = c.relative.count = 0;
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
  if (step.guesses == guesses_[c.best] && (c.trial == kNone || times.size() < kEnough)) {
    c.steps += c.trial == kNone;
    times.Add(time);
  } else if (c.trial != kNone && step.guesses == guesses_[c.turn ? c.trial : c.best] &&
             times.size() >= kEnough) {
    const Middle usual = Of(times);
    c.block.Add(time - usual.mean);
    if (c.block.count == static_cast<size_t>(kBlock)) EndTurn(c, usual.deviation);
  }
}

void DraftGain::EndTurn(Class& c, double deviation) {
  const double mean = Of(c.block).mean;
  c.block.count = 0;
  c.turn = !c.turn;
  if (!c.turn) {
    c.tried = mean;
    return;
  }
  if (c.before) c.relative.Add(c.tried - (*c.before + mean) / 2);
  c.before = mean;
  if (c.relative.count > 0) Judge(c, deviation);
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

// What was found before counts too, less the longer it has been true. `deviation`: of single times.
void DraftGain::Judge(Class& c, double deviation) {
  const Middle tried = Of(c.relative);
  const size_t n = c.relative.size();
  Arm& arm = c.arms[c.trial];
  double single = deviation * std::sqrt(1.5 / kBlock);
  if (n >= 4) single = std::max(single, tried.deviation);
  double cost = tried.mean, variance = 1.2 * single * single / static_cast<double>(n);
  if (arm.known) {
    const double share = variance / (variance + arm.variance + kForgets * kForgets);
    cost += share * (arm.cost - cost);
    variance *= 1 - share;
  }
  const double lead = Lead(c, c.trial, cost);
  const double error = std::sqrt(variance + Variance(c.best, c.trial));
  if (std::abs(lead) < Sure(arm.known ? n + 3 : n) * error && n < static_cast<size_t>(kMostBlocks)) return;
  arm.wait = arm.known ? std::min(arm.wait * 2, kMostWait) : kFirstWait;
  arm.cost = cost;
  arm.variance = variance;
  arm.known = true;
  arm.tried = c.steps;
  const size_t trial = c.trial;
  c.trial = kNone;
  if (lead > std::max(kLeast, error)) Switch(c, trial);
}

void DraftGain::Switch(Class& c, size_t arm) {
  const double cost = c.arms[arm].cost;
  for (Arm& a : c.arms) {
    a.cost -= cost;
    a.wait = std::max(a.wait / 4, kFirstWait);
  }
  Arm& before = c.arms[c.best];
  before.known = true;
  before.variance = c.arms[arm].variance;
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
