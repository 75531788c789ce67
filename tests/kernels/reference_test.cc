// The scalar kernels on examples small enough to be worked by hand. The larger formulas are recomputed in
// tests/ops/decomposition_test.cc, quantise and linear are held to recorded numbers in
// tests/ops/w8a8_golden_test.cc.
#include "kernels/reference/reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include "kernels/common/elements.h"
#include "kernels/common/weights.h"

namespace qiao::kernels::reference {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

qiao_tensor Describe(uint32_t dtype, std::initializer_list<int64_t> dims, uint32_t live = QIAO_LIVE_ALL) {
  qiao_tensor t{};
  t.struct_size = sizeof(t);
  t.dtype = dtype;
  t.live = live;
  t.rank = static_cast<uint32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), t.dim);
  int64_t stride = 1;
  for (int d = static_cast<int>(t.rank) - 1; d >= 0; --d) {
    t.stride[d] = stride;
    stride *= t.dim[d];
  }
  return t;
}

// A call with contiguous arguments.
class Example {
 public:
  template <typename T>
  Example& Add(uint32_t dtype, std::vector<T>& values, std::initializer_list<int64_t> dims,
               uint32_t live = QIAO_LIVE_ALL) {
    tensors_.push_back(Describe(dtype, dims, live));
    pointers_.push_back(values.data());
    return *this;
  }
  Example& Absent() {
    tensors_.push_back({});
    pointers_.push_back(nullptr);
    return *this;
  }
  Example& Live(int32_t rows, int32_t seqs = 0, int32_t logit_rows = 0) {
    batch_.rows = rows;
    batch_.seqs = seqs;
    batch_.logit_rows = logit_rows;
    live_ = true;
    return *this;
  }
  template <typename P>
  void Run(KernelFn kernel, P params) {
    params.struct_size = sizeof(params);
    KernelCall call;
    call.params = &params;
    call.tensor = tensors_.data();
    call.pointer = pointers_.data();
    call.batch = live_ ? &batch_ : nullptr;
    kernel(call);
  }

 private:
  std::vector<qiao_tensor> tensors_;
  std::vector<void*> pointers_;
  qiao_batch batch_{};
  bool live_ = false;
};

TEST(Elements, DoubleRoundsOnceToBf16) {
  // Halfway between two bf16 numbers and a little more: going through float would lose the little more and
  // then round the tie to even, down.
  const double midpoint = 1.0 + 0x1p-8;
  EXPECT_EQ(DoubleToBf16(midpoint), FloatToBf16(1.0f));
  EXPECT_EQ(DoubleToBf16(midpoint + 0x1p-40), FloatToBf16(1.0f + 0x1p-7f));
  EXPECT_EQ(DoubleToBf16(-midpoint - 0x1p-40), FloatToBf16(-1.0f - 0x1p-7f));
  EXPECT_EQ(DoubleToBf16(1.0 + 3 * 0x1p-8 - 0x1p-40), FloatToBf16(1.0f + 0x1p-7f));
  EXPECT_EQ(DoubleToBf16(1e300), 0x7f80);
  EXPECT_EQ(DoubleToBf16(1e-300), 0);
  EXPECT_TRUE(std::isnan(Bf16ToFloat(DoubleToBf16(std::nan("")))));
}

TEST(Weights, ScalesKeepTheFilesCoordinates) {
  // Two pieces of a group; blocks of 4 x 2; the first piece begins at row 3 of its file, the second at row 6.
  const std::vector<float> data = {1, 1, 1, 1, 1, 1, 1, 1, 1}, scale = {1, 2, 3, 4, 5, 6};
  qiao_piece pieces[2] = {};
  for (qiao_piece& p : pieces) {
    p.dtype = QIAO_F32;
    p.data = data.data();
    p.cols = p.ld = 3;
    p.scheme = QIAO_SCHEME_BLOCK;
    p.scale = scale.data();
    p.scale_ld = 2;
    p.block[0] = 4;
    p.block[1] = 2;
  }
  pieces[0].rows = 2;
  pieces[0].row0 = 3;
  pieces[1].rows = 3;
  pieces[1].row0 = 6;
  const int32_t group_start[] = {0, 2};
  const qiao_weight_view view{sizeof(view), 1, group_start, pieces};
  qiao_tensor t = Describe(QIAO_F32, {1, 5, 3});
  t.layout = QIAO_LAYOUT_PIECES;
  const WeightMatrix w(t, &view, 0);
  EXPECT_EQ(w.Scale(0, 0), 1);  // file row 3
  EXPECT_EQ(w.Scale(0, 2), 2);
  EXPECT_EQ(w.Scale(1, 0), 3);  // file row 4
  EXPECT_EQ(w.Scale(2, 1), 3);  // file row 6
  EXPECT_EQ(w.Scale(4, 2), 6);  // file row 8
  EXPECT_EQ(w.ScaleEndInRow(0, 0), 2);
  EXPECT_EQ(w.ScaleEndInRow(0, 2), 3);
  EXPECT_EQ(w.ScaleEndInColumn(0), 1);
  EXPECT_EQ(w.ScaleEndInColumn(1), 2);  // the piece ends
  EXPECT_EQ(w.ScaleEndInColumn(2), 4);
  EXPECT_EQ(w.ScaleEndInColumn(4), 5);
}

