// Placement, fallback and copies, on a small model written by hand and a device that claims only some
// operations.
#include "runtime/program/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/ops/graph.h"
#include "tests/program/fake_source.h"

namespace qiao::program {
namespace {

using testing::HasSubstr;

constexpr int64_t kVocab = 37, kHidden = 24, kHeads = 2, kNope = 8, kRope = 4, kLatent = 12, kValue = 6,
                  kWidth = 20;

// MLA over layer `cache`.
ValueId Attention(Builder& b, ValueId x, Builder::RopeTable rope, int32_t cache) {
  Builder::MlaWeights w;
  w.q = b.Weight("q", kHeads * (kNope + kRope), kHidden);
  w.kv_a = b.Weight("kv_a", kLatent + kRope, kHidden);
  w.kv_norm = b.Vector("g_kv", kLatent);
  auto heads = [&](const char* name, int64_t row0, int64_t count) {
    return b.Weight(name, [&] {
      std::vector<Slice> slices;
      for (int32_t h = 0; h < kHeads; ++h) {
        slices.push_back({"kv_b", kHeads * (kNope + kValue), kLatent, h * (kNope + kValue) + row0, count, h});
      }
      return slices;
    });
  };
  w.w_uk = heads("kv_b.keys", 0, kNope);
  qiao_mla_prolog_params params{};
  params.heads = kHeads;
  params.nope = kNope;
  params.eps = 1e-6f;
  const auto q = b.MlaProlog("prolog", x, rope, w, params, cache);
  const ValueId o = b.LatentAttention("attention", q.latent, q.rope, cache, 0.3f);
  const ValueId v = b.Linear("values", o, heads("kv_b.values", kNope, kValue));
  const ValueId flat = b.Reshape("heads", v, {b.bucket().rows, kHeads * kValue});
  return b.Linear("o", flat, b.Weight("o_proj", kHidden, kHeads * kValue));
}

// One MLA layer and one MLP: every kind of value there is.
absl::Status BuildTiny(Builder& b) {
  const ValueId table = b.Weight("embed", kVocab, kHidden);
  const auto rope = b.RopeTables("rope", b.positions(), b.Constant("inv_freq", {1.0f, 0.1f}), 1.0f);
  const ValueId x0 = b.Embedding("x0", b.ids(), table);
  const ValueId x = b.RmsNorm("norm0", x0, b.Vector("g0", kHidden), 1e-6f);
  const ValueId a = Attention(b, x, rope, 0);
  const auto middle = b.AddRmsNorm("middle", a, x0, b.Vector("g1", kHidden), 1e-6f);
  const ValueId gate_up = b.Weight("gate_up", [] {
    return std::vector<Slice>{{"gate", kWidth, kHidden, 0, kWidth, 0}, {"up", kWidth, kHidden, 0, kWidth, 0}};
  });
  const ValueId m = b.Mlp("mlp", middle.normed, gate_up, b.Weight("down", kHidden, kWidth));
  const auto last =
      b.AddRmsNorm("final", b.GatherRows("last_m", m, b.logit_index()),
                   b.GatherRows("last_x", middle.sum, b.logit_index()), b.Vector("g2", kHidden), 1e-6f);
  const ValueId logits = b.Linear("logits", last.normed, table, DType::kF32);
  b.Output("logits", logits);
  b.Output("argmax", b.Argmax("argmax", logits));
  return absl::OkStatus();
}

// A second graph over the same weights, with a cache of its own, that takes hidden rows.
absl::Status BuildTinyDraft(Builder& b) {
  const ValueId table = b.Weight("embed", kVocab, kHidden);
  const ValueId token = b.Embedding("token", b.ids(), table);
  const ValueId both = b.RmsNorms(
      "both", {{token, b.Vector("g1", kHidden)}, {b.hidden(kHidden), b.Vector("g2", kHidden)}}, 1e-6f);
  // Another constant, under the index that the main graph's has.
  const auto rope = b.RopeTables("rope", b.positions(), b.Constant("inv_freq", {0.7f, 0.2f}), 1.0f);
  const ValueId x = b.Linear("project", both, b.Weight("eh", kHidden, 2 * kHidden));
  const ValueId out = b.GatherRows("last", Attention(b, x, rope, 1), b.logit_index());
  b.Output("hidden", out);
  b.Output("argmax", b.Argmax("argmax", b.Linear("logits", out, table, DType::kF32)));
  return absl::OkStatus();
}

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() {
    source_.AddRandom("embed", {kVocab, kHidden});
    source_.AddRandomF8("q", kHeads * (kNope + kRope), kHidden, 16);
    source_.AddRandomF8("kv_a", kLatent + kRope, kHidden, 16);
    source_.AddRandomF8("kv_b", kHeads * (kNope + kValue), kLatent, 16);
    source_.AddRandom("o_proj", {kHidden, kHeads * kValue}, 0.3f);
    source_.AddRandomF8("gate", kWidth, kHidden, 16);
    source_.AddRandomF8("up", kWidth, kHidden, 16);
    source_.AddRandom("down", {kHidden, kWidth}, 0.3f);
    for (const char* g : {"g0", "g1", "g2"}) source_.AddRandom(g, {kHidden});
    source_.AddRandom("g_kv", {kLatent});
    source_.AddRandom("eh", {kHidden, 2 * kHidden}, 0.3f);
  }

