"""One notebook, executed by papermill in a thread; its kernel is a process of its own.

The kernel is this interpreter (not whatever kernel `python3` names on the machine) and is reached through Unix sockets:
kernels that start at the same time race for TCP ports, and one of them then waits for ever. It ends by itself when this
process does, however that ends.
"""

import inspect
import logging
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from anisotropy._util import files, provenance
from anisotropy.notebooks.records import NOTE, PlanError, Step

LOCK = ".lock"


@dataclass(frozen=True)
class Failure:
    """How a notebook failed: what it said, and the code cell, with its number from 1, where it was in one."""

    message: str
    number: int = 0
    source: str = ""


class Kernel(AsyncKernelManager):
    """This interpreter as a kernel, behind Unix sockets with short names where the system has them."""

    execution: "Execution"  # of a subclass: papermill wants a class

    def __init__(self, **kwargs: Any):
        if sys.platform != "win32":
            kwargs["transport"] = "ipc"
        super().__init__(connection_file=str(self.execution.sockets / "k.json"), **kwargs)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The command that starts the kernel."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")

    async def _async_start_kernel(self, **kwargs: Any) -> None:
        place = self.execution.step.notebook.path.parent
        await super()._async_start_kernel(**{**kwargs, "env": self.execution.environment, "cwd": str(place)})
        self.execution.process = self.provisioner.pid

    start_kernel = _async_start_kernel


def _note() -> None:
    """What the run was made of, as an output; runs in the kernel, as its last cell, and imports nothing of ours."""
    import os
    import sys
    import sysconfig

    def ours(file):
        installed = "site-packages", "dist-packages", sysconfig.get_path("stdlib")
        return isinstance(file, str) and os.path.isabs(file) and not any(place in file for place in installed)

    found = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    note = {"modules": {name: file for name, file in found.items() if ours(file)}, "cpu_seconds": sum(os.times()[:4])}
    get_ipython().display_pub.publish({"application/json": note})  # noqa: F821


class Execution(threading.Thread):
    """A notebook that runs; it puts its name into a queue when it has ended.

    Attributes:
        step: what is run.
        began: `time.time()` at its start.
        cells: code cells that it has, once it runs.
        done: of them so far.
        note: after a success, what `records.finish` wants to know.
        failure: otherwise.
    """

    def __init__(self, step: Step, ended: queue.Queue, environment: dict[str, str], timeout: int):
        super().__init__(name=step.name, daemon=True)
        self.step, self.ended, self.environment, self.timeout = step, ended, environment, timeout
        self.began = time.time()
        self.cells = self.done = 0
        self.note: dict[str, Any] | None = None
        self.failure: Failure | None = None
        self.process: int | None = None
        # Names of sockets may have about 100 characters. The folder's lock is held: what is there is a dead run's.
        self.sockets = Path(tempfile.gettempdir()) / f"nad-{provenance.fingerprint(str(step.folder))[:16]}"
        shutil.rmtree(self.sockets, ignore_errors=True)
        self.sockets.mkdir(mode=0o700)

    def run(self) -> None:
        """Execute the notebook; called by `start`."""
        try:
            self._execute()
        finally:
            shutil.rmtree(self.sockets, ignore_errors=True)
            self.ended.put(self.step.name)

    def stop(self) -> None:
        """Kill the kernel and what it started, and wait until the thread has seen it."""
        if self.process is not None and hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self.process, signal.SIGKILL)
        self.join(15)

    def _execute(self) -> None:
        import papermill
        from nbclient.exceptions import CellTimeoutError, DeadKernelError

        for name in ("papermill", "traitlets"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        copy, now = str(self.step.executed("running")), {"number": 0, "source": ""}

        def starts(cell, cell_index):
            if cell.cell_type == "code":
                now.update(number=now["number"] + 1, source=cell.source)

        def ends(cell, cell_index, **_):
            self.done += cell.cell_type == "code"

        try:
            notebook = nbformat.read(self.step.notebook.path, as_version=4)
            code = sum(c.cell_type == "code" and bool(c.source.strip()) for c in notebook.cells)
            self.cells = code + bool(self.step.parameters)
            note = f"{inspect.getsource(_note)}\n\n_note()"
            notebook.cells.append(nbformat.v4.new_code_cell(note, metadata={"tags": [NOTE]}))
            executed = papermill.execute_notebook(
                notebook,
                copy.replace("{", "{{").replace("}", "}}"),  # papermill would format a parameter into the path
                parameters=self.step.parameters,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                kernel_manager_class=type("Kernel", (Kernel,), {"execution": self}),
                start_timeout=120,
                execution_timeout=self.timeout,
                on_cell_execute=starts,
                on_cell_executed=ends,
            )
        except papermill.PapermillExecutionError as error:
            message = "\n".join(error.traceback) or f"{error.ename}: {error.evalue}"
        except DeadKernelError:
            message = (
                "the kernel died: killed by the system, most often for want of memory, or a crash in native code. What "
                "its sweeps had stored is used by the next run; close other programs, use --jobs 1, or a smaller preset"
            )
        except CellTimeoutError:
            message = f"the cell took longer than {self.timeout} s (--cell-timeout)"
        except OSError as error:
            message = f"{error.filename or copy}: {error.strerror or error}{files.advice(error)}"
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
        else:
            self.note = executed.cells[-1].outputs[0].data["application/json"]
            return
        self.failure = Failure(message, **now)


@contextmanager
def lock(folder: Path):
    """Hold a notebook's folder of figures, so that two runs do not write the same results.

    Raises:
        PlanError: another run holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = open(folder / LOCK, "a")  # noqa: SIM115  # held until the run ends
    except OSError as error:
        raise PlanError(f"--output: cannot write into {folder}: {error.strerror}") from error
    with stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process, however that ends
        except ImportError:
            pass  # no such locks on this system; results are written atomically all the same
        except BlockingIOError as error:
            raise PlanError(
                f"another run of {folder.name} writes into {folder}: wait for it to end, or choose another folder "
                "with --output"
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
