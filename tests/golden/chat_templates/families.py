"""Conversations for the family templates: every template meets every conversation, with and without tools."""

import os

FAMILIES = ["qwen3_style", "deepseek_v31_style", "llama3_style", "kimi_glm_style", "mistral_style", "gpt_oss_style"]

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a <city> & \"more\".",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "城市"},
        "unit": {"type": "string", "enum": ["c", "f"]},
        "days": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}}}, "required": ["city"]}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]},
    "return": {"type": "number"}}}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, **more):
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


CONVERSATIONS = {
    "hello": [user("Hello")],
    "system": [{"role": "system", "content": " You help. "}, user("你好！😀")],
    "turns": [user("a"), assistant("b"), user("c")],
    "thought in content": [user("q"), assistant("<think>\nwhy\n</think>\n\nfinal"), user("next")],
    "thought apart": [user("q"), assistant("final", reasoning_content="\nbecause\n"), user("n"), assistant("end", reasoning_content="r")],
    "tool call": [user("w?"), assistant(None, tool_calls=[call("get_weather", {"city": "北京", "days": 2, "x": 1.50, "t": True, "n": None}, id="c1")], reasoning_content="look"),
                  {"role": "tool", "content": "20 °C", "tool_call_id": "c1"}, assistant("Warm."), user("thanks")],
    "tool result last": [user("w?"), assistant("Let me see.", tool_calls=[call("get_weather", {"city": "A\"B"})]), {"role": "tool", "content": "{\"t\": 20}"}],
    "two calls": [user("w?"), assistant("", tool_calls=[call("get_weather", {"city": "A"}), call("add", "{\"a\": 1}")]),
                  {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}],
    "tool first": [{"role": "tool", "content": "1"}],
    "two systems": [{"role": "system", "content": "one"}, {"role": "system", "content": "two"}, user("x")],
    "system later": [user("x"), {"role": "system", "content": "late"}, assistant("ok")],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}, "plain"]}],
    "empty content": [user("")],
    "jinja in content": [user("{{ x }} {% raw %} <|im_end|> <tool_response>a</tool_response>")],
    "tool response shaped": [user("q"), assistant("a"), user("<tool_response>a</tool_response>")],
    "no messages": [],
    "missing content": [{"role": "user"}],
    "missing role": [{"content": "x"}],
    "number content": [{"role": "user", "content": 5}],
    "lines": [user("a\r\nb\n\n c\t"), assistant("\n\nx\n"), user("  y  ")],
}


def family_cases(here):
    contexts, cases = {}, []
    for name, messages in CONVERSATIONS.items():
        base = {"messages": messages, "documents": None, "bos_token": "<s>", "eos_token": "</s>"}
        for tools in (None, [WEATHER, ADD]):
            for more in ({"add_generation_prompt": False}, {"add_generation_prompt": True},
                         {"add_generation_prompt": True, "enable_thinking": False, "thinking": True, "reasoning_effort": "high"}):
                key = f"{name}/{'tools' if tools else 'plain'}/{len(more)}{more['add_generation_prompt']}"
                contexts[key] = {**base, "tools": tools, **more}
                for family in FAMILIES:
                    with open(os.path.join(here, f"family_{family}.jinja"), encoding="utf-8") as f:
                        template = f.read()
                    cases.append((f"{family}: {key}", f"family_{family}.jinja", key, template))
    return contexts, cases
