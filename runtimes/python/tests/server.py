"""Starts the real server on a free port, for tests."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Server:
    """The server as a process, serving a python-class model from `code`, unless the environment says otherwise."""

    def __init__(self, code="", weights=None, **env):
        self.folder = tempfile.TemporaryDirectory()
        base = Path(self.folder.name)
        (base / "src").mkdir()
        (base / "model").mkdir()
        if code:
            (base / "src" / "k8s_api_model.py").write_text(code)
        for name, content in (weights or {}).items():
            (base / "model" / name).write_bytes(content)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = base / "log"
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MODEL_NAME": "test",
            "MODEL_TYPE": "python-class",
            "SLIPWAY_HOST": "127.0.0.1",
            "SLIPWAY_PORT": str(self.port),
            "SLIPWAY_SOURCE_PATH": str(base / "src"),
            "SLIPWAY_MODEL_PATH": str(base / "model"),
            **env,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "slipway_runtime"], env=environ, stdout=log, stderr=log
            )

    def ask(self, method, path, body=None, connection=None):
        """Status and body; JSON where it is."""
        own = connection or HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        own.request(method, path, data, {"Content-Type": "application/json"})
        response = own.getresponse()
        text = response.read().decode()
        self.headers = response.headers
        if connection is None:
            own.close()
        is_json = response.headers.get("Content-Type") == "application/json" and text
        return response.status, json.loads(text) if is_json else text

    def wait(self, path="/readyz", status=200, seconds=20):
        """Waits until a path answers with a status; answers the body."""
        end = time.monotonic() + seconds
        while True:
            try:
                got, body = self.ask("GET", path)
                if got == status:
                    return body
            except OSError:
                pass
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"{path} never answered {status}: {self.output()}")
            time.sleep(0.05)

    def output(self):
        return self.log.read_text()

    def workers(self):
        """Processes that the server started."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(re.sub(r"\(.*\)", "", stat.read_text()).split()[2]) == self.process.pid:
                    found.append(int(stat.parent.name))
            except (OSError, ValueError, IndexError):
                continue
        return found

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()
