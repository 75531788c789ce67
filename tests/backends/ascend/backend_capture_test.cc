// Captured steps of the Ascend backend, through the C table: the runtime does not capture yet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "runtime/hal/device.h"
#include "runtime/ops/catalogue.h"
#include "runtime/ops/graph.h"
#include "tests/backends/ascend/environment.h"

namespace qiao {
namespace {

auto Near(std::vector<float> values) {
  return testing::Pointwise(testing::FloatNear(1e-4f), std::move(values));
}

// o = attention(q = 0): the mean of the cached latents. Then y = o + o, and y += y.
class CaptureTest : public testing::Test {
 protected:
  static constexpr int64_t kRows = 2, kWidth = 8, kPageTokens = 16;

  void SetUp() override {
    auto device = hal::Device::Open("ascend", {}, &ops::DescribeCall);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *device;
    stream_ = *device_->CreateStream();
    q_ = Zeros(kRows * kWidth);
    rope_ = Zeros(kRows * kWidth);
    latents_ = Zeros(kPageTokens * kWidth);
    ropes_ = Zeros(kPageTokens * kWidth);
    o_ = Zeros(kRows * kWidth);
    y_ = Zeros(kRows * kWidth);
    table_ = Zeros(kRows);
    starts_ = Zeros(kRows + 1);
    lengths_ = Zeros(kRows);
    std::vector<float> latents;
    for (int64_t token = 0; token < kPageTokens; ++token)
      latents.insert(latents.end(), kWidth, static_cast<float>(token));
    Put(latents_, latents);

    attention_.struct_size = sizeof(attention_);
    attention_.scale = 1;
    const qiao_tensor rows = Live(ops::MakeTensor(DType::kF32, {kRows, 1, kWidth}), QIAO_LIVE_ROWS);
    const qiao_tensor pool = ops::MakeTensor(DType::kF32, {1, kPageTokens, kWidth});
    attention_args_ = {rows,
                       rows,
                       pool,
                       pool,
                       ops::MakeTensor(DType::kI32, {kRows + 1}),
                       Live(ops::MakeTensor(DType::kI32, {kRows}), QIAO_LIVE_SEQS),
                       Live(ops::MakeTensor(DType::kI32, {kRows, 1}), QIAO_LIVE_SEQS),
                       qiao_tensor{},
                       rows};
    attention_plan_ = Prepare(QIAO_OP_LATENT_ATTENTION, &attention_, attention_args_);
    add_.struct_size = sizeof(add_);
    add_args_.assign(3, Live(ops::MakeTensor(DType::kF32, {kRows, kWidth}), QIAO_LIVE_ROWS));
    add_plan_ = Prepare(QIAO_OP_ADD, &add_, add_args_);
    workspace_ = *device_->Allocate(attention_plan_->workspace_bytes() + add_plan_->workspace_bytes());
  }

  static qiao_tensor Live(qiao_tensor t, uint32_t live) {
    t.live = live;
    return t;
  }
  std::shared_ptr<const hal::Plan> Prepare(uint32_t op, const void* params,
                                           const std::vector<qiao_tensor>& args) {
    const qiao_op_call call{sizeof(call), op, params, static_cast<uint32_t>(args.size()), args.data()};
    auto plan = device_->Prepare(call);
    EXPECT_TRUE(plan.ok()) << plan.status();
    EXPECT_TRUE((*plan)->capturable());
    return *plan;
  }
  hal::Buffer Zeros(int64_t numbers) {
    hal::Buffer buffer = *device_->Allocate(static_cast<uint64_t>(numbers) * 4);
    EXPECT_TRUE(stream_.Fill(buffer.data(), 0, buffer.size()).ok());
    return buffer;
  }
  void Put(const hal::Buffer& to, const std::vector<float>& values) {
    ASSERT_TRUE(stream_.CopyToDevice(to.data(), values.data(), values.size() * 4).ok());
    ASSERT_TRUE(stream_.Synchronize().ok());
  }
  // The first number of each row of y.
  std::vector<float> Result() {
    std::vector<float> y(kRows * kWidth);
    EXPECT_TRUE(stream_.CopyToHost(y.data(), y_.data(), y_.size()).ok());
    EXPECT_TRUE(stream_.Synchronize().ok());
    return {y[0], y[kWidth]};
  }

