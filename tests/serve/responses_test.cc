// OpenAI's responses: bodies become calls, answers become responses and events.
#include "runtime/serve/api/responses.h"

#include <gmock/gmock.h>

#include <limits>

#include "tests/serve/protocol_fixture.h"

namespace qiao::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Body(std::string_view members) {
  return absl::StrFormat(R"({"model":"demo","input":"Hi",%s})", members);
}

std::string Items(std::string_view items) {
  return absl::StrFormat(R"({"model":"demo","input":[%s]})", items);
}

TEST(ResponsesParse, PlainText) {
  const Call call = ParseGood(Responses(), R"({"model":"demo","input":"Hi","instructions":"Be brief.",
      "max_output_tokens":9,"temperature":1,"stream":true,"store":true,"truncation":"disabled",
      "previous_response_id":null,"background":false})");
  EXPECT_TRUE(call.chat);
  EXPECT_EQ(call.model, "demo");
  EXPECT_TRUE(call.stream);
  EXPECT_TRUE(call.has_max_tokens);
  EXPECT_EQ(call.spec.max_tokens, 9);
  EXPECT_EQ(call.spec.sampling.temperature, 1);
  EXPECT_EQ(call.spec.sampling.top_p, 0.95);
  EXPECT_EQ(call.spec.logprobs, -1);
  EXPECT_FALSE(call.continue_final);
  ExpectJson(call.messages, R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])");
}

TEST(ResponsesParse, ItemsOfATurnBecomeOneMessage) {
  const Call call = ParseGood(Responses(), Items(R"(
      {"role":"developer","content":"Rules"},
      {"type":"message","role":"user","content":[{"type":"input_text","text":"Wea"},
                                                  {"type":"input_text","text":"ther?"}]},
      {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Two towns."}]},
      {"type":"message","id":"msg_1","role":"assistant","status":"completed",
       "content":[{"type":"output_text","text":"I look.","annotations":[]}]},
      {"type":"function_call","id":"fc_1","call_id":"c1","name":"weather","arguments":"{\"town\":\"Rome\"}"},
      {"type":"function_call","id":"fc_2","call_id":"c2","name":"clock","arguments":""},
      {"type":"function_call","call_id":"c3","name":"clock","arguments":"{broken"},
      {"type":"function_call_output","call_id":"c1","output":"18 C"},
      {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"noon"}]},
      {"type":"function_call_output","call_id":"c3","output":""},
      {"type":"reasoning","id":"rs_2","summary":[{"type":"summary_text","text":"Enough."}],"encrypted_content":"x"},
      {"role":"assistant","content":"Warm."},
      {"role":"user","content":"Thanks"})"));
  ExpectJson(call.messages, R"([
      {"role":"system","content":"Rules"},
      {"role":"user","content":"Weather?"},
      {"role":"assistant","content":"I look.","reasoning_content":"Two towns.","tool_calls":[
        {"id":"c1","type":"function","function":{"name":"weather","arguments":{"town":"Rome"}}},
        {"id":"c2","type":"function","function":{"name":"clock","arguments":{}}},
        {"id":"c3","type":"function","function":{"name":"clock","arguments":"{broken"}}]},
      {"role":"tool","content":"18 C","tool_call_id":"c1","name":"weather"},
      {"role":"tool","content":"noon","tool_call_id":"c2","name":"clock"},
      {"role":"tool","content":"","tool_call_id":"c3","name":"clock"},
      {"role":"assistant","content":"Warm.","reasoning_content":"Enough."},
      {"role":"user","content":"Thanks"}])");
}

