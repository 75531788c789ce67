// Device memory, pinned memory, synchronous copies, virtual memory.
#include <cmath>
#include <cstring>
#include <vector>

#include "tests/backends/ascend/runtime_fixture.h"

namespace qiao::cann {
namespace {

using CannMemory = CannTest;

TEST_F(CannMemory, IsAlignedRecognisableAndNan) {
  DeviceMemory a(100), b(1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.get()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.get()) % 64, 0u);
  std::vector<float> values(25);
  ASSERT_OK(aclrtMemcpy(values.data(), 100, a.get(), 100, ACL_MEMCPY_DEVICE_TO_HOST));
  for (float value : values) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(CheckDeviceRange(a.get(), 100, nullptr), ACL_SUCCESS);
  EXPECT_EQ(CheckDeviceRange(a.get(), 128 + 32, nullptr), ACL_SUCCESS) << "rounded up to 32, and 32 more";
  std::string why;
  EXPECT_NE(CheckDeviceRange(values.data(), 100, &why), ACL_SUCCESS);
  EXPECT_NE(why.find("pageable host memory"), std::string::npos) << why;
  EXPECT_NE(CheckDeviceRange(a.bytes() + (2 << 20), 1, &why), ACL_SUCCESS);
  EXPECT_EQ(CheckDeviceRange(nullptr, 0, nullptr), ACL_SUCCESS);
}

TEST_F(CannMemory, RefusesWhatIsNoAllocation) {
  void* at = nullptr;
  EXPECT_REFUSED(aclrtMalloc(&at, 0, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_PARAM_INVALID, "size is 0");
  EXPECT_REFUSED(aclrtMalloc(nullptr, 1, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_PARAM_INVALID, "devPtr");
  EXPECT_REFUSED(aclrtMalloc(&at, 1, static_cast<aclrtMemMallocPolicy>(77)), ACL_ERROR_RT_INVALID_MALLOC_TYPE,
                 "77");
  EXPECT_REFUSED(aclrtMalloc(&at, size_t{40} << 30, ACL_MEM_MALLOC_HUGE_FIRST),
                 ACL_ERROR_RT_MEMORY_ALLOCATION, "are free on device 0");
  EXPECT_REFUSED(aclrtMalloc(&at, ~size_t{0}, ACL_MEM_MALLOC_HUGE_FIRST), ACL_ERROR_RT_MEMORY_ALLOCATION,
                 "asked for");
  EXPECT_EQ(at, nullptr);
  EXPECT_REFUSED(aclrtFree(nullptr), ACL_ERROR_RT_PARAM_INVALID, "a null pointer");
  int local = 0;
  EXPECT_REFUSED(aclrtFree(&local), ACL_ERROR_RT_PARAM_INVALID, "pageable host memory");
  DeviceMemory memory(4096);
  EXPECT_REFUSED(aclrtFree(memory.bytes() + 64), ACL_ERROR_RT_PARAM_INVALID, "byte 64 of device memory #");
  PinnedMemory pinned(64);
  EXPECT_REFUSED(aclrtFree(pinned.get()), ACL_ERROR_RT_PARAM_INVALID, "pinned host memory #");
  EXPECT_REFUSED(aclrtFreeHost(memory.get()), ACL_ERROR_RT_PARAM_INVALID, "device memory #");
}

TEST_F(CannMemory, DoubleFreeAndUseAfterFreeAreNamed) {
  void* at = nullptr;
  ASSERT_OK(aclrtMalloc(&at, 4096, ACL_MEM_MALLOC_NORMAL_ONLY));
  ASSERT_OK(aclrtFree(at));
  EXPECT_REFUSED(aclrtFree(at), ACL_ERROR_RT_PARAM_INVALID, "(4096 bytes at 0x");
  EXPECT_REFUSED(aclrtFree(at), ACL_ERROR_RT_PARAM_INVALID, "which was freed");
  std::vector<char> host(4096);
  EXPECT_REFUSED(aclrtMemcpy(host.data(), 4096, at, 4096, ACL_MEMCPY_DEVICE_TO_HOST),
                 ACL_ERROR_RT_PARAM_INVALID, "aclrtMemcpy: src: 0x");
  TestStream stream;
  EXPECT_REFUSED(aclrtMemsetAsync(at, 64, 0, 64, stream), ACL_ERROR_RT_PARAM_INVALID, "which was freed");
  EXPECT_REFUSED(Enqueue(stream, {"Add", {{at, 64, true, "out"}}, [] {}}), ACL_ERROR_RT_PARAM_INVALID,
                 "Add writes out (64 bytes)");
}

TEST_F(CannMemory, InfoFollowsAllocations) {
  size_t free_before = 0, free_after = 0, total = 0;
  ASSERT_OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_before, &total));
  EXPECT_EQ(total, size_t{32} << 30);
  {
    DeviceMemory memory(1 << 20);
    ASSERT_OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_after, &total));
    EXPECT_EQ(free_before - free_after, (size_t{1} << 20) + 32);
  }
  ASSERT_OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_after, &total));
  EXPECT_EQ(free_before, free_after);
  ASSERT_OK(aclrtGetMemInfo(ACL_DDR_MEM, &free_after, &total));
  EXPECT_EQ(total, 0u);
}

