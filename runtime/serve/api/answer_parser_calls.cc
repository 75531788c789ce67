// The insides of calls: arguments until a marker, Hermes' object, and elements.
#include <utility>

#include "runtime/serve/api/answer_markers.h"
#include "runtime/serve/api/answer_parser.h"
#include "runtime/serve/api/answer_spelling.h"
#include "runtime/serve/api/answer_text.h"

namespace qiao::serve {
namespace {

constexpr size_t kMaxTail = 256;  // bytes after Hermes' object before </tool_call>
constexpr size_t kMaxKey = 512;   // of an element's opening tag

}  // namespace

void AnswerParser::EnterInside(State state, std::string_view opener) {
  state_ = state;
  std::vector<std::string_view> markers = MarkersOf(format_.tools).ends;
  markers.push_back(opener);
  matcher_.Reset(std::move(markers), true);
}

void AnswerParser::EnterRaw() { EnterInside(State::kRaw, MarkersOf(format_.tools).call); }

void AnswerParser::StepRaw(char c) {
  std::string plain;
  const int found = matcher_.Push(c, &plain);
  EmitArguments(plain);
  if (found == MarkerMatcher::kNone) return;
  const std::string_view marker = matcher_.marker(found);
  matcher_.Take();
  EndCall();
  const bool next = marker == MarkersOf(format_.tools).call;  // without an end of this one
  EnterProse();
  if (next) Again(marker);
}

void AnswerParser::EnterHermes() {
  state_ = State::kHermes;
  hermes_ = {};
  hermes_called_ = false;
}

void AnswerParser::StepHermes(char c) {
  using Step = HermesReader::Step;
  const Step step = hermes_.Push(c);
  if (!hermes_called_) {
    if (step == Step::kBad) return Fail();
    const bool complete = hermes_.arguments_begun() || step == Step::kEnd;
    if (!hermes_.name() || !complete) return step == Step::kEnd ? Fail() : void();
    if (!Commit(*hermes_.name(), "")) return;
    hermes_called_ = true;
  }
  if (step == Step::kBad) hermes_.Finish();
  EmitArguments(hermes_.TakeArguments());
  if (step == Step::kMore) return;
  EndCall();
  EnterHermesTail();
  if (step == Step::kBad) Again(std::string_view(&c, 1));
}

void AnswerParser::EnterHermesTail() {
  state_ = State::kHermesTail;
  header_.clear();
  matcher_.Reset({spelling::kToolCallEnd, spelling::kToolCall}, true);
}

void AnswerParser::StepHermesTail(char c) {
  std::string plain;
  const int found = matcher_.Push(c, &plain);
  for (const char byte : plain) {
    // A bracket too many is common, and no text.
    const bool bracket = byte == '}' || byte == ']' || byte == ',';
    if (header_.empty() && (IsSpace(byte) || bracket)) continue;
    header_ += byte;
  }
  if (found == MarkerMatcher::kNone && header_.size() <= kMaxTail) return;
  std::string text = header_ + matcher_.Take();
  const bool ended = found != MarkerMatcher::kNone && matcher_.marker(found) == spelling::kToolCallEnd;
  EnterProse();
  if (!ended) Again(text);
}

void AnswerParser::EnterMembers() { EnterInside(State::kMembers, MarkersOf(format_.tools).parameter); }

void AnswerParser::StepMembers(char c) {
  std::string plain;
  const int found = matcher_.Push(c, &plain);
  if (found == MarkerMatcher::kNone) {
    if (plain.empty()) return;
    plain += matcher_.Take();
    const std::string_view text = WithoutLeadingSpace(plain);
    if (members_ || text.substr(0, 1) != "{") return LeaveCall(plain);
    state_ = State::kObject;
    object_ = {};
    return Again(text);
  }
  matcher_.Take();
  if (matcher_.marker(found) == MarkersOf(format_.tools).parameter) {
    state_ = State::kKey;
    header_.clear();
    return;
  }
  CloseMembers();
  EnterProse();
}

void AnswerParser::StepKey(char c) {
  if (c != '>') {
    header_ += c;
    if (header_.size() > kMaxKey) LeaveCall(Joined({MarkersOf(format_.tools).parameter, header_}));
    return;
  }
  std::string_view key = header_, attributes;
  if (format_.tools == ToolFormat::kQwenXml) {
    key = WithoutSpace(key);
    matcher_.Reset({spelling::kXmlParameterLineEnd, spelling::kXmlParameterEnd}, false);
  } else {
    if (const size_t quote = key.find('"'); quote != key.npos) {
      attributes = key.substr(quote);
      key = key.substr(0, quote);
    }
    matcher_.Reset({spelling::kDsmlParameterEnd}, false);
  }
  EmitArguments(Joined({members_ ? ", " : "{", JsonQuoted(key), ": "}));
  members_ = true;
  value_ = ParameterValue(ValueTypes(key, attributes));
  first_newline_ = format_.tools == ToolFormat::kQwenXml;
  state_ = State::kValue;
}

JsonTypes AnswerParser::ValueTypes(std::string_view key, std::string_view attributes) const {
  if (Contains(attributes, "string=\"true\"")) return kTypeString;
  if (Contains(attributes, "string=\"false\"")) return kTypeAny;
  const Tool* tool = tools_ == nullptr ? nullptr : tools_->Find(name_);
  const JsonTypes types = tool == nullptr ? JsonTypes{0} : PropertyTypes(tool->parameters, key);
  return types == 0 ? kTypeString : types;
}

void AnswerParser::StepValue(char c) {
  std::string plain, json;
  const int found = matcher_.Push(c, &plain);
  std::string_view text = plain;
  if (first_newline_ && !text.empty()) {
    first_newline_ = false;
    if (text.front() == '\n') text.remove_prefix(1);
  }
  if (!text.empty()) value_.Push(text, &json);
  if (found != MarkerMatcher::kNone) {
    matcher_.Take();
    value_.End(&json);
  }
  EmitArguments(json);
  if (found != MarkerMatcher::kNone) EnterMembers();
}

void AnswerParser::StepObject(char c) {
  const JsonValueScanner::Step step = object_.Push(c);
  EmitArguments(std::string_view(&c, 1));
  if (step != JsonValueScanner::Step::kEnd) return;
  EndCall();
  EnterProse();
}

void AnswerParser::CloseMembers() {
  if (members_) EmitArguments("}");
  EndCall();
}

void AnswerParser::LeaveCall(std::string_view text) {
  CloseMembers();
  EnterProse();
  Again(text);
}

}  // namespace qiao::serve
