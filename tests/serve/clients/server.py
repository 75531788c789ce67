"""A server of its own for the tests of a file: `infer serve` on the shipped model, at any free port."""
import json
import os
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
KEY = "test-key-0123456789"


def skip(reason):
    """Ends the test program as skipped, which ctest counts with this reason."""
    print(f"{os.path.basename(sys.argv[0])}: Skipped\n{reason}")
    sys.exit(77)


class Server:
    def __init__(self, *options, key=KEY, model="models/demo"):
        infer = os.environ.get("QIAO_INFER", os.path.join(ROOT, "build", "bin", "infer"))
        env = dict(os.environ)
        env.pop("QIAO_API_KEY", None)
        if key:
            env["QIAO_API_KEY"] = key
        self.process = subprocess.Popen(
            [infer, "serve", os.path.join(ROOT, model), "--port", "0", "--json", *options],
            stdout=subprocess.PIPE, text=True, env=env)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"infer serve ended with {self.process.wait()}")
        self.url = json.loads(line)["url"]

    def stop(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code
