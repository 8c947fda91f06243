"""What a run will cost, from what earlier runs cost: units in the store, time and memory, before anything starts.

Only measurements are used: seconds of each unit and of the notebook around them (`units.json`, `run.json` in the folder
of figures), scaled by the speed of this machine where the record holds the speed of the one that measured. Where
nothing was measured the plan says so.
"""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anisotropy import engines, paths, provenance
from anisotropy.calibration import speed
from anisotropy.progress import duration
from anisotropy.records import UNITS, Step
from anisotropy.stores import Store

LONG = 480.0
"""Seconds above which a unit is said to be long: a queue that grants less must let it resume from its checkpoint."""


@dataclass(frozen=True)
class Plan:
    """What one notebook will cost.

    Attributes:
        units: units of work that its last run asked for, None where no run noted them.
        stored: how many of them are in the store.
        longest: seconds of the longest unit, None where none was measured.
        seconds: expected, None where nothing was measured.
        memory_gib: of its largest process, None where that was not measured.
        remarks: what the numbers rest on, and what is in doubt.
    """

    units: int | None
    stored: int
    longest: float | None
    seconds: float | None
    memory_gib: float | None
    remarks: tuple[str, ...]


def plan(step: Step, *, here: dict[str, Any] | None = None, pace: dict[str, float] | None = None) -> Plan:
    """Plan a notebook from the record of its last run and from its store.

    Args:
        step: the notebook.
        here: hardware of this machine, `provenance.hardware()` if None.
        pace: speed of this machine, `speed()` if None and if the record holds one to compare with.
    """
    record, here = step.record, here or provenance.hardware()
    if not record:
        return Plan(None, 0, None, None, None, _unmeasured(step))
    remarks = []
    known = record.get("inputs", {}).get("parameters")
    if known and step.inputs.get("parameters") not in (None, known):
        remarks.append("parameters have changed since it was measured")
    factor, why = _factor(record, here, pace)
    remarks.append(why)
    tables = _tables(step.folder / UNITS)
    spent, cpu = record.get("seconds"), record.get("cpu_seconds")
    if tables is None:
        if cpu and spent and cpu > spent:
            spent = max(spent, cpu / (here.get("cores") or 1))
        remarks.append("units were not noted: the time is that of the last run, with what was in the store then")
        return Plan(None, 0, None, _times(spent, factor), record.get("memory_gib"), tuple(remarks))
    units, missing = _units(tables)
    around = max(0.0, (spent or 0.0) - sum(table["wall"] for table in tables if "keys" in table))
    expected = around + sum((seconds or 0.0) / _workers(t, here) for seconds, t in missing.values())
    if any(seconds is None for seconds, _ in missing.values()):
        remarks.append("some missing units failed in the last run: their time is not known")
    measured = [seconds for seconds, _ in units.values() if seconds is not None]
    networks = sum(table.get("networks", 0) for table in tables)
    if networks:
        remarks.append(f"{networks} random networks for NADs are part of it")
    longest = max(measured, default=None)
    return Plan(
        len(units),
        len(units) - len(missing),
        _times(longest, factor),
        _times(expected, factor),
        record.get("memory_gib"),
        tuple(remarks),
    )


def comparable(step: Step) -> bool:
    """Whether the time of the last run foretells the next one's: it computed as many units as are missing now."""
    tables = _tables(step.folder / UNITS)
    return tables is None or len(_units(tables)[1]) <= sum(table.get("computed", 0) for table in tables)


def describe(planned: Plan) -> list[str]:
    """Lines for the terminal."""
    lines = []
    if planned.units is not None:
        lines.append(f"units: {planned.units} in the last run, {planned.stored} of them in the store")
        if planned.longest is not None:
            text = f"longest unit: {duration(planned.longest)}"
            if planned.longest > LONG:
                text += f", more than {duration(LONG)}: a training on images resumes from its checkpoint after a kill"
            lines.append(text)
    lines.append("expected: " + (duration(planned.seconds) if planned.seconds is not None else "not measured yet"))
    memory = (
        "not measured yet" if planned.memory_gib is None else f"{planned.memory_gib:.1f} GiB in its largest process"
    )
    lines.append(f"memory: {memory}")
    return lines + [f"({remark})" for remark in planned.remarks]


