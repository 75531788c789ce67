#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <sstream>

#include "gtest/gtest.h"
#include "tests/backends/ascend/golden_operators.h"

namespace qiao::ascend_test {
namespace {

aclDataType DataType(Element element) {
  switch (element) {
    case Element::kF32:
      return ACL_FLOAT;
    case Element::kF16:
      return ACL_FLOAT16;
    case Element::kBf16:
      return ACL_BF16;
    case Element::kI8:
      return ACL_INT8;
    case Element::kU8:
      return ACL_UINT8;
    case Element::kI32:
      return ACL_INT32;
    case Element::kI64:
      return ACL_INT64;
    case Element::kBool:
      return ACL_BOOL;
    case Element::kF8E4M3:
      return ACL_FLOAT8_E4M3FN;
  }
  return ACL_DT_UNDEFINED;
}

int64_t Count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t d : shape) count *= d;
  return count;
}

// Integers and dtypes without a tolerance are compared as numbers too: equal, or both NaN.
bool Near(const GoldenTensor& t, double got, double want) {
  if (std::isnan(want)) return std::isnan(got);
  if (got == want) return true;
  if (!std::isfinite(got) || !std::isfinite(want)) return false;
  return std::abs(got - want) <= t.absolute + t.ulps * UnitInTheLastPlace(t.element, want);
}

// A tolerance is: within `absolute` plus `ulps` units of the dtype. `share`, where there is one, is how many elements may
// differ from the golden at all: both are the exact result rounded once, so that hardly any do (one may always).
void Compare(const std::string& where, const GoldenTensor& t, const std::vector<std::byte>& buffer) {
  const int width = ElementBytes(t.element);
  const int64_t all = Count(t.shape);
  const int64_t defined = t.count < 0 ? 0 : t.count > 0 ? std::min(t.count, all) : all;
  std::set<int64_t> mine;
  int64_t wrong = 0, differ = 0;
  std::ostringstream first;
  first.precision(9);
  for (int64_t i = 0; i < all; ++i) {
    const int64_t place = PlaceOf(i, t.shape, t.strides, t.offset);
    mine.insert(place);
    if (i >= defined) continue;
    const double got = ReadElement(t.element, buffer.data() + place * width);
    const double want = ReadElement(t.element, t.want.data() + place * width);
    if (!(got == want || (std::isnan(got) && std::isnan(want)))) ++differ;
    if (Near(t, got, want)) continue;
    if (++wrong <= 5) first << " [" << i << "] got " << got << ", want " << want << ";";
  }
  EXPECT_EQ(wrong, 0) << where << ": " << wrong << " of " << defined << " elements beyond " << t.absolute
                      << " + " << t.ulps << " ulp:" << first.str();
  if (t.share && wrong == 0) {
    const double allowed = std::max(1.0, *t.share * static_cast<double>(defined));
    EXPECT_LE(static_cast<double>(differ), allowed)
        << where << ": too many elements are not the exact result rounded once";
  }
  int64_t outside = 0;
  for (int64_t place = 0; place < static_cast<int64_t>(t.want.size()) / width; ++place) {
    if (mine.count(place)) continue;
    outside += std::memcmp(buffer.data() + place * width, t.want.data() + place * width, width) != 0;
  }
  EXPECT_EQ(outside, 0) << where << ": wrote outside its view";
}

}  // namespace

Operands::Operands(const GoldenCase& golden) : golden_(golden) {
  for (const GoldenTensor& t : golden.tensors) {
    if (t.role == GoldenTensor::Role::kNull) continue;
    held_.push_back({&t, std::make_unique<DeviceBuffer>(std::max(t.data.size(), t.want.size()))});
  }
  Load();
}

void Operands::Load() {
  for (const Held& held : held_) held.buffer->Write(held.tensor->data);
}

void Operands::Check() const {
  for (const Held& held : held_) {
    const std::string where = golden_.name + " " + held.tensor->name;
    const std::vector<std::byte> after = held.buffer->Read();
    EXPECT_TRUE(held.buffer->GuardIntact()) << where << ": wrote past the end";
    if (held.tensor->role == GoldenTensor::Role::kInput) {
      EXPECT_EQ(after, held.tensor->data) << where << ": an input changed";
    } else {
      Compare(where, *held.tensor, after);
    }
  }
}

