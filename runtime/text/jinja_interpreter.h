// Walks a parsed template and writes its text. One interpreter serves one render.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/text/jinja_ast.h"
#include "runtime/text/jinja_functions.h"

namespace qiao::text::jinja {

struct RenderLimits {
  int64_t max_output_bytes;
  int64_t max_range;
  int max_depth;  // of evaluation: nested expressions, blocks and macro calls together
};

// Names visible in a block. A macro keeps the scope it was written in.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> parent_scope) : parent(std::move(parent_scope)) {}

  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string_view, Value>> names;  // the views are of the tree or of the context
  absl::flat_hash_map<std::string_view, size_t> index;    // of names, once there are more than a few

  const Value* Find(std::string_view name) const;
  void Set(std::string_view name, Value value);

 private:
  size_t FindHere(std::string_view name) const;  // names.size() if it is not here
};

struct LoopObject;

class Interpreter {
 public:
  Interpreter(Budget& budget, const RenderLimits& limits, std::function<std::tm()> clock)
      : budget_(budget),
        limits_(limits),
        clock_(std::move(clock)),
        scope_(std::make_shared<Scope>(nullptr)) {}
  ~Interpreter();

  // The name must outlive the interpreter.
  void SetGlobal(std::string_view name, Value value) { scope_->Set(name, std::move(value)); }
  StatusOr<std::string> Render(const Body& body);
  // The template line of the innermost construct that failed; 0 before any failure.
  int error_line() const { return error_line_; }

 private:
  enum class Flow { kNext, kBreak, kContinue };
  friend struct LoopObject;

  StatusOr<Flow> Run(const Body& body);
  StatusOr<Flow> Execute(const Stmt& stmt);
  StatusOr<Flow> ExecuteFor(const Stmt& stmt, const Value& items, int depth);
  Status ExecuteSet(const Stmt& stmt);
  Status Assign(const Expr& target, Value value);
  Status Emit(std::string_view text);
  // Runs the body in a scope of its own with its output kept apart.
  StatusOr<std::string> Capture(const Body& body);

  StatusOr<Value> Evaluate(const Expr& expr);
  StatusOr<Value> EvaluateInner(const Expr& expr);
  StatusOr<Value> Lookup(const Expr& expr);
  StatusOr<Value> EvaluateCompare(const Expr& expr);
  StatusOr<Value> EvaluateFilter(const Expr& expr, const Value* piped);
  StatusOr<Value> EvaluateCall(const Expr& expr, const Value* caller);
  StatusOr<Value> EvaluateItem(const Expr& expr);
  StatusOr<Values> EvaluateAll(const std::vector<ExprPtr>& items);
  StatusOr<Arguments> EvaluateArguments(const CallArguments& arguments);

  StatusOr<Value> Call(const Value& callee, const Arguments& arguments);
  StatusOr<Value> CallMacro(const Value& macro, const Arguments& arguments);
  StatusOr<Value> CallFunction(std::string_view name, const Arguments& arguments);
  StatusOr<Value> Range(const Arguments& arguments);
  StatusOr<Value> Namespace(const Arguments& arguments);
  StatusOr<Value> Dict(const Arguments& arguments);
  StatusOr<Value> StrftimeNow(const Arguments& arguments);
  StatusOr<Value> LoopAttribute(LoopObject& loop, std::string_view name);
  StatusOr<Value> CallLoopMethod(LoopObject& loop, std::string_view name, const Arguments& arguments);
  StatusOr<bool> Ahead(LoopObject& loop, size_t count);
  Value MakeMacro(const MacroDef& def);

  Budget& budget_;
  RenderLimits limits_;
  std::function<std::tm()> clock_;
  std::shared_ptr<Scope> scope_;
  std::string* out_ = nullptr;
  int64_t out_bytes_ = 0;
  int depth_ = 0;
  int error_line_ = 0;
  // What may hold itself, to be emptied at the end.
  std::vector<std::shared_ptr<Scope>> captured_;
  std::vector<std::shared_ptr<NamespaceObject>> namespaces_;
};

}  // namespace qiao::text::jinja
