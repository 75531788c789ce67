// Statements. Expressions are in jinja_evaluate.cc, calls in jinja_call.cc, loops in jinja_loop.cc.
#include "runtime/text/jinja_interpreter.h"

#include "runtime/text/jinja_interpreter_impl.h"

namespace qiao::text::jinja {
namespace {

constexpr size_t kIndexedScopeSize = 16;  // above it a scope is looked up by hash

}  // namespace

size_t Scope::FindHere(std::string_view name) const {
  if (!index.empty()) {
    const auto it = index.find(name);
    return it == index.end() ? names.size() : it->second;
  }
  size_t i = 0;
  while (i < names.size() && names[i].first != name) ++i;
  return i;
}

const Value* Scope::Find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    const size_t i = scope->FindHere(name);
    if (i < scope->names.size()) return &scope->names[i].second;
  }
  return nullptr;
}

void Scope::Set(std::string_view name, Value value) {
  const size_t i = FindHere(name);
  if (i < names.size()) {
    names[i].second = std::move(value);
    return;
  }
  names.emplace_back(name, std::move(value));
  if (!index.empty()) {
    index[name] = i;
  } else if (names.size() > kIndexedScopeSize) {
    for (size_t j = 0; j < names.size(); ++j) index[names[j].first] = j;
  }
}

Interpreter::~Interpreter() {
  for (const auto& scope : captured_) {
    scope->names.clear();
    scope->index.clear();
  }
  for (const auto& object : namespaces_) object->attributes.clear();
}

StatusOr<std::string> Interpreter::Render(const Body& body) {
  std::string out;
  out_ = &out;
  QIAO_RETURN_IF_ERROR(Run(body).status());
  return out;
}

Status Interpreter::Emit(std::string_view text) {
  out_bytes_ += static_cast<int64_t>(text.size());
  if (out_bytes_ > limits_.max_output_bytes) {
    return ResourceExhausted("the template wrote more than %d bytes (max_output_bytes)",
                             limits_.max_output_bytes);
  }
  out_->append(text);
  return absl::OkStatus();
}

StatusOr<std::string> Interpreter::Capture(const Body& body) {
  std::string text;
  std::string* const outer_out = std::exchange(out_, &text);
  const std::shared_ptr<Scope> outer = scope_;
  scope_ = std::make_shared<Scope>(outer);
  const Status status = Run(body).status();
  scope_ = outer;
  out_ = outer_out;
  QIAO_RETURN_IF_ERROR(status);
  QIAO_RETURN_IF_ERROR(budget_.StringBytes(text.size()));
  return text;
}

StatusOr<Interpreter::Flow> Interpreter::Run(const Body& body) {
  if (depth_ >= limits_.max_depth) {
    return ResourceExhausted("the template nests calls and blocks more than %d deep (max_depth)",
                             limits_.max_depth);
  }
  ++depth_;
  for (const StmtPtr& stmt : body) {
    StatusOr<Flow> flow = Execute(*stmt);
    if (!flow.ok() && error_line_ == 0) error_line_ = stmt->line;
    if (!flow.ok() || *flow != Flow::kNext) {
      --depth_;
      return flow;
    }
  }
  --depth_;
  return Flow::kNext;
}

