// A test of the harness: devices that are wrong in one way each must be found out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <qiao/backend.hpp>

#include "kernels/common/args.h"
#include "kernels/reference/reference.h"
#include "runtime/ops/graph.h"
#include "tests/ops/conformance.h"

namespace qiao {
namespace {

using testing::HasSubstr;

enum Fault {
  kNone,
  kValue,
  kPastTheEnd,
  kWritesInput,
  kDeadRow,
  kNotInvariant,
  kPrepareFails,
  kLaunchFails,
  kRefuses,
  kNaN,
  kPastWorkspace
};
Fault fault = kNone;  // of the device below; tests run one after the other

class WrongKernel : public plugin::Kernel {
 public:
  explicit WrongKernel(const qiao_op_call& call) { status_ = plugin::CallCopy::Make(call, call_); }
  void Info(qiao_plan_info& info) const override {
    info.flags = QIAO_PLAN_ROW_INVARIANT;
    info.workspace_bytes = 40;
    SetName(info, "wrong");
  }
  plugin::Status Launch(plugin::Stream&, const qiao_launch& launch) const override {
    if (fault == kLaunchFails) return plugin::Internal("the chip is tired");
    kernels::KernelCall call;
    call.params = call_.params();
    call.tensor = call_.tensors().data();
    call.pointer = launch.argument;
    call.batch = launch.batch;
    kernels::reference::Find(call_.op())(call);
    const auto last = launch.argument_count - 1;
    const qiao_tensor& t = call.tensor[last];
    auto* y = static_cast<uint8_t*>(launch.argument[last]);
    const int64_t bytes = ops::SpanBytes(t);
    const int64_t live = kernels::LiveRows(call, static_cast<int>(last));
    if (fault == kPastTheEnd) y[bytes] ^= 1;
    if (fault == kPastWorkspace) static_cast<uint8_t*>(launch.workspace)[40] = 1;
    if (fault == kWritesInput) static_cast<uint8_t*>(launch.argument[0])[0] ^= 1;
    if (fault == kDeadRow && live < t.dim[0]) y[bytes - 1] ^= 1;
    if (live == 0 || bytes == 0) return plugin::Ok();
    if (fault == kValue || (fault == kNotInvariant && live > 1)) {
      // The lowest bit where the rows' bits may not depend on their number, and a wrong number otherwise.
      y[fault == kValue ? ElementBytes(t.dtype) - 1 : 0] ^= fault == kValue ? 0x40 : 1;
    }
    if (fault == kNaN && t.dtype == QIAO_F32) {
      const uint32_t nan = 0x7fc00000;
      std::memcpy(y, &nan, sizeof(nan));
    }
    return plugin::Ok();
  }

