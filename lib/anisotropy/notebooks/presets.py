"""Parameters of the notebooks: declared once in the tagged cell, loaded and changed strictly, never silently.

A notebook's cell tagged `parameters` holds flat literals, `name = value`; they are the preset `quick`. The presets
`laptop` and `paper` are YAML files in `params/<notebook>/` that change some of them. Whatever does not fit the declared
names and types stops the run before a kernel starts: papermill by itself only warns about an unknown name.
"""

import ast
import difflib
import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anisotropy._util import paths
from anisotropy.notebooks import strictyaml
from anisotropy.notebooks.declarations import ParameterError, declared, nearest, together

QUICK = "quick"
WHERE = frozenset({"data", "device", "engine", "published", "states", "store", "workers"})
"""Parameters that say where a notebook computes and where its files lie, not what it computes."""
_INJECTED = "# Parameters"  # papermill's first line of the cell that it injects


def checked(value: Any, default: Any, where: str) -> Any:
    """Return `value` in the type of `default`: an integer may stand for a float, nothing else is converted.

    Raises:
        ParameterError: `where`, what was expected, and what came.
    """
    if default is None:
        return value
    expected = type(default)
    if isinstance(default, tuple):
        expected, default = list, list(default)
    if expected is float and type(value) is int:
        value = float(value)
    if isinstance(value, tuple):
        value = list(value)
    if type(value) is not expected:
        raise ParameterError(f"{where}: expected {_type_name(default)}, got {value!r}{_advice(value, default)}")
    if expected is float and not math.isfinite(value):
        raise ParameterError(f"{where}: expected a finite number, got {value!r}")
    if expected is list and default:
        return [_element(v, default, f"{where}, element {i}") for i, v in enumerate(value)]
    return value


def _element(value: Any, defaults: list, where: str) -> Any:
    """An element must fit one of the default's elements."""
    error = None
    for default in sorted(defaults, key=lambda d: type(d) is not type(value)):
        try:
            return checked(value, default, where)
        except ParameterError as problem:
            error = error or problem
    raise error


def _type_name(default: Any) -> str:
    names = {
        bool: "True or False",
        int: "an integer",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "a mapping",
    }
    return f"{names.get(type(default), type(default).__name__)} (like {default!r})"


def _advice(value: Any, default: Any) -> str:
    if isinstance(value, str) and isinstance(default, (int, float)):
        try:
            number = float(value)
        except ValueError:
            return ""
        if isinstance(default, float) and not isinstance(default, bool):
            return f", which is text here: write {_yaml_float(number)} (YAML 1.1 reads 1e-3 as text)"
    if isinstance(default, str):
        return f": put it in quotes, '{value}'"
    return ""


def _yaml_float(number: float) -> str:
    text = repr(number)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _known(name: str, known: Mapping, where: str) -> None:
    if name not in known:
        raise ParameterError(f"{where}: unknown parameter {name!r}, {nearest(name, known)}")


def defaults(notebook: str, folder: Path | None = None) -> dict[str, Any]:
    """Parameters of the preset `quick`: the notebook's own defaults."""
    return {name: d.default for name, d in declared(notebook, folder).items()}


def names(notebook: str, params: Path | None = None) -> list[str]:
    """Presets that a notebook has: `quick` and the stems of its YAML files."""
    folder = Path(params) / notebook if params else paths.params(notebook)
    return [QUICK, *sorted(p.stem for p in folder.glob("*.yaml") if p.stem != QUICK)]


def load(notebook: str, preset: str = QUICK, *, folder: Path | None = None, params: Path | None = None) -> dict:
    """All parameters of a notebook under a preset.

    Args:
        notebook: name without suffix, such as `03_nads`.
        preset: `quick` or the stem of a file in `params/<notebook>/`.
        folder: folder of the notebooks, if not the repository's.
        params: folder of the presets, if not the repository's.

    Returns:
        dict: every declared name with its value.

    Raises:
        ParameterError: no such preset; a name, type, duplicate or syntax at fault, with file and line; lists that go
            together and are not equally long.
    """
    known = declared(notebook, folder)
    values = {name: d.default for name, d in known.items()}
    if preset == QUICK:
        matching(notebook, values, notebook, folder=folder)
        return values
    base = Path(params) / notebook if params else paths.params(notebook)
    path = base / f"{paths.plain_name(preset, 'preset name')}.yaml"
    shown = f"params/{notebook}/{path.name}"
    if not path.is_file():
        raise ParameterError(
            f"{notebook} has no preset {preset!r} ({shown}): {nearest(preset, names(notebook, params))}"
        )
    try:
        lines = strictyaml.read(path.read_bytes(), shown)
    except strictyaml.YamlError as error:
        raise ParameterError(str(error)) from error
    for name, (value, line) in lines.items():
        _known(name, known, f"{shown}, line {line}")
        values[name] = checked(value, known[name].default, f"{shown}, line {line}: {name}")
    if "preset" in known and values["preset"] != preset:
        line = lines["preset"][1] if "preset" in lines else 1
        raise ParameterError(f"{shown}, line {line}: expected `preset: {preset}`, got `preset: {values['preset']}`")
    matching(notebook, values, shown, folder=folder)
    return values


