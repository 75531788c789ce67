#include "tests/program/fake_source.h"

#include <cstring>
#include <functional>

#include "runtime/base/checked.h"
#include "runtime/base/floats.h"
#include "runtime/base/split_mix.h"

namespace qiao::program {
namespace {

// SplitMix64, seeded by the name.
class Numbers {
 public:
  explicit Numbers(const std::string& name) : state_(0x51a0) {
    for (char c : name) state_ = state_ * 131 + static_cast<unsigned char>(c);
  }
  float Next() {
    return static_cast<float>(static_cast<int32_t>(NextSplitMix64(state_) >> 40) - (1 << 23)) / (1 << 23);
  }

 private:
  uint64_t state_;
};

}  // namespace

void FakeSource::AddF32(const std::string& name, Shape shape, std::vector<float> values) {
  Entry entry{DType::kF32, shape, std::vector<std::byte>(values.size() * sizeof(float))};
  std::memcpy(entry.bytes.data(), values.data(), entry.bytes.size());
  tensors_[name] = std::move(entry);
}

void FakeSource::AddRandom(const std::string& name, Shape shape, float scale) {
  Numbers numbers(name);
  std::vector<float> values(static_cast<size_t>(shape.elements()));
  for (float& v : values) v = numbers.Next() * scale;
  AddF32(name, shape, std::move(values));
}

void FakeSource::AddRandomF8(const std::string& name, int64_t rows, int64_t cols, int64_t block) {
  Numbers numbers(name);
  Entry entry{DType::kF8E4M3, {rows, cols}, std::vector<std::byte>(static_cast<size_t>(rows * cols))};
  for (std::byte& b : entry.bytes) b = static_cast<std::byte>(FloatToF8E4M3(numbers.Next() * 4));
  tensors_[name] = std::move(entry);
  std::vector<float> scales(static_cast<size_t>(CeilDiv(rows, block) * CeilDiv(cols, block)));
  for (float& s : scales) s = 0.1f + 0.05f * numbers.Next();
  AddF32(name + "_scale_inv", {CeilDiv(rows, block), CeilDiv(cols, block)}, std::move(scales));
}

void FakeSource::AddRandomI8(const std::string& name, int64_t rows, int64_t cols, bool wide) {
  Numbers numbers(name);
  Entry entry{DType::kI8, {rows, cols}, std::vector<std::byte>(static_cast<size_t>(rows * cols))};
  for (std::byte& b : entry.bytes) b = static_cast<std::byte>(static_cast<int8_t>(numbers.Next() * 127));
  tensors_[name] = std::move(entry);
  std::vector<float> scales(static_cast<size_t>(rows));
  for (float& s : scales) s = 0.01f + 0.005f * numbers.Next();
  if (wide) return AddF32(name + "_scale", {rows}, std::move(scales));
  Entry narrow{DType::kBF16, {rows, 1}, std::vector<std::byte>(scales.size() * 2)};
  for (size_t i = 0; i < scales.size(); ++i) {
    const uint16_t bits = FloatToBf16(scales[i]);
    std::memcpy(narrow.bytes.data() + 2 * i, &bits, sizeof(bits));
  }
  tensors_[name + "_scale"] = std::move(narrow);
}

void FakeSource::Misalign(const std::string& name) {
  Entry& entry = tensors_.at(name);
  entry.bytes.insert(entry.bytes.begin(), std::byte{0});
  entry.offset = 1;
}

absl::StatusOr<std::optional<HostTensor>> FakeSource::Find(std::string_view name) const {
  auto it = tensors_.find(name);
  if (it == tensors_.end()) return std::optional<HostTensor>();
  return std::optional<HostTensor>(
      HostTensor{it->second.dtype, it->second.shape, it->second.bytes.data() + it->second.offset});
}

}  // namespace qiao::program
