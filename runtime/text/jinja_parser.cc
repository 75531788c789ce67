#include "runtime/text/jinja_parser.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/text/jinja_parser_impl.h"

namespace qiao::text::jinja {
namespace {

StmtPtr NewStmt(Stmt::Type type, int line) {
  auto stmt = std::make_unique<Stmt>();
  stmt->type = type;
  stmt->line = line;
  return stmt;
}

}  // namespace

StatusOr<Body> ParseTemplate(std::string_view source, const ParseLimits& limits) {
  QIAO_ASSIGN_OR_RETURN(std::vector<Token> tokens, Lex(source, limits.max_tokens));
  return Parser(std::move(tokens), limits).ParseAll();
}

StatusOr<Body> Parser::ParseAll() { return ParseBody({}); }

StatusOr<Body> Parser::ParseBody(std::initializer_list<std::string_view> end_tags) {
  Nest nest(this);
  QIAO_RETURN_IF_ERROR(nest.Check());
  Body body;
  for (;;) {
    const Token& token = Peek();
    switch (token.type) {
      case Token::Type::kEnd:
        if (end_tags.size() == 0) return body;
        return Fail(token.line, absl::StrCat("unexpected end of the template; looking for '",
                                             Abs(*end_tags.begin()), "'"));
      case Token::Type::kData: {
        StmtPtr text = NewStmt(Stmt::Type::kText, token.line);
        text->text = token.text;
        body.push_back(std::move(text));
        Next();
        break;
      }
      case Token::Type::kPrintBegin: {
        Next();
        StmtPtr print = NewStmt(Stmt::Type::kPrint, Peek().line);
        QIAO_ASSIGN_OR_RETURN(print->expr, ParseTuple(true));
        QIAO_RETURN_IF_ERROR(Expect(Token::Type::kPrintEnd, "}}"));
        body.push_back(std::move(print));
        break;
      }
      default: {
        QIAO_RETURN_IF_ERROR(Expect(Token::Type::kBlockBegin, "{%"));
        const Token& tag = Peek();
        if (tag.type != Token::Type::kName) return Fail(tag.line, "a tag name is expected");
        if (std::find(end_tags.begin(), end_tags.end(), tag.text) != end_tags.end()) return body;
        if (tag.text == "print") {
          QIAO_RETURN_IF_ERROR(ParsePrint(&body));
        } else {
          QIAO_ASSIGN_OR_RETURN(StmtPtr statement, ParseStatement());
          body.push_back(std::move(statement));
        }
        QIAO_RETURN_IF_ERROR(Expect(Token::Type::kBlockEnd, "%}"));
      }
    }
  }
}

StatusOr<Body> Parser::ParseBlock(std::initializer_list<std::string_view> end_tags) {
  SkipOp(":");
  QIAO_RETURN_IF_ERROR(Expect(Token::Type::kBlockEnd, "%}"));
  return ParseBody(end_tags);
}

StatusOr<StmtPtr> Parser::ParseStatement() {
  const Token& tag = Peek();
  if (tag.text == "if") return ParseIf();
  if (tag.text == "for") return ParseFor();
  if (tag.text == "set") return ParseSet();
  if (tag.text == "macro") return ParseMacro(false);
  if (tag.text == "call") return ParseMacro(true);
  if (tag.text == "filter") return ParseFilterBlock();
  if (tag.text == "with") return ParseWith();
  if (tag.text == "break" || tag.text == "continue") {
    if (loops_ == 0) return Fail(tag.line, absl::StrCat("'", tag.text, "' outside of a loop"));
    Next();
    return NewStmt(tag.text == "break" ? Stmt::Type::kBreak : Stmt::Type::kContinue, tag.line);
  }
  if (tag.text == "generation") {
    StmtPtr scope = NewStmt(Stmt::Type::kScope, tag.line);
    Next();
    // transformers renders the body as a call block, so the loops outside do not reach into it.
    const int loops = std::exchange(loops_, 0);
    QIAO_ASSIGN_OR_RETURN(scope->body, ParseBlock({"endgeneration"}));
    loops_ = loops;
    Next();
    return scope;
  }
  for (std::string_view other : {"extends", "block", "include", "import", "from", "autoescape"}) {
    if (tag.text == other) {
      return Unimplemented("line %d: the tag '%s' is not supported in chat templates", tag.line, tag.text);
    }
  }
  return Fail(tag.line, absl::StrCat("encountered unknown tag '", tag.text, "'"));
}

StatusOr<StmtPtr> Parser::ParseIf() {
  StmtPtr stmt = NewStmt(Stmt::Type::kIf, Next().line);
  for (;;) {
    QIAO_ASSIGN_OR_RETURN(ExprPtr test, ParseTuple(false));
    QIAO_ASSIGN_OR_RETURN(Body body, ParseBlock({"elif", "else", "endif"}));
    stmt->branches.emplace_back(std::move(test), std::move(body));
    const std::string tag = Next().text;
    if (tag == "elif") continue;
    if (tag == "else") {
      QIAO_ASSIGN_OR_RETURN(stmt->otherwise, ParseBlock({"endif"}));
      Next();
    }
    return stmt;
  }
}

StatusOr<StmtPtr> Parser::ParseFor() {
  StmtPtr stmt = NewStmt(Stmt::Type::kFor, Next().line);
  QIAO_ASSIGN_OR_RETURN(stmt->target, ParseTarget(false, "in"));
  if (!SkipName("in")) return Fail(Peek().line, absl::StrCat("expected 'in', got ", Describe(Peek())));
  QIAO_ASSIGN_OR_RETURN(stmt->expr, ParseTuple(false, "recursive"));
  if (SkipName("if")) {
    QIAO_ASSIGN_OR_RETURN(stmt->condition, ParseExpression());
  }
  stmt->recursive = SkipName("recursive");
  ++loops_;
  QIAO_ASSIGN_OR_RETURN(stmt->body, ParseBlock({"endfor", "else"}));
  --loops_;
  if (Next().text == "else") {
    QIAO_ASSIGN_OR_RETURN(stmt->otherwise, ParseBlock({"endfor"}));
    Next();
  }
  return stmt;
}

StatusOr<StmtPtr> Parser::ParseSet() {
  const int line = Next().line;
  QIAO_ASSIGN_OR_RETURN(ExprPtr target, ParseTarget(true, {}));
  StmtPtr stmt = NewStmt(Stmt::Type::kSet, line);
  stmt->target = std::move(target);
  if (SkipOp("=")) {
    QIAO_ASSIGN_OR_RETURN(stmt->expr, ParseTuple(true));
    return stmt;
  }
  stmt->type = Stmt::Type::kSetBlock;
  QIAO_ASSIGN_OR_RETURN(stmt->expr, ParseFilters(nullptr, false));
  QIAO_ASSIGN_OR_RETURN(stmt->body, ParseBlock({"endset"}));
  Next();
  return stmt;
}

Status Parser::ParseParameters(MacroDef* macro) {
  QIAO_RETURN_IF_ERROR(ExpectOp("("));
  while (!IsOp(")")) {
    if (!macro->parameters.empty()) QIAO_RETURN_IF_ERROR(ExpectOp(","));
    Parameter parameter;
    QIAO_ASSIGN_OR_RETURN(parameter.name, ExpectName());
    if (SkipOp("=")) {
      QIAO_ASSIGN_OR_RETURN(parameter.default_value, ParseExpression());
    } else if (!macro->parameters.empty() && macro->parameters.back().default_value != nullptr) {
      return Fail(Peek().line, "non-default argument follows default argument");
    }
    macro->parameters.push_back(std::move(parameter));
  }
  return ExpectOp(")");
}

StatusOr<StmtPtr> Parser::ParseMacro(bool call_block) {
  StmtPtr stmt = NewStmt(call_block ? Stmt::Type::kCallBlock : Stmt::Type::kMacro, Next().line);
  stmt->macro = std::make_unique<MacroDef>();
  if (call_block) {
    stmt->macro->name = "caller";
    if (IsOp("(")) QIAO_RETURN_IF_ERROR(ParseParameters(stmt->macro.get()));
    QIAO_ASSIGN_OR_RETURN(stmt->expr, ParseExpression());
    if (stmt->expr->type != Expr::Type::kCall) return Fail(stmt->line, "expected call");
  } else {
    QIAO_ASSIGN_OR_RETURN(stmt->macro->name, ExpectName());
    macros_.push_back(stmt->macro.get());
    QIAO_RETURN_IF_ERROR(ParseParameters(stmt->macro.get()));
    macros_.pop_back();
  }
  const int loops = std::exchange(loops_, 0);
  macros_.push_back(stmt->macro.get());
  if (call_block) {
    QIAO_ASSIGN_OR_RETURN(stmt->macro->body, ParseBlock({"endcall"}));
  } else {
    QIAO_ASSIGN_OR_RETURN(stmt->macro->body, ParseBlock({"endmacro"}));
  }
  macros_.pop_back();
  loops_ = loops;
  Next();
  return stmt;
}

StatusOr<StmtPtr> Parser::ParseFilterBlock() {
  StmtPtr stmt = NewStmt(Stmt::Type::kFilterBlock, Next().line);
  QIAO_ASSIGN_OR_RETURN(stmt->expr, ParseFilters(nullptr, true));
  QIAO_ASSIGN_OR_RETURN(stmt->body, ParseBlock({"endfilter"}));
  Next();
  return stmt;
}

StatusOr<StmtPtr> Parser::ParseWith() {
  StmtPtr stmt = NewStmt(Stmt::Type::kWith, Next().line);
  while (Peek().type != Token::Type::kBlockEnd) {
    if (!stmt->assignments.empty()) QIAO_RETURN_IF_ERROR(ExpectOp(","));
    QIAO_ASSIGN_OR_RETURN(ExprPtr target, ParseTarget(false, {}));
    QIAO_RETURN_IF_ERROR(ExpectOp("="));
    QIAO_ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
    stmt->assignments.emplace_back(std::move(target), std::move(value));
  }
  QIAO_ASSIGN_OR_RETURN(stmt->body, ParseBlock({"endwith"}));
  Next();
  return stmt;
}

Status Parser::ParsePrint(Body* out) {
  const int line = Next().line;
  for (bool first = true; Peek().type != Token::Type::kBlockEnd; first = false) {
    if (!first) QIAO_RETURN_IF_ERROR(ExpectOp(","));
    StmtPtr print = NewStmt(Stmt::Type::kPrint, line);
    QIAO_ASSIGN_OR_RETURN(print->expr, ParseExpression());
    out->push_back(std::move(print));
  }
  return absl::OkStatus();
}

// Names, namespace attributes, and tuples of them with or without parentheses.
StatusOr<ExprPtr> Parser::ParseTarget(bool with_namespace, std::string_view end_name) {
  Nest nest(this);
  QIAO_RETURN_IF_ERROR(nest.Check());
  const int line = Peek().line;
  std::vector<ExprPtr> targets;
  bool is_tuple = false;
  for (;;) {
    if (Peek().type == Token::Type::kBlockEnd || IsOp(")") || (!end_name.empty() && IsName(end_name))) break;
    ExprPtr target;
    if (SkipOp("(")) {
      QIAO_ASSIGN_OR_RETURN(target, ParseTarget(with_namespace, {}));
      QIAO_RETURN_IF_ERROR(ExpectOp(")"));
    } else if (Peek().type != Token::Type::kName) {
      return Fail(Peek().line, absl::StrCat("can't assign to ", Describe(Peek())));
    } else {
      target = New(Expr::Type::kName, Peek().line);
      target->name = Next().text;
      for (std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
        if (target->name == constant) return Fail(target->line, "can't assign to 'const'");
      }
      if (with_namespace && SkipOp(".")) {
        target->type = Expr::Type::kNamespaceAttribute;
        QIAO_ASSIGN_OR_RETURN(target->attribute, ExpectName());
      }
    }
    targets.push_back(std::move(target));
    if (!SkipOp(",")) break;
    is_tuple = true;
  }
  if (targets.empty())
    return Fail(line, absl::StrCat("a name to assign to is expected, got ", Describe(Peek())));
  if (!is_tuple) return std::move(targets[0]);
  ExprPtr tuple = New(Expr::Type::kTuple, line);
  tuple->items = std::move(targets);
  return Finish(std::move(tuple));
}

}  // namespace qiao::text::jinja
