// The values a chat template computes with: Python's None, bool, int, float, str, list, tuple and dict,
// Jinja's undefined, and the callables. Everything but a namespace is immutable once made (the sandbox that
// transformers uses forbids mutation), so values share their objects freely; a value is 32 bytes.
//
// Integers are 64-bit here and unbounded in Python: arithmetic that leaves 64 bits is an error, never a
// wrapped number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

namespace qiao::text::jinja {

using absl::Status;
using absl::StatusOr;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,     // range(): a sequence that is not stored
  kDictView,  // dict.keys(), .values(), .items(): sized, iterable, not indexable
  kIterator,  // a generator (map, select, ...): consumed by what reads it
  kNamespace,
  kFunction,  // a builtin function, by name
  kMethod,    // a method bound to its receiver
  kMacro,
  kLoop,
};

struct Object {
  virtual ~Object() = default;
  int depth = 0;  // of nesting, for containers: bounds every recursive walk, destruction included
};

class Value {
 public:
  Value() = default;  // undefined, without a name
  static Value None() { return Value(Kind::kNone); }
  static Value Bool(bool b);
  static Value Int(int64_t i);
  static Value Float(double d);
  static Value String(std::string s);
  static Value Markup(std::string s);                   // str that counts as escaped HTML
  static Value Undefined(std::string message);          // what an operation on it will complain about
  static Value Function(std::string_view static_name);  // the name must outlive the value
  static Value Make(Kind kind, std::shared_ptr<Object> object);

  Kind kind() const { return kind_; }
  bool Is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_markup() const { return markup_; }
  // Python's bool is an int.
  bool is_integral() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }
  bool is_number() const { return is_integral() || kind_ == Kind::kFloat; }

  bool boolean() const { return int_ != 0; }
  int64_t integer() const { return int_; }  // of an int or bool
  double number() const { return kind_ == Kind::kFloat ? float_ : static_cast<double>(int_); }
  std::string_view str() const;  // of a string, the message of an undefined, the name of a function
  template <typename T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const Object* object() const { return object_.get(); }
  const std::shared_ptr<Object>& shared() const { return object_; }
  int depth() const { return object_ ? object_->depth : 0; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}
  Kind kind_ = Kind::kUndefined;
  bool markup_ = false;
  union {
    int64_t int_ = 0;
    double float_;
    const char* name_;
  };
  std::shared_ptr<Object> object_;
};

using Values = std::vector<Value>;

struct StringObject : Object {
  std::string s;
};

struct SequenceObject : Object {  // list, tuple
  Values items;
};

struct RangeObject : Object {
  int64_t start, stop, step, length;
  int64_t at(int64_t i) const { return start + i * step; }
};

struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;  // in order of insertion
  const Value* Find(std::string_view key) const;
  const Value* FindKey(const std::string& encoded_key) const;
  // Built when there are more than a few entries.
  absl::flat_hash_map<std::string, uint32_t> index;
};

struct DictViewObject : Object {
  enum class Part { kKeys, kValues, kItems } part;
  Value dict;
};

struct IteratorObject : Object {
  Values items;
  size_t next = 0;
};

// Owned by the interpreter as long as a render runs, which empties them at its end: a namespace may hold
// itself.
struct NamespaceObject : Object {
  std::vector<std::pair<std::string, Value>> attributes;
  Value* Find(std::string_view name);
};

struct MethodObject : Object {
  Value receiver;
  std::string name;
};

// What a render may still spend. One charge covers a node evaluated, an element visited or 64 bytes touched,
// so every walk over data is paid for and the total time is bounded; bytes of new strings and containers are
// bounded too.
class Budget {
 public:
  Budget(int64_t max_steps, int64_t max_bytes, int64_t max_string_bytes, int max_value_depth)
      : max_steps_(max_steps),
        max_bytes_(max_bytes),
        max_string_bytes_(max_string_bytes),
        max_value_depth_(max_value_depth) {}
  Status Steps(int64_t n);
  Status Touch(size_t bytes) { return Steps(static_cast<int64_t>(bytes / 64 + 1)); }  // read, not stored
  Status Bytes(size_t bytes);                                                         // about to be stored
  Status StringBytes(size_t bytes);  // one string of this size
  Status Depth(int depth) const;

 private:
  int64_t max_steps_, max_bytes_, max_string_bytes_;
  int max_value_depth_;
  int64_t steps_ = 0, bytes_ = 0;
};

StatusOr<Value> NewString(std::string s, Budget& budget, bool markup = false);
StatusOr<Value> NewSequence(Kind list_or_tuple, Values items, Budget& budget);
StatusOr<Value> NewIterator(Values items, Budget& budget);
// Later duplicates win and keep the first one's place, as in Python. Keys must be hashable.
StatusOr<Value> NewDict(std::vector<std::pair<Value, Value>> entries, Budget& budget);
Value NewMethod(const Value& receiver, std::string_view name);
StatusOr<Value> FromJson(const OrderedJson& json, Budget& budget);

// type(x).__name__
std::string_view TypeName(const Value& v);
bool Truthy(const Value& v);
// len(x); an error for what has none.
StatusOr<int64_t> Length(const Value& v);
// list(x): every element; consumes an iterator. An error for what cannot be iterated.
StatusOr<Values> Iterate(const Value& v, Budget& budget);
bool IsIterable(const Value& v);
// str(x) and repr(x).
StatusOr<std::string> Str(const Value& v, Budget& budget);
StatusOr<std::string> Repr(const Value& v, Budget& budget);
std::string FloatRepr(double d);
std::string StringRepr(std::string_view s);
// x == y and the three-way order behind <, <=, >, >= (an error where Python has none). `unordered` is set for
// NaN.
StatusOr<bool> Equal(const Value& a, const Value& b, Budget& budget);
StatusOr<int> Compare(const Value& a, const Value& b, std::string_view op, Budget& budget, bool* unordered);
// Equal keys have equal encodings (1, 1.0 and True are one key). An error for what is unhashable.
StatusOr<std::string> EncodeKey(const Value& v, Budget& budget);
// The error of any operation on an undefined value.
Status UndefinedError(const Value& v);

}  // namespace qiao::text::jinja