TEST_F(CannMemory, CopiesAllWays) {
  DeviceMemory a(4096), b(4096);
  std::vector<int> in(1024), out(1024);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i * 2654435761u);
  // The kind is a hint that nothing depends on.
  ASSERT_OK(aclrtMemcpy(a.get(), 4096, in.data(), 4096, ACL_MEMCPY_HOST_TO_DEVICE));
  ASSERT_OK(aclrtMemcpy(b.get(), 4096, a.get(), 4096, ACL_MEMCPY_DEVICE_TO_HOST));
  ASSERT_OK(aclrtMemcpy(out.data(), 4096, b.get(), 4096, ACL_MEMCPY_DEFAULT));
  EXPECT_EQ(in, out);
  std::vector<int> host(1024);
  ASSERT_OK(aclrtMemcpy(host.data(), 4096, in.data(), 4096, ACL_MEMCPY_HOST_TO_HOST));
  EXPECT_EQ(in, host);
  ASSERT_OK(aclrtMemset(b.bytes() + 4, 4092, 0x11, 8));
  ASSERT_OK(aclrtMemcpy(out.data(), 4096, b.get(), 4096, ACL_MEMCPY_DEVICE_TO_HOST));
  EXPECT_EQ(out[0], in[0]);
  EXPECT_EQ(out[1], 0x11111111);
  EXPECT_EQ(out[2], 0x11111111);
  EXPECT_EQ(out[3], in[3]);
}

TEST_F(CannMemory, CopiesOutOfRangeAreRefused) {
  DeviceMemory device(1000);
  std::vector<char> host(8 << 20);
  EXPECT_REFUSED(aclrtMemcpy(device.get(), 999, host.data(), 1000, ACL_MEMCPY_HOST_TO_DEVICE),
                 ACL_ERROR_RT_PARAM_INVALID, "count 1000 is more than destMax 999");
  EXPECT_REFUSED(aclrtMemcpy(device.get(), host.size(), host.data(), host.size(), ACL_MEMCPY_HOST_TO_DEVICE),
                 ACL_ERROR_RT_PARAM_INVALID, "8387608 bytes past its end");
  EXPECT_REFUSED(aclrtMemcpy(nullptr, 1, host.data(), 1, ACL_MEMCPY_HOST_TO_DEVICE),
                 ACL_ERROR_RT_PARAM_INVALID, "dst is a null pointer");
  EXPECT_REFUSED(aclrtMemset(device.get(), 1, 0, 2), ACL_ERROR_RT_PARAM_INVALID, "more than maxCount 1");
  EXPECT_REFUSED(aclrtMemset(host.data(), 4, 0, 4), ACL_ERROR_RT_PARAM_INVALID, "pageable host memory");
  EXPECT_REFUSED(aclrtMemcpy(device.get(), 1, host.data(), 1, static_cast<aclrtMemcpyKind>(9)),
                 ACL_ERROR_RT_PARAM_INVALID, "no kind 9");
}

TEST_F(CannMemory, CopiesRows) {
  DeviceMemory device(64);
  const std::vector<char> in = {'a', 'b', '-', 'c', 'd', '-', 'e', 'f', '-'};
  ASSERT_OK(aclrtMemset(device.get(), 64, '.', 64));
  ASSERT_OK(aclrtMemcpy2d(device.get(), 4, in.data(), 3, 2, 3, ACL_MEMCPY_HOST_TO_DEVICE));
  std::string out(12, 0);
  ASSERT_OK(aclrtMemcpy(out.data(), 12, device.get(), 12, ACL_MEMCPY_DEVICE_TO_HOST));
  EXPECT_EQ(out, "ab..cd..ef..");
  EXPECT_REFUSED(aclrtMemcpy2d(device.get(), 4, in.data(), 1, 2, 3, ACL_MEMCPY_HOST_TO_DEVICE),
                 ACL_ERROR_RT_PARAM_INVALID, "more than a pitch");
  EXPECT_REFUSED(aclrtMemcpy2d(device.get(), ~size_t{0}, in.data(), 3, 2, 3, ACL_MEMCPY_HOST_TO_DEVICE),
                 ACL_ERROR_RT_PARAM_INVALID, "more than there is memory");
}

TEST_F(CannMemory, HostMemoryIsRegisteredOnce) {
  std::vector<char> host(4096);
  void* device_view = nullptr;
  ASSERT_OK(aclrtHostRegister(host.data(), 4096, ACL_HOST_REGISTER_MAPPED, &device_view));
  EXPECT_EQ(device_view, host.data());
  EXPECT_REFUSED(aclrtHostRegister(host.data() + 8, 8, ACL_HOST_REGISTER_MAPPED, &device_view),
                 ACL_ERROR_RT_PARAM_INVALID, "registered or pinned already");
  EXPECT_OK(aclrtHostUnregister(host.data()));
  EXPECT_REFUSED(aclrtHostUnregister(host.data()), ACL_ERROR_RT_PARAM_INVALID, "was not registered");
}

