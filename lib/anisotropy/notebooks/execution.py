"""One notebook in one process of its own: papermill runs it, events go to the driver as lines of JSON.

Started as `python -m anisotropy.notebooks.execution` with a job, one line of JSON, on standard input. A process for
each notebook keeps papermill's working directory and a crash apart from the driver and from the other notebooks. The
kernel is this interpreter (not whatever kernel `python3` names on the machine) and is reached through Unix sockets:
kernels that start at the same time race for TCP ports, and one of them then waits for ever.
"""

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from anisotropy._util import files


class Kernel(AsyncKernelManager):
    """This interpreter as a kernel, behind Unix sockets with short names where the system has them."""

    folder = ""  # of the sockets, whose names may have about 100 characters; the driver makes and removes it

    def __init__(self, **kwargs: Any):
        if sys.platform != "win32":
            kwargs["transport"] = "ipc"
        super().__init__(connection_file=os.path.join(self.folder, "k.json"), **kwargs)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command that starts the kernel."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def execute(job: dict[str, Any], report) -> None:
    """Run a job's notebook; every outcome is reported, none raised.

    Args:
        job: `notebook` (path), `copy` (path of the executed copy, saved after every cell), `parameters`, `timeout`
            (seconds a cell may take), `sockets` (a short folder).
        report: called with one dict per event: `start`, `cell`, `cell_done`, then `done` or `failed`.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)
    state = {"cell": None, "source": "", "number": 0, "since": time.perf_counter()}

    def starts(cell, cell_index):
        if cell.cell_type == "code":
            state.update(cell=cell_index, source=cell.source, number=state["number"] + 1, since=time.perf_counter())
            report({"event": "cell", "number": state["number"]})

    def ends(cell, cell_index, **_):
        if cell.cell_type == "code":
            report({"event": "cell_done", "seconds": round(time.perf_counter() - state["since"], 3)})

    def failed(kind: str, message: str):
        report({"event": "failed", "kind": kind, "message": message, **{k: state[k] for k in ("number", "source")}})

    try:
        notebook = nbformat.read(job["notebook"], as_version=4)
        code = sum(c.cell_type == "code" and bool(c.source.strip()) for c in notebook.cells)
        report({"event": "start", "cells": code + bool(job["parameters"])})
        kernel = type("Kernel", (Kernel,), {"folder": job["sockets"]})
        papermill.execute_notebook(
            notebook,
            job["copy"].replace("{", "{{").replace("}", "}}"),  # papermill would format a parameter into the path
            parameters=job["parameters"],
            kernel_name="python3",
            language="python",
            progress_bar=False,
            kernel_manager_class=kernel,
            start_timeout=120,
            execution_timeout=job["timeout"],
            on_cell_execute=starts,
            on_cell_executed=ends,
        )
    except papermill.PapermillExecutionError as error:
        failed("cell", "\n".join(error.traceback) or f"{error.ename}: {error.evalue}")
    except DeadKernelError:
        failed(
            "kernel",
            "the kernel died: killed by the system, most often for want of memory, or a crash in native code. What its "
            "sweeps had stored is used by the next run; close other programs, use --jobs 1, or a smaller preset",
        )
    except CellTimeoutError:
        failed("timeout", f"the cell took longer than {job['timeout']} s (--cell-timeout)")
    except OSError as error:
        name = error.filename or job["copy"]
        failed("files", f"{name}: {error.strerror or error}{files.advice(error)}")
    except Exception as error:
        failed("other", f"{type(error).__name__}: {error}")
    else:
        spent = os.times()  # of the kernel and its workers, which have ended
        report({"event": "done", "cpu_seconds": round(spent.children_user + spent.children_system, 1)})


def _end_with_driver() -> None:
    """Wait for the driver to close our standard input, as its death does, then end; the kernel follows by itself."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(15)
    os._exit(1)


def main() -> int:
    """Read one job, run it, and report on what was standard output; prints of libraries go to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_driver, daemon=True).start()
    os.chdir(Path(job["notebook"]).parent)
    try:
        execute(job, lambda event: channel.write(json.dumps(event) + "\n"))
    finally:
        shutil.rmtree(job["sockets"], ignore_errors=True)  # the driver, who does this too, may be gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