TEST(Reference, ArgMax) {
  std::vector<float> x = {1,    3,    3,          2,    kNaN,       -1,         kNaN, -2, kNaN, kNaN,
                          kNaN, kNaN, -kInfinity, kNaN, -kInfinity, -kInfinity, 0,    9,  9,    9};
  std::vector<int32_t> ids(5, -7);
  Example()
      .Add(QIAO_F32, x, {5, 4}, QIAO_LIVE_LOGITS)
      .Add(QIAO_I32, ids, {5}, QIAO_LIVE_LOGITS)
      .Live(0, 0, 4)
      .Run(ArgMax, qiao_argmax_params{});
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 1, 0, 0, -7}));
}

TEST(Reference, EmbeddingAndGather) {
  std::vector<float> w = {1, 2, 3, 4, 5, 6}, y(10, 9), gathered(8, 9);
  std::vector<int32_t> ids = {2, 0, 3, -1, 1};
  Example()
      .Add(QIAO_I32, ids, {5}, QIAO_LIVE_ROWS)
      .Add(QIAO_F32, w, {1, 3, 2})
      .Add(QIAO_F32, y, {5, 2}, QIAO_LIVE_ROWS)
      .Live(4)
      .Run(Embedding, qiao_embedding_params{});
  EXPECT_EQ(y, (std::vector<float>{5, 6, 1, 2, 0, 0, 0, 0, 9, 9}));
  std::vector<int32_t> index = {1, 0, 5, 0};
  Example()
      .Add(QIAO_F32, y, {5, 2})
      .Add(QIAO_I32, index, {4}, QIAO_LIVE_LOGITS)
      .Add(QIAO_F32, gathered, {4, 2}, QIAO_LIVE_LOGITS)
      .Live(0, 0, 3)
      .Run(GatherRows, qiao_gather_rows_params{});
  EXPECT_EQ(gathered, (std::vector<float>{1, 2, 5, 6, 0, 0, 9, 9}));
}

