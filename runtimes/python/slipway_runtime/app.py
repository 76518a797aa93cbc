"""The serving contract as a WSGI application (PEP 3333)."""

import json
import logging
from urllib.parse import parse_qs

from . import metrics
from .jsonable import dumps
from .model import DONE, FAILED, UNLOADED, NotLoaded, describe

log = logging.getLogger("slipway")

REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    411: "Length Required",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
JSON = "application/json"
MANAGED = (
    "Slipway manages this container and never changes it in place: upload the new artifact and deploy it, "
    "with `slipway upload` and `slipway deploy`"
)


class Answer(Exception):
    """Ends a request with a status and a JSON body."""

    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, list(headers)


class Application:
    """Routes requests to the model."""

    def __init__(self, settings, model):
        self._settings = settings
        self._model = model
        self._routes = {
            "/": {"GET": self._state, "POST": self._state},
            "/healthz": {"GET": self._health},
            "/readyz": {"GET": self._ready},
            "/predict": {"POST": self._predict},
            "/result": {"POST": self._result},
            "/load": {"POST": self._load},
            "/unload": {"POST": self._unload},
            "/metrics": {"GET": self._metrics},
            "/src_download": {"POST": self._managed},
            "/model_download": {"POST": self._managed},
        }

    def __call__(self, environ, start_response):
        path = self._below_base(environ.get("PATH_INFO") or "/")
        method = environ["REQUEST_METHOD"]
        headers = []
        try:
            status, kind, body = 200, *self._answer(path, method, environ)
        except Answer as answer:
            status, kind, body, headers = answer.status, JSON, dumps(answer.body).encode(), answer.headers
        except Exception as error:
            log.exception("answering %s %s failed", method, path)
            status, kind, body = 500, JSON, dumps({"error": describe(error)}).encode()
        metrics.requests.labels(path if path in self._routes else "other", status).inc()
        headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        if _unread(environ):
            # What was not read would be taken for the next request.
            headers.append(("Connection", "close"))
        start_response(f"{status} {REASONS[status]}", headers)
        return [b"" if method == "HEAD" else body]

    def _below_base(self, path):
        base = self._settings.base_path
        return path[len(base) :] or "/" if base and f"{path}/".startswith(f"{base}/") else path

    def _answer(self, path, method, environ):
        methods = self._routes.get(path)
        if methods is None:
            raise Answer(404, {"error": f"no such path: {path}"})
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = ", ".join(sorted(methods))
            raise Answer(405, {"error": f"{path} takes {allowed}"}, [("Allow", allowed)])
        answer = handler(environ)
        return answer if isinstance(answer, tuple) else (JSON, dumps(answer).encode())

    def _health(self, _):
        return {"state": "up"}

    def _state(self, environ):
        if self._model.state != DONE:
            raise self._unready()
        return {"state": "done"}

    def _ready(self, environ):
        if self._model.state == UNLOADED:
            # Who asks time and again must not undo what somebody did on purpose; a prediction would load it.
            if parse_qs(environ.get("QUERY_STRING", "")).get("load") == ["false"]:
                return {"state": "unloaded"}
            self._model.start_load()
            self._model.wait(1)
        if self._model.state != DONE:
            raise self._unready()
        return {"state": "done"}

    def _load(self, _):
        self._model.start_load()
        if self._model.wait(None) != DONE:
            raise self._unready()
        return {"state": "done"}

    def _unload(self, _):
        self._model.unload()
        return {"state": "unloaded"}

    def _unready(self):
        state, error = self._model.state, self._model.error
        body = {"state": state, "error": error} if state == FAILED else {"state": state}
        return Answer(503, body, [("Retry-After", "1")])

    def _predict(self, environ):
        return self._ask(environ, "input", "output")

    def _result(self, environ):
        return self._ask(environ, "test", "result")

    def _ask(self, environ, asked, answered):
        body = self._body(environ)
        if not isinstance(body, dict) or asked not in body:
            raise Answer(400, {"error": f'the body must be a JSON object with "{asked}"'})
        with metrics.in_flight.track_inprogress(), metrics.prediction_seconds.time():
            try:
                # A prediction that JSON cannot carry is the model's failure too.
                text = dumps({answered: self._model.predict(body[asked])})
            except NotLoaded as error:
                metrics.predictions.labels("refused").inc()
                raise Answer(503, {"error": str(error)}, [("Retry-After", "1")]) from None
            except Exception as error:
                metrics.predictions.labels("failed").inc()
                log.exception("predicting failed")
                raise Answer(500, {"error": describe(error)}) from None
        metrics.predictions.labels("answered").inc()
        return JSON, text.encode()

    def _body(self, environ):
        limit = self._settings.max_body
        length = environ.get("CONTENT_LENGTH") or ""
        if length.isdigit() and int(length) > limit:
            raise Answer(413, {"error": f"the body has {length} bytes, {limit} are allowed"})
        data = environ["wsgi.input"].read(int(length) if length.isdigit() else limit + 1)
        environ["slipway.read"] = True
        if len(data) > limit:
            environ["slipway.read"] = False
            raise Answer(413, {"error": f"the body has more than the {limit} bytes allowed"})
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Answer(400, {"error": f"the body is not JSON: {describe(error)}"}) from None

    def _metrics(self, _):
        return metrics.exposition()

    def _managed(self, _):
        raise Answer(409, {"error": MANAGED})


def _unread(environ):
    has_body = (environ.get("CONTENT_LENGTH") or "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ
    return has_body and not environ.get("slipway.read")
