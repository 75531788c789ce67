// The Ascend backend on the emulator, below the operations: how CANN is looked for, what a device says of itself,
// memory and order, what weights become, and what an error says. The operations are checked by tests/ops, models by
// tests/models.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <vector>

#include "runtime/base/floats.h"
#include "runtime/base/split_mix.h"
#include "runtime/hal/device.h"
#include "runtime/ops/catalogue.h"
#include "runtime/ops/graph.h"
#include "tests/backends/ascend/environment.h"

namespace qiao {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Options = std::map<std::string, std::string>;

std::shared_ptr<const hal::Device> Open(Options options = {}) {
  auto device = hal::Device::Open("ascend", {.options = std::move(options), .hooks = {}}, &ops::DescribeCall);
  EXPECT_TRUE(device.ok()) << device.status();
  return device.ok() ? *device : nullptr;
}

// ---- finding CANN ----

// A copy of the plugin, which has looked for nothing yet: it is asked how many devices there are.
class Probe : public testing::Test {
 protected:
  void SetUp() override {
    auto backend = hal::Backend::Load("ascend");
    ASSERT_TRUE(backend.ok()) << backend.status();
    folder_ = std::filesystem::temp_directory_path() / ("qiao_probe_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    const auto copy = folder_ / "libqiao_backend_ascend.so";
    std::filesystem::copy_file((*backend)->path(), copy, std::filesystem::copy_options::overwrite_existing);
    library_ = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    for (const char* name : {"QIAO_CANN", "ASCEND_TOOLKIT_HOME"}) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value != nullptr ? value : "");
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) Set(name.c_str(), value);
    if (library_ != nullptr) dlclose(library_);
    std::filesystem::remove_all(folder_);
  }
  static void Set(const char* name, const std::string& value) {
    value.empty() ? unsetenv(name) : setenv(name, value.c_str(), 1);
  }
  std::string Ask(const std::string& cann, const std::string& home, uint32_t* count) {
    Set("QIAO_CANN", cann);
    Set("ASCEND_TOOLKIT_HOME", home);
    const auto entry = reinterpret_cast<qiao_backend_entry_fn>(dlsym(library_, QIAO_BACKEND_ENTRY_NAME));
    qiao_error error{};
    error.struct_size = sizeof(error);
    EXPECT_EQ(entry(QIAO_ABI_MAJOR, QIAO_ABI_MINOR)->device_count(count, &error), QIAO_OK);
    return error.message;
  }
  std::filesystem::path folder_;

 private:
  void* library_ = nullptr;
  std::vector<std::pair<std::string, std::string>> before_;
};

TEST_F(Probe, SaysWhatToSetWhereNothingIsSet) {
  uint32_t count = 7;
  const std::string why = Ask("", "", &count);
  EXPECT_EQ(count, 0u);
  EXPECT_THAT(why, AllOf(HasSubstr("ASCEND_TOOLKIT_HOME"), HasSubstr("QIAO_CANN"), HasSubstr("emulator")));
}

TEST_F(Probe, NamesTheLibrariesThatAreMissing) {
  uint32_t count = 7;
  const std::string why = Ask("", folder_.string(), &count);
  EXPECT_EQ(count, 0u);
  EXPECT_THAT(why, AllOf(HasSubstr(folder_.string()), HasSubstr("libascendcl.so"),
                         HasSubstr("libnnopbase.so"), HasSubstr("libopapi.so")));
}

TEST_F(Probe, AnEmulatorThatIsNotBesideThePluginIsNotFound) {
  uint32_t count = 7;
  EXPECT_THAT(Ask("emulator", "", &count), AllOf(HasSubstr("cann-emulator"), HasSubstr(folder_.string())));
  EXPECT_EQ(count, 0u);
}

// Another toolkit's libopapi.so: the one of the runtime, which has no operators.
TEST_F(Probe, NamesTheSymbolsThatAreMissing) {
  const auto emulator =
      std::filesystem::path(Open()->backend().path()).parent_path() / "qiao/cann-emulator/lib64";
  std::filesystem::create_directories(folder_ / "lib64");
  for (const char* name : {"libascendcl.so", "libnnopbase.so"})
    std::filesystem::create_symlink(emulator / name, folder_ / "lib64" / name);
  std::filesystem::create_symlink(emulator / "libacl_op_compiler.so", folder_ / "lib64/libopapi.so");
  uint32_t count = 7;
  const std::string why = Ask(folder_.string(), "", &count);
  EXPECT_EQ(count, 0u);
  EXPECT_THAT(why, AllOf(HasSubstr("symbol aclnnAbsGetWorkspaceSize"), HasSubstr("more")));
  EXPECT_THAT(why, testing::Not(HasSubstr("aclrtMalloc")));
}

