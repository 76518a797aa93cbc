"""A class ``k8s_api_model`` in a module of that name in the source."""

import importlib
import sys

from . import LoadError

NAME = "k8s_api_model"


class Session:
    """The model object and what its load gave."""

    def __init__(self, model, session):
        self.model = model
        self.session = session


def load(settings):
    """Imports the class, builds and loads it. Raises LoadError; what the class raises passes through."""
    if settings.source_path not in sys.path:
        sys.path.insert(0, settings.source_path)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(NAME)
    except ModuleNotFoundError as error:
        if error.name != NAME:
            raise
        raise LoadError(f"no module {NAME} in {settings.source_path}") from None
    if not hasattr(module, NAME):
        raise LoadError(f"module {NAME} has no class {NAME}")
    model = getattr(module, NAME)()
    for method in ("load", "predict"):
        if not callable(getattr(model, method, None)):
            raise LoadError(f"class {NAME} has no method {method}")
    build = getattr(model, "build", None)
    if callable(build):
        build()
    return Session(model, model.load(settings.model_path))


def predict(session, input):
    """What the class predicts."""
    return session.model.predict(session.session, input)
