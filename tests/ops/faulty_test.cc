// The faulty plugin without faults is the backend behind it: the same kernels, the same bits.
#include <gtest/gtest.h>

#include "runtime/ops/graph.h"
#include "tests/ops/case_runner.h"

namespace qiao {
namespace {

TEST(Faulty, WithoutFaultsItIsTheInnerBackendBitForBit) {
  for (const std::string inner : {"cpu", "partial"}) {
    hal::DeviceOptions options;
    options.options = {{"inner", inner}};
    auto faulty = hal::Device::Open("faulty", options, &ops::DescribeCall);
    auto plain = hal::Device::Open(inner, {}, &ops::DescribeCall);
    ASSERT_TRUE(faulty.ok()) << faulty.status();
    ASSERT_TRUE(plain.ok()) << plain.status();
    int compared = 0;
    for (const uint32_t op : {QIAO_OP_RMSNORM, QIAO_OP_LINEAR, QIAO_OP_GROUPED_LINEAR, QIAO_OP_MOE_GATE,
                              QIAO_OP_KV_WRITE, QIAO_OP_LATENT_ATTENTION}) {
      const ops::OpSpec* spec = ops::Find(op);
      ASSERT_NE(spec, nullptr);
      const std::vector<ops::Case> cases = spec->cases(/*seed=*/7, /*large=*/false);
      for (size_t i = 0; i < cases.size(); i += 5) {
        const conformance::Variant variant{.name = "padded", .padding = 8};
        auto a = conformance::RunOnDevice(*faulty, *spec, cases[i], variant);
        auto b = conformance::RunOnDevice(*plain, *spec, cases[i], variant);
        ASSERT_EQ(a.ok(), b.ok()) << a.status() << b.status();
        if (!a.ok()) continue;
        EXPECT_EQ(a->supported, b->supported);
        EXPECT_EQ(a->why, b->why);
        EXPECT_EQ(a->kernel, b->kernel);
        EXPECT_EQ(a->row_invariant, b->row_invariant);
        EXPECT_TRUE(a->contents.args == b->contents.args) << inner << " " << spec->name << " case " << i;
        compared += a->supported;
      }
    }
    EXPECT_GT(compared, 10) << inner;
  }
}

}  // namespace
}  // namespace qiao
