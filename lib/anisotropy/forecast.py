"""What a run that was never made will take, from its rehearsal: units, time and memory, for the hardware found.

Times come from trials of a few seconds on this machine, scaled to the number of steps; where the device is not here,
operations are counted and no time is invented. What a run with the same parameters has measured is better than this:
see `planning`.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from anisotropy import engines, planning, provenance
from anisotropy.planning import LONG
from anisotropy.progress import duration
from anisotropy.records import Step
from anisotropy.rehearsal import Rehearsed


@dataclass(frozen=True)
class Forecast:
    """What one notebook is expected to take.

    Attributes:
        units: units of work that it asks for.
        stored: how many of them are in the store.
        seconds: of its own computation as rehearsed, and of missing units and networks on devices that are here.
        whole: whether that is all, but for the operations.
        operations: floating-point operations of missing units on devices that are not here, by device.
        longest: seconds of the longest task that is lost if it is cut off, None where none was tried.
        largest: operations of the largest one on a device that is not here, None where there is none.
        memory_gib: of its largest process, None where the system does not tell.
        gpu_gib: of the GPU, None where none is asked for.
        gpu_measured: whether that was measured; otherwise it is that of the samples alone.
        tflops: rate that the user states for devices that are not here, in 10^12 operations a second.
        parts: what it consists of, one line each.
        remarks: what the numbers rest on, and what is in doubt.
    """

    units: int
    stored: int
    seconds: float
    whole: bool
    operations: dict[str, int] = field(default_factory=dict)
    longest: float | None = None
    largest: int | None = None
    memory_gib: float | None = None
    gpu_gib: float | None = None
    gpu_measured: bool = False
    tflops: float | None = None
    parts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def forecast(
    step: Step, found: Rehearsed, *, here: dict[str, Any] | None = None, tflops: float | None = None
) -> Forecast:
    """Add up a rehearsal.

    Args:
        step: the notebook.
        found: by `rehearsal.rehearse`.
        here: hardware of this machine, `provenance.hardware()` if None.
        tflops: rate of a device that is not here, as the user states it.
    """
    cores = (here or provenance.hardware()).get("cores") or 1
    tables = [line for line in found.lines if "part" in line]
    costs = {line["of"]: line for line in found.lines if "of" in line}
    # The same unit may be asked for twice in a notebook: it is computed once.
    units = {key: (stored, t["part"]) for t in reversed(tables) for key, stored in _units(t)}
    missing = Counter(part for stored, part in units.values() if not stored)
    seconds, whole, operations, rows = found.seconds, found.complete, Counter(), Counter()
    longest, largest, lost, data, gpu, measured = [], [], [], [0], [0], True
    remarks = [*found.remarks, *dict.fromkeys(line["remark"] for line in found.lines if "remark" in line)]
    for table in tables:
        part, cost = table["part"], costs.get(table["part"], {})
        count, elsewhere = missing[part] if "keys" in table else table["networks"], table.get("device", "cpu") != "cpu"
        if not count:
            continue
        each = "time not known"
        if "seconds" in cost:
            workers = _workers(table, cores)
            seconds += count * cost["seconds"] / workers + cost.get("after", 0.0)
            if "keys" in table:
                longest.append(cost["seconds"] * table["together"])
            elif not table["kept"] and count * cost["seconds"] / workers > LONG:
                lost.append(f"{table['name']}, {table['method']}")
            each = f"{_short(cost['seconds'])} each" + (f", {workers} at a time" if workers > 1 else "")
        elif "operations" in cost:
            operations[table["device"]] += count * cost["operations"]
            largest.append(cost["operations"] * table.get("together", 1))
            each = f"{scientific(cost['operations'])} operations each"
        else:
            whole = False
        if "data_bytes" in table:
            (gpu if elsewhere else data).append(cost.get("gpu_bytes", table["data_bytes"]))
            measured &= "gpu_bytes" in cost or not elsewhere
        rows[_what(table), each] += count
        if cost.get("scaled"):
            remarks.append(f"{table['name']}: {cost['scaled']}")
    remarks += _doubts(tables, missing)
    if lost:
        text = "; ".join(dict.fromkeys(lost))
        remarks.append(f"NADs longer than {duration(LONG)} that keep no state, so that a kill loses them: {text}")
    if any("seconds" in cost for cost in costs.values()):
        remarks.append("times are those of a few seconds on this machine as it is now, scaled")
    memory = found.memory_gib if found.memory_gib is None else found.memory_gib + max(data) / 2**30
    return Forecast(
        len(units), sum(stored for stored, _ in units.values()), seconds, whole, dict(operations),
        max(longest, default=None), max(largest, default=None), memory, max(gpu) / 2**30 if max(gpu) else None,
        measured, tflops, tuple(f"{n:,} × {what}: {each}" for (what, each), n in rows.items()),
        (*dict.fromkeys(remarks), *planning.said(step)),
    )  # fmt: skip


def describe(cast: Forecast) -> list[str]:
    """Lines for the terminal."""
    lines = [f"units: {cast.units:,}, {cast.stored:,} of them in the store", *(f"  {part}" for part in cast.parts)]
    resumes = "a training on images resumes from its checkpoint after a kill"
    if cast.longest is not None:
        long = f", more than {duration(LONG)}: {resumes}" if cast.longest > LONG else ""
        lines.append(f"longest unit or stack: {duration(cast.longest)}{long}")
    if cast.largest is not None:
        rate = cast.largest / LONG / 1e12
        lines.append(
            f"largest unit or stack: {scientific(cast.largest)} operations, more than {duration(LONG)} below "
            f"{rate:.2g} TFLOP/s: {resumes}"
        )
    elsewhere = "".join(f", and {text}" for text in counted(cast.operations, cast.tflops))
    lines.append(f"expected: about {duration(cast.seconds)}{'' if cast.whole else ' and more'}{elsewhere}")
    memory = "not known" if cast.memory_gib is None else f"{cast.memory_gib:.1f} GiB in its largest process"
    if cast.gpu_gib is not None:
        memory += f", {'' if cast.gpu_measured else 'at least '}{cast.gpu_gib:.1f} GiB on the GPU"
        memory += "" if cast.gpu_measured else ", which its samples take"
    lines.append(f"memory: {memory}")
    return lines + [f"({remark})" for remark in cast.remarks]


def counted(operations: dict[str, int], tflops: float | None) -> list[str]:
    """Operations on devices that are not here, and the time that they take at a stated rate."""
    lines = []
    for device, count in operations.items():
        text = f"{scientific(count)} floating-point operations on {device}, which is not here"
        if tflops is not None:
            text += f": {duration(count / tflops / 1e12)} at {tflops:g} TFLOP/s, as stated, not measured"
        lines.append(text)
    return lines


def scientific(count: float) -> str:
    """A large number as `3.1e17`."""
    mantissa, _, exponent = f"{count:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _units(table: dict[str, Any]) -> list[tuple[str, bool]]:
    return list(zip(table.get("keys", []), table.get("stored", []), strict=True))


def _workers(table: dict[str, Any], cores: int) -> int:
    if "keys" not in table:
        return min(table["workers"], cores)
    kind, argument = engines.parse(table["engine"])
    return min(int(argument), cores) if kind == "local" else 1


def _what(table: dict[str, Any]) -> str:
    if "keys" not in table:
        return f"random network of {table['name']}, {table['method']}"
    if "steps" not in table:
        return table["name"]
    return f"{table['name']}, {'at most ' * table['early']}{table['steps']:,} steps"


def _short(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 9.5 else duration(seconds)


def _doubts(tables: list[dict[str, Any]], missing: Counter) -> list[str]:
    found = []
    if any(table.get("early") and missing[table["part"]] for table in tables):
        found.append("trainings that stop once their loss is small take less")
    if any(table.get("most") for table in tables):
        found.append("NADs that reach their target with fewer networks take less")
    if any(engines.parse(t["engine"])[0] == "dask" for t in tables if "keys" in t):
        found.append("units on a Dask cluster are counted as one after the other")
    return found
