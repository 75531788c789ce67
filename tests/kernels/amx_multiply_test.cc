// The AMX products against scalar loops, and bitwise against themselves for other numbers of columns. Without
// AMX in the machine the instructions are emulated; the AVX-512 around them is not, so that a machine without
// it skips these.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "hwy/base.h"
#include "kernels/cpu/multiply_bf16_amx.h"
#include "kernels/cpu/multiply_int8_amx.h"
#include "runtime/base/floats.h"
#include "tests/kernels/amx_test.h"

#if HWY_ARCH_X86_64

namespace qiao::kernels::cpu {
namespace {

// Bytes at a given distance from a multiple of 64, with guards that must stay.
class Room {
 public:
  explicit Room(uint64_t bytes) : bytes_(bytes), store_(bytes + 192, 0xff) {}
  std::byte* data() {
    uint8_t* p = store_.data() + 64;
    return reinterpret_cast<std::byte*>(p + (64 - reinterpret_cast<uintptr_t>(p) % 64) % 64);
  }
  void ExpectGuards() {
    const auto* begin = reinterpret_cast<const uint8_t*>(data());
    for (const uint8_t* p = store_.data(); p < store_.data() + store_.size(); ++p) {
      const bool guard = p < begin || p >= begin + bytes_;
      ASSERT_TRUE(!guard || *p == 0xff) << "overrun at " << p - begin;
    }
  }

 private:
  uint64_t bytes_;
  std::vector<uint8_t> store_;
};

class AmxMultiply : public AmxTest {};

TEST_F(AmxMultiply, BelongsToTheTestedSets) {
  const std::vector<Isa> isas = AmxForTests::Isas();
  EXPECT_EQ(isas.front(), Isa::kAmx);
  EXPECT_EQ(std::count(isas.begin(), isas.end(), Isa::kAmx), 1);
}

// ---- bf16

struct Shape {
  bool e4m3 = true, scaled = true, one_scale_row = true, x_scaled = false;
  int64_t k = 300, groups = 1, columns = 1;
};

// A weight of groups * 16 rows, rows of activations, and their product.
struct Case {
  Shape shape;
  int64_t row_bytes, blocks;
  std::vector<std::vector<uint8_t>> rows;  // each exactly as long as it is, for the sanitizer's eyes
  std::vector<std::vector<float>> scales;
  std::vector<std::vector<uint16_t>> x;
  std::vector<float> x_scale;

  Case(const Shape& s, unsigned seed) : shape(s) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    row_bytes = s.e4m3 ? s.k : 2 * s.k;
    blocks = DivideUp(s.k, int64_t{128});
    for (int64_t r = 0; r < 16 * s.groups; ++r) {
      auto& row = rows.emplace_back(static_cast<size_t>(row_bytes));
      for (int64_t i = 0; i < s.k; ++i) {
        const uint16_t bits = FloatToBf16(normal(random));
        if (s.e4m3) {
          // All of them but the two NaNs, subnormals often.
          const auto v = static_cast<uint8_t>(random());
          row[static_cast<size_t>(i)] = (v & 0x7f) == 0x7f ? 1 : random() % 4 ? v : v & 0x87;
        } else {
          std::memcpy(row.data() + 2 * i, &bits, 2);
        }
      }
      auto& scale = scales.emplace_back(static_cast<size_t>(blocks));
      for (float& v : scale) v = std::fabs(normal(random)) + 0.01f;
      // A boundary of blocks falls within a group of rows, or not.
      if (r % 16 != 0 && (s.one_scale_row || r % 16 != 5)) scales.back() = scales[scales.size() - 2];
    }
    for (int64_t m = 0; m < s.columns; ++m) {
      auto& row = x.emplace_back(static_cast<size_t>(s.k));
      for (uint16_t& v : row) v = FloatToBf16(normal(random));
    }
    x_scale.resize(static_cast<size_t>(s.columns * blocks));
    for (float& v : x_scale) v = std::fabs(normal(random)) + 0.01f;
  }

  float WeightAt(int64_t r, int64_t i) const {
    const auto& row = rows[static_cast<size_t>(r)];
    if (shape.e4m3) return F8E4M3ToFloat(row[static_cast<size_t>(i)]);
    uint16_t bits;
    std::memcpy(&bits, row.data() + 2 * i, 2);
    return Bf16ToFloat(bits);
  }

  // In the very order of the kernel; as no subnormals occur, bitwise.
  float Wanted(int64_t m, int64_t r) const {
    const auto& xm = x[static_cast<size_t>(m)];
    const int64_t block = shape.scaled ? 128 : RoundUp(shape.k, int64_t{32});
    float total = 0;
    for (int64_t b = 0; b * block < shape.k; ++b) {
      float sum = 0;
      for (int64_t step = b * block; step < std::min((b + 1) * block, shape.k); step += 32) {
        float part[2] = {0, 0};
        for (int64_t i = step; i < std::min(step + 32, shape.k); ++i) {
          float& p = part[i % 2];
          p = std::fma(WeightAt(r, i), Bf16ToFloat(xm[static_cast<size_t>(i)]), p);
        }
        sum += part[0] + part[1];
      }
      if (!shape.scaled) return sum;
      float scale = scales[static_cast<size_t>(r)][static_cast<size_t>(b)];
      if (shape.x_scaled) scale *= x_scale[static_cast<size_t>(m * blocks + b)];
      total = std::fma(sum, scale, total);
    }
    return total;
  }

