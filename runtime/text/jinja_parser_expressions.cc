#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/text/jinja_parser_impl.h"

namespace qiao::text::jinja {

ExprPtr Parser::New(Expr::Type type, int line) {
  auto node = std::make_unique<Expr>();
  node->type = type;
  node->line = line;
  return node;
}

StatusOr<ExprPtr> Parser::Finish(ExprPtr node) const {
  int depth = 0;
  const auto deepen = [&depth](const ExprPtr& child) {
    depth = child ? std::max(depth, child->depth) : depth;
  };
  for (const ExprPtr& child : node->items) deepen(child);
  for (const ExprPtr& child : node->arguments.positional) deepen(child);
  for (const auto& [name, child] : node->arguments.keyword) deepen(child);
  deepen(node->arguments.star);
  deepen(node->arguments.star_star);
  node->depth = depth + 1;
  if (node->depth > limits_.max_depth) {
    return ResourceExhausted("line %d: an expression nests more than %d deep (max_parse_depth)", node->line,
                             limits_.max_depth);
  }
  return node;
}

StatusOr<ExprPtr> Parser::Binary(Expr::Type type, int line, std::string_view op, ExprPtr left,
                                 ExprPtr right) const {
  ExprPtr node = New(type, line);
  node->name = std::string(op);
  node->items.push_back(std::move(left));
  node->items.push_back(std::move(right));
  return Finish(std::move(node));
}

std::string Parser::Describe(const Token& token) const {
  switch (token.type) {
    case Token::Type::kEnd:
      return "the end of the template";
    case Token::Type::kPrintBegin:
      return "'{{'";
    case Token::Type::kPrintEnd:
      return "'}}'";
    case Token::Type::kBlockBegin:
      return "'{%'";
    case Token::Type::kBlockEnd:
      return "'%}'";
    case Token::Type::kData:
      return "text";
    case Token::Type::kString:
      return "a string";
    default:
      return absl::StrCat("'", token.text, "'");
  }
}

Status Parser::ExpectOp(std::string_view op) {
  if (SkipOp(op)) return absl::OkStatus();
  return Fail(Peek().line, absl::StrCat("expected '", Abs(op), "', got ", Describe(Peek())));
}

Status Parser::Expect(Token::Type type, std::string_view what) {
  if (Peek().type != type) {
    return Fail(Peek().line, absl::StrCat("expected '", Abs(what), "', got ", Describe(Peek())));
  }
  Next();
  return absl::OkStatus();
}

StatusOr<std::string> Parser::ExpectName() {
  if (Peek().type != Token::Type::kName) {
    return Fail(Peek().line, absl::StrCat("expected a name, got ", Describe(Peek())));
  }
  return Next().text;
}

StatusOr<ExprPtr> Parser::ParseTuple(bool with_condition, std::string_view end_name, bool parenthesised) {
  const int line = Peek().line;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  for (;;) {
    const Token& token = Peek();
    if (token.type == Token::Type::kPrintEnd || token.type == Token::Type::kBlockEnd || IsOp(")") ||
        (!end_name.empty() && IsName(end_name))) {
      break;
    }
    QIAO_ASSIGN_OR_RETURN(ExprPtr item, ParseExpression(with_condition));
    items.push_back(std::move(item));
    if (!SkipOp(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!parenthesised) return Fail(line, absl::StrCat("expected an expression, got ", Describe(Peek())));
  }
  ExprPtr tuple = New(Expr::Type::kTuple, line);
  tuple->items = std::move(items);
  return Finish(std::move(tuple));
}

StatusOr<ExprPtr> Parser::ParseExpression(bool with_condition) {
  Nest nest(this);
  QIAO_RETURN_IF_ERROR(nest.Check());
  return with_condition ? ParseConditional() : ParseOr();
}

StatusOr<ExprPtr> Parser::ParseConditional() {
  Nest nest(this);
  QIAO_RETURN_IF_ERROR(nest.Check());
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr value, ParseOr());
  while (SkipName("if")) {
    ExprPtr node = New(Expr::Type::kConditional, line);
    QIAO_ASSIGN_OR_RETURN(ExprPtr condition, ParseOr());
    ExprPtr otherwise;
    if (SkipName("else")) {
      QIAO_ASSIGN_OR_RETURN(otherwise, ParseConditional());
    }
    node->items.push_back(std::move(condition));
    node->items.push_back(std::move(value));
    node->items.push_back(std::move(otherwise));
    QIAO_ASSIGN_OR_RETURN(value, Finish(std::move(node)));
  }
  return value;
}

StatusOr<ExprPtr> Parser::ParseOr() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr left, ParseAnd());
  while (SkipName("or")) {
    QIAO_ASSIGN_OR_RETURN(ExprPtr right, ParseAnd());
    QIAO_ASSIGN_OR_RETURN(left, Binary(Expr::Type::kOr, line, "or", std::move(left), std::move(right)));
  }
  return left;
}

