"""Runs the server: ``python -m slipway_runtime``."""

import logging
import os
import sys
import time

from gunicorn.app.base import BaseApplication

from .app import Application
from .drain import Drain, LingeringArbiter
from .model import Model
from .settings import Settings
from .worker import Worker

# gunicorn's master ends with this status when a worker does: a load that fails at startup ends the container.
BOOT_FAILED = 3


class Server(BaseApplication):
    """One process, so that every request sees the same model, with threads for requests at once."""

    def __init__(self, settings):
        self._settings = settings
        self.drain = Drain()
        super().__init__()

    def load_config(self):
        settings = self._settings
        for name, value in {
            "bind": f"{settings.host}:{settings.port}",
            "workers": 1,
            "worker_class": Worker,
            # Predictions take `threads` of them, those waiting seven times as many; the rest is for checks.
            "threads": settings.threads * 8 + 8,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp",
            "graceful_timeout": settings.drain,
            "keepalive": 75,
            "preload_app": False,
            # A load may hold the interpreter for minutes; whether the process hangs is judged by its health checks.
            "timeout": 0,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "proc_name": "slipway",
            "control_socket_disable": True,
            "post_worker_init": _start_load,
            "pre_request": self.drain.pre_request,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self):
        model = Model(self._settings)
        application = Application(self._settings, model)
        # Only the worker has the model; its hook below finds it here.
        application.model = model
        return application

    def run(self):
        LingeringArbiter(self, self.drain, self._settings.linger).run()


def _start_load(worker):
    def end():
        # Readiness checks in flight may still hear why.
        time.sleep(0.2)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(BOOT_FAILED)

    worker.wsgi.model.start_load(on_failure=end)


def main():
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    Server(Settings()).run()


if __name__ == "__main__":
    main()
