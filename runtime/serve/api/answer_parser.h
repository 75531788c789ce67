// Parts what a model writes into reasoning, content and tool calls while it is being written.
//
// Markers are expected as text, also where the tokenizer has them as special tokens. What may begin a marker is held
// back until it is known; nothing else is. The pieces, joined, are the same for any cut of the text into pushes.
//
//   * Reasoning is what lies between <think> and </think> at the answer's beginning; with `thinking_opened`, from the
//     start. White space at its ends, and before the content after it, is dropped. A call's special marker
//     (DeepSeek's, Kimi's) ends it too, if a call follows.
//   * A call begins (kToolBegin) when its name is complete (in Hermes' and DeepSeek's forms, when its arguments begin),
//     and its arguments are handed out as they come. White space around calls and the markers around them are dropped;
//     other text after a call is content again.
//   * Markup of which no call can be made (no name, no JSON object in Hermes' form, a name of other characters than
//     letters, digits, '_', '-' and '.' or of more than 128, cut off before the call begins) is content as it
//     stands. After kToolBegin there is no way back: arguments that are no JSON, or are cut off, are given as they
//     stand, so that the client sees what the model wrote; an argument list that is missing is {}.
//   * Names that are not declared make calls too, as reference servers have it: the client can tell the model.
//     Without declared tools there are no calls, and all markup is content.
//   * Elements (DSML, Qwen3-Coder) become a JSON object. DSML says which values are strings; for Qwen3-Coder the
//     declared schema does, and values without one are strings.
//   * After kMaxCalls calls, markup is content.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/serve/api/answer_format.h"
#include "runtime/serve/api/answer_json.h"
#include "runtime/serve/api/answer_matcher.h"
#include "runtime/serve/api/answer_value.h"
#include "runtime/serve/api/tools.h"

namespace qiao::serve {

struct AnswerPiece {
  enum class Kind {
    kReasoning,      // text
    kContent,        // text
    kToolBegin,      // index, id, name
    kToolArguments,  // index, text: what is added to the arguments' JSON text
    kToolEnd,        // index
  };
  Kind kind = Kind::kContent;
  int index = 0;  // of the call, from 0; calls do not overlap
  std::string text;
  std::string id;
  std::string name;
};

// One answer's. Not thread-safe. Memory: what is held back, at most some 64 KiB, and the ids of the calls.
class AnswerParser {
 public:
  static constexpr int kMaxCalls = 128;
  static constexpr size_t kMaxHeader = 512;  // bytes before a call's name is known; Hermes': kMaxHermesHeader
  static constexpr size_t kMaxHermesHeader = 16 << 10;

  // `tools`: the declared ones, null or empty: none. Ids come from `id_seed`: the same answer has the same ids. Kimi's
  // calls keep the id that the model wrote (functions.NAME:INDEX).
  AnswerParser(const AnswerFormat& format, std::shared_ptr<const ToolList> tools, uint64_t id_seed);

  // What `text`, whole characters of UTF-8, adds.
  std::vector<AnswerPiece> Push(std::string_view text);
  // The end, for whatever reason: what was held back. Nothing may be pushed afterwards.
  std::vector<AnswerPiece> Finish();

  // Whether a call has begun.
  bool called_tools() const { return calls_ > 0; }

 private:
  enum class State {
    kStart,       // white space and <think> may come
    kProse,       // reasoning or content
    kOpen,        // markup has been opened; the call in it must follow
    kHeader,      // until the name or id ends
    kFencedName,  // DeepSeek-V3: after function<sep>
    kFence,       // and before its JSON
    kRaw,         // arguments as they stand, until a marker
    kHermes,      // a JSON object with name and arguments
    kHermesTail,  // until </tool_call>
    kMembers,     // between elements
    kKey,         // in an element's opening tag
    kValue,       // in an element
    kObject,      // a JSON object in the elements' place
  };

  void Step(char c);
  void StepStart(char c);
  void StepProse(char c);
  void StepOpen(char c);
  void StepHeader(char c);
  void StepFencedName(char c);
  void StepFence(char c);
  void StepRaw(char c);
  void StepHermes(char c);
  void StepHermesTail(char c);
  void StepMembers(char c);
  void StepKey(char c);
  void StepValue(char c);
  void StepObject(char c);

  void EnterProse();
  void EnterMarkup(std::string held, std::string_view marker);
  void EnterHermes();
  void EnterHermesTail();
  void EnterRaw();
  void EnterMembers();
  void EnterInside(State state, std::string_view opener);  // until `opener` or a marker that ends the call
  void HeaderEnds();
  void Fail();    // what was held is prose up to its first marker; the rest is tried again
  void GiveUp();  // all that was held is prose
  void Again(std::string_view text);                        // text to be stepped through before what follows
  bool Commit(std::string_view name, std::string_view id);  // false, and failed, if it is no name
  void EndCall();
  void CloseMembers();                    // and ends the call
  void LeaveCall(std::string_view text);  // the call is over, and `text` belongs to no call

  bool Declared(std::string_view name) const { return tools_ != nullptr && tools_->Find(name) != nullptr; }
  bool TakesCalls() const;
  bool Undecided() const;  // in markup, but no call has been made of it
  JsonTypes ValueTypes(std::string_view key, std::string_view attributes) const;

  void EmitProse(std::string_view text);
  void EmitArguments(std::string_view text);
  AnswerPiece& Piece(AnswerPiece::Kind kind);

  AnswerFormat format_;
  std::shared_ptr<const ToolList> tools_;
  uint64_t id_seed_;

  State state_ = State::kStart;
  bool reasoning_ = false;
  bool skip_spaces_ = false;  // of the prose that comes next
  MarkerMatcher matcher_;

  std::string held_;        // bytes since markup began, while no call has been made of it
  size_t opener_size_ = 0;  // of its first marker, with white space before it
  std::string header_;      // what is collected of a name, a key, or what follows a call
  std::string fence_;
  bool bare_function_ = false;  // Qwen3-Coder's <function= without <tool_call>
  HermesReader hermes_;
  bool hermes_called_ = false;

  int calls_ = 0;
  std::string name_;              // of the call
  std::vector<std::string> ids_;  // of the answer
  bool no_arguments_ = true;      // so far
  bool members_ = false;          // an object of elements has been begun
  ParameterValue value_;
  bool first_newline_ = false;  // which Qwen3-Coder writes before a value
  JsonValueScanner object_;

  std::string input_;
  size_t position_ = 0;
  std::vector<AnswerPiece> out_;
};

}  // namespace qiao::serve