StatusOr<ExprPtr> Parser::ParseAnd() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr left, ParseNot());
  while (SkipName("and")) {
    QIAO_ASSIGN_OR_RETURN(ExprPtr right, ParseNot());
    QIAO_ASSIGN_OR_RETURN(left, Binary(Expr::Type::kAnd, line, "and", std::move(left), std::move(right)));
  }
  return left;
}

StatusOr<ExprPtr> Parser::ParseNot() {
  if (!IsName("not")) return ParseCompare();
  Nest nest(this);
  QIAO_RETURN_IF_ERROR(nest.Check());
  ExprPtr node = New(Expr::Type::kNot, Next().line);
  QIAO_ASSIGN_OR_RETURN(ExprPtr operand, ParseNot());
  node->items.push_back(std::move(operand));
  return Finish(std::move(node));
}

StatusOr<ExprPtr> Parser::ParseCompare() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr first, ParseSum());
  ExprPtr node;
  for (;;) {
    std::string op;
    if (IsOp("==") || IsOp("!=") || IsOp("<") || IsOp("<=") || IsOp(">") || IsOp(">=")) {
      op = Next().text;
    } else if (SkipName("in")) {
      op = "in";
    } else if (IsName("not") && IsName("in", 1)) {
      Next();
      Next();
      op = "not in";
    } else {
      break;
    }
    if (!node) {
      node = New(Expr::Type::kCompare, line);
      node->items.push_back(std::move(first));
    }
    QIAO_ASSIGN_OR_RETURN(ExprPtr operand, ParseSum());
    node->operators.push_back(std::move(op));
    node->items.push_back(std::move(operand));
  }
  if (!node) return first;
  return Finish(std::move(node));
}

StatusOr<ExprPtr> Parser::ParseSum() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr left, ParseConcat());
  while (IsOp("+") || IsOp("-")) {
    const std::string op = Next().text;
    QIAO_ASSIGN_OR_RETURN(ExprPtr right, ParseConcat());
    QIAO_ASSIGN_OR_RETURN(left, Binary(Expr::Type::kBinary, line, op, std::move(left), std::move(right)));
  }
  return left;
}

StatusOr<ExprPtr> Parser::ParseConcat() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr first, ParseProduct());
  if (!IsOp("~")) return first;
  ExprPtr node = New(Expr::Type::kConcat, line);
  node->items.push_back(std::move(first));
  while (SkipOp("~")) {
    QIAO_ASSIGN_OR_RETURN(ExprPtr item, ParseProduct());
    node->items.push_back(std::move(item));
  }
  return Finish(std::move(node));
}

StatusOr<ExprPtr> Parser::ParseProduct() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr left, ParsePower());
  while (IsOp("*") || IsOp("/") || IsOp("//") || IsOp("%")) {
    const std::string op = Next().text;
    QIAO_ASSIGN_OR_RETURN(ExprPtr right, ParsePower());
    QIAO_ASSIGN_OR_RETURN(left, Binary(Expr::Type::kBinary, line, op, std::move(left), std::move(right)));
  }
  return left;
}

StatusOr<ExprPtr> Parser::ParsePower() {
  const int line = Peek().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr left, ParseUnary());
  while (SkipOp("**")) {
    QIAO_ASSIGN_OR_RETURN(ExprPtr right, ParseUnary());
    QIAO_ASSIGN_OR_RETURN(left, Binary(Expr::Type::kBinary, line, "**", std::move(left), std::move(right)));
  }
  return left;
}

StatusOr<ExprPtr> Parser::ParseUnary(bool with_filter) {
  ExprPtr node;
  if (IsOp("-") || IsOp("+")) {
    Nest nest(this);
    QIAO_RETURN_IF_ERROR(nest.Check());
    const bool negate = IsOp("-");
    ExprPtr unary = New(negate ? Expr::Type::kNegate : Expr::Type::kPlus, Next().line);
    QIAO_ASSIGN_OR_RETURN(ExprPtr operand, ParseUnary(false));
    unary->items.push_back(std::move(operand));
    QIAO_ASSIGN_OR_RETURN(node, Finish(std::move(unary)));
  } else {
    QIAO_ASSIGN_OR_RETURN(node, ParsePrimary());
  }
  QIAO_ASSIGN_OR_RETURN(node, ParsePostfix(std::move(node)));
  while (with_filter) {
    if (IsOp("|")) {
      QIAO_ASSIGN_OR_RETURN(node, ParseFilters(std::move(node), false));
    } else if (IsName("is")) {
      QIAO_ASSIGN_OR_RETURN(node, ParseTest(std::move(node)));
    } else if (IsOp("(")) {
      QIAO_ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      break;
    }
  }
  return node;
}

