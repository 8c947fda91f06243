"""Run the notebooks: `python -m anisotropy reproduce [--preset P] [--only NAME ...] [--set name=value ...]`.

Everything that can be wrong about a run is looked for before a kernel starts. A notebook whose inputs are those of its
last result is skipped. One that fails leaves its executed copy; those that do not come after it go on.
"""

import argparse
import json
import os
import queue
import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from anisotropy._util import files, paths, provenance
from anisotropy.notebooks import presets, records
from anisotropy.notebooks.declarations import ParameterError, nearest
from anisotropy.notebooks.progress import Display, duration
from anisotropy.notebooks.records import PlanError, Step
from anisotropy.notebooks.workers import Worker, lock

CELL_TIMEOUT = {presets.QUICK: 1800, "laptop": 4 * 3600}  # seconds; other presets: three days


def reproduce(
    preset: str = presets.QUICK,
    only: Sequence[str] = (),
    assignments: Sequence[str] = (),
    *,
    jobs: int = 1,
    output: Path | None = None,
    force: bool = False,
    listed: bool = False,
    cell_timeout: int | None = None,
    folder: Path | None = None,
    params: Path | None = None,
    stream: TextIO | None = None,
) -> dict[str, str]:
    """Run notebooks in dependency order and keep their results.

    Args:
        preset: `quick`, or the stem of YAML files in `params/<notebook>/`.
        only: notebooks to run, with those they come after; all of them where empty.
        assignments: `name=value` texts that change parameters.
        jobs: notebooks at the same time.
        output: folder for `<preset>/<notebook>/`; if None, `figures/` of the repository, or a folder of its own under
            `figures/set/` where `assignments` change what is computed, so that a preset's results stay.
        force: run also what is done with the same inputs.
        listed: say what would be done, and do nothing.
        cell_timeout: seconds that one cell may take.
        folder: folder of the notebooks, if not the repository's.
        params: folder of the presets, if not the repository's.
        stream: where progress goes, standard output if None.

    Returns:
        dict: for each notebook `done`, `skipped`, `failed` or `not run`.

    Raises:
        PlanError: an unknown name, a folder at fault, another run on the same folder; nothing was started.
        ParameterError: a parameter at fault; nothing was started.
    """
    stream = stream or sys.stdout
    base = folder_of(output, assignments)
    folder = Path(folder or paths.notebooks()).absolute()
    params = (
        Path(params).absolute() if params else Path(os.environ.get(paths.PARAMS_VARIABLE, folder.parent / "params"))
    )
    if jobs < 1:
        raise PlanError(f"--jobs {jobs}: expected at least 1")
    if cell_timeout is not None and cell_timeout < 1:
        raise PlanError(f"--cell-timeout {cell_timeout}: expected at least 1 second")
    steps, notes = records.select(preset, list(only), list(assignments), folder=folder, params=params, output=base)
    if not output and base != paths.output():
        notes = [*notes, f"results go to {base}: those of the preset itself stay"]
    for step in steps:
        step.stale = step.stale or ("--force" if force else "")
    if listed:
        _list(steps, notes, preset, params, stream)
        return {s.name: "would run" if s.stale else "skipped" for s in steps}
    environment = _environment(base, folder, params, jobs)
    timeout = cell_timeout or CELL_TIMEOUT.get(preset, 3 * 86400)
    with ExitStack() as locks:
        for step in steps:
            if step.stale:
                locks.enter_context(lock(step.folder))
                files.clean(step.folder)  # what a killed run left half-written; under the lock, nobody else writes here
        return _run(steps, notes, jobs, environment, timeout, stream)


def folder_of(output: Path | None, assignments: Sequence[str]) -> Path:
    """Folder of `<preset>/<notebook>/` of a run with these arguments, see `reproduce`."""
    if output:
        return Path(output).absolute()
    changed = presets.folder_of(assignments)
    return paths.changed(changed) if changed else paths.output()


def _environment(base: Path, folder: Path, params: Path, jobs: int) -> dict[str, str]:
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


def _run(steps: list[Step], notes: list[str], jobs: int, environment, timeout: int, stream: TextIO) -> dict[str, str]:
    waiting = [s for s in steps if s.stale]
    outcome = {s.name: "skipped" for s in steps if not s.stale}
    show = Display(stream, len(waiting))
    for note in notes:
        show.line(note)
    for name in outcome:
        show.line(f"{name}: skipped, done with the same inputs (--force redoes it)")
    events: queue.Queue = queue.Queue()
    workers: dict[str, Worker] = {}
    started = 0
    try:
        while waiting or workers:
            for step in list(waiting):
                broken = [a for a in step.after if outcome.get(a) in ("failed", "not run")]
                if broken:
                    waiting.remove(step)
                    outcome[step.name] = "not run"
                    show.line(f"{step.name}: not run, it needs {', '.join(broken)}")
                elif len(workers) < jobs and all(outcome.get(a) in ("done", "skipped") for a in step.after):
                    waiting.remove(step)
                    started += 1
                    show.start(step.name, started, step.stale)
                    try:
                        files.write(step.folder / ".writable", b" " * 2**16)  # an empty one fits on a full disk
                        (step.folder / ".writable").unlink()
                        workers[step.name] = Worker(step, events, environment, timeout)
                    except OSError as error:
                        outcome[step.name] = "failed"
                        show.end(step.name, f"FAILED: {error.strerror or error}")
            if not workers:
                continue
            try:
                name, event = events.get(timeout=1)
            except queue.Empty:
                show.tick()
                continue
            if event["event"] in ("done", "failed"):
                outcome[name] = _close(workers.pop(name), event, show)
            else:
                show.event(name, event)
    finally:
        for worker in workers.values():  # interrupted: what ran stays as `<name>.running.ipynb`
            worker.stop()
    _summary(steps, outcome, show)
    return outcome


