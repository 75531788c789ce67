#!/usr/bin/env python3
"""Serves the web page from the source tree and imitates the server's API from a script, to work on the page and to
test it without a model. Python's standard library only.

  fake_server.py [--port N] [--key KEY] [--pace FACTOR]

The last message of a request chooses the answer by a word in it: "think", "code", "table", "attack", "slow" (a long
prefill), "tool", "long", "bad request", "broken" (an error amid the stream), "cut" (the connection ends), "busy" (429);
anything else gets a short answer. POST /fake/key {"key": "..."} asks for that key from then on. GET /fake/seen
gives the bodies of the requests so far.
"""
import argparse
import json
import pathlib
import random
import string
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import fake_answers  # noqa: E402

PAGE = pathlib.Path(__file__).resolve().parents[3] / "runtime" / "serve" / "page"
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
MODEL = {"id": "deepseek-v2-lite", "family": "deepseek_v2", "parameters": 15_706_484_224,
         "active_parameters": 2_660_000_000, "layers": 27, "experts": 64, "experts_per_token": 6, "context": 32_768,
         "weight_format": "fp8 e4m3, 128x128 blocks", "cache_bytes_per_token": 31_104,
         "cache_bytes_per_token_expanded": 276_480, "weight_bytes": 16_100_000_000, "weight_bytes_bf16": 31_400_000_000,
         "mtp": False}


