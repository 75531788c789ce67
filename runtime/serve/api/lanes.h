// The choices of an answer while they are being written: each token is read as what it is part of (thought, content, a
// tool call), told to the stream if there is one, and kept for the whole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "qiao/engine.h"
#include "runtime/serve/api/answer.h"
#include "runtime/serve/api/answer_parser.h"

namespace qiao::serve {

// One thread at a time.
class Lanes {
 public:
  enum class Reads {
    kContent,    // all is content
    kAnswer,     // by the format: thoughts, content, tool calls
    kArguments,  // all is the arguments of a call that BeginCall begins
  };
  struct Options {
    Reads reads = Reads::kContent;
    AnswerFormat format = {};
    std::shared_ptr<const ToolList> tools = nullptr;  // declared; may be null
    bool single_call = false;                         // what follows the first call is dropped
    uint64_t id_seed = 0;
  };

  Lanes(int64_t choices, const Options& options);

  // From now on, pieces are told to it as well; it must outlive this.
  void SetStream(AnswerStream* stream) { stream_ = stream; }

  // What a token adds to a choice, and with logprobs the token itself.
  void Token(int64_t choice, std::string text, std::optional<ScoredToken> scored, std::string& out);
  void Content(int64_t choice, std::string text, std::string& out);
  void BeginCall(int64_t choice, const std::string& name, std::string& out);
  // The choice is complete.
  void End(int64_t choice, const Choice& result, std::string& out);
  // Puts a text before what was written; for answers that are not streamed.
  void Prepend(int64_t choice, const std::string& text, absl::Span<const ScoredToken> tokens);

  // What comes is dropped: it has made the one call that it may.
  bool closed(int64_t choice) const { return lanes_[static_cast<size_t>(choice)].closed; }
  bool arguments() const { return options_.reads == Reads::kArguments; }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }
  std::vector<AnswerChoice> TakeAll();

 private:
  struct Lane {
    std::optional<AnswerParser> parser;
    AnswerChoice whole;
    std::vector<ScoredToken> pending;  // not told yet
    bool thinking = false;             // the last that came was reasoning
    bool closed = false;
  };

  void Emit(int64_t choice, std::vector<AnswerPiece> pieces, std::string& out);
  void Tell(int64_t choice, const AnswerPiece& piece, std::string& out);

  const Options options_;
  std::vector<Lane> lanes_;
  AnswerStream* stream_ = nullptr;
  int64_t reasoning_tokens_ = 0;
};

}  // namespace qiao::serve
