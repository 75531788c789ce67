// Objects that only the interpreter makes.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "runtime/text/jinja_interpreter.h"

namespace qiao::text::jinja {

struct MacroObject : Object {
  const MacroDef* def = nullptr;
  std::shared_ptr<Scope> scope;
};

// The `loop` of a for. Elements are tested by the loop's condition no earlier than they are needed, since the
// body may change what the condition reads.
struct LoopObject : Object, std::enable_shared_from_this<LoopObject> {
  const Stmt* stmt = nullptr;
  std::shared_ptr<Scope> outer;
  Values source;
  size_t next = 0;          // into source
  std::deque<Value> ahead;  // accepted, not yet current
  Value previous, current;
  bool has_previous = false;
  int64_t index0 = -1;
  int loop_depth = 0;
  std::optional<Value> last_changed;
};

}  // namespace qiao::text::jinja
