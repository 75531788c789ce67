#include "runtime/serve/api/answer_json.h"

#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "runtime/base/json.h"
#include "runtime/serve/api/answer_text.h"

namespace qiao::serve {
namespace {

// What a JSON string says; nothing where it is none.
std::optional<std::string> Unquoted(std::string_view text) {
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

// Of a number, true, false or null.
bool IsWordByte(char c) { return absl::ascii_isalnum(c) || c == '-' || c == '+' || c == '.'; }

}  // namespace

void AppendJsonEscaped(char c, std::string* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default:
      break;
  }
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20) {
    *out += c;
    return;
  }
  out->append("\\u00");
  *out += kHex[byte >> 4];
  *out += kHex[byte & 15];
}

std::string JsonQuoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) AppendJsonEscaped(c, &out);
  out += '"';
  return out;
}

JsonValueScanner::Step JsonValueScanner::Push(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
      if (depth_ == 0) return Step::kEnd;
    }
    return Step::kMore;
  }
  const bool closes = c == '}' || c == ']';
  if (begun_ && depth_ == 0 && !IsWordByte(c)) return Step::kPast;
  begun_ = true;
  if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (closes) {
    if (depth_ > 0) --depth_;
    if (depth_ == 0) return Step::kEnd;
  }
  return Step::kMore;
}

HermesReader::Step HermesReader::Push(char c) {
  const bool space = IsSpace(c);
  switch (state_) {
    case State::kObject:
      if (space) return Step::kMore;
      state_ = State::kFirstKey;
      return c == '{' ? Step::kMore : Step::kBad;
    case State::kFirstKey:
    case State::kNextKey:
      if (space) return Step::kMore;
      if (c == '}' && state_ == State::kFirstKey) return Step::kEnd;
      state_ = State::kKey;
      text_.clear();
      return c == '"' ? Step::kMore : Step::kBad;
    case State::kKey:
      if (c != '"') {
        text_ += c;
        return text_.size() > kMaxKey || c == '\\' ? Step::kBad : Step::kMore;
      }
      state_ = State::kColon;
      member_ = Member::kOther;
      if (text_ == "name" && !name_) member_ = Member::kName;
      if ((text_ == "arguments" || text_ == "parameters") && !arguments_begun_) member_ = Member::kArguments;
      return Step::kMore;
    case State::kColon:
      if (space) return Step::kMore;
      state_ = State::kValue;
      return c == ':' ? Step::kMore : Step::kBad;
    case State::kValue:
      if (space) return Step::kMore;
      streams_ = c == '{' || c == '[';
      if (c != '"' && (member_ == Member::kName || !(streams_ || IsWordByte(c)))) return Step::kBad;
      state_ = State::kInValue;
      value_ = {};
      text_.clear();
      arguments_begun_ = arguments_begun_ || member_ == Member::kArguments;
      return PushValue(c);
    case State::kInValue:
      return PushValue(c);
    case State::kComma:
      if (space) return Step::kMore;
      if (c == '}') return Step::kEnd;
      state_ = State::kNextKey;
      return c == ',' ? Step::kMore : Step::kBad;
  }
  return Step::kBad;
}

HermesReader::Step HermesReader::PushValue(char c) {
  const JsonValueScanner::Step step = value_.Push(c);
  if (step == JsonValueScanner::Step::kPast) {
    if (EndValue() == Step::kBad) return Step::kBad;
    return Push(c);  // at a comma's place, so not here again
  }
  if (member_ == Member::kArguments && streams_) {
    arguments_ += c;
  } else if (member_ != Member::kOther) {
    text_ += c;
    if (member_ == Member::kName && text_.size() > kMaxKey) return Step::kBad;
    if (text_.size() > kMaxHeld) {
      arguments_ += std::exchange(text_, {});
      streams_ = true;
    }
  }
  return step == JsonValueScanner::Step::kEnd ? EndValue() : Step::kMore;
}

HermesReader::Step HermesReader::EndValue() {
  state_ = State::kComma;
  if (member_ == Member::kName) {
    name_ = Unquoted(text_);
    if (!name_) return Step::kBad;
  } else if (member_ == Member::kArguments && !streams_) {
    std::string written = std::exchange(text_, {});
    if (written == "null") {
      arguments_ += "{}";
    } else {
      auto said = Unquoted(written);
      arguments_ += said ? *said : written;
    }
  }
  return Step::kMore;
}

std::string HermesReader::TakeArguments() { return std::exchange(arguments_, {}); }

void HermesReader::Finish() {
  if (state_ == State::kInValue && member_ == Member::kArguments) arguments_ += std::exchange(text_, {});
}

}  // namespace qiao::serve
