// Scalars and arrays of host values, and the library's start and end.
#include <aclnn/aclnn_base.h>

#include <cstring>
#include <string>

#include "backends/ascend/emulator/nnopbase/elements.h"
#include "backends/ascend/emulator/nnopbase/objects.h"
#include "backends/ascend/emulator/runtime/emulator.h"

using qiao::cann::Fail;

double aclScalar::ToDouble() const { return qiao::cann::LoadElement<double>(dtype, bytes); }
int64_t aclScalar::ToInt64() const {
  // Through double where it is a float, so that the fraction goes and what is too large saturates.
  if (qiao::cann::IsFloat(dtype)) return qiao::cann::internal::ToInteger<int64_t>(ToDouble());
  return qiao::cann::LoadElement<int64_t>(dtype, bytes);
}

namespace {

template <class Array, typename T>
Array* MakeArray(const char* function, const T* value, uint64_t size) {
  if (!value && size) {
    Fail(ACLNN_ERR_PARAM_NULLPTR, std::string(function) + ": value is null");
    return nullptr;
  }
  auto* array = new Array;
  array->values.assign(value, value + size);
  return array;
}

template <class Array>
aclnnStatus SizeOf(const char* function, const Array* array, uint64_t* size) {
  if (!array || !size) return Fail(ACLNN_ERR_PARAM_NULLPTR, std::string(function) + ": an argument is null");
  *size = array->values.size();
  return ACLNN_SUCCESS;
}

template <class Object>
aclnnStatus Destroy(const Object* object) {
  delete object;
  return ACLNN_SUCCESS;
}

}  // namespace

aclScalar* aclCreateScalar(void* value, aclDataType dataType) {
  const int64_t bytes = qiao::cann::BytesOf(dataType);
  if (!value) {
    Fail(ACLNN_ERR_PARAM_NULLPTR, "aclCreateScalar: value is null");
    return nullptr;
  }
  if (!qiao::cann::HasElements(dataType)) {
    Fail(ACLNN_ERR_PARAM_INVALID,
         std::string("aclCreateScalar: no scalar of dtype ") + qiao::cann::NameOf(dataType));
    return nullptr;
  }
  auto* scalar = new aclScalar;
  scalar->dtype = dataType;
  std::memcpy(scalar->bytes, value, static_cast<size_t>(bytes));
  return scalar;
}

aclnnStatus aclDestroyScalar(const aclScalar* scalar) { return Destroy(scalar); }

aclIntArray* aclCreateIntArray(const int64_t* value, uint64_t size) {
  return MakeArray<aclIntArray>("aclCreateIntArray", value, size);
}
aclFloatArray* aclCreateFloatArray(const float* value, uint64_t size) {
  return MakeArray<aclFloatArray>("aclCreateFloatArray", value, size);
}
aclBoolArray* aclCreateBoolArray(const bool* value, uint64_t size) {
  return MakeArray<aclBoolArray>("aclCreateBoolArray", value, size);
}
aclnnStatus aclDestroyIntArray(const aclIntArray* array) { return Destroy(array); }
aclnnStatus aclDestroyFloatArray(const aclFloatArray* array) { return Destroy(array); }
aclnnStatus aclDestroyBoolArray(const aclBoolArray* array) { return Destroy(array); }
aclnnStatus aclGetIntArraySize(const aclIntArray* array, uint64_t* size) {
  return SizeOf("aclGetIntArraySize", array, size);
}
aclnnStatus aclGetFloatArraySize(const aclFloatArray* array, uint64_t* size) {
  return SizeOf("aclGetFloatArraySize", array, size);
}
aclnnStatus aclGetBoolArraySize(const aclBoolArray* array, uint64_t* size) {
  return SizeOf("aclGetBoolArraySize", array, size);
}

aclScalarList* aclCreateScalarList(const aclScalar* const* value, uint64_t size) {
  if (!value && size) {
    Fail(ACLNN_ERR_PARAM_NULLPTR, "aclCreateScalarList: value is null");
    return nullptr;
  }
  return new aclScalarList{{value, value + size}};
}
aclnnStatus aclDestroyScalarList(const aclScalarList* list) {
  if (!list) return ACLNN_SUCCESS;
  for (const aclScalar* scalar : list->scalars) aclDestroyScalar(scalar);
  return Destroy(list);
}
aclnnStatus aclGetScalarListSize(const aclScalarList* list, uint64_t* size) {
  if (!list || !size) return Fail(ACLNN_ERR_PARAM_NULLPTR, "aclGetScalarListSize: an argument is null");
  *size = list->scalars.size();
  return ACLNN_SUCCESS;
}

aclnnStatus aclnnInit(const char*) { return ACLNN_SUCCESS; }
aclnnStatus aclnnFinalize(void) { return ACLNN_SUCCESS; }
