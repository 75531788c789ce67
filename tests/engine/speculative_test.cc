// Speculative decoding with the MTP layer: exactly the tokens and the bits of plain decoding, whatever was
// drafted, and a cache of its own that shares the sequences' pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/models/loaded_model.h"

namespace qiao::engine {
namespace {

using testing::HasSubstr;
using Ids = std::vector<int32_t>;

const char kGolden[] = QIAO_TEST_DATA "/golden/deepseek_v3_fp8_mtp";
const char kDemo[] = QIAO_MODELS "/demo";

LoadedModel Open(const std::string& path, RunnerOptions options) {
  auto model = LoadModel(path, std::move(options));
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? *std::move(model) : LoadedModel();
}

RunnerOptions Options(std::string_view numerics, int32_t drafts) {
  RunnerOptions options;
  options.numerics = *ParseNumerics(numerics);
  options.context = 160;
  options.page_tokens = 16;
  options.sequences = 3;
  options.chunk = 32;
  options.draft_tokens = drafts;
  return options;
}

struct Text {
  Ids ids;
  std::vector<std::vector<float>> logits;  // that chose each
};

std::vector<float> LogitsOf(const Runner& runner, int64_t row) {
  return {runner.Logits(row).begin(), runner.Logits(row).end()};
}

Text Plain(Runner& runner, const Ids& prompt, size_t tokens) {
  Text text;
  Sequence sequence = runner.NewSequence();
  EXPECT_TRUE(runner.Prefill(sequence, prompt).ok());
  for (;;) {
    text.logits.push_back(LogitsOf(runner, 0));
    text.ids.push_back(runner.Argmax(0));
    if (text.ids.size() >= tokens) return text;
    const Work work{&sequence, {&text.ids.back(), 1}, 1};
    EXPECT_TRUE(runner.Step({&work, 1}).ok());
  }
}

struct Accepted {
  int64_t drafted = 0, accepted = 0, steps = 0;
};

// All prompts together, each step over the last token of every text and its drafts.
std::vector<Text> Speculate(Runner& runner, const std::vector<Ids>& prompts, size_t tokens, int32_t drafts,
                            Accepted& count) {
  std::vector<Text> texts(prompts.size());
  std::vector<Sequence> sequences;
  std::vector<Ids> drafted(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    sequences.push_back(runner.NewSequence());
    EXPECT_TRUE(runner.Prefill(sequences[i], prompts[i]).ok());
    texts[i].logits.push_back(LogitsOf(runner, 0));
    texts[i].ids.push_back(runner.Argmax(0));
    const auto rows = static_cast<size_t>(runner.step_rows(0));
    Ids next(prompts[i].end() - static_cast<ptrdiff_t>(rows) + 1, prompts[i].end());
    next.push_back(texts[i].ids.back());
    const DraftWork draft{&sequences[i], 0, next, drafts, &drafted[i]};
    const absl::Status status = runner.Draft({&draft, 1});
    EXPECT_TRUE(status.ok()) << status;
  }
  for (;;) {
    std::vector<Ids> tried;
    std::vector<size_t> going;
    for (size_t i = 0; i < prompts.size(); ++i) {
      if (texts[i].ids.size() >= tokens) continue;
      Ids& all = tried.emplace_back(Ids{texts[i].ids.back()});
      all.insert(all.end(), drafted[i].begin(), drafted[i].end());
      going.push_back(i);
    }
    if (going.empty()) return texts;
    std::vector<Work> work;
    for (size_t g = 0; g < going.size(); ++g)
      work.push_back({&sequences[going[g]], tried[g], static_cast<int32_t>(tried[g].size())});
    const absl::Status stepped = runner.Step(work);
    EXPECT_TRUE(stepped.ok()) << stepped;
    if (!stepped.ok()) return texts;
    ++count.steps;
    std::vector<Ids> next(going.size());
    std::vector<DraftWork> draft;
    int64_t row = 0;
    for (size_t g = 0; g < going.size(); ++g) {
      const size_t i = going[g];
      const int64_t start = sequences[i].length() - static_cast<int64_t>(tried[g].size());
      for (size_t j = 0; j < tried[g].size(); ++j) {
        next[g].push_back(runner.Argmax(row + static_cast<int64_t>(j)));
        texts[i].logits.push_back(LogitsOf(runner, row + static_cast<int64_t>(j)));
        if (j + 1 < tried[g].size() && tried[g][j + 1] != next[g].back()) break;
      }
      row += static_cast<int64_t>(tried[g].size());
      texts[i].ids.insert(texts[i].ids.end(), next[g].begin(), next[g].end());
      count.drafted += static_cast<int64_t>(tried[g].size()) - 1;
      count.accepted += static_cast<int64_t>(next[g].size()) - 1;
      sequences[i].Truncate(start + static_cast<int64_t>(next[g].size()));
      draft.push_back({&sequences[i], static_cast<int32_t>(g), next[g], drafts, &drafted[i]});
    }
    const absl::Status status = runner.Draft(draft);
    EXPECT_TRUE(status.ok()) << status;
  }
}

void ExpectExact(const std::string& model, std::string_view backend, std::string_view numerics,
                 const std::vector<Ids>& prompts, size_t tokens, double least_accepted) {
  std::vector<Text> want;
  {
    RunnerOptions options = Options(numerics, 0);
    options.backend = backend;
    const LoadedModel plain = Open(model, options);
    for (const Ids& prompt : prompts) want.push_back(Plain(*plain.runner, prompt, tokens));
  }
  for (int32_t drafts : {1, 2, 3}) {
    RunnerOptions options = Options(numerics, drafts);
    options.backend = backend;
    const LoadedModel model_with_mtp = Open(model, options);
    Accepted count;
    const std::vector<Text> got = Speculate(*model_with_mtp.runner, prompts, tokens, drafts, count);
    for (size_t i = 0; i < prompts.size(); ++i) {
      ASSERT_GE(got[i].ids.size(), tokens);
      for (size_t t = 0; t < tokens; ++t) {
        ASSERT_EQ(got[i].ids[t], want[i].ids[t]) << drafts << " drafts, text " << i << ", token " << t;
        ASSERT_EQ(got[i].logits[t], want[i].logits[t]) << drafts << " drafts, text " << i << ", token " << t;
      }
    }
    const double rate = static_cast<double>(count.accepted) / static_cast<double>(count.drafted);
    std::printf("%s on %s, %s: %d of %d drafts accepted (%.3f) with %d at a time, %d steps for %d tokens\n",
                model.substr(model.rfind('/') + 1).c_str(), std::string(backend).c_str(),
                std::string(numerics).c_str(), static_cast<int>(count.accepted),
                static_cast<int>(count.drafted), rate, drafts, static_cast<int>(count.steps),
                static_cast<int>(tokens));
    EXPECT_GT(rate, least_accepted) << drafts << " drafts";
  }
}

TEST(SpeculativeTest, TheShippedModelGeneratesTheSameBitsInFewerSteps) {
  auto folder = OpenModelFolder(kDemo);
  ASSERT_TRUE(folder.ok()) << folder.status();
  std::vector<Ids> prompts;
  for (const char* text : {"In the beginning God created the heaven and the earth.",
                           "The following example shows how to create a table and insert rows:",
                           "Returns true if the value is"}) {
    auto ids = (*folder)->tokenizer->Encode(text, false);
    ASSERT_TRUE(ids.ok()) << ids.status();
    ids->insert(ids->begin(), *(*folder)->BeginOfText());
    prompts.push_back(*ids);
  }
  ExpectExact(kDemo, "cpu", "bf16", prompts, 64, 0.5);
  ExpectExact(kDemo, "cpu", "w8a8", {prompts[0]}, 32, 0.3);
}

// Random weights, so that nearly no draft is right: rejecting is tested.
TEST(SpeculativeTest, AModelOfRandomWeightsGeneratesTheSameBits) {
  Ids prompt;
  for (int32_t i = 0; i < 40; ++i) prompt.push_back((i * 37 + 11) % 320);  // more than a chunk
  const std::vector<Ids> prompts = {prompt, {17, 4, 250, 33}, {5}};
  ExpectExact(kGolden, "cpu", "f32", prompts, 64, -1);
  ExpectExact(kGolden, "reference", "f32", {prompts[1]}, 64, -1);
}

// The model's own greedy text, with one draft a step: how many of them are right.
int64_t RightDrafts(Runner& runner, Sequence& sequence, int32_t next, int steps) {
  Ids drafts;
  int64_t right = 0;
  for (int i = 0; i < steps; ++i) {
    Ids tried = {next};
    tried.insert(tried.end(), drafts.begin(), drafts.end());
    const int64_t before = sequence.length();
    const Work work{&sequence, tried, static_cast<int32_t>(tried.size())};
    EXPECT_TRUE(runner.Step({&work, 1}).ok());
    Ids follow = {runner.Argmax(0)};
    if (tried.size() == 2 && tried[1] == follow[0]) follow.push_back(runner.Argmax(1));
    right += static_cast<int64_t>(follow.size()) - 1;
    sequence.Truncate(before + static_cast<int64_t>(follow.size()));
    next = follow.back();
    const DraftWork draft{&sequence, 0, follow, 1, &drafts};
    EXPECT_TRUE(runner.Draft({&draft, 1}).ok());
  }
  return right;
}

// Where drafting did not pay for a while, rows of the layer are missing: it must not read what else lies there.
TEST(SpeculativeTest, AfterStepsWithoutDraftsTheGuessesAreStillGood) {
  RunnerOptions options = Options("bf16", 1);
  options.context = 320;
  // What nothing was written to is no number.
  options.device.hooks.allocate = [](uint64_t bytes, uint64_t alignment) {
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (memory != nullptr) std::memset(memory, 0xff, bytes);
    return memory;
  };
  options.device.hooks.deallocate = [](void* memory, uint64_t) { std::free(memory); };
  const LoadedModel m = Open(kDemo, options);
  Runner& runner = *m.runner;
  auto ids = m.folder->tokenizer->Encode("The following example shows how to create a table and insert rows:",
                                         /*special=*/false);
  ASSERT_TRUE(ids.ok());
  for (const int gap : {150, 40, 7, 0}) {
    SCOPED_TRACE(gap);
    Sequence sequence = runner.NewSequence();
    ASSERT_TRUE(runner.Prefill(sequence, *ids).ok());
    Ids next(ids->begin() + 1, ids->end());
    next.push_back(runner.Argmax(0));
    const DraftWork prompt{&sequence, 0, next};
    ASSERT_TRUE(runner.Draft({&prompt, 1}).ok());
    int32_t last = next.back();
    for (int i = 0; i < gap; ++i) {
      const Work work{&sequence, {&last, 1}, 1};
      ASSERT_TRUE(runner.Step({&work, 1}).ok());
      last = runner.Argmax(0);
    }
    // Another text shares the pages and goes its own way, with drafts of its own. Nothing of it is seen here.
    const auto whole = static_cast<size_t>(sequence.length() / runner.page_tokens());
    auto other =
        runner.Share(sequence.pages().first(whole), static_cast<int64_t>(whole) * runner.page_tokens());
    ASSERT_TRUE(other.ok()) << other.status();
    const int64_t wrong = RightDrafts(runner, *other, 17, 20);
    for (size_t i = 0; i < whole; ++i) EXPECT_EQ(other->pages()[i], sequence.pages()[i]) << "still shared";
    *other = Sequence();
    const int64_t right = RightDrafts(runner, sequence, last, 40);
    std::printf("%d steps without drafts: then %d of 39 are right; %d of 19 in another text\n", gap,
                static_cast<int>(right), static_cast<int>(wrong));
    EXPECT_GT(right, 20);
  }
}

class DraftTest : public testing::Test {
 protected:
  // Draft `drafts` tokens behind prompt and `next`.
  static Ids DraftBehind(Runner& runner, Sequence& sequence, const Ids& prompt, int32_t next,
                         int32_t drafts) {
    Ids follow(prompt.begin() + 1, prompt.end()), out = {-1};
    follow.push_back(next);
    const DraftWork work{&sequence, 0, follow, drafts, &out};
    const absl::Status status = runner.Draft({&work, 1});
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }
  static Ids Pages(const Sequence& sequence) { return {sequence.pages().begin(), sequence.pages().end()}; }
  // What is drafted behind `next` in a sequence that shares nothing, and then behind `after`.
  static std::pair<Ids, Ids> Alone(Runner& runner, const Ids& prompt, int32_t next, int32_t after) {
    Sequence sequence = runner.NewSequence();
    EXPECT_TRUE(runner.Prefill(sequence, prompt).ok());
    const Ids first = DraftBehind(runner, sequence, prompt, next, 3);
    return {first, Further(runner, sequence, next, after)};
  }
  static Ids Further(Runner& runner, Sequence& sequence, int32_t next, int32_t after) {
    const Work work{&sequence, {&next, 1}, 1};
    EXPECT_TRUE(runner.Step({&work, 1}).ok());
    return DraftBehind(runner, sequence, {next}, after, 3);
  }

