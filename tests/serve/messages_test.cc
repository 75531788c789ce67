// Anthropic's messages: bodies become calls, answers become messages and events.
#include "runtime/serve/api/messages.h"

#include <gmock/gmock.h>

#include "tests/serve/protocol_fixture.h"

namespace qiao::serve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Body(std::string_view members) {
  return absl::StrFormat(R"({"model":"demo","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],%s})",
                         members);
}

std::string Conversation(std::string_view messages) {
  return absl::StrFormat(R"({"model":"demo","max_tokens":9,"messages":[%s]})", messages);
}

TEST(MessagesParse, PlainText) {
  const Call call = ParseGood(Messages(), R"({"model":"demo","max_tokens":9,"messages":[
      {"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"So?"}]})");
  EXPECT_TRUE(call.chat);
  EXPECT_EQ(call.model, "demo");
  EXPECT_TRUE(call.has_max_tokens);
  EXPECT_EQ(call.spec.max_tokens, 9);
  EXPECT_FALSE(call.stream);
  EXPECT_FALSE(call.continue_final);
  EXPECT_EQ(call.spec.sampling.temperature, 0.6);
  EXPECT_EQ(call.spec.sampling.top_p, 0.95);
  EXPECT_TRUE(call.template_kwargs.empty());
  ExpectJson(call.messages, R"([{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},
                                {"role":"user","content":"So?"}])");
}

TEST(MessagesParse, SystemAndBlocksOfText) {
  ExpectJson(ParseGood(Messages(), Body(R"("system":"Be brief.")")).messages,
             R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])");
  const Call call = ParseGood(Messages(), R"({"max_tokens":9,
      "system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],
      "messages":[{"role":"user","content":[{"type":"text","text":"c"},{"type":"text","text":"d"}]},
                  {"role":"user","content":"e"},{"role":"system","content":"f"}]})");
  ExpectJson(call.messages, R"([{"role":"system","content":"a\nb"},{"role":"user","content":"c\nd\ne"},
                                {"role":"system","content":"f"}])");
}

