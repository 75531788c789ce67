// What the emulator knows of each aclDataType.
#pragma once

#include <acl/acl_base.h>
#include <qiao/ops.h>

#include <cstdint>

namespace qiao::cann {

// Bits of one element; 0 for types that have no fixed size or are unknown.
inline int64_t BitsOf(aclDataType dtype) {
  switch (dtype) {
    case ACL_FLOAT:
    case ACL_INT32:
    case ACL_UINT32:
      return 32;
    case ACL_FLOAT16:
    case ACL_BF16:
    case ACL_INT16:
    case ACL_UINT16:
      return 16;
    case ACL_INT8:
    case ACL_UINT8:
    case ACL_BOOL:
    case ACL_HIFLOAT8:
    case ACL_FLOAT8_E5M2:
    case ACL_FLOAT8_E4M3FN:
    case ACL_FLOAT8_E8M0:
      return 8;
    case ACL_INT64:
    case ACL_UINT64:
    case ACL_DOUBLE:
    case ACL_COMPLEX64:
      return 64;
    case ACL_COMPLEX128:
      return 128;
    case ACL_INT4:
      return 4;
    case ACL_UINT1:
      return 1;
    default:
      return 0;
  }
}

// Bytes of one element; 0 where that is no whole number.
inline int64_t BytesOf(aclDataType dtype) { return BitsOf(dtype) / 8; }

// "FLOAT", "BFLOAT16", ... as CANN's own messages name them.
inline const char* NameOf(aclDataType dtype) {
  switch (dtype) {
    case ACL_FLOAT:
      return "FLOAT";
    case ACL_FLOAT16:
      return "FLOAT16";
    case ACL_INT8:
      return "INT8";
    case ACL_INT32:
      return "INT32";
    case ACL_UINT8:
      return "UINT8";
    case ACL_INT16:
      return "INT16";
    case ACL_UINT16:
      return "UINT16";
    case ACL_UINT32:
      return "UINT32";
    case ACL_INT64:
      return "INT64";
    case ACL_UINT64:
      return "UINT64";
    case ACL_DOUBLE:
      return "DOUBLE";
    case ACL_BOOL:
      return "BOOL";
    case ACL_STRING:
      return "STRING";
    case ACL_COMPLEX64:
      return "COMPLEX64";
    case ACL_COMPLEX128:
      return "COMPLEX128";
    case ACL_BF16:
      return "BFLOAT16";
    case ACL_INT4:
      return "INT4";
    case ACL_UINT1:
      return "UINT1";
    case ACL_HIFLOAT8:
      return "HIFLOAT8";
    case ACL_FLOAT8_E5M2:
      return "FLOAT8_E5M2";
    case ACL_FLOAT8_E4M3FN:
      return "FLOAT8_E4M3FN";
    case ACL_FLOAT8_E8M0:
      return "FLOAT8_E8M0";
    default:
      return "UNDEFINED";
  }
}

inline bool IsFloat8(aclDataType dtype) {
  return dtype == ACL_FLOAT8_E4M3FN || dtype == ACL_FLOAT8_E5M2 || dtype == ACL_FLOAT8_E8M0 ||
         dtype == ACL_HIFLOAT8;
}
inline bool IsFloat(aclDataType dtype) {
  return dtype == ACL_FLOAT || dtype == ACL_FLOAT16 || dtype == ACL_BF16 || dtype == ACL_DOUBLE ||
         IsFloat8(dtype);
}

// The dtype of qiao/ops.h; QIAO_DTYPE_NONE where it has none.
inline uint32_t QiaoDType(aclDataType dtype) {
  switch (dtype) {
    case ACL_FLOAT:
      return QIAO_F32;
    case ACL_FLOAT16:
      return QIAO_F16;
    case ACL_BF16:
      return QIAO_BF16;
    case ACL_FLOAT8_E4M3FN:
      return QIAO_F8E4M3;
    case ACL_FLOAT8_E5M2:
      return QIAO_F8E5M2;
    case ACL_INT8:
      return QIAO_I8;
    case ACL_UINT8:
      return QIAO_U8;
    case ACL_INT32:
      return QIAO_I32;
    case ACL_INT64:
      return QIAO_I64;
    default:
      return QIAO_DTYPE_NONE;
  }
}

}  // namespace qiao::cann
