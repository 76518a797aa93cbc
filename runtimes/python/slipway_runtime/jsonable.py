"""Predictions as JSON."""

import json
import math
from datetime import date, datetime, time


def dumps(value):
    """JSON of a prediction. NaN and infinities, which JSON does not have, become null. Raises TypeError."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":"))


def plain(value):
    """The same value in what JSON has. Arrays, tensors, frames and scalars are asked for it by duck typing:
    this server must run where numpy is not installed."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return plain(value.to_dict(orient="records"))
    if hasattr(value, "tolist"):
        # A numpy scalar such as longdouble gives itself back.
        listed = value.tolist()
        return plain(float(value) if type(listed) is type(value) else listed)
    raise TypeError(f"the prediction holds a {type(value).__name__}, which JSON cannot carry")


def _key(key):
    key = plain(key)
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    return key if isinstance(key, str) else str(key)
