// The objects behind the handles of aclnn/acl_meta.h, for the emulator's operators.
#pragma once

#include <aclnn/acl_meta.h>

#include <vector>

#include "backends/ascend/emulator/nnopbase/view.h"

struct aclTensor {
  qiao::cann::View view;
  int storage_rank = 0;
  qiao::cann::Dims storage{};
};

struct aclScalar {
  aclDataType dtype = ACL_DT_UNDEFINED;
  alignas(16) unsigned char bytes[16] = {};

  double ToDouble() const;
  int64_t ToInt64() const;
};

struct aclIntArray {
  std::vector<int64_t> values;
};
struct aclFloatArray {
  std::vector<float> values;
};
struct aclBoolArray {
  std::vector<bool> values;
};

// Owns what it lists.
struct aclTensorList {
  std::vector<const aclTensor*> tensors;
};
struct aclScalarList {
  std::vector<const aclScalar*> scalars;
};
