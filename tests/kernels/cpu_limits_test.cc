// The loops that limits are measured with: each that this CPU offers runs, and a read leaves no byte out. How
// fast they are decides nothing here.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/limit_loops.h"
#include "kernels/cpu/limit_tiles.h"
#include "kernels/cpu/limits.h"

namespace qiao::kernels::cpu {
namespace {

TEST(Limits, EveryLoopThatIsOfferedRuns) {
  EXPECT_FALSE(F32Loops().empty());
  EXPECT_FALSE(I8Loops().empty());
  for (const auto& loops : {F32Loops(), Bf16Loops(), I8Loops()}) {
    for (const ArithmeticLoop& loop : loops) {
      EXPECT_GT(loop.operations, 0) << loop.name;
      loop.run();
    }
  }
}

TEST(Limits, TilesAreOfferedOnlyWhereTheyMayBeUsed) {
  const bool tiles = HostIsas().Runs(Isa::kAmx);
  const auto offers = [](const std::vector<ArithmeticLoop>& loops, void (*run)()) {
    for (const ArithmeticLoop& loop : loops) {
      if (loop.run == run) return true;
    }
    return false;
  };
  EXPECT_EQ(offers(Bf16Loops(), RunBf16Tiles), tiles);
  EXPECT_EQ(offers(I8Loops(), RunI8Tiles), tiles);
}

TEST(Limits, AReadSeesEveryLine) {
  constexpr size_t kBytes = 3 * 4096;
  const std::unique_ptr<std::byte, decltype(&std::free)> memory(
      static_cast<std::byte*>(std::aligned_alloc(4096, kBytes)), &std::free);
  std::fill_n(memory.get(), kBytes, std::byte{0});
  const ReadLoop loop = BestReadLoop();
  EXPECT_EQ(loop.run(memory.get(), kBytes), 0u);
  // The loops keep the first lane of an exclusive or of all vectors: a bit in the first word of a vector
  // shows.
  for (size_t at = 0; at < kBytes; at += 64) {
    memory.get()[at] = std::byte{1};
    EXPECT_EQ(loop.run(memory.get(), kBytes), 1u) << loop.name << " at byte " << at;
    memory.get()[at] = std::byte{0};
  }
}

TEST(Limits, AreMeasuredAndExplained) {
  ThreadPool pool(2);
  const Limits limits = MeasureLimits(16 << 20, pool);
  for (const Limit* limit : {&limits.read, &limits.f32, &limits.bf16, &limits.i8}) {
    EXPECT_GT(limit->per_second, 0);
    EXPECT_NE(limit->how.find("2 threads"), std::string::npos) << limit->how;
  }
  EXPECT_GE(limits.bf16.per_second, limits.f32.per_second) << "bf16 can always be widened";
}

}  // namespace
}  // namespace qiao::kernels::cpu
