#include "runtime/serve/api/lanes.h"

#include <iterator>
#include <utility>

namespace qiao::serve {
namespace {

AnswerPiece Piece(AnswerPiece::Kind kind, std::string text = "") {
  AnswerPiece piece;
  piece.kind = kind;
  piece.text = std::move(text);
  return piece;
}

}  // namespace

Lanes::Lanes(int64_t choices, const Options& options)
    : options_(options), lanes_(static_cast<size_t>(choices)) {
  if (options.reads != Reads::kAnswer) return;
  for (size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i].parser.emplace(options.format, options.tools, options.id_seed + i);
    lanes_[i].thinking = options.format.thinking_opened;
  }
}

void Lanes::Token(int64_t choice, std::string text, std::optional<ScoredToken> scored, std::string& out) {
  Lane& lane = lanes_[static_cast<size_t>(choice)];
  if (lane.closed) return;
  if (scored) lane.pending.push_back(*std::move(scored));
  std::vector<AnswerPiece> pieces;
  if (lane.parser) {
    pieces = lane.parser->Push(text);
  } else if (!text.empty()) {
    pieces.push_back(Piece(arguments() ? AnswerPiece::Kind::kToolArguments : AnswerPiece::Kind::kContent,
                           std::move(text)));
  }
  Emit(choice, std::move(pieces), out);
  if (lane.thinking) ++reasoning_tokens_;
}

void Lanes::Content(int64_t choice, std::string text, std::string& out) {
  Emit(choice, {Piece(AnswerPiece::Kind::kContent, std::move(text))}, out);
}

void Lanes::BeginCall(int64_t choice, const std::string& name, std::string& out) {
  AnswerPiece piece = Piece(AnswerPiece::Kind::kToolBegin);
  piece.id = ForcedCallId(options_.format, name, options_.id_seed + static_cast<uint64_t>(choice));
  piece.name = name;
  Emit(choice, {std::move(piece)}, out);
}

void Lanes::End(int64_t choice, const Choice& result, std::string& out) {
  Lane& lane = lanes_[static_cast<size_t>(choice)];
  if (lane.parser) Emit(choice, lane.parser->Finish(), out);
  if (arguments()) Emit(choice, {Piece(AnswerPiece::Kind::kToolEnd)}, out);
  if (!lane.pending.empty()) Emit(choice, {Piece(AnswerPiece::Kind::kContent)}, out);
  lane.whole.stop = result.stop;
  if (result.finish == Finish::kLength || result.finish == Finish::kContext) {
    lane.whole.ended = Ended::kLength;
  } else if (!lane.whole.calls.empty()) {
    lane.whole.ended = Ended::kToolCalls;
  }
  if (stream_ != nullptr) stream_->End(choice, lane.whole, out);
}

void Lanes::Prepend(int64_t choice, const std::string& text, absl::Span<const ScoredToken> tokens) {
  AnswerChoice& whole = lanes_[static_cast<size_t>(choice)].whole;
  whole.content.insert(0, text);
  whole.tokens.insert(whole.tokens.begin(), tokens.begin(), tokens.end());
}

std::vector<AnswerChoice> Lanes::TakeAll() {
  std::vector<AnswerChoice> all;
  for (Lane& lane : lanes_) all.push_back(std::move(lane.whole));
  return all;
}

void Lanes::Emit(int64_t choice, std::vector<AnswerPiece> pieces, std::string& out) {
  Lane& lane = lanes_[static_cast<size_t>(choice)];
  for (AnswerPiece& piece : pieces) {
    if (lane.closed) return;
    lane.thinking = piece.kind == AnswerPiece::Kind::kReasoning;
    switch (piece.kind) {
      case AnswerPiece::Kind::kReasoning:
        lane.whole.reasoning += piece.text;
        break;
      case AnswerPiece::Kind::kContent:
        lane.whole.content += piece.text;
        break;
      case AnswerPiece::Kind::kToolBegin:
        lane.whole.calls.push_back({piece.id, piece.name, ""});
        break;
      case AnswerPiece::Kind::kToolArguments:
        lane.whole.calls.back().arguments += piece.text;
        break;
      case AnswerPiece::Kind::kToolEnd:
        lane.closed = options_.single_call;
        break;
    }
    Tell(choice, piece, out);
  }
}

void Lanes::Tell(int64_t choice, const AnswerPiece& piece, std::string& out) {
  Lane& lane = lanes_[static_cast<size_t>(choice)];
  if (stream_ != nullptr) stream_->Piece(choice, piece, lane.pending, out);
  lane.whole.tokens.insert(lane.whole.tokens.end(), std::make_move_iterator(lane.pending.begin()),
                           std::make_move_iterator(lane.pending.end()));
  lane.pending.clear();
}

}  // namespace qiao::serve
