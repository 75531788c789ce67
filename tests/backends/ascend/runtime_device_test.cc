// Devices, contexts, and the messages of failed calls.
#include <thread>

#include "tests/backends/ascend/runtime_fixture.h"

extern "C" int qiao_cann_headers_are_c(void);

namespace qiao::cann {
namespace {

using CannDevice = CannTest;

TEST_F(CannDevice, HeadersAreC) { EXPECT_TRUE(qiao_cann_headers_are_c()); }

TEST_F(CannDevice, IsWhatTheProfileSays) {
  uint32_t count = 0;
  ASSERT_OK(aclrtGetDeviceCount(&count));
  EXPECT_EQ(count, 1u);
  EXPECT_STREQ(aclrtGetSocName(), "Ascend910B4");
  EXPECT_FALSE(CurrentProfile().has_fp8);
  int64_t value = 0;
  ASSERT_OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_CUBE_CORE_NUM, &value));
  EXPECT_EQ(value, 20);
  ASSERT_OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_VECTOR_CORE_NUM, &value));
  EXPECT_EQ(value, 40);
  ASSERT_OK(aclrtGetDeviceInfo(0, ACL_DEV_ATTR_TOTAL_GLOBAL_MEM_SIZE, &value));
  EXPECT_EQ(value, int64_t{32} << 30);
  EXPECT_REFUSED(aclrtGetDeviceInfo(0, static_cast<aclrtDevAttr>(9999), &value), ACL_ERROR_RT_PARAM_INVALID,
                 "9999");
  EXPECT_REFUSED(aclrtSetDevice(1), ACL_ERROR_RT_INVALID_DEVICEID, "no device 1");
  EXPECT_REFUSED(aclrtSetDevice(-1), ACL_ERROR_RT_INVALID_DEVICEID, "no device -1");
}

TEST_F(CannDevice, InitialisesOnce) {
  EXPECT_REFUSED(aclInit(nullptr), ACL_ERROR_REPEAT_INITIALIZE, "aclInit");
  EXPECT_OK(aclFinalize());
  EXPECT_REFUSED(aclFinalize(), ACL_ERROR_REPEAT_FINALIZE, "aclFinalize");
  EXPECT_REFUSED(aclInit("/nowhere/acl.json"), ACL_ERROR_INVALID_FILE, "/nowhere/acl.json");
  EXPECT_OK(aclInit(nullptr));
}

// What happens with the last use: runtime_check_test.cc, in a process where nobody else uses the device.
TEST_F(CannDevice, UsesAreCounted) {
  ASSERT_OK(aclrtSetDevice(0));
  ASSERT_OK(aclrtResetDevice(0));
  int32_t device = -1;
  ASSERT_OK(aclrtGetDevice(&device)) << "one use is left";
  EXPECT_EQ(device, 0);
}