  static std::shared_ptr<const hal::Device> Open(const std::string& name,
                                                 std::map<std::string, std::string> options = {}) {
    hal::DeviceOptions device;
    device.options = std::move(options);
    auto opened = hal::Device::Open(name, std::move(device), &ops::DescribeCall);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *opened : nullptr;
  }

  ProgramOptions Options(std::vector<std::shared_ptr<const hal::Device>> devices) const {
    ProgramOptions options;
    options.devices = std::move(devices);
    options.numerics = {DType::kF32, DType::kF32};
    options.cache.page_tokens = 4;
    options.cache.pages = 6;
    options.cache.layers = {{"cache", {{"latent", kLatent, DType::kF32}, {"rope", kRope, DType::kF32}}}};
    options.buckets = {{1, 1, 1, 4}, {8, 2, 3, 4}};
    return options;
  }

  absl::StatusOr<std::unique_ptr<ProgramSet>> Make(std::vector<std::shared_ptr<const hal::Device>> devices) {
    parameters_ = std::make_unique<Parameters>(source_, Quantisation{"_scale_inv", {16, 16}});
    return ProgramSet::Plan(*parameters_, BuildTiny, Options(std::move(devices)));
  }

  // A prefill of two ragged sequences in scattered pages, then a decode step of the first; all logits.
  static absl::StatusOr<std::vector<float>> RunTwoSteps(ProgramSet& programs) {
    const std::vector<int32_t> ids = {3, 14, 15, 9, 26, 5}, positions = {0, 1, 2, 3, 4, 0};
    const std::vector<int32_t> slots = {20, 21, 22, 23, 4, 8}, q_start = {0, 5, 6}, kv_len = {5, 1};
    const std::vector<int32_t> table = {5, 1, 0, 0, 2, 0, 0, 0}, wanted = {4, 5, 0};
    QIAO_RETURN_IF_ERROR(programs.Run({1, ids, positions, slots, q_start, kv_len, table, wanted}));
    absl::Span<const float> first = programs.Output<float>("logits");
    std::vector<float> all(first.begin(), first.end());
    const std::vector<int32_t> id1 = {7}, p1 = {5}, s1 = {5}, q1 = {0, 1}, k1 = {6}, t1 = {5, 1, 0, 0},
                               w1 = {0};
    QIAO_RETURN_IF_ERROR(programs.Run({0, id1, p1, s1, q1, k1, t1, w1}));
    absl::Span<const float> second = programs.Output<float>("logits");
    all.insert(all.end(), second.begin(), second.end());
    return all;
  }

  std::vector<float> Reference() {
    auto programs = Make({Open("reference")});
    EXPECT_TRUE(programs.ok()) << programs.status();
    EXPECT_TRUE((*programs)->Load(nullptr).ok());
    auto logits = RunTwoSteps(**programs);
    EXPECT_TRUE(logits.ok()) << logits.status();
    return *logits;
  }

  static void ExpectClose(const std::vector<float>& got, const std::vector<float>& want) {
    ASSERT_EQ(got.size(), want.size());
    float scale = 0;
    for (float w : want) scale = std::max(scale, std::fabs(w));
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5f * scale) << i;
  }

  FakeSource source_;
  std::unique_ptr<Parameters> parameters_;
};