TEST_F(CannMemory, VirtualMemoryIsMappedPieceByPiece) {
  aclrtPhysicalMemProp prop = {};
  prop.handleType = ACL_MEM_HANDLE_TYPE_NONE;
  prop.allocationType = ACL_MEM_ALLOCATION_TYPE_PINNED;
  prop.memAttr = ACL_HBM_MEM_HUGE;
  prop.location.type = ACL_MEM_LOCATION_TYPE_DEVICE;
  prop.location.id = 0;
  size_t piece = 0, free = 0, free_after = 0, total = 0;
  ASSERT_OK(aclrtMemGetAllocationGranularity(&prop, ACL_RT_MEM_ALLOC_GRANULARITY_RECOMMENDED, &piece));
  ASSERT_OK(aclrtGetMemInfo(ACL_HBM_MEM, &free, &total));
  void* base = nullptr;
  ASSERT_OK(aclrtReserveMemAddress(&base, free, 0, nullptr, 1));
  char* at = static_cast<char*>(base);
  EXPECT_NE(CheckDeviceRange(at, 1, nullptr), ACL_SUCCESS) << "reserved is not mapped";

  aclrtDrvMemHandle handles[2] = {};
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(aclrtMallocPhysical(&handles[i], piece, &prop, 0));
    ASSERT_OK(aclrtMapMem(at + static_cast<size_t>(i) * piece, piece, 0, handles[i], 0));
  }
  ASSERT_OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_after, &total));
  EXPECT_EQ(free - free_after, 2 * piece);
  // A range over both mappings is one range.
  std::vector<int> in(1000), out(1000);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i);
  ASSERT_OK(aclrtMemcpy(at + piece - 2000, 4000, in.data(), 4000, ACL_MEMCPY_HOST_TO_DEVICE));
  ASSERT_OK(aclrtMemcpy(out.data(), 4000, at + piece - 2000, 4000, ACL_MEMCPY_DEVICE_TO_HOST));
  EXPECT_EQ(in, out);
  EXPECT_REFUSED(aclrtMemcpy(at + 2 * piece - 4, 8, in.data(), 8, ACL_MEMCPY_HOST_TO_DEVICE),
                 ACL_ERROR_RT_PARAM_INVALID, "go past its end");

  EXPECT_REFUSED(aclrtMapMem(at + piece, piece, 0, handles[0], 0), ACL_ERROR_RT_PARAM_INVALID,
                 "mapped already");
  EXPECT_REFUSED(aclrtReleaseMemAddress(at), ACL_ERROR_RT_PARAM_INVALID, "still mapped");
  ASSERT_OK(aclrtUnmapMem(at));
  EXPECT_REFUSED(aclrtUnmapMem(at), ACL_ERROR_RT_PARAM_INVALID, "which was freed");
  // The pages stay with their handle, and can be mapped elsewhere.
  ASSERT_OK(aclrtUnmapMem(at + piece));
  ASSERT_OK(aclrtMapMem(at, piece, 0, handles[1], 0));
  ASSERT_OK(aclrtMemcpy(out.data(), 2000, at, 2000, ACL_MEMCPY_DEVICE_TO_HOST));
  EXPECT_TRUE(std::equal(out.begin(), out.begin() + 500, in.begin() + 500));
  ASSERT_OK(aclrtUnmapMem(at));
  for (aclrtDrvMemHandle handle : handles) ASSERT_OK(aclrtFreePhysical(handle));
  EXPECT_REFUSED(aclrtFreePhysical(handles[0]), ACL_ERROR_RT_INVALID_HANDLE, "physical memory #");
  ASSERT_OK(aclrtReleaseMemAddress(base));
  EXPECT_REFUSED(aclrtReleaseMemAddress(base), ACL_ERROR_RT_PARAM_INVALID, "aclrtReserveMemAddress returned");
  ASSERT_OK(aclrtGetMemInfo(ACL_HBM_MEM, &free_after, &total));
  EXPECT_EQ(free, free_after);
  EXPECT_REFUSED(aclrtMallocPhysical(&handles[0], piece + 1, &prop, 0), ACL_ERROR_RT_PARAM_INVALID,
                 "multiple of");
}

// Many small allocations and one behind another: addresses and pages come back.
TEST_F(CannMemory, ManyComeAndGo) {
  std::vector<void*> all(500);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      ASSERT_OK(aclrtMalloc(&all[i], 512 + i, ACL_MEM_MALLOC_HUGE_FIRST));
      ASSERT_OK(aclrtMemset(all[i], 512, static_cast<int>(i), 512));
    }
    for (size_t i = 0; i < all.size(); ++i) {
      unsigned char byte = 0;
      ASSERT_OK(aclrtMemcpy(&byte, 1, static_cast<char*>(all[i]) + 511, 1, ACL_MEMCPY_DEVICE_TO_HOST));
      ASSERT_EQ(byte, i % 256);
      ASSERT_OK(aclrtFree(all[i]));
    }
  }
}

}  // namespace
}  // namespace qiao::cann
