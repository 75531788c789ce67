// The device that only plans.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/hal/testing.h"

namespace qiao::hal {
namespace {

using ::testing::HasSubstr;

TEST(Meta, PlansWhateverItsModelWould) {
  auto like = OpenPartial({{"ops", "rmsnorm"}, {"weights", "opaque"}});
  auto meta = OpenMetaDevice(like);
  ASSERT_TRUE(meta.ok()) << meta.status();
  const Device& device = **meta;
  EXPECT_FALSE(device.unified());
  EXPECT_EQ(device.alignment(), like->alignment());
  EXPECT_EQ(device.properties().memory_bytes, 0u);

  RmsNormCall call(2, 8);
  auto support = device.Supports(call.call);
  ASSERT_TRUE(support.ok());
  EXPECT_TRUE(support->yes);
  auto plan = device.Prepare(call.call);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ((*plan)->workspace_bytes(), (*like->Prepare(call.call))->workspace_bytes());
  EXPECT_EQ((*plan)->kernel(), "partial_rmsnorm");
  EXPECT_TRUE((*plan)->row_invariant());

  // What the other device does not support is claimed all the same.
  RmsNormCall other(2, 8);
  qiao_swiglu_params swiglu{sizeof(swiglu)};
  other.call.op = QIAO_OP_SWIGLU;
  other.call.params = &swiglu;
  support = device.Supports(other.call);
  ASSERT_TRUE(support.ok());
  EXPECT_TRUE(support->yes);
  EXPECT_THAT(support->why, HasSubstr("partial has no swiglu"));
  EXPECT_EQ((*device.Prepare(other.call))->workspace_bytes(), 0u);
  EXPECT_EQ(*device.OutputBytes(other.call), 0u);

  const float data[6] = {};
  qiao_piece piece{};
  piece.struct_size = sizeof(piece);
  piece.dtype = QIAO_F32;
  piece.data = data;
  piece.rows = 2;
  piece.cols = piece.ld = 3;
  qiao_linear_params linear{sizeof(linear), 0};
  qiao_weight_request request{};
  request.struct_size = sizeof(request);
  request.op = QIAO_OP_LINEAR;
  request.params = &linear;
  request.groups = 1;
  request.rows = 2;
  request.cols = 3;
  request.piece_count = 1;
  request.piece = &piece;
  auto choice = device.ChooseWeight(request);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->layout, QIAO_LAYOUT_OPAQUE);
  EXPECT_EQ(choice->bytes, 24u);

  qiao_row_kind kind{};
  kind.struct_size = sizeof(kind);
  kind.dtype = QIAO_F32;
  kind.width = 5;
  EXPECT_EQ(*device.ChooseCache(3, 4, absl::MakeSpan(&kind, 1)), 256u);
  EXPECT_EQ(kind.row_stride, 20u);
}

TEST(Meta, HoldsNoMemoryAndRunsNothing) {
  CountingHooks counts;
  DeviceOptions options;
  options.hooks = counts.Hooks();
  auto like = OpenDevice("reference", options);
  auto device = OpenMetaDevice(like).value();
  EXPECT_FALSE(device->unified());  // although the other is: nobody may write to these addresses

  // A model of any size.
  Buffer a = std::move(device->Allocate(uint64_t{700} << 30)).value();
  Buffer b = std::move(device->Allocate(uint64_t{700} << 30)).value();
  Buffer empty = std::move(device->Allocate(0)).value();
  EXPECT_EQ(counts.reserved, 0);
  EXPECT_GE(reinterpret_cast<uintptr_t>(b.data()), reinterpret_cast<uintptr_t>(a.data()) + a.size());
  EXPECT_NE(empty.data(), b.data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % device->alignment(), 0u);
  EXPECT_EQ(device->Allocate(UINT64_MAX).status().code(), absl::StatusCode::kResourceExhausted);

  Stream stream = std::move(device->CreateStream()).value();
  Event event = std::move(device->CreateEvent()).value();
  char byte = 0;
  EXPECT_TRUE(stream.CopyToDevice(a.data(), &byte, 1).ok());
  EXPECT_TRUE(stream.Fill(a.data(), 0, a.size()).ok());
  EXPECT_EQ(stream.CopyToHost(&byte, a.data(), 1).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(event.Record(stream).ok());
  EXPECT_TRUE(stream.Synchronize().ok());

  RmsNormCall call(2, 8);
  auto plan = device->Prepare(call.call).value();
  qiao_launch launch{};
  const absl::Status launched = device->Launch(*plan, stream, launch);
  EXPECT_EQ(launched.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Message(launched)), HasSubstr("the meta device only plans"));
}

TEST(Meta, NeedsAModel) {
  EXPECT_EQ(OpenMetaDevice(nullptr).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace qiao::hal
