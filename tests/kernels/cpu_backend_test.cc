// The CPU plugin as a host sees it: options, properties, memory through the host's hooks, weights, one
// operation.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <qiao/backend.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace qiao {
namespace {

struct Budget {
  uint64_t limit = UINT64_MAX, reserved = 0;
};

class CpuBackend : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("QIAO_BACKEND_PATH");
    if (!folder) GTEST_SKIP() << "QIAO_BACKEND_PATH is not set";
    void* library = dlopen((std::string(folder) + "/libqiao_backend_cpu.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    const auto entry = reinterpret_cast<qiao_backend_entry_fn>(dlsym(library, QIAO_BACKEND_ENTRY_NAME));
    ASSERT_NE(entry, nullptr);
    table_ = entry(QIAO_ABI_MAJOR, QIAO_ABI_MINOR);
  }

  int32_t Open(std::vector<qiao_option> options, qiao_device** device) {
    qiao_host host{};
    host.struct_size = sizeof host;
    host.option_count = static_cast<uint32_t>(options.size());
    host.options = options.data();
    host.context = &budget_;
    host.reserve = [](void* context, uint64_t bytes) -> int32_t {
      auto& b = *static_cast<Budget*>(context);
      if (bytes > b.limit - b.reserved) return 0;
      b.reserved += bytes;
      return 1;
    };
    host.release = [](void* context, uint64_t bytes) { static_cast<Budget*>(context)->reserved -= bytes; };
    return table_->open(0, &host, device, &error_);
  }

  const qiao_backend* table_ = nullptr;
  qiao_error error_{sizeof(qiao_error), 0, 0, {}};
  Budget budget_;
};

TEST_F(CpuBackend, MeasuresItsLimitsWithinTheBudget) {
  qiao_device* device = nullptr;
  ASSERT_EQ(Open({{"threads", "2"}, {"isa", "scalar"}}, &device), QIAO_OK) << error_.message;
  qiao_device_limits limits{};
  limits.struct_size = sizeof limits;
  ASSERT_EQ(table_->measure_limits(device, 64 << 20, &limits, &error_), QIAO_OK) << error_.message;
  EXPECT_EQ(limits.threads, 2u);
  EXPECT_GT(limits.read_bytes_per_s, 1e8);
  EXPECT_GT(limits.flops_f32, 1e8);
  EXPECT_GE(limits.flops_bf16, limits.flops_f32);
  EXPECT_GT(limits.ops_i8, 1e8);
  EXPECT_NE(std::string(limits.how).find("64 MiB"), std::string::npos) << limits.how;
  EXPECT_EQ(budget_.reserved, 0u);
  budget_.limit = 1 << 20;
  EXPECT_EQ(table_->measure_limits(device, 64 << 20, &limits, &error_), QIAO_RESOURCE_EXHAUSTED);
  table_->close(device);
}

TEST_F(CpuBackend, SaysWhatItUsesAndWhyNotMore) {
  qiao_device* device = nullptr;
  ASSERT_EQ(Open({{"threads", "3"}, {"isa", "scalar"}}, &device), QIAO_OK) << error_.message;
  qiao_device_properties p{};
  p.struct_size = sizeof p;
  ASSERT_EQ(table_->properties(device, &p, &error_), QIAO_OK);
  EXPECT_EQ(p.threads, 3u);
  EXPECT_TRUE(p.flags & QIAO_DEVICE_UNIFIED);
  EXPECT_GT(p.memory_bytes, p.memory_free_bytes);
  EXPECT_GE(p.alignment, 64u);
  const std::string text = p.description;
#if defined(__x86_64__)
  EXPECT_NE(text.find("instructions: scalar"), std::string::npos) << text;
  EXPECT_NE(text.find("sse4: capped by isa=scalar"), std::string::npos) << text;
  EXPECT_EQ(text.find("not used", text.find("not used") + 1), std::string::npos) << text;
#endif
  table_->close(device);
}

TEST_F(CpuBackend, RefusesOptionsThatItDoesNotKnow) {
  qiao_device* device = nullptr;
  EXPECT_EQ(Open({{"isa", "mmx"}}, &device), QIAO_INVALID_ARGUMENT);
  EXPECT_NE(
      std::string(error_.message).find("auto, scalar, neon, sse4, avx2, avx512, avx512vbmi, avx512bf16, amx"),
      std::string::npos)
      << error_.message;
  EXPECT_EQ(Open({{"thread", "2"}}, &device), QIAO_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error_.message).find("threads"), std::string::npos) << error_.message;
}

TEST_F(CpuBackend, ReadsTheCapFromTheEnvironment) {
  ASSERT_EQ(setenv("QIAO_CPU_ISA", "scalar", 1), 0);
  qiao_device* device = nullptr;
  const int32_t opened = Open({}, &device);
  setenv("QIAO_CPU_ISA", "mmx", 1);
  qiao_device* refused = nullptr;
  EXPECT_EQ(Open({}, &refused), QIAO_INVALID_ARGUMENT);
  EXPECT_NE(std::string(error_.message).find("QIAO_CPU_ISA = \"mmx\" is not one of auto, scalar"),
            std::string::npos)
      << error_.message;
  unsetenv("QIAO_CPU_ISA");
  ASSERT_EQ(opened, QIAO_OK);
  qiao_device_properties p{};
  p.struct_size = sizeof p;
  ASSERT_EQ(table_->properties(device, &p, &error_), QIAO_OK);
#if defined(__x86_64__)
  EXPECT_EQ(std::string(p.description).rfind("instructions: scalar\n", 0), 0u) << p.description;
#endif
  table_->close(device);
}