TEST_F(ProgramTest, RunsOnOneUnifiedDeviceWithoutCopies) {
  auto programs = Make({Open("reference")});
  ASSERT_TRUE(programs.ok()) << programs.status();
  EXPECT_EQ((*programs)->memory().stored_weights, 0u) << "weights stay in the files";
  EXPECT_GT((*programs)->memory().mapped_weights, 0u);
  ASSERT_TRUE((*programs)->Load(nullptr).ok());
  auto logits = RunTwoSteps(**programs);
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_EQ(logits->size(), 4u * kVocab);
  EXPECT_EQ((*programs)->fallback().copies, 0u);
  EXPECT_EQ((*programs)->fallback().launches, 0u);
}

TEST_F(ProgramTest, EveryOperationOnADeviceWithItsOwnMemory) {
  auto programs = Make({Open("partial")});
  ASSERT_TRUE(programs.ok()) << programs.status();
  EXPECT_EQ((*programs)->memory().mapped_weights, 0u);
  EXPECT_GT((*programs)->memory().stored_weights, 0u);
  ASSERT_TRUE((*programs)->Load(nullptr).ok());
  auto logits = RunTwoSteps(**programs);
  ASSERT_TRUE(logits.ok()) << logits.status();
  ExpectClose(*logits, Reference());
  EXPECT_EQ((*programs)->fallback().launches, 0u);
}

// A port grows one operation at a time: with each set the model runs and gives the same numbers.
TEST_F(ProgramTest, FallsBackAroundWhateverTheDeviceLacks) {
  const std::vector<float> want = Reference();
  for (const char* claimed :
       {"none", "linear", "rmsnorm,add", "linear,rmsnorm,rope,swiglu,embedding,rope_table",
        "latent_attention", "latent_attention,kv_write", "gather_rows,argmax"}) {
    for (const char* weights : {"strided", "opaque", "default"}) {
      for (const char* deferred : {"false", "true"}) {
        SCOPED_TRACE(std::string(claimed) + ", weights " + weights + ", deferred " + deferred);
        auto programs =
            Make({Open("partial", {{"ops", claimed}, {"weights", weights}, {"deferred", deferred}}),
                  Open("reference")});
        ASSERT_TRUE(programs.ok()) << programs.status();
        ASSERT_TRUE((*programs)->Load(nullptr).ok());
        auto logits = RunTwoSteps(**programs);
        ASSERT_TRUE(logits.ok()) << logits.status();
        ExpectClose(*logits, want);
        EXPECT_GT((*programs)->fallback().launches, 0u);
        EXPECT_GT((*programs)->fallback().bytes, 0u);
      }
    }
  }
}