  // Columns [first, first + count) as one call.
  std::vector<float> Run(int64_t first, int64_t count) const {
    AmxColumns columns;
    columns.count = count;
    columns.steps = AmxColumns::Steps(2 * shape.k);
    Room packed(static_cast<uint64_t>(columns.bytes()));
    std::vector<const void*> pointers;
    for (int64_t m = 0; m < count; ++m) pointers.push_back(x[static_cast<size_t>(first + m)].data());
    columns.data = packed.data();
    for (int64_t tile = 0; tile < columns.tiles(); ++tile)
      PackAmxColumns(columns, tile, pointers.data(), 2 * shape.k, packed.data());

    std::vector<AmxRows> groups(static_cast<size_t>(shape.groups));
    for (size_t r = 0; r < rows.size(); ++r) {
      groups[r / 16].row[r % 16] = rows[r].data();
      const bool same = r % 16 != 0 && scales[r] == scales[r - 1];
      groups[r / 16].scale[r % 16] = !shape.scaled ? nullptr
                                     : same        ? groups[r / 16].scale[r % 16 - 1]
                                                   : scales[r].data();
    }
    const int64_t stride = 16 * shape.groups + 3;
    std::vector<float> sums(static_cast<size_t>(count * stride), 123.0f);
    Room scratch(MultiplyBf16AmxScratch(count));
    AmxWeight weight;
    weight.e4m3 = shape.e4m3;
    weight.k = shape.k;
    MultiplyBf16Amx(weight, groups.data(), shape.groups, columns,
                    shape.x_scaled ? x_scale.data() + first * blocks : nullptr, blocks, scratch.data(),
                    sums.data(), stride);
    packed.ExpectGuards();
    scratch.ExpectGuards();
    std::vector<float> dense;
    for (int64_t m = 0; m < count; ++m) {
      const auto from = sums.begin() + m * stride;
      dense.insert(dense.end(), from, from + 16 * shape.groups);
      for (int64_t i = 16 * shape.groups; i < stride; ++i) EXPECT_EQ(from[i], 123.0f);
    }
    return dense;
  }
};

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (int64_t columns : {1, 2, 15, 16, 17, 40}) {
    for (int64_t k : {1, 31, 128, 300, 1180}) {
      for (int64_t groups : {1, 2, 3}) {
        Shape s;
        s.columns = columns;
        s.k = k;
        s.groups = groups;
        s.one_scale_row = (columns + k) % 2;
        s.x_scaled = k == 300 && groups < 3;
        shapes.push_back(s);
        s.e4m3 = s.scaled = s.x_scaled = false;
        shapes.push_back(s);
      }
    }
  }
  Shape s;
  s.scaled = false;  // E4M3 without scales, bf16 with
  shapes.push_back(s);
  s.scaled = true;
  s.e4m3 = false;
  shapes.push_back(s);
  return shapes;
}

TEST_F(AmxMultiply, Bf16ProductsAreThoseOfScalarLoops) {
  for (const Shape& s : Shapes()) {
    SCOPED_TRACE(testing::Message() << "k " << s.k << " groups " << s.groups << " columns " << s.columns
                                    << (s.e4m3 ? " e4m3" : " bf16") << (s.scaled ? " scaled" : ""));
    const Case c(s, static_cast<unsigned>(s.k + s.columns));
    const std::vector<float> got = c.Run(0, s.columns);
    for (int64_t m = 0; m < s.columns; ++m) {
      for (int64_t r = 0; r < 16 * s.groups; ++r)
        ASSERT_EQ(got[static_cast<size_t>(m * 16 * s.groups + r)], c.Wanted(m, r)) << m << "," << r;
    }
  }
}

TEST_F(AmxMultiply, AColumnsBitsDoNotDependOnItsCompany) {
  for (bool e4m3 : {true, false}) {
    Shape s;
    s.e4m3 = s.scaled = e4m3;
    s.one_scale_row = false;
    s.k = 1500;
    s.groups = 2;
    s.columns = 41;
    const Case c(s, 11);
    const std::vector<float> together = c.Run(0, 41);
    for (int64_t m : {0, 15, 16, 33, 40}) {
      for (int64_t company : {1, 5, 16, 20}) {
        if (m + company > 41) continue;
        const std::vector<float> few = c.Run(m, company);
        for (int64_t r = 0; r < 32; ++r)
          ASSERT_EQ(few[static_cast<size_t>(r)], together[static_cast<size_t>(m * 32 + r)]) << m << "," << r;
      }
    }
  }
}

