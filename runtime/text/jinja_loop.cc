// for: its iteration, its condition, and the `loop` object.
#include "runtime/text/jinja_interpreter_impl.h"

namespace qiao::text::jinja {

// Fills loop.ahead to `count` elements if there are as many.
StatusOr<bool> Interpreter::Ahead(LoopObject& loop, size_t count) {
  while (loop.ahead.size() < count && loop.next < loop.source.size()) {
    Value item = loop.source[loop.next++];
    bool accepted = true;
    if (loop.stmt->condition) {
      const std::shared_ptr<Scope> inner = std::exchange(scope_, std::make_shared<Scope>(loop.outer));
      const auto test = [&]() -> StatusOr<bool> {
        QIAO_RETURN_IF_ERROR(Assign(*loop.stmt->target, item));
        QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*loop.stmt->condition));
        return Truthy(value);
      };
      const StatusOr<bool> result = test();
      scope_ = inner;
      QIAO_ASSIGN_OR_RETURN(accepted, result);
    }
    if (accepted) loop.ahead.push_back(std::move(item));
  }
  return loop.ahead.size() >= count;
}

StatusOr<Interpreter::Flow> Interpreter::ExecuteFor(const Stmt& stmt, const Value& items, int depth) {
  auto loop = std::make_shared<LoopObject>();
  loop->stmt = &stmt;
  loop->outer = scope_;
  loop->loop_depth = depth;
  QIAO_ASSIGN_OR_RETURN(loop->source, Iterate(items, budget_));
  // loop.changed(loop) would make the loop hold itself.
  struct Release {
    LoopObject* loop;
    ~Release() { loop->last_changed.reset(); }
  } release{loop.get()};
  const std::shared_ptr<Scope> outer = scope_;
  StatusOr<Flow> flow = Flow::kNext;
  for (;;) {
    QIAO_RETURN_IF_ERROR(budget_.Bytes(sizeof(Scope) + 128));
    QIAO_ASSIGN_OR_RETURN(bool more, Ahead(*loop, 1));
    if (!more) break;
    loop->has_previous = loop->index0 >= 0;
    loop->previous = std::move(loop->current);
    loop->current = std::move(loop->ahead.front());
    loop->ahead.pop_front();
    ++loop->index0;
    scope_ = std::make_shared<Scope>(outer);
    scope_->Set("loop", Value::Make(Kind::kLoop, loop));
    if (const Status status = Assign(*stmt.target, loop->current); status.ok()) {
      flow = Run(stmt.body);
    } else {
      flow = status;
    }
    scope_ = outer;
    if (!flow.ok()) return flow;
    if (*flow == Flow::kBreak) break;
  }
  // Jinja runs the else of a loop that had no element; a break does not count.
  if (loop->index0 < 0 && !stmt.otherwise.empty()) {
    scope_ = std::make_shared<Scope>(outer);
    flow = Run(stmt.otherwise);
    scope_ = outer;
    return flow;
  }
  return Flow::kNext;
}

StatusOr<Value> Interpreter::LoopAttribute(LoopObject& loop, std::string_view name) {
  const int64_t i = loop.index0;
  if (name == "index") return Value::Int(i + 1);
  if (name == "index0") return Value::Int(i);
  if (name == "first") return Value::Bool(i == 0);
  if (name == "depth") return Value::Int(loop.loop_depth + 1);
  if (name == "depth0") return Value::Int(loop.loop_depth);
  if (name == "last") {
    QIAO_ASSIGN_OR_RETURN(bool more, Ahead(loop, 1));
    return Value::Bool(!more);
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    QIAO_RETURN_IF_ERROR(Ahead(loop, loop.source.size() + 1).status());
    const int64_t rest = static_cast<int64_t>(loop.ahead.size());
    return Value::Int(name == "length" ? i + 1 + rest : name == "revindex" ? rest + 1 : rest);
  }
  if (name == "previtem") {
    return loop.has_previous ? loop.previous : Value::Undefined("there is no previous item");
  }
  if (name == "nextitem") {
    QIAO_ASSIGN_OR_RETURN(bool more, Ahead(loop, 1));
    return more ? loop.ahead.front() : Value::Undefined("there is no next item");
  }
  if (name == "cycle" || name == "changed") {
    return NewMethod(Value::Make(Kind::kLoop, loop.shared_from_this()), name);
  }
  return Value::Undefined(absl::StrFormat("'LoopContext object' has no attribute '%s'", name));
}

StatusOr<Value> Interpreter::CallLoopMethod(LoopObject& loop, std::string_view name,
                                            const Arguments& arguments) {
  if (name == "cycle") {
    if (arguments.positional.empty()) return InvalidArgument("no items for cycling given");
    return arguments.positional[static_cast<size_t>(loop.index0) % arguments.positional.size()];
  }
  if (name == "changed") {
    QIAO_ASSIGN_OR_RETURN(Value now, NewSequence(Kind::kTuple, arguments.positional, budget_));
    bool same = false;
    if (loop.last_changed) {
      QIAO_ASSIGN_OR_RETURN(same, Equal(*loop.last_changed, now, budget_));
    }
    if (!same) loop.last_changed = now;
    return Value::Bool(!same);
  }
  // loop(items) of a recursive for.
  if (!loop.stmt->recursive) return InvalidArgument("the loop must have the 'recursive' marker to be called");
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("loop", {"iterable"}, 1)));
  std::string text;
  std::string* const outer_out = std::exchange(out_, &text);
  const std::shared_ptr<Scope> inner = std::exchange(scope_, loop.outer);
  const Status status = ExecuteFor(*loop.stmt, *bound[0], loop.loop_depth + 1).status();
  scope_ = inner;
  out_ = outer_out;
  QIAO_RETURN_IF_ERROR(status);
  return NewString(std::move(text), budget_);
}

}  // namespace qiao::text::jinja