// Both graphs share weights, arena and the pages of the caches, wherever their operations run.
TEST_F(ProgramTest, ASecondGraphTakesHiddenRowsAndHasItsOwnLayerInTheSamePages) {
  const std::vector<float> main = Reference();
  std::vector<float> want;
  for (const char* claimed :
       {"reference", "all", "none", "linear,embedding", "latent_attention,kv_write,rmsnorm"}) {
    SCOPED_TRACE(claimed);
    std::vector<std::shared_ptr<const hal::Device>> devices;
    if (claimed != std::string("reference")) devices.push_back(Open("partial", {{"ops", claimed}}));
    devices.push_back(Open("reference"));
    ProgramOptions options = Options(devices);
    options.cache.layers.push_back(options.cache.layers.front());
    parameters_ = std::make_unique<Parameters>(source_, Quantisation{"_scale_inv", {16, 16}});
    auto programs = ProgramSet::Plan(*parameters_, BuildTiny, options, BuildTinyDraft);
    ASSERT_TRUE(programs.ok()) << programs.status();
    ASSERT_TRUE((*programs)->Load(nullptr).ok());
    std::vector<float> hidden(3 * kHidden);
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = std::sin(static_cast<float>(i));
    const std::vector<int32_t> ids = {5, 6, 7}, positions = {0, 1, 2}, slots = {20, 21, 22}, q_start = {0, 3},
                               kv_len = {3}, table = {5, 0, 0, 0}, wanted = {2, 0};
    Step step{1, ids, positions, slots, q_start, kv_len, table, wanted};
    step.graph = GraphKind::kDraft;
    step.hidden = {reinterpret_cast<const std::byte*>(hidden.data()), hidden.size() * sizeof(float)};
    auto draft = [&] {
      EXPECT_TRUE((*programs)->Run(step).ok());
      const absl::Span<const float> out = (*programs)->Output<float>("hidden");
      EXPECT_EQ((*programs)->Output<int32_t>("argmax").size(), 2u);
      EXPECT_TRUE((*programs)->Output<float>("logits").empty()) << "an output of the other graph";
      return std::vector<float>(out.begin(), out.end());
    };
    const std::vector<float> first = draft();
    if (want.empty()) want = first;
    ASSERT_EQ(first.size(), 2u * kHidden);
    ExpectClose(first, want);
    // The main graph's rows of the same pages are another layer's.
    auto logits = RunTwoSteps(**programs);
    ASSERT_TRUE(logits.ok()) << logits.status();
    ExpectClose(*logits, main);
    ExpectClose(draft(), want);

    step.hidden = step.hidden.subspan(1);
    EXPECT_EQ((*programs)->Run(step).code(), absl::StatusCode::kInvalidArgument);
    step.graph = GraphKind::kMain;
    EXPECT_EQ((*programs)->Run(step).code(), absl::StatusCode::kInvalidArgument) << "takes no hidden rows";
  }
  parameters_ = std::make_unique<Parameters>(source_, Quantisation{"_scale_inv", {16, 16}});
  auto alone = ProgramSet::Plan(*parameters_, BuildTiny, Options({Open("reference")}));
  ASSERT_TRUE(alone.ok() && (*alone)->Load(nullptr).ok());
  Step none;
  none.graph = GraphKind::kDraft;
  EXPECT_EQ((*alone)->Run(none).code(), absl::StatusCode::kInvalidArgument) << "there is no draft";
}

TEST_F(ProgramTest, ADeviceThatWantsAScheduleGetsOneEveryStep) {
  const std::vector<float> want = Reference();
  for (const char* ops : {"all", "latent_attention,kv_write,attention_schedule"}) {
    auto programs = Make({Open("partial", {{"ops", ops}, {"schedule", "true"}}), Open("reference")});
    ASSERT_TRUE(programs.ok()) << programs.status();
    int schedules = 0;
    for (const PlacementRow& row : (*programs)->placement()) schedules += row.op == "attention_schedule";
    EXPECT_EQ(schedules, 1) << "one for all layers";
    ASSERT_TRUE((*programs)->Load(nullptr).ok());
    auto logits = RunTwoSteps(**programs);
    ASSERT_TRUE(logits.ok()) << logits.status();
    ExpectClose(*logits, want);
  }
}

TEST_F(ProgramTest, WeightsThatWantQuantisedRowsGetThemOncePerValue) {
  const std::vector<float> want = Reference();
  for (const char* ops : {"all", "linear"}) {
    auto programs = Make({Open("partial", {{"ops", ops}, {"e4m3_rows", "true"}}), Open("reference")});
    ASSERT_TRUE(programs.ok()) << programs.status();
    std::vector<std::string> quantised;
    for (const PlacementRow& row : (*programs)->placement()) {
      if (row.op == "quantise") quantised.push_back(row.name);
      if (row.op == "linear") {
        EXPECT_EQ(row.device, "partial") << row.name;
      }
    }
    // The norm's rows go into two projections; the absorbed ones, by heads, stay as they are.
    EXPECT_THAT(quantised, testing::UnorderedElementsAre("norm0.e4m3", "heads.e4m3", "middle.y.e4m3",
                                                         "mlp.swiglu.e4m3", "final.y.e4m3"));
    ASSERT_TRUE((*programs)->Load(nullptr).ok());
    auto logits = RunTwoSteps(**programs);
    ASSERT_TRUE(logits.ok()) << logits.status();
    double difference = 0, size = 0;
    for (size_t i = 0; i < want.size(); ++i) {
      difference += (logits->at(i) - want[i]) * (logits->at(i) - want[i]);
      size += want[i] * want[i];
    }
    EXPECT_LT(std::sqrt(difference / size), 0.1) << "three bits of mantissa";
    EXPECT_GT(std::sqrt(difference / size), 1e-4) << "nothing was quantised";
  }
}

