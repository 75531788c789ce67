"""OpenAI's official Python client against `infer serve` on the shipped model."""
import json
import unittest

from server import KEY, Server, skip
import transcript

try:
    import jsonschema
    import openai
    import pydantic
except ImportError as error:
    skip(f"the Python packages openai and jsonschema are not installed: {error}")

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a place",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20},
                                                    "unit": {"enum": ["C", "F"]}},
                   "required": ["city", "unit"], "additionalProperties": False}}}
TIME = {"type": "function", "function": {
    "name": "get_time", "parameters": {"type": "object", "properties": {"zone": {"type": "string", "maxLength": 10}},
                                       "required": ["zone"], "additionalProperties": False}}}
MESSAGES = [{"role": "system", "content": "In the beginning"}, {"role": "user", "content": "SQLite is a"}]


def dump(model):
    return json.loads(model.model_dump_json(exclude_unset=True))


class OpenAI(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key=KEY, max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0, "the server did not end with 0"

    def chat(self, **more):
        request = dict(model="demo", messages=MESSAGES, max_tokens=12, temperature=0)
        request.update(more)
        return request, self.client.chat.completions.create(**request)

    def test_models(self):
        models = self.client.models.list().data
        self.assertEqual([m.id for m in models], ["demo"])
        self.assertEqual(models[0].max_model_len, 2048)
        self.assertEqual(self.client.models.retrieve("demo").id, "demo")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("gpt")

    def test_chat(self):
        request, answer = self.chat(seed=1)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 12)
        self.assertTrue(answer.choices[0].message.content)
        transcript.check(self, "chat", request, dump(answer))
        self.assertEqual(self.chat(seed=1)[1].choices[0].message.content, answer.choices[0].message.content)
        self.assertGreater(self.chat(seed=1)[1].usage.prompt_tokens_details.cached_tokens, 0)

    def test_streaming(self):
        request, stream = self.chat(stream=True, stream_options={"include_usage": True})
        chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, self.chat()[1].choices[0].message.content)
        self.assertEqual(chunks[-1].usage.completion_tokens, 12)
        transcript.check(self, "chat_stream", request, [dump(c) for c in chunks])

    def test_stream_helper(self):
        whole = self.chat(max_tokens=30)[1].choices[0].message.content
        with self.client.chat.completions.stream(model="demo", messages=MESSAGES, max_tokens=30, temperature=0,
                                                 stop=whole.split()[3]) as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_completion()
        self.assertIn("content.delta", kinds)
        self.assertEqual(final.choices[0].finish_reason, "stop")

    def test_choices_and_logprobs(self):
        request, answer = self.chat(n=2, temperature=1, logprobs=True, top_logprobs=3, max_tokens=3)
        self.assertEqual(len(answer.choices), 2)
        for choice in answer.choices:
            tokens = choice.logprobs.content
            self.assertEqual(len(tokens), 3)
            for token in tokens:
                self.assertLessEqual(token.logprob, 0)
                self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(b"".join(bytes(t.bytes) for t in tokens).decode(errors="replace"),
                             choice.message.content)

    def test_stop(self):
        whole = self.chat(max_tokens=30)[1].choices[0].message.content
        word = whole.split()[3]
        answer = self.chat(max_tokens=30, stop=[word])[1]
        self.assertEqual(answer.choices[0].message.content, whole[:whole.index(word)])
        self.assertEqual(answer.choices[0].finish_reason, "stop")

    def test_named_tool(self):
        request, answer = self.chat(tools=[WEATHER, TIME], max_tokens=60,
                                    tool_choice={"type": "function", "function": {"name": "get_weather"}})
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "get_weather")
        jsonschema.validate(json.loads(call.function.arguments), WEATHER["function"]["parameters"])
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        transcript.check(self, "chat_tool", request, dump(answer))
        # And back: the call and its result in the conversation.
        messages = MESSAGES + [answer.choices[0].message,
                               {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
        self.assertTrue(self.chat(messages=messages)[1].choices[0].message.content)

    def test_required_tool_streaming(self):
        request, stream = self.chat(tools=[WEATHER, TIME], max_tokens=60, tool_choice="required", stream=True)
        chunks = list(stream)
        name, arguments = "", ""
        for chunk in chunks:
            for call in chunk.choices[0].delta.tool_calls or []:
                name += call.function.name or ""
                arguments += call.function.arguments or ""
        schema = {t["function"]["name"]: t["function"]["parameters"] for t in (WEATHER, TIME)}[name]
        jsonschema.validate(json.loads(arguments), schema)
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    def test_json_schema(self):
        class Person(pydantic.BaseModel):
            name: str
            age: int

        schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12},
                                                   "age": {"type": "integer", "minimum": 0, "maximum": 150}},
                  "required": ["name", "age"], "additionalProperties": False}
        request, answer = self.chat(max_tokens=80, response_format={
            "type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}})
        value = json.loads(answer.choices[0].message.content)
        jsonschema.validate(value, schema)
        Person(**value)
        transcript.check(self, "chat_json_schema", request, dump(answer))
        answer = self.chat(max_tokens=200, response_format={"type": "json_object"})[1]
        if answer.choices[0].finish_reason == "stop":
            self.assertIsInstance(json.loads(answer.choices[0].message.content), dict)

    def test_completions(self):
        answer = self.client.completions.create(model="demo", prompt=["In the", "SQLite is"], max_tokens=4,
                                                temperature=0, n=1)
        self.assertEqual(len(answer.choices), 2)
        again = self.client.completions.create(model="demo", prompt="SQLite is", max_tokens=4, temperature=0)
        self.assertEqual(answer.choices[1].text, again.choices[0].text)

    def test_echo_as_evaluation_harness_asks(self):
        request = dict(model="demo", prompt="The function returns a value", max_tokens=0, temperature=0, echo=True,
                       logprobs=1)
        answer = self.client.completions.create(**request)
        logprobs = answer.choices[0].logprobs
        self.assertEqual(answer.choices[0].text, request["prompt"])
        self.assertIsNone(logprobs.token_logprobs[0])
        self.assertTrue(all(l <= 0 for l in logprobs.token_logprobs[1:]))
        self.assertEqual(len(logprobs.tokens), answer.usage.prompt_tokens)
        self.assertTrue(all(len(t) == 1 for t in logprobs.top_logprobs[1:]))
        self.assertEqual(answer.usage.completion_tokens, 0)

    def test_responses(self):
        request = dict(model="demo", input="SQLite is a", max_output_tokens=8, temperature=0)
        answer = self.client.responses.create(**request)
        self.assertEqual(answer.status, "incomplete")
        self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")
        self.assertTrue(answer.output_text)
        transcript.check(self, "responses", request, dump(answer))
        events = list(self.client.responses.create(**request, stream=True))
        self.assertEqual("".join(e.delta for e in events if e.type == "response.output_text.delta"), answer.output_text)
        transcript.check(self, "responses_stream", dict(request, stream=True), [dump(e) for e in events])

    def test_responses_tool(self):
        tool = dict(WEATHER["function"], type="function")
        request = dict(model="demo", input="SQLite is a", max_output_tokens=60, temperature=0, tools=[tool],
                       tool_choice="required")
        answer = self.client.responses.create(**request)
        call = answer.output[0]
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        jsonschema.validate(json.loads(call.arguments), tool["parameters"])
        back = self.client.responses.create(model="demo", max_output_tokens=4, input=[
            {"role": "user", "content": "SQLite is a"}, dump(call),
            {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}])
        self.assertTrue(back.output_text)

    def test_errors(self):
        cases = [
            (openai.BadRequestError, dict(messages=[])),
            (openai.BadRequestError, dict(messages=[{"role": "wizard", "content": "x"}])),
            (openai.BadRequestError, dict(temperature=-1)),
            (openai.BadRequestError, dict(n=1_000_000_000)),
            (openai.BadRequestError, dict(stop=["x"] * 100_000)),
            (openai.BadRequestError, dict(logit_bias={str(i): 1 for i in range(2000)})),
            (openai.BadRequestError, dict(messages=[{"role": "user", "content": "word " * 5000}])),
            (openai.BadRequestError, dict(response_format={"type": "json_schema", "json_schema": {
                "name": "x", "schema": {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}}})),
            (openai.NotFoundError, dict(model="gpt-5")),
        ]
        for kind, fields in cases:
            with self.assertRaises(kind) as caught:
                self.chat(**fields)
            self.assertTrue(caught.exception.request_id.startswith("req_"))
            self.assertTrue(caught.exception.body["message"])
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(messages=[{"role": "user", "content": "word " * 5000}])
        self.assertEqual(caught.exception.body["code"], "context_length_exceeded")
        self.assertIn("2048", caught.exception.body["message"])
        with self.assertRaises(openai.AuthenticationError):
            openai.OpenAI(base_url=self.server.url + "/v1", api_key="wrong", max_retries=0).models.list()


if __name__ == "__main__":
    unittest.main()
