// How each operator is called for a golden case: which operand and attribute stands where.
#pragma once

#include <aclnn/acl_meta.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/backends/ascend/aclnn_client.h"
#include "tests/backends/ascend/golden_case.h"

namespace qiao::ascend_test {

// The operands of one case, on the device. Objects that are handed out live until Release.
class Operands {
 public:
  explicit Operands(const GoldenCase& golden);
  ~Operands() { Release(); }
  Operands(const Operands&) = delete;
  Operands& operator=(const Operands&) = delete;

  // Fails the test where the case has no such tensor; null where it says null.
  aclTensor* Tensor(std::string_view name);
  // Null where the case does not mention it.
  aclTensor* Optional(std::string_view name);
  // NAME.0, NAME.1 ..; null where there are none.
  aclTensorList* List(std::string_view name);
  aclTensorList* ListOf(std::string_view name);  // of that one tensor
  aclIntArray* Ints(std::string_view attribute);
  aclScalar* Number(std::string_view attribute);  // i64 or f32; null where the case does not mention it
  aclTensor* Empty();                             // of shape [0]

  int64_t Integer(std::string_view attribute) const;
  double Real(std::string_view attribute) const;
  bool Flag(std::string_view attribute) const;
  // Null where it is empty. Lives as long as the case.
  char* Text(std::string_view attribute);
  const GoldenCase& golden() const { return golden_; }

  // Destroys all tensors, scalars, arrays and lists, as a client does right after the launch.
  void Release();
  // The contents that operands have before a call.
  void Load();
  // Reports, with the case's name, what is not as expected: values, bytes outside views, inputs that changed.
  void Check() const;

 private:
  struct Held {
    const GoldenTensor* tensor;
    std::unique_ptr<DeviceBuffer> buffer;
  };
  aclTensor* Make(const Held& held);
  const Held* FindHeld(std::string_view name) const;

  const GoldenCase& golden_;
  std::vector<Held> held_;
  std::deque<std::string> texts_;
  std::vector<std::function<void()>> release_;
};

struct GoldenOperator {
  aclnnStatus (*first)(Operands&, uint64_t*, aclOpExecutor**);
  SecondPhase second;
};

// Null where there is no such operator.
const GoldenOperator* FindGoldenOperator(const std::string& op);

}  // namespace qiao::ascend_test
