"""Anthropic's official Python client against `infer serve` on the shipped model."""
import json
import unittest

from server import KEY, Server, skip
import transcript

try:
    import anthropic
    import jsonschema
except ImportError as error:
    skip(f"the Python packages anthropic and jsonschema are not installed: {error}")

TOOL = {"name": "get_weather", "description": "The weather of a place",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}},
                         "required": ["city"], "additionalProperties": False}}
MESSAGES = [{"role": "user", "content": "SQLite is a"}]


def dump(model):
    return json.loads(model.model_dump_json(exclude_unset=True))


class Anthropic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.client = anthropic.Anthropic(base_url=cls.server.url, api_key=KEY, max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0, "the server did not end with 0"

    def ask(self, **more):
        # Newer clients have no argument for the temperature; the API has.
        request = dict(model="demo", max_tokens=12, messages=MESSAGES, extra_body={"temperature": 0})
        request.update(more)
        return request, self.client.messages.create(**request)

    def test_message(self):
        request, answer = self.ask(system="In the beginning")
        self.assertEqual(answer.stop_reason, "max_tokens")
        self.assertEqual(answer.usage.output_tokens, 12)
        self.assertTrue(answer.content[0].text)
        transcript.check(self, "messages", request, dump(answer))

    def test_streaming(self):
        request, stream = self.ask(stream=True)
        events = [dump(e) for e in stream]
        self.assertEqual(events[0]["type"], "message_start")
        self.assertEqual(events[-1]["type"], "message_stop")
        transcript.check(self, "messages_stream", request, events)
        with self.client.messages.stream(model="demo", max_tokens=12, messages=MESSAGES,
                                         extra_body={"temperature": 0}) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, self.ask()[1].content[0].text)
        self.assertEqual(final.stop_reason, "max_tokens")

    def test_stop_sequence(self):
        whole = self.ask(max_tokens=30)[1].content[0].text
        word = whole.split()[3]
        answer = self.ask(max_tokens=30, stop_sequences=[word])[1]
        self.assertEqual((answer.stop_reason, answer.stop_sequence), ("stop_sequence", word))

    def test_tool(self):
        request, answer = self.ask(tools=[TOOL], tool_choice={"type": "any"}, max_tokens=60)
        call = answer.content[-1]
        self.assertEqual((answer.stop_reason, call.type, call.name), ("tool_use", "tool_use", "get_weather"))
        jsonschema.validate(call.input, TOOL["input_schema"])
        transcript.check(self, "messages_tool", request, dump(answer) | {"content": ["MASKED"]})
        with self.client.messages.stream(**request) as stream:
            final = stream.get_final_message()
        self.assertEqual(final.content[-1].input, call.input)
        back = self.ask(tools=[TOOL], messages=MESSAGES + [
            {"role": "assistant", "content": [dump(c) for c in answer.content]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}])[1]
        self.assertTrue(back.content)

    def test_prefill_and_count(self):
        answer = self.ask(messages=MESSAGES + [{"role": "assistant", "content": "small"}])[1]
        self.assertTrue(answer.content[0].text)
        count = self.client.messages.count_tokens(model="demo", messages=MESSAGES)
        self.assertEqual(count.input_tokens, self.ask()[1].usage.input_tokens + self.ask()[1].usage.cache_read_input_tokens)

    def test_errors(self):
        for kind, fields in [(anthropic.BadRequestError, dict(messages=[])),
                             (anthropic.BadRequestError, dict(max_tokens=0)),
                             (anthropic.BadRequestError, dict(messages=[{"role": "user", "content": "word " * 5000}])),
                             (anthropic.BadRequestError, dict(messages=[{"role": "user", "content": [
                                 {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                              "data": ""}}]}])),
                             (anthropic.NotFoundError, dict(model="claude"))]:
            with self.assertRaises(kind) as caught:
                self.ask(**fields)
            self.assertEqual(caught.exception.body["type"], "error")
            self.assertTrue(caught.exception.request_id.startswith("req_"))
        with self.assertRaises(anthropic.AuthenticationError):
            anthropic.Anthropic(base_url=self.server.url, api_key="wrong", max_retries=0).messages.create(
                model="demo", max_tokens=1, messages=MESSAGES)


if __name__ == "__main__":
    unittest.main()
