// latent_attention of the CPU kernels: a ragged batch of prefill and decode rows against the scalar kernel,
// and the same row in other launches.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/cpu/latent_attention_plan.h"
#include "tests/kernels/cpu_call.h"

namespace qiao::kernels::cpu {
namespace {

enum { kQLatent, kQRope, kLatentPool, kRopePool, kQStart, kKvLen, kTable, kSchedule, kO, kScaledO };

qiao_latent_attention_params ParamsOf(bool f8) { return {.struct_size = 0, .scale = 0.15f, .scaled = f8}; }
int OutputOf(bool f8) { return f8 ? kScaledO : kO; }

// The dtypes of the latent pool and the rope pool.
uint32_t PoolType(uint32_t act, bool f8, int pool) {
  return !f8 ? act : pool == kLatentPool ? uint32_t{QIAO_F8E4M3} : uint32_t{QIAO_BF16};
}
constexpr int32_t kBlock = 128;
void DescribeBlocks(TestCall& call) {
  call.tensor(kLatentPool).scheme = QIAO_SCHEME_BLOCK;
  call.tensor(kLatentPool).block[0] = 1;
  call.tensor(kLatentPool).block[1] = kBlock;
}
int64_t BlocksOf(int64_t latent) { return (latent + kBlock - 1) / kBlock; }

// Every code, subnormals among them, and no NaN but where asked for.
void FillCodes(TestCall& call, int pool) {
  std::uniform_int_distribution<int> code(0, 253);
  for (std::byte& b : call.bytes(pool)) {
    const int c = code(call.random());
    b = static_cast<std::byte>(c < 127 ? c : c + 1);
  }
}

struct Shape {
  uint32_t act = QIAO_F32;
  bool f8 = false;  // the latent in E4M3 with scales
  int64_t heads = 4, latent = 64, rope = 32, page_tokens = 16;
  std::vector<int32_t> rows = {5, 1, 3, 1}, kv_len = {5, 130, 70, 1};
};

TestCall Make(const Shape& s) {
  TestCall call(QIAO_OP_LATENT_ATTENTION, ParamsOf(s.f8));
  const int64_t t = std::accumulate(s.rows.begin(), s.rows.end(), int64_t{0});
  const auto seqs = static_cast<int64_t>(s.rows.size());
  const int64_t longest = *std::max_element(s.kv_len.begin(), s.kv_len.end());
  const int64_t width = (longest + s.page_tokens - 1) / s.page_tokens, pages = seqs * width + 1;
  call.Normal(s.act, {t, s.heads, s.latent});
  call.Normal(s.act, {t, s.heads, s.rope});
  call.Normal(PoolType(s.act, s.f8, kLatentPool), {pages, s.page_tokens, s.latent});
  call.Normal(PoolType(s.act, s.f8, kRopePool), {pages, s.page_tokens, s.rope});
  if (s.f8) {
    FillCodes(call, kLatentPool);
    DescribeBlocks(call);
  }
  std::vector<int32_t> q_start(1, 0), table(static_cast<size_t>(seqs * width));
  for (int32_t rows : s.rows) q_start.push_back(q_start.back() + rows);
  std::iota(table.begin(), table.end(), 1);
  std::reverse(table.begin(), table.end());
  call.Integers(q_start, {seqs + 1});
  call.Integers(s.kv_len, {seqs});
  call.Integers(table, {seqs, width});
  call.Absent();
  if (s.f8) {
    const int scales = call.Zeros(QIAO_F32, {pages, s.page_tokens, BlocksOf(s.latent)});
    std::uniform_real_distribution<float> scale(0.001f, 0.005f);
    for (int64_t i = 0; i < call.Count(scales); ++i) call.Set(scales, i, scale(call.random()));
  }
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

// Latents of whole and ragged blocks, and of whole and ragged vectors of every instruction set.
TEST(CpuLatentAttention, TakesAnE4m3LatentOnEveryInstructionSet) {
  for (const Shape& s : {Shape{.f8 = true}, Shape{.f8 = true, .heads = 1},
                         Shape{.f8 = true, .heads = 3, .latent = 37, .rope = 6, .page_tokens = 7},
                         Shape{.f8 = true, .heads = 16, .latent = 512, .rope = 64, .page_tokens = 64},
                         Shape{.f8 = true, .heads = 5, .latent = 200, .rope = 34},
                         Shape{.f8 = true, .heads = 2, .latent = 129},
                         Shape{.f8 = true, .heads = 7, .rows = {130, 2}, .kv_len = {200, 64}}}) {
    SCOPED_TRACE("heads " + std::to_string(s.heads) + " latent " + std::to_string(s.latent));
    TestCall call = Make(s);
    ExpectLikeReference(call, {kScaledO}, 2e-5);
  }
  TestCall narrow = Make({.act = QIAO_BF16, .f8 = true, .heads = 5, .latent = 200});
  ExpectLikeReference(narrow, {kScaledO}, 2e-2);
}

// Where a query sees one token only, its output is that token's latent: element times scale to the last bit,
// for each code in several places; and a NaN stays one in every place.
TEST(CpuLatentAttention, DecodesEveryCodeExactly) {
  constexpr size_t kWidth = 256, kFirst = 16;  // of the only page in the table
  TestCall call = Make({.f8 = true, .heads = 1, .latent = kWidth, .rope = 8, .rows = {1}, .kv_len = {1}});
  std::byte* codes = call.bytes(kLatentPool).data() + kFirst * kWidth;
  ThreadPool pool(1);
  for (Isa isa : SupportedIsas()) {
    for (size_t shift = 0; shift < 256; shift += 37) {
      for (size_t c = 0; c < kWidth; ++c) {
        const auto code = static_cast<uint8_t>(c + shift);
        codes[c] = static_cast<std::byte>((code & 0x7f) == 0x7f ? 0 : code);
      }
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      const std::vector<float> got = call.Values(kScaledO);
      for (size_t c = 0; c < kWidth; ++c) {
        const float scale = call.Get(kO, static_cast<int64_t>(kFirst * (kWidth / kBlock) + c / kBlock));
        EXPECT_EQ(got[c], F8E4M3ToFloat(static_cast<uint8_t>(codes[c])) * scale) << Name(isa) << " " << c;
      }
    }
    for (size_t c = 0; c < kWidth; ++c) {
      std::fill_n(codes, kWidth, std::byte{0x38});
      codes[c] = c % 2 ? std::byte{0x7f} : std::byte{0xff};
      ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
      EXPECT_TRUE(std::isnan(call.Get(kScaledO, static_cast<int64_t>(c)))) << Name(isa) << " " << c;
    }
  }
}

// A text of `tokens` tokens, their cached rows and the queries of all its positions. Whatever a launch
// consists of, a query's output has to be that of any other launch with the same position in it.
class Text {
 public:
  struct Part {  // a sequence: the text's first `length` tokens, of which the last `rows` are queried
    int32_t rows, length;
  };

  Text(uint32_t act, int64_t heads, int64_t latent, int64_t rope, int32_t tokens, bool f8 = false)
      : act_(act), f8_(f8), heads_(heads), all_(QIAO_OP_LATENT_ATTENTION, ParamsOf(f8)) {
    all_.Normal(act, {tokens, heads, latent});
    all_.Normal(act, {tokens, heads, rope});
    all_.Normal(PoolType(act, f8, kLatentPool), {tokens, 1, latent});
    all_.Normal(PoolType(act, f8, kRopePool), {tokens, 1, rope});
    all_.Normal(QIAO_F32, {tokens, 1, BlocksOf(latent)}, 0.02);
    if (f8) FillCodes(all_, kLatentPool);
  }

  // The outputs, row by row. Pages are dealt out backwards; rows of nobody hold NaN.
  void Run(const std::vector<Part>& parts, int64_t page_tokens, Isa isa, ThreadPool& pool,
           std::vector<std::byte>& out) {
    TestCall call(QIAO_OP_LATENT_ATTENTION, ParamsOf(f8_));
    std::vector<int32_t> q_start(1, 0), kv_len;
    int64_t width = 1;
    for (const Part& p : parts) {
      q_start.push_back(q_start.back() + p.rows);
      kv_len.push_back(p.length);
      width = std::max<int64_t>(width, (p.length + page_tokens - 1) / page_tokens);
    }
    const auto seqs = static_cast<int64_t>(parts.size()), pages = seqs * width;
    for (int i : {int{kQLatent}, int{kQRope}})
      call.Zeros(act_, {q_start.back(), heads_, all_.tensor(i).dim[2]});
    for (int i : {int{kLatentPool}, int{kRopePool}}) {
      call.Zeros(PoolType(act_, f8_, i), {pages, page_tokens, all_.tensor(i).dim[2]});
      std::fill(call.bytes(i).begin(), call.bytes(i).end(), std::byte{0xff});
    }
    if (f8_) DescribeBlocks(call);
    std::vector<int32_t> table(static_cast<size_t>(pages));
    std::iota(table.rbegin(), table.rend(), 0);
    call.Integers(q_start, {seqs + 1});
    call.Integers(kv_len, {seqs});
    call.Integers(table, {seqs, width});
    call.Absent();
    if (f8_) {
      call.Zeros(QIAO_F32, {pages, page_tokens, all_.tensor(kScales).dim[2]});
      std::fill(call.bytes(kO).begin(), call.bytes(kO).end(), std::byte{0xff});
    }
    for (int64_t s = 0; s < seqs; ++s) {
      const Part& p = parts[static_cast<size_t>(s)];
      for (int i : {int{kQLatent}, int{kQRope}})
        Copy(call, i, q_start[static_cast<size_t>(s)], p.length - p.rows, p.rows);
      for (int64_t j = 0; j < p.length; ++j) {
        const int64_t page = table[static_cast<size_t>(s * width + j / page_tokens)];
        for (int i : {int{kLatentPool}, int{kRopePool}})
          Copy(call, i, page * page_tokens + j % page_tokens, j, 1);
        if (f8_) Copy(call, kO, page * page_tokens + j % page_tokens, j, 1, kScales);
      }
    }
    call.Zeros(act_, {q_start.back(), heads_, all_.tensor(kQLatent).dim[2]});
    ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
    out = call.bytes(OutputOf(f8_));
  }

  // Runs `parts` and compares each row with `whole`, whose rows are the text's last ones.
  void Expect(const std::vector<std::byte>& whole, const std::vector<Part>& parts, int64_t page_tokens,
              Isa isa, ThreadPool& pool) {
    std::vector<std::byte> out;
    ASSERT_NO_FATAL_FAILURE(Run(parts, page_tokens, isa, pool, out));
    const auto row = RowBytes(kQLatent);
    const auto first = static_cast<size_t>(all_.tensor(kQLatent).dim[0]) - whole.size() / row;
    size_t at = 0;
    for (const Part& p : parts) {
      for (auto j = static_cast<size_t>(p.length - p.rows); j < static_cast<size_t>(p.length);
           ++j, at += row) {
        EXPECT_EQ(std::memcmp(out.data() + at, whole.data() + (j - first) * row, row), 0)
            << "position " << j << " of a sequence of " << p.length << " with " << p.rows << " rows, "
            << parts.size() << " sequences, pages of " << page_tokens << ", " << pool.size() << " threads";
      }
    }
  }

 private:
  static constexpr int kScales = 4;  // in all_

  size_t RowBytes(int i) {
    return static_cast<size_t>(all_.tensor(i).stride[0] * ElementBytes(all_.tensor(i).dtype));
  }
  // `source`: where all_ has what the call has as argument i.
  void Copy(TestCall& call, int i, int64_t to, int64_t from, int64_t rows, int source = -1) {
    const int has = source < 0 ? i : source;
    const size_t row = RowBytes(has);
    std::memcpy(call.bytes(i).data() + static_cast<size_t>(to) * row,
                all_.bytes(has).data() + static_cast<size_t>(from) * row, static_cast<size_t>(rows) * row);
  }

  uint32_t act_;
  bool f8_;
  int64_t heads_;
  TestCall all_;  // never run: it holds the values
};

// A prompt at once on one thread, which walks every context, against decode steps, chunks and mixed batches
// on other numbers of threads, which divide it: contexts that end before, at and after a tile.
TEST(CpuLatentAttention, ARowsBitsDoNotDependOnTheLaunch) {
  constexpr auto tile = static_cast<int32_t>(attention::kTile);
  ThreadPool one(1), two(2), three(3), eight(8);
  struct Case {
    uint32_t act;
    int64_t heads, latent, rope;
    int32_t tokens;
    bool f8 = false;
  };
  for (const Case& c :
       {Case{QIAO_F32, 5, 64, 32, 4 * tile + 3}, Case{QIAO_BF16, 16, 48, 8, 2 * tile + 30},
        Case{QIAO_F32, 3, 37, 6, tile + 3}, Case{QIAO_BF16, 1, 33, 2, tile + 3},
        Case{QIAO_F32, 5, 64, 32, 2 * tile + 3, true}, Case{QIAO_BF16, 16, 200, 8, tile + 30, true}}) {
    Text text(c.act, c.heads, c.latent, c.rope, c.tokens, c.f8);
    for (Isa isa : SupportedIsas()) {
      SCOPED_TRACE(std::string(Name(isa)) + ", " + std::to_string(c.heads) + " heads");
      std::vector<std::byte> whole;
      ASSERT_NO_FATAL_FAILURE(text.Run({{c.tokens, c.tokens}}, 64, isa, one, whole));
      for (ThreadPool* pool : {&two, &three, &eight})
        text.Expect(whole, {{c.tokens, c.tokens}}, 16, isa, *pool);
      for (int32_t length :
           {1, 2, tile - 1, tile, tile + 1, tile + 2, 2 * tile, 2 * tile + 1, 3 * tile, c.tokens}) {
        if (length > c.tokens) continue;
        for (ThreadPool* pool : {&one, &two, &three, &eight}) {
          text.Expect(whole, {{1, length}}, 64, isa, *pool);
          text.Expect(whole, {{3, 40}, {1, length}, {2, tile + 1}}, 7, isa, *pool);
        }
        text.Expect(whole, {{std::min(4, length), length}}, 128, isa, two);
        text.Expect(whole, {{std::min(70, length), length}, {1, 1}}, 1, isa, three);
      }
    }
  }
}

// Heads and tokens enough that the partial results do not all fit the workspace at once.
TEST(CpuLatentAttention, ARowsBitsDoNotDependOnHowManyTilesAreInFlight) {
  ThreadPool one(1), two(2), three(3), eight(8);
  constexpr auto n = static_cast<int32_t>(10 * attention::kTile);
  Text text(QIAO_F32, 128, 32, 8, n + 5);
  for (Isa isa : SupportedIsas()) {
    SCOPED_TRACE(std::string(Name(isa)));
    std::vector<std::byte> whole;
    ASSERT_NO_FATAL_FAILURE(text.Run({{6, n + 5}}, 64, isa, one, whole));
    for (ThreadPool* pool : {&one, &two, &three, &eight}) {
      text.Expect(whole, {{1, n + 5}}, 64, isa, *pool);
      text.Expect(whole, {{2, n + 4}, {1, n}, {1, n + 1}}, 64, isa, *pool);
    }
  }
}

TEST(CpuLatentAttention, SurvivesScoresOfAnySize) {
  for (float size : {0.0f, 1e4f, 3e18f}) {
    for (const bool f8 : {false, true}) {
      TestCall call = Make({.f8 = f8});
      for (int64_t i = 0; i < call.Count(kQLatent); ++i) call.Set(kQLatent, i, call.Get(kQLatent, i) * size);
      ThreadPool pool(2);
      for (Isa isa : SupportedIsas()) {
        ASSERT_NO_FATAL_FAILURE(call.RunCpu(isa, pool));
        for (float v : call.Values(OutputOf(f8))) ASSERT_TRUE(std::isfinite(v)) << Name(isa) << " " << size;
      }
    }
  }
}

}  // namespace
}  // namespace qiao::kernels::cpu