TEST_F(AmxMultiply, ThreadsMultiplyAtTheSameTime) {
  std::vector<std::thread> threads;
  std::vector<int> wrong(3);
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([t, &wrong] {
      Shape s;
      s.columns = 3 + 10 * t;
      s.groups = 1 + t;
      const Case c(s, t);
      for (int i = 0; i < 3; ++i) {
        const std::vector<float> got = c.Run(0, s.columns);
        for (int64_t m = 0; m < s.columns; ++m)
          for (int64_t r = 0; r < 16 * s.groups; ++r)
            wrong[t] += got[static_cast<size_t>(m * 16 * s.groups + r)] != c.Wanted(m, r);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(3));
}

TEST_F(AmxMultiply, DecodesEveryE4m3) {
  std::vector<uint8_t> row(256);
  for (size_t i = 0; i < 256; ++i) row[i] = static_cast<uint8_t>(i * 77);
  const void* pointers[16];
  for (const void*& p : pointers) p = row.data();
  for (int64_t k : {256, 250, 33}) {
    const int64_t steps = AmxColumns::Steps(2 * k);
    Room panel(static_cast<uint64_t>(steps * kPanelStep));
    DecodeAmxPanel(pointers, k, 0, steps, panel.data());
    panel.ExpectGuards();
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t r = 0; r < 16; ++r) {
        for (int64_t i = 0; i < 32; ++i) {
          uint16_t bits;
          std::memcpy(&bits, panel.data() + step * kPanelStep + r * 64 + 2 * i, 2);
          const int64_t at = 32 * step + i;
          const float wanted = at < k ? F8E4M3ToFloat(row[static_cast<size_t>(at)]) : 0;
          if (std::isnan(wanted)) {
            ASSERT_TRUE(std::isnan(Bf16ToFloat(bits)));
          } else {
            ASSERT_EQ(bits, FloatToBf16(wanted)) << at;
          }
        }
      }
    }
  }
}

// A NaN weight reaches its own row in every column, and no other.
TEST_F(AmxMultiply, NanStaysInItsRow) {
  Shape s;
  s.columns = 17;
  Case c(s, 5);
  c.rows[3][299] = 0xff;
  const std::vector<float> got = c.Run(0, 17);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i % 16 == 3) << i;
}

// ---- int8

TEST_F(AmxMultiply, Int8ProductsAreExact) {
  std::mt19937 random(9);
  for (int64_t columns : {1, 3, 16, 17, 40}) {
    for (int64_t k : {1, 64, 100, 1100}) {
      for (int64_t groups : {1, 2, 3}) {
        const auto bytes = [&](int64_t n) {
          std::vector<std::vector<int8_t>> rows(static_cast<size_t>(n));
          for (auto& row : rows) {
            row.resize(static_cast<size_t>(k));
            for (int8_t& v : row) v = static_cast<int8_t>(random());
          }
          return rows;
        };
        const auto w = bytes(16 * groups), x = bytes(columns);
        std::vector<AmxInt8Rows> rows(static_cast<size_t>(groups));
        std::uniform_real_distribution<float> scale(0.001f, 0.1f);
        for (size_t r = 0; r < w.size(); ++r) {
          rows[r / 16].row[r % 16] = w[r].data();
          rows[r / 16].scale[r % 16] = scale(random);
        }
        std::vector<float> x_scale(static_cast<size_t>(columns));
        for (float& v : x_scale) v = scale(random);

        AmxColumns packed;
        packed.count = columns;
        packed.steps = AmxColumns::Steps(k);
        Room room(static_cast<uint64_t>(packed.bytes())), scratch(MultiplyInt8AmxScratch(columns));
        std::vector<const void*> pointers;
        for (const auto& row : x) pointers.push_back(row.data());
        packed.data = room.data();
        for (int64_t tile = 0; tile < packed.tiles(); ++tile)
          PackAmxColumns(packed, tile, pointers.data(), k, room.data());
        const int64_t stride = 16 * groups + 1;
        std::vector<float> sums(static_cast<size_t>(columns * stride));
        MultiplyInt8Amx(k, rows.data(), groups, packed, x_scale.data(), scratch.data(), sums.data(), stride);
        room.ExpectGuards();
        scratch.ExpectGuards();

        for (int64_t m = 0; m < columns; ++m) {
          for (int64_t r = 0; r < 16 * groups; ++r) {
            int32_t sum = 0;
            for (size_t i = 0; i < static_cast<size_t>(k); ++i)
              sum += int{w[static_cast<size_t>(r)][i]} * int{x[static_cast<size_t>(m)][i]};
            const float scales =
                rows[static_cast<size_t>(r / 16)].scale[r % 16] * x_scale[static_cast<size_t>(m)];
            ASSERT_EQ(sums[static_cast<size_t>(m * stride + r)], static_cast<float>(sum) * scales)
                << "k " << k << " columns " << columns << " at " << m << "," << r;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace qiao::kernels::cpu

#endif  // HWY_ARCH_X86_64
