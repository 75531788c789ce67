#include "runtime/ops/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/ops/catalogue.h"

namespace qiao::ops {
namespace {

using testing::HasSubstr;

ValueId AddWeight(Graph& g, std::string name, int64_t rows, int64_t cols) {
  Value v;
  v.name = std::move(name);
  v.role = Role::kWeight;
  v.tensor = MakeTensor(DType::kF8E4M3, {1, rows, cols});
  v.tensor.layout = QIAO_LAYOUT_PIECES;
  v.tensor.scheme = QIAO_SCHEME_BLOCK;
  v.tensor.block[0] = v.tensor.block[1] = 128;
  return g.AddValue(std::move(v));
}

TEST(Graph, EmitInfersOutputs) {
  Graph g;
  const ValueId x = g.AddActivation("x", DType::kBF16, {8, 256}, QIAO_LIVE_ROWS);
  const ValueId w = AddWeight(g, "w", 384, 256);
  auto y = g.Emit("up", QIAO_OP_LINEAR, Params(qiao_linear_params{}), {x, kNoValue, w, kNoValue, kNoValue});
  ASSERT_TRUE(y.ok()) << y.status();
  ASSERT_EQ(y->size(), 1u);
  EXPECT_EQ(g.value((*y)[0]).name, "up");
  EXPECT_EQ(ToString(g.value((*y)[0]).tensor), "bf16[8,384]");
  const Node& node = g.nodes().back();
  EXPECT_EQ(node.args, (absl::InlinedVector<ValueId, 12>{x, kNoValue, w, kNoValue, kNoValue, (*y)[0]}));
  const auto tensors = g.Tensors(node);
  const qiao_op_call call = {sizeof(qiao_op_call), node.op, node.params.data(),
                             static_cast<uint32_t>(tensors.size()), tensors.data()};
  EXPECT_EQ(ToString(call), "linear(bf16[8,256], -, f8_e4m3/128x128[1,384,256], -, -) -> bf16[8,384]");
}

TEST(Graph, EmitNamesSeveralOutputs) {
  Graph g;
  const ValueId x = g.AddActivation("x", DType::kF32, {8, 300}, QIAO_LIVE_ROWS);
  qiao_quantise_params p{};
  p.block = 128;
  p.floor = 1e-4f;
  auto out = g.Emit("q", QIAO_OP_QUANTISE, Params(p), {x, kNoValue});
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(g.value((*out)[0]).name, "q.q");
  EXPECT_EQ(g.value((*out)[1]).name, "q.scale");
  EXPECT_EQ(ToString(g.value((*out)[0]).tensor), "f8_e4m3/1x128[8,300]");
  EXPECT_EQ(ToString(g.value((*out)[1]).tensor), "f32[8,3]");
}

TEST(Graph, EmitRefuses) {
  Graph g;
  const ValueId x = g.AddActivation("x", DType::kF32, {8, 255}, QIAO_LIVE_ROWS);
  const ValueId w = AddWeight(g, "w", 384, 256);
  const Params linear(qiao_linear_params{});
  EXPECT_THAT(Message(g.Emit("up", QIAO_OP_LINEAR, linear, {x, kNoValue, w, kNoValue, kNoValue}).status()),
              HasSubstr("node up: linear: argument 2 (W)"));
  EXPECT_THAT(Message(g.Emit("up", QIAO_OP_LINEAR, linear, {x, w}).status()),
              HasSubstr("2 arguments; linear takes 5"));
  EXPECT_THAT(Message(g.Emit("up", 4711, linear, {x}).status()), HasSubstr("no operation 4711"));
  EXPECT_THAT(Message(g.Emit("up", QIAO_OP_MOE_GATE, linear, {x, x}).status()),
              HasSubstr("bytes of parameters"));
  EXPECT_THAT(Message(g.Emit("up", QIAO_OP_LINEAR, linear, {99, kNoValue, w, kNoValue, kNoValue}).status()),
              HasSubstr("no value 99"));
  EXPECT_TRUE(g.nodes().empty());
}

TEST(Graph, ViewsShareStorageAndAreFlattened) {
  Graph g;
  const ValueId q = g.AddActivation("q", DType::kBF16, {4, 60}, QIAO_LIVE_ROWS);
  auto heads = g.AddView("heads", q, 0, {4, 3, 20}, {60, 20, 1});
  ASSERT_TRUE(heads.ok()) << heads.status();
  auto rope = g.AddView("rope", *heads, 12, {4, 3, 8}, {60, 20, 1});
  ASSERT_TRUE(rope.ok()) << rope.status();
  EXPECT_EQ(g.value(*rope).base, q);
  EXPECT_EQ(g.value(*rope).offset, 12);
  EXPECT_EQ(g.root(*rope), q);
  EXPECT_EQ(g.value(*rope).tensor.live, uint32_t{QIAO_LIVE_ROWS});
  EXPECT_EQ(ToString(g.value(*rope).tensor), "bf16[4,3,8] by (60,20,1)");
  auto nested = g.AddView("nested", *rope, 4, {4, 3, 4}, {60, 20, 1});
  ASSERT_TRUE(nested.ok());
  EXPECT_EQ(g.value(*nested).offset, 16);

  EXPECT_THAT(Message(g.AddView("v", q, 1, {4, 60}, {60, 1}).status()),
              HasSubstr("outside q, which is bf16[4,60]"));
  EXPECT_THAT(Message(g.AddView("v", q, 0, {4, 60}, {61, 1}).status()), HasSubstr("outside"));
  EXPECT_THAT(Message(g.AddView("v", q, -1, {1}, {1}).status()), HasSubstr("outside"));
  EXPECT_THAT(Message(g.AddView("v", q, 0, {4}, {1, 1}).status()), HasSubstr("1 dims and 2 strides"));
  EXPECT_THAT(Message(g.AddView("v", q, 0, {-1}, {1}).status()), HasSubstr("negative"));
  EXPECT_THAT(Message(g.AddView("v", 77, 0, {1}, {1}).status()), HasSubstr("no value 77"));
  const ValueId w = AddWeight(g, "w", 2, 2);
  EXPECT_THAT(Message(g.AddView("v", w, 0, {1}, {1}).status()), HasSubstr("not strided memory"));
}

TEST(Tensors, SpansAndContiguity) {
  qiao_tensor t = MakeTensor(DType::kF32, {3, 1, 5});
  EXPECT_TRUE(IsContiguous(t));
  EXPECT_EQ(Elements(t), 15);
  EXPECT_EQ(SpanBytes(t), 60);
  t.stride[1] = 999;  // of a dimension of 1: does not matter
  EXPECT_TRUE(IsContiguous(t));
  t.stride[0] = 8;
  EXPECT_FALSE(IsContiguous(t));
  EXPECT_EQ(SpanBytes(t), 4 * (2 * 8 + 5));
  EXPECT_EQ(SpanBytes(MakeTensor(DType::kF32, {0, 5})), 0);
}

}  // namespace
}  // namespace qiao::ops
