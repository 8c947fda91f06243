"""The page for artifact reviewers, `docs/artifact.md`: which command decides which statements, and what it takes.

`make statements` writes it, from the judged statements: the commands are theirs, minutes are those of the runs and of
the record's seconds, and disk is what lies in the folder that a command writes.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from anisotropy._util import paths
from anisotropy.paper.judging import Report

PAGE = "docs/artifact.md"

INTRO = """# For artifact reviewers

What can be checked, with which command, in how many minutes of two cores, and which file comes out. Written by `make statements`.

**Set up.** `make setup` builds `.venv` from [requirements.lock](../requirements.lock), pinned and hashed: Python 3.11 to 3.13 with its venv module, make, and 6 GB of disk. The [Containerfile](../Containerfile) does the same in a container and runs `make reproduce`; it has not been built by us, since we had no registry of images.

**Try first.** `make reproduce` (a quarter of an hour) runs every notebook small, from nothing, and prints the verdict on each claim. `make audit` (five minutes) computes lines of the record again, drawn at random, and compares. `make site` builds the pages with every statement.

**What counts as agreement.** A verdict is computed from bounds that [statements.yaml](../lib/anisotropy/paper/statements.yaml) holds, each with its reason; [the statements](statements.md) say what was measured. On another processor numbers differ in their last digits, and trainings take another path: [the record](record.md) says within which bounds.

**Data.** Commands for 05 and 06 load CIFAR-10 once (170 MB), or take it from a folder. `PUBLISHED=data/published` names a checkout of the authors' repository, which is not ours to pass on ([how to get it](laptop.md)).

Below, a claim is the name of a statement; disk is that of what the command leaves.

| claims | command | minutes | disk | file |
|---|---|---|---|---|
"""  # noqa: E501


@dataclass
class Effort:
    """What a command takes.

    Attributes:
        minutes: the longest of its checks.
        claims: ids of the statements that it decides.
        files: that the numbers are in.
    """

    minutes: float = 0.0
    claims: dict[str, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)


def efforts(report: Report) -> dict[str, Effort]:
    """Command -> what it takes, in the order of the paper."""
    found: dict[str, Effort] = {}
    for statement, checks, _ in report.statements:
        for check in checks:
            if check.known:
                effort = found.setdefault(check.known["command"], Effort())
                effort.minutes = max(effort.minutes, check.known["minutes"])
                effort.claims[statement.id] = None
                effort.files |= dict.fromkeys(check.known["files"])
    return found


def written_by(command: str, effort: Effort) -> str:
    """File or folder that a command writes."""
    run = re.fullmatch(r"make reproduce (?:PRESET=(\w+) )?ONLY=(\w+)", command)
    if run:
        return paths.of_preset(Path("figures"), run[1] or paths.READING).joinpath(run[2]).as_posix()
    if command.startswith("make campaign"):
        return next(name for name in effort.files if name.startswith("results/"))
    return "results/statements.json"


def megabytes(place: Path) -> int:
    """Size of a file, or of all files in a folder, in MB and rounded up."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return math.ceil(sum(path.stat().st_size for path in files) / 1e6)


def page(report: Report) -> str:
    """Return the page as Markdown."""
    rows = []
    for command, effort in efforts(report).items():
        place = written_by(command, effort)
        size, minutes = megabytes(paths.root() / place), max(1, round(effort.minutes))
        rows.append(f"| {', '.join(effort.claims)} | `{command}` | {minutes} | {size} MB | {place} |")
    return INTRO + "\n".join(rows) + "\n"
