// Addresses of servers, as people type them.
#include "tools/infer/load/http_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/infer/exit.h"

namespace qiao::tools {
namespace {

using ::testing::HasSubstr;

TEST(HttpAddress, AcceptsWhatPeopleType) {
  const std::vector<std::pair<std::string, std::string>> good = {
      {"http://localhost:8080", "http://localhost:8080"},
      {"localhost:8080", "http://localhost:8080"},
      {"HTTP://host/v1/", "http://host"},
      {"http://[::1]:9/x/v1", "http://[::1]:9/x"},
      {"http://127.0.0.1:80//", "http://127.0.0.1"},
      {"[fe80::1]", "http://[fe80::1]"}};
  for (const auto& [text, url] : good) {
    const auto address = ParseAddress("--url", text);
    ASSERT_TRUE(address.ok()) << text << ": " << address.status();
    EXPECT_EQ(address->Url(), url);
  }
  for (const char* bad : {"", "http://", "https://x", "ftp://x", "http://x:", "http://x:0", "http://x:65536",
                          "http://x:1a", "http://a b", "http://x\r\nHost: y", "http://[::1", "http://[::1]8",
                          "http://x/a?b", "http://u@x", "http://x:+8", "http://x/a b"}) {
    const auto address = ParseAddress("--url", bad);
    ASSERT_FALSE(address.ok()) << bad;
    EXPECT_EQ(ExitOf(address.status()), kExitUsage) << bad;
    EXPECT_THAT(std::string(Message(address.status())), HasSubstr("--url")) << bad;
  }
}

}  // namespace
}  // namespace qiao::tools
