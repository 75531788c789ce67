// latent_attention of the CPU kernels: a ragged batch of prefill and decode rows against the scalar kernel,
// and the same row in other company.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "tests/kernels/cpu_call.h"

namespace qiao::kernels::cpu {
namespace {

enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kO };

struct Shape {
  uint32_t act = QIAO_F32;
  int64_t heads = 4, latent = 64, rope = 32, page_tokens = 16;
  std::vector<int32_t> rows = {5, 1, 3, 1}, kv_len = {5, 130, 70, 1};
};

TestCall Make(const Shape& s) {
  TestCall call(QIAO_OP_LATENT_ATTENTION, qiao_latent_attention_params{.struct_size = 0, .scale = 0.15f});
  const int64_t t = std::accumulate(s.rows.begin(), s.rows.end(), int64_t{0});
  const auto seqs = static_cast<int64_t>(s.rows.size());
  const int64_t longest = *std::max_element(s.kv_len.begin(), s.kv_len.end());
  const int64_t width = (longest + s.page_tokens - 1) / s.page_tokens, pages = seqs * width + 1;
  call.Normal(s.act, {t, s.heads, s.latent});
  call.Normal(s.act, {t, s.heads, s.rope});
  call.Normal(s.act, {pages, s.page_tokens, s.latent});
  call.Normal(s.act, {pages, s.page_tokens, s.rope});
  std::vector<int32_t> q_start(1, 0), table(static_cast<size_t>(seqs * width));
  for (int32_t rows : s.rows) q_start.push_back(q_start.back() + rows);
  std::iota(table.begin(), table.end(), 1);
  std::reverse(table.begin(), table.end());
  call.Integers(q_start, {seqs + 1});
  call.Integers(s.kv_len, {seqs});
  call.Integers(table, {seqs, width});
  call.Absent();
  call.Zeros(s.act, {t, s.heads, s.latent});
  return call;
}

TEST(CpuLatentAttention, IsLikeTheScalarKernelOnEveryInstructionSet) {
  for (const Shape& s :
       {Shape{}, Shape{.heads = 1}, Shape{.heads = 3, .latent = 37, .rope = 6, .page_tokens = 7},
        Shape{.heads = 16, .latent = 512, .rope = 64, .page_tokens = 64},
        Shape{.heads = 7, .rows = {130, 2}, .kv_len = {200, 64}}}) {
    SCOPED_TRACE("heads " + std::to_string(s.heads) + " latent " + std::to_string(s.latent));
    TestCall call = Make(s);
    ExpectLikeReference(call, {kO}, 2e-5);
  }
  TestCall narrow = Make({.act = QIAO_BF16, .heads = 5});
  ExpectLikeReference(narrow, {kO}, 2e-2);
}

// Prefill of 150 tokens at once gives row by row what 150 decode steps and chunks of other sizes give, and
// threads change nothing.
TEST(CpuLatentAttention, ARowsBitsDoNotDependOnTheBatch) {
  ThreadPool one(1), three(3);
  for (Isa isa : SupportedIsas()) {
    SCOPED_TRACE(std::string(Name(isa)));
    for (int64_t heads : {1, 4, 5, 8}) {
      const int32_t n = 150;
      TestCall all = Make({.heads = heads, .rows = {n}, .kv_len = {n}});
      ASSERT_NO_FATAL_FAILURE(all.RunCpu(isa, one));
      TestCall again = Make({.heads = heads, .rows = {n}, .kv_len = {n}});
      ASSERT_NO_FATAL_FAILURE(again.RunCpu(isa, three));
      EXPECT_EQ(all.bytes(kO), again.bytes(kO));
      for (int32_t count : {1, 3, 40}) {
        for (int32_t first : {0, 1, 63, 64, 65, 110}) {
          TestCall some = Make({.heads = heads, .rows = {count}, .kv_len = {first + count}});
          for (int i : {int{kLatentPool}, int{kRopePool}, int{kTable}}) {
            some.bytes(i) = all.bytes(i);
            some.tensor(i) = all.tensor(i);
          }
          for (int i : {int{kQLatent}, int{kQRope}}) {
            const int64_t bytes = some.tensor(i).stride[0] * 4;
            std::memcpy(some.bytes(i).data(), all.bytes(i).data() + first * bytes,
                        static_cast<size_t>(count * bytes));
          }
          ASSERT_NO_FATAL_FAILURE(some.RunCpu(isa, three));
          const size_t bytes = some.bytes(kO).size();
          EXPECT_EQ(std::memcmp(some.bytes(kO).data(), all.bytes(kO).data() + first * heads * 64 * 4, bytes),
                    0)
              << heads << " heads, " << count << " rows from " << first;
        }
      }
    }
  }
}

TEST(CpuLatentAttention, SurvivesScoresOfAnySize) {
  for (float size : {0.0f, 1e4f, 3e18f}) {
    TestCall call = Make({});
    for (int64_t i = 0; i < call.Count(kQLatent); ++i) call.Set(kQLatent, i, call.Get(kQLatent, i) * size);
    ThreadPool pool(2);
    for (Isa isa : SupportedIsas()) {
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      for (float v : call.Values(kO)) ASSERT_TRUE(std::isfinite(v)) << Name(isa) << " " << size;
    }
  }
}

}  // namespace
}  // namespace qiao::kernels::cpu