StatusOr<ExprPtr> Parser::ParsePrimary() {
  const Token& token = Peek();
  ExprPtr node = New(Expr::Type::kConstant, token.line);
  switch (token.type) {
    case Token::Type::kName:
      Next();
      if (token.text == "true" || token.text == "True") {
        node->constant = Value::Bool(true);
      } else if (token.text == "false" || token.text == "False") {
        node->constant = Value::Bool(false);
      } else if (token.text == "none" || token.text == "None") {
        node->constant = Value::None();
      } else {
        node->type = Expr::Type::kName;
        node->name = token.text;
        for (MacroDef* macro : macros_) {
          macro->uses_varargs |= token.text == "varargs";
          macro->uses_kwargs |= token.text == "kwargs";
          macro->uses_caller |= token.text == "caller";
        }
      }
      return node;
    case Token::Type::kString: {
      std::string text;
      while (Peek().type == Token::Type::kString) text += Next().text;
      node->constant = Value::String(std::move(text));
      return node;
    }
    case Token::Type::kInteger:
      node->constant = Value::Int(Next().integer);
      return node;
    case Token::Type::kFloat:
      node->constant = Value::Float(Next().number);
      return node;
    default:
      break;
  }
  if (SkipOp("(")) {
    Nest nest(this);
    QIAO_RETURN_IF_ERROR(nest.Check());
    QIAO_ASSIGN_OR_RETURN(node, ParseTuple(true, {}, true));
    QIAO_RETURN_IF_ERROR(ExpectOp(")"));
    return node;
  }
  if (IsOp("[") || IsOp("{")) return ParseListOrDict();
  return Fail(token.line, absl::StrCat("unexpected ", Describe(token)));
}

StatusOr<ExprPtr> Parser::ParseListOrDict() {
  const bool dict = IsOp("{");
  const std::string_view close = dict ? "}" : "]";
  ExprPtr node = New(dict ? Expr::Type::kDict : Expr::Type::kList, Next().line);
  while (!IsOp(close)) {
    if (!node->items.empty()) QIAO_RETURN_IF_ERROR(ExpectOp(","));
    if (IsOp(close)) break;
    QIAO_ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    node->items.push_back(std::move(item));
    if (!dict) continue;
    QIAO_RETURN_IF_ERROR(ExpectOp(":"));
    QIAO_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
    node->items.push_back(std::move(value));
  }
  QIAO_RETURN_IF_ERROR(ExpectOp(close));
  return Finish(std::move(node));
}

StatusOr<ExprPtr> Parser::ParsePostfix(ExprPtr node) {
  for (;;) {
    if (IsOp(".") || IsOp("[")) {
      QIAO_ASSIGN_OR_RETURN(node, ParseSubscript(std::move(node)));
    } else if (IsOp("(")) {
      QIAO_ASSIGN_OR_RETURN(node, ParseCall(std::move(node)));
    } else {
      return node;
    }
  }
}

StatusOr<ExprPtr> Parser::ParseSubscript(ExprPtr node) {
  const int line = Peek().line;
  if (SkipOp(".")) {
    const Token& name = Next();
    if (name.type == Token::Type::kName) {
      ExprPtr attribute = New(Expr::Type::kAttribute, line);
      attribute->name = name.text;
      attribute->items.push_back(std::move(node));
      return Finish(std::move(attribute));
    }
    if (name.type != Token::Type::kInteger) return Fail(name.line, "expected a name or a number after '.'");
    ExprPtr index = New(Expr::Type::kConstant, name.line);
    index->constant = Value::Int(name.integer);
    return Binary(Expr::Type::kSubscript, line, "", std::move(node), std::move(index));
  }
  Next();
  std::vector<ExprPtr> items;
  while (!IsOp("]")) {
    if (!items.empty()) QIAO_RETURN_IF_ERROR(ExpectOp(","));
    QIAO_ASSIGN_OR_RETURN(ExprPtr item, ParseSubscribed());
    items.push_back(std::move(item));
  }
  QIAO_RETURN_IF_ERROR(ExpectOp("]"));
  if (items.size() == 1)
    return Binary(Expr::Type::kSubscript, line, "", std::move(node), std::move(items[0]));
  ExprPtr tuple = New(Expr::Type::kTuple, line);
  for (const ExprPtr& item : items) {
    if (item->type == Expr::Type::kSlice)
      return Fail(line, "a slice among several subscripts is not supported");
  }
  tuple->items = std::move(items);
  QIAO_ASSIGN_OR_RETURN(tuple, Finish(std::move(tuple)));
  return Binary(Expr::Type::kSubscript, line, "", std::move(node), std::move(tuple));
}

