"""Whether this process rehearses a notebook; if so, it writes nowhere but into the rehearsal's own folder.

A rehearsal executes a notebook without its expensive parts, to see what they are (`rehearsal`). What it puts in their
place must never be taken for a result: `files.write`, through which all results go, refuses every other folder, and
`protect` makes Python itself refuse it to the code of the notebook.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "ANISOTROPY_REHEARSAL"
"""Environment variable that names the folder; `rehearsal` sets it for its kernels, and their processes inherit it."""

_CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
"""Events of Python's audit that change files, beside `open`; their first arguments are paths."""


def folder() -> Path | None:
    """Folder of the rehearsal that this process belongs to, None in earnest."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


def check(path: str | os.PathLike) -> None:
    """Refuse to write a file elsewhere than in the rehearsal's folder; nothing in earnest.

    Raises:
        PermissionError: the file lies elsewhere.
    """
    own = folder()
    if own is not None and not _within(path, os.path.realpath(own)):
        raise PermissionError(
            errno.EACCES, f"a rehearsal writes no results, and nothing outside of its own folder: {path} was refused"
        )


def protect() -> None:
    """Refuse, from now on and to all Python code of this process, to change files outside the rehearsal's folder."""
    own = folder()
    if own is None:
        return
    root = os.path.realpath(own)

    def watch(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            changes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            )
            paths: tuple[Any, ...] = (path,) if changes else ()
        elif event in _CHANGES:
            paths = arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
        else:
            return
        for path in paths:
            if isinstance(path, (str, bytes, os.PathLike)) and not _within(path, root):
                raise PermissionError(errno.EACCES, f"a rehearsal changes no files: {os.fsdecode(path)} was refused")

    sys.addaudithook(watch)


_stand_ins: dict[str, Callable[..., Any]] = {}


def take_place(**stand_ins: Callable[..., Any]) -> None:
    """Name what is called in a rehearsal in the place of a computation; `standins` does so when it is imported."""
    _stand_ins.update(stand_ins)


def stand_in(name: str) -> Callable[..., Any] | None:
    """What is called in the place of a computation, None in earnest.

    What computes asks here, and so need not know what stands in for it, which is made of it.

    Raises:
        RuntimeError: the process rehearses, and `standins` was not imported: nothing must be computed.
    """
    if folder() is None:
        return None
    if name not in _stand_ins:
        raise RuntimeError(f"a rehearsal computes no {name}, and nothing stands in: import anisotropy.standins first")
    return _stand_ins[name]


class TooLong(BaseException):
    """Ends a cell; not an Exception, which the cell might catch."""


def limit(shell: Any, seconds: int) -> None:
    """From now on, end a cell with `TooLong` that computes so long without asking for trainings or NADs.

    Where the system has no timers, the client's own limit is left.

    Args:
        shell: `get_ipython()`.
        seconds: longest time.
    """
    if not hasattr(signal, "setitimer"):
        return

    def ring(*_: Any) -> None:
        raise TooLong(f"computes for more than {seconds} s (--cell-timeout)")

    signal.signal(signal.SIGALRM, ring)
    shell.events.register("pre_run_cell", lambda *_: _wind(seconds))
    shell.events.register("post_run_cell", lambda *_: _wind(0))


def goes_on() -> None:
    """Give the running cell its whole time again: it asked for something."""
    if _time:
        signal.setitimer(signal.ITIMER_REAL, _time[-1])


def unlimited() -> None:
    """Let the running cell take its time."""
    if _time:
        _wind(0)


_time: list[int] = []


def _wind(seconds: int) -> None:
    _time[:] = [seconds] if seconds else []
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _within(path: str | bytes | os.PathLike, root: str) -> bool:
    real = os.path.realpath(os.fsdecode(path))
    return real == root or real.startswith((root + os.sep, "/dev/"))
