"""What runs left in a folder of figures, read back: claims, figures with passports, executed notebooks, and faults.

A result that is missing, half there or unreadable is described as such; it never hides the others.
"""

import json
import math
import re
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from anisotropy._util import paths
from anisotropy.paper import passports
from anisotropy.paper.claims import FAILS, HOLDS, UNDECIDED, Claim
from anisotropy.site.rendering import Unreadable

PRESETS = ("quick", "laptop", paths.READING, "paper")
"""The project's presets, from small to large; others come after them by name."""

NUMBERED = re.compile(r"\d+_\w+")
"""Names of notebooks, beside which the folder of the preset `reading` has those of other presets."""

DONE, FAILED, INTERRUPTED, MISSING = "done", "failed", "interrupted", "not run"

LARGEST = 64 * 2**20  # bytes of a file that is read; nothing of ours comes near it
PASSPORT = ".passport.json"


@dataclass
class Figure:
    """A saved figure: its picture, the numbers behind it, and the passport that says what made it."""

    name: str
    folder: Path
    passport: dict[str, Any] = field(default_factory=dict)
    problem: str = ""  # with the passport

    @property
    def picture(self) -> Path:
        """The PNG file."""
        return self.folder / f"{self.name}.png"

    @property
    def numbers(self) -> Path | None:
        """The file with the numbers, None where there is none."""
        for suffix in ("json", "csv"):
            path = self.folder / f"{self.name}.{suffix}"
            if _is_ours(path, self.folder):
                return path
        return None

    @cached_property
    def values(self) -> dict[str, Any]:
        """The numbers by name, as lists.

        Raises:
            Unreadable: the file is cut short, or holds something else.
        """
        path = self.numbers
        if path is None:
            return {}
        if path.suffix == ".json":
            return read_json(path)
        try:
            return {name: column.tolist() for name, column in passports.read_numbers(path).items()}
        except (OSError, ValueError, IndexError) as error:
            raise Unreadable(f"{path.name} cannot be read: {error}") from error


@dataclass
class Result:
    """What one notebook left under one preset.

    Attributes:
        notebook: name without suffix.
        preset: name.
        folder: where it is, whether or not anything is there.
        state: one of `DONE`, `FAILED` (the copy shown is that of the failed run, earlier figures stay), `INTERRUPTED`
            and `MISSING`.
        executed: the executed copy, if there is one.
        claims: what could be read of `claims.json`.
        passport: the rest of `claims.json`: what made the claims.
        figures: by name.
        seconds: that the run took.
        problems: files that could not be read, in words.
    """

    notebook: str
    preset: str
    folder: Path
    state: str = MISSING
    executed: Path | None = None
    claims: list[Claim] = field(default_factory=list)
    passport: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    seconds: float | None = None
    problems: list[str] = field(default_factory=list)


def verdicts(found: list[Result]) -> str:
    """Claims of some results as a page of Markdown: one table for each notebook, and how many of each verdict."""
    some = [result for result in found if result.claims]
    everything = [claim for result in some for claim in result.claims]
    counted = ", ".join(
        f"{sum(c.verdict == verdict for c in everything)} {words}"
        for verdict, words in ((HOLDS, "hold"), (FAILS, "fail"), (UNDECIDED, "are not decided at this size"))
    )
    lines = [f"Of {len(everything)} claims that are checked, {counted}.", ""]
    for result in some:
        lines += [
            f"## {result.notebook}",
            "",
            "| claim | in the paper | measured | needed | verdict |",
            "|---|---|---|---|---|",
        ]
        for claim in result.claims:
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in claim.row) + " |")
        lines.append("")
    return "\n".join(lines)


def rank(preset: str) -> tuple[int, str]:
    """Place of a preset in the order from small to large."""
    return (PRESETS.index(preset), "") if preset in PRESETS else (len(PRESETS), preset)


def notebooks(base: Path, preset: str) -> list[str]:
    """Names of the notebooks that there are, or that left something under a preset."""
    try:
        found = {p.stem for p in paths.notebooks().glob("*.ipynb")}
    except FileNotFoundError:
        found = set()  # the package without its repository: only results are there
    folder = paths.of_preset(base, preset)
    if folder.is_dir():
        having = {p.name for p in folder.iterdir() if p.is_dir() and any(p.iterdir())}
        found |= {name for name in having if preset != paths.READING or NUMBERED.fullmatch(name)}
    return sorted(name for name in found if is_plain(name))


def collect(base: Path, preset: str) -> list[Result]:
    """Results of every notebook under a preset, in the order of their names.

    Args:
        base: folder of figures, see `paths.of_preset`.
        preset: name of one.

    Raises:
        ValueError: the preset's name is not a plain one.
    """
    paths.plain_name(preset, "preset name")
    return [read(paths.of_preset(base, preset) / name, name, preset) for name in notebooks(base, preset)]