StatusOr<ExprPtr> Parser::ParseSubscribed() {
  const int line = Peek().line;
  ExprPtr start, stop, step;
  if (!IsOp(":")) {
    QIAO_ASSIGN_OR_RETURN(start, ParseExpression());
    if (!IsOp(":")) return start;
  }
  Next();
  if (!IsOp(":") && !IsOp("]") && !IsOp(",")) {
    QIAO_ASSIGN_OR_RETURN(stop, ParseExpression());
  }
  if (SkipOp(":") && !IsOp("]") && !IsOp(",")) {
    QIAO_ASSIGN_OR_RETURN(step, ParseExpression());
  }
  ExprPtr slice = New(Expr::Type::kSlice, line);
  slice->items.push_back(std::move(start));
  slice->items.push_back(std::move(stop));
  slice->items.push_back(std::move(step));
  return Finish(std::move(slice));
}

StatusOr<ExprPtr> Parser::ParseCall(ExprPtr node) {
  ExprPtr call = New(Expr::Type::kCall, Peek().line);
  call->items.push_back(std::move(node));
  QIAO_RETURN_IF_ERROR(ParseArguments(&call->arguments));
  return Finish(std::move(call));
}

Status Parser::ParseArguments(CallArguments* out) {
  const int line = Peek().line;
  const Status misplaced = Fail(line, "invalid syntax for function call expression");
  QIAO_RETURN_IF_ERROR(ExpectOp("("));
  for (bool first = true; !IsOp(")"); first = false) {
    if (!first) {
      QIAO_RETURN_IF_ERROR(ExpectOp(","));
      if (IsOp(")")) break;
    }
    if (SkipOp("*")) {
      if (out->star || out->star_star) return misplaced;
      QIAO_ASSIGN_OR_RETURN(out->star, ParseExpression());
    } else if (SkipOp("**")) {
      if (out->star_star) return misplaced;
      QIAO_ASSIGN_OR_RETURN(out->star_star, ParseExpression());
    } else if (Peek().type == Token::Type::kName && IsOp("=", 1)) {
      if (out->star_star) return misplaced;
      std::string name = Next().text;
      Next();
      QIAO_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
      out->keyword.emplace_back(std::move(name), std::move(value));
    } else {
      if (out->star || out->star_star || !out->keyword.empty()) return misplaced;
      QIAO_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
      out->positional.push_back(std::move(value));
    }
  }
  return ExpectOp(")");
}

StatusOr<std::string> Parser::ParseDottedName() {
  QIAO_ASSIGN_OR_RETURN(std::string name, ExpectName());
  while (SkipOp(".")) {
    QIAO_ASSIGN_OR_RETURN(std::string part, ExpectName());
    absl::StrAppend(&name, ".", part);
  }
  return name;
}

StatusOr<ExprPtr> Parser::ParseFilters(ExprPtr node, bool start_inline) {
  while (start_inline || SkipOp("|")) {
    start_inline = false;
    ExprPtr filter = New(Expr::Type::kFilter, Peek().line);
    QIAO_ASSIGN_OR_RETURN(filter->name, ParseDottedName());
    if (IsOp("(")) QIAO_RETURN_IF_ERROR(ParseArguments(&filter->arguments));
    filter->items.push_back(std::move(node));
    QIAO_ASSIGN_OR_RETURN(node, Finish(std::move(filter)));
  }
  return node;
}

StatusOr<ExprPtr> Parser::ParseTest(ExprPtr node) {
  ExprPtr test = New(Expr::Type::kTest, Next().line);
  const bool negated = SkipName("not");
  QIAO_ASSIGN_OR_RETURN(test->name, ParseDottedName());
  test->items.push_back(std::move(node));
  const Token::Type type = Peek().type;
  if (IsOp("(")) {
    QIAO_RETURN_IF_ERROR(ParseArguments(&test->arguments));
  } else if ((type == Token::Type::kName || type == Token::Type::kString || type == Token::Type::kInteger ||
              type == Token::Type::kFloat || IsOp("[") || IsOp("{")) &&
             !IsName("else") && !IsName("or") && !IsName("and")) {
    if (IsName("is")) return Fail(Peek().line, "you cannot chain multiple tests with is");
    QIAO_ASSIGN_OR_RETURN(ExprPtr argument, ParsePrimary());
    QIAO_ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    test->arguments.positional.push_back(std::move(argument));
  }
  QIAO_ASSIGN_OR_RETURN(ExprPtr result, Finish(std::move(test)));
  if (!negated) return result;
  ExprPtr inverse = New(Expr::Type::kNot, result->line);
  inverse->items.push_back(std::move(result));
  return Finish(std::move(inverse));
}

}  // namespace qiao::text::jinja