StatusOr<Interpreter::Flow> Interpreter::Execute(const Stmt& stmt) {
  QIAO_RETURN_IF_ERROR(budget_.Steps(1));
  switch (stmt.type) {
    case Stmt::Type::kText:
      QIAO_RETURN_IF_ERROR(Emit(stmt.text));
      break;
    case Stmt::Type::kPrint: {
      QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*stmt.expr));
      if (value.is_string()) {
        QIAO_RETURN_IF_ERROR(Emit(value.str()));
      } else {
        QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget_));
        QIAO_RETURN_IF_ERROR(Emit(text));
      }
      break;
    }
    case Stmt::Type::kIf:
      for (const auto& [test, body] : stmt.branches) {
        QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*test));
        if (Truthy(value)) return Run(body);
      }
      return Run(stmt.otherwise);
    case Stmt::Type::kFor: {
      QIAO_ASSIGN_OR_RETURN(Value items, Evaluate(*stmt.expr));
      return ExecuteFor(stmt, items, 0);
    }
    case Stmt::Type::kSet:
    case Stmt::Type::kSetBlock:
      QIAO_RETURN_IF_ERROR(ExecuteSet(stmt));
      break;
    case Stmt::Type::kMacro:
      scope_->Set(stmt.macro->name, MakeMacro(*stmt.macro));
      break;
    case Stmt::Type::kCallBlock: {
      const Value caller = MakeMacro(*stmt.macro);
      QIAO_ASSIGN_OR_RETURN(Value value, EvaluateCall(*stmt.expr, &caller));
      QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget_));
      QIAO_RETURN_IF_ERROR(Emit(text));
      break;
    }
    case Stmt::Type::kFilterBlock: {
      QIAO_ASSIGN_OR_RETURN(std::string body, Capture(stmt.body));
      const Value text = Value::String(std::move(body));
      QIAO_ASSIGN_OR_RETURN(Value value, EvaluateFilter(*stmt.expr, &text));
      QIAO_ASSIGN_OR_RETURN(std::string shown, Str(value, budget_));
      QIAO_RETURN_IF_ERROR(Emit(shown));
      break;
    }
    case Stmt::Type::kWith: {
      const std::shared_ptr<Scope> outer = scope_;
      const auto inner = std::make_shared<Scope>(outer);
      for (const auto& [target, expr] : stmt.assignments) {
        QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*expr));  // in the outer scope, all of them
        scope_ = inner;
        const Status assigned = Assign(*target, std::move(value));
        scope_ = outer;
        QIAO_RETURN_IF_ERROR(assigned);
      }
      scope_ = inner;
      StatusOr<Flow> flow = Run(stmt.body);
      scope_ = outer;
      return flow;
    }
    case Stmt::Type::kScope: {
      QIAO_ASSIGN_OR_RETURN(std::string text, Capture(stmt.body));
      QIAO_RETURN_IF_ERROR(Emit(text));
      break;
    }
    case Stmt::Type::kBreak:
      return Flow::kBreak;
    case Stmt::Type::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Status Interpreter::ExecuteSet(const Stmt& stmt) {
  if (stmt.type == Stmt::Type::kSet) {
    QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*stmt.expr));
    return Assign(*stmt.target, std::move(value));
  }
  QIAO_ASSIGN_OR_RETURN(std::string body, Capture(stmt.body));
  Value value = Value::String(std::move(body));
  if (stmt.expr) {
    QIAO_ASSIGN_OR_RETURN(value, EvaluateFilter(*stmt.expr, &value));
  }
  return Assign(*stmt.target, std::move(value));
}

Status Interpreter::Assign(const Expr& target, Value value) {
  QIAO_RETURN_IF_ERROR(budget_.Steps(1));
  switch (target.type) {
    case Expr::Type::kName:
      scope_->Set(target.name, std::move(value));
      return absl::OkStatus();
    case Expr::Type::kNamespaceAttribute: {
      const Value* object = scope_->Find(target.name);
      if (object == nullptr || !object->Is(Kind::kNamespace)) {
        return InvalidArgument("cannot assign attribute '%s' on non-namespace object '%s'", target.attribute,
                               target.name);
      }
      NamespaceObject& ns = object->as<NamespaceObject>();
      QIAO_RETURN_IF_ERROR(budget_.Steps(static_cast<int64_t>(ns.attributes.size() / 8)));
      if (Value* slot = ns.Find(target.attribute)) {
        *slot = std::move(value);
      } else {
        QIAO_RETURN_IF_ERROR(budget_.Bytes(sizeof(Value) + 64));
        ns.attributes.emplace_back(target.attribute, std::move(value));
      }
      return absl::OkStatus();
    }
    default: {
      if (value.is_undefined() || !IsIterable(value)) {
        return InvalidArgument("cannot unpack '%s' into %d names", TypeName(value), target.items.size());
      }
      QIAO_ASSIGN_OR_RETURN(Values items, Iterate(value, budget_));
      if (items.size() != target.items.size()) {
        return InvalidArgument("%d values to unpack into %d names", items.size(), target.items.size());
      }
      for (size_t i = 0; i < items.size(); ++i)
        QIAO_RETURN_IF_ERROR(Assign(*target.items[i], std::move(items[i])));
      return absl::OkStatus();
    }
  }
}

Value Interpreter::MakeMacro(const MacroDef& def) {
  auto macro = std::make_shared<MacroObject>();
  macro->def = &def;
  macro->scope = scope_;
  if (captured_.empty() || captured_.back() != scope_) captured_.push_back(scope_);
  return Value::Make(Kind::kMacro, std::move(macro));
}

}  // namespace qiao::text::jinja