TEST_F(CpuBackend, KeepsToTheHostsBudget) {
  qiao_device* device = nullptr;
  ASSERT_EQ(Open({}, &device), QIAO_OK) << error_.message;
  budget_.limit = 8 << 20;
  void *small = nullptr, *large = nullptr, *refused = nullptr;
  ASSERT_EQ(table_->allocate(device, 100, &small, &error_), QIAO_OK);
  ASSERT_EQ(table_->allocate(device, 5 << 20, &large, &error_), QIAO_OK);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large) % (2 << 20), 0u);
  EXPECT_EQ(table_->allocate(device, 4 << 20, &refused, &error_), QIAO_RESOURCE_EXHAUSTED);
  std::memset(large, 1, 5 << 20);
  table_->free(device, small);
  table_->free(device, large);
  EXPECT_EQ(budget_.reserved, 0u);
  table_->close(device);
}

TEST_F(CpuBackend, LeavesWeightsInTheFilesAndRunsOnThem) {
  qiao_device* device = nullptr;
  ASSERT_EQ(Open({{"threads", "2"}}, &device), QIAO_OK) << error_.message;
  // W = [[1, 2], [4, 8]] in E4M3 with a scale of 0.5, x = [1, 10].
  const uint8_t bytes[4] = {0x38, 0x40, 0x48, 0x50};
  const float scale = 0.5f;
  const qiao_piece piece{sizeof(qiao_piece), QIAO_F8E4M3, bytes, 2,         2, 2, 0, 0,
                         QIAO_SCHEME_BLOCK,  &scale,      1,     {128, 128}};
  qiao_linear_params params{sizeof params, 0};
  qiao_weight_request request{};
  request.struct_size = sizeof request;
  request.op = QIAO_OP_LINEAR;
  request.argument = 2;
  request.activation = QIAO_F32;
  request.params = &params;
  request.groups = 1;
  request.rows = request.cols = 2;
  request.piece_count = 1;
  request.piece = &piece;
  qiao_weight_choice choice{};
  choice.struct_size = sizeof choice;
  ASSERT_EQ(table_->weight_choose(device, &request, &choice, &error_), QIAO_OK) << error_.message;
  EXPECT_EQ(choice.layout, static_cast<uint32_t>(QIAO_LAYOUT_PIECES));
  EXPECT_EQ(choice.bytes, 0u);
  EXPECT_EQ(choice.error, 0.0);
  EXPECT_STRNE(choice.why, "");

  qiao_tensor t[6] = {};
  for (qiao_tensor& tensor : t) tensor.struct_size = sizeof tensor;
  t[0].dtype = t[5].dtype = QIAO_F32;
  for (int i : {0, 2, 5}) {
    t[i].rank = 3;
    t[i].dim[0] = t[i].dim[1] = 1;
    t[i].dim[2] = t[i].stride[0] = t[i].stride[1] = 2;
    t[i].stride[2] = 1;
  }
  t[2].dtype = choice.dtype;
  t[2].scheme = choice.scheme;
  t[2].layout = choice.layout;
  t[2].dim[1] = 2;
  t[2].block[0] = t[2].block[1] = 128;
  const qiao_op_call call{sizeof call, QIAO_OP_LINEAR, &params, 6, t};
  qiao_support support{};
  support.struct_size = sizeof support;
  ASSERT_EQ(table_->support(device, &call, &support, &error_), QIAO_OK);
  ASSERT_TRUE(support.yes) << support.why;
  qiao_plan* plan = nullptr;
  qiao_plan_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(table_->prepare(device, &call, &plan, &info, &error_), QIAO_OK) << error_.message;
  EXPECT_TRUE(info.flags & QIAO_PLAN_ROW_INVARIANT);
  EXPECT_EQ(std::string(info.kernel).rfind("cpu_linear_", 0), 0u) << info.kernel;

  qiao_stream* stream = nullptr;
  ASSERT_EQ(table_->stream_create(device, &stream, &error_), QIAO_OK);
  void* workspace = nullptr;
  ASSERT_EQ(table_->allocate(device, info.workspace_bytes, &workspace, &error_), QIAO_OK);
  float x[2] = {1, 10}, y[2] = {};
  const int32_t start[2] = {0, 1};
  qiao_weight_view view{sizeof view, 1, start, &piece};
  void* arguments[6] = {x, nullptr, &view, nullptr, nullptr, y};
  const qiao_launch launch{sizeof launch, 6, arguments, nullptr, workspace};
  ASSERT_EQ(table_->launch(plan, stream, &launch, &error_), QIAO_OK) << error_.message;
  EXPECT_EQ(y[0], 0.5f * (1 + 20));
  EXPECT_EQ(y[1], 0.5f * (4 + 80));
  table_->plan_destroy(plan);
  table_->free(device, workspace);
  table_->stream_destroy(stream);
  table_->close(device);
}

}  // namespace
}  // namespace qiao
