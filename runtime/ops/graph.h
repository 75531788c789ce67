// The graph of a forward pass as data: values, and nodes that compute some of them from others. Builder
// writes it, the catalogue checks it and takes coarse nodes apart, Program places and runs it.
#pragma once

#include <qiao/ops.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

namespace qiao::ops {

using ValueId = int32_t;
inline constexpr ValueId kNoValue = -1;

enum class Role {
  kActivation,  // computed by a node, lives in the arena
  kInput,       // filled by the caller before each step (token ids, positions, page table ...)
  kConstant,    // small data that the model computed when it was built (rope frequencies)
  kVector,      // a 1-D parameter from the checkpoint, held as f32 (norm gains, biases)
  kWeight,      // a matrix parameter, negotiated with the backend
  kPool,        // a row kind of a layer's cache
};

struct Value {
  std::string name;  // unique within its graph; the same in every bucket
  Role role = Role::kActivation;
  qiao_tensor tensor{};
  // A view shares the storage of `base`, `offset` elements in; its tensor holds its own dims and strides.
  // Views of views are flattened: base is never a view.
  ValueId base = kNoValue;
  int64_t offset = 0;
  int32_t source = -1;  // kWeight, kVector, kConstant, kPool, kInput: index into the owner's table
  // Larger than any element can be (inputs of index type), for checks; 0 = not said.
  int64_t bound = 0;
  // kWeight: what the rows that a product multiplies with it are quantised to first (kF8E4M3, kI8); kInvalid:
  // they stay as they are.
  DType rows = DType::kInvalid;
};

// One operation's parameter struct, by value.
class Params {
 public:
  Params() = default;
  template <typename T>
  requires std::is_trivially_copyable_v<T>
  explicit Params(T params) : size_(sizeof(T)) {
    static_assert(sizeof(T) <= sizeof(bytes_));
    params.struct_size = sizeof(T);
    std::memcpy(bytes_.data(), &params, sizeof(T));
  }
  // A copy of `size` bytes of some operation's struct; at most kMaxBytes.
  static Params FromBytes(const void* bytes, size_t size) {
    Params params;
    params.size_ = size < kMaxBytes ? size : kMaxBytes;
    std::memcpy(params.bytes_.data(), bytes, params.size_);
    return params;
  }
  const void* data() const { return bytes_.data(); }
  size_t size() const { return size_; }
  template <typename T>
  const T& as() const {
    return *reinterpret_cast<const T*>(bytes_.data());
  }

 private:
  static constexpr size_t kMaxBytes = 96;
  alignas(8) std::array<std::byte, kMaxBytes> bytes_{};
  size_t size_ = 0;
};

struct Node {
  std::string name;  // "layers.3.attention.q_b"
  uint32_t op = 0;
  Params params;
  absl::InlinedVector<ValueId, 12> args;  // in the order of ops.h; kNoValue for an absent optional one
};

// Not thread-safe while it is written.
class Graph {
 public:
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const Value& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }
  Value& value(ValueId id) { return values_[static_cast<size_t>(id)]; }
  ValueId root(ValueId id) const { return value(id).base == kNoValue ? id : value(id).base; }

  ValueId AddValue(Value value);
  // Contiguous, row-major.
  ValueId AddActivation(std::string name, DType dtype, absl::Span<const int64_t> dims, uint32_t live);
  // dims and strides (elements) within `of`, `offset` elements from its first. `live` is inherited.
  absl::StatusOr<ValueId> AddView(std::string name, ValueId of, int64_t offset,
                                  absl::Span<const int64_t> dims, absl::Span<const int64_t> strides);

  // Appends a node whose arguments all exist.
  void AddNode(Node node) { nodes_.push_back(std::move(node)); }
  // Removes the nodes from number `first` on and returns them; for taking a decomposition apart again.
  std::vector<Node> TakeNodes(size_t first) {
    std::vector<Node> taken(std::make_move_iterator(nodes_.begin() + static_cast<ptrdiff_t>(first)),
                            std::make_move_iterator(nodes_.end()));
    nodes_.resize(first);
    return taken;
  }
  // Infers the outputs from the catalogue, creates them and appends the node. `args` holds every argument
  // that is not an output (in-place ones included), in order; the created outputs are returned in order.
  // `out` is the dtype of outputs that the arguments leave open (kInvalid: that of the first argument).
  // Output k is called NAME.<argument's name>, or NAME where there is just one.
  absl::StatusOr<absl::InlinedVector<ValueId, 4>> Emit(std::string name, uint32_t op, Params params,
                                                       absl::Span<const ValueId> args,
                                                       DType out = DType::kInvalid);

  // The descriptions of a node's arguments, in order (all zero for an absent one).
  absl::InlinedVector<qiao_tensor, 12> Tensors(const Node& node) const;

 private:
  std::vector<Value> values_;
  std::vector<Node> nodes_;
};

// A contiguous row-major description.
qiao_tensor MakeTensor(DType dtype, absl::Span<const int64_t> dims, uint32_t live = QIAO_LIVE_ALL);
// Quantised rows: `columns` columns of a row share a scale.
void SetRowBlocks(qiao_tensor& tensor, int32_t columns);
bool HasRowBlocks(const qiao_tensor& tensor);
// "bf16[512,16,576]"
std::string ToString(const qiao_tensor& tensor);
// "linear(bf16[512,1,2048], f8_e4m3[1,1408,2048]) -> ..."
std::string ToString(const qiao_op_call& call);
// The same under the name that hal::Device::Describe asks for.
inline std::string DescribeCall(const qiao_op_call& call) { return ToString(call); }

// Elements of a tensor, and the bytes from its first to its last element (0 for an empty one); dims are not
// negative.
int64_t Elements(const qiao_tensor& tensor);
int64_t SpanBytes(const qiao_tensor& tensor);
bool IsContiguous(const qiao_tensor& tensor);

}  // namespace qiao::ops
