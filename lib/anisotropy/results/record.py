"""The record: `results/`, JSON lines that are committed, one per result, so that a reader's numbers can be checked.

A line is flat: `pandas.read_json("results/directions.jsonl", lines=True)` is a table. It holds the identity of the
result (all that its number depends on, with dots where values belong together: `recipe.epochs`), `key`, a digest of the
identity, the outcome, and under `made.` the commit, versions, processor and date. Files only grow. A line that is wrong
is taken back by a further line, {"withdrawn": key, "reason": ...}. Files of two machines merge by union.
"""

import argparse
import functools
import json
import math
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anisotropy._util import files, paths
from anisotropy.results import columns, stores

TRAININGS = ("directions", "images", "redundant")
"""Files whose lines are trainings of one network."""

FROM_STORE = (*TRAININGS, "measures")
"""Files whose lines come out of a store of results."""


@dataclass
class Read:
    """What a file of the record holds.

    Attributes:
        rows: key -> line, without those that were withdrawn; of replicates the first.
        problems: what is wrong with the file, in words, each with the number of its line.
        replicates: lines with the identity of an earlier one that agree with it.
        withdrawn: key -> reason.
    """

    rows: dict[str, dict] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    replicates: list[dict] = field(default_factory=list)
    withdrawn: dict[str, str] = field(default_factory=dict)


def folder() -> Path:
    """Folder of the record in the repository."""
    return paths.root() / "results"


def experiments() -> list[str]:
    """Names of the files that there are, without their suffix; none where the package is without its repository."""
    try:
        return sorted(path.stem for path in folder().glob("*.jsonl"))
    except FileNotFoundError:
        return []


def experiment(row: dict[str, Any]) -> str:
    """The file that a line belongs to."""
    if "measure" in row:
        return "measures"
    if "energies" in row or "area" in row:
        return "gallery" if "energies" in row else "discrimination"
    return "images" if "images.name" in row else "redundant" if "ratio" in row else "directions"


