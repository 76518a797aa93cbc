"""The one model of this process: loaded, being loaded, unloaded, or failed to load."""

import gc
import logging
import threading
import time

from . import metrics
from .loaders import loader_for

log = logging.getLogger("slipway")

LOADING, DONE, UNLOADED, FAILED = "loading", "done", "unloaded", "failed"


class NotLoaded(Exception):
    """There is no model to ask now."""


class Model:
    """State that requests share. Loads run one at a time, each in a thread of its own, so that the server answers
    meanwhile; a prediction under way keeps its session also when the model is unloaded."""

    def __init__(self, settings, find_loader=loader_for):
        self.state = LOADING
        self.error = None
        self._settings = settings
        self._find_loader = find_loader
        self._loader = None
        self._session = None
        self._change = threading.Condition()
        self._thread = None
        self._slots = threading.BoundedSemaphore(settings.threads)
        # Others stay free for health checks; see __main__.
        self._room = threading.BoundedSemaphore(settings.threads * 7)

    def start_load(self, on_failure=None):
        """Begins to load unless it is loaded or being loaded; `on_failure` is called after the load failed."""
        with self._change:
            if self._thread is not None or self.state == DONE:
                return
            self.state, self.error = LOADING, None
            self._thread = threading.Thread(target=self._load, args=(on_failure,), name="load", daemon=True)
            self._thread.start()

    def wait(self, seconds):
        """Waits until no load is under way; answers the state."""
        with self._change:
            self._change.wait_for(lambda: self._thread is None, timeout=seconds)
            return self.state

    def unload(self):
        """Lets the model go, after a load that is under way."""
        with self._change:
            self._change.wait_for(lambda: self._thread is None)
            self._session = None
            self.state, self.error = UNLOADED, None
            metrics.loaded.set(0)
        gc.collect()

    def predict(self, input):
        """Asks the model, loading it first where it was unloaded. Raises NotLoaded, or what the model raises."""
        if not self._room.acquire(blocking=False):
            raise NotLoaded("too many predictions are waiting")
        try:
            loader, session = self._loaded()
            with self._slots:
                return loader.predict(session, input)
        finally:
            self._room.release()

    def _loaded(self):
        if self.state == UNLOADED:
            self.start_load()
        self.wait(self._settings.load_wait)
        with self._change:
            if self.state == DONE:
                return self._loader, self._session
            raise NotLoaded(self.error or f"the model is {self.state}")

    def _load(self, on_failure):
        started = time.monotonic()
        log.info("loading %s (%s)", self._settings.model_name, self._settings.model_type)
        try:
            loader = self._find_loader(self._settings.model_type)
            session = loader.load(self._settings)
        # A model may also call sys.exit or raise what is no Exception; none of it may leave the load undecided.
        except BaseException as error:
            log.exception("loading %s failed", self._settings.model_name)
            self._finish(FAILED, error=describe(error))
            if on_failure is not None:
                on_failure()
            return
        self._loader, self._session = loader, session
        seconds = time.monotonic() - started
        metrics.load_seconds.set(seconds)
        log.info("loaded %s in %.2f s", self._settings.model_name, seconds)
        self._finish(DONE)

    def _finish(self, state, error=None):
        with self._change:
            self.state, self.error, self._thread = state, error, None
            metrics.loaded.set(1 if state == DONE else 0)
            self._change.notify_all()


def describe(error):
    """An error in one line: its kind and the first line of its text."""
    text = str(error).strip().split("\n", 1)[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