// The projections of the model in INT8: their rows become INT8 in every numerics mode, once for each value.
TEST_F(ProgramTest, Int8WeightsMeetInt8RowsOnWhateverDeviceTakesThem) {
  source_ = FakeSource();
  source_.AddRandom("embed", {kVocab, kHidden});
  source_.AddRandomI8("q", kHeads * (kNope + kRope), kHidden);
  source_.AddRandomI8("kv_a", kLatent + kRope, kHidden);
  source_.AddRandomI8("kv_b", kHeads * (kNope + kValue), kLatent);
  source_.AddRandomI8("o_proj", kHidden, kHeads * kValue, true);
  for (const char* w : {"gate", "up"}) source_.AddRandomI8(w, kWidth, kHidden);
  source_.AddRandom("down", {kHidden, kWidth}, 0.3f);  // left out of the quantisation
  for (const char* g : {"g0", "g1", "g2"}) source_.AddRandom(g, {kHidden});
  source_.AddRandom("g_kv", {kLatent});
  parameters_ =
      std::make_unique<Parameters>(source_, Quantisation{.scale_suffix = "_scale", .channel = true});
  std::vector<float> want;
  // partial stores weights as f32 and so takes no INT8 rows: the fallback runs those products, and partial
  // the rest.
  for (const char* name : {"reference", "partial"}) {
    SCOPED_TRACE(name);
    auto programs = ProgramSet::Plan(*parameters_, BuildTiny, Options({Open(name), Open("reference")}));
    ASSERT_TRUE(programs.ok()) << programs.status();
    std::vector<std::string> quantised;
    for (const PlacementRow& row : (*programs)->placement()) {
      if (row.op == "quantise") quantised.push_back(row.name);
      if (row.shapes.rfind("linear(i8", 0) == 0) {
        EXPECT_EQ(row.device, "reference") << row.name;
      }
    }
    EXPECT_THAT(quantised, testing::UnorderedElementsAre("norm0.i8", "heads.i8", "middle.y.i8"));
    ASSERT_TRUE((*programs)->Load(nullptr).ok());
    auto logits = RunTwoSteps(**programs);
    ASSERT_TRUE(logits.ok()) << logits.status();
    if (want.empty()) {
      want = *logits;
    } else {
      double difference = 0, size = 0;
      for (size_t i = 0; i < want.size(); ++i) {
        difference += std::pow(logits->at(i) - want[i], 2);
        size += std::pow(want[i], 2);
      }
      EXPECT_LT(std::sqrt(difference / size), 0.02) << "f32 noise, amplified where rows are rounded";
    }
  }
  // Nobody takes the products: the error says why.
  auto alone = ProgramSet::Plan(*parameters_, BuildTiny, Options({Open("partial")}));
  ASSERT_EQ(alone.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(alone.status().message()), HasSubstr("o: linear("));
}

TEST_F(ProgramTest, TheCachesAndAllTheirOperationsShareOneDevice) {
  auto programs = Make({Open("partial", {{"ops", "latent_attention,linear"}}), Open("reference")});
  ASSERT_TRUE(programs.ok()) << programs.status();
  bool attention = false, linear = false;
  for (const PlacementRow& row : (*programs)->placement()) {
    if (row.op == "latent_attention") {
      attention = true;
      EXPECT_EQ(row.device, "reference") << "kv_write is not on the device, so the cache is not either";
      EXPECT_EQ(row.tier, Tier::kFallback);
      EXPECT_THAT(row.why, HasSubstr("shares its cache"));
    }
    if (row.op == "linear") {
      linear = true;
      EXPECT_EQ(row.device, "partial") << row.name;
    }
  }
  EXPECT_TRUE(attention && linear);
}

TEST_F(ProgramTest, ADeviceWithoutFallbackListsEverythingItLacks) {
  auto programs = Make({Open("partial", {{"ops", "linear,rope"}})});
  ASSERT_EQ(programs.status().code(), absl::StatusCode::kUnimplemented);
  const std::string message(programs.status().message());
  EXPECT_THAT(message, HasSubstr("--allow-fallback"));
  for (const char* part :
       {"x0: embedding", "attention: latent_attention", "kv_write", "f32[1,24]", "argmax"}) {
    EXPECT_THAT(message, HasSubstr(part));
  }
  EXPECT_THAT(message, testing::Not(HasSubstr(": linear(")));
}