TEST_F(CannDevice, EveryThreadHasItsOwnContext) {
  std::thread([] {
    int32_t device = -1;
    EXPECT_REFUSED(aclrtGetDevice(&device), ACL_ERROR_RT_CONTEXT_NULL, "aclrtSetDevice in every thread");
    void* memory = nullptr;
    EXPECT_REFUSED(aclrtMalloc(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_CONTEXT_NULL,
                   "aclrtMalloc");
    aclrtStream stream = nullptr;
    EXPECT_REFUSED(aclrtCreateStream(&stream), ACL_ERROR_RT_CONTEXT_NULL, "aclrtCreateStream");
    EXPECT_OK(aclrtSetDevice(0));
    EXPECT_OK(aclrtGetDevice(&device));
    EXPECT_EQ(device, 0);
    EXPECT_OK(aclrtResetDevice(0));
    EXPECT_OK(aclrtGetDevice(&device)) << "the other thread's use is left, and the context is shared";
  }).join();
}

TEST_F(CannDevice, ContextsAreMadeAndDestroyed) {
  aclrtContext first = nullptr, second = nullptr, current = nullptr;
  ASSERT_OK(aclrtGetCurrentContext(&first));
  ASSERT_OK(aclrtCreateContext(&second, 0));
  ASSERT_OK(aclrtGetCurrentContext(&current));
  EXPECT_EQ(current, second) << "creating makes current";
  EXPECT_NE(first, second);

  aclrtStream stream = nullptr;
  ASSERT_OK(aclrtCreateStream(&stream));
  ASSERT_OK(aclrtSetCurrentContext(first));
  EXPECT_REFUSED(aclrtSynchronizeStream(stream), ACL_ERROR_RT_STREAM_CONTEXT, "does not belong");
  EXPECT_REFUSED(aclrtDestroyContext(first), ACL_ERROR_RT_PARAM_INVALID, "aclrtResetDevice");
  ASSERT_OK(aclrtSetCurrentContext(second));
  ASSERT_OK(aclrtDestroyContext(second));
  int32_t device = -1;
  EXPECT_REFUSED(aclrtGetDevice(&device), ACL_ERROR_RT_CONTEXT_NULL, "its context was destroyed");
  ASSERT_OK(aclrtSetCurrentContext(first));
  EXPECT_REFUSED(aclrtSynchronizeStream(stream), ACL_ERROR_RT_INVALID_HANDLE, "which was destroyed");
  EXPECT_REFUSED(aclrtDestroyContext(second), ACL_ERROR_RT_INVALID_HANDLE, "context #");
}

TEST_F(CannDevice, MessagesComeNewestFirstAndOnce) {
  int32_t access = 0;
  EXPECT_EQ(aclrtSetDevice(7), ACL_ERROR_RT_INVALID_DEVICEID);
  EXPECT_EQ(aclrtFree(nullptr), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(aclrtDeviceCanAccessPeer(&access, 0, 0), ACL_ERROR_RT_PARAM_INVALID);
  const char* text = aclGetRecentErrMsg();
  ASSERT_NE(text, nullptr);
  const std::string messages = text;
  const size_t peer = messages.find("aclrtDeviceCanAccessPeer"), free = messages.find("aclrtFree"),
               set = messages.find("aclrtSetDevice");
  ASSERT_NE(set, std::string::npos);
  EXPECT_LT(peer, free);
  EXPECT_LT(free, set);
  // Other threads' calls and failures leave the pointer alone.
  std::thread([] {
    EXPECT_EQ(aclrtFree(nullptr), ACL_ERROR_RT_PARAM_INVALID);
    EXPECT_NE(aclGetRecentErrMsg(), nullptr);
  }).join();
  EXPECT_EQ(aclrtFree(nullptr), ACL_ERROR_RT_PARAM_INVALID);
  EXPECT_EQ(text, messages);
  EXPECT_NE(aclGetRecentErrMsg(), nullptr);
  EXPECT_EQ(aclGetRecentErrMsg(), nullptr) << "cleared";
}

TEST_F(CannDevice, MessagesAreBounded) {
  for (int i = 0; i < 1000; ++i) aclrtFree(nullptr);
  EXPECT_LT(TakeMessages().size(), 20000u);
}

TEST_F(CannDevice, HandlesOfAnotherKindAreNamed) {
  TestEvent event;
  TestStream stream;
  EXPECT_REFUSED(aclrtSynchronizeStream(event), ACL_ERROR_RT_INVALID_HANDLE, "event #");
  EXPECT_REFUSED(aclrtSynchronizeEvent(stream), ACL_ERROR_RT_INVALID_HANDLE, "not an event");
  int local = 0;
  EXPECT_REFUSED(aclrtSynchronizeStream(&local), ACL_ERROR_RT_INVALID_HANDLE, "which is no stream");
}

TEST_F(CannDevice, SizesAndHalves) {
  EXPECT_EQ(aclDataTypeSize(ACL_FLOAT), 4u);
  EXPECT_EQ(aclDataTypeSize(ACL_BF16), 2u);
  EXPECT_EQ(aclDataTypeSize(ACL_FLOAT8_E4M3FN), 1u);
  EXPECT_EQ(aclDataTypeSize(ACL_COMPLEX128), 16u);
  EXPECT_EQ(aclDataTypeSize(ACL_INT4), 0u);
  EXPECT_EQ(aclFloat16ToFloat(0x3C00), 1.0f);
  EXPECT_EQ(aclFloatToFloat16(1.0f + 1.0f / 2048), 0x3C00) << "half way goes to even";
}

}  // namespace
}  // namespace qiao::cann
