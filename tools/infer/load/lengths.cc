#include "tools/infer/load/lengths.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "tools/infer/exit.h"
#include "tools/infer/terminal.h"

namespace qiao::tools {
namespace {

constexpr double kMostSigma = 10;

bool Tokens(const std::string& text, int64_t& value) {
  return absl::SimpleAtoi(text, &value) && value >= 1 && value <= Lengths::kMost;
}

bool Real(const std::string& text, double least, double most, double& value) {
  return absl::SimpleAtod(text, &value) && value >= least && value <= most;  // not with NaN
}

}  // namespace

absl::StatusOr<Lengths> Lengths::Parse(std::string_view option, std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return UsageError(absl::StrFormat("%s: \"%s\" %s", option, Printable(text), why),
                      "128, uniform:16:512, lognormal:200:0.8 or, with a limit, lognormal:200:0.8:1000");
  };
  const std::vector<std::string> parts = absl::StrSplit(Abs(text), ':');
  Lengths lengths;
  lengths.text_ = std::string(text);
  if (parts.size() == 1 && Tokens(parts[0], lengths.least_)) {
    lengths.most_ = lengths.least_;
    return lengths;
  }
  if (parts[0] == "uniform") {
    lengths.kind_ = Kind::kUniform;
    if (parts.size() != 3 || !Tokens(parts[1], lengths.least_) || !Tokens(parts[2], lengths.most_))
      return wrong("is not uniform:LEAST:MOST, in tokens");
    if (lengths.least_ > lengths.most_) return wrong("ends before it begins");
    return lengths;
  }
  if (parts[0] == "lognormal") {
    lengths.kind_ = Kind::kLogNormal;
    lengths.most_ = kMost;
    const bool limited = parts.size() == 4;
    if ((parts.size() != 3 && !limited) || !Real(parts[1], 1, kMost, lengths.median_) ||
        !Real(parts[2], 0, kMostSigma, lengths.sigma_) || (limited && !Tokens(parts[3], lengths.most_)))
      return wrong("is not lognormal:MEDIAN:SIGMA or lognormal:MEDIAN:SIGMA:MOST");
    return lengths;
  }
  return wrong(absl::StrFormat("is not a number of tokens from 1 to %d, or a distribution", kMost));
}

int64_t Lengths::Draw(Random& random) const {
  switch (kind_) {
    case Kind::kFixed:
      return least_;
    case Kind::kUniform:
      return least_ + random.Below(most_ - least_ + 1);
    case Kind::kLogNormal:
      break;
  }
  // Compared as a double: what is far too long does not fit an integer.
  const double length = std::round(median_ * std::exp(sigma_ * random.Normal()));
  return static_cast<int64_t>(std::clamp(length, 1.0, static_cast<double>(most_)));
}

}  // namespace qiao::tools
