// Element types. The numbers are those of qiao/ops.h (checked there by runtime/ops), and files never hold
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace qiao {

enum class DType : uint32_t {
  kInvalid = 0,
  kF32 = 1,
  kF16 = 2,
  kBF16 = 3,
  kF8E4M3 = 4,  // OCP E4M3: no infinities, NaN = 0x7f and 0xff, largest 448
  kF8E5M2 = 5,
  kI8 = 6,
  kU8 = 7,
  kI32 = 8,
  kI64 = 9,
  kF64 = 10,
  kI16 = 11,
  kBool = 12,
};

// Bytes of one element; 0 for kInvalid.
size_t SizeOf(DType dtype);

// "f32", "bf16", "f8_e4m3" ...
std::string_view Name(DType dtype);

// The name that safetensors files use ("F32", "F8_E4M3"), and back.
std::string_view SafetensorsName(DType dtype);
std::optional<DType> DTypeFromSafetensors(std::string_view name);

bool IsFloat(DType dtype);

}  // namespace qiao