// ---- the device ----

TEST(AscendDevice, SaysWhatItIs) {
  const auto device = Open();
  ASSERT_NE(device, nullptr);
  const qiao_device_properties& p = device->properties();
  EXPECT_THAT(p.name, AllOf(HasSubstr("Ascend910B4"), HasSubstr("(emulated)")));
  EXPECT_TRUE(p.flags & QIAO_DEVICE_EMULATED);
  EXPECT_FALSE(p.flags & QIAO_DEVICE_UNIFIED);
  EXPECT_EQ(p.page_tokens, 128u);
  EXPECT_GT(p.memory_bytes, uint64_t{1} << 34);
  EXPECT_TRUE(p.matrix_dtypes & 1u << QIAO_I8);
  EXPECT_FALSE(p.matrix_dtypes & 1u << QIAO_F8E4M3) << "a 910B has no matrix units for E4M3";
}

TEST(AscendDevice, MemoryIsCopiedAndFilledInStreamOrder) {
  const auto device = Open();
  ASSERT_NE(device, nullptr);
  auto stream = device->CreateStream();
  ASSERT_TRUE(stream.ok()) << stream.status();
  auto a = device->Allocate(4096), b = device->Allocate(4096), none = device->Allocate(0);
  ASSERT_TRUE(a.ok() && b.ok() && none.ok());
  std::vector<uint8_t> from(4096), to(4096);
  std::iota(from.begin(), from.end(), uint8_t{0});
  ASSERT_TRUE(stream->CopyToDevice(a->data(), from.data(), from.size()).ok());
  ASSERT_TRUE(stream->CopyOnDevice(b->data(), a->data(), 4096).ok());
  ASSERT_TRUE(stream->Fill(a->data(), 7, 4096).ok());
  ASSERT_TRUE(stream->CopyOnDevice(static_cast<char*>(b->data()) + 4000, a->data(), 96).ok());
  ASSERT_TRUE(stream->CopyToHost(to.data(), b->data(), to.size()).ok());
  ASSERT_TRUE(stream->Synchronize().ok());
  std::fill(from.begin() + 4000, from.end(), uint8_t{7});
  EXPECT_EQ(to, from);
}

TEST(AscendDevice, EventsOrderStreams) {
  const auto device = Open();
  ASSERT_NE(device, nullptr);
  auto first = device->CreateStream(), second = device->CreateStream();
  auto start = device->CreateEvent(), done = device->CreateEvent();
  ASSERT_TRUE(first.ok() && second.ok() && start.ok() && done.ok());
  constexpr uint64_t kBytes = 8 << 20;
  auto a = device->Allocate(kBytes), b = device->Allocate(kBytes);
  ASSERT_TRUE(a.ok() && b.ok());
  ASSERT_TRUE(start->Record(*first).ok());
  for (int i = 1; i <= 9; ++i) ASSERT_TRUE(first->Fill(a->data(), i, kBytes).ok());
  ASSERT_TRUE(done->Record(*first).ok());
  ASSERT_TRUE(done->Wait(*second).ok());
  ASSERT_TRUE(second->CopyOnDevice(b->data(), a->data(), kBytes).ok());
  uint8_t last = 0;
  ASSERT_TRUE(second->CopyToHost(&last, static_cast<char*>(b->data()) + kBytes - 1, 1).ok());
  ASSERT_TRUE(second->Synchronize().ok());
  EXPECT_EQ(last, 9);
  ASSERT_TRUE(done->Synchronize().ok());
  auto seconds = hal::Event::Elapsed(*start, *done);
  ASSERT_TRUE(seconds.ok()) << seconds.status();
  EXPECT_GT(*seconds, 0);
}

