"""Headless Chromium by its DevTools protocol, with a small WebSocket client (RFC 6455). Standard library only."""
import base64
import collections
import json
import os
import pathlib
import secrets
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request


def find_chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    return None


class WebSocket:
    def __init__(self, url, timeout):
        host, _, rest = url[len("ws://"):].partition("/")
        name, _, port = host.partition(":")
        self.socket = socket.create_connection((name, int(port)), timeout=timeout)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.socket.sendall((f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.receive_some()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode(errors="replace"))

    def receive_some(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("Chromium closed the connection")
        return data

    def take(self, count):
        while len(self.buffer) < count:
            self.buffer += self.receive_some()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, text):
        data = text.encode()
        head = b"\x81"
        if len(data) < 126:
            head += struct.pack("!B", 0x80 | len(data))
        elif len(data) < 1 << 16:
            head += struct.pack("!BH", 0x80 | 126, len(data))
        else:
            head += struct.pack("!BQ", 0x80 | 127, len(data))
        # A mask of zeros is a mask.
        self.socket.sendall(head + bytes(4) + data)

    def receive(self, timeout):
        """A whole message, or TimeoutError. A frame that has begun is waited for."""
        if not self.buffer:
            self.socket.settimeout(max(timeout, 0.001))
            self.buffer = self.receive_some()
        self.socket.settimeout(30)
        message = b""
        while True:
            first, second = self.take(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack("!H", self.take(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", self.take(8))[0]
            data = self.take(size)
            if first & 0x0F == 8:
                raise ConnectionError("Chromium closed the connection")
            if first & 0x0F < 3:
                message += data
                if first & 0x80:
                    return message.decode()

    def close(self):
        self.socket.close()


class Browser:
    """One Chromium with one page. `events` of the page are kept: (method, params)."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="qiao-page-")
        self.process = subprocess.Popen(
            [find_chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
             "--force-color-profile=srgb", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self.profile},
            start_new_session=True)
        self.events = collections.deque()
        self.last_id = 0
        port = self.wait_for_port()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as response:
            pages = json.load(response)
        page = next(page for page in pages if page["type"] == "page")
        self.socket = WebSocket(page["webSocketDebuggerUrl"], 20)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def wait_for_port(self):
        file = pathlib.Path(self.profile) / "DevToolsActivePort"
        for _ in range(600):
            if file.is_file() and (text := file.read_text()).count("\n"):
                return int(text.split("\n")[0])
            if self.process.poll() is not None:
                raise RuntimeError(f"Chromium ended with {self.process.returncode}")
            time.sleep(0.05)
        raise TimeoutError("Chromium did not open its DevTools port within 30 s")

    def close(self):
        try:
            self.call("Browser.close")
        except (ConnectionError, TimeoutError, OSError):
            pass
        self.socket.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def call(self, method, timeout=30, **params):
        self.last_id += 1
        self.socket.send(json.dumps({"id": self.last_id, "method": method, "params": params}))
        end = time.monotonic() + timeout
        while True:
            message = json.loads(self.socket.receive(end - time.monotonic()))
            if message.get("id") == self.last_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            if "method" in message:
                self.events.append((message["method"], message["params"]))

    def evaluate(self, expression):
        """The value of a JavaScript expression; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
                           userGesture=True)
        if details := result.get("exceptionDetails"):
            raise RuntimeError(f"{expression[:200]}: {details.get('exception', details).get('description', details)}")
        return result["result"].get("value")

    def wait(self, expression, what, timeout=20):
        """Until the expression is true. The time only stops what hangs."""
        end = time.monotonic() + timeout
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise AssertionError(f"not within {timeout} s: {what} ({expression})")
            time.sleep(0.03)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})", f"{url} is loaded")

    def size(self, width, height, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1,
                  mobile=mobile)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile)

    def media(self, **features):
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": name.replace("_", "-"), "value": value} for name, value in features.items()])

    def type(self, text):
        self.call("Input.insertText", text=text)

    def press(self, key, code=0, modifiers=0, text=None):
        """Modifiers: 1 Alt, 2 Ctrl, 4 Meta, 8 Shift."""
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector):
        """Clicks the middle of an element with the mouse, as a person would: it must be visible and on top."""
        quoted = json.dumps(selector)
        self.evaluate(f"document.querySelector({quoted}).scrollIntoView({{block: 'nearest'}})")
        # What slides over it may still be on its way out.
        until = time.monotonic() + 5
        while True:
            at = self.evaluate(
                f"(() => {{ const e = document.querySelector({quoted}), r = e.getBoundingClientRect();"
                " const x = r.left + r.width / 2, y = r.top + r.height / 2, top = document.elementFromPoint(x, y);"
                " return [x, y, e.contains(top) ? '' : (top ? top.outerHTML.slice(0, 200) : 'nothing')]; })()")
            if not at[2]:
                break
            if time.monotonic() > until:
                raise AssertionError(f"{selector} is covered by {at[2]}")
            time.sleep(0.05)
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], button="left", clickCount=1)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(data))