TEST(ResponsesParse, ToolsAndChoice) {
  const std::string tools =
      R"("tools":[{"type":"function","name":"f","description":"d","strict":true,
                   "parameters":{"type":"object","properties":{}}}])";
  const Call call = ParseGood(Responses(), Body(tools + R"(,"parallel_tool_calls":false)"));
  ASSERT_EQ(call.tools.tools.size(), 1);
  EXPECT_EQ(call.tools.tools[0].name, "f");
  EXPECT_FALSE(call.parallel_tool_calls);
  using Kind = ToolChoice::Kind;
  for (const auto& [choice, kind] :
       std::vector<std::pair<std::string, Kind>>{{R"("auto")", Kind::kAuto},
                                                 {R"("required")", Kind::kRequired},
                                                 {R"("none")", Kind::kNone},
                                                 {R"({"type":"function","name":"f"})", Kind::kNamed}}) {
    const Call chosen = ParseGood(Responses(), Body(tools + R"(,"tool_choice":)" + choice));
    EXPECT_EQ(chosen.tool_choice.kind, kind) << choice;
    ExpectJson(chosen.echo_fields["tool_choice"], choice);
  }
}

TEST(ResponsesParse, FormOfTheText) {
  EXPECT_EQ(ParseGood(Responses(), Body(R"("text":{"format":{"type":"text"},"verbosity":"low"})"))
                .spec.constraint.kind,
            Constraint::Kind::kNone);
  EXPECT_EQ(ParseGood(Responses(), Body(R"("text":{"format":{"type":"json_object"}})")).spec.constraint.kind,
            Constraint::Kind::kJsonObject);
  const Call call = ParseGood(
      Responses(),
      Body(
          R"("text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}}})"));
  EXPECT_EQ(call.spec.constraint.kind, Constraint::Kind::kJsonSchema);
  EXPECT_EQ(call.spec.constraint.text, R"({"type":"object"})");
  ExpectJson(call.echo_fields["text"],
             R"({"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}}})");
}

TEST(ResponsesParse, ReasoningAndLogprobs) {
  ExpectJson(ParseGood(Responses(), Body(R"("reasoning":{"effort":"low","summary":"auto"})")).template_kwargs,
             R"({"thinking":true,"enable_thinking":true,"reasoning_effort":"low"})");
  ExpectJson(ParseGood(Responses(), Body(R"("reasoning":{"effort":"none"})")).template_kwargs,
             R"({"thinking":false,"enable_thinking":false})");
  ExpectJson(ParseGood(Responses(), Body(R"("reasoning":{})")).template_kwargs, "{}");
  EXPECT_EQ(ParseGood(Responses(), Body(R"("top_logprobs":3)")).spec.logprobs, 3);
  EXPECT_EQ(ParseGood(Responses(), Body(R"("include":["message.output_text.logprobs"])")).spec.logprobs, 0);
  EXPECT_EQ(ParseGood(Responses(), Body(R"("include":["reasoning.encrypted_content"])")).spec.logprobs, -1);
}

TEST(ResponsesParse, ErrorsSayWhere) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"model":"demo"})", "input"},
      {R"({"input":[]})", "input"},
      {R"({"input":{}})", "input"},
      {Body(R"("instructions":["x"])"), "instructions"},
      {Body(R"("previous_response_id":"resp_1")"), "previous_response_id"},
      {Body(R"("conversation":{"id":"conv_1"})"), "conversation"},
      {Body(R"("background":true)"), "background"},
      {Body(R"("prompt":{"id":"pmpt_1"})"), "prompt"},
      {Body(R"("truncation":"auto")"), "truncation"},
      {Body(R"("max_output_tokens":0)"), "max_output_tokens"},
      {Body(R"("temperature":"hot")"), "temperature"},
      {Body(R"("top_logprobs":21)"), "top_logprobs"},
      {Body(R"("include":[7])"), "include[0]"},
      {Body(R"("metadata":[])"), "metadata"},
      {Body(R"("reasoning":{"effort":7})"), "reasoning.effort"},
      {Body(R"("text":{"format":{"type":"json_schema","name":"n"}})"), "text.format.schema"},
      {Body(R"("text":{"format":{"type":"grammar"}})"), "text.format.type"},
      {Body(R"("tools":[{"type":"web_search"}])"), "tools[0].type"},
      {Body(R"("tool_choice":{"type":"function","name":"g"})"), "tool_choice.name"},
      {Items("7"), "input[0]"},
      {Items(R"({"type":"reasoning","id":"r","summary":[]})"), "input"},
      {Items(R"({"type":"message","content":"x"})"), "input[0].role"},
      {Items(R"({"role":"tool","content":"x"})"), "input[0].role"},
      {Items(R"({"role":"user"})"), "input[0].content"},
      {Items(
           R"({"role":"user","content":[{"type":"input_text","text":"x"},{"type":"input_image","image_url":"x"}]})"),
       "input[0].content[1].type"},
      {Items(R"({"role":"user","content":[{"type":"input_file","file_id":"x"}]})"),
       "input[0].content[0].type"},
      {Items(R"({"role":"user","content":"x"},{"type":"item_reference","id":"msg_1"})"), "input[1].type"},
      {Items(R"({"id":"msg_1"})"), "input[0]"},
      {Items(R"({"type":"web_search_call","id":"x"})"), "input[0].type"},
      {Items(R"({"type":"function_call","call_id":"c","name":"f"})"), "input[0].arguments"},
      {Items(R"({"type":"function_call","call_id":"c","name":"f","arguments":"{}"})"), "input"},
      {Items(R"({"type":"function_call_output","call_id":"c","output":"x"})"), "input[0].call_id"},
      {Items(R"({"type":"reasoning","id":"r","summary":[{"type":"image"}]})"), "input[0].summary[0].type"},
  };
  ExpectRefused(Responses(), cases);
}