def line(fields: dict[str, Any], result: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The line of a result.

    Args:
        fields: its identity, as a job's `fields` gives it.
        result: as a job's `compute` gives it.
        made: see `provenance.made`.
    """
    return {"key": stores.digest(fields), **_flat(fields), **result, **made_columns(made)}


def fields_of(row: dict[str, Any]) -> dict[str, Any]:
    """Identity of a line, as `line` was given it."""
    return _nested(
        {k: v for k, v in row.items() if k != "key" and not k.startswith("made.") and not columns.is_outcome(k)}
    )


def result_of(row: dict[str, Any]) -> dict[str, Any]:
    """Outcome of a line, as `line` was given it."""
    return {k: v for k, v in row.items() if columns.is_outcome(k)}


def read(path: Path) -> Read:
    """Read a file of the record; a line that is cut short, altered or contradicts another is named and left out."""
    found = Read()
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found.problems.append(f"{path.name} cannot be read: {error}")
        return found
    for number, text in enumerate(content.splitlines(), 1):
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise TypeError(f"expected a mapping, got {type(row).__name__}")
            if "withdrawn" in row:
                found.withdrawn[row["withdrawn"]] = row["reason"]
                continue
            if stores.digest(fields_of(row)) != row["key"]:
                raise ValueError(
                    "its identity does not belong to its key; it was altered, or two columns were mixed up"
                )
            _check_range(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            found.problems.append(f"{path.name}, line {number}: {type(error).__name__}: {error}")
            continue
        first = found.rows.get(row["key"])
        if first is None:
            found.rows[row["key"]] = row
        elif difference := columns.disagreement(first, row):
            found.problems.append(
                f"{path.name}, line {number}: contradicts an earlier line of its identity: {difference}"
            )
        else:
            found.replicates.append(row)
    found.rows = {key: row for key, row in found.rows.items() if key not in found.withdrawn}
    return found


def _check_range(row: dict[str, Any]) -> None:
    if "measure" in row:
        found = [name for name in row if name.startswith(columns.FOUND)]
        if not found or not all(math.isfinite(v) for name in ("bound", *found) for v in columns.numbers(row[name])):
            raise ValueError("expected measured numbers, all of them finite, and their bound")
        return
    if "energies" in row:
        if not row["energies"] or not all(0 <= value < math.inf for network in row["energies"] for value in network):
            raise ValueError("expected energies of at least one network, none of them negative")
        return
    measured = "area" if "area" in row else "test_accuracy"  # of a prediction, or of a training
    if not 0 <= row[measured] <= 1:
        raise ValueError(f"expected {measured} between 0 and 1, got {row[measured]}")


def results(keys: Iterable[str]) -> dict[str, dict]:
    """Results of these keys that the record holds; none where everything is computed again, see `paths.fresh`."""
    known = {} if paths.fresh() else _rows()
    return {key: result_of(known[key]) for key in set(keys) & known.keys()}


def every() -> dict[str, dict]:
    """All results of the record, by key."""
    return {key: result_of(row) for key, row in _rows().items()}


def _rows() -> dict[str, dict]:
    known: dict[str, dict] = {}
    for name in experiments():
        path = folder() / f"{name}.jsonl"
        known |= _read_once(path, path.stat().st_mtime_ns).rows
    return known


@functools.lru_cache(maxsize=8)
def _read_once(path: Path, changed: int) -> Read:
    return read(path)


def made_columns(made: dict[str, Any]) -> dict[str, Any]:
    """What made a result, see `provenance.made`, as columns of a line."""
    return _flat({"made": made})


def add(experiment: str, new: Iterable[dict[str, Any]]) -> int:
    """Append lines to the file of an experiment, those whose identity is not there; return how many.

    Raises:
        ValueError: a line was made by code that is not committed, or contradicts one that is there, or the file has a
            line that cannot be read. Then nothing is added.
        OSError: the file cannot be written.
    """
    path = folder() / f"{paths.plain_name(experiment, 'name of an experiment')}.jsonl"
    there = read(path) if path.exists() else Read()
    if there.problems:
        raise ValueError("the record has lines that cannot be read; mend them first:\n" + "\n".join(there.problems))
    added: dict[str, dict] = {}
    for row in new:
        what = f"the result {row['key']} of {row.get('architecture.name') or row.get('measure')}"
        if row.get("made.clean") is not True:
            raise ValueError(
                f"{what} was not made by committed code (commit {row.get('made.commit')}): commit it, or run it from a "
                "clean checkout, as `make campaign` does, and compute it again"
            )
        known = there.rows.get(row["key"]) or added.get(row["key"])
        if known is None:
            added[row["key"]] = row
        elif difference := columns.disagreement(known, row):
            raise ValueError(f"{what} contradicts the record: {difference}; find out which is wrong, and withdraw it")
    if added:
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in added.values()]
        files.write(path, old + "\n".join(lines) + "\n")
    return len(added)


def withdraw(experiment: str, key: str, reason: str) -> None:
    """Take a line back by a further line that says why.

    Raises:
        ValueError: no such line, or no reason.
    """
    path = folder() / f"{paths.plain_name(experiment, 'name of an experiment')}.jsonl"
    if not path.exists() or key not in read(path).rows:
        raise ValueError(f"expected the key of a line of {experiment}.jsonl, got {key!r}")
    if not reason.strip():
        raise ValueError("expected the reason why the line is wrong, got none")
    text = json.dumps({"withdrawn": key, "reason": reason.strip()}, ensure_ascii=False)
    files.write(path, path.read_text(encoding="utf-8") + text + "\n")


def from_store(place: stores.Store) -> list[dict[str, Any]]:
    """Lines of a store's units that are intact and say what made them, in the order in which they were finished."""
    found = []
    for path in sorted(place.folder.glob("??/*.json"), key=lambda p: (p.stat().st_mtime_ns, os.fspath(p))):
        with suppress(OSError, ValueError, KeyError, TypeError):  # damaged: a sweep computes it again
            kept = place.record(path.stem)
            found.append(line(kept["fields"], kept["result"], kept["made"]))
    return found


def _flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    rows = {}
    for name, value in nested.items():
        if "." in name or (isinstance(value, dict) and not value):
            raise ValueError(f"expected names without dots and no empty mappings, got {name!r}: {value!r}")
        rows |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return rows


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *way, last = name.split(".")
        inner = nested
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return nested


def main(arguments: list[str] | None = None) -> int:
    """Add the finished results of a store to the record, or say what the record holds and what is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy record", description=main.__doc__)
    parser.add_argument("--store", default="data/sweeps", help="folder of finished results (default data/sweeps)")
    parser.add_argument("--withdraw", metavar="KEY", help="take a line back, with --reason")
    parser.add_argument("--reason", default="", help="why the line is wrong")
    parser.add_argument("--check", action="store_true", help="only read the record")
    chosen = parser.parse_args(arguments)
    found = {name: read(folder() / f"{name}.jsonl") for name in experiments()}
    try:
        if chosen.withdraw:
            names = [name for name, content in found.items() if chosen.withdraw in content.rows] or ["directions"]
            withdraw(names[0], chosen.withdraw, chosen.reason)
        elif not chosen.check:
            lines = from_store(stores.Store(paths.resolve(chosen.store)))
            skipped = [row for row in lines if row["made.clean"] is not True]
            for name in FROM_STORE:
                new = [row for row in lines if experiment(row) == name and row["made.clean"] is True]
                print(f"{name}: {add(name, new)} lines added")
            if skipped:
                print(f"{len(skipped)} results of the store were made by code that is not committed: left out")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    problems = []
    for name in experiments():
        content = read(folder() / f"{name}.jsonl")
        problems += content.problems
        counts = f"{len(content.replicates)} replicates, {len(content.withdrawn)} withdrawn"
        print(f"{name}: {len(content.rows)} lines, {counts}")
    print("\n".join(problems) or "every line is whole and belongs to its identity")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