class State:
    """What all connections share."""

    def __init__(self, key, pace):
        self.lock = threading.Lock()
        self.key = key
        self.pace = pace
        self.seen = []
        self.running = 0
        self.generated = 0
        self.recent = []  # (time, tokens)
        self.random = random.Random(7)

    def tokens(self, count):
        with self.lock:
            self.generated += count
            self.recent.append((time.monotonic(), count))

    def rate(self):
        with self.lock:
            since = time.monotonic() - 3
            self.recent = [entry for entry in self.recent if entry[0] > since]
            return sum(count for _, count in self.recent) / 3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake"

    def log_message(self, *_):
        pass

    @property
    def state(self):
        return self.server.state

    def answer(self, status, body, content_type="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("x-request-id", self.request_id)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, message, kind, headers=()):
        self.answer(status, {"error": {"message": message, "type": kind, "param": None, "code": None}}, headers=headers)

    def begin(self):
        letters = string.ascii_letters + string.digits
        self.request_id = "req_" + "".join(random.choice(letters) for _ in range(24))

    def allowed(self):
        key = self.state.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.error(401, "This server asks for an API key.", "authentication_error")
        return False

    def do_GET(self):
        self.begin()
        self.path = self.path.partition("?")[0]
        if self.path == "/" or self.path.startswith("/page/"):
            name = "index.html" if self.path == "/" else self.path[len("/page/"):]
            file = PAGE / name
            if "/" in name or file.suffix not in TYPES or not file.is_file():
                return self.error(404, "There is no such page.", "not_found_error")
            return self.answer(200, file.read_bytes(), TYPES[file.suffix])
        if self.path == "/fake/seen":
            return self.answer(200, self.state.seen)
        if not self.allowed():
            return None
        if self.path == "/v1/models":
            return self.answer(200, {"object": "list", "data": [{"id": MODEL["id"], "object": "model"}]})
        if self.path == "/v1/stats":
            return self.answer(200, self.stats())
        return self.error(404, f"There is no {self.path}.", "not_found_error")

    def stats(self):
        state = self.state
        rate = state.rate()
        held = min(2048, 96 + state.generated // 16)
        return {"model": MODEL,
                "now": {"running": state.running, "waiting": 0, "pages": 2048, "pages_free": 2048 - held,
                        "pages_cached": held - 8 * state.running, "connections": 1, "drafting": False},
                "totals": {"prompt_tokens": 0, "cached_tokens": 0, "generated_tokens": state.generated, "drafted": 0,
                           "accepted": 0, "finished": 0, "failed": 0, "cancelled": 0, "preemptions": 0, "steps": 0,
                           "rows": 0, "step_seconds": 0},
                "rates": {"generated_per_second": rate, "prompt_per_second": 0.0,
                          "batch": 1.0 * state.running}}

    def do_POST(self):
        self.begin()
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if self.path == "/fake/key":
            self.state.key = body["key"]
            return self.answer(200, {})
        if not self.allowed():
            return None
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            return self.error(404, f"There is no {self.path}.", "not_found_error")
        self.state.seen.append({"path": self.path, "body": body})
        chat = self.path.startswith("/v1/chat")
        asked = body["messages"][-1]["content"] if chat else body["prompt"]
        script = fake_answers.choose(asked if chat else asked.splitlines()[-1])
        if script.status != 200:
            headers = [("Retry-After", "2")] if script.status == 429 else []
            return self.error(script.status, script.message, script.kind, headers)
        return self.stream(script, chat, len(asked.split()) + 8 * len(body.get("messages", [0])))

    # ---- streaming ----

    def piece(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def chunk(self, chat, delta=None, finish=None, **more):
        event = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": int(time.time()), "model": MODEL["id"],
                 "choices": []}
        if delta is not None or finish is not None:
            choice = {"index": 0, "finish_reason": finish}
            if chat:
                choice["delta"] = delta or {}
            else:
                choice["text"] = (delta or {}).get("content", "")
            event["choices"] = [choice]
        event.update(more)
        self.piece(f"data: {json.dumps(event)}\n\n")

    def stream(self, script, chat, prompt_tokens):
        state = self.state
        with state.lock:
            state.running += 1
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Cache-Control", "no-store")
            self.send_header("x-request-id", self.request_id)
            self.end_headers()
            self.play(script, chat, prompt_tokens)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with state.lock:
                state.running -= 1

    def play(self, script, chat, prompt_tokens):
        began = time.monotonic()
        if chat:
            self.chunk(chat, {"role": "assistant", "content": ""})
        time.sleep(script.wait * self.state.pace)
        for done in range(0, script.prefill, max(1, script.prefill // 12)):
            self.piece(f": prefill {done}/{script.prefill}\n\n")
            time.sleep(0.12 * self.state.pace)
        first = time.monotonic()
        count = 0
        for kind, text in script.parts:
            if kind == "error":
                return self.piece("data: " + json.dumps({"error": {"message": text, "type": "server_error"}}) + "\n\n")
            if kind == "cut":
                self.wfile.flush()
                self.close_connection = True
                raise BrokenPipeError
            if kind == "tool":
                self.chunk(chat, {"tool_calls": [text]})
                continue
            for token in fake_answers.tokens(text, state_random := self.state.random):
                self.chunk(chat, {kind: token})
                self.state.tokens(1)
                count += 1
                time.sleep(script.each * self.state.pace * state_random.uniform(0.5, 1.5))
        self.chunk(chat, {}, "tool_calls" if any(kind == "tool" for kind, _ in script.parts) else "stop")
        prompt_tokens += script.prefill
        cached = min(script.cached, prompt_tokens - 1)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": count, "total_tokens": prompt_tokens + count,
                 "prompt_tokens_details": {"cached_tokens": cached}}
        self.chunk(chat, usage=usage, efficiency=efficiency(prompt_tokens, count, cached, began, first))
        self.piece("data: [DONE]\n\n")


def efficiency(prompt, count, cached, began, first):
    now = time.monotonic()
    tokens = prompt + count
    prefill = first - began
    return {"prompt_tokens": prompt, "cached_tokens": cached, "completion_tokens": count, "queue_seconds": 0.004,
            "prefill_seconds": prefill, "decode_seconds": now - first, "ttft_seconds": prefill + 0.004,
            "tokens_per_second": count / max(now - first, 1e-3),
            "mla": {"bytes": tokens * MODEL["cache_bytes_per_token"],
                    "bytes_without": tokens * MODEL["cache_bytes_per_token_expanded"]},
            "experts": {"flops": tokens * 2 * MODEL["active_parameters"], "flops_without": tokens * 2 * MODEL["parameters"]},
            "fp8": {"bytes": MODEL["weight_bytes"], "bytes_without": MODEL["weight_bytes_bf16"]},
            "prefix_cache": {"tokens": cached, "seconds_saved": cached * 0.004}, "mtp": None}


def start(port=0, key=None, pace=1.0):
    """A server on a thread of its own; `server_address` says where."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.state = State(key, pace)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--key")
    parser.add_argument("--pace", type=float, default=1.0, help="1: as a model writes; 0: at once")
    arguments = parser.parse_args()
    server = start(arguments.port, arguments.key, arguments.pace)
    print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
