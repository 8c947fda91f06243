"""What a notebook was run from and what came of it: decides whether a result is still that of the same inputs."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anisotropy._util import files, paths, provenance
from anisotropy.notebooks import declarations, presets
from anisotropy.notebooks.declarations import ParameterError, nearest

RECORD = "run.json"


class PlanError(ValueError):
    """A run that cannot begin: a notebook, preset, dependency, folder or option at fault."""


@dataclass
class Step:
    """One notebook of a run: its parameters, what it comes after, and the fingerprints of its inputs."""

    name: str
    path: Path
    folder: Path
    parameters: dict[str, Any]
    after: tuple[str, ...]
    inputs: dict[str, str] = field(default_factory=dict)
    stale: str = ""  # why it must run, empty where its result is that of the same inputs
    asked: bool = True  # False: only because another needs it

    @property
    def record(self) -> dict[str, Any]:
        """The record of the last successful run, {} where there is none or it is damaged."""
        try:
            found = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if _sound(found) else {}

    def executed(self, state: str = "") -> Path:
        """The executed copy: `<name>.ipynb`, or `<name>.failed.ipynb`, `<name>.running.ipynb` for these states."""
        return self.folder / f"{self.name}{'.' + state if state else ''}.ipynb"


def _sound(record: Any) -> bool:
    """Whether a record has the types that `finish` writes: one that is cut short or edited must not stop a run."""
    if not isinstance(record, dict):
        return False

    def each(name: str, kind: type | tuple, of: Any) -> bool:
        values = record.get(name, kind())
        return isinstance(values, kind) and all(
            isinstance(v, of) for v in (values.values() if isinstance(values, dict) else values)
        )

    plain = each("inputs", dict, str) and each("outputs", list, str) and each("sha256", dict, str)
    spent = [record.get(name) for name in ("seconds", "cpu_seconds")]
    return (
        plain
        and each("cells", list, (int, float))
        and each("hardware", dict, object)
        and all(value is None or isinstance(value, (int, float)) for value in spent)
    )


def after(path: Path) -> tuple[str, ...]:
    """Notebooks whose results a notebook uses, as its metadata say: `"anisotropy": {"after": ["03_nads"]}`.

    Raises:
        PlanError, ParameterError: the metadata hold something else.
    """
    found = declarations.said(path, "after")
    if not all(isinstance(name, str) for name in found):
        raise PlanError(f"{path.name}: expected metadata anisotropy.after to be a list of notebooks, got {found!r}")
    return tuple(found)


def source(path: Path) -> str:
    """Fingerprint of what a notebook executes: its code and its parameters tag; not outputs, counters or prose."""
    code = [c for c in declarations.read(path)["cells"] if c["cell_type"] == "code"]
    return provenance.fingerprint(*[part for c in code for part in (c["source"], str("parameters" in c["tags"]))])


def published(parameters: Mapping[str, Any]) -> str:
    """Fingerprint of the names and sizes of the files in the folder of published data, if a notebook takes one.

    Other folders that parameters name, such as a sweep's store, are written by the run itself: they are no input.
    """
    folder = parameters.get("published")
    if not isinstance(folder, str) or not folder:
        return ""
    path = paths.resolve(folder)
    found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return provenance.fingerprint(*[f"{p.relative_to(path).as_posix()}:{p.stat().st_size}" for p in found])


def inputs(step: Step, done: Mapping[str, Step]) -> dict[str, str]:
    """Fingerprints of everything that changes a notebook's result, by what to call it in a message."""
    found = {
        "notebook": source(step.path),
        "parameters": provenance.fingerprint(json.dumps(step.parameters, sort_keys=True)),
        "published data": published(step.parameters),
        "library source": provenance.library(),
        "versions": provenance.fingerprint(json.dumps(provenance.versions(), sort_keys=True)),
    }
    for name in step.after:
        if name in done:
            found[f"inputs of {name}"] = provenance.fingerprint(json.dumps(done[name].inputs, sort_keys=True))
    return found


def why_stale(step: Step) -> str:
    """Why a step must run, or an empty text where its result is there and its inputs are the same."""
    record = step.record
    if not record:
        if (step.folder / RECORD).exists():
            return f"damaged: {RECORD}"
        return "interrupted before" if step.executed("running").exists() else "not done yet"
    known = record.get("inputs", {})
    changed = [name for name in {**step.inputs, **known} if step.inputs.get(name) != known.get(name)]
    if changed:
        return f"changed: {', '.join(changed)}"
    gone = [name for name in record.get("outputs", []) if not _there(step.folder / name)]
    if gone:
        return f"missing: {', '.join(gone)}"
    damaged = [name for name, known in record.get("sha256", {}).items() if _checksum(step.folder / name) != known]
    return f"damaged: {', '.join(damaged)}" if damaged else ""


