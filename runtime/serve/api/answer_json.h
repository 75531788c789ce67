// JSON that comes byte by byte within an answer: where a value ends, and the members of a call in Hermes' form.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace qiao::serve {

// `text` without JSON syntax as the inside of a JSON string: quotes, backslashes and controls escaped.
void AppendJsonEscaped(char c, std::string* out);
// A JSON string, with its quotes.
std::string JsonQuoted(std::string_view text);

// Follows one JSON value by its brackets and strings, and accepts more than JSON: what is written in it is checked by
// nobody here.
class JsonValueScanner {
 public:
  enum class Step {
    kMore,
    kEnd,   // the byte is the value's last
    kPast,  // the value, a number or word, ended before the byte
  };
  // The first byte must not be white space.
  Step Push(char c);

 private:
  bool begun_ = false, in_string_ = false, escaped_ = false;
  size_t depth_ = 0;
};

// {"name": "f", "arguments": {..}}: members in any order, others ignored, "parameters" is another name for arguments.
// Arguments come out as they are written; as strings (some models quote them) as what the string says; null as {}.
class HermesReader {
 public:
  static constexpr size_t kMaxKey = 256;
  static constexpr size_t kMaxHeld =
      64 << 10;  // of arguments that are no object; beyond that they pass as written

  enum class Step { kMore, kBad, kEnd };  // kEnd: the object's closing brace
  // Not after kBad or kEnd.
  Step Push(char c);

  // Once its member is complete.
  const std::optional<std::string>& name() const { return name_; }
  bool arguments_begun() const { return arguments_begun_; }
  // What came since the last time.
  std::string TakeArguments();
  // At the end of a text that was cut off: what was held of arguments, as written.
  void Finish();

 private:
  enum class State { kObject, kFirstKey, kNextKey, kKey, kColon, kValue, kInValue, kComma };
  enum class Member { kName, kArguments, kOther };

  Step PushValue(char c);
  Step EndValue();

  State state_ = State::kObject;
  Member member_ = Member::kOther;
  JsonValueScanner value_;
  std::string text_;  // of a key, a name, or held arguments
  bool streams_ = false;
  std::optional<std::string> name_;
  bool arguments_begun_ = false;
  std::string arguments_;
};

}  // namespace qiao::serve
