"""A scikit-learn estimator from a file: skops, or pickle and joblib where that is allowed."""

import os
from pathlib import Path

from . import LoadError

SAFE = (".skops",)
PICKLES = (".pkl", ".joblib")
FOREIGN = (".onnx", ".safetensors")


def load(settings):
    """Loads the file named by SLIPWAY_LOAD, else the only one there. Raises LoadError."""
    root = Path(settings.model_path)
    path = _named(root, settings.load) if settings.load else _only(root)
    suffix = path.suffix.lower()
    if suffix in SAFE:
        return _load_skops(path)
    if suffix in FOREIGN:
        raise LoadError(f"{path.name} is no scikit-learn file: load it in a python-class model")
    if not settings.allow_pickle:
        raise LoadError(
            f"{path.name} is a pickle, which runs the code it holds: set SLIPWAY_ALLOW_PICKLE=1 to allow it, "
            "or save the model with skops"
        )
    try:
        import joblib
    except ModuleNotFoundError:
        raise LoadError("joblib is not installed: name scikit-learn in requirements.txt") from None
    # joblib reads plain pickles too.
    return joblib.load(path)


def predict(session, input):
    """The estimator's prediction for a list of rows."""
    return session.predict(input)


def _load_skops(path):
    try:
        from skops import io
    except ModuleNotFoundError:
        raise LoadError(f"{path.name} needs skops: name it in requirements.txt") from None
    return io.load(path)


def _named(root, name):
    path = (root / name).resolve()
    if root.resolve() not in path.parents:
        raise LoadError(f"SLIPWAY_LOAD: {name!r} lies outside the weights")
    if not path.is_file():
        raise LoadError(f"SLIPWAY_LOAD: {name!r} is not in the weights ({_listed(_files(root))})")
    return path


def _only(root):
    files = _files(root)
    for suffixes in (SAFE, PICKLES):
        found = [path for path in files if Path(path).suffix.lower() in suffixes]
        if len(found) == 1:
            return root / found[0]
        if found:
            raise LoadError(f"several files could be the model: {_listed(found)}; name one as load in slipway.yaml")
    raise LoadError(f"no .skops, .joblib or .pkl file in the weights ({_listed(files)})")


def _files(root):
    return sorted(
        os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names
    )


def _listed(names):
    shown = ", ".join(names[:10]) or "nothing"
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
