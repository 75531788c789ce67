"""tools/examples/nginx.conf before `infer serve`: HTTPS, streaming through it, the page's origin."""
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.request

from server import KEY, ROOT, Server, skip

NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)
if NGINX is None or shutil.which("openssl") is None:
    skip("nginx or openssl is not installed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Nginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.folder = tempfile.mkdtemp(prefix="qiao-nginx-")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", cls.folder + "/key.pem",
                        "-out", cls.folder + "/certificate.pem"], check=True, capture_output=True)
        with open(os.path.join(ROOT, "tools/examples/nginx.conf"), encoding="utf-8") as file:
            text = file.read()
        cls.port = free_port()
        for old, new in (("127.0.0.1:8080", cls.server.url.removeprefix("http://")), ("443 ssl", f"{cls.port} ssl"),
                         ("/etc/qiao/", cls.folder + "/"), ("/run/qiao-nginx.pid", cls.folder + "/pid"),
                         ("chat.example", "localhost")):
            assert old in text, old
            text = text.replace(old, new)
        with open(cls.folder + "/nginx.conf", "w", encoding="utf-8") as file:
            file.write(text)
        cls.nginx = subprocess.Popen([NGINX, "-p", cls.folder, "-c", cls.folder + "/nginx.conf", "-g", "daemon off;"],
                                     stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", cls.port)).close()
                break
            except OSError:
                time.sleep(0.05)
        cls.context = ssl.create_default_context(cafile=cls.folder + "/certificate.pem")

    @classmethod
    def tearDownClass(cls):
        cls.nginx.terminate()
        cls.nginx.wait()
        assert cls.server.stop() == 0
        shutil.rmtree(cls.folder)

    def ask(self, path, body=None, **headers):
        request = urllib.request.Request(f"https://localhost:{self.port}{path}", method="POST" if body else "GET",
                                         data=json.dumps(body).encode() if body else None)
        request.add_header("Authorization", "Bearer " + KEY)
        for name, value in headers.items():
            request.add_header(name, value)
        return urllib.request.urlopen(request, context=self.context, timeout=30)

    def test_page_and_origin(self):
        self.assertIn("text/html", self.ask("/").headers["Content-Type"])
        with self.ask("/v1/models", Origin=f"https://localhost:{self.port}") as answer:
            self.assertEqual(json.load(answer)["data"][0]["id"], "demo")

    def test_streams_come_as_they_are_made(self):
        body = {"prompt": "SQLite is a", "max_tokens": 1500, "ignore_eos": True, "stream": True, "temperature": 0}
        begun = time.monotonic()
        with self.ask("/v1/completions", body) as answer:
            first = answer.readline()
            at_first = time.monotonic() - begun
            rest = answer.read()
        whole = time.monotonic() - begun
        self.assertTrue(first.startswith(b"data: "))
        self.assertTrue(rest.rstrip().endswith(b"data: [DONE]"))
        # Buffered, the first line would come with the last.
        self.assertLess(at_first, whole / 2)


if __name__ == "__main__":
    unittest.main()