def needs(notebook: str, preset: str, params: Path | None = None) -> str:
    """What the head of a preset's file says of hardware and time; "" where there is none, as for `quick`."""
    path = (Path(params) / notebook if params else paths.params(notebook)) / f"{preset}.yaml"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    head = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    found = re.search(r"Hardware: (.*?)( Expected headline|$)", head)
    return found[1] if found else ""


def matching(notebook: str, values: Mapping[str, Any], where: str, *, folder: Path | None = None) -> None:
    """Raise ParameterError where lists of a notebook that go together (`declarations.together`) differ in length."""
    for names in together(notebook, folder):
        lengths = {name: len(values[name]) for name in names}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ParameterError(f"{where}: expected these lists to be equally long, one element for each: {found}")


def parse(assignments: Iterable[str]) -> dict[str, Any]:
    """`name=value` texts as names and Python literals; what is no literal is text.

    Raises:
        ParameterError: no `=`, no identifier in front of it, or a name given twice.
    """
    found: dict[str, Any] = {}
    for text in assignments:
        name, equals, literal = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ParameterError(f"--set {text}: expected name=value")
        if name in found:
            raise ParameterError(f"--set {text}: {name!r} is given twice")
        if name == "preset":
            raise ParameterError(f"--set {text}: a preset is chosen with --preset")
        try:
            found[name] = ast.literal_eval(literal.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[name] = literal
    return found


def folder_of(assignments: Iterable[str]) -> str:
    """Name of the folder for results under changed parameters; "" where the changes only say where to compute.

    Results of a preset under its name are always those of its parameters, and a trial does not write over them.

    Example:
        >>> folder_of(["sigma=0.5", "seed=1", "device=cuda"])
        'seed=1,sigma=0.5'

    Raises:
        ParameterError: as for `parse`.
    """
    changes = sorted((name, value) for name, value in parse(assignments).items() if name not in WHERE)
    exact = ",".join(f"{name}={value if isinstance(value, str) else repr(value)}" for name, value in changes)
    texts = (f"{name}={re.sub(r'[^A-Za-z0-9_.+-]+', '-', str(value)).strip('-')}" for name, value in changes)
    plain = ",".join(texts)[:60]
    return plain if plain == exact else f"{plain}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def override(parameters: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Parameters with some replaced by `name=value` texts, in the types that they had.

    Raises:
        ParameterError: a name that is not there, a value of another type, a name given twice.
    """
    changed = dict(parameters)
    for name, value in parse(assignments).items():
        _known(name, parameters, f"--set {name}")
        changed[name] = checked(value, parameters[name], f"--set {name}")
    return changed


def strict(notebook: str, namespace: Mapping[str, Any], *, folder: Path | None = None) -> dict[str, Any]:
    """Check a running notebook's parameters against its tagged cell and return them; call it in the set-up cell.

    papermill executes whatever names it is given and only warns. So every name that it injected is compared with the
    declared ones, and every value with the declared type. The injected cell is found in the kernel's input history.

    Args:
        notebook: name without suffix, such as `03_nads`.
        namespace: `globals()`.
        folder: folder of the notebooks, if not the repository's.

    Returns:
        dict: every declared name with the value that it has now.

    Raises:
        ParameterError: a name that is not declared, one that is missing, a value of another type, or lists that go
            together and are not equally long.
    """
    known = declared(notebook, folder)
    for name in _injected(namespace, known):
        _known(name, known, f"{notebook}, injected parameters")
    values = {}
    for name, parameter in known.items():
        if name not in namespace:
            raise ParameterError(f"{notebook}: parameter {name!r} has no value: run the parameters cell first")
        values[name] = checked(namespace[name], parameter.default, f"{notebook}: parameter {name}")
    matching(notebook, values, notebook, folder=folder)
    return values


def _injected(namespace: Mapping[str, Any], known: Mapping) -> list[str]:
    history = namespace.get("In")
    if isinstance(history, list):
        cells = [cell for cell in history if isinstance(cell, str) and cell.lstrip().startswith(_INJECTED)]
        trees = [ast.parse(cell) for cell in cells]
        targets = [t for tree in trees for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
        return [t.id for t in targets if isinstance(t, ast.Name)]
    # No kernel (a plain dict, an exported script): unknown names that hold literals and resemble a declared one.
    literal = (bool, int, float, str, list, dict, tuple, type(None))
    public = [n for n, v in namespace.items() if not n.startswith("_") and n not in known and type(v) in literal]
    return [n for n in public if difflib.get_close_matches(n, list(known), n=1, cutoff=0.8)]
