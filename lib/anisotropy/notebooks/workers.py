"""A notebook's process as the driver sees it, and the lock on the folder that a run writes into."""

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from anisotropy.notebooks.records import PlanError, Step

LOCK = ".lock"


class Worker:
    """A notebook running in a process of its own; its events arrive in a queue as (name, event)."""

    def __init__(self, step: Step, events: queue.Queue, environment: dict[str, str], timeout: int):
        self.step = step
        self.began = time.time()
        self.cells: list[float] = []
        self._ended = False
        self._sockets = tempfile.TemporaryDirectory(prefix="nad-", ignore_cleanup_errors=True)
        job = {
            "notebook": str(step.path),
            "copy": str(step.executed("running")),
            "parameters": step.parameters,
            "timeout": timeout,
            "sockets": self._sockets.name,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "anisotropy.notebooks.execution"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
            encoding="utf-8", errors="replace",
        )  # fmt: skip
        self._complaints: list[str] = []
        self._listen = threading.Thread(target=self._complain, daemon=True)
        self._listen.start()
        threading.Thread(target=self._forward, args=(events,), daemon=True).start()
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()

    def _complain(self) -> None:
        for line in self.process.stderr:
            self._complaints = [*self._complaints[-30:], line.rstrip()]

    def _forward(self, events: queue.Queue) -> None:
        for line in self.process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # killed in the middle of a line: what follows says how it ended
                continue
            if event["event"] == "cell_done":
                self.cells.append(event["seconds"])
            self._ended |= event["event"] in ("done", "failed")
            events.put((self.step.name, event))
        code = self.process.wait()
        self._listen.join(5)
        if not self._ended:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
            message = "\n".join([f"the process that ran the notebook {how}", *self._complaints])
            events.put((self.step.name, {"event": "failed", "kind": "process", "message": message}))

    def close(self) -> None:
        """Let the process end, which it has announced, and remove its sockets."""
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._sockets.cleanup()

    def stop(self) -> None:
        """End the process and its kernel, with force if it takes longer than 15 seconds."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._sockets.cleanup()


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
