// Calls: macros, and the functions that transformers and Jinja give a template.
#include <algorithm>

#include "runtime/text/jinja_interpreter_impl.h"

namespace qiao::text::jinja {
namespace {

constexpr int64_t kRangeBound = int64_t{1} << 60;  // of a range's ends: sums of them stay within 64 bits
constexpr size_t kMaxTimeFormat = 256;

}  // namespace

StatusOr<Value> Interpreter::Call(const Value& callee, const Arguments& arguments) {
  switch (callee.kind()) {
    case Kind::kMethod: {
      const MethodObject& method = callee.as<MethodObject>();
      if (method.receiver.Is(Kind::kLoop)) {
        return CallLoopMethod(method.receiver.as<LoopObject>(), method.name, arguments);
      }
      return CallMethod(method.receiver, method.name, arguments, budget_);
    }
    case Kind::kFunction:
      return CallFunction(callee.str(), arguments);
    case Kind::kMacro:
      return CallMacro(callee, arguments);
    case Kind::kLoop:
      return CallLoopMethod(callee.as<LoopObject>(), "", arguments);
    case Kind::kUndefined:
      return UndefinedError(callee);
    default:
      return InvalidArgument("'%s' object is not callable", TypeName(callee));
  }
}

StatusOr<Value> Interpreter::CallMacro(const Value& value, const Arguments& arguments) {
  const MacroObject& macro = value.as<MacroObject>();
  const MacroDef& def = *macro.def;
  const auto scope = std::make_shared<Scope>(macro.scope);
  QIAO_RETURN_IF_ERROR(
      budget_.Bytes(sizeof(Scope) + (def.parameters.size() + arguments.positional.size()) * 64));

  QIAO_RETURN_IF_ERROR(
      budget_.Steps(static_cast<int64_t>(def.parameters.size() * arguments.keyword.size() / 8)));
  std::vector<std::pair<std::string, Value>> rest = arguments.keyword;
  std::vector<size_t> missing;
  bool takes_caller = def.uses_caller;
  for (size_t i = 0; i < def.parameters.size(); ++i) {
    const std::string& name = def.parameters[i].name;
    takes_caller = takes_caller && name != "caller";
    const auto named = std::find_if(rest.begin(), rest.end(), [&](const auto& r) { return r.first == name; });
    if (i < arguments.positional.size()) {
      if (named != rest.end()) return InvalidArgument("macro '%s' got two values for '%s'", def.name, name);
      scope->Set(name, arguments.positional[i]);
    } else if (named != rest.end()) {
      scope->Set(name, std::move(named->second));
      rest.erase(named);
    } else {
      missing.push_back(i);
    }
  }
  if (takes_caller) {
    const auto given =
        std::find_if(rest.begin(), rest.end(), [](const auto& r) { return r.first == "caller"; });
    scope->Set("caller", given != rest.end() ? given->second : Value::Undefined("no caller defined"));
    if (given != rest.end()) rest.erase(given);
  }
  if (def.uses_kwargs) {
    std::vector<std::pair<Value, Value>> entries;
    for (auto& [name, v] : rest) entries.emplace_back(Value::String(name), std::move(v));
    QIAO_ASSIGN_OR_RETURN(Value kwargs, NewDict(std::move(entries), budget_));
    scope->Set("kwargs", std::move(kwargs));
  } else if (!rest.empty()) {
    return InvalidArgument("macro '%s' takes no keyword argument '%s'", def.name, rest[0].first);
  }
  if (def.uses_varargs) {
    Values extra;
    for (size_t i = def.parameters.size(); i < arguments.positional.size(); ++i)
      extra.push_back(arguments.positional[i]);
    QIAO_ASSIGN_OR_RETURN(Value varargs, NewSequence(Kind::kTuple, std::move(extra), budget_));
    scope->Set("varargs", std::move(varargs));
  } else if (arguments.positional.size() > def.parameters.size()) {
    return InvalidArgument("macro '%s' takes not more than %d argument(s)", def.name, def.parameters.size());
  }

  std::string text;
  std::string* const outer_out = std::exchange(out_, &text);
  const std::shared_ptr<Scope> outer = std::exchange(scope_, scope);
  const auto run = [&]() -> Status {
    // Defaults see the parameters before them.
    for (size_t i : missing) {
      Value v = Value::Undefined(absl::StrFormat("parameter '%s' was not provided", def.parameters[i].name));
      if (def.parameters[i].default_value) {
        QIAO_ASSIGN_OR_RETURN(v, Evaluate(*def.parameters[i].default_value));
      }
      scope_->Set(def.parameters[i].name, std::move(v));
    }
    return Run(def.body).status();
  };
  const Status status = run();
  scope_ = outer;
  out_ = outer_out;
  QIAO_RETURN_IF_ERROR(status);
  return NewString(std::move(text), budget_);
}

StatusOr<Value> Interpreter::CallFunction(std::string_view name, const Arguments& arguments) {
  if (name == "range") return Range(arguments);
  if (name == "namespace") return Namespace(arguments);
  if (name == "dict") return Dict(arguments);
  if (name == "strftime_now") return StrftimeNow(arguments);
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("raise_exception", {"message"}, 1)));
  QIAO_ASSIGN_OR_RETURN(std::string message, TextOf(bound[0].value_or(Value()), budget_));
  return InvalidArgument("the chat template refuses this conversation: %s", message);
}

