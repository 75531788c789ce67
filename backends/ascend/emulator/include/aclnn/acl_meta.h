/* aclnn/acl_meta.h: the objects that operators take: tensors, scalars, arrays, lists and executors.
 *
 * Every aclCreate* copies the values and descriptions that it is given (a tensor keeps the address of its device data,
 * and neither owns nor reads it) and returns null on a wrong argument, which aclGetRecentErrMsg explains. An object may
 * be destroyed as soon as the second phase of the operator that took it has returned. Objects are not locked: one
 * thread at a time may use one.
 *
 * aclnnStatus: 0, or 161001 (a null pointer), 161002 (a wrong argument), 361001 (the runtime failed), 561xxx (inside an
 * operator).
 */
#ifndef QIAO_ACLNN_ACL_META_H_
#define QIAO_ACLNN_ACL_META_H_

#include <acl/acl_base.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef int32_t aclnnStatus;

typedef struct aclOpExecutor aclOpExecutor;
typedef struct aclTensor aclTensor;
typedef struct aclScalar aclScalar;
typedef struct aclIntArray aclIntArray;
typedef struct aclFloatArray aclFloatArray;
typedef struct aclBoolArray aclBoolArray;
typedef struct aclTensorList aclTensorList;
typedef struct aclScalarList aclScalarList;

#define ACLNN_SUCCESS 0
#define ACLNN_ERR_PARAM_NULLPTR 161001
#define ACLNN_ERR_PARAM_INVALID 161002
#define ACLNN_ERR_RUNTIME_ERROR 361001
#define ACLNN_ERR_INNER 561000

/* A view of device memory. Element i of the view lies at tensorData + offset + sum(i[d] * stride[d]), counted in elements
 * of dataType (INT4: in nibbles); strides may have any order and be 0, a null stride means contiguous. storageDims
 * says what the memory holds (of FRACTAL_NZ its four or more dimensions); it may be shorter than the view, which is a
 * warning. At most 8 dimensions each. tensorData may be null until an executor is given its address. */
aclTensor* aclCreateTensor(const int64_t* viewDims, uint64_t viewDimsNum, aclDataType dataType,
                           const int64_t* stride, int64_t offset, aclFormat format,
                           const int64_t* storageDims, uint64_t storageDimsNum, void* tensorData);
aclnnStatus aclDestroyTensor(const aclTensor* tensor);

/* One value of dataType, read from `value`. */
aclScalar* aclCreateScalar(void* value, aclDataType dataType);
aclnnStatus aclDestroyScalar(const aclScalar* scalar);

aclIntArray* aclCreateIntArray(const int64_t* value, uint64_t size);
aclFloatArray* aclCreateFloatArray(const float* value, uint64_t size);
aclBoolArray* aclCreateBoolArray(const bool* value, uint64_t size);
aclnnStatus aclDestroyIntArray(const aclIntArray* array);
aclnnStatus aclDestroyFloatArray(const aclFloatArray* array);
aclnnStatus aclDestroyBoolArray(const aclBoolArray* array);

/* A list owns its tensors (scalars) from here on: destroying the list destroys them. */
aclTensorList* aclCreateTensorList(const aclTensor* const* value, uint64_t size);
aclScalarList* aclCreateScalarList(const aclScalar* const* value, uint64_t size);
aclnnStatus aclDestroyTensorList(const aclTensorList* list);
aclnnStatus aclDestroyScalarList(const aclScalarList* list);

/* What an object was created with. The arrays of dimensions and strides are made with new[] and are the caller's to
 * delete[]. */
aclnnStatus aclGetViewShape(const aclTensor* tensor, int64_t** viewDims, uint64_t* viewDimsNum);
aclnnStatus aclGetStorageShape(const aclTensor* tensor, int64_t** storageDims, uint64_t* storageDimsNum);
aclnnStatus aclGetViewStrides(const aclTensor* tensor, int64_t** strides, uint64_t* stridesNum);
aclnnStatus aclGetViewOffset(const aclTensor* tensor, int64_t* offset);
aclnnStatus aclGetFormat(const aclTensor* tensor, aclFormat* format);
aclnnStatus aclGetDataType(const aclTensor* tensor, aclDataType* dataType);
aclnnStatus aclGetIntArraySize(const aclIntArray* array, uint64_t* size);
aclnnStatus aclGetFloatArraySize(const aclFloatArray* array, uint64_t* size);
aclnnStatus aclGetBoolArraySize(const aclBoolArray* array, uint64_t* size);
aclnnStatus aclGetTensorListSize(const aclTensorList* list, uint64_t* size);
aclnnStatus aclGetScalarListSize(const aclScalarList* list, uint64_t* size);

/* Executors. The first phase makes one; it is good for one launch, which destroys it, unless it was made repeatable
 * before that launch. A repeatable one is launched any number of times and destroyed with aclDestroyAclOpExecutor. */
aclnnStatus aclSetAclOpExecutorRepeatable(aclOpExecutor* executor);
aclnnStatus aclDestroyAclOpExecutor(aclOpExecutor* executor);

/* Another address for an argument of a repeatable executor, from the next launch on. `index` counts the operator's
 * tensor arguments in their order, absent ones too: all of them (aclSetTensorAddr), the inputs, or the outputs; a list
 * counts as one, and its tensor is chosen by relativeIndex. The tensor is the one that the first phase was given (or
 * null); its view stays. */
aclnnStatus aclSetTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr);
aclnnStatus aclSetInputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor, void* addr);
aclnnStatus aclSetOutputTensorAddr(aclOpExecutor* executor, const size_t index, aclTensor* tensor,
                                   void* addr);
aclnnStatus aclSetDynamicTensorAddr(aclOpExecutor* executor, const size_t index, const size_t relativeIndex,
                                    aclTensorList* tensors, void* addr);
aclnnStatus aclSetDynamicInputTensorAddr(aclOpExecutor* executor, const size_t index,
                                         const size_t relativeIndex, aclTensorList* tensors, void* addr);
aclnnStatus aclSetDynamicOutputTensorAddr(aclOpExecutor* executor, const size_t index,
                                          const size_t relativeIndex, aclTensorList* tensors, void* addr);

#pragma GCC visibility pop
#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* QIAO_ACLNN_ACL_META_H_ */