 private:
  static int64_t ElementBytes(uint32_t dtype) {
    return static_cast<int64_t>(SizeOf(static_cast<DType>(dtype)));
  }
  plugin::CallCopy call_;
  plugin::Status status_;
};

class WrongOperation : public plugin::Operation {
 public:
  plugin::Answer Support(const qiao_op_call&) const override {
    if (fault == kRefuses) return plugin::Answer::No("not today");
    return plugin::Answer::Yes("wrong");
  }
  std::unique_ptr<plugin::Kernel> Prepare(const qiao_op_call& call, plugin::Status& status) const override {
    if (fault == kPrepareFails) status = plugin::Internal("no memory for the plan");
    if (fault == kPrepareFails) return nullptr;
    return std::make_unique<WrongKernel>(call);
  }
};

class WrongDevice : public plugin::HostDevice {
 public:
  explicit WrongDevice(plugin::Host host) : HostDevice(std::move(host)) {
    for (const ops::OpSpec* spec : ops::Catalogue()) {
      if (kernels::reference::Find(spec->id)) registry().Add<WrongOperation>(spec->id);
    }
  }
  static uint32_t Count(std::string&) { return 1; }
  static plugin::Status Open(uint32_t, plugin::Host host, std::unique_ptr<plugin::Device>& out) {
    out = std::make_unique<WrongDevice>(std::move(host));
    return plugin::Ok();
  }
  plugin::Status Properties(qiao_device_properties& properties) override {
    properties.flags = QIAO_DEVICE_UNIFIED;
    properties.alignment = alignment();
    SetText(properties.name, "wrong");
    return plugin::Ok();
  }
};

struct Found {
  int passed = 0, unsupported = 0, failed = 0;
  std::string why;
};

Found RunWith(Fault f, std::string_view op) {
  fault = f;
  auto backend = hal::Backend::FromTable(plugin::MakeTable<WrongDevice>("wrong", "0", "tests"));
  EXPECT_TRUE(backend.ok()) << backend.status();
  auto device = hal::Device::Open(*backend, 0, {}, &ops::DescribeCall);
  EXPECT_TRUE(device.ok()) << device.status();
  Found found;
  for (const conformance::Outcome& o : conformance::Run(*device, *ops::Find(op))) {
    found.passed += o.kind == conformance::Outcome::kPassed;
    found.unsupported += o.kind == conformance::Outcome::kUnsupported;
    found.failed += o.kind == conformance::Outcome::kFailed;
    if (o.kind == conformance::Outcome::kFailed && found.why.empty()) found.why = o.why;
  }
  fault = kNone;
  return found;
}

TEST(ConformanceDetects, NothingWhereNothingIsWrong) {
  for (const char* op : {"linear", "rmsnorm", "gather_rows", "kv_write"}) {
    const Found found = RunWith(kNone, op);
    EXPECT_EQ(found.failed, 0) << op << ": " << found.why;
    EXPECT_GT(found.passed, 0) << op;
  }
}

TEST(ConformanceDetects, WrongNumbers) {
  for (const char* op : {"linear", "rmsnorm", "gather_rows", "kv_write", "moe_gate", "quantise", "argmax"}) {
    EXPECT_GT(RunWith(kValue, op).failed, 0) << op;
  }
  EXPECT_THAT(RunWith(kNaN, "swiglu").why, HasSubstr("is nan, must be"));
}

TEST(ConformanceDetects, WritesOutside) {
  EXPECT_THAT(RunWith(kPastTheEnd, "linear").why, HasSubstr("of output argument 5 (y) has changed"));
  EXPECT_THAT(RunWith(kWritesInput, "rmsnorm").why,
              HasSubstr("byte 0 relative to the start of input argument 0 (x)"));
  EXPECT_THAT(RunWith(kPastWorkspace, "rmsnorm").why, HasSubstr("outside its workspace"));
}

TEST(ConformanceDetects, DeadRowsThatChangeWhereTheyMustNot) {
  EXPECT_GT(RunWith(kDeadRow, "gather_rows").failed, 0);
  EXPECT_GT(RunWith(kDeadRow, "moe_gate").failed, 0);
  EXPECT_EQ(RunWith(kDeadRow, "rmsnorm").failed, 0);  // may be computed
}

TEST(ConformanceDetects, RowsThatDependOnOthers) {
  for (const char* op : {"linear", "grouped_linear", "rmsnorm", "swiglu", "latent_attention"}) {
    EXPECT_THAT(RunWith(kNotInvariant, op).why, HasSubstr("row_invariant")) << op;
  }
}

TEST(ConformanceDetects, BrokenPromises) {
  EXPECT_THAT(RunWith(kPrepareFails, "add").why, HasSubstr("no memory for the plan"));
  EXPECT_THAT(RunWith(kLaunchFails, "add").why, HasSubstr("the chip is tired"));
  const Found found = RunWith(kRefuses, "add");
  EXPECT_EQ(found.failed, 0);
  EXPECT_EQ(found.passed, 0);
  EXPECT_GT(found.unsupported, 0);
}

TEST(ConformanceDetects, TableShowsReasons) {
  fault = kRefuses;
  auto backend = hal::Backend::FromTable(plugin::MakeTable<WrongDevice>("wrong", "0", "tests"));
  ASSERT_TRUE(backend.ok());
  auto device = hal::Device::Open(*backend, 0, {}, &ops::DescribeCall);
  ASSERT_TRUE(device.ok());
  const std::string table = conformance::SupportTable("wrong", conformance::Run(*device, *ops::Find("add")));
  fault = kNone;
  EXPECT_THAT(table, HasSubstr("no: not today"));
  EXPECT_THAT(table, HasSubstr("add "));
}

}  // namespace
}  // namespace qiao
