// Which functions of CANN this backend calls: one list each for the AscendCL runtime, for the objects of the
// two-phase operator interface, and for the operators. CANN is loaded with dlopen (library.h), so a name here is
// a symbol that an installed toolkit must have. The declarations come from the toolkit's own headers (or from
// those of the emulator): a signature that differs does not compile.
#pragma once

#include <acl/acl.h>
#include <aclnn/acl_meta.h>
#include <aclnnop/aclnn_abs.h>
#include <aclnnop/aclnn_add.h>
#include <aclnnop/aclnn_add_rms_norm.h>
#include <aclnnop/aclnn_amax.h>
#include <aclnnop/aclnn_argmax.h>
#include <aclnnop/aclnn_batch_matmul.h>
#include <aclnnop/aclnn_cast.h>
#include <aclnnop/aclnn_clamp.h>
#include <aclnnop/aclnn_copy.h>
#include <aclnnop/aclnn_cos.h>
#include <aclnnop/aclnn_div.h>
#include <aclnnop/aclnn_fill_scalar.h>
#include <aclnnop/aclnn_fused_infer_attention_score_v3.h>
#include <aclnnop/aclnn_grouped_matmul_v5.h>
#include <aclnnop/aclnn_grouped_matmul_weight_nz.h>
#include <aclnnop/aclnn_index_select.h>
#include <aclnnop/aclnn_masked_fill_scalar.h>
#include <aclnnop/aclnn_matmul.h>
#include <aclnnop/aclnn_moe_finalize_routing_v2.h>
#include <aclnnop/aclnn_moe_gating_top_k.h>
#include <aclnnop/aclnn_moe_init_routing_v3.h>
#include <aclnnop/aclnn_mul.h>
#include <aclnnop/aclnn_nan_to_num.h>
#include <aclnnop/aclnn_ne_tensor.h>
#include <aclnnop/aclnn_npu_format_cast.h>
#include <aclnnop/aclnn_quant_matmul_v4.h>
#include <aclnnop/aclnn_quant_matmul_weight_nz.h>
#include <aclnnop/aclnn_rms_norm.h>
#include <aclnnop/aclnn_rotary_position_embedding.h>
#include <aclnnop/aclnn_scatter_pa_kv_cache.h>
#include <aclnnop/aclnn_sin.h>
#include <aclnnop/aclnn_softmax.h>
#include <aclnnop/aclnn_sub.h>
#include <aclnnop/aclnn_swi_glu.h>
#include <aclnnop/aclnn_triu.h>

// libascendcl.so
#define QIAO_ACL_RUNTIME(X) \
  X(aclInit)                \
  X(aclGetRecentErrMsg)     \
  X(aclrtGetSocName)        \
  X(aclrtGetDeviceCount)    \
  X(aclrtSetDevice)         \
  X(aclrtResetDevice)       \
  X(aclrtCreateContext)     \
  X(aclrtDestroyContext)    \
  X(aclrtSetCurrentContext) \
  X(aclrtGetMemInfo)        \
  X(aclrtMalloc)            \
  X(aclrtFree)              \
  X(aclrtMemcpyAsync)       \
  X(aclrtMemsetAsync)       \
  X(aclrtCreateStream)      \
  X(aclrtDestroyStream)     \
  X(aclrtSynchronizeStream) \
  X(aclrtCreateEvent)       \
  X(aclrtDestroyEvent)      \
  X(aclrtRecordEvent)       \
  X(aclrtStreamWaitEvent)   \
  X(aclrtSynchronizeEvent)  \
  X(aclrtEventElapsedTime)  \
  X(aclrtSynchronizeDevice) \
  X(aclmdlRICaptureBegin)   \
  X(aclmdlRICaptureEnd)     \
  X(aclmdlRIExecuteAsync)   \
  X(aclmdlRIDestroy)

// libnnopbase.so
#define QIAO_ACL_OBJECTS(X)        \
  X(aclCreateTensor)               \
  X(aclDestroyTensor)              \
  X(aclCreateScalar)               \
  X(aclDestroyScalar)              \
  X(aclCreateIntArray)             \
  X(aclDestroyIntArray)            \
  X(aclCreateTensorList)           \
  X(aclDestroyTensorList)          \
  X(aclSetAclOpExecutorRepeatable) \
  X(aclDestroyAclOpExecutor)

// libopapi.so: aclnn<NAME>GetWorkspaceSize and aclnn<NAME>
#define QIAO_ACLNN_OPERATORS(X) \
  X(Abs)                        \
  X(Add)                        \
  X(Adds)                       \
  X(AddRmsNorm)                 \
  X(Amax)                       \
  X(ArgMax)                     \
  X(BatchMatMul)                \
  X(Cast)                       \
  X(Clamp)                      \
  X(Cos)                        \
  X(Div)                        \
  X(Divs)                       \
  X(FusedInferAttentionScoreV3) \
  X(GroupedMatmulV5)            \
  X(GroupedMatmulWeightNz)      \
  X(IndexSelect)                \
  X(InplaceCopy)                \
  X(InplaceFillScalar)          \
  X(InplaceMaskedFillScalar)    \
  X(Matmul)                     \
  X(MatmulWeightNz)             \
  X(MoeFinalizeRoutingV2)       \
  X(MoeGatingTopK)              \
  X(MoeInitRoutingV3)           \
  X(Mul)                        \
  X(Muls)                       \
  X(NanToNum)                   \
  X(NeTensor)                   \
  X(NpuFormatCast)              \
  X(QuantMatmulV4)              \
  X(QuantMatmulWeightNz)        \
  X(RmsNorm)                    \
  X(RotaryPositionEmbedding)    \
  X(ScatterPaKvCache)           \
  X(Sin)                        \
  X(Softmax)                    \
  X(Sub)                        \
  X(SwiGlu)                     \
  X(Triu)
