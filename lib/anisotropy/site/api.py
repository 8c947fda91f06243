"""Pages of the API: the front door `anisotropy`, and one page for each room with all of its public modules."""

import importlib
import inspect
import re

import anisotropy
from anisotropy._util import paths

ROOMS = (
    "directions", "theory", "models", "nads", "kernels", "training", "images", "results", "experiments", "paper",
    "notebooks", "site", "cli",
)  # fmt: skip
"""In the order in which a reader of the paper enters them."""


def pages() -> dict[str, str]:
    """Name of a page -> its source."""
    return {"api/index.md": _front(), **{f"api/{room}.rst": _room(room) for room in ROOMS}}


def groups() -> dict[str, list[str]]:
    """Heading of the map in `help(anisotropy)` -> the names below it; those without one are under "Citation"."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in inspect.getdoc(anisotropy).splitlines():
        names = [n for n in re.split(r",\s*", re.split(r"\s{2,}", line.strip())[0]) if n in anisotropy.__all__]
        if line and not line.startswith(" "):
            heading = line.strip()
        elif line.startswith("    ") and names:
            found.setdefault("Citation" if names == ["cite"] else heading, []).extend(names)
    return found


def _front() -> str:
    """The front door: every name under its heading, with its first line and a link to all of it."""
    parts = [
        "# API\n",
        "`import anisotropy as an` offers the names below; each is loaded when it is used. Behind them are rooms, in "
        "the order in which a reader of the paper enters them, with everything that is public.\n",
    ]
    for heading, names in groups().items():
        parts.append(f"## {heading}\n\n| name | what it is |\n|---|---|")
        for name in names:
            module, attribute = anisotropy._WHERE[name]
            found = getattr(anisotropy, name)
            role = "class" if inspect.isclass(found) else "func"
            said = inspect.getdoc(found).split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            parts.append(f"| {{py:{role}}}`an.{name} <anisotropy.{module}.{attribute}>` | {said} |")
        parts.append("")
    rooms = "\n".join(ROOMS)
    return "\n".join(parts) + f"\n## Rooms\n\n```{{toctree}}\n:maxdepth: 1\n\n{rooms}\n```\n"


def _room(room: str) -> str:
    """A room: what its `__init__` says, then its modules."""
    package = importlib.import_module(f"anisotropy.{room}")
    folder = paths.root() / "lib" / "anisotropy" / room
    names = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts != ("__init__",) and not any(part.startswith("_") and part != "__init__" for part in parts):
            names.append(".".join(part for part in parts if part != "__init__"))
    title = f"anisotropy.{room}"
    text = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {package.__name__}\n   :no-members:\n\n"
    for name in names:
        text += f"{name}\n{'-' * len(name)}\n\n.. automodule:: {package.__name__}.{name}\n   :members:\n\n"
    return text
