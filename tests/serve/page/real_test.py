"""The page as `infer serve` serves it, on the shipped model, in headless Chromium."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "clients"))
from server import Server  # noqa: E402

server = Server("--draft", "auto", key=None)
result = subprocess.run([sys.executable, os.path.join(HERE, "page_test.py"), "--base-url", server.url, *sys.argv[1:]],
                        check=False)
code = server.stop()
sys.exit(result.returncode or code)