TEST_F(ProgramTest, RefusesStepsThatWouldReadOrWriteOutsideTheirBuffers) {
  auto programs = Make({Open("reference")});
  ASSERT_TRUE(programs.ok());
  ASSERT_TRUE((*programs)->Load(nullptr).ok());
  struct Inputs {
    std::vector<int32_t> ids{1}, positions{0}, slots{0}, q_start{0, 1}, kv_len{1}, table{0, 0, 0, 0},
        wanted{0};
  };
  auto run = [&](auto change) {
    Inputs in;
    int32_t bucket = 0;
    change(in, bucket);
    return (*programs)
        ->Run({bucket, in.ids, in.positions, in.slots, in.q_start, in.kv_len, in.table, in.wanted})
        .code();
  };
  const auto bad = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(run([](Inputs&, int32_t&) {}), absl::StatusCode::kOk);
  EXPECT_EQ(run([](Inputs&, int32_t& b) { b = 2; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) {
              i.ids = i.positions = i.slots = {1, 1};
              i.q_start = {0, 2};
            }),
            bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.slots = {24}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.slots = {-2}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.table = {6, 0, 0, 0}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.table = {-1, 0, 0, 0}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.table = {0}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.kv_len = {17}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.kv_len = {0}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.q_start = {1, 1}; }), bad);
  EXPECT_EQ(run([](Inputs& i, int32_t&) { i.wanted = {1}; }), bad);
}

TEST_F(ProgramTest, ALaunchThatFailsNamesTheNode) {
  auto programs = Make({Open("partial", {{"fail_launch", "3"}})});
  ASSERT_TRUE(programs.ok()) << programs.status();
  ASSERT_TRUE((*programs)->Load(nullptr).ok());
  const absl::Status status = RunTwoSteps(**programs).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("norm0"));
  EXPECT_TRUE(RunTwoSteps(**programs).ok()) << "one failed launch must not break the program";
}

TEST_F(ProgramTest, AllocationsThatFailAreErrorsAndLeakNothing) {
  for (int n = 1;; ++n) {
    auto programs = Make({Open("partial", {{"fail_alloc", std::to_string(n)}})});
    ASSERT_TRUE(programs.ok()) << programs.status();
    const absl::Status status = (*programs)->Load(nullptr);
    if (status.ok()) {
      EXPECT_GT(n, 5);
      break;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  }
}

TEST_F(ProgramTest, CopyPageMakesAPageThatReadsTheSame) {
  for (const char* device : {"reference", "partial"}) {
    auto programs = Make({Open(device)});
    ASSERT_TRUE(programs.ok()) << programs.status();
    ASSERT_TRUE((*programs)->Load(nullptr).ok());
    const std::vector<int32_t> ids = {3, 4, 5}, positions = {0, 1, 2}, slots = {0, 1, 2}, q_start = {0, 3},
                               kv_len = {3}, table = {0, 0, 0, 0}, wanted = {2};
    ASSERT_TRUE((*programs)->Run({1, ids, positions, slots, q_start, kv_len, table, wanted}).ok());
    ASSERT_TRUE((*programs)->CopyPage(0, 4).ok());
    auto next = [&](int32_t page) {
      const std::vector<int32_t> id = {6}, p = {3}, s = {page * 4 + 3}, q = {0, 1}, k = {4},
                                 t = {page, 0, 0, 0}, w = {0};
      EXPECT_TRUE((*programs)->Run({0, id, p, s, q, k, t, w}).ok());
      auto logits = (*programs)->Output<float>("logits");
      return std::vector<float>(logits.begin(), logits.end());
    };
    EXPECT_EQ(next(0), next(4));
    EXPECT_EQ((*programs)->CopyPage(0, 6).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(ProgramTest, TheMetaDevicePlansWhatItsModelWouldNeed) {
  auto real = Make({Open("reference")});
  ASSERT_TRUE(real.ok());
  const MemoryNeeds want = (*real)->memory();
  auto meta = hal::OpenMetaDevice(Open("reference"));
  ASSERT_TRUE(meta.ok()) << meta.status();
  auto programs = Make({*meta});
  ASSERT_TRUE(programs.ok()) << programs.status();
  EXPECT_EQ((*programs)->memory().cache, want.cache);
  EXPECT_EQ((*programs)->memory().mapped_weights, want.mapped_weights);
}

}  // namespace
}  // namespace qiao::program
