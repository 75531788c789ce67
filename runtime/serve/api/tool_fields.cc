#include "runtime/serve/api/tool_fields.h"

namespace qiao::serve {

absl::Status ReadTools(const Fields& body, ToolDialect dialect, Call& call) {
  const OrderedJson null;
  const OrderedJson* tools = body.Find("tools");
  QIAO_ASSIGN_OR_RETURN(call.tools, ParseTools(tools == nullptr ? null : *tools, dialect));
  const OrderedJson* choice = body.Find("tool_choice");
  QIAO_ASSIGN_OR_RETURN(call.tool_choice,
                        ParseToolChoice(choice == nullptr ? null : *choice, dialect, call.tools));
  call.parallel_tool_calls = !call.tool_choice.single;
  if (dialect != ToolDialect::kAnthropic) {
    QIAO_ASSIGN_OR_RETURN(const std::optional<bool> parallel, body.Bool("parallel_tool_calls"));
    call.parallel_tool_calls = parallel.value_or(true);
  }
  return absl::OkStatus();
}

}  // namespace qiao::serve
