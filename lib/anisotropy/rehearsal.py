"""Rehearse a notebook: execute it without its trainings and random networks, to see what they are and what they take.

The notebook runs in a kernel of its own, with its parameters, into a temporary folder, which is all that it can write
to (`rehearsing`). Sweeps and NADs are noted instead of computed, and stand-ins take their place (`standins`). A cell
that fails for that reason, or computes other things for longer than a limit, is left behind, and the rest goes on. At
the end each kind of work is tried for a few seconds (`trials`).
"""

import asyncio
import logging
import queue
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anisotropy import ledger, paths, provenance, rehearsing
from anisotropy.records import Step
from anisotropy.workers import Worker

CELL_SECONDS = 10
"""Longest time for a cell, which has no trainings to wait for."""

TRIALS_SECONDS = 600
"""Longest time for the trials at the end."""

FIRST = """from anisotropy import passports, plotting, rehearsing, standins, sweeps

rehearsing.protect()
rehearsing.limit(get_ipython(), {seconds})"""
"""What takes long to import is imported here, so that no cell of the notebook is cut off over it."""

LAST = "from anisotropy import standins\n\nstandins.attempts()"


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal found.

    Attributes:
        lines: of its ledger, see `standins`.
        seconds: that the notebook's own computation took, as far as it was executed.
        memory_gib: of its kernel, None where the system does not tell.
        remarks: cells that were left behind, and why.
        complete: whether all cells were executed.
    """

    lines: list[dict[str, Any]]
    seconds: float
    memory_gib: float | None
    remarks: list[str] = field(default_factory=list)
    complete: bool = True


def rehearse(step: Step, environment: dict[str, str], *, cell_seconds: int = CELL_SECONDS) -> Rehearsed:
    """Rehearse one notebook in a process of its own.

    Args:
        step: the notebook and its parameters.
        environment: of the process, as for a run.
        cell_seconds: longest time for a cell.

    Returns:
        What it found; where the kernel died, what it had found by then.
    """
    events: queue.Queue = queue.Queue()
    skipped: dict[str, list[int]] = {}
    seconds, memory, ended = 0.0, None, ""
    with tempfile.TemporaryDirectory(prefix="nad-rehearsal-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "figures" / step.folder.parent.name / step.name
        folder.mkdir(parents=True)
        own = {rehearsing.VARIABLE: name, paths.OUTPUT_VARIABLE: str(Path(name) / "figures"), "TMPDIR": name}
        own |= {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
        # Threads that wait by spinning keep each other from working on a busy machine: 20 s instead of 0.5 s were seen.
        environment = {"OMP_WAIT_POLICY": "PASSIVE"} | environment | own
        worker = Worker(replace(step, folder=folder), events, environment, cell_seconds)
        number, patience = 0, 120 + cell_seconds
        try:
            while True:
                _, event = events.get(timeout=patience)
                if event["event"] == "cell":
                    number = event["number"]
                    patience = 2 * cell_seconds + 60  # an interrupt may have to wait for the end of a long operation
                elif event["event"] == "trials":
                    patience = TRIALS_SECONDS + 60
                elif event["event"] == "cell_done":
                    seconds += event["seconds"] if not event["problem"] else 0.0
                    if event["problem"]:
                        skipped.setdefault(event["problem"], []).append(number)
                elif event["event"] == "done":
                    memory = event["memory_gib"]
                    break
                elif event["event"] == "failed":
                    ended = str(event["message"]).strip().splitlines()[-1]
                    break
            worker.close()
        except queue.Empty:
            ended = "it did not answer"
            worker.stop()
        except BaseException:
            worker.stop()
            raise
        lines = ledger.read(folder)
    remarks = [f"{_cells(cells)} not rehearsed: {problem}" for problem, cells in skipped.items()]
    if ended:
        remarks.append(f"the rehearsal ended in cell {number}, and what comes after is not counted: {ended}")
    return Rehearsed(lines, seconds, memory, remarks, not remarks)


def _cells(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"cell {numbers[0]} was"
    return f"cells {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} were"


def execute(job: dict[str, Any], report: Callable[[dict[str, Any]], None], kernel: type) -> None:
    """Execute a notebook to its end, whatever its cells do; the part of a rehearsal in the notebook's process.

    Args:
        job: as for `execution.execute`.
        report: called with one dict per event: `cell`, `cell_done` with its `problem`, `trials`; the last one is the
            caller's.
        kernel: class of the kernel's manager.

    Raises:
        DeadKernelError: the kernel died.
    """
    import nbformat
    from nbclient import NotebookClient
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)
    notebook = load_notebook_node(job["notebook"])
    if job["parameters"]:
        notebook = parameterize_notebook(notebook, job["parameters"], kernel_name="python3", language="python")
    first = nbformat.v4.new_code_cell(FIRST.format(seconds=job["timeout"]))
    last = nbformat.v4.new_code_cell(LAST)
    notebook.cells = [first, *notebook.cells, last]
    state = {"number": 0, "since": 0.0}

    def starts(cell, cell_index):
        state["since"] = time.perf_counter()
        if cell_index == len(notebook.cells) - 1:
            report({"event": "trials"})
        elif cell.cell_type == "code" and cell_index:
            state["number"] += 1
            report({"event": "cell", "number": state["number"]})

    def ends(cell, cell_index, **_):
        if cell.cell_type == "code" and 0 < cell_index < len(notebook.cells) - 1:
            spent = time.perf_counter() - state["since"]
            problem = _problem(cell)
            report({"event": "cell_done", "seconds": round(spent, 3), "problem": problem})

    client = NotebookClient(
        notebook, kernel_manager_class=kernel, allow_errors=True, interrupt_on_timeout=True, timeout=TRIALS_SECONDS,
        startup_timeout=120, on_cell_execute=starts, on_cell_executed=ends, log=logging.getLogger("traitlets"),
    )  # fmt: skip
    asyncio.run(client.async_execute())


def _problem(cell: Any) -> str:
    """Why a cell did not come to its end, empty where it did."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            if output.ename == rehearsing.TooLong.__name__:
                return output.evalue
            text = provenance.scrub(f"{output.ename}: {output.evalue}".strip().splitlines()[0])
            return text if len(text) < 160 else text[:157] + "..."
    return ""
