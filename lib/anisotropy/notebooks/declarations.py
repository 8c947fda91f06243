"""Notebooks as files: which there are, and the parameters that each declares in its tagged cell."""

import ast
import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anisotropy._util import paths


class ParameterError(ValueError):
    """A parameter that a notebook does not declare, of another type, given twice, or unreadable."""


@dataclass(frozen=True)
class Declared:
    """One parameter as the notebook declares it: its default and the line in the cell."""

    name: str
    default: Any
    line: int


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggestion to append to an error: the nearest known name, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(known)}" if known else "none is known"


def available(folder: Path | None = None) -> list[str]:
    """Names of all notebooks, in the order of their numbers, found by looking into the folder."""
    folder = Path(folder or paths.notebooks())
    return sorted(p.stem for p in folder.glob("[0-9]*_*.ipynb"))


def source(notebook: str, folder: Path | None = None) -> Path:
    """Path of a notebook's file.

    Raises:
        ParameterError: there is no such notebook; names the nearest one.
    """
    folder = Path(folder or paths.notebooks())
    path = folder / f"{notebook}.ipynb"
    if Path(notebook).name != notebook or not path.is_file():
        raise ParameterError(f"unknown notebook {notebook!r}: {nearest(notebook, available(folder))}")
    return path


def read(path: Path) -> dict[str, Any]:
    """A notebook's `metadata` and `cells`, each cell with `cell_type`, `source` as one text, and `tags`.

    Plain JSON: importing nbformat takes longer than starting most notebooks.

    Raises:
        ParameterError: the file is no notebook of format 4.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        cells = [
            {
                "cell_type": cell["cell_type"],
                "source": "".join(cell["source"]),
                "tags": cell.get("metadata", {}).get("tags", []),
            }
            for cell in found["cells"]
        ]
        return {"metadata": dict(found["metadata"]), "cells": cells}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ParameterError(f"{path.name}: not a readable notebook of format 4: {error!r:.200}") from error


def declared(notebook: str, folder: Path | None = None) -> dict[str, Declared]:
    """Parameters that a notebook declares in its cell tagged `parameters`, in order.

    Raises:
        ParameterError: no such cell or several, or a line in it that is not `name = literal`.
    """
    path = source(notebook, folder)
    tagged = [c for c in read(path)["cells"] if c["cell_type"] == "code" and "parameters" in c["tags"]]
    if len(tagged) != 1:
        raise ParameterError(f"{path.name}: expected one code cell tagged 'parameters', found {len(tagged)}")
    return _literals(tagged[0]["source"], f"{path.name}, cell 'parameters'")


def said(path: Path, what: str) -> list:
    """A list that a notebook's metadata hold for us, `"anisotropy": {what: [...]}`; empty where there is none.

    Raises:
        ParameterError: the metadata hold something else.
    """
    ours = read(path)["metadata"].get("anisotropy", {})
    found = ours.get(what, []) if isinstance(ours, dict) else ours
    if not isinstance(found, list) or not isinstance(ours, dict):
        raise ParameterError(f"{path.name}: expected metadata anisotropy.{what} to be a list, got {found!r}")
    return found


def together(notebook: str, folder: Path | None = None) -> list[tuple[str, ...]]:
    """Parameters of a notebook that are lists with one element for the same things, as its metadata say.

    `"anisotropy": {"together": [["networks", "widths"]]}` says that there is one width for each network.

    Raises:
        ParameterError: the metadata hold something else, or a name that is no parameter with a list.
    """
    path = source(notebook, folder)
    groups = said(path, "together")
    lists = [name for name, parameter in declared(notebook, folder).items() if isinstance(parameter.default, list)]
    if not all(isinstance(group, list) and all(name in lists for name in group) for group in groups):
        raise ParameterError(
            f"{path.name}: expected metadata anisotropy.together to be lists of names of parameters that are lists "
            f"({', '.join(lists) or 'it has none'}), got {groups!r}"
        )
    return [tuple(group) for group in groups]


def _literals(code: str, where: str) -> dict[str, Declared]:
    found: dict[str, Declared] = {}
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        raise ParameterError(f"{where}, line {error.lineno}: {error.msg}") from error
    for node in tree.body:
        single = isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
        try:
            value = ast.literal_eval(node.value) if single else None
        except ValueError:
            single = False
        if not single:
            line = code.splitlines()[node.lineno - 1]
            raise ParameterError(f"{where}, line {node.lineno}: expected `name = literal`, got `{line.strip()}`")
        name = node.targets[0].id
        if name in found:
            raise ParameterError(f"{where}, line {node.lineno}: {name!r} is declared twice (line {found[name].line})")
        found[name] = Declared(name, value, node.lineno)
    return found
