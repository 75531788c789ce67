// The adapter of qiao/backend.hpp: exceptions, structs of older and newer hosts, options.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <qiao/backend.hpp>
#include <stdexcept>

namespace qiao::plugin {
namespace {

using ::testing::HasSubstr;

// What the classes behind the table were given last.
struct Seen {
  qiao_moe_gate_params params{};
  std::vector<qiao_tensor> tensors;
  qiao_batch batch{};
  bool has_batch = false;
  std::vector<qiao_piece> pieces;
  std::string throws;  // where
};
Seen* seen;

void MayThrow(const char* where) {
  if (seen->throws == where) throw std::runtime_error("boom");
  if (seen->throws == std::string(where) + " memory") throw std::bad_alloc();
  if (seen->throws == std::string(where) + " int") throw 3;
}

class TestKernel : public Kernel {
 public:
  void Info(qiao_plan_info& info) const override {
    info.flags = QIAO_PLAN_CAPTURABLE;
    info.workspace_bytes = 99;
    SetName(info, std::string(300, 'k'));
  }
  Status Launch(Stream&, const qiao_launch& launch) const override {
    MayThrow("launch");
    seen->has_batch = launch.batch != nullptr;
    if (launch.batch) seen->batch = *launch.batch;
    return Ok();
  }
};

class TestOp : public Operation {
 public:
  explicit TestOp(int number) : number_(number) {}
  Answer Support(const qiao_op_call& call) const override {
    MayThrow("support");
    seen->params = ParamsOf<qiao_moe_gate_params>(call);
    seen->tensors.assign(call.argument, call.argument + call.argument_count);
    return seen->params.k == 0 ? Answer::No(std::string(500, 'n'))
                               : Answer::Yes("op " + std::to_string(number_));
  }
  std::unique_ptr<Kernel> Prepare(const qiao_op_call&, Status& status) const override {
    if (seen->throws == "prepare null") return nullptr;
    if (seen->throws == "prepare status") status = Internal("compiler said no");
    return std::make_unique<TestKernel>();
  }

 private:
  int number_;
};

class TestDevice : public HostDevice {
 public:
  explicit TestDevice(Host host) : HostDevice(std::move(host)) {
    registry().Add<TestOp>(QIAO_OP_MOE_GATE, 5);
  }
  static uint32_t Count(std::string& why) {
    MayThrow("count");
    why = seen->throws == "no devices" ? "nobody is at home" : "";
    return why.empty() ? 1 : 0;
  }
  static Status Open(uint32_t, Host host, std::unique_ptr<Device>& out) {
    MayThrow("open");
    int64_t threads = 1;
    bool fast = false;
    double ratio = 0;
    std::string isa = "auto";
    Options options(host);
    options.Integer("threads", threads, 0, 8)
        .Flag("fast", fast)
        .Number("ratio", ratio)
        .Text("isa", isa, {"auto", "x"});
    QIAO_PLUGIN_RETURN_IF_ERROR(options.Finish());
    out = std::make_unique<TestDevice>(std::move(host));
    return Ok();
  }
  Status Properties(qiao_device_properties& p) override {
    SetText(p.name, std::string(1000, 'p'));
    p.page_tokens = 64;
    return Ok();
  }
  Status ChooseWeight(const qiao_weight_request& request, qiao_weight_choice& choice) override {
    seen->pieces.assign(request.piece, request.piece + request.piece_count);
    choice.bytes = 8;
    return Ok();
  }
  Status ChooseCache(int64_t, int64_t, std::vector<qiao_row_kind>& kinds, uint64_t& bytes) override {
    for (qiao_row_kind& kind : kinds) kind.row_stride = static_cast<uint64_t>(kind.width) + 1;
    bytes = 77;
    return Ok();
  }
};

class Adapted : public ::testing::Test {
 protected:
  Adapted() {
    seen = &seen_;
    error_.struct_size = sizeof(error_);
    table_ = MakeTable<TestDevice>("test", "1", "tests");
  }
  ~Adapted() override {
    if (stream_) table_->stream_destroy(stream_);
    if (device_) table_->close(device_);
    seen = nullptr;
  }
  void Open() {
    ASSERT_EQ(table_->open(0, nullptr, &device_, &error_), QIAO_OK) << error_.message;
    ASSERT_EQ(table_->stream_create(device_, &stream_, &error_), QIAO_OK);
  }
  int32_t OpenWith(std::vector<qiao_option> options) {
    qiao_host host{};
    host.struct_size = sizeof(host);
    host.options = options.data();
    host.option_count = static_cast<uint32_t>(options.size());
    qiao_device* device = nullptr;
    const int32_t code = table_->open(0, &host, &device, &error_);
    if (device) table_->close(device);
    return code;
  }

