#include "runtime/base/dtype.h"

#include <array>

namespace qiao {
namespace {

struct Row {
  DType dtype;
  size_t bytes;
  bool is_float;
  std::string_view name;
  std::string_view safetensors;
};

constexpr std::array<Row, 13> kRows = {{
    {DType::kInvalid, 0, false, "invalid", ""},
    {DType::kF32, 4, true, "f32", "F32"},
    {DType::kF16, 2, true, "f16", "F16"},
    {DType::kBF16, 2, true, "bf16", "BF16"},
    {DType::kF8E4M3, 1, true, "f8_e4m3", "F8_E4M3"},
    {DType::kF8E5M2, 1, true, "f8_e5m2", "F8_E5M2"},
    {DType::kI8, 1, false, "i8", "I8"},
    {DType::kU8, 1, false, "u8", "U8"},
    {DType::kI32, 4, false, "i32", "I32"},
    {DType::kI64, 8, false, "i64", "I64"},
    {DType::kF64, 8, true, "f64", "F64"},
    {DType::kI16, 2, false, "i16", "I16"},
    {DType::kBool, 1, false, "bool", "BOOL"},
}};

const Row& RowOf(DType dtype) {
  auto i = static_cast<size_t>(dtype);
  return kRows[i < kRows.size() ? i : 0];
}

}  // namespace

size_t SizeOf(DType dtype) { return RowOf(dtype).bytes; }
std::string_view Name(DType dtype) { return RowOf(dtype).name; }
std::string_view SafetensorsName(DType dtype) { return RowOf(dtype).safetensors; }
bool IsFloat(DType dtype) { return RowOf(dtype).is_float; }

std::optional<DType> DTypeFromSafetensors(std::string_view name) {
  for (const Row& row : kRows) {
    if (!row.safetensors.empty() && row.safetensors == name) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace qiao
