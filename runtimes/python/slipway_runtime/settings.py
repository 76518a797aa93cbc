"""Everything the environment may say, read once."""

import os


class Settings:
    """Values from the environment, with their defaults."""

    def __init__(self, environ=None):
        env = os.environ if environ is None else environ
        self.model_name = env.get("MODEL_NAME", "model")
        self.model_type = env.get("MODEL_TYPE", "python-class").replace("_", "-")
        self.model_path = env.get("SLIPWAY_MODEL_PATH", "/app/model")
        self.source_path = env.get("SLIPWAY_SOURCE_PATH", "/app/src")
        self.load = env.get("SLIPWAY_LOAD") or None
        self.allow_pickle = env.get("SLIPWAY_ALLOW_PICKLE") == "1"
        self.host = env.get("SLIPWAY_HOST", "0.0.0.0")
        self.port = _number(env, "SLIPWAY_PORT", 8000)
        # Path that requests may have before those of the contract, where an Ingress passes them on as they came.
        self.base_path = env.get("SLIPWAY_BASE_PATH", "").rstrip("/")
        # Predictions at once. More wait their turn, so that health checks always find a free thread.
        self.threads = _number(env, "SLIPWAY_THREADS", 16)
        self.max_body = _number(env, "SLIPWAY_MAX_BODY", 64 * 1024 * 1024)
        # Longest a prediction waits for a model that is being loaded, in seconds.
        self.load_wait = _number(env, "SLIPWAY_LOAD_WAIT", 30)
        # How long after SIGTERM new requests are still answered at most, in seconds.
        self.linger = _number(env, "SLIPWAY_LINGER", 0, least=0)
        # Longest requests in flight may take once that is over, in seconds.
        self.drain = _number(env, "SLIPWAY_DRAIN", 30)


def _number(env, name, default, least=1):
    text = env.get(name)
    if text is None or text == "":
        return default
    if not text.isdigit() or int(text) < least:
        raise SystemExit(f"{name}: must be a whole number, {least} or more, got {text!r}")
    return int(text)
