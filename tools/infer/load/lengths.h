// How long prompts and answers are: distributions of token counts, as the command line writes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/status.h"
#include "tools/infer/load/random.h"

namespace qiao::tools {

class Lengths {
 public:
  static constexpr int64_t kMost = int64_t{1} << 24;

  // "128", "uniform:LEAST:MOST" (both included), "lognormal:MEDIAN:SIGMA" or "lognormal:MEDIAN:SIGMA:MOST"
  // (SIGMA is the deviation of the logarithm; rounded, at least 1, at most MOST). Errors name the option and
  // say what is accepted.
  static absl::StatusOr<Lengths> Parse(std::string_view option, std::string_view text);

  // 1..kMost tokens.
  int64_t Draw(Random& random) const;
  int64_t least() const { return least_; }
  const std::string& text() const { return text_; }  // as it was given

 private:
  enum class Kind { kFixed, kUniform, kLogNormal };
  Kind kind_ = Kind::kFixed;
  int64_t least_ = 1, most_ = 1;
  double median_ = 0, sigma_ = 0;
  std::string text_;
};

}  // namespace qiao::tools