TEST(AscendDevice, TheHostsBudgetIsAsked) {
  uint64_t held = 0;
  hal::DeviceOptions options;
  options.hooks.reserve = [&](uint64_t bytes) {
    if (bytes > 1 << 20) return false;
    held += bytes;
    return true;
  };
  options.hooks.release = [&](uint64_t bytes) { held -= bytes; };
  {
    auto device = hal::Device::Open("ascend", options, &ops::DescribeCall);
    ASSERT_TRUE(device.ok()) << device.status();
    const uint64_t own = held;
    {
      auto buffer = (*device)->Allocate(1000);
      ASSERT_TRUE(buffer.ok());
      EXPECT_EQ(held, own + 1000);
    }
    EXPECT_EQ(held, own);
    EXPECT_EQ((*device)->Allocate(2 << 20).status().code(), absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(held, 0u);
}

TEST(AscendDevice, OptionsThatItDoesNotKnowAreRefused) {
  auto device =
      hal::Device::Open("ascend", {.options = {{"speed", "warp"}}, .hooks = {}}, &ops::DescribeCall);
  ASSERT_FALSE(device.ok());
  EXPECT_THAT(device.status().ToString(), AllOf(HasSubstr("speed"), HasSubstr("int8_error")));
}

// ---- weights ----

struct F8Weight {
  static constexpr int64_t kRows = 96, kCols = 256;
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
  qiao_piece piece{};
  qiao_linear_params params{};

  explicit F8Weight(double outliers) : bytes(kRows * kCols), scales(kCols / 128, 0.01f) {
    uint64_t state = 7;
    const auto uniform = [&] { return static_cast<double>(NextSplitMix64(state) >> 11) * 0x1p-53; };
    for (uint8_t& b : bytes) {
      double v = 60 * (uniform() + uniform() + uniform() - 1.5);
      if (uniform() < outliers) v = 448;
      b = FloatToF8E4M3(static_cast<float>(v));
    }
    piece = {.struct_size = sizeof(qiao_piece),
             .dtype = QIAO_F8E4M3,
             .data = bytes.data(),
             .rows = kRows,
             .cols = kCols,
             .ld = kCols,
             .row0 = 0,
             .group = 0,
             .scheme = QIAO_SCHEME_BLOCK,
             .scale = scales.data(),
             .scale_ld = kCols / 128,
             .block = {128, 128}};
    params.struct_size = sizeof(params);
  }
  qiao_weight_request Request(uint32_t activation) const {
    qiao_weight_request r{};
    r.struct_size = sizeof(r);
    r.op = QIAO_OP_LINEAR;
    r.argument = 2;
    r.activation = activation;
    r.params = &params;
    r.groups = 1;
    r.rows = kRows;
    r.cols = kCols;
    r.piece_count = 1;
    r.piece = &piece;
    return r;
  }
};

TEST(AscendWeights, E4m3BecomesInt8WhereTheErrorAllows) {
  const F8Weight weight(0);
  auto choice = Open()->ChooseWeight(weight.Request(QIAO_BF16));
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->dtype, QIAO_I8);
  EXPECT_EQ(choice->activation, QIAO_I8);
  EXPECT_EQ(choice->scheme, QIAO_SCHEME_CHANNEL);
  EXPECT_GT(choice->error, 0.001);
  EXPECT_LT(choice->error, 0.02);
  EXPECT_THAT(choice->why, HasSubstr("int8"));
  EXPECT_GE(choice->bytes, uint64_t{96} * 256 + 96 * 4);
}

TEST(AscendWeights, AndElseBf16) {
  // Sixteen times the usual size, one number in 500: a channel's scale is theirs, and the others lose four bits.
  const F8Weight weight(0.002);
  auto choice = Open({{"int8_error", "0.01"}})->ChooseWeight(weight.Request(QIAO_BF16));
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->dtype, QIAO_BF16);
  EXPECT_EQ(choice->activation, QIAO_BF16);
  EXPECT_THAT(choice->why, HasSubstr("more than 0.0100"));
  choice = Open({{"weights", "bf16"}})->ChooseWeight(F8Weight(0).Request(QIAO_BF16));
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->dtype, QIAO_BF16);
}

TEST(AscendWeights, AbsorbedAndF32ProductsKeepTheirRowsDtype) {
  F8Weight weight(0);
  auto f32 = Open()->ChooseWeight(weight.Request(QIAO_F32));
  ASSERT_TRUE(f32.ok()) << f32.status();
  EXPECT_EQ(f32->dtype, QIAO_F32);
  weight.params.w_transposed = 1;
  auto absorbed = Open()->ChooseWeight(weight.Request(QIAO_BF16));
  ASSERT_TRUE(absorbed.ok()) << absorbed.status();
  EXPECT_EQ(absorbed->dtype, QIAO_BF16);
}

