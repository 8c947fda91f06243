"""Parameters of the notebooks, read strictly: from presets, from `--set`, and in a running notebook. Never silently.

The values that a notebook declares are a preset too, which its parameter `preset` names: `reading` where they are the
sizes that the record holds, `quick` where the notebook computes all of it. Other presets are YAML files in
`params/<notebook>/` that change some of the values. What does not fit the declared names, types and bounds stops the
run before a kernel starts: papermill by itself only warns about an unknown name.
"""

import ast
import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from anisotropy._util import paths
from anisotropy.notebooks import declarations
from anisotropy.notebooks.declarations import Notebook, ParameterError, nearest

QUICK = "quick"
WHERE = frozenset({"data", "device", "engine", "published", "states", "store", "workers"})
"""Parameters that say where a notebook computes and where its files lie, not what it computes."""

PLAIN = {"tag:yaml.org,2002:" + name for name in ("bool", "float", "int", "null", "str")}
OTHER_NUMBERS = re.compile(r"[-+]?0[0-7_]+|[-+]?[0-9_]+(:[0-9_]+)+(\.[0-9_]*)?")
"""What YAML 1.1, which papermill reads too, takes for octal and for base 60: 010 would be 8, and 12:30 would be 750."""


def names(notebook: str, params: Path | None = None, folder: Path | None = None) -> list[str]:
    """Presets that a notebook has: its own values' and the stems of its YAML files."""
    own = declarations.declared(notebook, folder).own
    files = Path(params) / notebook if params else paths.params(notebook)
    return [own, *sorted(p.stem for p in files.glob("*.yaml") if p.stem != own)]


def load(notebook: str, preset: str = "", *, folder: Path | None = None, params: Path | None = None) -> dict:
    """All parameters of a notebook under a preset.

    Args:
        notebook: name without suffix, such as `03_nads`.
        preset: that of its own values, as "" is, or the stem of a file in `params/<notebook>/`.
        folder: folder of the notebooks, if not the repository's.
        params: folder of the presets, if not the repository's.

    Returns:
        dict: every declared name with its value.

    Raises:
        ParameterError: no such preset; a name, type, bound, duplicate or syntax at fault, with file and line; lists
            that go together and are not equally long.
    """
    known = declarations.declared(notebook, folder)
    values = dict(known.defaults)
    if preset in ("", known.own):
        known.match(values, notebook)
        return values
    path = _file(notebook, preset, params)
    shown = f"params/{notebook}/{path.name}"
    if not path.is_file():
        near = nearest(preset, names(notebook, params, folder))
        raise ParameterError(f"{notebook} has no preset {preset!r} ({shown}): {near}")
    for name, (value, line) in _read_yaml(path.read_bytes(), shown).items():
        values[name] = known.checked(name, value, f"{shown}, line {line}:")
    if values.get("preset", preset) != preset:
        raise ParameterError(f"{shown}: expected `preset: {preset}`, got `preset: {values['preset']}`")
    known.match(values, shown)
    return values


def needs(notebook: str, preset: str, params: Path | None = None) -> str:
    """What the head of a preset's file says of hardware and time; "" where there is none, as for its own values."""
    path = _file(notebook, preset, params)
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    head = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    found = re.search(r"Hardware: (.*?)( Expect|$)", head)
    return found[1] if found else ""


def _file(notebook: str, preset: str, params: Path | None) -> Path:
    folder = Path(params) / notebook if params else paths.params(notebook)
    return folder / f"{paths.plain_name(preset, 'preset name')}.yaml"


