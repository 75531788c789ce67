// A conversation on its way into the form that chat templates take (call.h), for protocols that cut messages into
// blocks or items: what the assistant thought, said and called in one turn becomes one message again.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/types/span.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/serve/api/limits.h"

namespace qiao::serve {

class Transcript {
 public:
  // A message of its own.
  void Add(std::string_view role, std::string text);
  // Goes on with the last message if it is of that role, `separator` between the texts; else a message of its own.
  void Join(std::string_view role, std::string_view separator, std::string text);

  // What the assistant thought, said and called: of its turn that is open, or of a new one. Any other message ends it.
  void Thought(const std::string& text);
  void Said(std::string_view separator, std::string text);
  void Called(std::string id, const std::string& name, OrderedJson arguments);

  // What an earlier call gave: a message of role "tool", with the function's name. INVALID_ARGUMENT at `path` where
  // nothing with that id was called.
  absl::Status Returned(const std::string& id, std::string text, const std::string& path);

  // Whether calls of the open turn lack their results, as the last message of all.
  bool EndsWithCalls() const;
  OrderedJson Take() { return std::move(messages_); }

 private:
  OrderedJson& Turn(std::string_view role);

  OrderedJson messages_ = OrderedJson::array();
  std::map<std::string, std::string, std::less<>> called_;  // names by id
};

// A string, or an array of parts {"type", "text"} of one of `types`, their texts joined by `separator`.
absl::StatusOr<std::string> ReadTexts(const OrderedJson& value, const std::string& path,
                                      absl::Span<const std::string_view> types, std::string_view separator,
                                      const ApiLimits& limits);
// INVALID_ARGUMENT for a part that is no text.
absl::Status NotText(const std::string& path, std::string_view type);

// The arguments of a call as an object, {} where they are blank; null where they are none: a model may write anything.
OrderedJson ArgumentsObject(const std::string& text, const JsonLimits& limits = {});
// The same, or else the text as it was.
OrderedJson ReadArguments(const std::string& text, const ApiLimits& limits);

// Tells the template whether to think. Templates have no common name for it.
void SetThinking(bool on, OrderedJson& template_kwargs);

}  // namespace qiao::serve