TEST(ResponsesParse, LimitsHaveNumbers) {
  ApiLimits limits;
  limits.messages = 2;
  limits.schema_bytes = 10;
  const auto refused = [&](std::string_view body) {
    return std::string(Message(ParseResponses(J(body), Facts(), limits).status()));
  };
  const std::string item = R"({"role":"user","content":"x"})";
  EXPECT_THAT(refused(Items(item + "," + item + "," + item)), HasSubstr("at most 2"));
  EXPECT_THAT(
      refused(Body(R"("text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}})")),
      HasSubstr("at most 10"));
}

TEST(ResponsesWrite, Whole) {
  const Call call = ParseGood(Responses(), R"({"model":"demo","input":"Hi","metadata":{"k":"v"},
      "tools":[{"type":"function","name":"f","parameters":null}]})");
  Answer answer;
  answer.totals = Totals();
  AnswerChoice& choice = answer.choices.emplace_back();
  choice.reasoning = "Hm.";
  choice.content = "I look.";
  choice.calls = {{"c1", "f", R"({"a":1})"}};
  choice.ended = Ended::kToolCalls;
  ExpectJson(Responses().Whole(call, Header(), answer), R"({
      "id":"resp_abc","object":"response","created_at":1700000000,"status":"completed","background":false,
      "error":null,"incomplete_details":null,"model":"demo","output":[
        {"id":"rs_abc_0","type":"reasoning","summary":[],"status":"completed",
         "content":[{"type":"reasoning_text","text":"Hm."}]},
        {"id":"msg_abc_1","type":"message","status":"completed","role":"assistant",
         "content":[{"type":"output_text","text":"I look.","annotations":[],"logprobs":[]}]},
        {"id":"fc_abc_2","type":"function_call","status":"completed","call_id":"c1","name":"f",
         "arguments":"{\"a\":1}"}],
      "previous_response_id":null,"service_tier":"default","store":false,"truncation":"disabled",
      "usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":8,"cache_write_tokens":0},
               "output_tokens":7,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":19},
      "reasoning":{"effort":null,"summary":null},"text":{"format":{"type":"text"}},"top_logprobs":0,
      "instructions":null,"user":null,"safety_identifier":null,"prompt_cache_key":null,"metadata":{"k":"v"},
      "max_output_tokens":null,"temperature":0.6,"top_p":0.95,"parallel_tool_calls":true,"tool_choice":"auto",
      "tools":[{"type":"function","name":"f","description":null,"strict":false,
                "parameters":{"type":"object","properties":{}}}]})");
}

TEST(ResponsesWrite, CutShort) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi"})");
  Answer answer;
  AnswerChoice& choice = answer.choices.emplace_back();
  choice.reasoning = "Hm";
  choice.ended = Ended::kLength;
  const OrderedJson out = Responses().Whole(call, Header(), answer);
  EXPECT_EQ(out["status"], "incomplete");
  EXPECT_EQ(out["incomplete_details"]["reason"], "max_output_tokens");
  ASSERT_EQ(out["output"].size(), 1);
  EXPECT_EQ(out["output"][0]["status"], "incomplete");
}

