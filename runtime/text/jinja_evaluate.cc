// Expressions.
#include "runtime/text/jinja_interpreter_impl.h"
#include "runtime/text/jinja_operators.h"

namespace qiao::text::jinja {

StatusOr<Value> Interpreter::Evaluate(const Expr& expr) {
  QIAO_RETURN_IF_ERROR(budget_.Steps(1));
  // The frequent leaves first: they need no frame of their own.
  if (expr.type == Expr::Type::kConstant) return expr.constant;
  if (expr.type == Expr::Type::kName) return Lookup(expr);
  if (depth_ >= limits_.max_depth) {
    if (error_line_ == 0) error_line_ = expr.line;
    return ResourceExhausted("the template nests calls and blocks more than %d deep (max_depth)",
                             limits_.max_depth);
  }
  ++depth_;
  StatusOr<Value> value = EvaluateInner(expr);
  --depth_;
  if (!value.ok() && error_line_ == 0) error_line_ = expr.line;
  return value;
}

StatusOr<Value> Interpreter::Lookup(const Expr& expr) {
  if (const Value* value = scope_->Find(expr.name)) return *value;
  for (std::string_view function : {"range", "dict", "namespace", "raise_exception", "strftime_now"}) {
    if (expr.name == function) return Value::Function(function);
  }
  for (std::string_view function : {"lipsum", "cycler", "joiner"}) {
    if (expr.name == function)
      return Unimplemented("the function %s is not supported in chat templates", function);
  }
  QIAO_RETURN_IF_ERROR(budget_.Bytes(96));
  return Value::Undefined(absl::StrFormat("'%s' is undefined", expr.name));
}

StatusOr<Values> Interpreter::EvaluateAll(const std::vector<ExprPtr>& items) {
  Values out;
  out.reserve(items.size());
  for (const ExprPtr& item : items) {
    QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*item));
    out.push_back(std::move(value));
  }
  return out;
}

StatusOr<Value> Interpreter::EvaluateInner(const Expr& expr) {
  switch (expr.type) {
    case Expr::Type::kConstant:
      return expr.constant;
    case Expr::Type::kName:
      return Lookup(expr);
    case Expr::Type::kList:
    case Expr::Type::kTuple: {
      QIAO_ASSIGN_OR_RETURN(Values items, EvaluateAll(expr.items));
      return NewSequence(expr.type == Expr::Type::kList ? Kind::kList : Kind::kTuple, std::move(items),
                         budget_);
    }
    case Expr::Type::kDict: {
      QIAO_ASSIGN_OR_RETURN(Values items, EvaluateAll(expr.items));
      std::vector<std::pair<Value, Value>> entries;
      for (size_t i = 0; i + 1 < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
      return NewDict(std::move(entries), budget_);
    }
    case Expr::Type::kAttribute:
    case Expr::Type::kSubscript:
      return EvaluateItem(expr);
    case Expr::Type::kCall:
      return EvaluateCall(expr, nullptr);
    case Expr::Type::kFilter:
      return EvaluateFilter(expr, nullptr);
    case Expr::Type::kTest: {
      QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.items[0]));
      QIAO_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expr.arguments));
      QIAO_ASSIGN_OR_RETURN(bool yes, ApplyTest(expr.name, value, arguments, budget_));
      return Value::Bool(yes);
    }
    case Expr::Type::kNot: {
      QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.items[0]));
      return Value::Bool(!Truthy(value));
    }
    case Expr::Type::kNegate: {
      QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.items[0]));
      return Negate(value);
    }
    case Expr::Type::kPlus: {
      QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*expr.items[0]));
      return Plus(value);
    }
    case Expr::Type::kAnd:
    case Expr::Type::kOr: {
      QIAO_ASSIGN_OR_RETURN(Value left, Evaluate(*expr.items[0]));
      if (Truthy(left) == (expr.type == Expr::Type::kOr)) return left;
      return Evaluate(*expr.items[1]);
    }
    case Expr::Type::kBinary: {
      QIAO_ASSIGN_OR_RETURN(Value left, Evaluate(*expr.items[0]));
      QIAO_ASSIGN_OR_RETURN(Value right, Evaluate(*expr.items[1]));
      return BinaryOperator(expr.name, left, right, budget_);
    }
    case Expr::Type::kConcat: {
      std::string out;
      for (const ExprPtr& item : expr.items) {
        QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*item));
        QIAO_ASSIGN_OR_RETURN(std::string text, Str(value, budget_));
        out += text;
      }
      return NewString(std::move(out), budget_);
    }
    case Expr::Type::kCompare:
      return EvaluateCompare(expr);
    case Expr::Type::kConditional: {
      QIAO_ASSIGN_OR_RETURN(Value condition, Evaluate(*expr.items[0]));
      if (Truthy(condition)) return Evaluate(*expr.items[1]);
      if (expr.items[2]) return Evaluate(*expr.items[2]);
      return Value::Undefined("the inline if-expression evaluated to false and no else section was defined");
    }
    case Expr::Type::kSlice:
    case Expr::Type::kNamespaceAttribute:
      break;
  }
  return Internal("an expression stands where none can");
}

