// Prose, the markup before a call, and what all calls have in common. The calls' insides: answer_parser_calls.cc.
#include "runtime/serve/api/answer_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "runtime/serve/api/answer_markers.h"
#include "runtime/serve/api/answer_spelling.h"
#include "runtime/serve/api/answer_text.h"

namespace qiao::serve {
AnswerParser::AnswerParser(const AnswerFormat& format, std::shared_ptr<const ToolList> tools,
                           uint64_t id_seed)
    : format_(format), tools_(std::move(tools)), id_seed_(id_seed) {
  if (format_.reasoning == ReasoningFormat::kNone) {
    EnterProse();
    return;
  }
  reasoning_ = skip_spaces_ = format_.thinking_opened;
  // A model may write <think> although the prompt has done so.
  matcher_.Reset({spelling::kThinkOpen}, true);
}

std::vector<AnswerPiece> AnswerParser::Push(std::string_view text) {
  // In blocks, since Again inserts into the input.
  constexpr size_t kBlock = 4096;
  for (; !text.empty(); text.remove_prefix(std::min(kBlock, text.size()))) {
    input_ = text.substr(0, kBlock);
    position_ = 0;
    while (position_ < input_.size()) Step(input_[position_++]);
  }
  return std::exchange(out_, {});
}

std::vector<AnswerPiece> AnswerParser::Finish() {
  switch (state_) {
    case State::kStart:
    case State::kProse:
      EmitProse(matcher_.Take());
      break;
    case State::kHermes:
      if (hermes_called_) {
        hermes_.Finish();
        EmitArguments(hermes_.TakeArguments());
        Piece(AnswerPiece::Kind::kToolEnd);
        break;
      }
      [[fallthrough]];
    case State::kOpen:
    case State::kHeader:
    case State::kFencedName:
    case State::kFence:
      EmitProse(std::exchange(held_, {}));
      break;
    case State::kHermesTail:
      EnterProse();
      EmitProse(header_);
      break;
    case State::kValue: {
      std::string json;
      value_.Push(matcher_.Take(), &json);
      value_.Cut(&json);
      EmitArguments(json);
      [[fallthrough]];
    }
    case State::kRaw:  // what is held back is white space and the beginning of an end marker
    case State::kMembers:
    case State::kKey:
    case State::kObject:
      Piece(AnswerPiece::Kind::kToolEnd);
      break;
  }
  state_ = State::kProse;
  return std::exchange(out_, {});
}

void AnswerParser::Step(char c) {
  if (Undecided()) {
    held_ += c;
    const size_t most = state_ == State::kHermes ? kMaxHermesHeader : kMaxHeader;
    if (held_.size() - opener_size_ > most) return GiveUp();
  }
  switch (state_) {
    case State::kStart:
      return StepStart(c);
    case State::kProse:
      return StepProse(c);
    case State::kOpen:
      return StepOpen(c);
    case State::kHeader:
      return StepHeader(c);
    case State::kFencedName:
      return StepFencedName(c);
    case State::kFence:
      return StepFence(c);
    case State::kRaw:
      return StepRaw(c);
    case State::kHermes:
      return StepHermes(c);
    case State::kHermesTail:
      return StepHermesTail(c);
    case State::kMembers:
      return StepMembers(c);
    case State::kKey:
      return StepKey(c);
    case State::kValue:
      return StepValue(c);
    case State::kObject:
      return StepObject(c);
  }
}

bool AnswerParser::Undecided() const {
  return state_ == State::kOpen || state_ == State::kHeader || state_ == State::kFencedName ||
         state_ == State::kFence || (state_ == State::kHermes && !hermes_called_);
}

void AnswerParser::StepStart(char c) {
  std::string plain;
  if (matcher_.Push(c, &plain) != MarkerMatcher::kNone) {
    reasoning_ = skip_spaces_ = true;
    return EnterProse();
  }
  if (plain.empty()) return;
  plain += matcher_.Take();
  EnterProse();
  Again(plain);
}

bool AnswerParser::TakesCalls() const {
  return format_.tools != ToolFormat::kNone && tools_ != nullptr && !tools_->empty() && calls_ < kMaxCalls;
}

void AnswerParser::EnterProse() {
  state_ = State::kProse;
  const CallMarkers& spelled = MarkersOf(format_.tools);
  std::vector<std::string_view> markers;
  if (reasoning_) markers.push_back(spelling::kThinkClose);
  if (TakesCalls() && (!reasoning_ || spelled.special)) {
    markers.insert(markers.end(), spelled.openers.begin(), spelled.openers.end());
    markers.push_back(spelled.call);
  }
  if (calls_ > 0) markers.insert(markers.end(), spelled.ends.begin(), spelled.ends.end());
  matcher_.Reset(std::move(markers), true);
}

void AnswerParser::StepProse(char c) {
  std::string plain;
  const int found = matcher_.Push(c, &plain);
  EmitProse(plain);
  if (found == MarkerMatcher::kNone) return;
  const std::string_view marker = matcher_.marker(found);
  const size_t spaces = matcher_.spaces();
  std::string held = matcher_.Take();
  if (marker == spelling::kThinkClose) {
    reasoning_ = false;
    skip_spaces_ = true;
    return EnterProse();
  }
  const auto& ends = MarkersOf(format_.tools).ends;
  if (std::find(ends.begin(), ends.end(), marker) != ends.end()) return EmitProse(held.substr(0, spaces));
  EnterMarkup(std::move(held), marker);
}

void AnswerParser::EnterMarkup(std::string held, std::string_view marker) {
  const CallMarkers& spelled = MarkersOf(format_.tools);
  held_ = std::move(held);
  opener_size_ = held_.size();
  header_.clear();
  bare_function_ = marker == spelling::kXmlFunction;
  if (format_.tools == ToolFormat::kHermes) {
    EnterHermes();
  } else if (marker == spelled.call) {
    state_ = State::kHeader;
    matcher_.Reset({spelled.header_end}, false);
  } else {
    state_ = State::kOpen;
    matcher_.Reset({spelled.call}, true);
  }
}

void AnswerParser::StepOpen(char c) {
  std::string plain;
  if (matcher_.Push(c, &plain) != MarkerMatcher::kNone) {
    state_ = State::kHeader;
    matcher_.Reset({MarkersOf(format_.tools).header_end}, false);
    return;
  }
  if (plain.empty()) return;
  if (format_.tools == ToolFormat::kQwenXml && WithoutLeadingSpace(plain).substr(0, 1) == "{") {
    // Qwen's older form.
    plain += matcher_.Take();
    held_.resize(held_.size() - plain.size());
    EnterHermes();
    return Again(plain);
  }
  Fail();
}

void AnswerParser::StepHeader(char c) {
  std::string plain;
  const int found = matcher_.Push(c, &plain);
  header_ += plain;
  for (const char byte : plain) {
    if (!IsFunctionNameByte(byte) && !IsSpace(byte) && byte != ':') return Fail();
  }
  if (found == MarkerMatcher::kNone) return;
  matcher_.Take();
  header_ = std::string(WithoutSpace(header_));
  HeaderEnds();
}

void AnswerParser::HeaderEnds() {
  switch (format_.tools) {
    case ToolFormat::kDeepSeekV3:
    case ToolFormat::kDeepSeekV31:
      fence_.clear();
      if (header_ == "function" && !Declared(header_)) {
        header_.clear();
        state_ = State::kFencedName;
      } else if (IsFunctionName(header_)) {
        state_ = State::kFence;
      } else {
        Fail();
      }
      return;
    case ToolFormat::kKimi: {
      std::string_view name = header_;
      const size_t colon = name.rfind(':');
      const bool numbered = colon != name.npos && colon + 1 < name.size() &&
                            std::all_of(name.begin() + colon + 1, name.end(), absl::ascii_isdigit);
      if (numbered) name = name.substr(0, colon);
      if (Commit(name, numbered ? header_ : "")) EnterRaw();
      return;
    }
    default:
      if (bare_function_ && !Declared(header_)) return Fail();
      if (Commit(header_, "")) EnterMembers();
  }
}

void AnswerParser::StepFencedName(char c) {
  if (header_.empty() && IsSpace(c)) return;
  if (IsFunctionNameByte(c)) {
    header_ += c;
    return;
  }
  if (!IsFunctionName(header_)) return Fail();
  state_ = State::kFence;
  StepFence(c);
}

void AnswerParser::StepFence(char c) {
  if (fence_.empty() && IsSpace(c)) return;
  fence_ += c;
  if (fence_ == spelling::kFence)
    fence_.clear();
  else if (spelling::kFence.substr(0, fence_.size()) == fence_)
    return;
  std::string rest = fence_.substr(0, 3) == "```" ? fence_.substr(3) : fence_;
  if (!Commit(header_, "")) return;
  EnterRaw();
  Again(rest);
}

void AnswerParser::Fail() {
  const std::string held = std::exchange(held_, {});
  EnterProse();
  EmitProse(held.substr(0, opener_size_));
  Again(std::string_view(held).substr(opener_size_));
}

void AnswerParser::GiveUp() {
  EnterProse();
  EmitProse(std::exchange(held_, {}));
}

void AnswerParser::Again(std::string_view text) {
  input_.replace(0, position_, text);
  position_ = 0;
}

bool AnswerParser::Commit(std::string_view name, std::string_view id) {
  const std::string_view prefix = spelling::kKimiPrefix;
  if (name.substr(0, prefix.size()) == prefix && !Declared(name)) name.remove_prefix(prefix.size());
  if (!IsFunctionName(name)) {
    Fail();
    return false;
  }
  reasoning_ = false;
  no_arguments_ = true;
  members_ = false;
  held_.clear();
  name_ = name;
  AnswerPiece& piece = Piece(AnswerPiece::Kind::kToolBegin);
  piece.index = calls_++;
  piece.name = name;
  piece.id = id;
  if (id.empty() || std::find(ids_.begin(), ids_.end(), piece.id) != ids_.end()) {
    piece.id = MakeCallId(id_seed_, piece.index);
  }
  ids_.push_back(piece.id);
  return true;
}

void AnswerParser::EndCall() {
  if (no_arguments_) EmitArguments("{}");
  Piece(AnswerPiece::Kind::kToolEnd);
  skip_spaces_ = true;
}

void AnswerParser::EmitProse(std::string_view text) {
  if (skip_spaces_) text = WithoutLeadingSpace(text);
  if (text.empty()) return;
  skip_spaces_ = false;
  Piece(reasoning_ ? AnswerPiece::Kind::kReasoning : AnswerPiece::Kind::kContent).text.append(text);
}

void AnswerParser::EmitArguments(std::string_view text) {
  if (no_arguments_) text = WithoutLeadingSpace(text);
  if (text.empty()) return;
  no_arguments_ = false;
  Piece(AnswerPiece::Kind::kToolArguments).text.append(text);
}

AnswerPiece& AnswerParser::Piece(AnswerPiece::Kind kind) {
  using Kind = AnswerPiece::Kind;
  const bool joins = kind == Kind::kReasoning || kind == Kind::kContent || kind == Kind::kToolArguments;
  if (joins && !out_.empty() && out_.back().kind == kind) return out_.back();
  AnswerPiece& piece = out_.emplace_back();
  piece.kind = kind;
  const bool tool = kind == Kind::kToolArguments || kind == Kind::kToolEnd;
  if (tool) piece.index = calls_ - 1;
  return piece;
}

}  // namespace qiao::serve