TEST(ResponsesWrite, LogprobsAreThoseOfTheText) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi","top_logprobs":1})");
  Answer answer;
  AnswerChoice& choice = answer.choices.emplace_back();
  choice.reasoning = "b";
  choice.content = "ab";
  for (const char* text : {"<think>", "b", "</think>", "a", "b", "<end>"}) {
    ScoredToken token;
    token.token = {text, text};
    token.logprob = -0.5;
    token.top = {{{"z", "z"}, -std::numeric_limits<float>::infinity()}};
    choice.tokens.push_back(token);
  }
  ExpectJson(Responses().Whole(call, Header(), answer)["output"][1]["content"][0]["logprobs"], R"([
      {"token":"a","bytes":[97],"logprob":-0.5,"top_logprobs":[{"token":"z","bytes":[122],"logprob":-9999.0}]},
      {"token":"b","bytes":[98],"logprob":-0.5,"top_logprobs":[{"token":"z","bytes":[122],"logprob":-9999.0}]}])");
  // Text that the tokens do not spell gets them all, and nothing is read beyond them.
  choice.content = "xyz";
  EXPECT_EQ(Responses().Whole(call, Header(), answer)["output"][1]["content"][0]["logprobs"].size(), 6);
  choice.tokens.clear();
  EXPECT_EQ(Responses().Whole(call, Header(), answer)["output"][1]["content"][0]["logprobs"].size(), 0);
}

TEST(ResponsesWrite, Stream) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi","stream":true})");
  std::vector<AnswerPiece> pieces = {Reasoning("Hm"), Reasoning("."), Content("I "), Content(""),
                                     Content("look.")};
  for (const AnswerPiece& piece : CallPieces(0, "c1", "f", R"({"a":)", "1}")) pieces.push_back(piece);
  AnswerChoice choice;
  choice.ended = Ended::kToolCalls;
  const AnswerHeader header = Header();
  auto events = Events(Told(Responses(), call, header, pieces, choice));
  EXPECT_THAT(
      Types(events),
      ElementsAre("response.created", "response.in_progress",  //
                  "response.output_item.added", "response.content_part.added",
                  "response.reasoning_text.delta", "response.reasoning_text.delta",
                  "response.reasoning_text.done", "response.content_part.done",
                  "response.output_item.done",  //
                  "response.output_item.added", "response.content_part.added", "response.output_text.delta",
                  "response.output_text.delta", "response.output_text.done", "response.content_part.done",
                  "response.output_item.done",  //
                  "response.output_item.added", "response.function_call_arguments.delta",
                  "response.function_call_arguments.delta", "response.function_call_arguments.done",
                  "response.output_item.done", "response.completed"));
  for (size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i]["sequence_number"], i);
  for (OrderedJson& event : events) event.erase("sequence_number");
  EXPECT_EQ(events[0]["response"]["status"], "in_progress");
  EXPECT_TRUE(events[0]["response"]["usage"].is_null());
  EXPECT_TRUE(events[0]["response"]["output"].empty());
  ExpectJson(events[2], R"({"type":"response.output_item.added","output_index":0,
      "item":{"id":"rs_abc_0","type":"reasoning","summary":[],"content":[],"status":"in_progress"}})");
  ExpectJson(events[4], R"({"type":"response.reasoning_text.delta","item_id":"rs_abc_0","output_index":0,
      "content_index":0,"delta":"Hm"})");
  ExpectJson(events[6], R"({"type":"response.reasoning_text.done","item_id":"rs_abc_0","output_index":0,
      "content_index":0,"text":"Hm."})");
  ExpectJson(events[10], R"({"type":"response.content_part.added","item_id":"msg_abc_1","output_index":1,
      "content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}})");
  ExpectJson(events[11], R"({"type":"response.output_text.delta","item_id":"msg_abc_1","output_index":1,
      "content_index":0,"delta":"I ","logprobs":[]})");
  ExpectJson(events[13], R"({"type":"response.output_text.done","item_id":"msg_abc_1","output_index":1,
      "content_index":0,"text":"I look.","logprobs":[]})");
  ExpectJson(events[16], R"({"type":"response.output_item.added","output_index":2,"item":{"id":"fc_abc_2",
      "type":"function_call","status":"in_progress","call_id":"c1","name":"f","arguments":""}})");
  ExpectJson(events[17], R"({"type":"response.function_call_arguments.delta","item_id":"fc_abc_2",
      "output_index":2,"delta":"{\"a\":"})");
  ExpectJson(events[19], R"({"type":"response.function_call_arguments.done","item_id":"fc_abc_2",
      "output_index":2,"name":"f","arguments":"{\"a\":1}"})");
  // The last event has what the same answer would be as a whole.
  Answer answer;
  answer.totals = Totals();
  choice.reasoning = "Hm.";
  choice.content = "I look.";
  choice.calls = {{"c1", "f", R"({"a":1})"}};
  answer.choices.push_back(choice);
  ExpectJson(events.back()["response"], Responses().Whole(call, header, answer).dump());
}