void Operands::Release() {
  for (const auto& release : release_) release();
  release_.clear();
}

const Operands::Held* Operands::FindHeld(std::string_view name) const {
  for (const Held& held : held_) {
    if (held.tensor->name == name) return &held;
  }
  return nullptr;
}

aclTensor* Operands::Make(const Held& held) {
  const GoldenTensor& t = *held.tensor;
  aclTensor* made = aclCreateTensor(t.view_shape.data(), t.view_shape.size(), DataType(t.element),
                                    t.view_strides.data(), t.offset, static_cast<aclFormat>(t.format),
                                    t.storage.data(), t.storage.size(), held.buffer->data());
  EXPECT_NE(made, nullptr) << golden_.name << " " << t.name << ": " << RecentError();
  return made;
}

aclTensor* Operands::Tensor(std::string_view name) {
  EXPECT_NE(golden_.Find(name), nullptr) << golden_.name << " has no tensor " << name;
  return Optional(name);
}

aclTensor* Operands::Optional(std::string_view name) {
  const Held* held = FindHeld(name);
  if (held == nullptr) return nullptr;
  aclTensor* made = Make(*held);
  release_.push_back([made] { aclDestroyTensor(made); });
  return made;
}

aclTensorList* Operands::List(std::string_view name) {
  std::vector<const aclTensor*> tensors;
  while (const Held* held = FindHeld(std::string(name) + "." + std::to_string(tensors.size())))
    tensors.push_back(Make(*held));
  if (tensors.empty()) return nullptr;
  aclTensorList* made = aclCreateTensorList(tensors.data(), tensors.size());
  release_.push_back([made] { aclDestroyTensorList(made); });
  return made;
}

aclTensorList* Operands::ListOf(std::string_view name) {
  const Held* held = FindHeld(name);
  EXPECT_NE(held, nullptr) << golden_.name << " has no tensor " << name;
  if (held == nullptr) return nullptr;
  const aclTensor* one = Make(*held);
  aclTensorList* made = aclCreateTensorList(&one, 1);
  release_.push_back([made] { aclDestroyTensorList(made); });
  return made;
}

aclIntArray* Operands::Ints(std::string_view attribute) {
  const auto at = golden_.attributes.find(std::string(attribute));
  if (at == golden_.attributes.end()) return nullptr;
  const auto values = at->get<std::vector<int64_t>>();
  aclIntArray* made = aclCreateIntArray(values.data(), values.size());
  release_.push_back([made] { aclDestroyIntArray(made); });
  return made;
}

aclScalar* Operands::Number(std::string_view attribute) {
  const auto at = golden_.attributes.find(std::string(attribute));
  if (at == golden_.attributes.end()) return nullptr;
  if (at->is_number_integer()) {
    int64_t whole = at->get<int64_t>();
    aclScalar* made = aclCreateScalar(&whole, ACL_INT64);
    release_.push_back([made] { aclDestroyScalar(made); });
    return made;
  }
  float value = at->is_string() ? -std::numeric_limits<float>::infinity() : at->get<float>();
  aclScalar* made = aclCreateScalar(&value, ACL_FLOAT);
  release_.push_back([made] { aclDestroyScalar(made); });
  return made;
}

aclTensor* Operands::Empty() {
  aclTensor* made = MakeTensor({0}, ACL_FLOAT, nullptr).release();
  release_.push_back([made] { aclDestroyTensor(made); });
  return made;
}

int64_t Operands::Integer(std::string_view attribute) const {
  return golden_.attributes.at(std::string(attribute)).get<int64_t>();
}

double Operands::Real(std::string_view attribute) const {
  return golden_.attributes.at(std::string(attribute)).get<double>();
}

bool Operands::Flag(std::string_view attribute) const {
  return golden_.attributes.at(std::string(attribute)).get<bool>();
}

char* Operands::Text(std::string_view attribute) {
  texts_.push_back(golden_.attributes.at(std::string(attribute)).get<std::string>());
  return texts_.back().empty() ? nullptr : texts_.back().data();
}

}  // namespace qiao::ascend_test