  // One row for each sequence, whose lengths these are.
  struct Step {
    std::vector<int32_t> starts{0}, lengths;
    qiao_batch batch{};
    explicit Step(std::vector<int32_t> of) : lengths(std::move(of)) {
      for (size_t s = 0; s < lengths.size(); ++s) starts.push_back(static_cast<int32_t>(s) + 1);
      batch.struct_size = sizeof(batch);
      batch.rows = batch.seqs = static_cast<int32_t>(lengths.size());
      batch.q_start = starts.data();
      batch.kv_len = lengths.data();
    }
  };
  void Launch(const hal::Plan& plan, std::vector<void*> pointers, const Step& step) {
    const qiao_launch launch{sizeof(launch), static_cast<uint32_t>(pointers.size()), pointers.data(),
                             &step.batch, workspace_.data()};
    const absl::Status status = device_->Launch(plan, stream_, launch);
    ASSERT_TRUE(status.ok()) << status;
  }
  void LaunchAll(const Step& step) {
    Launch(*attention_plan_,
           {q_.data(), rope_.data(), latents_.data(), ropes_.data(), starts_.data(), lengths_.data(),
            table_.data(), nullptr, o_.data()},
           step);
    Launch(*add_plan_, {o_.data(), o_.data(), y_.data()}, step);
    Launch(*add_plan_, {y_.data(), y_.data(), y_.data()}, step);
  }

  const qiao_backend& table() const { return device_->backend().table(); }

  std::shared_ptr<const hal::Device> device_;
  hal::Stream stream_;
  hal::Buffer q_, rope_, latents_, ropes_, o_, y_, table_, starts_, lengths_, workspace_;
  qiao_latent_attention_params attention_{};
  qiao_add_params add_{};
  std::vector<qiao_tensor> attention_args_, add_args_;
  std::shared_ptr<const hal::Plan> attention_plan_, add_plan_;
  qiao_error error_{sizeof(qiao_error), 0, 0, {}};
};

TEST_F(CaptureTest, ReplaysWithOtherLengthsAndOtherRows) {
  EXPECT_TRUE(device_->properties().flags & QIAO_DEVICE_CAPTURE);
  const Step first({3, 5});
  LaunchAll(first);
  EXPECT_THAT(Result(), Near({4, 8})) << "four times the mean of 0, 1, 2 and of 0 .. 4";

  ASSERT_TRUE(stream_.Fill(y_.data(), 0, y_.size()).ok());
  ASSERT_EQ(table().capture_begin(stream_.handle(), &error_), QIAO_OK) << error_.message;
  LaunchAll(first);
  qiao_capture* capture = nullptr;
  ASSERT_EQ(table().capture_end(stream_.handle(), &capture, &error_), QIAO_OK) << error_.message;
  EXPECT_THAT(Result(), Near({0, 0})) << "something ran while it was captured";

  const auto replay = [&](const Step& step) {
    EXPECT_EQ(table().capture_update(capture, &step.batch, &error_), QIAO_OK) << error_.message;
    EXPECT_EQ(table().capture_replay(capture, stream_.handle(), &error_), QIAO_OK) << error_.message;
    return Result();
  };
  EXPECT_THAT(replay(first), Near({4, 8}));
  EXPECT_THAT(replay(Step({7, 1})), Near({12, 0}));
  EXPECT_THAT(replay(Step({9})), Near({16, 0})) << "one row: the other stays";
  EXPECT_THAT(replay(Step({2, 16})), Near({2, 30}));
  table().capture_destroy(capture);
}

TEST_F(CaptureTest, WhatTheHostMustWaitForIsRefused) {
  ASSERT_EQ(table().capture_begin(stream_.handle(), &error_), QIAO_OK);
  EXPECT_NE(table().capture_begin(stream_.handle(), &error_), QIAO_OK);
  EXPECT_FALSE(stream_.Synchronize().ok());
  float number = 0;
  EXPECT_FALSE(stream_.CopyToHost(&number, y_.data(), 4).ok());
  qiao_capture* capture = nullptr;
  ASSERT_EQ(table().capture_end(stream_.handle(), &capture, &error_), QIAO_OK);
  table().capture_destroy(capture);
  EXPECT_NE(table().capture_end(stream_.handle(), &capture, &error_), QIAO_OK);
  EXPECT_TRUE(stream_.Synchronize().ok());
}

}  // namespace
}  // namespace qiao