TEST(ResponsesWrite, StreamCutShort) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi","stream":true})");
  AnswerChoice choice;
  choice.ended = Ended::kLength;
  const AnswerHeader header = Header();
  const auto events = Events(Told(Responses(), call, header, {Content("On")}, choice));
  EXPECT_EQ(events.back()["type"], "response.incomplete");
  EXPECT_EQ(events.back()["response"]["status"], "incomplete");
  EXPECT_EQ(events.back()["response"]["incomplete_details"]["reason"], "max_output_tokens");
  EXPECT_EQ(events.back()["response"]["output"][0]["status"], "incomplete");
}

TEST(ResponsesWrite, StreamOfNothingHasOneMessage) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi","stream":true})");
  const AnswerHeader header = Header();
  const auto events = Events(Told(Responses(), call, header, {}, {}));
  EXPECT_EQ(events.back()["response"]["output"][0]["content"][0]["text"], "");
}

TEST(ResponsesWrite, StreamWithLogprobs) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi","stream":true,"top_logprobs":0,
      "include":["message.output_text.logprobs"]})");
  const AnswerHeader header = Header();
  const auto stream = Responses().Stream(call, header);
  ScoredToken token;
  token.token = {"a", "a"};
  token.logprob = -1;
  std::string out;
  stream->Begin(out);
  stream->Piece(0, Content("a"), {&token, 1}, out);
  stream->Piece(0, Content(""), {&token, 1}, out);
  stream->End(0, {}, out);
  stream->Done(Totals(), out);
  const auto events = Events(out);
  EXPECT_EQ(events[4]["logprobs"].size(), 1);
  EXPECT_EQ(events[4]["logprobs"][0]["token"], "a");
  EXPECT_EQ(events[6]["type"], "response.output_text.done");
  EXPECT_EQ(events[6]["logprobs"].size(), 2);
}

TEST(ResponsesWrite, Errors) {
  const Call call = ParseGood(Responses(), R"({"input":"Hi","stream":true})");
  const AnswerHeader header = Header();
  const auto stream = Responses().Stream(call, header);
  std::string out;
  stream->Begin(out);
  stream->Piece(0, Content("On"), {}, out);
  stream->Failed(absl::InternalError("device lost"), out);
  const auto events = Events(out);
  ASSERT_EQ(events.size(), 7);
  EXPECT_EQ(events[5]["type"], "response.failed");
  EXPECT_EQ(events[5]["response"]["status"], "failed");
  ExpectJson(events[5]["response"]["error"], R"({"code":"server_error","message":"device lost"})");
  ExpectJson(events[6], R"({"type":"error","sequence_number":6,"code":"server_error","message":"device lost",
      "param":null,"error":{"message":"device lost","type":"server_error","param":null,"code":null}})");
  EXPECT_EQ(Responses().Error(Describe(BadParam("input", "x")), "req_2")["error"]["param"], "input");
}

}  // namespace
}  // namespace qiao::serve
