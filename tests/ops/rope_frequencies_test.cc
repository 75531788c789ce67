// Expected numbers: the formulas of transformers' modeling_rope_utils.py, evaluated in Python with every step
// rounded to f32 as torch does.
#include "runtime/ops/rope_frequencies.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qiao::ops {
namespace {

// An f32 power may be off by an ulp from another library's.
void ExpectNear(const std::vector<float>& got, const std::vector<size_t>& at,
                const std::vector<double>& want) {
  ASSERT_EQ(at.size(), want.size());
  for (size_t i = 0; i < at.size(); ++i) {
    ASSERT_LT(at[i], got.size());
    EXPECT_NEAR(static_cast<double>(got[at[i]]) / want[i], 1, 3e-7) << "frequency " << at[i];
  }
}

TEST(RopeFrequencies, PlainAndLinear) {
  auto plain = ComputeRopeFrequencies(10000, 16, {});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->inv_freq.size(), 8u);
  EXPECT_EQ(plain->factor, 1);
  ExpectNear(plain->inv_freq, {0, 1, 4, 7}, {1, 0.316227764, 0.00999999978, 0.000316227786});
  auto linear = ComputeRopeFrequencies(10000, 16, {.kind = RopeScaling::kLinear, .factor = 4});
  ASSERT_TRUE(linear.ok()) << linear.status();
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(linear->inv_freq[i], plain->inv_freq[i] / 4);
}

TEST(RopeFrequencies, YarnOfDeepSeekV3) {
  RopeScaling s{
      .kind = RopeScaling::kYarn, .factor = 40, .original_max = 4096, .mscale = 1, .mscale_all_dim = 1};
  auto f = ComputeRopeFrequencies(10000, 64, s);
  ASSERT_TRUE(f.ok()) << f.status();
  ExpectNear(f->inv_freq, {0, 9, 10, 11, 16, 22, 23, 31},
             {1, 0.0749894157, 0.0562341288, 0.0390069261, 0.00550000044, 0.00017782794, 3.3338034e-05,
              3.33380353e-06});
  EXPECT_EQ(f->factor, 1);  // mscale and mscale_all_dim cancel
  s.original_max = 64;
  auto small = ComputeRopeFrequencies(10000, 16, s);
  ASSERT_TRUE(small.ok()) << small.status();
  ExpectNear(small->inv_freq, {0, 1, 2, 3, 4, 7},
             {1, 0.213453725, 0.0349999964, 0.000790569466, 0.000250000012, 7.90569447e-06});
}

// beta_fast = beta_slow: the ramp is one step wide.
TEST(RopeFrequencies, YarnOfKimiK2) {
  auto f = ComputeRopeFrequencies(50000, 16,
                                  {.kind = RopeScaling::kYarn,
                                   .factor = 32,
                                   .original_max = 64,
                                   .beta_fast = 1,
                                   .beta_slow = 1,
                                   .mscale = 1,
                                   .mscale_all_dim = 1});
  ASSERT_TRUE(f.ok()) << f.status();
  ExpectNear(f->inv_freq, {0, 1, 2, 7}, {1, 0.258600146, 0.00208981358, 2.41685871e-06});
}

TEST(RopeFrequencies, YarnWithoutTruncation) {
  auto f = ComputeRopeFrequencies(
      150000, 64, {.kind = RopeScaling::kYarn, .factor = 32, .original_max = 4096, .truncate = false});
  ASSERT_TRUE(f.ok()) << f.status();
  ExpectNear(f->inv_freq, {0, 8, 9, 12, 17, 18, 31},
             {1, 0.0508132726, 0.0317056961, 0.00679495931, 0.000129318694, 3.83088118e-05, 3.0235114e-07});
  EXPECT_FLOAT_EQ(f->factor, 1.3465735902799727f);  // 0.1 ln(32) + 1
}

TEST(RopeFrequencies, AttentionFactors) {
  RopeScaling s{
      .kind = RopeScaling::kYarn, .factor = 40, .original_max = 4096, .mscale = 1, .mscale_all_dim = 0.707};
  EXPECT_FLOAT_EQ(ComputeRopeFrequencies(10000, 64, s)->factor, 1.3688879454113936f / 1.2608037774058554f);
  s.mscale_all_dim = 0;
  EXPECT_FLOAT_EQ(ComputeRopeFrequencies(10000, 64, s)->factor, 1.3688879454113936f);
  s.attention_factor = 1.5;
  EXPECT_EQ(ComputeRopeFrequencies(10000, 64, s)->factor, 1.5f);
  EXPECT_EQ(YarnMscale(1, 1), 1);
  EXPECT_DOUBLE_EQ(YarnMscale(40, 0.707), 1.2608037774058554);
}

TEST(RopeFrequencies, Llama3) {
  auto f =
      ComputeRopeFrequencies(500000, 128, {.kind = RopeScaling::kLlama3, .factor = 8, .original_max = 8192});
  ASSERT_TRUE(f.ok()) << f.status();
  ExpectNear(f->inv_freq, {0, 28, 29, 30, 33, 35, 36, 63},
             {1, 0.00321144611, 0.00216657063, 0.00137189368, 0.00031269365, 9.55621217e-05, 7.78465546e-05,
              3.06892588e-07});
}

TEST(RopeFrequencies, RefusesNonsense) {
  EXPECT_FALSE(ComputeRopeFrequencies(10000, 15, {}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(10000, 0, {}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(10000, int64_t{1} << 40, {}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(1, 16, {}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(std::nan(""), 16, {}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(10000, 16, {.kind = RopeScaling::kYarn, .factor = 4}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(10000, 16, {.kind = RopeScaling::kLinear, .factor = 0}).ok());
  EXPECT_FALSE(ComputeRopeFrequencies(10000, 16,
                                      {.kind = RopeScaling::kLlama3,
                                       .factor = 8,
                                       .original_max = 8192,
                                       .low_freq_factor = 4,
                                       .high_freq_factor = 4})
                   .ok());
}

}  // namespace
}  // namespace qiao::ops
