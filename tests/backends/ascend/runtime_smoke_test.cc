// A client's first steps: memory there and back on a stream.
#include <acl/acl.h>
#include <gtest/gtest.h>

#include <vector>

extern "C" int qiao_cann_headers_are_c(void);

TEST(CannRuntime, CopiesThereAndBack) {
  ASSERT_EQ(aclrtSetDevice(0), ACL_SUCCESS);
  void* device = nullptr;
  ASSERT_EQ(aclrtMalloc(&device, 4096, ACL_MEM_MALLOC_HUGE_FIRST), ACL_SUCCESS);
  aclrtStream stream = nullptr;
  ASSERT_EQ(aclrtCreateStream(&stream), ACL_SUCCESS);
  std::vector<int> in(1024), out(1024);
  for (int i = 0; i < 1024; ++i) in[static_cast<size_t>(i)] = i;
  ASSERT_EQ(aclrtMemcpyAsync(device, 4096, in.data(), 4096, ACL_MEMCPY_HOST_TO_DEVICE, stream), ACL_SUCCESS);
  ASSERT_EQ(aclrtSynchronizeStream(stream), ACL_SUCCESS);
  ASSERT_EQ(aclrtMemcpy(out.data(), 4096, device, 4096, ACL_MEMCPY_DEVICE_TO_HOST), ACL_SUCCESS);
  EXPECT_EQ(in, out);
  EXPECT_EQ(aclrtDestroyStream(stream), ACL_SUCCESS);
  EXPECT_EQ(aclrtFree(device), ACL_SUCCESS);
  EXPECT_EQ(aclrtResetDevice(0), ACL_SUCCESS);
  EXPECT_TRUE(qiao_cann_headers_are_c());
}
