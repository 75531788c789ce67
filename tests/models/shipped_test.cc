// The model that ships with Qiao: what it predicts in bf16 and f32, and that a row's bits depend on nothing
// but the row.
#include "tests/models/shipped.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "tests/models/golden.h"

namespace qiao {
namespace {

absl::StatusOr<double> PerplexityIn(std::string_view numerics, std::string_view kv_dtype = "auto") {
  QIAO_ASSIGN_OR_RETURN(const LoadedModel model, LoadModel(kShipped, ShippedOptions(numerics, kv_dtype)));
  return Perplexity(*model.runner, ShippedDocuments(*model.folder));
}

TEST(ShippedModel, PerplexityIsWhatItsReadmeSaysAndBf16StaysWithinHalfAPercent) {
  const absl::StatusOr<double> in_f32 = PerplexityIn("f32");
  ASSERT_TRUE(in_f32.ok()) << in_f32.status();
  EXPECT_NEAR(*in_f32, kShippedPerplexity, 0.0005);
  const absl::StatusOr<double> in_bf16 = PerplexityIn("bf16");
  ASSERT_TRUE(in_bf16.ok()) << in_bf16.status();
  EXPECT_NEAR(*in_bf16 / *in_f32, 1.0, 0.005);
  std::printf("perplexity f32 %.4f, bf16 %.4f\n", *in_f32, *in_bf16);
}

TEST(ShippedModel, PerplexityWithAnFp8CacheStaysWithinHalfAPercentOfBf16) {
  double perplexity[2];
  for (int fp8 : {0, 1}) {
    const absl::StatusOr<double> found = PerplexityIn("bf16", fp8 ? "fp8" : "bf16");
    ASSERT_TRUE(found.ok()) << found.status();
    perplexity[fp8] = *found;
  }
  std::printf("perplexity bf16 %.4f, with an FP8 cache %.4f, %+.3f %%\n", perplexity[0], perplexity[1],
              100 * (perplexity[1] / perplexity[0] - 1));
  EXPECT_NEAR(perplexity[1] / perplexity[0], 1.0, 0.005);
  EXPECT_NE(perplexity[1], perplexity[0]);
}

struct Cut {
  const char* what;
  int32_t chunk;
  int64_t page_tokens;
  const char* threads;
  bool company;  // other sequences in every step
  const char* kv_dtype = "auto";
};

// All logits of a prompt, however it is cut and whatever else is in the step.
absl::StatusOr<std::vector<float>> AllLogits(const Cut& cut, absl::Span<const int32_t> ids,
                                             const std::vector<std::vector<int32_t>>& others) {
  engine::RunnerOptions options = ShippedOptions("bf16", cut.kv_dtype);
  options.context = 256;
  options.page_tokens = cut.page_tokens;
  options.device.options["threads"] = cut.threads;
  options.sequences = cut.company ? 4 : 1;
  QIAO_ASSIGN_OR_RETURN(LoadedModel model, LoadModel(kShipped, options));
  engine::Runner& runner = *model.runner;
  if (!runner.programs().row_invariant()) return Internal("a plan denies row invariance");
  std::vector<float> all;
  engine::Sequence sequence = runner.NewSequence();
  std::vector<engine::Sequence> company;
  for (size_t i = 0; cut.company && i < 3; ++i) company.push_back(runner.NewSequence());
  for (size_t at = 0; at < ids.size();) {
    const size_t n = std::min<size_t>(static_cast<size_t>(cut.chunk), ids.size() - at);
    std::vector<engine::Work> work;
    for (size_t i = 0; i < company.size(); ++i) {
      // Of other lengths, before and behind the sequence that is looked at.
      const size_t length = std::min<size_t>(1 + 2 * i, 256 - static_cast<size_t>(company[i].length()));
      const auto begin = static_cast<size_t>(company[i].length());
      if (length > 0 && begin + length <= others[i].size()) {
        work.push_back({&company[i], absl::MakeConstSpan(others[i]).subspan(begin, length), false});
      }
      if (i == 0) work.push_back({&sequence, ids.subspan(at, n), true});
    }
    if (company.empty()) work.push_back({&sequence, ids.subspan(at, n), true});
    QIAO_RETURN_IF_ERROR(runner.Step(work));
    for (int64_t i = 0; i < runner.logit_rows(); ++i) {
      const auto row = runner.Logits(i);
      all.insert(all.end(), row.begin(), row.end());
    }
    at += n;
  }
  return all;
}

TEST(ShippedModel, LogitsAreBitwiseTheSameHoweverThePromptIsCut) {
  auto folder = engine::OpenModelFolder(kShipped);
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto documents = ShippedDocuments(**folder, 4);
  ASSERT_GE(documents.size(), 4u);
  const auto ids = absl::MakeConstSpan(documents[0]).subspan(0, 150);
  const std::vector<std::vector<int32_t>> others(documents.begin() + 1, documents.end());
  std::vector<std::vector<float>> wholes;
  for (const char* kv_dtype : {"bf16", "fp8"}) {
    SCOPED_TRACE(kv_dtype);
    const auto whole = AllLogits({"one go", 512, 64, "1", false, kv_dtype}, ids, others);
    ASSERT_TRUE(whole.ok()) << whole.status();
    wholes.push_back(*whole);
    for (Cut cut :
         {Cut{"two threads", 512, 64, "2", false}, Cut{"three threads", 512, 64, "3", false},
          Cut{"chunks of 64", 64, 64, "2", false}, Cut{"chunks of 13, pages of 16", 13, 16, "2", false},
          Cut{"chunks of 3, pages of 128", 3, 128, "1", false}, Cut{"token by token", 1, 64, "1", false},
          Cut{"among others", 7, 16, "2", true}}) {
      cut.kv_dtype = kv_dtype;
      const auto got = AllLogits(cut, ids, others);
      ASSERT_TRUE(got.ok()) << cut.what << ": " << got.status();
      ASSERT_EQ(got->size(), whole->size()) << cut.what;
      EXPECT_EQ(std::memcmp(got->data(), whole->data(), whole->size() * sizeof(float)), 0) << cut.what;
    }
  }
  EXPECT_NE(wholes[0], wholes[1]);
}

}  // namespace
}  // namespace qiao
