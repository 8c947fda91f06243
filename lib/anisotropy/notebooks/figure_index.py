"""Where each figure is computed: figure, section of a notebook, functions, test. `docs/figures.md`, made from the code.

    python -m anisotropy.notebooks.figure_index

writes the page. A figure's functions are those that its numbers come from: the statements of the notebook that the
argument `numbers` of `run.save(figure, name, numbers)` depends on, followed backwards. Nothing is executed.
"""

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anisotropy._util import files, paths
from anisotropy.notebooks import declarations

LEFT_OUT = ("_util", "notebooks", "paper.claims", "paper.passports", "paper.plotting")
"""Rooms and modules that run notebooks, draw and judge, which every figure does."""

HEAD = """# Where each figure is computed

Each row follows the numbers of a figure backwards through its notebook, to the functions of the library that they come
from and the file of tests where each of them is called most. Written by `anisotropy.notebooks.figure_index`; a test
compares it with the notebooks as they are.

| figure | section | functions | tests |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Figure:
    """A figure of a notebook: its name, the heading above it, (module, name) of each function behind its numbers."""

    notebook: str
    name: str
    section: str
    functions: tuple[tuple[str, str], ...]


def figures(path: Path) -> list[Figure]:
    """Return the figures that a notebook saves, in its order."""
    statements: list[tuple[str, ast.stmt]] = []
    section = ""
    for cell in declarations.read(path)["cells"]:
        if cell["cell_type"] == "markdown":
            section = ([section, *re.findall(r"^##+ (.+)$", cell["source"], re.MULTILINE)])[-1]
        elif cell["cell_type"] == "code":
            statements += [(section, statement) for statement in ast.parse(cell["source"]).body]
    known = _imported([statement for _, statement in statements])
    found = []
    for place, (heading, statement) in enumerate(statements):
        for call in _saves(statement):
            behind = _behind(call, [earlier for _, earlier in statements[: place + 1]])
            functions = sorted({pair for node in behind for pair in _functions(node, known)})
            found.append(Figure(path.stem, str(ast.literal_eval(call.args[1])), heading, tuple(functions)))
    return found


def _saves(statement: ast.stmt) -> Iterator[ast.Call]:
    """Calls `run.save(figure, "name", ...)` within a statement."""
    for node in ast.walk(statement):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "run.save"
            and isinstance(node.args[1], ast.Constant)
        ):
            yield node


def _behind(call: ast.Call, statements: list[ast.stmt]) -> list[ast.AST]:
    """The numbers of a call, and the statements before it that they depend on; a loop or a function counts whole."""
    numbers: list[ast.AST] = [*call.args[2:], *(keyword.value for keyword in call.keywords)]
    needed = {name for node in numbers for name in _read(node)}
    behind = list(numbers)
    for statement in reversed(statements):
        bound = _bound(statement) & needed
        if bound and not isinstance(statement, (ast.Import, ast.ImportFrom)):
            if isinstance(statement, ast.Assign):  # what these names stood for before does not matter
                needed -= {n.id for target in statement.targets for n in _names(target)}
            needed |= _read(statement)
            behind.append(statement)
    return behind


def _names(target: ast.expr) -> list[ast.Name]:
    """Names of an assignment's target, `a` or `a, b`; none for `a[k]`."""
    parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
    return [part for part in parts if isinstance(part, ast.Name)]


def _local(node: ast.AST) -> set[str]:
    """Variables of loops, and arguments and variables of functions, within a node: they mean nothing outside."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, (ast.For, ast.comprehension)):
            found |= {n.id for n in ast.walk(part.target) if isinstance(n, ast.Name)}
        elif isinstance(part, (ast.FunctionDef, ast.Lambda)):
            found |= {n.arg for n in ast.walk(part.args) if isinstance(n, ast.arg)}
            found |= {n.id for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return found


def _read(node: ast.AST) -> set[str]:
    read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    return read - _local(node)


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement binds, or whose value it changes: `a = `, `a[k] = `, `a.append(...)`, `def a`."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            inner = node.value
            while isinstance(inner, (ast.Subscript, ast.Attribute)):
                inner = inner.value
            found |= {inner.id} if isinstance(inner, ast.Name) else set()
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                found.add(function.value.id)
    return found - _local(statement)


def _imported(statements: list[ast.stmt]) -> dict[str, tuple[str, str]]:
    """What names stand for that a notebook imports from the package: (module, name in it), "" for a module itself."""
    known = {}
    for node in statements:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "anisotropy":
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                known[alias.asname or alias.name] = (module, "") if _file(module) else (node.module, alias.name)
    return known


def _functions(node: ast.AST, known: dict[str, tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(module, name) of the library's functions that are named within a node, where they are defined."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
            module, name = known.get(part.value.id, ("", "other"))
            name = part.attr if not name else ""
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            module, name = known.get(part.id, ("", ""))
        else:
            continue
        if module and name and (home := _home(module, name)) and not _inside(home, LEFT_OUT):
            yield home, name


def _inside(module: str, places: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"anisotropy.{place}.") for place in places)


def _file(module: str) -> Path | None:
    """Source of a module of the package; None where there is no such module."""
    base = paths.root().joinpath("lib", *module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)


def _home(module: str, name: str) -> str | None:
    """Module that defines a function or class, found through the imports of others; None for anything else."""
    path = _file(module)
    for node in _body(path) if path else ():
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return module
        if isinstance(node, ast.ImportFrom) and node.module and name in {a.asname or a.name for a in node.names}:
            return _home(node.module, name)
    return None


@functools.cache
def _body(path: Path) -> list[ast.stmt]:
    """Statements of a module."""
    return ast.parse(path.read_text(encoding="utf-8")).body


def test_of(module: str, name: str) -> Path | None:
    """File of tests that calls a function most often: of its own room if one does, else of any."""
    tests = paths.root() / "tests"
    room = tests.joinpath(*module.split(".")[1:-1])
    for folder in (room, tests):
        counts = {
            path: len(re.findall(rf"\b{name}\(", path.read_text(encoding="utf-8")))
            for path in sorted(folder.rglob("test_*.py"))
        }
        if counts and max(counts.values()):
            return max(counts, key=lambda path: counts[path])
    return None


def page() -> str:
    """Return the page, Markdown with links from `docs/`."""
    rows = []
    for notebook in declarations.available():
        for figure in figures(declarations.source(notebook)):
            pairs = figure.functions
            functions = [_link(f"{module.rpartition('.')[2]}.{name}", _file(module)) for module, name in pairs]
            tests = dict.fromkeys(path for pair in pairs if (path := test_of(*pair)))
            cells = (
                figure.name,
                f"{_link(notebook, declarations.source(notebook))}: {figure.section}",
                ", ".join(functions) or "none: its numbers are in the notebook",
                ", ".join(_link(path.stem, path) for path in tests) or "none",
            )
            rows.append(f"| {' | '.join(cells)} |")
    return HEAD + "\n".join(rows) + "\n"


def _link(text: str, path: Path) -> str:
    return f"[{text}](../{path.relative_to(paths.root()).as_posix()})"


if __name__ == "__main__":
    files.write(paths.root() / "docs" / "figures.md", page())
