// placeholder until branch s-answer is merged
#pragma once
#include <string>
namespace qiao::serve {
struct AnswerPiece {
  enum class Kind { kReasoning, kContent, kToolBegin, kToolArguments, kToolEnd };
  Kind kind = Kind::kContent;
  int index = 0;
  std::string text, id, name;
};
}  // namespace qiao::serve