// Two projections side by side, of which only the first is INT8 in the file: the numbers of the other are not integers.
TEST(AscendWeights, Int8OfTheFileIsKeptOnlyWhereAllOfItIs) {
  F8Weight weight(0);
  qiao_piece int8 = weight.piece;
  int8.dtype = QIAO_I8;
  int8.scheme = QIAO_SCHEME_CHANNEL;
  const std::vector<float> scales(F8Weight::kRows, 0.01f);
  int8.scale = scales.data();
  const std::vector<int8_t> ones(F8Weight::kRows * F8Weight::kCols, 1);
  int8.data = ones.data();
  const qiao_piece mixed[] = {int8, weight.piece}, alike[] = {int8, int8};
  qiao_weight_request request = weight.Request(QIAO_I8);
  request.rows = 2 * F8Weight::kRows;
  request.piece_count = 2;
  request.piece = alike;
  auto choice = Open()->ChooseWeight(request);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_EQ(choice->error, 0);
  request.piece = mixed;
  choice = Open()->ChooseWeight(request);
  ASSERT_TRUE(choice.ok()) << choice.status();
  EXPECT_GT(choice->error, 0.001);
  EXPECT_LT(choice->error, 0.02);
}

// ---- launches ----

struct AddCase {
  static constexpr int64_t kRows = 4, kCols = 32;
  std::shared_ptr<const hal::Device> device = Open();
  qiao_add_params params{sizeof(qiao_add_params)};
  std::vector<qiao_tensor> tensors;
  qiao_op_call call{};
  std::shared_ptr<const hal::Plan> plan;
  std::vector<hal::Buffer> buffers;
  hal::Buffer workspace;
  hal::Stream stream;

  AddCase() {
    for (int i = 0; i < 3; ++i) {
      tensors.push_back(ops::MakeTensor(DType::kF32, {kRows, kCols}));
      tensors.back().live = QIAO_LIVE_ROWS;
      buffers.push_back(std::move(*device->Allocate(kRows * kCols * 4)));
    }
    call = {sizeof(call), QIAO_OP_ADD, &params, 3, tensors.data()};
    plan = *device->Prepare(call);
    workspace = *device->Allocate(plan->workspace_bytes());
    stream = *device->CreateStream();
  }
  absl::Status Launch(std::vector<void*> pointers, int32_t rows) {
    qiao_batch batch{};
    batch.struct_size = sizeof(batch);
    batch.rows = rows;
    qiao_launch launch{sizeof(launch), 3, pointers.data(), &batch, workspace.data()};
    return device->Launch(*plan, stream, launch);
  }
  void Put(int i, float value) {
    const std::vector<float> values(kRows * kCols, value);
    ASSERT_TRUE(
        stream.CopyToDevice(buffers[static_cast<size_t>(i)].data(), values.data(), values.size() * 4).ok());
  }
  std::vector<float> Get() {
    std::vector<float> values(kRows * kCols);
    EXPECT_TRUE(stream.CopyToHost(values.data(), buffers[2].data(), values.size() * 4).ok());
    EXPECT_TRUE(stream.Synchronize().ok());
    return values;
  }
  std::vector<void*> Pointers() { return {buffers[0].data(), buffers[1].data(), buffers[2].data()}; }
};

// The second launch with the same addresses and rows runs what the first one planned; others do not.
TEST(AscendLaunch, ARepeatedLaunchReadsWhatIsThereNow) {
  AddCase add;
  add.Put(0, 1);
  add.Put(1, 2);
  for (int i = 0; i < 3; ++i) {
    add.Put(0, static_cast<float>(i));
    add.Put(2, -1);
    ASSERT_TRUE(add.Launch(add.Pointers(), 4).ok());
    EXPECT_THAT(add.Get(), testing::Each(static_cast<float>(i) + 2));
  }
  add.Put(2, -1);
  ASSERT_TRUE(add.Launch(add.Pointers(), 3).ok());
  std::vector<float> got = add.Get();
  EXPECT_EQ(got[3 * 32 - 1], 4);
  EXPECT_EQ(got[3 * 32], -1) << "a dead row was written";
  std::vector<void*> twice = add.Pointers();
  twice[1] = twice[0];
  ASSERT_TRUE(add.Launch(twice, 4).ok());
  EXPECT_THAT(add.Get(), testing::Each(4.0f));
}

TEST(AscendLaunch, AnErrorNamesTheOperatorItsArgumentsAndWhatCannSays) {
  AddCase add;
  add.Put(0, 1);
  std::vector<float> host(128);
  std::vector<void*> pointers = add.Pointers();
  pointers[1] = host.data();
  absl::Status status = add.Launch(pointers, 4);
  if (status.ok()) status = add.stream.Synchronize();
  ASSERT_FALSE(status.ok()) << "host memory was taken for the device's";
  EXPECT_THAT(status.ToString(),
              AllOf(HasSubstr("aclnnAdd"), HasSubstr("f32[4,32]"), HasSubstr("CANN says")));
}

}  // namespace
}  // namespace qiao