def _read_yaml(content: bytes, shown: str) -> dict[str, tuple[Any, int]]:
    """Names of a flat mapping in YAML with their values and line numbers.

    PyYAML by itself keeps the last of two equal keys and gives no lines, so its tree of nodes is read here. A file can
    make numbers, text, truth values and lists of them; nothing else.
    """
    try:
        tree = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        if mark is None:
            raise ParameterError(f"{shown}: not readable as YAML in UTF-8: {error!s:.200}") from error
        tab = b"\t" in b"".join(content.splitlines()[mark.line : mark.line + 1])
        problem = "a tab; YAML wants spaces" if tab else getattr(error, "problem", None) or error
        raise ParameterError(f"{shown}, line {mark.line + 1}: {problem}") from error
    if tree is None:
        return {}
    if not isinstance(tree, yaml.MappingNode):
        raise ParameterError(f"{shown}, line {_line(tree)}: expected lines `name: value`")
    found: dict[str, tuple[Any, int]] = {}
    seen: set[int] = set()
    for key, node in tree.value:
        where, name = f"{shown}, line {_line(key)}", key.value
        if key.tag != "tag:yaml.org,2002:str" or not name.isidentifier():
            raise ParameterError(f"{where}: expected a parameter name, got {name!r:.50}")
        if name in found:
            raise ParameterError(f"{where}: {name!r} is given twice (first in line {found[name][1]})")
        found[name] = (_value(node, f"{where}: {name}", seen), _line(key))
    return found


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _value(node: yaml.Node, where: str, seen: set[int]) -> Any:
    """A node's value; an alias is refused, since a few of them can stand for gigabytes, or for themselves."""
    if id(node) in seen:
        raise ParameterError(f"{where}: write the value itself, not a reference to one that has an anchor (&)")
    seen.add(id(node))
    if node.tag == "tag:yaml.org,2002:seq" and isinstance(node, yaml.SequenceNode):
        return [_value(each, where, seen) for each in node.value]
    if node.tag not in PLAIN or not isinstance(node, yaml.ScalarNode):
        raise ParameterError(
            f"{where}: expected a number, text, true, false or a list of them, got {node.tag.rpartition(':')[2]}; "
            "put it in quotes if it is text"
        )
    if node.tag.endswith((":int", ":float")) and OTHER_NUMBERS.fullmatch(node.value):
        raise ParameterError(
            f"{where}: {node.value} is another number in YAML 1.1, octal or in base 60: write it without leading zeros "
            "or colons, or in quotes if it is text"
        )
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (ValueError, KeyError) as error:  # a tag written out that is not that of the value, such as `!!int lenet`
        raise ParameterError(f"{where}: {node.value!r:.50} is no {node.tag.rpartition(':')[2]}") from error


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


def override(notebook: Notebook, values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values with those changes that a notebook has parameters for, in their types.

    Raises:
        ParameterError: a value of another type or out of bounds; lists that no longer go together.
    """
    mine = {name: value for name, value in changes.items() if name in values}
    changed = {name: notebook.checked(name, value, f"{notebook.name}: --set") for name, value in mine.items()}
    notebook.match({**values, **changed}, f"{notebook.name}: --set {', '.join(mine)}")
    return {**values, **changed}


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


def strict(notebook: str, namespace: Mapping[str, Any], *, folder: Path | None = None) -> dict[str, Any]:
    """Check a running notebook's parameters against its tagged cell and return them; call it in the set-up cell.

    papermill executes whatever names it is given and only warns. So every name that it injected is compared with the
    declared ones, and every value with the declared type and bounds.

    Args:
        notebook: name without suffix, such as `03_nads`.
        namespace: `globals()`.
        folder: folder of the notebooks, if not the repository's.

    Returns:
        dict: every declared name with the value that it has now.

    Raises:
        ParameterError: a name that is not declared, one that is missing, a value of another type or out of bounds, or
            lists that go together and are not equally long.
    """
    known = declarations.declared(notebook, folder)
    for name in _injected(namespace, known.defaults):
        known.checked(name, namespace.get(name), f"{notebook}, injected parameters:")
    values = {}
    for name in known.defaults:
        if name not in namespace:
            raise ParameterError(f"{notebook}: parameter {name!r} has no value: run the parameters cell first")
        values[name] = known.checked(name, namespace[name], f"{notebook}: parameter")
    known.match(values, notebook)
    return values


def _injected(namespace: Mapping[str, Any], known: Mapping) -> list[str]:
    """Names that were given to a notebook from outside, found in the kernel's history of cells."""
    history = namespace.get("In")
    if isinstance(history, list):
        cells = [cell for cell in history if isinstance(cell, str) and cell.lstrip().startswith("# Parameters")]
        nodes = [node for cell in cells for node in ast.parse(cell).body if isinstance(node, ast.Assign)]
        return [target.id for node in nodes for target in node.targets if isinstance(target, ast.Name)]
    # No kernel (a plain dict, an exported script): unknown names that hold literals and resemble a declared one.
    literal = (bool, int, float, str, list, dict, tuple, type(None))
    public = [n for n, v in namespace.items() if not n.startswith("_") and n not in known and type(v) in literal]
    return [n for n in public if difflib.get_close_matches(n, list(known), n=1, cutoff=0.8)]
