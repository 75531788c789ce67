#include "runtime/ops/catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "kernels/reference/reference.h"
#include "runtime/ops/graph.h"

namespace qiao::ops {
namespace {

using testing::HasSubstr;

struct Described {
  Params params;
  std::vector<qiao_tensor> tensors;

  qiao_op_call Call(uint32_t op) const {
    qiao_op_call call{};
    call.struct_size = sizeof(call);
    call.op = op;
    call.params = params.data();
    call.argument_count = static_cast<uint32_t>(tensors.size());
    call.argument = tensors.data();
    return call;
  }
  absl::Status Check(uint32_t op) const { return Find(op)->check(Call(op)); }
};

qiao_tensor Weight(DType dtype, int64_t groups, int64_t rows, int64_t cols) {
  qiao_tensor t = MakeTensor(dtype, {groups, rows, cols});
  t.layout = QIAO_LAYOUT_PIECES;
  return t;
}

Described Linear() {
  const qiao_tensor x = MakeTensor(DType::kBF16, {4, 2, 128}, QIAO_LIVE_ROWS), none{};
  return {Params(qiao_linear_params{}),
          {x, none, Weight(DType::kBF16, 2, 32, 128), none, none,
           MakeTensor(DType::kBF16, {4, 2, 32}, QIAO_LIVE_ROWS)}};
}

TEST(Catalogue, EveryEntryIsComplete) {
  std::set<uint32_t> ids;
  for (const OpSpec* spec : Catalogue()) {
    EXPECT_TRUE(ids.insert(spec->id).second) << spec->name;
    EXPECT_EQ(Find(spec->id), spec);
    EXPECT_EQ(Find(spec->name), spec);
    EXPECT_EQ(OpName(spec->id), spec->name);
    EXPECT_TRUE(spec->args && spec->infer && spec->check && spec->cost && spec->reference && spec->cases &&
                spec->tolerance)
        << spec->name;
    EXPECT_EQ(spec->decompose != nullptr, spec->id >= QIAO_OP_COARSE) << spec->name;
    EXPECT_EQ(kernels::reference::Find(spec->id) != nullptr, spec->id < QIAO_OP_COARSE) << spec->name;
  }
  EXPECT_EQ(ids.size(), 22u);
  EXPECT_EQ(Find(uint32_t{4711}), nullptr);
  EXPECT_EQ(OpName(4711), "unknown");
}

TEST(Catalogue, CasesAreCompleteCallsWithCosts) {
  for (const OpSpec* spec : Catalogue()) {
    std::set<std::string> names;
    for (const Case& c : spec->cases(1, false)) {
      ASSERT_FALSE(c.args.empty()) << spec->name << " " << c.name;
      EXPECT_TRUE(names.insert(c.name).second) << spec->name << ": two cases are called " << c.name;
      Described d{c.params, {}};
      for (const Case::Arg& arg : c.args) d.tensors.push_back(arg.tensor);
      EXPECT_TRUE(d.Check(spec->id).ok()) << spec->name << " " << c.name << ": " << d.Check(spec->id);
      const Cost cost =
          spec->cost(d.Call(spec->id), {.rows = 3, .seqs = 1, .logit_rows = 1, .context = 9, .cached = 5});
      EXPECT_GE(cost.bytes, 0) << spec->name << " " << c.name;
      EXPECT_GE(cost.flops, 0) << spec->name << " " << c.name;
    }
  }
}

TEST(Catalogue, CostOfLinear) {
  const Described d = Linear();
  const Cost cost = Find(QIAO_OP_LINEAR)->cost(d.Call(QIAO_OP_LINEAR), {.rows = 3});
  EXPECT_EQ(cost.flops, 2.0 * 3 * 2 * 32 * 128);
  EXPECT_EQ(cost.bytes, 2.0 * (3 * 2 * 128 + 2 * 32 * 128 + 3 * 2 * 32));
}

TEST(Catalogue, InferLinear) {
  Described d = Linear();
  d.tensors.back() = {};
  ASSERT_TRUE(Find(QIAO_OP_LINEAR)->infer(d.params.data(), absl::MakeSpan(d.tensors), DType::kF32).ok());
  EXPECT_EQ(ToString(d.tensors.back()), "f32[4,2,32]");
  EXPECT_EQ(d.tensors.back().live, uint32_t{QIAO_LIVE_ROWS});
  // The transposed form contracts over the file's rows.
  d.tensors[2] = Weight(DType::kBF16, 2, 128, 48);
  qiao_linear_params p{};
  p.w_transposed = 1;
  d.params = Params(p);
  ASSERT_TRUE(Find(QIAO_OP_LINEAR)->infer(d.params.data(), absl::MakeSpan(d.tensors), DType::kInvalid).ok());
  EXPECT_EQ(ToString(d.tensors.back()), "bf16[4,2,48]");
  // Quantised rows do not say which dtype comes out.
  d = Linear();
  d.tensors[0].dtype = QIAO_F8E4M3;
  d.tensors[0].scheme = QIAO_SCHEME_BLOCK;
  d.tensors[0].block[0] = 1;
  d.tensors[0].block[1] = 128;
  d.tensors[1] = MakeTensor(DType::kF32, {4, 2, 1}, QIAO_LIVE_ROWS);
  EXPECT_THAT(
      Message(Find(QIAO_OP_LINEAR)->infer(d.params.data(), absl::MakeSpan(d.tensors), DType::kInvalid)),
      HasSubstr("output y cannot be f8_e4m3"));
}

TEST(Catalogue, MessagesSayWhatIsWrong) {
  EXPECT_TRUE(Linear().Check(QIAO_OP_LINEAR).ok()) << Linear().Check(QIAO_OP_LINEAR);
  const auto broken = [](auto change) {
    Described d = Linear();
    change(d);
    return std::string(Message(d.Check(QIAO_OP_LINEAR)));
  };
  EXPECT_EQ(broken([](Described& d) { d.tensors[2] = Weight(DType::kBF16, 2, 32, 127); }),
            "linear: argument 2 (W) is bf16[2,32,127]: dim 2 must be K = 128 (from x)");
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].dtype = QIAO_I32; }),
              HasSubstr("argument 0 (x) is i32[4,2,128]: its dtype must be f32 or bf16 or f8_e4m3"));
  EXPECT_THAT(broken([](Described& d) { d.tensors.pop_back(); }), HasSubstr("5 arguments, takes 6"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[2] = {}; }), HasSubstr("argument 2 (W) is missing"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].dim[1] = -2; }), HasSubstr("dim 1 is negative"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].rank = 6; }), HasSubstr("rank 6"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].stride[2] = 2; }),
              HasSubstr("last dimension's stride must be 1"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].dtype = 77; }), HasSubstr("dtype 77 is unknown"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].layout = QIAO_LAYOUT_PIECES; }),
              HasSubstr("only weights may lie in pieces"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[3] = MakeTensor(DType::kF32, {63}); }),
              HasSubstr("argument 3 (bias) is f32[63]: dim 0 must be 64"));
  EXPECT_THAT(broken([](Described& d) { d.tensors[0].dim[0] = std::numeric_limits<int64_t>::max(); }),
              HasSubstr("its size overflows"));
  EXPECT_THAT(broken([](Described& d) {
                d.tensors[1] = MakeTensor(DType::kF32, {4, 2, 1});
              }),
              HasSubstr("x_scale is given with x in f8_e4m3 or i8, and only then"));
  EXPECT_THAT(broken([](Described& d) {
                d.tensors[0].dtype = QIAO_F8E4M3;
                d.tensors[1] = MakeTensor(DType::kF32, {4, 2, 1});
              }),
              HasSubstr("its scheme must be blocks"));
  EXPECT_THAT(broken([](Described& d) {
                d.tensors[0].dtype = QIAO_I8;
                d.tensors[0].scheme = QIAO_SCHEME_CHANNEL;
                d.tensors[1] = MakeTensor(DType::kF32, {4, 2, 1});
              }),
              HasSubstr("x in i8 meets weights in i8 with a scale for each row"));
  EXPECT_THAT(broken([](Described& d) {
                qiao_linear_params p{};
                d.params = Params(p);
                *static_cast<uint32_t*>(const_cast<void*>(d.params.data())) = 12;
              }),
              HasSubstr("says 12 bytes"));
}

