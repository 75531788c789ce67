// The AMX emulator: each instruction against plain loops. Where the machine has AMX the same tests run on the
// hardware, which shows that the loops are right.
#include "tests/kernels/amx_emulator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/cpu/tiles_amx.h"
#include "runtime/base/floats.h"
#include "tests/kernels/amx_tile_state.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

// ---- code with AMX instructions

enum class Product { kBf16, kSigned, kSignedUnsigned, kUnsignedSigned, kUnsigned };

HWY_PUSH_ATTRIBUTES("amx-tile,amx-bf16,amx-int8")

void Configure(const TileConfig& config) { asm volatile("ldtilecfg %0" ::"m"(config) : "memory"); }
void Release() { asm volatile("tilerelease"); }
TileConfig Configuration() {
  TileConfig config;
  asm volatile("sttilecfg %0" : "=m"(config));
  return config;
}

// c += a b, tile 0 += tile 5 * tile 7.
void Multiply(Product product, const void* a, int64_t a_stride, const void* b, int64_t b_stride, void* c,
              int64_t c_stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm0" ::"r"(c), "r"(c_stride) : "memory");
  asm volatile("tileloadd (%0,%1,1), %%tmm5" ::"r"(a), "r"(a_stride) : "memory");
  asm volatile("tileloaddt1 (%0,%1,1), %%tmm7" ::"r"(b), "r"(b_stride) : "memory");
  switch (product) {
    case Product::kBf16:
      asm volatile("tdpbf16ps %tmm7, %tmm5, %tmm0");
      break;
    case Product::kSigned:
      asm volatile("tdpbssd %tmm7, %tmm5, %tmm0");
      break;
    case Product::kSignedUnsigned:
      asm volatile("tdpbsud %tmm7, %tmm5, %tmm0");
      break;
    case Product::kUnsignedSigned:
      asm volatile("tdpbusd %tmm7, %tmm5, %tmm0");
      break;
    case Product::kUnsigned:
      asm volatile("tdpbuud %tmm7, %tmm5, %tmm0");
      break;
  }
  asm volatile("tilestored %%tmm0, (%0,%1,1)" ::"r"(c), "r"(c_stride) : "memory");
}

void StoreTile3(void* to) {
  asm volatile("tilestored %%tmm3, (%0,%1,1)" ::"r"(to), "r"(int64_t{64}) : "memory");
}

// The same bytes through each form of address.
constexpr int kForms = 7;
void LoadTile3(int form, const uint8_t* from) {
  switch (form) {
    case 0:  // r13 has the bits that mean "no base", index times 4
      asm volatile("mov %0, %%r13\n mov $16, %%r9d\n tileloadd (%%r13,%%r9,4), %%tmm3" ::"r"(from)
                   : "r13", "r9", "memory");
      break;
    case 1:  // r12 has the bits that mean SIB and, as an index, "none"
      asm volatile("mov %0, %%r12\n mov $32, %%r14d\n tileloadd -64(%%r12,%%r14,2), %%tmm3" ::"r"(from + 64)
                   : "r12", "r14", "memory");
      break;
    case 2:
      asm volatile("mov %0, %%rdi\n mov $8, %%r12d\n tileloadd 1000(%%rdi,%%r12,8), %%tmm3" ::"r"(from - 1000)
                   : "rdi", "r12", "memory");
      break;
    case 3:
      asm volatile(
          "mov %0, %%rsi\n mov $64, %%ecx\n tileloaddt1 -100000(%%rsi,%%rcx), %%tmm3" ::"r"(from + 100000)
          : "rsi", "rcx", "memory");
      break;
    case 4:  // backwards
      asm volatile(
          "mov %0, %%rax\n mov $-64, %%rdx\n tileloadd 127(%%rax,%%rdx), %%tmm3" ::"r"(from + 64 * 15 - 127)
          : "rax", "rdx", "memory");
      break;
    case 5:  // no index: each row is the same
      asm volatile("mov %0, %%r15\n tileloadd (%%r15), %%tmm3" ::"r"(from) : "r15", "memory");
      break;
    case 6:
      asm volatile(
          "mov %0, %%r11\n mov $64, %%r8d\n tileloadd (%%r11,%%r8), %%tmm3\n tilezero %%tmm3" ::"r"(from)
          : "r11", "r8", "memory");
      break;
  }
}