StatusOr<Value> Interpreter::EvaluateCompare(const Expr& expr) {
  QIAO_ASSIGN_OR_RETURN(Value left, Evaluate(*expr.items[0]));
  bool result = true;
  for (size_t i = 0; i < expr.operators.size() && result; ++i) {
    const std::string& op = expr.operators[i];
    QIAO_ASSIGN_OR_RETURN(Value right, Evaluate(*expr.items[i + 1]));
    if (op == "==" || op == "!=") {
      QIAO_ASSIGN_OR_RETURN(result, Equal(left, right, budget_));
      if (op == "!=") result = !result;
    } else if (op == "in" || op == "not in") {
      QIAO_ASSIGN_OR_RETURN(result, Contains(right, left, budget_));
      if (op == "not in") result = !result;
    } else {
      bool unordered = false;
      QIAO_ASSIGN_OR_RETURN(int c, Compare(left, right, op, budget_, &unordered));
      result = !unordered && (op == "<" ? c < 0 : op == "<=" ? c <= 0 : op == ">" ? c > 0 : c >= 0);
    }
    left = std::move(right);
  }
  return Value::Bool(result);
}

StatusOr<Value> Interpreter::EvaluateItem(const Expr& expr) {
  QIAO_ASSIGN_OR_RETURN(Value object, Evaluate(*expr.items[0]));
  if (expr.type == Expr::Type::kAttribute) {
    if (object.Is(Kind::kLoop)) return LoopAttribute(object.as<LoopObject>(), expr.name);
    if (object.Is(Kind::kMacro) && expr.name == "name")
      return Value::String(object.as<MacroObject>().def->name);
    return GetAttribute(object, expr.name, budget_);
  }
  const Expr& key = *expr.items[1];
  if (key.type == Expr::Type::kSlice) {
    Value bounds[3] = {Value::None(), Value::None(), Value::None()};
    for (size_t i = 0; i < 3; ++i) {
      if (!key.items[i]) continue;
      QIAO_ASSIGN_OR_RETURN(bounds[i], Evaluate(*key.items[i]));
    }
    return Slice(object, bounds[0], bounds[1], bounds[2], budget_);
  }
  QIAO_ASSIGN_OR_RETURN(Value index, Evaluate(key));
  if (object.Is(Kind::kLoop) && index.is_string()) return LoopAttribute(object.as<LoopObject>(), index.str());
  return GetItem(object, index, budget_);
}

StatusOr<Value> Interpreter::EvaluateFilter(const Expr& expr, const Value* piped) {
  Value value;
  if (!expr.items[0]) {
    value = *piped;
  } else if (piped != nullptr) {  // a chain over a block: only filters lie below
    QIAO_ASSIGN_OR_RETURN(value, EvaluateFilter(*expr.items[0], piped));
  } else {
    QIAO_ASSIGN_OR_RETURN(value, Evaluate(*expr.items[0]));
  }
  QIAO_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expr.arguments));
  return ApplyFilter(expr.name, value, arguments, budget_);
}

StatusOr<Arguments> Interpreter::EvaluateArguments(const CallArguments& arguments) {
  Arguments out;
  QIAO_ASSIGN_OR_RETURN(out.positional, EvaluateAll(arguments.positional));
  for (const auto& [name, expr] : arguments.keyword) {
    QIAO_ASSIGN_OR_RETURN(Value value, Evaluate(*expr));
    if (out.Keyword(name) != nullptr)
      return InvalidArgument("the keyword argument '%s' is given twice", name);
    out.keyword.emplace_back(name, std::move(value));
  }
  if (arguments.star) {
    QIAO_ASSIGN_OR_RETURN(Value list, Evaluate(*arguments.star));
    QIAO_ASSIGN_OR_RETURN(Values items, Iterate(list, budget_));
    out.positional.insert(out.positional.end(), items.begin(), items.end());
  }
  if (arguments.star_star) {
    QIAO_ASSIGN_OR_RETURN(Value dict, Evaluate(*arguments.star_star));
    if (!dict.Is(Kind::kDict))
      return InvalidArgument("argument after ** must be a mapping, not '%s'", TypeName(dict));
    for (const auto& [key, value] : dict.as<DictObject>().entries) {
      if (!key.is_string()) return InvalidArgument("keywords must be strings");
      QIAO_RETURN_IF_ERROR(budget_.Steps(static_cast<int64_t>(out.keyword.size())));
      if (out.Keyword(key.str()) != nullptr) {
        return InvalidArgument("the keyword argument '%s' is given twice", key.str());
      }
      out.keyword.emplace_back(std::string(key.str()), value);
    }
  }
  return out;
}

StatusOr<Value> Interpreter::EvaluateCall(const Expr& expr, const Value* caller) {
  QIAO_ASSIGN_OR_RETURN(Value callee, Evaluate(*expr.items[0]));
  QIAO_ASSIGN_OR_RETURN(Arguments arguments, EvaluateArguments(expr.arguments));
  if (caller != nullptr) arguments.keyword.emplace_back("caller", *caller);
  return Call(callee, arguments);
}

}  // namespace qiao::text::jinja
