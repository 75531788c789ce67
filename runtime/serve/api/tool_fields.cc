#include "runtime/serve/api/tool_fields.h"

#include <utility>

#include "runtime/serve/api/errors.h"

namespace qiao::serve {
namespace {

// "tools[3].name: TEXT", with the path where errors.h wants it.
absl::Status AtPath(const absl::Status& status) {
  const std::string_view message = Message(status);
  const size_t colon = message.find(": ");
  if (status.code() != absl::StatusCode::kInvalidArgument || colon == std::string_view::npos) return status;
  return BadParam(message.substr(0, colon), message.substr(colon + 2));
}

}  // namespace

absl::Status ReadTools(const Fields& body, ToolDialect dialect, Call& call) {
  const OrderedJson null;
  const OrderedJson* tools = body.Find("tools");
  absl::StatusOr<ToolList> list = ParseTools(tools == nullptr ? null : *tools, dialect);
  if (!list.ok()) return AtPath(list.status());
  const OrderedJson* wanted = body.Find("tool_choice");
  absl::StatusOr<ToolChoice> choice = ParseToolChoice(wanted == nullptr ? null : *wanted, dialect, *list);
  if (!choice.ok()) return AtPath(choice.status());
  call.tools = *std::move(list);
  call.tool_choice = *std::move(choice);
  call.parallel_tool_calls = !call.tool_choice.single;
  if (dialect != ToolDialect::kAnthropic) {
    QIAO_ASSIGN_OR_RETURN(const std::optional<bool> parallel, body.Bool("parallel_tool_calls"));
    call.parallel_tool_calls = parallel.value_or(true);
  }
  return absl::OkStatus();
}

}  // namespace qiao::serve
