// Methods of dicts, lists and tuples; those of strings are in jinja_string_methods.cc.
#include "runtime/text/jinja_functions.h"

namespace qiao::text::jinja {
namespace {

StatusOr<Value> DictMethod(const Value& receiver, std::string_view name, const Arguments& arguments,
                           Budget& budget) {
  if (name == "get") {
    QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<2>("get", {"key", "default"}, 1)));
    if (!arguments.keyword.empty()) return InvalidArgument("get() takes no keyword arguments");
    QIAO_ASSIGN_OR_RETURN(std::string key, EncodeKey(*bound[0], budget));
    const Value* item = receiver.as<DictObject>().FindKey(key);
    return item != nullptr ? *item : bound[1] ? *bound[1] : Value::None();
  }
  if (name == "fromkeys") return Unimplemented("dict.fromkeys is not supported in chat templates");
  QIAO_RETURN_IF_ERROR((arguments.Bind<0>(name, {})).status());
  if (name == "copy") return receiver;  // nothing can change the original
  auto view = std::make_shared<DictViewObject>();
  view->part = name == "keys"     ? DictViewObject::Part::kKeys
               : name == "values" ? DictViewObject::Part::kValues
                                  : DictViewObject::Part::kItems;
  view->dict = receiver;
  view->depth = receiver.depth() + 1;
  QIAO_RETURN_IF_ERROR(budget.Depth(view->depth));
  return Value::Make(Kind::kDictView, std::move(view));
}

StatusOr<Value> SequenceMethod(const Value& receiver, std::string_view name, const Arguments& arguments,
                               Budget& budget) {
  if (name == "copy") return receiver;
  QIAO_ASSIGN_OR_RETURN(auto bound, (arguments.Bind<3>(name, {"value", "start", "stop"}, 1)));
  QIAO_ASSIGN_OR_RETURN(Values items, Iterate(receiver, budget));
  const int64_t length = static_cast<int64_t>(items.size());
  int64_t start = 0, stop = length, count = 0;
  if (name == "count" && (bound[1] || bound[2])) return InvalidArgument("count() takes exactly one argument");
  for (int i = 1; i <= 2; ++i) {
    if (!bound[static_cast<size_t>(i)]) continue;
    QIAO_ASSIGN_OR_RETURN(int64_t at, ToInteger("bound of index", *bound[static_cast<size_t>(i)],
                                                -(int64_t{1} << 60), int64_t{1} << 60));
    if (at < 0) at = std::max<int64_t>(at + length, 0);
    (i == 1 ? start : stop) = std::min(at, length);
  }
  for (int64_t i = start; i < stop; ++i) {
    QIAO_ASSIGN_OR_RETURN(bool same, Equal(items[static_cast<size_t>(i)], *bound[0], budget));
    if (same && name == "index") return Value::Int(i);
    count += same ? 1 : 0;
  }
  if (name == "index") return InvalidArgument("the value is not in the %s", TypeName(receiver));
  return Value::Int(count);
}

}  // namespace

StatusOr<Value> CallMethod(const Value& receiver, std::string_view name, const Arguments& arguments,
                           Budget& budget) {
  QIAO_RETURN_IF_ERROR(budget.Steps(1));
  if (receiver.is_string()) return CallStringMethod(receiver, name, arguments, budget);
  if (receiver.Is(Kind::kDict)) return DictMethod(receiver, name, arguments, budget);
  return SequenceMethod(receiver, name, arguments, budget);
}

}  // namespace qiao::text::jinja
