#include "runtime/ops/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qiao::ops {
namespace {

// 1 / theta^(2i / width). torch raises a scalar to an f32 tensor: the exponent is an f32 quotient, the power
// is computed to f32, its reciprocal again.
std::vector<float> Powers(double theta, int64_t width) {
  const auto base = static_cast<float>(theta);
  std::vector<float> powers(static_cast<size_t>(width / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(width);
    powers[i] = static_cast<float>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  return powers;
}

// The dimension whose wave makes `rotations` turns over the original context.
double CorrectionDim(double rotations, double theta, int64_t width, int64_t original_max) {
  return static_cast<double>(width) *
         std::log(static_cast<double>(original_max) / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

void ApplyYarn(double theta, int64_t width, const RopeScaling& s, RopeFrequencies* out) {
  const std::vector<float> powers = Powers(theta, width);
  double low = CorrectionDim(s.beta_fast, theta, width, s.original_max);
  double high = CorrectionDim(s.beta_slow, theta, width, s.original_max);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(width - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < powers.size(); ++i) {
    const float extrapolated = 1.0f / powers[i];
    const float interpolated = 1.0f / (static_cast<float>(s.factor) * powers[i]);
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float kept = 1.0f - ramp;
    out->inv_freq[i] = interpolated * (1.0f - kept) + extrapolated * kept;
  }
  double factor = s.attention_factor;
  if (factor == 0) {
    factor = s.mscale != 0 && s.mscale_all_dim != 0
                 ? YarnMscale(s.factor, s.mscale) / YarnMscale(s.factor, s.mscale_all_dim)
                 : YarnMscale(s.factor);
  }
  out->factor = static_cast<float>(factor);
}

void ApplyLlama3(const RopeScaling& s, std::vector<float>* inv_freq) {
  const double original = static_cast<double>(s.original_max);
  const auto low_wavelength = static_cast<float>(original / s.low_freq_factor);
  const auto high_wavelength = static_cast<float>(original / s.high_freq_factor);
  const auto factor = static_cast<float>(s.factor);
  for (float& f : *inv_freq) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / f;
    if (wavelength > low_wavelength) {
      f /= factor;
    } else if (wavelength >= high_wavelength) {
      const float smooth =
          (static_cast<float>(original) / wavelength - static_cast<float>(s.low_freq_factor)) /
          static_cast<float>(s.high_freq_factor - s.low_freq_factor);
      f = (1.0f - smooth) * (f / factor) + smooth * f;
    }
  }
}

}  // namespace

double YarnMscale(double scale, double m) { return scale <= 1 ? 1.0 : 0.1 * m * std::log(scale) + 1.0; }

absl::StatusOr<RopeFrequencies> ComputeRopeFrequencies(double theta, int64_t width,
                                                       const RopeScaling& scaling) {
  constexpr int64_t kMaxWidth = 1 << 16;
  if (width < 2 || width % 2 != 0 || width > kMaxWidth) {
    return InvalidArgument("rope: %d rotated channels; must be even, 2 to %d", width, kMaxWidth);
  }
  if (!(theta > 1) || !std::isfinite(theta))
    return InvalidArgument("rope: theta is %g, must be more than 1", theta);
  if (scaling.kind != RopeScaling::kNone && (!(scaling.factor >= 1) || !std::isfinite(scaling.factor))) {
    return InvalidArgument("rope: the scaling factor is %g, must be 1 or more", scaling.factor);
  }
  const bool needs_original = scaling.kind == RopeScaling::kYarn || scaling.kind == RopeScaling::kLlama3;
  if (needs_original && scaling.original_max < 1) {
    return InvalidArgument("rope: original_max_position_embeddings is %d, must be at least 1",
                           scaling.original_max);
  }
  if (scaling.kind == RopeScaling::kYarn && !(scaling.beta_fast > 0 && scaling.beta_slow > 0)) {
    return InvalidArgument("rope: beta_fast is %g and beta_slow %g, both must be positive", scaling.beta_fast,
                           scaling.beta_slow);
  }
  if (scaling.kind == RopeScaling::kLlama3 &&
      !(scaling.low_freq_factor > 0 && scaling.high_freq_factor > scaling.low_freq_factor)) {
    return InvalidArgument(
        "rope: low_freq_factor is %g and high_freq_factor %g; must be positive and ascending",
        scaling.low_freq_factor, scaling.high_freq_factor);
  }

  RopeFrequencies out;
  for (float power : Powers(theta, width)) out.inv_freq.push_back(1.0f / power);
  switch (scaling.kind) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      for (float& f : out.inv_freq) f /= static_cast<float>(scaling.factor);
      break;
    case RopeScaling::kYarn:
      ApplyYarn(theta, width, scaling, &out);
      break;
    case RopeScaling::kLlama3:
      ApplyLlama3(scaling, &out.inv_freq);
      break;
  }
  return out;
}

}  // namespace qiao::ops
