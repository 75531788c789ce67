// MLA attends in the latent space: queries are brought there by W_UK, results are brought back by W_UV. This
// is the same function as expanding keys and values for every head and attending as usual (DeepSeek-V2, arXiv
// 2405.04434, eq. 9..19), which this test computes directly.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/reference/reference.h"
#include "runtime/ops/graph.h"

namespace qiao {
namespace {

constexpr int64_t kHeads = 3, kNope = 10, kRope = 4, kLatent = 14, kValue = 6, kTokens = 21, kPage = 4;

std::vector<float> Random(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

void Launch(uint32_t op, const void* params, std::vector<qiao_tensor> tensors, std::vector<void*> pointers,
            const qiao_batch* batch) {
  kernels::KernelCall call;
  call.params = params;
  call.tensor = tensors.data();
  call.pointer = pointers.data();
  call.batch = batch;
  kernels::reference::Find(op)(call);
}

// Rows `part` of each head of kv_b [heads * (nope + value), latent].
qiao_weight_view Heads(const std::vector<float>& kv_b, int64_t row0, int64_t rows,
                       std::vector<qiao_piece>& pieces, std::vector<int32_t>& starts) {
  for (int64_t h = 0; h < kHeads; ++h) {
    qiao_piece piece{};
    piece.struct_size = sizeof(piece);
    piece.dtype = QIAO_F32;
    piece.row0 = h * (kNope + kValue) + row0;
    piece.data = kv_b.data() + piece.row0 * kLatent;
    piece.rows = rows;
    piece.cols = piece.ld = kLatent;
    piece.group = static_cast<int32_t>(h);
    starts.push_back(static_cast<int32_t>(h));
    pieces.push_back(piece);
  }
  starts.push_back(static_cast<int32_t>(kHeads));
  qiao_weight_view view{};
  view.struct_size = sizeof(view);
  view.groups = kHeads;
  view.group_start = starts.data();
  view.piece = pieces.data();
  return view;
}

qiao_tensor WeightTensor(int64_t rows) {
  qiao_tensor t = ops::MakeTensor(DType::kF32, {kHeads, rows, kLatent});
  t.layout = QIAO_LAYOUT_PIECES;
  return t;
}

TEST(AbsorbedAttention, EqualsExpandedAttention) {
  std::vector<float> q_nope = Random(kTokens * kHeads * kNope, 1),
                     q_rope = Random(kTokens * kHeads * kRope, 2);
  const std::vector<float> latent = Random(kTokens * kLatent, 3), rope = Random(kTokens * kRope, 4);
  const std::vector<float> kv_b = Random(kHeads * (kNope + kValue) * kLatent, 5);
  const double scale = 0.21;

  // Expanded, in double: k = [W_UK latent | rope], v = W_UV latent, for each head.
  std::vector<double> want(kTokens * kHeads * kValue);
  auto weight = [&](int64_t h, int64_t r, int64_t c) {
    return static_cast<double>(kv_b[static_cast<size_t>((h * (kNope + kValue) + r) * kLatent + c)]);
  };
  for (int64_t h = 0; h < kHeads; ++h) {
    std::vector<double> keys(kTokens * kNope), values(kTokens * kValue);
    for (int64_t j = 0; j < kTokens; ++j) {
      for (int64_t c = 0; c < kLatent; ++c) {
        const double l = latent[static_cast<size_t>(j * kLatent + c)];
        for (int64_t r = 0; r < kNope; ++r) keys[static_cast<size_t>(j * kNope + r)] += weight(h, r, c) * l;
        for (int64_t r = 0; r < kValue; ++r)
          values[static_cast<size_t>(j * kValue + r)] += weight(h, kNope + r, c) * l;
      }
    }
    for (int64_t t = 0; t < kTokens; ++t) {
      std::vector<double> p;
      double sum = 0;
      for (int64_t j = 0; j <= t; ++j) {
        double s = 0;
        for (int64_t r = 0; r < kNope; ++r) {
          s += q_nope[static_cast<size_t>((t * kHeads + h) * kNope + r)] *
               keys[static_cast<size_t>(j * kNope + r)];
        }
        for (int64_t r = 0; r < kRope; ++r) {
          s += static_cast<double>(q_rope[static_cast<size_t>((t * kHeads + h) * kRope + r)]) *
               rope[static_cast<size_t>(j * kRope + r)];
        }
        p.push_back(std::exp(scale * s));
        sum += p.back();
      }
      for (int64_t j = 0; j <= t; ++j) {
        for (int64_t r = 0; r < kValue; ++r) {
          want[static_cast<size_t>((t * kHeads + h) * kValue + r)] +=
              p[static_cast<size_t>(j)] / sum * values[static_cast<size_t>(j * kValue + r)];
        }
      }
    }
  }

  // Absorbed, by the operations that the models use, over pages that lie in another order.
  std::vector<qiao_piece> key_pieces, value_pieces;
  std::vector<int32_t> key_starts, value_starts;
  qiao_weight_view w_uk = Heads(kv_b, 0, kNope, key_pieces, key_starts);
  qiao_weight_view w_uv = Heads(kv_b, kNope, kValue, value_pieces, value_starts);
  qiao_linear_params linear{};
  linear.struct_size = sizeof(linear);
  linear.w_transposed = 1;
  std::vector<float> q_latent(kTokens * kHeads * kLatent), o(q_latent.size()), got(kTokens * kHeads * kValue);
  const qiao_tensor none{};
  Launch(QIAO_OP_LINEAR, &linear,
         {ops::MakeTensor(DType::kF32, {kTokens, kHeads, kNope}), none, WeightTensor(kNope), none, none,
          ops::MakeTensor(DType::kF32, {kTokens, kHeads, kLatent})},
         {q_nope.data(), nullptr, &w_uk, nullptr, nullptr, q_latent.data()}, nullptr);

  std::vector<int32_t> table = {4, 0, 5, 2, 1, 3}, q_start = {0, kTokens}, kv_len = {kTokens};
  std::vector<float> latent_pool(6 * kPage * kLatent), rope_pool(6 * kPage * kRope);
  for (int64_t j = 0; j < kTokens; ++j) {
    const int64_t slot = table[static_cast<size_t>(j / kPage)] * kPage + j % kPage;
    std::copy_n(latent.data() + j * kLatent, kLatent, latent_pool.data() + slot * kLatent);
    std::copy_n(rope.data() + j * kRope, kRope, rope_pool.data() + slot * kRope);
  }
  qiao_batch batch{};
  batch.struct_size = sizeof(batch);
  batch.rows = kTokens;
  batch.seqs = 1;
  batch.q_start = q_start.data();
  batch.kv_len = kv_len.data();
  qiao_latent_attention_params attention{};
  attention.struct_size = sizeof(attention);
  attention.scale = static_cast<float>(scale);
  Launch(
      QIAO_OP_LATENT_ATTENTION, &attention,
      {ops::MakeTensor(DType::kF32, {kTokens, kHeads, kLatent}),
       ops::MakeTensor(DType::kF32, {kTokens, kHeads, kRope}),
       ops::MakeTensor(DType::kF32, {6, kPage, kLatent}), ops::MakeTensor(DType::kF32, {6, kPage, kRope}),
       ops::MakeTensor(DType::kI32, {2}), ops::MakeTensor(DType::kI32, {1}),
       ops::MakeTensor(DType::kI32, {1, 6}), none, ops::MakeTensor(DType::kF32, {kTokens, kHeads, kLatent})},
      {q_latent.data(), q_rope.data(), latent_pool.data(), rope_pool.data(), q_start.data(), kv_len.data(),
       table.data(), nullptr, o.data()},
      &batch);
  linear.w_transposed = 0;
  Launch(QIAO_OP_LINEAR, &linear,
         {ops::MakeTensor(DType::kF32, {kTokens, kHeads, kLatent}), none, WeightTensor(kValue), none, none,
          ops::MakeTensor(DType::kF32, {kTokens, kHeads, kValue})},
         {o.data(), nullptr, &w_uv, nullptr, nullptr, got.data()}, nullptr);

  double largest = 0;
  for (double w : want) largest = std::max(largest, std::fabs(w));
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 3e-6 * largest) << i;
}

}  // namespace
}  // namespace qiao
