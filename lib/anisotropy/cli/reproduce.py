"""Run the notebooks: `python -m anisotropy reproduce [--preset P] [--only NAME ...] [--set name=value ...]`.

Results go to `figures/local/`, which git ignores. With `--publish` those of the notebooks' own values go to where they
are committed: outputs into `notebooks/`, figures to `figures/<notebook>/`. Everything that can be wrong about a run is
looked for before a kernel starts. A notebook whose inputs are those of its last result is skipped. One that fails
leaves its executed copy, and the others go on.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from anisotropy._util import files, paths, provenance
from anisotropy.notebooks import presets, scheduling
from anisotropy.notebooks.declarations import ParameterError, nearest
from anisotropy.notebooks.execution import lock
from anisotropy.notebooks.records import PlanError, Step, duration

CELL_TIMEOUT = {presets.QUICK: 1800, "laptop": 4 * 3600, "paper": 3 * 86400}  # seconds; others: twelve hours


def reproduce(
    preset: str = "",
    only: Sequence[str] = (),
    assignments: Sequence[str] = (),
    *,
    jobs: int = 1,
    output: Path | None = None,
    force: bool = False,
    listed: bool = False,
    publish: bool = False,
    fresh: bool = False,
    cell_timeout: int | None = None,
    folder: Path | None = None,
    params: Path | None = None,
    stream: TextIO | None = None,
) -> dict[str, str]:
    """Run notebooks and keep their results.

    Args:
        preset: the stem of YAML files in `params/<notebook>/`; each notebook's own values if empty.
        only: notebooks to run; all of them where empty.
        assignments: `name=value` texts that change parameters.
        jobs: notebooks at the same time.
        output: folder for `<notebook>/`, or `<preset>/<notebook>/`; if None, `figures/local/` of the repository, or a
            folder of its own in `figures/local/set/` where `assignments` change what is computed.
        force: run also what is done with the same inputs.
        listed: say what would be done, and do nothing.
        publish: put the outputs into the notebooks, and the figures to those that are committed.
        fresh: compute everything again, without the record and what was computed before; implies `force`. What it
            computes is kept apart, and a run that was cut off goes on from there.
        cell_timeout: seconds that one cell may take.
        folder: folder of the notebooks, if not the repository's.
        params: folder of the presets, if not the repository's.
        stream: where progress goes, standard output if None.

    Returns:
        dict: for each notebook `done`, `skipped` or `failed`; with `listed` `would run` instead.

    Raises:
        PlanError: an unknown name, a folder at fault, another run on the same folder; nothing was started.
        ParameterError: a parameter at fault; nothing was started.
    """
    stream = stream or sys.stdout
    if publish and (preset or assignments or output or fresh):
        raise PlanError("--publish: expected the notebooks' own values, without --preset, --set, --output and --fresh")
    base = paths.committed() if publish else folder_of(output, assignments)
    folder = Path(folder or paths.notebooks()).absolute()
    params = (
        Path(params).absolute() if params else Path(os.environ.get(paths.PARAMS_VARIABLE, folder.parent / "params"))
    )
    if jobs < 1:
        raise PlanError(f"--jobs {jobs}: expected at least 1")
    if cell_timeout is not None and cell_timeout < 1:
        raise PlanError(f"--cell-timeout {cell_timeout}: expected at least 1 second")
    steps, notes = scheduling.select(preset, list(only), list(assignments), folder=folder, params=params, output=base)
    if publish:
        if others := [name for name, step in steps.items() if step.notebook.own != paths.READING]:
            raise PlanError(f"--publish: expected notebooks of the preset reading, got {', '.join(others)}")
    elif not output and base != paths.output():
        notes.append(f"results go to {base}: those of the preset itself stay")
    for step in steps.values():
        step.stale = "--fresh" if fresh else step.stale or ("--force" if force else "")
        step.published = publish
    if listed:
        _list(steps, notes, preset, params, stream)
        return {name: "would run" if step.stale else "skipped" for name, step in steps.items()}
    show = scheduling.Display(stream)
    for note in notes:
        show.line(note)
    with ExitStack() as locks:
        for step in steps.values():
            if step.stale:
                locks.enter_context(lock(step.folder))
                files.clean(step.folder)  # what a killed run left half-written; under the lock, nobody else writes here
        timeout = cell_timeout or CELL_TIMEOUT.get(preset, 12 * 3600)
        environment = scheduling.environment(base, folder, params, jobs)
        environment |= {paths.FRESH_VARIABLE: "1"} if fresh else {}
        outcome = scheduling.run(steps, jobs, environment, timeout, show)
    _summary(steps, outcome, show)
    return outcome


def folder_of(output: Path | None, assignments: Sequence[str]) -> Path:
    """Folder of a run with these arguments, see `reproduce`."""
    if output:
        return Path(output).absolute()
    changed = presets.folder_of(assignments)
    return paths.changed(changed) if changed else paths.output()


def _list(steps: Mapping[str, Step], notes: list[str], preset: str, params: Path, stream: TextIO) -> None:
    """Say what would run and why, what it needs, what its last run took, and with which parameters."""
    for note in notes:
        stream.write(note + "\n")
    here = provenance.hardware()
    gpu = f", {', '.join(here['gpu'])}" if here["gpu"] else ", no GPU"
    stream.write(f"hardware found: {here['cpu']}, {here['cores']} cores, {here['memory_gib']} GiB{gpu}\n")
    for name, step in steps.items():
        stream.write(f"{name}: {'runs (' + step.stale if step.stale else 'skipped (same inputs'})\n")
        if step.stale:
            if said := presets.needs(name, preset or step.notebook.own, params):
                stream.write(f"    needs: {said}\n")
            if spent := _spent(name):
                stream.write(f"    its lines in the record took {duration(spent)} of one core: what --fresh costs\n")
            if seconds := step.record.get("seconds"):
                stream.write(f"    its last run took {duration(seconds)}, with what was in its stores then\n")
        for parameter, value in step.parameters.items():
            stream.write(f"    {parameter} = {value!r}\n")


def _spent(name: str) -> float:
    """Seconds that the results behind a notebook's committed figures took; 0 where there are none."""
    try:
        claims = json.loads((paths.committed() / name / "claims.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    return claims.get("unit_seconds") or 0


def _summary(steps: Mapping[str, Step], outcome: Mapping[str, str], show: scheduling.Display) -> None:
    show.line()
    verdicts: Counter = Counter()
    for name, step in steps.items():
        show.line(f"{name}: {outcome[name]}")
        if outcome[name] not in ("done", "skipped"):
            continue
        try:
            claims = json.loads((step.folder / "claims.json").read_text(encoding="utf-8"))["claims"]
            lines = [(str(c["verdict"]), f"    {c['verdict']}: {c['statement']} [{c['reference']}]") for c in claims]
        except FileNotFoundError:
            continue  # a notebook need not make claims
        except (OSError, ValueError, KeyError, TypeError) as error:
            show.line(f"    claims.json is not readable ({type(error).__name__}): --only {name} --force redoes it")
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
    add("--preset", default="", metavar="P", help="quick, laptop or paper; default: the notebooks' own values")
    add("--only", nargs="+", action="extend", default=[], metavar="NAME", help="these notebooks")
    add("--set", nargs="+", action="extend", default=[], metavar="name=value", dest="assignments",
        help="change a parameter in each selected notebook that has it; results go to figures/local/set/")  # fmt: skip
    add("--jobs", type=int, default=1, metavar="N", help="notebooks at the same time (default 1)")
    add("--output", type=Path, metavar="DIR", help="folder for the results (default figures/local/)")
    add("--force", action="store_true", help="run also what is done with the same inputs")
    add("--list", action="store_true", help="say what would run, with which parameters, and stop")
    add("--fresh", action="store_true", help="compute everything again, without the record; --list says the cost")
    add("--publish", action="store_true", help="write what is committed: notebooks/ and figures/NAME/")
    add("--no-report", action="store_true", help="do not write index.html at the end")
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

            published = options["publish"]
            print(report.published() if published else report.after(preset or None, written), flush=True)
    except (PlanError, ParameterError) as error:
        print(f"error: {error}\nnothing was started", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted; what is done is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 1 if "failed" in outcome.values() else 0


if __name__ == "__main__":
    sys.exit(main())
