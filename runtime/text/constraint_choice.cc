#include "runtime/text/constraint_choice.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "runtime/text/utf8.h"

namespace qiao::text {

void AddTexts(std::vector<std::string> texts, bool optional_spaces, uint32_t from, uint32_t end,
              AutomatonBuilder& builder) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  std::vector<uint32_t> path = {from};  // the states of the text before
  std::string_view before;
  for (const std::string& text : texts) {
    size_t same = 0;
    while (same < before.size() && same < text.size() && before[same] == text[same]) ++same;
    path.resize(same + 1);
    for (; same < text.size() && builder.ok(); ++same) {
      const uint32_t next = builder.AddState();
      if (optional_spaces && text[same] == kOptionalSpace) {
        builder.AddByte(path.back(), ' ', next);
        builder.AddEpsilon(path.back(), next);
      } else {
        builder.AddByte(path.back(), static_cast<uint8_t>(text[same]), next);
      }
      path.push_back(next);
    }
    if (!builder.ok()) return;
    builder.AddEpsilon(path.back(), end);
    before = text;
  }
}

absl::Status CompileChoices(const std::vector<std::string>& choices, uint32_t root,
                            AutomatonBuilder& builder) {
  const ConstraintLimits& limits = builder.limits();
  if (choices.empty()) return InvalidArgument("choice: the list of choices is empty");
  if (choices.size() > limits.max_choices) {
    return ResourceExhausted("choice: %d choices, more than the limit of %d", choices.size(),
                             limits.max_choices);
  }
  size_t bytes = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    bytes += choices[i].size();
    if (bytes > limits.max_choice_bytes) {
      return ResourceExhausted("choice: more than %d bytes of choices", limits.max_choice_bytes);
    }
    if (!IsValidUtf8(choices[i])) return InvalidArgument("choice: choice %d is not UTF-8", i);
  }
  const uint32_t end = builder.AddState();
  builder.Accept(end);
  AddTexts(choices, false, builder.Start(root), end, builder);
  return builder.status();
}

}  // namespace qiao::text
