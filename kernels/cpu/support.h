// What these kernels can and cannot run, one answer for each operation. Shapes have been checked by the
// catalogue; these look at dtypes, layouts, strides and schemes, and say in *why which argument stands in the
// way.
#pragma once

#include <qiao/ops.h>

#include <string>

namespace qiao::kernels::cpu {

bool SupportsEmbedding(const qiao_op_call& call, std::string* why);
bool SupportsRmsNorm(const qiao_op_call& call, std::string* why);
bool SupportsLinear(const qiao_op_call& call, std::string* why);
bool SupportsGroupedLinear(const qiao_op_call& call, std::string* why);
bool SupportsMlp(const qiao_op_call& call, std::string* why);
bool SupportsMoeMlp(const qiao_op_call& call, std::string* why);
bool SupportsLinearI8(const qiao_op_call& call, std::string* why);
bool SupportsGroupedLinearI8(const qiao_op_call& call, std::string* why);
bool SupportsMoeGate(const qiao_op_call& call, std::string* why);
bool SupportsMoePermute(const qiao_op_call& call, std::string* why);
bool SupportsMoeCombine(const qiao_op_call& call, std::string* why);
bool SupportsSwiGlu(const qiao_op_call& call, std::string* why);
bool SupportsRopeTable(const qiao_op_call& call, std::string* why);
bool SupportsRope(const qiao_op_call& call, std::string* why);
bool SupportsKvWrite(const qiao_op_call& call, std::string* why);
bool SupportsAttentionSchedule(const qiao_op_call& call, std::string* why);
bool SupportsLatentAttention(const qiao_op_call& call, std::string* why);
bool SupportsGatherRows(const qiao_op_call& call, std::string* why);
bool SupportsAdd(const qiao_op_call& call, std::string* why);
bool SupportsCast(const qiao_op_call& call, std::string* why);
bool SupportsQuantise(const qiao_op_call& call, std::string* why);
bool SupportsArgMax(const qiao_op_call& call, std::string* why);

// Whether a weight of this description is multiplied as it lies; used by SupportsLinear and by weight_choose.
bool SupportsWeight(uint32_t dtype, uint32_t scheme, uint32_t layout, const int32_t block[2],
                    std::string* why);

}  // namespace qiao::kernels::cpu