def _close(worker: Worker, event: dict[str, Any], show: Display) -> str:
    step, failed = worker.step, event["event"] == "failed"
    try:
        cpu_seconds = event.get("cpu_seconds")
        records.finish(step, failed=failed, began=worker.began, cells=worker.cells, cpu_seconds=cpu_seconds)
    except (OSError, ValueError) as error:
        show.end(step.name, f"FAILED: its result could not be kept: {error}")
        return "failed"
    finally:
        worker.close()
    if not failed:
        show.end(step.name, "done")
        return "done"
    where = f" in cell {event['number']}" if event.get("number") else ""
    show.end(step.name, f"FAILED{where}")
    for line in event.get("source", "").splitlines():
        show.line(f"    | {line}")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", event["message"])  # tracebacks are coloured for notebooks
    for line in plain.splitlines()[-25:]:
        show.line(f"    {provenance.scrub(line)}")
    if step.executed("failed").exists():
        show.line(f"    executed copy: {step.executed('failed')}")
    return "failed"


def _list(steps: list[Step], notes: list[str], preset: str, params: Path, stream: TextIO) -> None:
    for note in notes:
        stream.write(note + "\n")
    here = provenance.hardware()
    gpu = f", {', '.join(here['gpu'])}" if here["gpu"] else ", no GPU"
    stream.write(f"hardware found: {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB{gpu}\n")
    for step in steps:
        needed = "" if step.asked else ", needed by another"
        stream.write(f"{step.name}: {'runs (' + step.stale if step.stale else 'skipped (same inputs'}{needed})\n")
        if step.stale:
            if said := presets.needs(step.name, preset, params):
                stream.write(f"    needs: {said}\n")
            if seconds := step.record.get("seconds"):
                stream.write(f"    its last run took {duration(seconds)}, with what was in its stores then\n")
        for name, value in step.parameters.items():
            stream.write(f"    {name} = {value!r}\n")


def _summary(steps: list[Step], outcome: dict[str, str], show: Display) -> None:
    show.line()
    verdicts: Counter = Counter()
    for step in steps:
        show.line(f"{step.name}: {outcome[step.name]}")
        if outcome[step.name] not in ("done", "skipped"):
            continue
        try:
            claims = json.loads((step.folder / "claims.json").read_text(encoding="utf-8"))["claims"]
            lines = [(str(c["verdict"]), f"    {c['verdict']}: {c['statement']} [{c['reference']}]") for c in claims]
        except FileNotFoundError:
            continue  # a notebook need not make claims
        except (OSError, ValueError, KeyError, TypeError) as error:
            show.line(f"    claims.json is not readable ({type(error).__name__}): --only {step.name} --force redoes it")
            continue
        for verdict, line in lines:
            verdicts[verdict] += 1
            show.line(line)
    if verdicts:
        show.line("claims: " + ", ".join(f"{count} × {verdict}" for verdict, count in verdicts.items()))


class _Parser(argparse.ArgumentParser):
    """argparse with the nearest option in the message."""

    def error(self, message: str):
        unknown = re.search(r"unrecognized arguments: (--\S+)", message)
        if unknown:
            options = [o for action in self._actions for o in action.option_strings if o.startswith("--")]
            message += f": {nearest(unknown[1].partition('=')[0], options)}"
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m anisotropy reproduce", description="Run the notebooks.", allow_abbrev=False)
    add = parser.add_argument
    add("--preset", default=presets.QUICK, metavar="P", help="quick (default), laptop or paper")
    add("--only", nargs="+", action="extend", default=[], metavar="NAME", help="these notebooks and what they need")
    add("--set", nargs="+", action="extend", default=[], metavar="name=value", dest="assignments",
        help="change a parameter in each selected notebook that has it; results go to figures/set/")  # fmt: skip
    add("--jobs", type=int, default=1, metavar="N", help="notebooks at the same time (default 1)")
    add("--output", type=Path, metavar="DIR", help="folder for <preset>/<notebook>/ (default figures/)")
    add("--force", action="store_true", help="run also what is done with the same inputs")
    add("--list", action="store_true", help="say what would run, with which parameters, and stop")
    add("--no-report", action="store_true", help="do not write <preset>/index.html at the end")
    add("--cell-timeout", type=int, metavar="SECONDS", help="longest time for one cell (quick 1800, laptop 14400)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 all done, 1 a notebook failed, 2 nothing was started, 130 interrupted."""
    options = vars(_parser().parse_args(arguments))
    try:
        paths.root()
    except FileNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options["listed"] = options.pop("list")
    preset, report_wanted = options.pop("preset"), not (options.pop("no_report") or options["listed"])
    try:
        written = folder_of(options["output"], options["assignments"])
        outcome = reproduce(preset, options.pop("only"), options.pop("assignments"), **options)
        if report_wanted:
            from anisotropy.cli import report  # here, because it takes seconds to import and the rest does not need it

            print(report.after(preset, written), flush=True)
    except (PlanError, ParameterError) as error:
        print(f"error: {error}\nnothing was started", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted; what is done is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 1 if {"failed", "not run"} & set(outcome.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