// Relative to the instruction pointer, and with a displacement.
alignas(64) TileConfig static_config;
TileConfig ThroughStaticMemory(const TileConfig& config) {
  static_config = config;
  asm volatile("ldtilecfg %0" ::"m"(static_config) : "memory");
  uint8_t room[64 + 300];
  asm volatile("sttilecfg 300(%0)" ::"r"(room) : "memory");
  TileConfig stored;
  std::memcpy(&stored, room + 300, 64);
  return stored;
}

void UseTileWithoutConfiguration() { asm volatile("tilerelease\n tilezero %tmm0"); }
// tdpbf16ps %tmm1, %tmm1, %tmm0, which the assembler refuses as well.
void MultiplyTileByItself() { asm volatile(".byte 0xc4, 0xe2, 0x72, 0x5c, 0xc1"); }
void MultiplyMisfits() { asm volatile("tdpbssd %tmm2, %tmm1, %tmm0"); }
void NotAmx() { asm volatile("ud2"); }

HWY_POP_ATTRIBUTES

// ---- what they should do

struct Shape {
  int rows, groups, columns;  // groups of four bytes along K
};
const Shape kShapes[] = {{16, 16, 16}, {1, 1, 1},   {5, 7, 3}, {16, 3, 1},
                         {1, 16, 16},  {13, 9, 11}, {2, 16, 5}};

TileConfig ConfigOf(const Shape& s) {
  TileConfig config;
  config.Set(0, s.rows, 4 * s.columns);
  config.Set(5, s.rows, 4 * s.groups);
  config.Set(7, s.groups, 4 * s.columns);
  return config;
}

float Bf16At(const std::vector<uint8_t>& bytes, int64_t at) {
  uint16_t bits;
  std::memcpy(&bits, bytes.data() + at, 2);
  return Bf16ToFloat(bits);
}

// One product of a shape with gaps between the rows, which must stay as they are.
void CheckProduct(Product product, const Shape& s, std::mt19937& random) {
  const int64_t a_stride = 4 * s.groups + 12, b_stride = 4 * s.columns + 4, c_stride = 4 * s.columns + 8;
  std::vector<uint8_t> a(static_cast<size_t>(s.rows * a_stride)), b(static_cast<size_t>(s.groups * b_stride)),
      c(static_cast<size_t>(s.rows * c_stride));
  const bool floats = product == Product::kBf16;
  const auto fill = [&](std::vector<uint8_t>& bytes) {
    std::normal_distribution<float> normal;
    for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
      const auto bits = floats ? FloatToBf16(normal(random)) : static_cast<uint16_t>(random());
      std::memcpy(&bytes[i], &bits, 2);
    }
  };
  fill(a);
  fill(b);
  std::vector<float> start(c.size() / 4);
  for (float& v : start) v = floats ? std::normal_distribution<float>()(random) : 0;
  std::memcpy(c.data(), start.data(), c.size());

  Configure(ConfigOf(s));
  Multiply(product, a.data(), a_stride, b.data(), b_stride, c.data(), c_stride);
  Release();

  const bool a_signed = product == Product::kSigned || product == Product::kSignedUnsigned;
  const bool b_signed = product == Product::kSigned || product == Product::kUnsignedSigned;
  for (int m = 0; m < s.rows; ++m) {
    for (int n = 0; n < c_stride / 4; ++n) {
      const float before = start[static_cast<size_t>(m * c_stride / 4 + n)];
      uint32_t wanted;
      std::memcpy(&wanted, &before, 4);
      if (n < s.columns && floats) {
        float even = 0, odd = 0;
        for (int k = 0; k < s.groups; ++k) {
          const int64_t at = m * a_stride + 4 * k, bt = k * b_stride + 4 * n;
          even = std::fma(Bf16At(a, at), Bf16At(b, bt), even);
          odd = std::fma(Bf16At(a, at + 2), Bf16At(b, bt + 2), odd);
        }
        const float sum = before + (even + odd);
        std::memcpy(&wanted, &sum, 4);
      } else if (n < s.columns) {
        for (int k = 0; k < 4 * s.groups; ++k) {
          const uint8_t x = a[static_cast<size_t>(m * a_stride + k)];
          const uint8_t y = b[static_cast<size_t>(k / 4 * b_stride + 4 * n + k % 4)];
          const int xv = a_signed ? int{static_cast<int8_t>(x)} : int{x};
          const int yv = b_signed ? int{static_cast<int8_t>(y)} : int{y};
          wanted += static_cast<uint32_t>(xv * yv);
        }
      }
      uint32_t got;
      std::memcpy(&got, c.data() + m * c_stride + 4 * n, 4);
      ASSERT_EQ(got, wanted) << s.rows << " " << s.groups << " " << s.columns << " at " << m << "," << n;
    }
  }
}

