// Makes conformance cases: arguments in order, filled from a seed, outputs sized by the operation's own
// rules. The numbers depend on the seed only, on every platform.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "runtime/ops/catalogue.h"

namespace qiao::ops {

// splitmix64, and numbers from it.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  int64_t Below(int64_t n) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(n)); }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }  // [0, 1)
  double Normal();

 private:
  uint64_t state_;
};

// How a weight lies in its files.
struct WeightForm {
  DType dtype = DType::kBF16;
  int32_t block[2] = {0, 0};  // 0: no scales
  // Rows of the pieces of a group; empty: one piece.
  std::vector<int64_t> split = {};
  int64_t row0 = 0;     // of each piece within its file tensor
  int64_t padding = 0;  // elements between rows beyond the columns
  // Groups are parts of one file tensor, this many rows apart, each beginning `row0` rows after; 0: a tensor
  // a piece.
  int64_t group_stride = 0;
  bool channel = false;  // a scale for each row of the file tensor, in place of blocks
};

class CaseBuilder {
 public:
  CaseBuilder(const OpSpec& spec, std::string name, Params params, uint64_t seed);

  // The live counts, before the arguments that depend on them: dead rows of inputs are filled with NaN.
  CaseBuilder& Live(int32_t rows, int32_t seqs = 0, int32_t logit_rows = 0);
  // Sequences of (new rows, length with them); sets rows and seqs.
  CaseBuilder& Ragged(absl::Span<const std::pair<int32_t, int32_t>> sequences);

  // The next argument.
  CaseBuilder& Act(DType dtype, absl::Span<const int64_t> dims, uint32_t live = QIAO_LIVE_ROWS,
                   double sigma = 1);
  CaseBuilder& Values(DType dtype, absl::Span<const int64_t> dims, absl::Span<const float> values,
                      uint32_t live = QIAO_LIVE_ALL);
  CaseBuilder& Gains(int64_t n);  // f32 around 1
  CaseBuilder& Ints(absl::Span<const int64_t> dims, absl::Span<const int32_t> values,
                    uint32_t live = QIAO_LIVE_ALL);
  CaseBuilder& Longs(absl::Span<const int64_t> values);
  // E4M3 rows quantised with one scale for each `block` columns: two arguments.
  CaseBuilder& QuantisedRows(absl::Span<const int64_t> dims, int32_t block, uint32_t live = QIAO_LIVE_ROWS);
  // A cache's pool in E4M3 of which `block` channels of a row share a scale: random codes. The scales are an
  // argument of their own.
  CaseBuilder& Pool(absl::Span<const int64_t> dims, int32_t block);
  // INT8 rows with a scale each: two arguments.
  CaseBuilder& IntegerRows(absl::Span<const int64_t> dims, uint32_t live = QIAO_LIVE_ROWS);
  CaseBuilder& Weight(int64_t groups, int64_t rows, int64_t cols, const WeightForm& form = {});
  CaseBuilder& QStart(int32_t bucket);  // i32[bucket + 1]
  CaseBuilder& KvLen(int32_t bucket);   // i32[bucket]
  CaseBuilder& Absent();
  CaseBuilder& Output();

  // Describes the outputs. A case that the rules refuse comes out with no arguments, which the harness
  // reports.
  Case Finish(DType out = DType::kInvalid);

  Random& random() { return random_; }
  Case::Arg& last() { return case_.args.back(); }

 private:
  int64_t LiveRows(uint32_t live, int64_t all) const;

  const OpSpec& spec_;
  Random random_;
  Case case_;
};

// The stored elements of dtype for these numbers, rounded.
std::vector<std::byte> Encode(DType dtype, absl::Span<const float> values);
// Rows of a case's weight as numbers, scales applied: [groups * rows, cols].
std::vector<double> DecodeWeight(const Case::Arg& weight);

// "bf16", "f8/128x128"
std::string FormName(const WeightForm& form);

}  // namespace qiao::ops
