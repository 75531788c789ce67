// The markers of each format, as AnswerParser meets them.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/serve/api/answer_format.h"

namespace qiao::serve {

struct CallMarkers {
  std::vector<std::string_view> openers;  // around calls; a call's own marker must follow
  std::string_view call;                  // begins a call
  std::string_view header_end;            // ends its name, or what has the name in it
  std::string_view parameter;             // begins an element of arguments
  // End a call; text of what is around calls, dropped where a call has been made before.
  std::vector<std::string_view> ends;
  bool special = false;  // tokens of their own, which reasoning does not mention
};
const CallMarkers& MarkersOf(ToolFormat format);

// A function's name: letters, digits, '_', '-' and '.', at most 128.
bool IsFunctionName(std::string_view name);
bool IsFunctionNameByte(char c);

}  // namespace qiao::serve
