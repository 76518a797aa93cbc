"""How each recipe loads and asks its model: one file each.

A loader is a module with ``load(settings) -> session`` and ``predict(session, input) -> output``.
"""

from importlib import import_module

RECIPES = {"sklearn": ".sklearn", "python-class": ".python_class"}


class LoadError(Exception):
    """The model cannot be loaded, for a reason that its owner can act on."""


def loader_for(recipe):
    """The loader of a recipe. Raises LoadError naming the known ones."""
    if recipe not in RECIPES:
        raise LoadError(f"MODEL_TYPE: {recipe!r} is none of {', '.join(sorted(RECIPES))}")
    return import_module(RECIPES[recipe], __name__)
