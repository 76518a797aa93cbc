"""Obeys the serving contract with nothing but the standard library; misbehaves as its image's environment says."""
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

started = time.monotonic()
ready_after = float(os.environ.get("PROBE_READY_AFTER", "0"))
slow_answer = float(os.environ.get("PROBE_SLOW_ANSWER", "0"))
# Files that a test makes when it wants the probe to be ready, or to answer what it has been asked.
ready_file = os.environ.get("PROBE_READY_FILE")
answer_file = os.environ.get("PROBE_ANSWER_FILE")

print("probe starting as", os.environ.get("MODEL_NAME"), flush=True)
if "PROBE_EXIT" in os.environ:
    time.sleep(float(os.environ.get("PROBE_EXIT_AFTER", "0")))
    print("ModuleNotFoundError: No module named 'nonsense'", file=sys.stderr, flush=True)
    print("shutting down", file=sys.stderr, flush=True)
    sys.exit(int(os.environ["PROBE_EXIT"]))
if "PROBE_EAT_MB" in os.environ:
    print("loading a large model", flush=True)
    eaten = [bytearray(os.urandom(1 << 20)) for _ in range(int(os.environ["PROBE_EAT_MB"]))]


def is_there(file):
    return file is None or os.path.exists(file)


def drain(*_):
    print("draining", flush=True)
    threading.Thread(target=server.shutdown).start()


class Probe(BaseHTTPRequestHandler):
    def do_GET(self):
        ready = time.monotonic() - started >= ready_after and is_there(ready_file)
        if self.path == "/env":
            return self.answer(200, dict(os.environ))
        self.answer(200 if self.path == "/healthz" or ready else 503, {"state": "done" if ready else "loading"})

    def do_POST(self):
        value = json.loads(self.rfile.read(int(self.headers["content-length"])))["input"]
        print("answering", flush=True)
        time.sleep(slow_answer)
        while not is_there(answer_file):
            time.sleep(0.05)
        self.answer(200, {"output": value})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return self.client_address[0]

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False


server = Server(("0.0.0.0", int(os.environ["SLIPWAY_PORT"])), Probe)
if "PROBE_IGNORES_TERM" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "PROBE_DRAINS" in os.environ:
    signal.signal(signal.SIGTERM, drain)
server.serve_forever()
server.server_close()
