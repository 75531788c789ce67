// The tree of a parsed template. Built once, read by any number of renders at a time.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja_value.h"

namespace qiao::text::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> keyword;
  ExprPtr star, star_star;  // f(*list, **dict)
};

struct Expr {
  enum class Type : uint8_t {
    kConstant,   // constant
    kName,       // name
    kList,       // items
    kTuple,      // items
    kDict,       // items: key, value, key, value ...
    kAttribute,  // items[0].name
    kSubscript,  // items[0][items[1]]
    kSlice,      // items: start, stop, step; each may be null. Only below kSubscript.
    kCall,       // items[0](arguments)
    kFilter,     // items[0]|name(arguments); items[0] is null where the value comes from a block
    kTest,       // items[0] is name(arguments)
    kNot,
    kNegate,
    kPlus,
    kAnd,
    kOr,
    kBinary,              // items[0] op items[1]; name is the operator
    kConcat,              // items joined by ~
    kCompare,             // items[0] op0 items[1] op1 items[2] ...; operators in `operators`
    kConditional,         // items: condition, then, else (null: undefined)
    kNamespaceAttribute,  // as a target only: name.attribute
  };
  Type type;
  int line = 0;
  int depth = 1;  // of the tree below, itself included
  std::string name;
  std::string attribute;
  Value constant;
  std::vector<ExprPtr> items;
  std::vector<std::string> operators;
  CallArguments arguments;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

struct Parameter {
  std::string name;
  ExprPtr default_value;  // null: undefined when not given
};

// A macro, or the body of a call block.
struct MacroDef {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
};

struct Stmt {
  enum class Type : uint8_t {
    kText,         // text
    kPrint,        // expr
    kIf,           // branches, otherwise
    kFor,          // target in expr if condition: body, otherwise
    kSet,          // target = expr
    kSetBlock,     // target = body, through filter `expr` when given
    kMacro,        // macro
    kCallBlock,    // expr is the call, macro its caller
    kFilterBlock,  // expr over body
    kWith,         // assignments, body
    kScope,        // body in a scope of its own (generation)
    kBreak,
    kContinue,
  };
  Type type;
  int line = 0;
  std::string text;
  ExprPtr expr, target, condition;
  bool recursive = false;
  std::vector<std::pair<ExprPtr, Body>> branches;
  std::vector<std::pair<ExprPtr, ExprPtr>> assignments;
  Body body, otherwise;
  std::unique_ptr<MacroDef> macro;
};

}  // namespace qiao::text::jinja