TEST(MessagesParse, ThoughtsToolUsesAndResults) {
  const Call call = ParseGood(Messages(), Conversation(R"(
      {"role":"user","content":"Weather?"},
      {"role":"assistant","content":[
        {"type":"thinking","thinking":"Two towns.","signature":"unsigned"},
        {"type":"redacted_thinking","data":"x"},
        {"type":"text","text":"I look."},
        {"type":"tool_use","id":"t1","name":"weather","input":{"town":"Rome"}},
        {"type":"tool_use","id":"t2","name":"clock","input":{}}]},
      {"role":"user","content":[
        {"type":"text","text":"Quick"},
        {"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"18"},{"type":"text","text":"C"}]},
        {"type":"tool_result","tool_use_id":"t2","content":"broken","is_error":true}]})"));
  ExpectJson(call.messages, R"([
      {"role":"user","content":"Weather?"},
      {"role":"assistant","content":"I look.","reasoning_content":"Two towns.","tool_calls":[
        {"id":"t1","type":"function","function":{"name":"weather","arguments":{"town":"Rome"}}},
        {"id":"t2","type":"function","function":{"name":"clock","arguments":{}}}]},
      {"role":"tool","content":"18\nC","tool_call_id":"t1","name":"weather"},
      {"role":"tool","content":"Error: broken","tool_call_id":"t2","name":"clock"},
      {"role":"user","content":"Quick"}])");
  // A message of results alone is no message of the user.
  const Call alone = ParseGood(Messages(), Conversation(R"(
      {"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]})"));
  ExpectJson(alone.messages.back(), R"({"role":"tool","content":"","tool_call_id":"t","name":"f"})");
}

TEST(MessagesParse, LastMessageOfTheAssistantIsGoneOnWith) {
  const Call call = ParseGood(Messages(), Conversation(R"(
      {"role":"user","content":"JSON!"},{"role":"assistant","content":[{"type":"text","text":"{"}]})"));
  EXPECT_TRUE(call.continue_final);
  ExpectJson(call.messages, R"([{"role":"user","content":"JSON!"},{"role":"assistant","content":"{"}])");
  const Call empty = ParseGood(Messages(), Conversation(R"(
      {"role":"user","content":"JSON!"},{"role":"assistant","content":[]})"));
  EXPECT_FALSE(empty.continue_final);
  ExpectJson(empty.messages, R"([{"role":"user","content":"JSON!"}])");
}

TEST(MessagesParse, Tools) {
  const std::string tools =
      R"("tools":[{"name":"f","description":"d","input_schema":{"type":"object","properties":{}}}])";
  const Call call = ParseGood(Messages(), Body(tools));
  ASSERT_EQ(call.tools.tools.size(), 1);
  EXPECT_EQ(call.tools.tools[0].name, "f");
  EXPECT_EQ(call.tool_choice.kind, ToolChoice::Kind::kAuto);
  EXPECT_TRUE(call.parallel_tool_calls);
  using Kind = ToolChoice::Kind;
  for (const auto& [choice, kind] : std::vector<std::pair<std::string, Kind>>{
           {"auto", Kind::kAuto}, {"any", Kind::kRequired}, {"none", Kind::kNone}, {"tool", Kind::kNamed}}) {
    const Call chosen = ParseGood(
        Messages(),
        Body(absl::StrFormat(R"(%s,"tool_choice":{"type":"%s","name":"f","disable_parallel_tool_use":true})",
                             tools, choice)));
    EXPECT_EQ(chosen.tool_choice.kind, kind) << choice;
    EXPECT_FALSE(chosen.parallel_tool_calls);
  }
}

TEST(MessagesParse, SamplingStopsAndStream) {
  const Call call = ParseGood(Messages(), Body(R"("temperature":1,"top_p":0.5,"top_k":40,"stream":true,
      "stop_sequences":["a","b"],"metadata":{"user_id":"u"},"service_tier":"auto")"));
  EXPECT_EQ(call.spec.sampling.temperature, 1);
  EXPECT_EQ(call.spec.sampling.top_p, 0.5);
  EXPECT_EQ(call.spec.sampling.top_k, 40);
  EXPECT_THAT(call.spec.stop, ElementsAre("a", "b"));
  EXPECT_TRUE(call.stream);
}

TEST(MessagesParse, ThinkingAndForm) {
  for (const auto& [type, on] : std::vector<std::pair<std::string, std::string>>{
           {"enabled", "true"}, {"adaptive", "true"}, {"disabled", "false"}}) {
    const Call call = ParseGood(
        Messages(), Body(absl::StrFormat(R"("thinking":{"type":"%s","budget_tokens":1024})", type)));
    ExpectJson(call.template_kwargs, absl::StrFormat(R"({"thinking":%s,"enable_thinking":%s})", on, on));
  }
  for (const char* members :
       {R"("output_config":{"effort":"low","format":{"type":"json_schema","schema":{"a":1}}})",
        R"("output_format":{"type":"json_schema","schema":{"a":1}})"}) {
    const Call call = ParseGood(Messages(), Body(members));
    EXPECT_EQ(call.spec.constraint.kind, Constraint::Kind::kJsonSchema);
    EXPECT_EQ(call.spec.constraint.text, R"({"a":1})");
  }
}

TEST(MessagesParse, ErrorsSayWhere) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"max_tokens":9})", "messages"},
      {R"({"max_tokens":9,"messages":[]})", "messages"},
      {R"({"max_tokens":9,"messages":{}})", "messages"},
      {R"({"messages":[{"role":"user","content":"Hi"}]})", "max_tokens"},
      {Body(R"("max_tokens_":1,"temperature":3)"), "temperature"},
      {Body(R"("stop_sequences":["a",1])"), "stop_sequences[1]"},
      {Body(R"("system":[{"type":"image"}])"), "system[0].type"},
      {Body(R"("system":7)"), "system"},
      {Body(R"("metadata":"x")"), "metadata"},
      {Body(R"("thinking":{"type":"much"})"), "thinking.type"},
      {Body(R"("thinking":{"type":"enabled","budget_tokens":"x"})"), "thinking.budget_tokens"},
      {Body(R"("mcp_servers":[{"url":"x"}])"), "mcp_servers"},
      {Body(R"("container":"c")"), "container"},
      {Body(R"("tools":[{"type":"web_search_20250305","name":"web_search"}])"), "tools[0].type"},
      {Body(R"("tool_choice":{"type":"any"})"), "tool_choice"},
      {Body(R"("output_config":{"format":{"type":"xml"}})"), "output_config.format.type"},
      {Conversation("7"), "messages[0]"},
      {Conversation(R"({"role":"assistant","content":[]})"), "messages"},
      {Conversation(R"({"role":"assistant","content":""})"), "messages"},
      {Conversation(R"({"role":"assistant","content":[{"type":"redacted_thinking","data":"x"}]})"),
       "messages"},
      {Conversation(R"({"content":"x"})"), "messages[0].role"},
      {Conversation(R"({"role":"tool","content":"x"})"), "messages[0].role"},
      {Conversation(R"({"role":"user"})"), "messages[0].content"},
      {Conversation(R"({"role":"user","content":7})"), "messages[0].content"},
      {Conversation(R"({"role":"user","content":["x"]})"), "messages[0].content[0]"},
      {Conversation(R"({"role":"user","content":[{"type":"text"}]})"), "messages[0].content[0].text"},
      {Conversation(R"({"role":"user","content":[{"type":"text","text":"x"},{"type":"image","source":{}}]})"),
       "messages[0].content[1].type"},
      {Conversation(R"({"role":"user","content":[{"type":"document","source":{}}]})"),
       "messages[0].content[0].type"},
      {Conversation(R"({"role":"user","content":[{"type":"tool_use","id":"x","name":"f","input":{}}]})"),
       "messages[0].content[0].type"},
      {Conversation(
           R"({"role":"assistant","content":[{"type":"tool_use","id":"x","name":"f","input":"{}"}]})"),
       "messages[0].content[0].input"},
      {Conversation(R"({"role":"assistant","content":[{"type":"tool_use","id":"x","name":"f","input":{}}]})"),
       "messages[0]"},
      {Conversation(R"({"role":"user","content":[{"type":"tool_result","tool_use_id":"x"}]})"),
       "messages[0].content[0].tool_use_id"},
  };
  ExpectRefused(Messages(), cases);
}

TEST(MessagesParse, LimitsHaveNumbers) {
  ApiLimits limits;
  limits.messages = 2;
  limits.content_parts = 2;
  const auto refused = [&](std::string_view body) {
    return std::string(qiao::Message(ParseMessages(J(body), Facts(), limits).status()));
  };
  const std::string message = R"({"role":"user","content":"x"})";
  EXPECT_THAT(refused(Conversation(message + "," + message + "," + message)), HasSubstr("at most 2"));
  const std::string text = R"({"type":"text","text":"x"})";
  const std::string three = "[" + text + "," + text + "," + text + "]";
  EXPECT_THAT(refused(Conversation(R"({"role":"user","content":)" + three + "}")), HasSubstr("at most 2"));
  EXPECT_THAT(refused(Body(R"("system":)" + three)), HasSubstr("at most 2"));
}

TEST(MessagesParse, CountingNeedsNoMaxTokens) {
  const auto call = ParseCountTokens(
      J(R"({"model":"demo","system":"s","messages":[{"role":"user","content":"Hi"}]})"), Facts(), {});
  ASSERT_TRUE(call.ok()) << call.status();
  EXPECT_EQ(call->messages.size(), 2);
  EXPECT_FALSE(call->has_max_tokens);
  ExpectJson(CountedTokens(17), R"({"input_tokens":17})");
}

TEST(MessagesWrite, Whole) {
  Answer answer;
  answer.totals = Totals();
  AnswerChoice& choice = answer.choices.emplace_back();
  choice.reasoning = "Hm.";
  choice.content = "I look.";
  choice.calls = {{"t1", "f", R"({"a":[1]})"}, {"t2", "g", ""}, {"t3", "h", R"({"a":)"}};
  choice.ended = Ended::kToolCalls;
  ExpectJson(Messages().Whole({}, Header(), answer), R"({
      "id":"msg_abc","type":"message","role":"assistant","model":"demo","content":[
        {"type":"thinking","thinking":"Hm.","signature":"unsigned"},
        {"type":"text","text":"I look.","citations":null},
        {"type":"tool_use","id":"t1","name":"f","input":{"a":[1]}},
        {"type":"tool_use","id":"t2","name":"g","input":{}},
        {"type":"tool_use","id":"t3","name":"h","input":{"INVALID_JSON":"{\"a\":"}}],
      "stop_reason":"tool_use","stop_sequence":null,
      "usage":{"input_tokens":4,"cache_creation_input_tokens":0,"cache_read_input_tokens":8,"output_tokens":7,
               "output_tokens_details":{"thinking_tokens":3},"service_tier":"standard"}})");
}

TEST(MessagesWrite, StopReasons) {
  Answer answer;
  AnswerChoice& choice = answer.choices.emplace_back();
  OrderedJson out = Messages().Whole({}, Header(), answer);
  EXPECT_EQ(out["stop_reason"], "end_turn");
  ExpectJson(out["content"], R"([{"type":"text","text":"","citations":null}])");
  choice.stop = "END";
  out = Messages().Whole({}, Header(), answer);
  EXPECT_EQ(out["stop_reason"], "stop_sequence");
  EXPECT_EQ(out["stop_sequence"], "END");
  choice.stop = "";
  choice.ended = Ended::kLength;
  EXPECT_EQ(Messages().Whole({}, Header(), answer)["stop_reason"], "max_tokens");
}

TEST(MessagesWrite, Stream) {
  std::vector<AnswerPiece> pieces = {Reasoning("Hm"), Reasoning("."), Content("I "), Content(""),
                                     Content("look.")};
  for (const AnswerPiece& piece : CallPieces(0, "t1", "f", R"({"a":)", "1}")) pieces.push_back(piece);
  for (const AnswerPiece& piece : CallPieces(1, "t2", "g", "{", "}")) pieces.push_back(piece);
  AnswerChoice choice;
  choice.ended = Ended::kToolCalls;
  const AnswerHeader header = Header();
  const auto events = Events(Told(Messages(), {}, header, pieces, choice));
  const std::string_view want[] = {
      R"({"type":"message_start","message":{"id":"msg_abc","type":"message","role":"assistant","model":"demo",
          "content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,
          "cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0,
          "output_tokens_details":{"thinking_tokens":0},"service_tier":"standard"}}})",
      R"({"type":"ping"})",
      R"({"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}})",
      R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}})",
      R"({"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"."}})",
      R"({"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"unsigned"}})",
      R"({"type":"content_block_stop","index":0})",
      R"({"type":"content_block_start","index":1,"content_block":{"type":"text","text":"","citations":null}})",
      R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"I "}})",
      R"({"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"look."}})",
      R"({"type":"content_block_stop","index":1})",
      R"({"type":"content_block_start","index":2,
          "content_block":{"type":"tool_use","id":"t1","name":"f","input":{}}})",
      R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}})",
      R"({"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"1}"}})",
      R"({"type":"content_block_stop","index":2})",
      R"({"type":"content_block_start","index":3,
          "content_block":{"type":"tool_use","id":"t2","name":"g","input":{}}})",
      R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"{"}})",
      R"({"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"}"}})",
      R"({"type":"content_block_stop","index":3})",
      R"({"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":4,
          "cache_creation_input_tokens":0,"cache_read_input_tokens":8,"output_tokens":7,
          "output_tokens_details":{"thinking_tokens":3}}})",
      R"({"type":"message_stop"})"};
  ASSERT_EQ(events.size(), std::size(want));
  for (size_t i = 0; i < events.size(); ++i) ExpectJson(events[i], want[i]);
}

TEST(MessagesWrite, StreamOfNothingHasOneBlock) {
  const AnswerHeader header = Header();
  EXPECT_THAT(Types(Events(Told(Messages(), {}, header, {}, {}))),
              ElementsAre("message_start", "ping", "content_block_start", "content_block_stop",
                          "message_delta", "message_stop"));
}

TEST(MessagesWrite, Errors) {
  const AnswerHeader header = Header();
  const auto stream = Messages().Stream({}, header);
  std::string out;
  stream->Failed(absl::InternalError("device lost"), out);
  ExpectJson(Events(out).at(0),
             R"({"type":"error","error":{"type":"api_error","message":"device lost"},"request_id":"req_1"})");
  EXPECT_EQ(Messages().Error(Describe(Busy("later", 3)), "req_2")["error"]["type"], "rate_limit_error");
}

}  // namespace
}  // namespace qiao::serve