def read(folder: Path, notebook: str, preset: str) -> Result:
    """Result of one notebook in its folder."""
    result = Result(notebook, preset, folder)
    if not folder.is_dir():
        return result
    whole, failed, running = (folder / f"{notebook}{state}.ipynb" for state in ("", ".failed", ".running"))
    for state, path in ((FAILED, failed), (DONE, whole), (INTERRUPTED, running)):
        if _is_ours(path, folder):
            result.state, result.executed = state, path
            break
    if preset == paths.READING and result.executed is None and (folder / "run.json").exists():
        own = paths.notebooks() / f"{notebook}.ipynb"  # published: the outputs are in the notebook itself
        result.state, result.executed = DONE, own if own.is_file() else None
    if (folder / "claims.json").exists():
        try:
            result.claims, result.passport = _claims(folder / "claims.json", result.problems)
        except Unreadable as error:
            result.problems.append(str(error))
    names = sorted(p.name.removesuffix(".png") for p in folder.glob("*.png"))
    for name in names:
        if is_plain(name) and _is_ours(folder / f"{name}.png", folder):
            result.figures[name] = _figure(name, folder)
    if result.state == MISSING and (result.figures or result.claims):
        result.state = INTERRUPTED
    if (folder / "run.json").exists():
        try:
            record = read_json(folder / "run.json")
            result.seconds = finite(record.get("seconds"))
            result.problems += _gone(record.get("outputs"), folder)
        except Unreadable as error:
            result.problems.append(str(error))
    return result


def _gone(outputs: Any, folder: Path) -> list[str]:
    """What a run wrote and is no longer there, in words."""
    written = [name for name in outputs if isinstance(name, str)] if isinstance(outputs, list) else []
    gone = [name for name in written if is_plain(name) and not (folder / name).is_file()]
    return [f"{', '.join(gone)}: written by the run, and no longer there; the same run makes it again"] if gone else []


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a mapping.

    Raises:
        Unreadable: it does not, it is cut short, or too large to be one of ours.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise Unreadable(f"{path.name} has {path.stat().st_size} bytes, too many for one of ours")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"{path.name} cannot be read, it was cut short or altered: {error}") from error
    if not isinstance(found, dict):
        raise Unreadable(f"{path.name}: expected a mapping, got {type(found).__name__}")
    return found


def _figure(name: str, folder: Path) -> Figure:
    path = folder / f"{name}{PASSPORT}"
    if not _is_ours(path, folder):
        return Figure(name, folder, problem="this figure has no passport")
    try:
        return Figure(name, folder, read_json(path))
    except Unreadable as error:
        return Figure(name, folder, problem=str(error))


def _claims(path: Path, problems: list[str]) -> tuple[list[Claim], dict[str, Any]]:
    content = read_json(path)
    records = content.pop("claims", None)
    if not isinstance(records, list):
        raise Unreadable("claims.json: expected a list of claims, found none")
    found = []
    for number, record in enumerate(records, 1):
        try:
            found.append(_claim(record))
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            problems.append(f"claims.json, claim {number} cannot be read: {error}")
    return found, content


def _claim(record: Any) -> Claim:
    """A claim from its record; a type or verdict that the notebooks cannot have written is an error."""
    if not isinstance(record, dict):
        raise TypeError(f"expected a mapping, got {type(record).__name__}")
    values = {f.name: record[f.name] for f in fields(Claim) if f.name != "why"}
    values["why"] = record.get("why", "")
    for name in ("statement", "reference", "needed", "verdict", "why"):
        if not isinstance(values[name], str):
            raise TypeError(f"{name}: expected text, got {values[name]!r}")
    if values["verdict"] not in (HOLDS, FAILS, UNDECIDED):
        raise ValueError(f"unknown verdict {values['verdict']!r}")
    values["measured"] = None if values["measured"] is None else _number(values["measured"], "measured")
    values["spread"] = _number(values["spread"], "spread")
    for name in ("n", "digits"):
        if not (type(values[name]) is int or (name == "n" and values[name] is None)):
            raise TypeError(f"{name}: expected an integer, got {values[name]!r}")
    values["digits"] = min(max(values["digits"], 0), 12)
    return Claim(**values)


def _number(value: Any, name: str) -> float:
    """A number, or the text that stands for one that JSON cannot hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if isinstance(value, str) and value not in ("NaN", "Infinity", "-Infinity"):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return float(value)


def finite(value: Any) -> float | None:
    """A number from a file as a float, None where it is none or has no finite value."""
    try:
        found = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer beyond all floats
        return None
    return found if math.isfinite(found) else None


def is_plain(name: str) -> bool:
    """Whether a name is one plain path component."""
    try:
        paths.plain_name(name)
    except ValueError:
        return False
    return True


def _is_ours(path: Path, folder: Path) -> bool:
    """Whether a file is there and, links followed, inside its folder."""
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except OSError:
        return False