std::string Message(const char* emulated) { return AmxForTests::OnHardware() ? "" : emulated; }

// First, while nothing has installed it.
TEST(AmxEmulator, IsOffUnlessInstalled) {
  if (!AmxForTests::OnHardware()) {
    EXPECT_EXIT(
        {
          std::signal(SIGILL, SIG_DFL);  // not a sanitizer's handler
          Release();
        },
        testing::KilledBySignal(SIGILL), "");
  }
  const uint64_t before = AmxForTests::Emulated();
  {
    const AmxForTests amx, again;
    Release();
  }
  EXPECT_EQ(AmxForTests::Emulated() - before, AmxForTests::OnHardware() ? 0u : 1u);
  struct sigaction now = {};
  ASSERT_EQ(sigaction(SIGILL, nullptr, &now), 0);
  struct sigaction handled = {};
  if (!AmxForTests::OnHardware()) {
    const AmxForTests amx;
    sigaction(SIGILL, nullptr, &handled);
    EXPECT_NE(now.sa_sigaction, handled.sa_sigaction) << "the handler stayed";
  }
}

TEST(AmxEmulator, ProductsAreThoseOfPlainLoops) {
  const AmxForTests amx;
  std::mt19937 random(7);
  for (Product product : {Product::kBf16, Product::kSigned, Product::kSignedUnsigned,
                          Product::kUnsignedSigned, Product::kUnsigned}) {
    SCOPED_TRACE(static_cast<int>(product));
    for (const Shape& shape : kShapes) ASSERT_NO_FATAL_FAILURE(CheckProduct(product, shape, random));
  }
}

TEST(AmxEmulator, TilesBelongToTheirThread) {
  const AmxForTests amx;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::mt19937 random(t);
      for (int i = 0; i < 60; ++i) {
        const auto product = static_cast<Product>(random() % 5);
        CheckProduct(product, kShapes[random() % std::size(kShapes)], random);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(AmxEmulator, ConfigurationsGoInAndOut) {
  const AmxForTests amx;
  TileConfig config;
  config.start_row = 3;
  for (int i = 0; i < 8; ++i) config.Set(i, 1 + 2 * i, 64 - 4 * i - (i == 6));
  const TileConfig stored = ThroughStaticMemory(config);
  EXPECT_EQ(std::memcmp(&stored, &config, 64), 0);

  // A load begins at start_row and sets it to zero.
  std::vector<uint8_t> bytes(16 * 64), out(16 * 64, 0xee);
  std::mt19937 random(1);
  for (uint8_t& v : bytes) v = static_cast<uint8_t>(random());
  LoadTile3(1, bytes.data());
  EXPECT_EQ(Configuration().start_row, 0);
  StoreTile3(out.data());
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 64; ++c) {
      const size_t at = static_cast<size_t>(r * 64 + c);
      const bool in = r < config.rows[3] && c < config.row_bytes[3];
      ASSERT_EQ(out[at], !in ? 0xee : r < 3 ? 0 : bytes[at]) << r << "," << c;
    }
  }
  Release();
  const TileConfig none = Configuration();
  for (size_t i = 0; i < 64; ++i) EXPECT_EQ(reinterpret_cast<const uint8_t*>(&none)[i], 0);
}