StatusOr<Value> Interpreter::Range(const Arguments& arguments) {
  if (!arguments.keyword.empty()) return InvalidArgument("range() takes no keyword arguments");
  const Values& given = arguments.positional;
  if (given.empty() || given.size() > 3)
    return InvalidArgument("range() takes 1 to 3 arguments, %d given", given.size());
  int64_t bounds[3] = {0, 0, 1};
  for (size_t i = 0; i < given.size(); ++i) {
    QIAO_ASSIGN_OR_RETURN(bounds[given.size() == 1 ? 1 : i],
                          ToInteger("bound of range()", given[i], -kRangeBound, kRangeBound));
  }
  auto range = std::make_shared<RangeObject>();
  range->start = bounds[0];
  range->stop = bounds[1];
  range->step = bounds[2];
  if (range->step == 0) return InvalidArgument("range() arg 3 must not be zero");
  const int64_t distance = range->step > 0 ? range->stop - range->start : range->start - range->stop;
  const int64_t stride = range->step > 0 ? range->step : -range->step;
  range->length = distance > 0 ? (distance - 1) / stride + 1 : 0;
  if (range->length > limits_.max_range) {
    return ResourceExhausted("a range of %d numbers is larger than %d (max_range)", range->length,
                             limits_.max_range);
  }
  return Value::Make(Kind::kRange, std::move(range));
}

StatusOr<Value> Interpreter::Dict(const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) return InvalidArgument("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.Is(Kind::kDict)) {
      entries = source.as<DictObject>().entries;
    } else {
      QIAO_ASSIGN_OR_RETURN(Values pairs, Iterate(source, budget_));
      for (const Value& pair : pairs) {
        QIAO_ASSIGN_OR_RETURN(Values parts, Iterate(pair, budget_));
        if (parts.size() != 2)
          return InvalidArgument("dict: an element has %d parts, 2 are required", parts.size());
        entries.emplace_back(parts[0], parts[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.keyword) entries.emplace_back(Value::String(name), value);
  return NewDict(std::move(entries), budget_);
}

StatusOr<Value> Interpreter::Namespace(const Arguments& arguments) {
  QIAO_ASSIGN_OR_RETURN(Value initial, Dict(arguments));
  auto ns = std::make_shared<NamespaceObject>();
  QIAO_RETURN_IF_ERROR(budget_.Bytes(sizeof(NamespaceObject)));
  for (const auto& [key, value] : initial.as<DictObject>().entries) {
    if (key.is_string()) ns->attributes.emplace_back(std::string(key.str()), value);
  }
  namespaces_.push_back(ns);
  return Value::Make(Kind::kNamespace, std::move(ns));
}

StatusOr<Value> Interpreter::StrftimeNow(const Arguments& arguments) {
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<1>("strftime_now", {"format"}, 1)));
  const Value given = bound[0].value_or(Value());
  if (!given.is_string()) return InvalidArgument("strftime_now takes a string");
  const std::string format(given.str());
  if (format.empty()) return Value::String("");
  if (format.size() > kMaxTimeFormat || format.find('\0') != format.npos) {
    return InvalidArgument("strftime_now: the format is longer than %d bytes or holds a NUL", kMaxTimeFormat);
  }
  const std::tm now = clock_();
  char text[4096];
  const size_t size = std::strftime(text, sizeof text, format.c_str(), &now);
  if (size == 0) return InvalidArgument("strftime_now: the format '%s' gives nothing or too much", format);
  return NewString(std::string(text, size), budget_);
}

}  // namespace qiao::text::jinja
