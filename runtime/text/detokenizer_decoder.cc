#include "runtime/text/detokenizer_decoder.h"

#include <algorithm>

#include "runtime/text/hex.h"
#include "runtime/text/pretokenizer.h"
#include "runtime/text/tokenizer_json.h"

namespace qiao::text {
namespace {

// What Replace may make of one piece.
constexpr size_t kMaxPieceText = size_t{1} << 20;

// The byte of a piece like <0x0A>, or -1.
int ByteOfPiece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  const int high = HexDigit(piece[3]), low = HexDigit(piece[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace

absl::StatusOr<Decoder> Decoder::FromJson(const Json& spec, std::string_view where) {
  Decoder decoder;
  if (spec.is_null()) {
    decoder.join_with_spaces_ = true;
    return decoder;
  }
  QIAO_RETURN_IF_ERROR(decoder.Add(spec, where, 0));
  return decoder;
}

absl::Status Decoder::Add(const Json& spec, std::string_view where, int depth) {
  if (depth > kMaxPartDepth) return InvalidArgument("%s: Sequences nested too deeply", where);
  QIAO_ASSIGN_OR_RETURN(const std::string_view type, TypeOf(spec, where));
  if (type == "Sequence") {
    const Json& parts = Field(spec, "decoders");
    if (!parts.is_array()) return InvalidArgument("%s.decoders: must be an array", where);
    for (size_t i = 0; i < parts.size(); ++i) {
      QIAO_RETURN_IF_ERROR(Add(parts[i], absl::StrFormat("%s.decoders[%d]", where, i), depth + 1));
    }
    return absl::OkStatus();
  }
  if (steps_.size() >= kMaxParts) return InvalidArgument("%s: more than %d decoders", where, kMaxParts);
  Step step;
  step.fused = std::any_of(steps_.begin(), steps_.end(),
                           [](const Step& s) { return s.kind == Kind::kFuse || s.kind == Kind::kByteLevel; });
  if (type == "ByteLevel") {
    step.kind = Kind::kByteLevel;
  } else if (type == "ByteFallback") {
    step.kind = Kind::kByteFallback;
    if (std::any_of(steps_.begin(), steps_.end(),
                    [](const Step& s) { return s.kind == Kind::kByteFallback; })) {
      return Unimplemented("%s: a second ByteFallback is not supported", where);
    }
  } else if (type == "Fuse") {
    step.kind = Kind::kFuse;
  } else if (type == "Replace") {
    step.kind = Kind::kReplace;
    QIAO_ASSIGN_OR_RETURN(step.pattern,
                          Pattern::FromJson(Field(spec, "pattern"), absl::StrFormat("%s.pattern", where)));
    QIAO_ASSIGN_OR_RETURN(step.content, StringField(spec, "content", where));
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    QIAO_ASSIGN_OR_RETURN(step.content, CharacterField(spec, "content", where));
    QIAO_ASSIGN_OR_RETURN(const int64_t first, IntField(spec, "start", where, 0, INT32_MAX));
    QIAO_ASSIGN_OR_RETURN(const int64_t last, IntField(spec, "stop", where, 0, INT32_MAX));
    step.strip_first = static_cast<uint64_t>(first);
    step.strip_last = static_cast<uint64_t>(last);
  } else if (type == "Metaspace") {
    step.kind = Kind::kMetaspace;
    QIAO_ASSIGN_OR_RETURN(step.content, CharacterField(spec, "replacement", where, "\xE2\x96\x81"));
    QIAO_ASSIGN_OR_RETURN(const std::string scheme, StringField(spec, "prepend_scheme", where, "always"));
    step.drop_first = scheme != "never";
  } else {
    return Unimplemented(
        "%s: decoder type \"%s\" is not supported (known: ByteLevel, Sequence, Replace, ByteFallback, "
        "Fuse, Strip, Metaspace)",
        where, type);
  }
  const bool streams = step.kind == Kind::kFuse || (step.kind == Kind::kStrip && step.strip_last == 0);
  const bool second_strip = step.kind == Kind::kStrip &&
                            std::any_of(steps_.begin(), steps_.end(),
                                        [](const Step& s) { return s.kind == Kind::kStrip && s.fused; });
  if (step.fused && (!streams || second_strip)) {
    return Unimplemented(
        "%s: decoder %s behind Fuse or ByteLevel is not supported, since text is decoded as it comes", where,
        type);
  }
  steps_.push_back(std::move(step));
  return absl::OkStatus();
}

void Decoder::Push(std::string_view piece, State* state, std::string* out) const {
  if (join_with_spaces_ && state->pieces > 0) out->push_back(' ');
  Run(0, std::string(piece), state, out);
  ++state->pieces;
}

void Decoder::Run(size_t index, std::string piece, State* state, std::string* out) const {
  for (; index < steps_.size(); ++index) {
    const Step& step = steps_[index];
    switch (step.kind) {
      case Kind::kByteLevel: {
        std::string ready;
        state->utf8.Append(ByteAlphabet::Unmap(piece), &ready);
        piece = std::move(ready);
        break;
      }
      case Kind::kByteFallback:
        if (const int byte = ByteOfPiece(piece); byte >= 0) {
          state->byte_run.push_back(static_cast<char>(byte));
          return;
        }
        FlushByteRun(index, state, out);
        break;
      case Kind::kReplace:
        // A pattern that runs out of steps, or a result that is too large, leaves the piece as it is.
        if (absl::StatusOr<std::string> replaced =
                step.pattern.ReplaceAll(piece, step.content, kMaxPieceText);
            replaced.ok()) {
          piece = *std::move(replaced);
        }
        break;
      case Kind::kFuse:
        break;
      case Kind::kStrip:
        if (!step.fused) {
          piece = StripPiece(step, piece);
          break;
        }
        while (!state->strip_over && state->stripped < step.strip_first && piece.starts_with(step.content)) {
          piece.erase(0, step.content.size());
          ++state->stripped;
        }
        if (!piece.empty() || state->stripped == step.strip_first) state->strip_over = true;
        break;
      case Kind::kMetaspace:
        piece = ReplaceMetaspace(step, piece, state->pieces == 0);
        break;
    }
  }
  out->append(piece);
}

void Decoder::FlushByteRun(size_t index, State* state, std::string* out) const {
  if (state->byte_run.empty()) return;
  const std::string run = std::move(state->byte_run);
  state->byte_run.clear();
  if (IsValidUtf8(run)) {
    Run(index + 1, run, state, out);
  } else {
    for (size_t i = 0; i < run.size(); ++i) Run(index + 1, std::string(kReplacement), state, out);
  }
}

void Decoder::Finish(State* state, std::string* out) const {
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].kind == Kind::kByteFallback) FlushByteRun(i, state, out);
    if (steps_[i].kind == Kind::kByteLevel) {
      std::string rest;
      state->utf8.Finish(&rest);
      Run(i + 1, std::move(rest), state, out);
    }
  }
}

std::string Decoder::StripPiece(const Step& step, std::string_view piece) {
  for (uint64_t i = 0; i < step.strip_first && piece.starts_with(step.content); ++i) {
    piece.remove_prefix(step.content.size());
  }
  for (uint64_t i = 0; i < step.strip_last && piece.ends_with(step.content); ++i) {
    piece.remove_suffix(step.content.size());
  }
  return std::string(piece);
}

std::string Decoder::ReplaceMetaspace(const Step& step, std::string_view piece, bool first) {
  std::string out;
  while (!piece.empty()) {
    if (piece.starts_with(step.content)) {
      if (!(first && step.drop_first)) out.push_back(' ');
      piece.remove_prefix(step.content.size());
    } else {
      out.push_back(piece[0]);
      piece.remove_prefix(1);
    }
  }
  return out;
}

std::string Decoder::BytesOf(std::string_view piece) const {
  std::string out(piece);
  for (const Step& step : steps_) {
    if (step.kind == Kind::kByteLevel) return ByteAlphabet::Unmap(out);
    if (step.kind == Kind::kMetaspace) out = ReplaceMetaspace(step, out, false);
    if (step.kind == Kind::kByteFallback) {
      if (const int byte = ByteOfPiece(out); byte >= 0) return std::string(1, static_cast<char>(byte));
    }
    if (step.kind == Kind::kReplace) {
      if (absl::StatusOr<std::string> replaced = step.pattern.ReplaceAll(out, step.content, kMaxPieceText);
          replaced.ok()) {
        out = *std::move(replaced);
      }
    }
  }
  return out;
}

}  // namespace qiao::text