def _there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _checksum(path: Path) -> str:
    """SHA-256 of a result; of text with its line ends as git may have changed them, "" where it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    if path.suffix in (".csv", ".ipynb", ".json", ".svg"):
        content = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(content).hexdigest()


def finish(
    step: Step,
    *,
    failed: bool,
    began: float,
    cells: list[float],
    cpu_seconds: float | None = None,
) -> None:
    """Put the executed copy in its place without machine paths and, after a success, write the record.

    Args:
        step: what was run.
        failed: the copy then goes beside an earlier good one, which stays.
        began: `time.time()` at the start.
        cells: seconds that each code cell took.
        cpu_seconds: processor time of the kernel and its workers, which a busy machine does not stretch.

    Raises:
        OSError: the disk is full or the folder read-only.
    """
    running = step.executed("running")
    if running.exists():
        content = _without_machine(running.read_text(encoding="utf-8"), step.parameters)
        files.write(step.executed("failed" if failed else ""), content)
        running.unlink()
    if failed:
        return
    step.executed("failed").unlink(missing_ok=True)
    written = [p for p in step.folder.iterdir() if p.is_file() and not p.name.startswith(".") and p.name != RECORD]
    outputs = sorted(p.name for p in written if p.stat().st_mtime >= began - 2)
    record = {
        "notebook": step.name,
        "parameters": provenance.neutral(step.parameters),
        "seconds": round(time.time() - began, 1),
        "cpu_seconds": cpu_seconds,
        "cells": [round(s, 2) for s in cells],
        "outputs": outputs,
        "sha256": {name: _checksum(step.folder / name) for name in outputs},
        "inputs": step.inputs,
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
    }
    files.write_json(step.folder / RECORD, record)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _texts(v)] if isinstance(value, list) else [value] * isinstance(value, str)


def _without_machine(text: str, parameters: Mapping[str, Any]) -> str:
    notebook = json.loads(text)
    notebook.get("metadata", {}).get("papermill", {}).pop("input_path", None)
    notebook.get("metadata", {}).get("papermill", {}).pop("output_path", None)
    named = {given: provenance.neutral(given) for given in _texts(list(parameters.values()))}
    named = {given: written for given, written in named.items() if given != written}

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key) for v in value]
        if isinstance(value, str) and not key.startswith("image/"):  # base64
            for given, written in named.items():
                value = value.replace(given, written)
            return provenance.scrub(value)
        return value

    return json.dumps(walk(notebook), indent=1, ensure_ascii=False) + "\n"


def select(
    preset: str, only: list[str], assignments: list[str], *, folder: Path, params: Path, output: Path
) -> tuple[list[Step], list[str]]:
    """Steps of a run in dependency order, with everything that could be wrong about them found before one starts.

    Returns:
        tuple: the steps, and lines about notebooks that are left out.

    Raises:
        PlanError: an unknown notebook or preset, a circle of dependencies.
        ParameterError: a parameter at fault.
    """
    known = declarations.available(folder)
    for name in only:
        if name not in known:
            raise PlanError(f"--only {name}: unknown notebook, {nearest(name, known)}")
    if len(set(only)) < len(only):
        raise PlanError(f"--only {' '.join(only)}: a notebook is given twice")
    having = {name: presets.names(name, params) for name in known}
    everywhere = sorted({preset for found in having.values() for preset in found} | {presets.QUICK})
    if preset not in everywhere:
        raise PlanError(f"--preset {preset}: unknown preset, {nearest(preset, everywhere)}")
    asked = only or [name for name in known if preset in having[name]]
    notes = [f"{name}: left out, it has no preset {preset!r}" for name in known if not only and name not in asked]
    comes_after = {name: after(declarations.source(name, folder)) for name in known}
    order = _order(asked, comes_after)
    changes = presets.parse(assignments)
    steps: dict[str, Step] = {}
    used: set[str] = set()
    for name in order:
        values = presets.load(name, preset, folder=folder, params=params)
        mine = [text for text in assignments if text.partition("=")[0].strip() in values]
        try:
            values = presets.override(values, mine)
            if mine:
                presets.matching(name, values, f"--set {' '.join(mine)}", folder=folder)
        except ParameterError as error:
            raise ParameterError(f"{name}: {error}") from error
        used |= set(values)
        path = declarations.source(name, folder)
        steps[name] = Step(name, path, output / preset / name, values, comes_after[name], asked=name in asked)
    for name in changes:
        if name not in used:
            raise PlanError(f"--set {name}: no selected notebook has this parameter, {nearest(name, used)}")
    for step in steps.values():
        step.inputs = inputs(step, steps)
        step.stale = why_stale(step)
    return list(steps.values()), notes


def _order(asked: list[str], comes_after: Mapping[str, tuple[str, ...]]) -> list[str]:
    order: list[str] = []

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            raise PlanError(f"a circle of dependencies: {' -> '.join([*trail[trail.index(name) :], name])}")
        if name not in comes_after:
            raise PlanError(f"{trail[-1]} comes after {name!r}, {nearest(name, comes_after)}")
        for earlier in comes_after[name]:
            visit(earlier, (*trail, name))
        if name not in order:
            order.append(name)

    for name in sorted(asked):
        visit(name, ())
    return order