  const Ids prompt_ = {17, 4, 250, 33, 101, 77, 8, 9, 300, 12, 5, 60, 61, 62, 63, 64, 65, 66, 67, 68};
};

TEST_F(DraftTest, NeverWritesAPageThatAForkShares) {
  const LoadedModel m = Open(kGolden, Options("f32", 3));
  Runner& runner = *m.runner;
  const auto want_a = Alone(runner, prompt_, 40, 41), want_b = Alone(runner, prompt_, 200, 201);
  ASSERT_NE(want_a, want_b);
  // A fork between step and draft: each copies what it writes.
  {
    Sequence a = runner.NewSequence();
    ASSERT_TRUE(runner.Prefill(a, prompt_).ok());
    auto b = runner.Fork(a);
    ASSERT_TRUE(b.ok());
    const Ids shared = Pages(a);
    EXPECT_EQ(DraftBehind(runner, *b, prompt_, 200, 3), want_b.first);
    EXPECT_EQ(Pages(a), shared);
    for (size_t i = 0; i < shared.size(); ++i) EXPECT_NE(b->pages()[i], shared[i]) << i;
    EXPECT_EQ(DraftBehind(runner, a, prompt_, 40, 3), want_a.first);
    EXPECT_EQ(Pages(a), shared) << "nobody shares them any more";
    EXPECT_EQ(Further(runner, *b, 200, 201), want_b.second);
    EXPECT_EQ(Further(runner, a, 40, 41), want_a.second);
  }
  // A fork behind the draft, which goes its own way with rows of the same step: the first does not notice.
  {
    Sequence a = runner.NewSequence();
    ASSERT_TRUE(runner.Prefill(a, prompt_).ok());
    EXPECT_EQ(DraftBehind(runner, a, prompt_, 40, 3), want_a.first);
    auto b = runner.Fork(a);
    ASSERT_TRUE(b.ok());
    Ids out;
    const int32_t other = 200;
    const DraftWork last{&*b, 0, {&other, 1}, 3, &out};
    ASSERT_TRUE(runner.Draft({&last, 1}).ok());
    EXPECT_EQ(out, want_b.first);
    EXPECT_EQ(a.pages()[0], b->pages()[0]) << "nothing was written there";
    EXPECT_NE(a.pages()[1], b->pages()[1]);
    EXPECT_EQ(Further(runner, a, 40, 41), want_a.second);
    EXPECT_EQ(Further(runner, *b, 200, 201), want_b.second);
  }
  // A prefix of whole pages stays shared.
  {
    Sequence a = runner.NewSequence();
    ASSERT_TRUE(runner.Prefill(a, absl::MakeConstSpan(prompt_).first(16)).ok());
    DraftBehind(runner, a, Ids(prompt_.begin(), prompt_.begin() + 16), prompt_[16], 0);
    auto b = runner.Fork(a);
    ASSERT_TRUE(b.ok());
    const Ids rest(prompt_.begin() + 16, prompt_.end());
    ASSERT_TRUE(runner.Prefill(*b, rest).ok());
    EXPECT_EQ(DraftBehind(runner, *b, rest, 40, 3), want_a.first);
    EXPECT_EQ(a.pages()[0], b->pages()[0]);
  }
}

TEST_F(DraftTest, WithoutAPageToCopyToNothingChanges) {
  RunnerOptions options = Options("f32", 2);
  options.cache_tokens = 3 * 16;
  const LoadedModel m = Open(kGolden, options);
  Sequence a = m.runner->NewSequence();
  ASSERT_TRUE(m.runner->Prefill(a, prompt_).ok());
  auto b = m.runner->Fork(a);
  ASSERT_TRUE(b.ok());
  Ids next(prompt_.begin() + 1, prompt_.end()), out;
  next.push_back(3);
  const DraftWork work{&*b, 0, next, 2, &out};
  EXPECT_EQ(m.runner->Draft({&work, 1}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(b->length(), 20);
  EXPECT_EQ(b->pages().size(), 2u);
  *b = Sequence();
  EXPECT_EQ(DraftBehind(*m.runner, a, prompt_, 3, 2).size(), 2u) << "its pages are its own again";
}

// Rows of drafts may lie in a page that the sequence does not have yet: it is borrowed.
TEST_F(DraftTest, BorrowsPagesAndMakesFewerDraftsWhereTheyOrTheContextEnd) {
  RunnerOptions options = Options("f32", 3);
  options.cache_tokens = 2 * 16;
  options.context = 30;
  const LoadedModel m = Open(kGolden, options);
  Runner& runner = *m.runner;
  const Ids page(prompt_.begin(), prompt_.begin() + 16);
  Sequence a = runner.NewSequence();
  ASSERT_TRUE(runner.Prefill(a, page).ok());
  const Ids all = DraftBehind(runner, a, page, 3, 3);
  EXPECT_EQ(all.size(), 3u);
  EXPECT_EQ(a.pages().size(), 1u) << "given back";
  Sequence b = runner.NewSequence();
  ASSERT_TRUE(runner.Prefill(b, {1}).ok()) << "takes the last page";
  a.Truncate(0);
  ASSERT_TRUE(runner.Prefill(a, page).ok());
  EXPECT_EQ(DraftBehind(runner, a, page, 3, 3), Ids(all.begin(), all.begin() + 1)) << "no page for more";
  b = Sequence();

  Ids full(page.begin(), page.end());
  while (full.size() < 27) full.push_back(9);
  a.Truncate(0);
  ASSERT_TRUE(runner.Prefill(a, full).ok());
  EXPECT_EQ(DraftBehind(runner, a, full, 3, 3).size(), 2u) << "27 + the next + 2 are the context";
  const Ids more = {9, 9, 9};
  ASSERT_TRUE(runner.Prefill(a, more).ok());
  EXPECT_EQ(DraftBehind(runner, a, more, 3, 3).size(), 0u);
}

TEST_F(DraftTest, RefusesWhatTheLastStepDidNotAppend) {
  const LoadedModel m = Open(kGolden, Options("f32", 2));
  Runner& runner = *m.runner;
  Sequence a = runner.NewSequence();
  Ids next = {4, 5}, out;
  auto refuses = [&](DraftWork work) {
    return runner.Draft({&work, 1}).code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refuses({&a, 0, next, 1, &out})) << "there was no step";
  ASSERT_TRUE(runner.Prefill(a, {1, 2, 3}).ok());
  ASSERT_TRUE(runner.Prefill(a, {4}).ok());
  EXPECT_TRUE(refuses({&a, 0, next, 1, &out})) << "two rows, but the step had one";
  next = {5};
  EXPECT_TRUE(refuses({&a, 1, next, 1, &out})) << "a work that was not there";
  EXPECT_TRUE(refuses({&a, 0, {}, 1, &out}));
  EXPECT_TRUE(refuses({&a, 0, next, 3, &out})) << "more than draft_tokens";
  EXPECT_TRUE(refuses({&a, 0, next, 1, nullptr}));
  EXPECT_TRUE(refuses({nullptr, 0, next, 1, &out}));
  next = {320};
  EXPECT_TRUE(refuses({&a, 0, next, 1, &out})) << "outside the vocabulary";
  next = {5};
  const DraftWork good{&a, 0, next, 1, &out};
  EXPECT_TRUE(runner.Draft({&good, 1}).ok());
  a.Truncate(3);
  EXPECT_TRUE(refuses(good)) << "truncated behind the step";
}

// The source of a checkpoint whose MTP layer was left out.
class WithoutMtp : public program::TensorSource {
 public:
  explicit WithoutMtp(const program::TensorSource& source) : source_(source) {}
  absl::StatusOr<std::optional<program::HostTensor>> Find(std::string_view name) const override {
    if (name.find("layers.2.") != std::string_view::npos) return std::nullopt;
    return source_.Find(name);
  }
  std::string where() const override { return source_.where(); }

 private:
  const program::TensorSource& source_;
};

TEST_F(DraftTest, TheLayerIsLoadedOnlyWhenAskedForAndSharesEmbeddingAndHead) {
  const LoadedModel plain = Open(kGolden, Options("f32", 0)), drafting = Open(kGolden, Options("f32", 1));
  const auto& a = plain.runner->programs();
  const auto& b = drafting.runner->programs();
  EXPECT_EQ(a.cache().layers.size() + 1, b.cache().layers.size());
  EXPECT_LT(a.file_bytes(), b.file_bytes());
  EXPECT_EQ(drafting.runner->options().logits_each, 2);
  std::vector<std::string> of_mtp;
  for (const ops::Value& value : b.lowered(0, program::GraphKind::kDraft).graph.values()) {
    if (value.role == ops::Role::kWeight) of_mtp.push_back(value.name);
  }
  EXPECT_THAT(of_mtp, testing::Contains("model.embed_tokens.weight"));
  EXPECT_THAT(of_mtp, testing::Contains("lm_head.weight"));
  EXPECT_THAT(of_mtp, testing::Contains("model.layers.2.eh_proj.weight"));
  EXPECT_THAT(of_mtp, testing::Not(testing::Contains("model.layers.2.embed_tokens.weight")));
  for (const program::PlacementRow& row : a.placement())
    EXPECT_EQ(row.name.find("layers.2."), std::string::npos);

  Ids next = {4}, out;
  Sequence s = plain.runner->NewSequence();
  ASSERT_TRUE(plain.runner->Prefill(s, {1}).ok());
  const DraftWork work{&s, 0, next, 1, &out};
  EXPECT_EQ(plain.runner->Draft({&work, 1}).code(), absl::StatusCode::kFailedPrecondition);

  const WithoutMtp lacking(*plain.source);
  EXPECT_TRUE(Runner::Plan(*plain.folder->model, lacking, Options("f32", 0)).ok());
  const absl::Status lacks = Runner::Plan(*plain.folder->model, lacking, Options("f32", 1)).status();
  EXPECT_EQ(lacks.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(lacks.message()), HasSubstr("model.layers.2.eh_proj.weight"));

  auto other = OpenModelFolder(QIAO_TEST_DATA "/golden/deepseek_v2");
  ASSERT_TRUE(other.ok()) << other.status();
  const program::CheckpointSource source(*(*other)->checkpoint);
  const absl::Status none = Runner::Plan(*(*other)->model, source, Options("f32", 1)).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(none.message()), HasSubstr("no MTP layer"));
  EXPECT_EQ(Runner::Plan(*plain.folder->model, *plain.source, Options("f32", 64)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace qiao::engine
