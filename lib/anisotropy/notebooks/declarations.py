"""Notebooks as files: which there are, and which parameters each declares, with types and bounds.

A cell tagged `parameters` holds flat literals, `name = value`; their types are those that the parameters must have.
What else they must be is in the notebook's metadata:

    "anisotropy": {"together": [["networks", "widths"]],  # lists with one element for the same things
                   "bounds": {"size": "16..64", "sigma": "0.."}}  # least and most; of a list, of each element
"""

import ast
import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anisotropy._util import paths, provenance

NAMES = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}


class ParameterError(ValueError):
    """A parameter that a notebook does not declare, of another type, out of bounds, given twice, or unreadable."""


@dataclass(frozen=True)
class Notebook:
    """What a notebook says of itself.

    Attributes:
        path: of its file.
        code: fingerprint of what it executes: its code and its parameters tag; not outputs, counters or prose.
        defaults: parameters and their values, in order.
        together: names of parameters that are lists of one length.
        bounds: name of a parameter -> (least, most).
    """

    path: Path
    code: str
    defaults: dict[str, Any]
    together: tuple[tuple[str, ...], ...] = ()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name without suffix, such as `03_nads`."""
        return self.path.stem

    @property
    def own(self) -> str:
        """Preset that its own parameters are."""
        return self.defaults.get("preset", "quick")

    def checked(self, name: str, value: Any, where: str) -> Any:
        """Return a parameter's value in the type of its default: an integer may stand for a float, nothing else.

        Raises:
            ParameterError: no such parameter, another type, out of bounds; begins with `where` and the name.
        """
        if name not in self.defaults:
            raise ParameterError(f"{where} {name}: unknown parameter, {nearest(name, self.defaults)}")
        value = _typed(value, self.defaults[name], f"{where} {name}")
        if name in self.bounds:
            least, most = self.bounds[name]
            wrong = [each for each in (value if isinstance(value, list) else [value]) if not least <= each <= most]
            if wrong:
                limits = f"at least {least:g}" + f" and at most {most:g}" * math.isfinite(most)
                raise ParameterError(f"{where} {name}: expected {limits}, got {wrong[0]!r}")
        return value

    def match(self, values: Mapping[str, Any], where: str) -> None:
        """Raise ParameterError where lists that go together differ in length."""
        for names in self.together:
            lengths = {name: len(values[name]) for name in names}
            if len(set(lengths.values())) > 1:
                found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
                raise ParameterError(f"{where}: expected these lists to be equally long, one element for each: {found}")


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


def source(name: str, folder: Path | None = None) -> Path:
    """Path of a notebook's file.

    Raises:
        ParameterError: there is no such notebook; names the nearest one.
    """
    folder = Path(folder or paths.notebooks())
    path = folder / f"{name}.ipynb"
    if Path(name).name != name or not path.is_file():
        raise ParameterError(f"unknown notebook {name!r}: {nearest(name, available(folder))}")
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ParameterError(f"{path.name}: not a readable notebook of format 4: {error!r:.200}") from error


def declared(name: str, folder: Path | None = None) -> Notebook:
    """What a notebook says of itself.

    Args:
        name: without suffix.
        folder: of the notebooks, if not the repository's.

    Raises:
        ParameterError: no such notebook, none of format 4, no cell tagged `parameters` or several, a line in it that is
            not `name = literal`, or metadata of another form.
    """
    path = source(name, folder)
    found = read(path)
    cells = [(c["source"], "parameters" in c["tags"]) for c in found["cells"] if c["cell_type"] == "code"]
    tagged = [text for text, is_tagged in cells if is_tagged]
    if len(tagged) != 1:
        raise ParameterError(f"{path.name}: expected one code cell tagged 'parameters', found {len(tagged)}")
    where = f"{path.name}, cell 'parameters'"
    defaults = _literals(tagged[0], where)
    code = provenance.fingerprint(*[part for text, is_tagged in cells for part in (text, str(is_tagged))])
    notebook = Notebook(path, code, defaults, *_metadata(found["metadata"].get("anisotropy", {}), defaults, path.name))
    for parameter, value in defaults.items():
        notebook.checked(parameter, value, f"{where}:")
    return notebook


def _metadata(said: Any, defaults: Mapping[str, Any], where: str) -> tuple[tuple, dict]:
    """`together` and `bounds` of a notebook's metadata."""
    lists = [name for name, default in defaults.items() if isinstance(default, list)]
    numbers = [name for name, default in defaults.items() if _numeric(default)]
    try:
        together = tuple(tuple(group) for group in said.get("together", []))
        bounds = {name: _bounds(text) for name, text in said.get("bounds", {}).items()}
        sound = {*(name for group in together for name in group)} <= {*lists} and {*bounds} <= {*numbers}
    except (AttributeError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ParameterError(
            f"{where}: expected metadata anisotropy as in the docstring of declarations, with the lists "
            f"{', '.join(lists)} and the numbers {', '.join(numbers)}, got {said!r}"
        )
    return together, bounds


def _bounds(text: str) -> tuple[float, float]:
    """Least and most of `16..64`; of `0..` the most is infinite."""
    least, most = text.split("..")
    return float(least), float(most or "inf")


def _numeric(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(type(v) in (int, float) for v in values)


def _literals(code: str, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
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
            raise ParameterError(f"{where}, line {node.lineno}: {name!r} is declared twice")
        found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _typed(value: Any, default: Any, where: str) -> Any:
    """Return a value in the type of a default; an element of a list must fit one of the default's elements."""
    if default is None:
        return value
    expected = type(default)
    if isinstance(value, tuple):
        value = list(value)
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        raise ParameterError(f"{where}: expected {NAMES[expected]} (like {default!r}), got {_shown(value, default)}")
    if expected is float and not math.isfinite(value):
        raise ParameterError(f"{where}: expected a finite number, got {value!r}")
    if expected is list and default:
        return [_element(each, default, f"{where}, element {i}") for i, each in enumerate(value)]
    return value


def _element(value: Any, defaults: list, where: str) -> Any:
    same = [default for default in defaults if type(default) is type(value)]
    return _typed(value, (same or defaults)[0], where)


def _shown(value: Any, default: Any) -> str:
    """A value of another type than its default's, with what to write instead where that is known."""
    if isinstance(default, str) and not isinstance(value, list):
        return f"{value!r}: put it in quotes, '{value}'"
    if isinstance(value, str) and isinstance(default, float):
        try:
            number = repr(float(value))
        except ValueError:
            return repr(value)
        written = number.replace("e", ".0e") if "e" in number and "." not in number else number
        return f"{value!r}, which is text here: write {written} (YAML 1.1 reads 1e-3 as text)"
    return repr(value)
