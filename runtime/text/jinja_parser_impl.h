// The parser's state and its two halves: statements in jinja_parser.cc, expressions in
// jinja_parser_expressions.cc.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "runtime/text/jinja_lexer.h"
#include "runtime/text/jinja_parser.h"

namespace qiao::text::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, const ParseLimits& limits)
      : tokens_(std::move(tokens)), limits_(limits) {}
  StatusOr<Body> ParseAll();

 private:
  // Statements.
  StatusOr<Body> ParseBody(std::initializer_list<std::string_view> end_tags);   // stops at the end tag's name
  StatusOr<Body> ParseBlock(std::initializer_list<std::string_view> end_tags);  // "%}" and then the body
  StatusOr<StmtPtr> ParseStatement();
  StatusOr<StmtPtr> ParseIf();
  StatusOr<StmtPtr> ParseFor();
  StatusOr<StmtPtr> ParseSet();
  StatusOr<StmtPtr> ParseMacro(bool call_block);
  StatusOr<StmtPtr> ParseFilterBlock();
  StatusOr<StmtPtr> ParseWith();
  Status ParsePrint(Body* out);
  Status ParseParameters(MacroDef* macro);
  StatusOr<ExprPtr> ParseTarget(bool with_namespace, std::string_view end_name);

  // Expressions, loosest first.
  StatusOr<ExprPtr> ParseTuple(bool with_condition, std::string_view end_name = {},
                               bool parenthesised = false);
  StatusOr<ExprPtr> ParseExpression(bool with_condition = true);
  StatusOr<ExprPtr> ParseConditional();
  StatusOr<ExprPtr> ParseOr();
  StatusOr<ExprPtr> ParseAnd();
  StatusOr<ExprPtr> ParseNot();
  StatusOr<ExprPtr> ParseCompare();
  StatusOr<ExprPtr> ParseSum();
  StatusOr<ExprPtr> ParseConcat();
  StatusOr<ExprPtr> ParseProduct();
  StatusOr<ExprPtr> ParsePower();
  StatusOr<ExprPtr> ParseUnary(bool with_filter = true);
  StatusOr<ExprPtr> ParsePrimary();
  StatusOr<ExprPtr> ParsePostfix(ExprPtr node);
  StatusOr<ExprPtr> ParseFilters(ExprPtr node, bool start_inline);
  StatusOr<ExprPtr> ParseTest(ExprPtr node);
  StatusOr<ExprPtr> ParseSubscript(ExprPtr node);
  StatusOr<ExprPtr> ParseSubscribed();
  StatusOr<ExprPtr> ParseCall(ExprPtr node);
  Status ParseArguments(CallArguments* out);
  StatusOr<ExprPtr> ParseListOrDict();
  StatusOr<std::string> ParseDottedName();

  // Tokens. Look past the end gives the end.
  const Token& Peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  const Token& Next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool IsName(std::string_view name, size_t ahead = 0) const {
    return Peek(ahead).type == Token::Type::kName && Peek(ahead).text == name;
  }
  bool IsOp(std::string_view op, size_t ahead = 0) const {
    return Peek(ahead).type == Token::Type::kOperator && Peek(ahead).text == op;
  }
  bool SkipName(std::string_view name) { return IsName(name) && (Next(), true); }
  bool SkipOp(std::string_view op) { return IsOp(op) && (Next(), true); }
  Status ExpectOp(std::string_view op);
  Status Expect(Token::Type type, std::string_view what);
  StatusOr<std::string> ExpectName();
  std::string Describe(const Token& token) const;
  Status Fail(int line, std::string_view message) const {
    return InvalidArgument("line %d: %s", line, message);
  }

  static ExprPtr New(Expr::Type type, int line);
  // Sets the node's depth from its children's and refuses a tree that is too deep to walk.
  StatusOr<ExprPtr> Finish(ExprPtr node) const;
  StatusOr<ExprPtr> Binary(Expr::Type type, int line, std::string_view op, ExprPtr left, ExprPtr right) const;

  // Counts the recursion of the parser itself.
  class Nest {
   public:
    explicit Nest(Parser* parser) : parser_(parser) { ++parser_->depth_; }
    ~Nest() { --parser_->depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;
    Status Check() const {
      if (parser_->depth_ <= parser_->limits_.max_depth) return absl::OkStatus();
      return ResourceExhausted("line %d: nested more than %d deep (max_parse_depth)", parser_->Peek().line,
                               parser_->limits_.max_depth);
    }

   private:
    Parser* parser_;
  };

  std::vector<Token> tokens_;
  ParseLimits limits_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;                  // for loops around, inside the innermost macro
  std::vector<MacroDef*> macros_;  // around
};

}  // namespace qiao::text::jinja
