// The faulty plugin: which call fails, with what, and that nothing else does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <functional>
#include <mutex>

#include "tests/hal/testing.h"

namespace qiao::hal {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Options = std::map<std::string, std::string>;

std::string Text(const absl::Status& status) { return std::string(Message(status)); }

// What a device logged; outlives it.
struct Log {
  std::mutex mutex;
  std::vector<std::string> lines;
  HostHooks Hooks() {
    HostHooks hooks;
    hooks.log = [this](int, std::string_view line) {
      std::lock_guard lock(mutex);
      lines.emplace_back(line);
    };
    return hooks;
  }
};

absl::StatusOr<std::shared_ptr<const Device>> OpenFaulty(Options options, Log* log = nullptr) {
  DeviceOptions all;
  all.options = std::move(options);
  all.options.insert({"inner", "reference"});
  if (log) all.hooks = log->Hooks();
  return Device::Open(Path("faulty"), std::move(all));
}

// One call of every kind that a device of one operation makes. Returns the status of each, by kind.
std::map<std::string, absl::Status> CallEach(const std::shared_ptr<const Device>& device) {
  std::map<std::string, absl::Status> all;
  RmsNormCall call(2, 8);
  all["support"] = device->Supports(call.call).status();
  auto plan = device->Prepare(call.call);
  all["prepare"] = plan.status();
  auto buffer = device->Allocate(64);
  all["alloc"] = buffer.status();
  auto stream = device->CreateStream();
  all["stream"] = stream.status();
  auto event = device->CreateEvent();
  all["event"] = event.status();
  std::vector<qiao_row_kind> kinds(1);
  kinds[0].struct_size = sizeof(kinds[0]);
  kinds[0].dtype = QIAO_F32;
  kinds[0].width = 8;
  all["choose"] = device->ChooseCache(2, 16, absl::MakeSpan(kinds)).status();
  if (!stream.ok()) return all;
  if (buffer.ok()) all["copy"] = stream->Fill(buffer->data(), 1, 64);
  all["synchronise"] = stream->Synchronize();
  if (plan.ok()) {
    float x[16] = {}, g[8] = {}, y[16] = {};
    void* arguments[] = {x, g, y};
    qiao_launch launch{};
    launch.struct_size = sizeof(launch);
    launch.argument_count = 3;
    launch.argument = arguments;
    all["launch"] = device->Launch(**plan, *stream, launch);
  }
  const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  qiao_piece piece{};
  piece.struct_size = sizeof(piece);
  piece.dtype = QIAO_F32;
  piece.rows = 1;
  piece.cols = piece.ld = 8;
  piece.data = data;
  qiao_weight_request request{};
  request.struct_size = sizeof(request);
  request.op = QIAO_OP_RMSNORM;
  request.params = &call.params;
  request.groups = request.rows = 1;
  request.cols = 8;
  request.piece_count = 1;
  request.piece = &piece;
  qiao_weight_choice choice{};
  choice.struct_size = sizeof(choice);
  choice.dtype = QIAO_F32;
  choice.layout = QIAO_LAYOUT_STRIDED;
  choice.bytes = 32;
  choice.alignment = 64;
  float stored[8];
  all["store"] = device->StoreWeight(*stream, request, choice, stored);
  return all;
}

TEST(Faulty, PassesEverythingThroughWhereNothingIsAsked) {
  Log log;
  {
    auto device = OpenFaulty({{"count", "1"}}, &log);
    ASSERT_TRUE(device.ok()) << device.status();
    for (const auto& [kind, status] : CallEach(*device)) EXPECT_TRUE(status.ok()) << kind << ": " << status;
    EXPECT_EQ((*device)->MeasureLimits().status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_TRUE((*device)->unified()) << "the inner device's flags";
    EXPECT_EQ((*device)->properties().threads, 1u);
    EXPECT_THAT((*device)->properties().name, AllOf(HasSubstr("faults over reference"), HasSubstr("scalar")));
    EXPECT_THAT((*device)->properties().description, AllOf(HasSubstr("for tests"), HasSubstr("(none)")));
  }
  EXPECT_THAT(log.lines,
              ElementsAre("faulty: calls alloc=1 copy=2 launch=1 prepare=1 store=1 choose=1 synchronise=2 "
                          "event=1 stream=1 support=1 capture=0 query=2 any=14"))
      << "storing a weight that the inner backend does not store itself copies and waits too";
}

TEST(Faulty, EachKindFailsAtExactlyTheCallThatIsAsked) {
  for (const std::string kind : {"support", "prepare", "alloc", "stream", "event", "choose", "copy",
                                 "synchronise", "launch", "store"}) {
    // The HAL stores the weight, and to do so copies and waits: the second such call of a round.
    const bool twice = kind == "copy" || kind == "synchronise";
    const int each = twice ? 2 : 1;
    const std::string last = twice ? "store" : kind;
    for (int n = 1; n <= 3; ++n) {
      Log log;
      auto device = OpenFaulty({{"fail", absl::StrFormat("%s:%d", kind, n)}}, &log);
      ASSERT_TRUE(device.ok()) << device.status();
      const std::string text = absl::StrFormat("faulty: call %d (%s) fails as asked", n, kind);
      int failed = 0;
      for (int round = 1; round <= 4; ++round) {
        for (const auto& [called, status] : CallEach(*device)) {
          if (status.ok()) continue;
          ++failed;
          EXPECT_EQ(round, (n - 1) / each + 1) << kind;
          EXPECT_EQ(called, n % each == 0 ? last : kind);
          EXPECT_EQ(status.code(),
                    kind == "alloc" ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal);
          EXPECT_THAT(Text(status), HasSubstr(text));
        }
      }
      EXPECT_EQ(failed, 1) << kind << " " << n;
      EXPECT_THAT(log.lines, ElementsAre(text));
    }
  }
}

TEST(Faulty, RangesListsAndAny) {
  auto device = OpenFaulty({{"fail", "alloc:2..3,stream:2+"}});
  ASSERT_TRUE(device.ok()) << device.status();
  std::string alloc, stream;
  for (int i = 0; i < 5; ++i) {
    alloc += (*device)->Allocate(16).ok() ? '.' : 'x';
    stream += (*device)->CreateStream().ok() ? '.' : 'x';
  }
  EXPECT_EQ(alloc, ".xx..");
  EXPECT_EQ(stream, ".xxxx");

  // The first call is the question for the properties.
  EXPECT_THAT(Text(OpenFaulty({{"fail", "any:1"}}).status()), HasSubstr("call 1 (any, here query) fails"));
  device = OpenFaulty({{"fail", "any:3"}});
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_TRUE((*device)->Allocate(16).ok());
  EXPECT_THAT(Text((*device)->CreateStream().status()), HasSubstr("call 3 (any, here stream) fails"));
  EXPECT_TRUE((*device)->CreateStream().ok());
}

TEST(Faulty, AfterLetsEverythingBeforeGo) {
  Log log;
  {
    auto device = OpenFaulty({{"after", "stream:2"}, {"fail", "alloc:2,stream:1"}, {"count", "1"}}, &log);
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_TRUE((*device)->Allocate(16).ok());
    EXPECT_TRUE((*device)->Allocate(16).ok());
    EXPECT_TRUE((*device)->CreateStream().ok());
    EXPECT_FALSE((*device)->CreateStream().ok()) << "the second of all is the first that counts";
    EXPECT_TRUE((*device)->Allocate(16).ok());
    EXPECT_FALSE((*device)->Allocate(16).ok());
  }
  EXPECT_THAT(log.lines, Contains(AllOf(HasSubstr("alloc=2 "), HasSubstr("stream=1 "), HasSubstr("any=3"))));
}

TEST(Faulty, DelayOnlyDelays) {
  using Clock = std::chrono::steady_clock;
  auto device = OpenFaulty({{"delay", "alloc:2:40,alloc:2:10"}});
  ASSERT_TRUE(device.ok()) << device.status();
  const auto first = Clock::now();
  EXPECT_TRUE((*device)->Allocate(16).ok());
  const auto second = Clock::now();
  EXPECT_TRUE((*device)->Allocate(16).ok());
  // A sleep is never shorter than asked; how long the undelayed call takes, nobody knows.
  EXPECT_GE(Clock::now() - second, std::chrono::milliseconds(50));
  EXPECT_GE(second, first);
  for (const auto& [kind, status] : CallEach(*device)) EXPECT_TRUE(status.ok()) << kind << ": " << status;
}

TEST(Faulty, LosingIsForGoodAndEverythingIsGivenBack) {
  CountingHooks counts;
  DeviceOptions options;
  options.options = {{"inner", "reference"}, {"lose", "copy:2"}};
  options.hooks = counts.Hooks();
  auto device = OpenDevice("faulty", options);
  ASSERT_TRUE(device);
  Buffer buffer = std::move(device->Allocate(64)).value();
  Stream stream = std::move(device->CreateStream()).value();
  EXPECT_TRUE(stream.Fill(buffer.data(), 7, 64).ok());
  const absl::Status lost = stream.Fill(buffer.data(), 8, 64);
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Text(lost),
              AllOf(HasSubstr("is lost"), HasSubstr("faulty: call 2 (copy) loses the device as asked")));
  for (const auto& [kind, status] : CallEach(device)) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << kind;
    EXPECT_THAT(Text(status), HasSubstr("call 2 (copy)")) << kind;
  }
  EXPECT_EQ(static_cast<const char*>(buffer.data())[63], 7) << "the inner device did not see the call";
  buffer = Buffer();
  stream = Stream();
  device.reset();
  EXPECT_EQ(counts.reserved, 0);
  EXPECT_EQ(counts.allocations, 0);
}

