// Costs of launches, counted by hand.
#include "runtime/program/launch_cost.h"

#include <gtest/gtest.h>

#include <map>

#include "runtime/ops/graph.h"

namespace qiao::program {
namespace {

// A launch that never ran: descriptions of its arguments, and the contents of those that are read.
class FakeLaunch {
 public:
  FakeLaunch(uint32_t op, ops::Params params) {
    node_.name = "node";
    node_.op = op;
    node_.params = params;
  }
  FakeLaunch& Arg(DType dtype, std::vector<int64_t> dims, uint32_t live = QIAO_LIVE_ALL) {
    node_.args.push_back(static_cast<ops::ValueId>(tensors_.size()));
    tensors_.push_back(ops::MakeTensor(dtype, dims, live));
    return *this;
  }
  FakeLaunch& Weight(DType dtype, std::vector<int64_t> dims, int32_t block = 0) {
    Arg(dtype, std::move(dims));
    tensors_.back().layout = QIAO_LAYOUT_PIECES;
    if (block > 0) {
      tensors_.back().scheme = QIAO_SCHEME_BLOCK;
      tensors_.back().block[0] = tensors_.back().block[1] = block;
    }
    return *this;
  }
  FakeLaunch& Absent() {
    node_.args.push_back(ops::kNoValue);
    tensors_.push_back({});
    return *this;
  }
  template <typename T>
  FakeLaunch& Holds(std::vector<T> values) {
    const auto* from = reinterpret_cast<const std::byte*>(values.data());
    contents_[node_.args.back()].assign(from, from + values.size() * sizeof(T));
    return *this;
  }

  // Two sequences: 3 new rows of 10 tokens, 1 new row of 5.
  LaunchCost Cost() {
    const int32_t q_start[3] = {0, 3, 4}, kv_len[2] = {10, 5};
    const qiao_batch batch{sizeof batch, 4, 2, 1, q_start, kv_len, nullptr};
    qiao_op_call call{sizeof call, node_.op, node_.params.data(), static_cast<uint32_t>(tensors_.size()),
                      tensors_.data()};
    LaunchEvent event;
    event.node = &node_;
    event.call = &call;
    event.batch = &batch;
    event.read = [&](ops::ValueId value, std::vector<std::byte>& out) -> absl::Status {
      out = contents_.at(value);
      return absl::OkStatus();
    };
    auto cost = CostOf(event);
    EXPECT_TRUE(cost.ok()) << cost.status();
    return cost.ok() ? *cost : LaunchCost();
  }

 private:
  ops::Node node_;
  std::vector<qiao_tensor> tensors_;
  std::map<ops::ValueId, std::vector<std::byte>> contents_;
};

TEST(LaunchCost, ExpertsWithoutRowsAreNotRead) {
  FakeLaunch launch(QIAO_OP_GROUPED_LINEAR, ops::Params(qiao_grouped_linear_params{}));
  launch.Arg(DType::kBF16, {16, 256}, QIAO_LIVE_ROUTED).Absent();
  launch.Arg(DType::kI64, {4}).Holds<int64_t>({0, 5, 5, 8});
  launch.Weight(DType::kF8E4M3, {4, 128, 256}, 128).Arg(DType::kBF16, {16, 128}, QIAO_LIVE_ROUTED);
  const LaunchCost cost = launch.Cost();
  EXPECT_EQ(cost.experts, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(cost.arithmetic, Arithmetic::kBF16);
  EXPECT_EQ(cost.cost.flops, 2.0 * 8 * 128 * 256) << "8 of the 16 rows are live";
  ASSERT_EQ(cost.weights.size(), 1u);
  EXPECT_EQ(cost.weights[0].argument, 3u);
  EXPECT_EQ(cost.weights[0].expert_bytes, 128 * 256 + 2 * 4) << "and two scales";
  EXPECT_EQ(cost.weights[0].bytes, 2 * cost.weights[0].expert_bytes);
  EXPECT_EQ(cost.cost.bytes, cost.weights[0].bytes + 8 * (256 + 128) * 2 + 4 * 8);
}

TEST(LaunchCost, TheChoicesOfAWholeMixtureTellItsExperts) {
  qiao_moe_mlp_params params{};
  params.gate.k = 2;
  FakeLaunch launch(QIAO_OP_MOE_MLP, ops::Params(params));
  launch.Arg(DType::kBF16, {8, 64}, QIAO_LIVE_ROWS).Weight(DType::kF32, {1, 6, 64}).Absent();
  launch.Weight(DType::kI8, {6, 32, 64}).Weight(DType::kI8, {6, 64, 16}).Absent().Absent();
  launch.Arg(DType::kBF16, {8, 64}, QIAO_LIVE_ROWS);
  launch.Arg(DType::kI32, {8, 2}, QIAO_LIVE_ROWS).Holds<int32_t>({4, 1, 1, 4, -1, -1, 5, 1});
  launch.Arg(DType::kF32, {8, 2}, QIAO_LIVE_ROWS);
  const LaunchCost cost = launch.Cost();
  EXPECT_EQ(cost.experts, (std::vector<int32_t>{1, 4, 5}));
  EXPECT_EQ(cost.arithmetic, Arithmetic::kI8);
  ASSERT_EQ(cost.weights.size(), 3u);
  EXPECT_EQ(cost.weights[0].expert_bytes, 0) << "the router is one matrix";
  EXPECT_EQ(cost.weights[0].bytes, 6 * 64 * 4);
  EXPECT_EQ(cost.weights[1].bytes, 3 * 32 * 64);
}

TEST(LaunchCost, RowsAttendToWhatIsBeforeThem) {
  qiao_latent_attention_params params{};
  FakeLaunch launch(QIAO_OP_LATENT_ATTENTION, ops::Params(params));
  launch.Arg(DType::kF32, {4, 2, 32}, QIAO_LIVE_ROWS).Arg(DType::kF32, {4, 2, 8}, QIAO_LIVE_ROWS);
  launch.Arg(DType::kF32, {9, 4, 32}).Arg(DType::kF32, {9, 4, 8});
  launch.Arg(DType::kI32, {3}).Arg(DType::kI32, {2}).Arg(DType::kI32, {2, 4}).Absent();
  launch.Arg(DType::kF32, {4, 2, 32}, QIAO_LIVE_ROWS);
  const LaunchCost cost = launch.Cost();
  EXPECT_EQ(cost.arithmetic, Arithmetic::kF32);
  EXPECT_TRUE(cost.weights.empty());
  EXPECT_EQ(cost.cost.flops, 2.0 * 2 * (2 * 32 + 8) * (8 + 9 + 10 + 5));
  EXPECT_EQ(cost.cost.bytes, 15 * 40 * 4 + 4 * 2 * (32 + 8 + 32) * 4);
}

TEST(LaunchCost, AnEmbeddingReadsItsRows) {
  FakeLaunch launch(QIAO_OP_EMBEDDING, ops::Params(qiao_embedding_params{}));
  launch.Arg(DType::kI32, {8}, QIAO_LIVE_ROWS).Weight(DType::kBF16, {1, 1000, 64});
  launch.Arg(DType::kBF16, {8, 64}, QIAO_LIVE_ROWS);
  const LaunchCost cost = launch.Cost();
  EXPECT_TRUE(cost.experts.empty()) << "token ids are no experts";
  ASSERT_EQ(cost.weights.size(), 1u);
  EXPECT_DOUBLE_EQ(cost.weights[0].bytes, 4 * 64 * 2);
}

}  // namespace
}  // namespace qiao::program