TEST(Reference, GateTiesGoToTheLowerIndex) {
  std::vector<float> logits = {0, 1, 1, 0, 1, 0}, w(6, 9);
  std::vector<int32_t> ids(6, 9);
  qiao_moe_gate_params p{};
  p.score = QIAO_SCORE_SIGMOID;
  p.k = 3;
  p.scale = 2;
  p.renormalise = 1;
  Example()
      .Add(QIAO_F32, logits, {1, 6})
      .Absent()
      .Add(QIAO_I32, ids, {1, 3})
      .Add(QIAO_F32, w, {1, 3})
      .Run(MoeGate, p);
  EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.begin() + 3), (std::vector<int32_t>{1, 2, 4}));
  EXPECT_FLOAT_EQ(w[0], 2.0f / 3);
  // Two groups of equal score: the first stays; a masked expert has c = 0, less than any sigmoid.
  p.k = 4;
  p.groups = 2;
  p.topk_group = 1;
  std::vector<float> equal(6, 0), four(4);
  std::vector<int32_t> chosen(4);
  Example()
      .Add(QIAO_F32, equal, {1, 6})
      .Absent()
      .Add(QIAO_I32, chosen, {1, 4})
      .Add(QIAO_F32, four, {1, 4})
      .Run(MoeGate, p);
  EXPECT_EQ(chosen, (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Reference, PermuteIsStable) {
  std::vector<float> x = {10, 20, 30}, xp(6, -1);
  std::vector<int32_t> ids = {1, 0, 0, 1, 1, -1}, slot(6);
  std::vector<int64_t> ends(3);
  qiao_moe_permute_params p{};
  p.experts = 3;
  Example()
      .Add(QIAO_F32, x, {3, 1})
      .Add(QIAO_I32, ids, {3, 2})
      .Add(QIAO_F32, xp, {6, 1})
      .Add(QIAO_I64, ends, {3})
      .Add(QIAO_I32, slot, {3, 2})
      .Run(MoePermute, p);
  EXPECT_EQ(ends, (std::vector<int64_t>{2, 5, 5}));
  EXPECT_EQ(slot, (std::vector<int32_t>{2, 0, 1, 3, 4, -1}));
  EXPECT_EQ(xp, (std::vector<float>{10, 20, 10, 20, 30, -1}));
}

// One head, latent width 1: weights are softmax(scale * q * k), so logs of small integers give fractions.
TEST(Reference, LatentAttention) {
  std::vector<float> q = {1, 1, 1}, q_rope = {0, 0, 0}, o(3, 9);
  // Pages of two tokens; the sequence is in pages 1 and 0.
  std::vector<float> latent = {std::log(4.0f), kNaN, std::log(1.0f), std::log(3.0f)}, rope = {0, kNaN, 0, 0};
  std::vector<int32_t> q_start = {0, 2, 2}, kv_len = {3, 0}, table = {1, 0, 0, 0};
  qiao_latent_attention_params p{};
  p.scale = 1;
  Example()
      .Add(QIAO_F32, q, {3, 1, 1}, QIAO_LIVE_ROWS)
      .Add(QIAO_F32, q_rope, {3, 1, 1}, QIAO_LIVE_ROWS)
      .Add(QIAO_F32, latent, {2, 2, 1})
      .Add(QIAO_F32, rope, {2, 2, 1})
      .Add(QIAO_I32, q_start, {3})
      .Add(QIAO_I32, kv_len, {2})
      .Add(QIAO_I32, table, {2, 2})
      .Absent()
      .Add(QIAO_F32, o, {3, 1, 1}, QIAO_LIVE_ROWS)
      .Live(2, 1)
      .Run(LatentAttention, p);
  // Row 0 stands at position 1 and sees 1, 3; row 1 at position 2 sees 1, 3, 4.
  EXPECT_FLOAT_EQ(o[0], (1 * std::log(1.0f) + 3 * std::log(3.0f)) / 4);
  EXPECT_FLOAT_EQ(o[1], (1 * std::log(1.0f) + 3 * std::log(3.0f) + 4 * std::log(4.0f)) / 8);
  EXPECT_EQ(o[2], 9);
}

TEST(Reference, QuantisesByBlocks) {
  std::vector<float> x = {448, -1, 0, 0, 0.5f, kNaN}, scale(3);
  std::vector<uint8_t> q(6);
  qiao_quantise_params p{};
  p.block = 2;
  p.floor = 1e-4f;
  Example()
      .Add(QIAO_F32, x, {1, 6})
      .Absent()
      .Add(QIAO_F8E4M3, q, {1, 6})
      .Add(QIAO_F32, scale, {1, 3})
      .Run(Quantise, p);
  EXPECT_EQ(scale, (std::vector<float>{1, 1e-4f / 448, 0.5f / 448}));
  EXPECT_EQ(q, (std::vector<uint8_t>{0x7e, 0xb8, 0, 0, 0x7e, 0x7f}));
}

TEST(Reference, RopeTableRoundsTheAngle) {
  std::vector<int32_t> positions = {0, 100003};
  std::vector<float> inv_freq = {0.1f}, cosine(2), sine(2);
  qiao_rope_table_params p{};
  p.factor = 2;
  Example()
      .Add(QIAO_I32, positions, {2})
      .Add(QIAO_F32, inv_freq, {1})
      .Add(QIAO_F32, cosine, {2, 1})
      .Add(QIAO_F32, sine, {2, 1})
      .Run(RopeTable, p);
  EXPECT_EQ(cosine[0], 2);
  EXPECT_EQ(sine[0], 0);
  const float angle = 100003.0f * 0.1f;
  EXPECT_FLOAT_EQ(cosine[1], static_cast<float>(2 * std::cos(static_cast<double>(angle))));
  EXPECT_GT(std::fabs(cosine[1] - 2 * std::cos(100003.0 * static_cast<double>(0.1f))), 1e-5);
}

TEST(Reference, SupportedSaysWhyNot) {
  std::vector<qiao_tensor> t = {Describe(QIAO_F32, {2, 8}), {}, Describe(QIAO_F32, {1, 4, 8}), {}, {},
                                Describe(QIAO_F32, {2, 4})};
  qiao_linear_params p{};
  p.struct_size = sizeof(p);
  qiao_op_call call{sizeof(call), QIAO_OP_LINEAR, &p, 6, t.data()};
  std::string why;
  EXPECT_TRUE(Supported(call, &why)) << why;
  t[2].layout = QIAO_LAYOUT_OPAQUE;
  EXPECT_FALSE(Supported(call, &why));
  EXPECT_EQ(why, "the weight is packed by another backend");
  t[2].layout = QIAO_LAYOUT_STRIDED;
  t[2].scheme = QIAO_SCHEME_CHANNEL;
  EXPECT_FALSE(Supported(call, &why));
  t[2].scheme = QIAO_SCHEME_NONE;
  t[0].dtype = QIAO_F16;
  EXPECT_FALSE(Supported(call, &why));
  call.op = QIAO_OP_MLP;
  EXPECT_FALSE(Supported(call, &why));
  EXPECT_EQ(Find(QIAO_OP_MLP), nullptr);
}

}  // namespace
}  // namespace qiao::kernels::reference
