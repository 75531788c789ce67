// Answers parsed whole, byte by byte and in random pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/serve/api/answer_parser.h"

namespace qiao::serve {

struct ParsedCall {
  std::string name, id, arguments;
  bool operator==(const ParsedCall&) const = default;
};

struct ParsedAnswer {
  std::string reasoning, content;
  std::vector<ParsedCall> calls;
  // The order of things: "rct" is reasoning, then content, then a call.
  std::string order;
  bool operator==(const ParsedAnswer&) const = default;
};

// "name(arguments)" of each call.
std::vector<std::string> Calls(const ParsedAnswer& answer);

// Adds pieces, and fails the test where their sequence is impossible.
class AnswerJoiner {
 public:
  void Add(const std::vector<AnswerPiece>& pieces);
  const ParsedAnswer& answer() const { return answer_; }
  bool open() const { return open_; }

 private:
  ParsedAnswer answer_;
  bool open_ = false;  // a call
};

// get_weather(city: string, days: integer, unit: enum, exact: boolean, tags: array, note: string or null) and now().
std::shared_ptr<const ToolList> TestTools();

inline constexpr uint64_t kTestSeed = 7;

// Parses whole, byte by byte, and in pieces from 20 seeds, which must all agree.
ParsedAnswer ParseAnswer(const AnswerFormat& format, std::string_view text,
                         std::shared_ptr<const ToolList> tools = TestTools());
ParsedAnswer ParseAnswer(ToolFormat format, std::string_view text);

}  // namespace qiao::serve
