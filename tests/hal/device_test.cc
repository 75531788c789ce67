// Devices, memory, order, plans and errors, on the null, reference and partial plugins.
#include "runtime/hal/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "tests/hal/testing.h"

// The sanitizer's allocator is to fail as malloc does: HugeAllocationIsRefused asks for more than there is.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

namespace qiao::hal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const absl::Status& status) { return std::string(Message(status)); }

TEST(Device, NamesAndIndices) {
  ScopedSearchPath path(QIAO_TEST_BACKENDS);
  auto device = Device::Open("partial:1", {});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ((*device)->name(), "partial:1");
  EXPECT_FALSE((*device)->unified());
  EXPECT_EQ((*device)->alignment(), 256u);

  auto none = Device::Open("partial:2", {});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Text(none.status()), HasSubstr("2 device(s)"));
  EXPECT_EQ(Device::Open("partial:", {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Device::Open("partial:x", {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Device::Open("partial:99999999999", {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Device, UnknownOptionListsTheKnown) {
  DeviceOptions options;
  options.options = {{"colour", "red"}};
  auto device = Device::Open(Path("partial"), options);
  ASSERT_EQ(device.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Text(device.status()), HasSubstr("colour"));
  EXPECT_THAT(Text(device.status()), HasSubstr("fail_launch"));
  options.options = {{"fail_launch", "soon"}};
  EXPECT_THAT(Text(Device::Open(Path("partial"), options).status()), HasSubstr("soon"));
  // Given to every backend; one without host threads passes over it.
  options.options = {{"threads", "4"}};
  EXPECT_TRUE(Device::Open(Path("reference"), options).ok());
  options.options = {{"threads", "4"}, {"isa", "scalar"}};
  EXPECT_THAT(Text(Device::Open(Path("reference"), options).status()), HasSubstr("no options"));
}

// Whatever order things are dropped in, the plugin stays loaded until the last is gone, and all memory is
// given back.
TEST(Device, HandlesOutliveTheDevice) {
  CountingHooks counts;
  for (const char* name : {"null", "reference", "partial"}) {
    DeviceOptions options;
    options.hooks = counts.Hooks();
    auto device = OpenDevice(name, options);
    ASSERT_TRUE(device);
    Buffer buffer = std::move(device->Allocate(1000)).value();
    Stream stream = std::move(device->CreateStream()).value();
    Event event = std::move(device->CreateEvent()).value();
    std::shared_ptr<const Plan> plan;
    RmsNormCall call(2, 8);
    if (device->Supports(call.call)->yes) plan = std::move(device->Prepare(call.call)).value();
    std::weak_ptr<const Device> watch = device;
    device.reset();
    EXPECT_FALSE(watch.expired());

    std::vector<char> from(1000, 'q'), to(1000);
    EXPECT_TRUE(stream.CopyToDevice(buffer.data(), from.data(), 1000).ok());
    EXPECT_TRUE(event.Record(stream).ok());
    EXPECT_TRUE(stream.CopyToHost(to.data(), buffer.data(), 1000).ok());
    EXPECT_TRUE(stream.Synchronize().ok());
    EXPECT_EQ(from, to);
    EXPECT_EQ(counts.reserved, 1000);

    Stream moved = std::move(stream);
    EXPECT_EQ(stream.handle(), nullptr);
    EXPECT_EQ(stream.Synchronize().code(), absl::StatusCode::kFailedPrecondition);
    stream = std::move(moved);
    EXPECT_TRUE(stream.Synchronize().ok());
    stream = Stream();
    event = Event();
    plan.reset();
    EXPECT_FALSE(watch.expired());
    Buffer other = std::move(buffer);
    EXPECT_FALSE(buffer);
    other = Buffer();
    EXPECT_TRUE(watch.expired());
    EXPECT_EQ(counts.reserved, 0);
    EXPECT_EQ(counts.allocations, 0);
  }
}

// Limits are an optional entry: nobody has to measure anything, and what is measured comes through.
TEST(Device, LimitsAreMeasuredWhereTheBackendDoes) {
  for (const char* name : {"null", "reference"}) {
    auto device = OpenDevice(name);
    ASSERT_TRUE(device);
    auto limits = device->MeasureLimits();
    EXPECT_EQ(limits.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(Text(limits.status()), HasSubstr("measure_limits"));
  }
  auto meta = OpenMetaDevice(OpenDevice("reference"));
  ASSERT_TRUE(meta.ok());
  EXPECT_EQ((*meta)->MeasureLimits().status().code(), absl::StatusCode::kUnimplemented)
      << "the loader's stub";

  auto device = OpenPartial({});
  ASSERT_TRUE(device);
  auto limits = device->MeasureLimits(3 << 20);
  ASSERT_TRUE(limits.ok()) << limits.status();
  EXPECT_EQ(limits->read_bytes_per_s, 3 << 20);
  EXPECT_EQ(limits->flops_f32, 0) << "not measured";
  EXPECT_EQ(limits->flops_bf16, 2e12);
  EXPECT_STREQ(limits->how, "by hand");
  EXPECT_EQ(device->MeasureLimits(666).status().code(), absl::StatusCode::kInternal) << "no such speed";
}

TEST(Device, BudgetRefuses) {
  for (const char* name : {"null", "reference", "partial"}) {
    CountingHooks counts;
    counts.budget = 1 << 20;
    DeviceOptions options;
    options.hooks = counts.Hooks();
    auto device = OpenDevice(name, options);
    ASSERT_TRUE(device);
    Buffer fits = std::move(device->Allocate(1 << 19)).value();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(fits.data()) % device->alignment(), 0u);
    auto refused = device->Allocate((1 << 19) + 1);
    ASSERT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(Text(refused.status()), HasSubstr("524289"));
    EXPECT_THAT(Text(refused.status()), HasSubstr(name));
    EXPECT_EQ(counts.refused, 1);
    EXPECT_EQ(counts.reserved, 1 << 19);
    EXPECT_TRUE(device->Allocate(1 << 19).ok());  // and given back again
    EXPECT_TRUE(device->Allocate(0).ok());
    EXPECT_EQ(counts.reserved, 1 << 19);
  }
}

// An allocator that has nothing must not leave its reservation behind; one that throws must not reach the
// plugin.
TEST(Device, AllocatorFails) {
  for (const bool throws : {false, true}) {
    int64_t reserved = 0;
    DeviceOptions options;
    options.hooks.reserve = [&](uint64_t bytes) {
      reserved += static_cast<int64_t>(bytes);
      return true;
    };
    options.hooks.release = [&](uint64_t bytes) { reserved -= static_cast<int64_t>(bytes); };
    options.hooks.allocate = [&](uint64_t, uint64_t) -> void* {
      if (throws) throw std::runtime_error("no");
      return nullptr;
    };
    options.hooks.deallocate = [](void*, uint64_t) { ADD_FAILURE(); };
    auto device = OpenDevice("reference", options);
    ASSERT_TRUE(device);
    EXPECT_EQ(device->Allocate(64).status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(reserved, 0);
  }
  DeviceOptions half;
  half.hooks.allocate = [](uint64_t, uint64_t) -> void* { return nullptr; };
  EXPECT_EQ(Device::Open(Path("reference"), half).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Device, HugeAllocationIsRefused) {
  for (const char* name : {"null", "reference", "partial"}) {
    auto device = OpenDevice(name);
    ASSERT_TRUE(device);
    for (uint64_t bytes : {UINT64_MAX, UINT64_MAX - 62, uint64_t{1} << 62}) {
      EXPECT_EQ(device->Allocate(bytes).status().code(), absl::StatusCode::kResourceExhausted) << name;
    }
  }
}

TEST(Device, EventsMeasure) {
  auto device = OpenDevice("reference");
  Stream stream = std::move(device->CreateStream()).value();
  Event start = std::move(device->CreateEvent()).value(), end = std::move(device->CreateEvent()).value();
  EXPECT_EQ(Event::Elapsed(start, end).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(start.Record(stream).ok());
  ASSERT_TRUE(end.Record(stream).ok());
  ASSERT_TRUE(end.Wait(stream).ok());
  ASSERT_TRUE(end.Synchronize().ok());
  EXPECT_GE(*Event::Elapsed(start, end), 0.0);
  auto other = OpenDevice("null");
  Stream foreign = std::move(other->CreateStream()).value();
  EXPECT_EQ(end.Record(foreign).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Device, NullSupportsNothing) {
  auto device = OpenDevice("null");
  RmsNormCall call(2, 8);
  auto support = device->Supports(call.call);
  ASSERT_TRUE(support.ok());
  EXPECT_FALSE(support->yes);
  EXPECT_EQ(support->why, "null has no operations");
  EXPECT_EQ(device->Prepare(call.call).status().code(), absl::StatusCode::kUnimplemented);
  auto partial = OpenPartial({{"ops", "linear,rope"}});
  EXPECT_EQ(partial->Supports(call.call)->why, "partial has no rmsnorm");
  // An operation of a newer host.
  call.call.op = 4711;
  EXPECT_THAT(partial->Supports(call.call)->why, HasSubstr("4711"));
}

TEST(Device, RunsAnOperation) {
  for (const bool deferred : {false, true}) {
    auto device = OpenPartial({{"ops", "rmsnorm"}, {"deferred", deferred ? "true" : "false"}});
    RmsNormCall call(2, 3);
    auto plan = device->Prepare(call.call);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_TRUE((*plan)->row_invariant());
    EXPECT_FALSE((*plan)->capturable());
    EXPECT_EQ((*plan)->kernel(), "partial_rmsnorm");
    RmsNormRun run(*device, call, **plan);
    Stream stream = std::move(device->CreateStream()).value();
    const float x[] = {1, 2, 3, -4, 5, 6}, g[] = {1, 2, 0.5};
    float y[6] = {};
    ASSERT_TRUE(stream.CopyToDevice(run.x.data(), x, sizeof(x)).ok());
    ASSERT_TRUE(stream.CopyToDevice(run.g.data(), g, sizeof(g)).ok());
    const absl::Status launched = device->Launch(**plan, stream, run.launch);
    ASSERT_TRUE(launched.ok()) << launched;
    ASSERT_TRUE(stream.CopyToHost(y, run.y.data(), sizeof(y)).ok());
    if (deferred) {
      EXPECT_EQ(y[0], 0.0f);
    }
    ASSERT_TRUE(stream.Synchronize().ok());
    for (int r = 0; r < 2; ++r) {
      double squares = 0;
      for (int c = 0; c < 3; ++c)
        squares += static_cast<double>(x[r * 3 + c]) * static_cast<double>(x[r * 3 + c]);
      for (int c = 0; c < 3; ++c) {
        const double expected =
            static_cast<double>(x[r * 3 + c]) / std::sqrt(squares / 3 + 1e-6) * static_cast<double>(g[c]);
        EXPECT_NEAR(y[r * 3 + c], expected, 1e-5) << r << " " << c;
      }
    }
  }
}

TEST(Device, PlansAreCachedBySignature) {
  auto device = OpenDevice("reference");
  RmsNormCall a(4, 16), same(4, 16), rows(5, 16), eps(4, 16), strided(4, 16), live(4, 16), dtype(4, 16);
  // Beyond the rank nothing counts.
  same.tensors[0].dim[3] = 99;
  same.tensors[0].stride[4] = 7;
  eps.params.eps = 1e-5f;
  strided.tensors[0].stride[0] = 32;
  live.tensors[0].live = QIAO_LIVE_ROWS;
  dtype.tensors[0].dtype = dtype.tensors[2].dtype = QIAO_BF16;

  auto plan = device->Prepare(a.call).value();
  EXPECT_EQ(device->Prepare(same.call).value(), plan);
  for (const RmsNormCall* other : {&rows, &eps, &strided, &live, &dtype}) {
    EXPECT_NE(device->Prepare(other->call).value(), plan);
  }
  // A plan that nobody holds is gone, and made again when it is asked for.
  std::weak_ptr<const Plan> watch = plan;
  plan.reset();
  EXPECT_TRUE(watch.expired());
  EXPECT_TRUE(device->Prepare(a.call).ok());
}

TEST(Device, ThreadsGetTheSamePlan) {
  auto device = OpenDevice("reference");
  std::vector<std::shared_ptr<const Plan>> plans(8);
  std::vector<std::thread> threads;
  for (auto& plan : plans) {
    threads.emplace_back([&] {
      RmsNormCall call(4, 16);
      plan = device->Prepare(call.call).value();
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& plan : plans) EXPECT_EQ(plan, plans[0]);
}

std::string Describe(const qiao_op_call& call) {
  return absl::StrFormat("norm of %d rows", call.argument[0].dim[0]);
}

TEST(Device, LaunchErrorsCarryTheCircumstances) {
  DeviceOptions options;
  options.options = {{"fail_launch", "20"}};
  auto device = OpenDevice("partial", options, Describe);
  Stream first = std::move(device->CreateStream()).value();
  Stream stream = std::move(device->CreateStream()).value();
  for (int i = 1; i <= 20; ++i) {
    RmsNormCall call(i, 8);
    auto plan = device->Prepare(call.call).value();
    RmsNormRun run(*device, call, *plan);
    const absl::Status status = device->Launch(*plan, stream, run.launch);
    if (i < 20) {
      ASSERT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    const std::string text = Text(status);
    EXPECT_THAT(text, HasSubstr("libqiao_backend_partial.so"));  // the device, as it was asked for
    EXPECT_THAT(text, HasSubstr("launching norm of 20 rows"));
    EXPECT_THAT(text, HasSubstr("partial_rmsnorm"));
    EXPECT_THAT(text, HasSubstr("as option fail_launch asks"));
    EXPECT_THAT(text, HasSubstr("vendor code 42"));
    // The last sixteen, newest first.
    EXPECT_THAT(text, HasSubstr("\n  #20 norm of 20 rows, stream 1\n  #19 norm of 19 rows, stream 1"));
    EXPECT_THAT(text, HasSubstr("norm of 5 rows"));
    EXPECT_THAT(text, Not(HasSubstr("norm of 4 rows")));
  }
  // The device is not lost, only the launch.
  EXPECT_TRUE(stream.Synchronize().ok());
}

TEST(Device, DefaultDescriptionSaysShapes) {
  auto device = OpenPartial({{"fail_launch", "1"}});
  RmsNormCall call(3, 40);
  auto plan = device->Prepare(call.call).value();
  RmsNormRun run(*device, call, *plan);
  Stream stream = std::move(device->CreateStream()).value();
  EXPECT_THAT(Text(device->Launch(*plan, stream, run.launch)),
              HasSubstr("op 2(f32[3,40], f32[40], f32[3,40])"));
}

TEST(Device, HostMemoryIsNoDeviceMemory) {
  auto device = OpenPartial({});
  RmsNormCall call(2, 8);
  auto plan = device->Prepare(call.call).value();
  RmsNormRun run(*device, call, *plan);
  Stream stream = std::move(device->CreateStream()).value();
  float host[16] = {};
  run.arguments[2] = host;
  EXPECT_THAT(Text(device->Launch(*plan, stream, run.launch)), HasSubstr("argument 2"));
  EXPECT_FALSE(stream.CopyToDevice(host, host, 4).ok());
  EXPECT_FALSE(stream.CopyToHost(run.x.data(), run.y.data(), 4).ok());
  EXPECT_FALSE(stream.CopyToDevice(run.x.data(), host, run.x.size() + 1).ok());
}

TEST(Device, LostDeviceStaysLost) {
  auto device = OpenPartial({{"lost_at", "2"}});
  RmsNormCall call(2, 8), other(3, 8);
  auto plan = device->Prepare(call.call).value();
  RmsNormRun run(*device, call, *plan);
  Stream stream = std::move(device->CreateStream()).value();
  Event event = std::move(device->CreateEvent()).value();
  ASSERT_TRUE(device->Launch(*plan, stream, run.launch).ok());
  const absl::Status fault = device->Launch(*plan, stream, run.launch);
  EXPECT_EQ(fault.code(), absl::StatusCode::kUnavailable);

  qiao_weight_request request{};
  qiao_row_kind kind{};
  const absl::Status later[] = {
      fault,
      device->Launch(*plan, stream, run.launch),
      stream.Synchronize(),
      stream.Fill(run.x.data(), 0, 4),
      stream.CopyToDevice(run.x.data(), &fault, 4),
      event.Record(stream),
      event.Wait(stream),
      event.Synchronize(),
      device->Allocate(16).status(),
      device->CreateStream().status(),
      device->CreateEvent().status(),
      device->Supports(call.call).status(),
      device->OutputBytes(call.call).status(),
      device->Prepare(other.call).status(),
      device->ChooseWeight(request).status(),
      device->ChooseCache(1, 1, absl::MakeSpan(&kind, 1)).status(),
  };
  for (const absl::Status& status : later) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(Text(status), HasSubstr("launch 2 took the device down"));
    EXPECT_THAT(Text(status), HasSubstr("vendor code 77"));
    EXPECT_THAT(Text(status), HasSubstr("#2 op 2("));  // the launches before the fault
  }
}

// An asynchronous fault is found by the next wait, long after the launch that caused it.
TEST(Device, LateFaultNamesTheLaunches) {
  auto device = OpenPartial({{"lost_after", "1"}, {"deferred", "true"}});
  RmsNormCall call(2, 8);
  auto plan = device->Prepare(call.call).value();
  RmsNormRun run(*device, call, *plan);
  Stream stream = std::move(device->CreateStream()).value();
  ASSERT_TRUE(device->Launch(*plan, stream, run.launch).ok());
  const absl::Status status = stream.Synchronize();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Text(status), HasSubstr("synchronising stream 0"));
  EXPECT_THAT(Text(status), HasSubstr("#1 op 2("));
  EXPECT_EQ(device->Allocate(1).status().code(), absl::StatusCode::kUnavailable);
}

TEST(Device, AllocationFaultIsNoLoss) {
  auto device = OpenPartial({{"fail_alloc", "2"}});
  EXPECT_TRUE(device->Allocate(8).ok());
  auto failed = device->Allocate(12345);
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Text(failed.status()), HasSubstr("12345"));
  EXPECT_TRUE(device->Allocate(8).ok());
}

TEST(Device, PlansAndStreamsOfOtherDevicesAreRefused) {
  auto device = OpenDevice("reference"), other = OpenDevice("reference");
  RmsNormCall call(2, 8);
  auto plan = device->Prepare(call.call).value();
  RmsNormRun run(*device, call, *plan);
  Stream foreign = std::move(other->CreateStream()).value();
  EXPECT_EQ(device->Launch(*plan, foreign, run.launch).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(other->Launch(*plan, foreign, run.launch).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Device, BrokenCallsAreRefused) {
  auto device = OpenDevice("reference");
  RmsNormCall call(2, 8);
  qiao_op_call broken = call.call;
  broken.params = nullptr;
  EXPECT_EQ(device->Supports(broken).status().code(), absl::StatusCode::kInvalidArgument);
  broken = call.call;
  broken.argument_count = QIAO_MAX_ARGS + 1;
  EXPECT_EQ(device->Prepare(broken).status().code(), absl::StatusCode::kInvalidArgument);
  call.tensors[1].rank = QIAO_MAX_RANK + 1;
  EXPECT_EQ(device->Prepare(call.call).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace qiao::hal