TEST(Catalogue, GateParameters) {
  qiao_moe_gate_params p{};
  p.k = 4;
  p.groups = 8;
  p.topk_group = 4;
  const auto check = [&](int64_t experts) {
    return std::string(Message(Described{Params(p),
                                         {MakeTensor(DType::kF32, {3, experts}),
                                          {},
                                          MakeTensor(DType::kI32, {3, p.k}),
                                          MakeTensor(DType::kF32, {3, p.k})}}
                                   .Check(QIAO_OP_MOE_GATE)));
  };
  EXPECT_EQ(check(64), "");
  EXPECT_THAT(check(63), HasSubstr("groups (8) must divide the number of experts (63)"));
  p.topk_group = 9;
  EXPECT_THAT(check(64), HasSubstr("topk_group is 9"));
  p.topk_group = 4;
  p.k = 65;
  EXPECT_THAT(check(64), HasSubstr("k is 65, must be 1 to the 64 experts"));
  p.k = 0;
  EXPECT_THAT(check(64), HasSubstr("k is 0"));
  p.k = 4;
  p.group_score = QIAO_GROUP_SCORE_TOP2_SUM;
  EXPECT_THAT(check(8), HasSubstr("groups of 2 or more"));
}

// Every case with one dimension of one argument off by one is refused, except where that dimension is free.
TEST(Catalogue, ChecksEveryDimension) {
  int refused = 0, accepted = 0;
  for (const OpSpec* spec : Catalogue()) {
    const std::vector<Case> cases = spec->cases(1, false);
    const Case& c = cases.front();
    Described good{c.params, {}};
    for (const Case::Arg& arg : c.args) good.tensors.push_back(arg.tensor);
    for (size_t i = 0; i < good.tensors.size(); ++i) {
      for (uint32_t dim = 0; dim < good.tensors[i].rank; ++dim) {
        Described d = good;
        std::vector<int64_t> dims(d.tensors[i].dim, d.tensors[i].dim + d.tensors[i].rank);
        ++dims[dim];
        qiao_tensor changed = MakeTensor(static_cast<DType>(d.tensors[i].dtype), dims);
        std::copy(std::begin(changed.dim), std::end(changed.dim), d.tensors[i].dim);
        std::copy(std::begin(changed.stride), std::end(changed.stride), d.tensors[i].stride);
        (d.Check(spec->id).ok() ? accepted : refused) += 1;
      }
    }
  }
  EXPECT_GT(refused, 100);
  // Free are: a vocabulary, a table's width, numbers of rows to gather from, sizes of pools and schedules.
  EXPECT_LE(accepted, 8);
}

}  // namespace
}  // namespace qiao::ops