TEST(AmxEmulator, DecodesEveryFormOfAddress) {
  const AmxForTests amx;
  std::vector<uint8_t> bytes(16 * 64);
  std::mt19937 random(2);
  for (uint8_t& v : bytes) v = static_cast<uint8_t>(random());
  TileConfig config;
  config.Set(3, 16, 64);
  Configure(config);
  for (int form = 0; form < kForms; ++form) {
    std::vector<uint8_t> out(16 * 64, 0xee);
    LoadTile3(form, bytes.data());
    StoreTile3(out.data());
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t row = i / 64, column = i % 64;
      const uint8_t wanted = form == 4   ? bytes[(15 - row) * 64 + column]
                             : form == 5 ? bytes[column]
                             : form == 6 ? 0
                                         : bytes[i];
      ASSERT_EQ(out[i], wanted) << "form " << form << " byte " << i;
    }
  }
  Release();
}

// Each case: one row, pairs (a0, a1) and (b0, b1), c, and what c becomes.
TEST(AmxEmulator, RoundsAndFlushesAsTheManualSays) {
  const AmxForTests amx;
  const float inf = std::numeric_limits<float>::infinity(), tiny = 0x1p-130f;
  const struct {
    float a0, b0, a1, b1, c, wanted;
  } cases[] = {
      {2, 3, 5, 7, 1, 42},
      {tiny, 0x1p20f, 1, 1, 0, 1},        // a subnormal operand is zero
      {0x1p20f, -tiny, 1, 1, 0, 1},       //
      {0, 0, 0, 0, tiny, 0},              // so is c
      {0, 0, 0, 0, -tiny, 0},             // -0 + +0
      {0x1p-100f, 0x1p-27f, 0, 0, 0, 0},  // a subnormal product
      {0x1p-100f, 0x1p-26f, 0, 0, 0, 0x1p-126f},
      {0x1.8p-63f, 0x1p-63f, -0x1p-63f, 0x1p-63f, 0, 0},  // a subnormal difference
      {0x1p-63f, 0x1p-63f, 0, 0, -0x1.8p-126f, -0.0f},    // and one with c
      {1, 1, 0x1p-12f, 0x1p-12f, 0, 1},                   // a tie, to even
      {1, 1, 0x1.8p-12f, 0x1p-11f, 0, 1 + 0x1p-22f},      //
      {0x1p12f, 0x1p12f, 1, 1, -0x1p24f, 0},              // even and odd meet before c joins
      {inf, 1, -inf, 1, 0, NAN},
      {inf, 0, 1, 1, 0, NAN},
      {0x1p127f, 2, 0, 0, 0, inf},
      {1, 1, NAN, 1, 0, NAN},
  };
  TileConfig config = ConfigOf({1, 1, 1});
  Configure(config);
  for (const auto& t : cases) {
    const uint16_t a[2] = {FloatToBf16(t.a0), FloatToBf16(t.a1)};
    const uint16_t b[2] = {FloatToBf16(t.b0), FloatToBf16(t.b1)};
    float c = t.c;
    Multiply(Product::kBf16, a, 64, b, 64, &c, 64);
    if (std::isnan(t.wanted)) {
      EXPECT_TRUE(std::isnan(c)) << t.a0 << " " << t.b0;
    } else {
      EXPECT_EQ(c, t.wanted) << t.a0 << " " << t.b0 << " " << t.a1 << " " << t.b1 << " " << t.c;
      EXPECT_EQ(std::signbit(c), std::signbit(t.wanted)) << t.a0 << " " << t.b0;
    }
  }
  Release();
}

