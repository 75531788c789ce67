"""storm_test.py SCENARIO [OPTION...]: `infer serve` on the shipped model under qiao_serve_storm's scenario. Options
that begin with --serve= go to the server. It must keep all promises, and end with 0."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "clients"))
from server import KEY, Server  # noqa: E402


def main():
    scenario, *options = sys.argv[1:]
    serve = [o[len("--serve="):] for o in options if o.startswith("--serve=")]
    options = [o for o in options if not o.startswith("--serve=")]
    server = Server(*serve)
    storm = [os.environ["QIAO_STORM"], scenario, "--url", server.url, "--pid", str(server.process.pid), *options]
    if scenario == "malformed":
        # What a server needs for its first requests is no growth: the promise is about what comes after.
        subprocess.run(storm, env=dict(os.environ, QIAO_API_KEY=KEY), check=False, stdout=subprocess.DEVNULL)
    result = subprocess.run(storm, env=dict(os.environ, QIAO_API_KEY=KEY), check=False)
    code = server.process.wait(timeout=60) if scenario == "term" else server.stop()
    if code != 0:
        print(f"the server ended with {code}, not 0")
        sys.exit(1)
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
