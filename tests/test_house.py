"""The house: which module may import which, and where things lie."""

import ast
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[1] / "lib" / "anisotropy"
TESTS = Path(__file__).resolve().parent
ROOMS = [
    "_util",
    "directions",
    "theory",
    "models",
    "nads",
    "kernels",
    "training",
    "images",
    "results",
    "experiments",
    "paper",
    "notebooks",
    "site",
    "cli",
]
"""In the order in which a reader of the paper enters them; what stands before them is the package itself."""


def modules(lib: Path) -> dict[str, Path]:
    """Modules of a package by dotted name; a folder with `__init__` is a module of its own name."""
    found = {}
    for path in sorted(lib.rglob("*.py")):
        parts = [lib.name, *path.relative_to(lib).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows(known: dict[str, Path]) -> set[tuple[str, str]]:
    """(importer, imported) of every import statement, also of those within functions."""
    found = set()
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{name}: relative import in line {node.lineno}"
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [target if target in known else node.module for target in inner]
            else:
                continue
            found |= {(name, target) for target in targets if target in known and target != name}
    return found


def room(name: str) -> str:
    """The first folder of a dotted name; empty for the package itself."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


def floor(name: str) -> int:
    """Height of a module's room: 0 for the package, then as in `ROOMS`; what runs the package may import all of it."""
    if room(name) == "__main__":
        return len(ROOMS) + 1
    return ROOMS.index(room(name)) + 1 if room(name) else 0


def upward(found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Arrows from a room to one that comes later."""
    return sorted((one, other) for one, other in found if room(one) and floor(other) > floor(one))


def trespassing(found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Arrows to what begins with an underscore, from outside the folder that it lies in."""
    wrong = []
    for one, other in found:
        parts = other.split(".")
        for depth, part in enumerate(parts):
            if part.startswith("_") and part != "__main__" and one.split(".")[:depth] != parts[:depth]:
                wrong.append((one, other))
    return sorted(wrong)


def circle(found: set[tuple[str, str]]) -> list[str]:
    """Modules that import each other in a circle, one such; empty where there is none."""
    after: dict[str, list[str]] = {}
    for one, other in found:
        after.setdefault(one, []).append(other)
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name not in done:
            for other in after.get(name, []):
                if way := walk(other, [*trail, name]):
                    return way
            done.add(name)
        return []

    for name in sorted(after):
        if way := walk(name, []):
            return way
    return []


HOUSE = modules(LIB)
ARROWS = arrows(HOUSE)


def test_every_folder_is_a_room_and_no_module_lies_in_the_hall():
    assert {path.name for path in LIB.iterdir() if path.is_dir() and path.name != "__pycache__"} <= set(ROOMS)
    assert {path.name for path in LIB.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_arrow_points_up():
    assert len(ARROWS) > 100
    assert upward(ARROWS) == []


def test_no_module_needs_itself():
    assert circle(ARROWS) == []


def test_private_modules_are_entered_from_their_own_folder_alone():
    assert trespassing(ARROWS) == []


@pytest.mark.parametrize("name", sorted(HOUSE))
def test_a_module_is_short_and_says_what_it_is(name):
    text = HOUSE[name].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 350, "one concept a module: split it"
    assert ast.get_docstring(ast.parse(text)), "a docstring says what is in it"


def test_tests_lie_in_the_same_folders():
    for path in TESTS.rglob("test_*.py"):
        assert (LIB / path.parent.relative_to(TESTS)).is_dir(), f"{path.name}: the package has no such folder"


def test_what_is_forbidden_is_found(tmp_path):
    """A house with one fault of each kind."""
    lib = tmp_path / "anisotropy"
    for name, text in {
        "__init__.py": "",
        "_util/__init__.py": "",
        "_util/files.py": "def late():\n    from anisotropy.nads import result",  # up, and hidden in a function
        "nads/__init__.py": "",
        "nads/_windows.py": "from anisotropy._util import files",
        "nads/result.py": "from anisotropy.nads import _windows",  # of its own folder
        "site/__init__.py": "",
        "site/pages.py": "import anisotropy.nads._windows",  # private
    }.items():
        (lib / name).parent.mkdir(parents=True, exist_ok=True)
        (lib / name).write_text(text)
    found = arrows(modules(lib))
    assert upward(found) == [("anisotropy._util.files", "anisotropy.nads.result")]
    assert trespassing(found) == [("anisotropy.site.pages", "anisotropy.nads._windows")]
    way = circle(found)
    assert way[0] == way[-1]
    assert {name.rpartition(".")[2] for name in way} == {"files", "result", "_windows"}