def _units(tables: list[dict[str, Any]]) -> tuple[dict[str, tuple], dict[str, tuple]]:
    """Units of the last run and those that are not in their store: key -> (seconds, table)."""
    # The same unit may be asked for twice in a notebook: it is computed once.
    sweeps = [table for table in tables if "keys" in table]
    units = {key: (seconds, t) for t in sweeps for key, seconds in zip(t["keys"], t["seconds"], strict=True)}
    return units, {k: v for k, v in units.items() if Store(paths.resolve(v[1]["store"])).read(k) is None}


def _times(seconds: float | None, factor: float) -> float | None:
    return None if seconds is None else seconds * factor


def _tables(path: Path) -> list[dict[str, Any]] | None:
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))["tables"]
        for table in tables:  # a damaged file counts as none
            float(table["wall"]), int(table.get("networks", 0)), int(table.get("computed", 0))
            if "keys" in table:
                engines.parse(table["engine"]), paths.resolve(table["store"])
                _ = [(str(k), s and float(s)) for k, s in zip(table["keys"], table["seconds"], strict=True)]
        return list(tables)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _workers(table: dict[str, Any], here: dict[str, Any]) -> int:
    kind, argument = engines.parse(table["engine"])
    return min(int(argument), here.get("cores") or 1) if kind == "local" else 1


def _factor(record: dict[str, Any], here: dict[str, Any], pace: dict[str, float] | None) -> tuple[float, str]:
    """How many times longer this machine takes than the one of the record, and how that is known."""
    there = record.get("hardware", {})
    text = f"measured on {_machine(there)}"
    if there.get("gpu") != here.get("gpu"):
        return 1.0, text + "; this machine has another GPU or none: not scaled"
    if known := record.get("speed"):
        pace = pace or speed()
        ratios = [known[k] / pace[k] for k in known if pace.get(k)]
        factor = (max(ratios) * min(ratios)) ** 0.5 if ratios else 1.0
        return factor, f"{text}; this machine takes {factor:.2f} times as long in a short calibration"
    same = all(there.get(k) == here.get(k) for k in ("cpu", "cores"))
    return 1.0, text + ("; the same processor here" if same else "; its speed was not recorded: not scaled")


def _machine(hardware: dict[str, Any]) -> str:
    text = f"{hardware.get('cpu', 'an unknown processor')}, {hardware.get('cores', '?')} cores"
    return ", ".join([text, *(hardware.get("gpu") or [])])


def measured(step: Step) -> bool:
    """Whether a run with these parameters has left a record to plan from."""
    known = step.record.get("inputs", {}).get("parameters")
    return known is not None and known == step.inputs.get("parameters")


def said(step: Step) -> tuple[str, ...]:
    """What the head of the preset's file says of hardware and minutes, word for word."""
    path = paths.params(step.name) / f"{step.folder.parent.name}.yaml"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    head = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    found = [s for s in re.split(r"(?<=[\w)])\. (?=[A-Z])", head) if re.match(r"(Hardware|Minutes)\b", s)]
    return tuple(f"its preset says: {sentence.rstrip('.')}" for sentence in found)


def _unmeasured(step: Step) -> tuple[str, ...]:
    """What other presets took, what the head of the preset's file says, and how to measure."""
    remarks = ["run it once to measure it; what a killed run has computed is kept; --dry-run rehearses it"]
    for other in sorted(step.folder.parent.parent.glob(f"*/{step.name}")):
        record = replace(step, folder=other).record
        if "seconds" in record:
            where = _machine(record.get("hardware", {}))
            remarks.insert(0, f"preset {other.parent.name} took {duration(record['seconds'])} on {where}")
    return (*said(step), *remarks)