// The plugin itself keeps to it, without the HAL's memory.
TEST(Faulty, TheTableAnswersLostForGood) {
  auto backend = Backend::Load(Path("faulty"));
  ASSERT_TRUE(backend.ok()) << backend.status();
  const qiao_backend& table = (*backend)->table();
  const qiao_option options[] = {{"inner", "null"}, {"lose", "stream:1"}};
  qiao_host host{};
  host.struct_size = sizeof(host);
  host.option_count = 2;
  host.options = options;
  qiao_error error{};
  error.struct_size = sizeof(error);
  qiao_device* device = nullptr;
  ASSERT_EQ(table.open(0, &host, &device, &error), QIAO_OK) << error.message;
  qiao_stream* stream = nullptr;
  EXPECT_EQ(table.stream_create(device, &stream, &error), QIAO_DEVICE_LOST);
  EXPECT_EQ(stream, nullptr);
  void* memory = nullptr;
  EXPECT_EQ(table.allocate(device, 16, &memory, &error), QIAO_DEVICE_LOST);
  EXPECT_STREQ(error.message, "faulty: call 1 (stream) loses the device as asked");
  table.close(device);
}

TEST(Faulty, OptionsAreCheckedAndTheRestGoesToTheInnerDevice) {
  const auto refused = [](Options options) {
    auto device = OpenFaulty(std::move(options));
    EXPECT_EQ(device.status().code(), absl::StatusCode::kInvalidArgument) << device.status();
    return Text(device.status());
  };
  for (const char* rule : {"launch", "launch:0", "launch:x", "launsh:1", "launch:3..2", "launch:1:5", ":1",
                           "launch:-1", "launch:1++", "launch:99999999999999999999", "alloc:1,,copy:1"}) {
    EXPECT_THAT(refused({{"fail", rule}}), AllOf(HasSubstr("is no rule"), HasSubstr("synchronise"))) << rule;
  }
  EXPECT_THAT(refused({{"delay", "launch:1"}}), HasSubstr("MS"));
  EXPECT_THAT(refused({{"delay", "launch:1:999999999"}}), HasSubstr("60000"));
  EXPECT_THAT(refused({{"after", "launch:1+"}}), HasSubstr("option after"));
  EXPECT_THAT(refused({{"count", "2"}}), HasSubstr("count"));
  EXPECT_THAT(refused({{"colour", "red"}}),
              AllOf(HasSubstr("colour"), HasSubstr("inner, fail, delay, lose")));
  const std::string both = refused({{"inner", "partial"}, {"colour", "red"}});
  EXPECT_THAT(both, AllOf(HasSubstr("fail_launch"), HasSubstr("inner, fail, delay, lose")));

  auto second = OpenFaulty({{"inner", "partial:1"}, {"threads", "1"}});
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->alignment(), 256u);
  EXPECT_EQ(OpenFaulty({{"inner", "partial:2"}}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Text(OpenFaulty({{"inner", "nothing"}}).status()),
              AllOf(HasSubstr("was not found"), HasSubstr("libqiao_backend_nothing.so")));
  EXPECT_THAT(Text(OpenFaulty({{"inner", BrokenPath("bad_abi")}}).status()), HasSubstr("plugin ABI"));
  EXPECT_THAT(Text(OpenFaulty({{"inner", BrokenPath("no_entry")}}).status()), HasSubstr("plugin ABI"));
  EXPECT_TRUE(OpenFaulty({{"inner", Path("reference")}}).ok());
}

}  // namespace
}  // namespace qiao::hal
