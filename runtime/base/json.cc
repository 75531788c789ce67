#include "runtime/base/json.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <iterator>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace qiao {
namespace {

constexpr size_t kMaxOrderedKeys = 10'000;

// Walks the text and leaves its place in `*place`, because the parser tells its events no offsets.
struct TrackedIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** place;

  reference operator*() const { return *at; }
  TrackedIterator& operator++() {
    *place = ++at;
    return *this;
  }
  bool operator==(const TrackedIterator& other) const { return at == other.at; }
  bool operator!=(const TrackedIterator& other) const { return at != other.at; }
};

// The parser's messages quote the input. What reaches our messages is short and printable.
std::string Printable(std::string_view text) {
  constexpr size_t kMax = 200;
  std::string out(text.substr(0, kMax));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  if (text.size() > kMax) out += "...";
  return out;
}

// Builds a document from the parser's events. Pointers to open containers stay valid because only the
// innermost one ever grows.
template <typename Doc>
class DocumentBuilder {
 public:
  using object_t = typename Doc::object_t;
  static constexpr bool kOrdered = std::is_same_v<Doc, OrderedJson>;

  DocumentBuilder(Doc& root, std::string_view text, const char* const& place, const JsonLimits& limits)
      : root_(root), text_(text), place_(place), limits_(limits) {
    max_keys_ = kOrdered ? std::min(limits.max_object_keys, kMaxOrderedKeys) : limits.max_object_keys;
  }

  const std::string& error() const { return error_; }
  size_t error_offset() const { return error_offset_; }
  bool limit_hit() const { return limit_hit_; }

  bool null() { return Put(Doc(nullptr)) != nullptr; }
  bool boolean(bool v) { return Put(Doc(v)) != nullptr; }
  bool number_integer(typename Doc::number_integer_t v) { return Put(Doc(v)) != nullptr; }
  bool number_unsigned(typename Doc::number_unsigned_t v) { return Put(Doc(v)) != nullptr; }
  bool number_float(typename Doc::number_float_t v, const std::string&) { return Put(Doc(v)) != nullptr; }
  bool string(std::string& v) { return Put(Doc(std::move(v))) != nullptr; }
  bool binary(typename Doc::binary_t&) { return Fail("binary values are not JSON"); }

  bool start_object(size_t) { return Open(Doc::object()); }
  bool start_array(size_t) { return Open(Doc::array()); }
  bool end_object() { return Close(); }
  bool end_array() { return Close(); }

  bool key(std::string& k) {
    Level& level = open_.back();
    auto& object = level.container->template get_ref<object_t&>();
    if (object.size() >= max_keys_) {
      return Limit(absl::StrFormat("an object has more than %d keys", max_keys_));
    }
    bool fresh;
    if constexpr (kOrdered) {
      fresh = level.keys.insert(k).second;
      if (fresh) {
        // The vector's own emplace_back; the map's would search linearly for the key first.
        static_cast<typename object_t::Container&>(object).emplace_back(k, Doc());
        slot_ = &object.back().second;
      }
    } else {
      auto [it, inserted] = object.try_emplace(std::move(k));
      fresh = inserted;
      slot_ = &it->second;
      if (!inserted) return Fail(absl::StrFormat("duplicate key \"%s\"", Printable(it->first)));
    }
    return fresh || Fail(absl::StrFormat("duplicate key \"%s\"", Printable(k)));
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 7: syntax error ..."
    std::string_view message = e.what();
    if (const size_t end = message.find("] "); end != message.npos) message.remove_prefix(end + 2);
    if (message.starts_with("parse error at ")) {
      if (const size_t end = message.find(": "); end != message.npos) message.remove_prefix(end + 2);
    }
    error_ = Printable(message);
    error_offset_ = position > 0 ? position - 1 : 0;
    return false;
  }

 private:
  struct Level {
    Doc* container;
    absl::flat_hash_set<std::string> keys;  // of an ordered object, which has no index of its own
  };

  bool Fail(std::string message) {
    error_ = std::move(message);
    error_offset_ = static_cast<size_t>(place_ - text_.data());
    return false;
  }

  bool Limit(std::string message) {
    limit_hit_ = true;
    return Fail(std::move(message));
  }

  Doc* Put(Doc&& value) {
    if (++values_ > limits_.max_values) {
      Limit(absl::StrFormat("more than %d values", limits_.max_values));
      return nullptr;
    }
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Doc& container = *open_.back().container;
    if (container.is_array()) {
      auto& array = container.template get_ref<typename Doc::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }

  bool Open(Doc&& empty) {
    if (open_.size() >= static_cast<size_t>(std::max(limits_.max_depth, 0))) {
      return Limit(absl::StrFormat("nested deeper than %d levels", limits_.max_depth));
    }
    Doc* container = Put(std::move(empty));
    if (container == nullptr) return false;
    open_.push_back({container, {}});
    return true;
  }

  bool Close() {
    open_.pop_back();
    return true;
  }

  Doc& root_;
  std::string_view text_;
  const char* const& place_;
  const JsonLimits& limits_;
  size_t max_keys_ = 0;
  size_t values_ = 0;
  std::vector<Level> open_;
  Doc* slot_ = nullptr;  // where the value of the last key goes
  std::string error_;
  size_t error_offset_ = 0;
  bool limit_hit_ = false;
};

template <typename Doc>
absl::StatusOr<Doc> Parse(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return ResourceExhausted("%s: is %d bytes of JSON, more than the limit of %d", what, text.size(),
                             limits.max_bytes);
  }
  // The parser takes a NUL byte for the end of its input, and would not look at what follows.
  if (const size_t nul = text.find('\0'); nul != text.npos) {
    return InvalidArgument("%s: byte %d: not JSON: a NUL byte", what, nul);
  }
  // RFC 8259 lets a reader pass over a byte order mark or refuse it; Python's json module, which most files
  // of models meet first, refuses it too.
  if (text.starts_with("\xef\xbb\xbf")) {
    return InvalidArgument(
        "%s: byte 0: begins with a UTF-8 byte order mark, which JSON does not have; remove it", what);
  }
  const char* place = text.data();
  Doc root;
  DocumentBuilder<Doc> builder(root, text, place, limits);
  try {
    const bool ok = Doc::sax_parse(TrackedIterator{text.data(), &place},
                                   TrackedIterator{text.data() + text.size(), &place}, &builder);
    if (ok) return root;
  } catch (const std::bad_alloc&) {
    return ResourceExhausted("%s: not enough memory to parse %d bytes of JSON", what, text.size());
  } catch (const std::exception& e) {
    return Internal("%s: the JSON parser failed: %s", what, e.what());
  }
  const size_t offset = std::min(builder.error_offset(), text.size());
  if (builder.limit_hit()) {
    return ResourceExhausted("%s: byte %d: JSON beyond the limits: %s", what, offset, builder.error());
  }
  return InvalidArgument("%s: byte %d: not JSON: %s", what, offset, builder.error());
}

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text, std::string_view what, const JsonLimits& limits) {
  return Parse<Json>(text, what, limits);
}

absl::StatusOr<OrderedJson> ParseOrderedJson(std::string_view text, std::string_view what,
                                             const JsonLimits& limits) {
  return Parse<OrderedJson>(text, what, limits);
}

std::string DumpJson(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace qiao
