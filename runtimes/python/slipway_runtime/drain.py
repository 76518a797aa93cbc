"""The end of a server that requests are still sent to.

Whoever sends them (kube-proxy, a client with connections it keeps) hears of the end after the server does. gunicorn
stops accepting at once; here, for some seconds after SIGTERM, new connections are still accepted and every request is
answered, on a connection that the answer closes. Whoever keeps idle connections for less than that time has closed
them by itself. Only then gunicorn's own end begins: sooner where nobody has had a connection for a while."""

import math
import mmap
import os
import signal
import time

from gunicorn.arbiter import Arbiter

# Seconds without a connection after which nobody is taken to send any more. A proxy that hears of the end even later
# leads to a port that refuses: whoever is refused has sent nothing, and can try again. A kubelet's checks, which are
# connections too, are farther apart.
QUIET = 1.0
# Seconds between two looks at whether that is so.
INTERVAL = 0.2


class Drain:
    """Whether the end has begun, told by the master, and when connections were open, told by the worker it forks."""

    _BEGUN, _LAST_OPEN = 0, 1

    def __init__(self):
        self._shared = memoryview(mmap.mmap(-1, 16)).cast("d")

    @property
    def begun(self):
        return self._shared[self._BEGUN] > 0

    def begin(self):
        self._shared[self._BEGUN] = time.monotonic()

    def note(self, connections):
        """How many connections are open now."""
        if connections > 0:
            self._shared[self._LAST_OPEN] = math.inf
        elif self._shared[self._LAST_OPEN] == math.inf:
            self._shared[self._LAST_OPEN] = time.monotonic()

    @property
    def quiet(self):
        """Seconds since the end has begun in which no connection was open, up to now; negative while one is."""
        return time.monotonic() - max(self._shared)

    def pre_request(self, _worker, request):
        """Hook of gunicorn: the next request of a client that is told to close comes on a connection elsewhere."""
        if self.begun:
            request.force_close()


class LingeringArbiter(Arbiter):
    """gunicorn's master, which lingers between SIGTERM and its end: `linger` seconds, or until nobody is connected. A
    second SIGTERM ends that."""

    def __init__(self, app, drain, linger):
        self._drain = drain
        self._linger = linger
        super().__init__(app)

    def handle_term(self):
        if self._linger == 0 or self._drain.begun:
            signal.setitimer(signal.ITIMER_REAL, 0)
            super().handle_term()
        self._drain.begin()
        end = time.monotonic() + self._linger

        def look(*_):
            if self._drain.quiet >= QUIET or time.monotonic() >= end:
                os.kill(os.getpid(), signal.SIGTERM)

        # Not a sleep: the master goes on minding its worker and hearing signals.
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
