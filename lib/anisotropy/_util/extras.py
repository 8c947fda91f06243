"""What the core does without: packages of the extras, imported where they are used."""

import importlib
from types import ModuleType

EXTRAS = {
    "matplotlib": "notebooks",
    "torchvision": "images",
    "sklearn": "images",
    "joblib": "cluster",
    "distributed": "cluster",
    "timm": "timm",
    "torch_geometric": "graphs",
}
"""Package, as it is imported -> the extra that brings it."""


def needed(module: str, why: str) -> ModuleType:
    """Import a module of an extra.

    Args:
        module: dotted name, of a package in `EXTRAS`.
        why: what needs it, as the message begins.

    Raises:
        ImportError: it is not installed; says how it is.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(f"{why} needs {package}: pip install 'anisotropy[{EXTRAS[package]}]'") from error
