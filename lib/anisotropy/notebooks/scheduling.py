"""Notebooks of a run: which of them, with which parameters, and running what is stale, several at a time."""

import os
import queue
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from anisotropy._util import files, paths, provenance
from anisotropy.notebooks import declarations, presets, records
from anisotropy.notebooks.declarations import nearest
from anisotropy.notebooks.execution import Execution
from anisotropy.notebooks.records import PlanError, Step, duration

EVERY = 30.0
"""Seconds between two lines about what is running, where the output is no terminal."""


def select(
    preset: str, only: list[str], assignments: list[str], *, folder: Path, params: Path, output: Path
) -> tuple[dict[str, Step], list[str]]:
    """Steps of a run, with everything that could be wrong about them found before one starts.

    Returns:
        tuple: the steps by name, and lines about notebooks that are left out. Without a preset each notebook runs with
        its own values.

    Raises:
        PlanError: an unknown notebook or preset.
        ParameterError: a parameter at fault.
    """
    known = declarations.available(folder)
    for name in only:
        if name not in known:
            raise PlanError(f"--only {name}: unknown notebook, {nearest(name, known)}")
    if len(set(only)) < len(only):
        raise PlanError(f"--only {' '.join(only)}: a notebook is given twice")
    having = {name: presets.names(name, params, folder) for name in known}
    everywhere = sorted({preset for found in having.values() for preset in found} | {presets.QUICK})
    if preset and preset not in everywhere:
        raise PlanError(f"--preset {preset}: unknown preset, {nearest(preset, everywhere)}")
    asked = only or [name for name in known if not preset or preset in having[name]]
    notes = [f"{name}: left out, it has no preset {preset!r}" for name in known if not only and name not in asked]
    changes = presets.parse(assignments)
    steps: dict[str, Step] = {}
    for name in sorted(asked):
        notebook = declarations.declared(name, folder)
        values = presets.load(name, preset, folder=folder, params=params)
        values = presets.override(notebook, values, changes)
        steps[name] = Step(notebook, paths.of_preset(output, preset or notebook.own) / name, values)
    used = {name for step in steps.values() for name in step.parameters}
    for name in changes:
        if name not in used:
            raise PlanError(f"--set {name}: no selected notebook has this parameter, {nearest(name, used)}")
    for step in steps.values():
        step.inputs = records.inputs(step)
        step.stale = records.why_stale(step)
    return steps, notes


def environment(base: Path, folder: Path, params: Path, jobs: int) -> dict[str, str]:
    """Environment variables of the kernels: where they find notebooks and presets, and where results go."""
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}  # kernels draw inline
    environment |= {
        paths.OUTPUT_VARIABLE: str(base),
        paths.NOTEBOOKS_VARIABLE: str(folder),
        paths.PARAMS_VARIABLE: str(params),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # otherwise every kernel prints a warning of its debugger
    }
    if jobs > 1:
        cores = provenance.hardware()["cores"] or 1
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    return environment


class Display:
    """Lines that stay, and what is running: one line that is rewritten on a terminal, or a line now and then."""

    def __init__(self, stream: TextIO):
        self.stream, self.told = stream, time.monotonic()
        self.bar = tqdm(file=stream, disable=None, bar_format="{desc}", dynamic_ncols=True, leave=False)

    def line(self, text: str = "") -> None:
        """A line that stays."""
        self.bar.write(text, file=self.stream)
        self.stream.flush()

    def running(self, executions: Mapping[str, Execution]) -> None:
        """Renew what is said about the notebooks that run."""
        texts = [
            f"{name}: cell {min(e.done + 1, e.cells)}/{e.cells}, {duration(time.time() - e.began)}"
            for name, e in executions.items()
        ]
        self.bar.set_description_str("   ".join(texts))
        if self.bar.disable and texts and time.monotonic() - self.told >= EVERY:
            self.told = time.monotonic()
            self.line("   ".join(texts))


def run(
    steps: Mapping[str, Step], jobs: int, environment: dict[str, str], timeout: int, show: Display
) -> dict[str, str]:
    """Run what is stale, as many at a time as `jobs` says; each notebook's outcome: `done`, `skipped` or `failed`.

    Args:
        steps: by name, from `select`; their folders are locked.
        jobs: notebooks at the same time.
        environment: of the kernels.
        timeout: seconds that a cell may take.
        show: where progress goes.
    """
    outcome = {name: "skipped" for name, step in steps.items() if not step.stale}
    for name in outcome:
        show.line(f"{name}: skipped, done with the same inputs (--force redoes it)")
    waiting = [step for step in steps.values() if step.stale]
    labels = {step.name: f"[{number}/{len(waiting)}] {step.name}" for number, step in enumerate(waiting, 1)}
    ended: queue.Queue[str] = queue.Queue()
    running: dict[str, Execution] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                step = waiting.pop(0)
                show.line(f"{labels[step.name]}: starts ({step.stale})")
                try:
                    files.write(step.folder / ".writable", b" " * 2**16)  # an empty one fits on a full disk
                    (step.folder / ".writable").unlink()
                    running[step.name] = Execution(step, ended, environment, timeout)
                    running[step.name].start()
                except OSError as error:
                    outcome[step.name] = "failed"
                    show.line(f"{labels[step.name]}: FAILED: {error.strerror or error}")
            show.running(running)
            with suppress(queue.Empty):
                name = ended.get(timeout=1 if running else 0.01)
                outcome[name] = _close(running.pop(name), labels[name], show)
    finally:
        for execution in running.values():  # interrupted: what ran stays as `<name>.running.ipynb`
            execution.stop()
        show.bar.close()
    return outcome


def _close(execution: Execution, label: str, show: Display) -> str:
    """Keep what a notebook left, and say how it ended."""
    step, failure = execution.step, execution.failure
    took = duration(time.time() - execution.began)
    try:
        records.finish(step, began=execution.began, note=execution.note)
    except (OSError, ValueError) as error:
        show.line(f"{label}: FAILED: its result could not be kept: {error} ({took})")
        return "failed"
    if failure is None:
        show.line(f"{label}: done ({took})")
        return "done"
    where = f" in cell {failure.number}" if failure.number else ""
    show.line(f"{label}: FAILED{where} ({took})")
    for line in failure.source.splitlines():
        show.line(f"    | {line}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", failure.message)  # tracebacks are coloured for notebooks
    for line in plain.splitlines()[-25:]:
        show.line(f"    {provenance.scrub(line)}")
    if step.executed("failed").exists():
        show.line(f"    executed copy: {step.executed('failed')}")
    return "failed"
