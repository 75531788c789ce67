#include "runtime/base/checksum.h"

#include <gtest/gtest.h>

#include <string>

namespace qiao {
namespace {

// From xxHash's own tests: nothing, and the buffer that its sanity check makes.
TEST(Checksum, IsXxh3) {
  EXPECT_EQ(Checksum(""), 0x2d06800538d394c2u);
  std::string buffer;
  uint64_t byte = 2654435761u;
  for (int i = 0; i < 2243; ++i) {
    buffer.push_back(static_cast<char>(byte >> 56));
    byte *= 11400714785074694797u;
  }
  EXPECT_EQ(Checksum(buffer.substr(0, 1)), 0xc44bdff4074eecdbu);
  EXPECT_EQ(Checksum(buffer.substr(0, 6)), 0x27b56a84cd2d7325u);
  EXPECT_EQ(Checksum(buffer.substr(0, 2048)), 0xdd59e2c3a5f038e0u);
}

TEST(Checksum, IsTheSameInPieces) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += std::to_string(i * i);
  Checksummer sum;
  for (int round = 0; round < 2; ++round) {
    for (size_t at = 0, n = 1; at < text.size(); at += n, n = n * 2 % 1009) {
      const std::string_view piece = std::string_view(text).substr(at, n);
      sum.Update({reinterpret_cast<const std::byte*>(piece.data()), piece.size()});
    }
    EXPECT_EQ(sum.Digest(), Checksum(text));
    sum.Reset();
  }
}

}  // namespace
}  // namespace qiao
