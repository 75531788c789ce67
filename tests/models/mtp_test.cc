// The MTP layer against the reference implementation's outputs, through Runner::Draft, in f32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/models/golden.h"

namespace qiao {
namespace {

// As for the main model's logits (golden_test.cc).
constexpr double kRelativeBound = 6e-5;

const char kCase[] = "deepseek_v3_fp8_mtp";

struct Where {
  std::string backend;
  bool fallback;
};
void PrintTo(const Where& where, std::ostream* os) { *os << where.backend; }

struct Drafts {
  std::vector<float> logits, hidden;  // of every row
  std::vector<int32_t> ids;           // after the last row
};

// The prompt in chunks, each through the model and then through the MTP layer.
absl::StatusOr<Drafts> RunInChunks(engine::Runner& runner, absl::Span<const int32_t> prompt, int32_t answer,
                                   size_t chunk) {
  Drafts all;
  engine::Sequence sequence = runner.NewSequence();
  for (size_t at = 0; at < prompt.size(); at += chunk) {
    const absl::Span<const int32_t> tokens = prompt.subspan(at, chunk);
    const engine::Work work{&sequence, tokens, 1};
    QIAO_RETURN_IF_ERROR(runner.Step({&work, 1}));
    const bool last = at + chunk >= prompt.size();
    std::vector<int32_t> next(tokens.begin() + 1, tokens.end());
    next.push_back(last ? answer : prompt[at + chunk]);
    const engine::DraftWork draft{&sequence, 0, next, last ? 1 : 0, &all.ids};
    Tap tap({"draft.logits"});
    QIAO_RETURN_IF_ERROR(runner.Draft({&draft, 1}, &tap));
    const std::vector<float> logits = tap.Get<float>("draft.logits");
    all.logits.insert(all.logits.end(), logits.begin(), logits.end());
    const absl::Span<const float> hidden = runner.programs().Output<float>("hidden");
    all.hidden.insert(all.hidden.end(), hidden.begin(), hidden.end());
  }
  return all;
}

double RelativeDifference(const std::vector<float>& got, const std::vector<float>& want) {
  double scale = 0, worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    scale = std::max(scale, std::fabs(static_cast<double>(want[i])));
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
  }
  return worst / scale;
}

class MtpTest : public testing::TestWithParam<Where> {
 protected:
  static engine::RunnerOptions Options() {
    engine::RunnerOptions options;
    options.backend = GetParam().backend;
    options.allow_fallback = GetParam().fallback;
    options.numerics = *engine::ParseNumerics("f32");
    options.all_logits = true;
    options.context = 256;
    options.draft_tokens = 1;
    return options;
  }
};

TEST_P(MtpTest, LogitsHiddenRowsAndDraftsAreTheReferences) {
  absl::StatusOr<Golden> golden = Golden::Open(kCase);
  ASSERT_TRUE(golden.ok()) << golden.status();
  absl::StatusOr<LoadedModel> model = LoadModel(GoldenFolder(kCase), Options());
  ASSERT_TRUE(model.ok()) << model.status();
  for (int i = 0; i < golden->prompts(); ++i) {
    const std::string p = absl::StrFormat("p%d.", i);
    const std::vector<int32_t> prompt = golden->Ints(p + "input_ids");
    const int32_t answer = golden->Ints(p + "gen.ids").front();
    const std::vector<float> logits = golden->Floats(p + "mtp.logits"),
                             hidden = golden->Floats(p + "mtp.hidden");
    const std::vector<int32_t> id = golden->Ints(p + "mtp.draft_id");
    ASSERT_EQ(id.size(), 1u);
    const auto whole = RunInChunks(*model->runner, prompt, answer, prompt.size());
    ASSERT_TRUE(whole.ok()) << whole.status();
    ASSERT_EQ(whole->logits.size(), logits.size());
    ASSERT_EQ(whole->hidden.size(), hidden.size());
    const double of_logits = RelativeDifference(whole->logits, logits),
                 of_hidden = RelativeDifference(whole->hidden, hidden);
    std::printf("prompt %d: logits %.3g, hidden %.3g of the largest\n", i, of_logits, of_hidden);
    EXPECT_LE(of_logits, kRelativeBound);
    EXPECT_LE(of_hidden, kRelativeBound);
    EXPECT_EQ(whole->ids, id);
    // The layer's cache carries over from chunk to chunk: the same bits.
    for (size_t chunk : {size_t{1}, size_t{3}, prompt.size() - 1}) {
      const auto cut = RunInChunks(*model->runner, prompt, answer, chunk);
      ASSERT_TRUE(cut.ok()) << cut.status();
      EXPECT_EQ(cut->logits, whole->logits) << "chunks of " << chunk;
      EXPECT_EQ(cut->hidden, whole->hidden) << "chunks of " << chunk;
      EXPECT_EQ(cut->ids, id) << "chunks of " << chunk;
    }
  }
}

// With drafting, the last norm runs over all rows and the rows of logits are gathered behind it.
TEST_P(MtpTest, DraftingChangesNoBitOfTheModelsLogits) {
  absl::StatusOr<Golden> golden = Golden::Open(kCase);
  ASSERT_TRUE(golden.ok()) << golden.status();
  const std::vector<int32_t> prompt = golden->Ints("p0.input_ids");
  std::vector<float> logits[2];
  for (int32_t drafts : {0, 1}) {
    engine::RunnerOptions options = Options();
    options.draft_tokens = drafts;
    absl::StatusOr<LoadedModel> model = LoadModel(GoldenFolder(kCase), options);
    ASSERT_TRUE(model.ok()) << model.status();
    engine::Sequence sequence = model->runner->NewSequence();
    ASSERT_TRUE(model->runner->Prefill(sequence, prompt).ok());
    const absl::Span<const float> got = model->runner->programs().Output<float>("logits");
    logits[drafts].assign(got.begin(), got.end());
  }
  EXPECT_EQ(logits[0], logits[1]);
  EXPECT_FALSE(logits[0].empty());
}

INSTANTIATE_TEST_SUITE_P(Deepseek, MtpTest,
                         testing::Values(Where{"reference", false}, Where{"cpu", false}, Where{"null", true}),
                         [](const auto& info) { return info.param.backend; });

}  // namespace
}  // namespace qiao
