"""The end of a server that requests are still sent to.

Whoever sends them (kube-proxy, a client with connections it keeps) hears of the end after the server does. gunicorn
stops accepting at once; here, for some seconds after SIGTERM, new connections are still accepted and every request is
answered, on a connection that the answer closes. Whoever keeps idle connections for less than that time has closed
them by itself. Only then gunicorn's own end begins."""

import mmap
import os
import signal

from gunicorn.arbiter import Arbiter


class Drain:
    """Whether the end has begun: told by the master, seen by the worker it forks."""

    def __init__(self):
        self._shared = mmap.mmap(-1, 1)

    @property
    def begun(self):
        return self._shared[0] == 1

    def begin(self):
        self._shared[0] = 1

    def pre_request(self, _worker, request):
        """Hook of gunicorn: the next request of a client that is told to close comes on a connection elsewhere."""
        if self.begun:
            request.force_close()


class LingeringArbiter(Arbiter):
    """gunicorn's master, which lingers `linger` seconds between SIGTERM and its end; a second SIGTERM ends that."""

    def __init__(self, app, drain, linger):
        self._drain = drain
        self._linger = linger
        super().__init__(app)

    def handle_term(self):
        if self._linger == 0 or self._drain.begun:
            super().handle_term()
        self._drain.begin()
        # Not a sleep: the master goes on minding its worker and hearing signals.
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        signal.setitimer(signal.ITIMER_REAL, self._linger)