  Seen seen_;
  qiao_error error_{};
  const qiao_backend* table_ = nullptr;
  qiao_device* device_ = nullptr;
  qiao_stream* stream_ = nullptr;
};

// A struct with more bytes than this header knows.
template <typename T>
struct Longer {
  T known{};
  uint32_t tail[2] = {};
  Longer() { known.struct_size = sizeof(Longer); }
};

TEST_F(Adapted, ExceptionsBecomeCodes) {
  uint32_t count = 7;
  seen_.throws = "count";
  EXPECT_EQ(table_->device_count(&count, &error_), QIAO_INTERNAL);
  EXPECT_THAT(error_.message, HasSubstr("boom"));
  EXPECT_THAT(error_.message, HasSubstr("device_count"));
  EXPECT_EQ(error_.code, QIAO_INTERNAL);
  seen_.throws = "open memory";
  EXPECT_EQ(OpenWith({}), QIAO_RESOURCE_EXHAUSTED);
  seen_.throws = "open int";
  EXPECT_EQ(OpenWith({}), QIAO_INTERNAL);

  seen_.throws = "";
  Open();
  qiao_moe_gate_params params{};
  params.struct_size = sizeof(params);
  params.k = 1;
  qiao_op_call call{sizeof(call), QIAO_OP_MOE_GATE, &params, 0, nullptr};
  qiao_plan* plan = nullptr;
  qiao_plan_info info{};
  info.struct_size = sizeof(info);
  qiao_support support{};
  support.struct_size = sizeof(support);
  for (const char* where : {"support", "support memory", "support int"}) {
    seen_.throws = where;
    EXPECT_NE(table_->support(device_, &call, &support, &error_), QIAO_OK);
  }
  seen_.throws = "prepare null";
  EXPECT_EQ(table_->prepare(device_, &call, &plan, &info, &error_), QIAO_INTERNAL);
  seen_.throws = "prepare status";
  EXPECT_EQ(table_->prepare(device_, &call, &plan, &info, &error_), QIAO_INTERNAL);
  EXPECT_THAT(error_.message, HasSubstr("compiler said no"));
  EXPECT_EQ(plan, nullptr);
  seen_.throws = "launch";
  ASSERT_EQ(table_->prepare(device_, &call, &plan, &info, &error_), QIAO_OK);
  EXPECT_EQ(info.workspace_bytes, 99u);
  EXPECT_EQ(std::string(info.kernel), std::string(127, 'k'));
  qiao_launch launch{};
  launch.struct_size = sizeof(launch);
  EXPECT_EQ(table_->launch(plan, stream_, &launch, &error_), QIAO_INTERNAL);
  table_->plan_destroy(plan);
}

TEST_F(Adapted, NoDevicesSayWhy) {
  seen_.throws = "no devices";
  uint32_t count = 7;
  EXPECT_EQ(table_->device_count(&count, &error_), QIAO_OK);
  EXPECT_EQ(count, 0u);
  EXPECT_STREQ(error_.message, "nobody is at home");
  EXPECT_EQ(OpenWith({}), QIAO_NOT_FOUND);
  EXPECT_THAT(error_.message, HasSubstr("nobody is at home"));
}

TEST_F(Adapted, OptionsAreChecked) {
  EXPECT_EQ(OpenWith({{"threads", "8"}, {"fast", "on"}, {"ratio", "0.5"}, {"isa", "x"}}), QIAO_OK);
  EXPECT_EQ(OpenWith({{"thread", "8"}}), QIAO_INVALID_ARGUMENT);
  EXPECT_STREQ(error_.message, "unknown option \"thread\"; known are: threads, fast, ratio, isa");
  const qiao_option bad[] = {{"threads", "9"},
                             {"threads", "-1"},
                             {"threads", ""},
                             {"threads", "3x"},
                             {"threads", "99999999999999999999"},
                             {"fast", "maybe"},
                             {"ratio", "half"},
                             {"isa", "y"},
                             {"fast", nullptr}};
  for (const qiao_option& option : bad) {
    EXPECT_EQ(OpenWith({option}), QIAO_INVALID_ARGUMENT) << option.key;
    EXPECT_THAT(error_.message, HasSubstr(option.key));
  }
}

TEST_F(Adapted, ShortStructsAreFilledUp) {
  Open();
  // Parameters of an older host: everything after k is zero, whatever lies behind.
  qiao_moe_gate_params params{};
  std::memset(&params, 0x11, sizeof(params));
  params.struct_size = offsetof(qiao_moe_gate_params, groups);
  params.score = QIAO_SCORE_SIGMOID;
  params.k = 6;
  // Descriptions of an older host lie closer together.
  struct OldTensor {
    uint32_t struct_size, dtype, scheme, layout;
  } tensors[2] = {{sizeof(OldTensor), QIAO_F32, 0, 0}, {sizeof(OldTensor), QIAO_BF16, 0, 0}};
  qiao_op_call call{sizeof(call), QIAO_OP_MOE_GATE, &params, 2,
                    reinterpret_cast<const qiao_tensor*>(tensors)};
  qiao_support support{};
  support.struct_size = sizeof(support);
  ASSERT_EQ(table_->support(device_, &call, &support, &error_), QIAO_OK) << error_.message;
  EXPECT_EQ(support.yes, 1);
  EXPECT_STREQ(support.why, "op 5");
  EXPECT_EQ(seen_.params.struct_size, sizeof(qiao_moe_gate_params));
  EXPECT_EQ(seen_.params.k, 6);
  EXPECT_EQ(seen_.params.groups, 0);
  EXPECT_EQ(seen_.params.scale, 0.0f);
  ASSERT_EQ(seen_.tensors.size(), 2u);
  EXPECT_EQ(seen_.tensors[1].dtype, QIAO_BF16);
  EXPECT_EQ(seen_.tensors[1].rank, 0u);
}

TEST_F(Adapted, LongerStructsNeedZerosInTheTail) {
  Open();
  Longer<qiao_moe_gate_params> params;
  params.known.k = 2;
  Longer<qiao_tensor> tensors[2];
  tensors[1].known.dtype = QIAO_F16;
  Longer<qiao_op_call> call;
  call.known.op = QIAO_OP_MOE_GATE;
  call.known.params = &params;
  call.known.argument_count = 2;
  call.known.argument = &tensors[0].known;
  qiao_support support{};
  support.struct_size = sizeof(support);
  const auto answer = [&] {
    EXPECT_EQ(table_->support(device_, &call.known, &support, &error_), QIAO_OK) << error_.message;
    return support.yes != 0;
  };
  EXPECT_TRUE(answer());
  EXPECT_EQ(seen_.tensors[1].dtype, QIAO_F16);
  EXPECT_EQ(seen_.tensors[1].struct_size, sizeof(qiao_tensor));
  params.tail[1] = 1;
  EXPECT_FALSE(answer());
  EXPECT_THAT(support.why, HasSubstr("newer than this plugin"));
  params.tail[1] = 0;
  tensors[1].tail[0] = 1;
  EXPECT_FALSE(answer());
  tensors[1].tail[0] = 0;
  call.tail[0] = 1;
  EXPECT_FALSE(answer());
  call.tail[0] = 0;
  EXPECT_TRUE(answer());
  qiao_plan* plan = nullptr;
  qiao_plan_info info{};
  info.struct_size = sizeof(info);
  params.tail[0] = 5;
  EXPECT_EQ(table_->prepare(device_, &call.known, &plan, &info, &error_), QIAO_UNIMPLEMENTED);
}

TEST_F(Adapted, UnknownAndMissingOperationsAreUnsupported) {
  Open();
  qiao_rmsnorm_params params{sizeof(params), 0};
  qiao_op_call call{sizeof(call), QIAO_OP_RMSNORM, &params, 0, nullptr};
  qiao_support support{};
  support.struct_size = sizeof(support);
  support.yes = 1;
  ASSERT_EQ(table_->support(device_, &call, &support, &error_), QIAO_OK);
  EXPECT_EQ(support.yes, 0);
  EXPECT_STREQ(support.why, "test has no rmsnorm");
  call.op = 999;
  ASSERT_EQ(table_->support(device_, &call, &support, &error_), QIAO_OK);
  EXPECT_STREQ(support.why, "test has no op 999");
  qiao_moe_gate_params gate{};
  gate.struct_size = sizeof(gate);
  call = {sizeof(call), QIAO_OP_MOE_GATE, &gate, QIAO_MAX_ARGS + 1, nullptr};
  ASSERT_EQ(table_->support(device_, &call, &support, &error_), QIAO_OK);
  EXPECT_EQ(support.yes, 0);
  // A no of the operation itself, cut to its field.
  call.argument_count = 0;
  ASSERT_EQ(table_->support(device_, &call, &support, &error_), QIAO_OK);
  EXPECT_EQ(support.yes, 0);
  EXPECT_EQ(std::string(support.why), std::string(255, 'n'));
  qiao_plan* plan = nullptr;
  qiao_plan_info info{};
  EXPECT_EQ(table_->prepare(device_, &call, &plan, &info, &error_), QIAO_UNIMPLEMENTED);
}

TEST_F(Adapted, ResultsAreCutToTheHostsRoom) {
  Open();
  // An older host's properties end before the texts do.
  struct {
    qiao_device_properties p;
  } room;
  std::memset(&room, 0x22, sizeof(room));
  room.p.struct_size = offsetof(qiao_device_properties, name) + 4;
  ASSERT_EQ(table_->properties(device_, &room.p, &error_), QIAO_OK);
  EXPECT_EQ(room.p.struct_size, offsetof(qiao_device_properties, name) + 4);
  EXPECT_EQ(std::string(room.p.name, 5), "pppp\x22");
  EXPECT_EQ(room.p.page_tokens, 0x22222222u);
  // A message is cut the same way, and ends.
  std::memset(error_.message, '#', sizeof(error_.message));
  error_.struct_size = offsetof(qiao_error, message) + 8;
  seen_.throws = "count";
  uint32_t count;
  EXPECT_EQ(table_->device_count(&count, &error_), QIAO_INTERNAL);
  EXPECT_EQ(std::string(error_.message, 9), std::string("device_\0#", 9));
  error_.struct_size = sizeof(error_);
}

TEST_F(Adapted, LaunchTakesOtherSizes) {
  Open();
  qiao_moe_gate_params params{};
  params.struct_size = sizeof(params);
  params.k = 1;
  qiao_op_call call{sizeof(call), QIAO_OP_MOE_GATE, &params, 0, nullptr};
  qiao_plan* plan = nullptr;
  qiao_plan_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(table_->prepare(device_, &call, &plan, &info, &error_), QIAO_OK);

  Longer<qiao_batch> batch;
  batch.known.rows = 5;
  Longer<qiao_launch> launch;
  launch.known.batch = &batch.known;
  ASSERT_EQ(table_->launch(plan, stream_, &launch.known, &error_), QIAO_OK);
  EXPECT_EQ(seen_.batch.rows, 5);
  EXPECT_EQ(seen_.batch.struct_size, sizeof(qiao_batch));
  batch.tail[0] = 1;
  EXPECT_EQ(table_->launch(plan, stream_, &launch.known, &error_), QIAO_UNIMPLEMENTED);
  batch.tail[0] = 0;
  launch.tail[1] = 1;
  EXPECT_EQ(table_->launch(plan, stream_, &launch.known, &error_), QIAO_UNIMPLEMENTED);

  qiao_launch exact{};
  exact.struct_size = sizeof(exact);
  ASSERT_EQ(table_->launch(plan, stream_, &exact, &error_), QIAO_OK);
  EXPECT_FALSE(seen_.has_batch);
  // Of an older host, which knew no batch.
  exact.struct_size = offsetof(qiao_launch, batch);
  exact.batch = reinterpret_cast<const qiao_batch*>(uintptr_t{0x1000});
  ASSERT_EQ(table_->launch(plan, stream_, &exact, &error_), QIAO_OK);
  EXPECT_FALSE(seen_.has_batch);
  table_->plan_destroy(plan);
}

TEST_F(Adapted, WeightsAndCachesOfOtherSizes) {
  Open();
  Longer<qiao_piece> pieces[2];
  pieces[1].known.rows = 9;
  qiao_moe_gate_params params{};
  params.struct_size = sizeof(params);
  qiao_weight_request request{};
  request.struct_size = sizeof(request);
  request.op = QIAO_OP_MOE_GATE;
  request.params = &params;
  request.activation = QIAO_BF16;
  request.piece_count = 2;
  request.piece = &pieces[0].known;
  qiao_weight_choice choice{};
  choice.struct_size = sizeof(choice);
  ASSERT_EQ(table_->weight_choose(device_, &request, &choice, &error_), QIAO_OK) << error_.message;
  EXPECT_EQ(choice.bytes, 8u);
  EXPECT_EQ(choice.activation, QIAO_BF16);  // as asked, where the device says nothing
  ASSERT_EQ(seen_.pieces.size(), 2u);
  EXPECT_EQ(seen_.pieces[1].rows, 9);
  pieces[1].tail[0] = 1;
  EXPECT_EQ(table_->weight_choose(device_, &request, &choice, &error_), QIAO_UNIMPLEMENTED);
  // Not overridden: the runtime stores it.
  pieces[1].tail[0] = 0;
  EXPECT_EQ(table_->weight_store(stream_, &request, &choice, nullptr, &error_), QIAO_UNIMPLEMENTED);
  EXPECT_THAT(error_.message, HasSubstr("weight_store"));

  Longer<qiao_row_kind> kinds[2];
  kinds[0].known.width = 10;
  kinds[1].known.width = 20;
  uint64_t bytes = 0;
  ASSERT_EQ(table_->cache_choose(device_, 1, 1, 2, &kinds[0].known, &bytes, &error_), QIAO_OK);
  EXPECT_EQ(bytes, 77u);
  EXPECT_EQ(kinds[0].known.row_stride, 11u);
  EXPECT_EQ(kinds[1].known.row_stride, 21u);
  EXPECT_EQ(kinds[1].known.struct_size, sizeof(kinds[1]));
}

TEST_F(Adapted, CaptureIsUnimplementedByDefault) {
  Open();
  EXPECT_EQ(table_->capture_begin(stream_, &error_), QIAO_UNIMPLEMENTED);
  qiao_capture* capture = nullptr;
  EXPECT_EQ(table_->capture_end(stream_, &capture, &error_), QIAO_UNIMPLEMENTED);
  EXPECT_EQ(capture, nullptr);
}

TEST(CallCopy, OwnsWhatItHolds) {
  CallCopy copy;
  {
    qiao_moe_gate_params params{};
    params.struct_size = sizeof(params);
    params.k = 3;
    std::vector<qiao_tensor> tensors(4);
    for (qiao_tensor& t : tensors) t.struct_size = sizeof(t);
    tensors[2].dtype = QIAO_I32;
    const qiao_op_call call{sizeof(call), QIAO_OP_MOE_GATE, &params, 4, tensors.data()};
    ASSERT_TRUE(CallCopy::Make(call, copy).ok());
  }
  const CallCopy moved = std::move(copy);
  EXPECT_EQ(moved.params_as<qiao_moe_gate_params>().k, 3);
  EXPECT_TRUE(Has(moved.call(), 2));
  EXPECT_FALSE(Has(moved.call(), 1));
  EXPECT_FALSE(Has(moved.call(), 4));
}

// The table of names and sizes must know every operation of ops.h.
TEST(Ops, NamesAndSizes) {
  for (uint32_t op = QIAO_OP_EMBEDDING; op <= QIAO_OP_ARGMAX; ++op) EXPECT_GT(ParamsSize(op), 0u) << op;
  for (uint32_t op = QIAO_OP_COARSE + 1; op <= QIAO_OP_MLA_PROLOG; ++op) EXPECT_GT(ParamsSize(op), 0u) << op;
  EXPECT_EQ(OpName(QIAO_OP_LATENT_ATTENTION), "latent_attention");
  EXPECT_EQ(OpName(4711), "op 4711");
  EXPECT_EQ(ParamsSize(4711), 0u);
}

}  // namespace
}  // namespace qiao::plugin