// The two ways in which the emulator multiplies, over all exponents.
TEST(AmxEmulator, ItsOwnArithmeticIsThatOfTheCpusFma) {
  TileState first = {};
  const TileConfig config = ConfigOf({16, 16, 16});
  ASSERT_EQ(LoadTileConfig(first, reinterpret_cast<const uint8_t*>(&config)), nullptr);
  std::mt19937 random(3);
  const auto number = [&](int range) {
    const int exponent = static_cast<int>(random() % static_cast<unsigned>(2 * range)) - range;
    const float significand = static_cast<float>(random() % 512) / 256 - 1;
    return std::ldexp(significand, exponent);
  };
  for (int round = 0; round < 40; ++round) {
    const int range = round % 2 ? 64 : 8, shift = round % 4 ? 0 : -62;
    for (int r = 0; r < 16; ++r) {
      for (int k = 0; k < 32; ++k) {
        for (int tile : {5, 7}) {
          const uint16_t bits = FloatToBf16(std::ldexp(number(range), shift));
          std::memcpy(first.data[tile][r] + 2 * k, &bits, 2);
        }
      }
      for (int n = 0; n < 16; ++n) {
        const float c = std::ldexp(number(range), 2 * shift);
        std::memcpy(first.data[0][r] + 4 * n, &c, 4);
      }
    }
    TileState second = first;
    ASSERT_EQ(MultiplyBf16(first, 0, 5, 7), nullptr);
    UseFmaForTiles(false);
    ASSERT_EQ(MultiplyBf16(second, 0, 5, 7), nullptr);
    UseFmaForTiles(true);
    ASSERT_EQ(std::memcmp(&first, &second, sizeof first), 0) << "round " << round;
  }
}

TEST(AmxEmulator, WhatTheProcessorRefusesEndsTheProcess) {
  const AmxForTests amx;
  EXPECT_EXIT(UseTileWithoutConfiguration(), testing::KilledBySignal(SIGILL),
              Message("illegal instruction at 0x.*: no tiles are configured \\(c4 e2 7b 49 c0\\)"));
  EXPECT_EXIT(
      {
        Configure(ConfigOf({16, 16, 16}));
        MultiplyTileByItself();
      },
      testing::KilledBySignal(SIGILL), Message("not distinct"));
  EXPECT_EXIT(
      {
        TileConfig config;
        config.Set(0, 16, 64);
        config.Set(1, 16, 64);
        config.Set(2, 15, 64);
        Configure(config);
        MultiplyMisfits();
      },
      testing::KilledBySignal(SIGILL), Message("a's columns are not b's rows"));
  EXPECT_EXIT(NotAmx(), testing::KilledBySignal(SIGILL), Message("not an AMX instruction \\(0f 0b"));
}

TEST(AmxEmulator, BadConfigurationsAreRefused) {
  TileState state = {};
  const auto refuse = [&](auto change) {
    TileConfig config = ConfigOf({16, 16, 16});
    change(config);
    const char* why = LoadTileConfig(state, reinterpret_cast<const uint8_t*>(&config));
    EXPECT_FALSE(state.configured);
    return std::string(why ? why : "taken");
  };
  EXPECT_EQ(refuse([](TileConfig& c) { c.palette = 2; }), "palette is neither 0 nor 1");
  EXPECT_EQ(refuse([](TileConfig& c) { c.reserved[5] = 1; }), "reserved bytes are not zero");
  EXPECT_EQ(refuse([](TileConfig& c) { c.rows[9] = 1; }), "reserved bytes are not zero");
  EXPECT_EQ(refuse([](TileConfig& c) { c.row_bytes[0] = 65; }), "a row is longer than 64 bytes");
  EXPECT_EQ(refuse([](TileConfig& c) { c.rows[0] = 17; }), "a tile has more than 16 rows");
  EXPECT_EQ(refuse([](TileConfig& c) { c.rows[7] = 0; }), "a tile has rows or columns but not both");
}

}  // namespace
}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
