"""Where units of work run: in this process, in local worker processes, or on a Dask cluster."""

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from anisotropy._util import checks, extras, paths, processes

ATTEMPTS_ALONE = 2
"""How often a unit may bring down a worker that runs nothing else before it is given up."""


@dataclass(frozen=True)
class Failure:
    """A unit that raised, or whose worker died.

    Attributes:
        traceback: the text of the worker's traceback, or what became of the worker.
    """

    traceback: str


def parse(engine: str) -> tuple[str, str]:
    """Split an engine's name into its kind and its argument.

    Args:
        engine: "serial"; "local:N", N worker processes with one thread each; "dask:FILE", a scheduler file that
            `dask scheduler --scheduler-file FILE` writes, looked for in the working directory and in the repository's.

    Returns:
        ("serial", ""), ("local", "N") or ("dask", "FILE").

    Raises:
        ValueError: if it is none of these.
    """
    kind, _, argument = engine.partition(":") if isinstance(engine, str) else ("", "", "")
    if kind == "serial" and not argument:
        return kind, argument
    if kind == "local" and argument.isdigit() and int(argument) > 0:
        return kind, argument
    if kind == "dask" and argument:
        return kind, argument
    raise ValueError(
        "expected the engine 'serial', 'local:N' with N >= 1 worker processes, or 'dask:FILE' with a scheduler file, "
        f"got {engine!r}"
    )


def run(engine: str, function: Callable[[Any], Any], items: list) -> Iterator[tuple[int, Any]]:
    """Apply a function to items and yield results as they come, whatever happens to single items or workers.

    Args:
        engine: as for `parse`.
        function: of one item; whatever it refers to, also classes defined in a notebook, is carried by cloudpickle.
        items: what to apply it to.

    Yields:
        (number of the item, result), each item once, in the order of completion. The result of an item that raised,
        or whose worker process died every time it was tried, is a `Failure`; the other items go on.

    Raises:
        ValueError: if the engine is unknown.
        FileNotFoundError: if the scheduler file does not exist.
    """
    kind, argument = parse(engine)
    if kind == "serial":
        yield from ((i, guarded(function, item)) for i, item in enumerate(items))
    elif kind == "local":
        yield from _local(int(argument), function, items)
    else:
        yield from _dask(argument, function, items)


def guarded(function: Callable[[Any], Any], item: Any) -> Any:
    """Return function(item), or a `Failure` if it raises: its last line says where in the user's own code."""
    try:
        return function(item)
    except Exception as error:  # the sweep must go on; the caller reports it
        text, last = traceback.format_exc(), checks.blamed(error)
        return Failure(text if text.rstrip().endswith(last) else f"{text}{last}\n")


def _local(workers, function, items):
    """Keep N processes busy. A killed worker breaks its pool, which is replaced; what it was computing is tried again.

    loky says that a worker died, not on which item. So an item that was in flight at two deaths runs alone
    afterwards: only the guilty one dies again.
    """
    process_executor = extras.needed("joblib.externals.loky.process_executor", f"engine='local:{workers}'")
    queue, suspects = deque(range(len(items))), deque()
    deaths, alone = [0] * len(items), [0] * len(items)
    pool, running = None, {}

    def submit(i):
        nonlocal pool
        for _ in range(2):
            pool = pool or process_executor.ProcessPoolExecutor(
                workers, env=processes.SINGLE_THREAD, initializer=processes.die_with, initargs=(os.getpid(),)
            )
            try:
                running[pool.submit(guarded, function, items[i])] = i
                return
            except BrokenProcessPool:  # a worker died while it was idle
                close()
        raise RuntimeError("worker processes die as soon as they start; try engine='serial'")

    def close():
        nonlocal pool
        if pool is not None:
            pool.shutdown(wait=True, kill_workers=True)
            pool = None

    try:
        while queue or suspects or running:
            while queue and len(running) < workers:
                submit(queue.popleft())
            if not running:
                submit(suspects.popleft())
            lonely = len(running) == 1
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            died = []
            for future in done:
                i = running.pop(future)
                error = future.exception()
                if error is None:
                    yield i, future.result()
                elif isinstance(error, BrokenProcessPool):
                    died.append(i)
                else:  # what could not be pickled, say
                    yield i, Failure("".join(traceback.format_exception(error)))
            if died:
                died += running.values()
                running.clear()
                close()
            for i in sorted(died):
                deaths[i] += 1
                alone[i] += lonely
                if alone[i] >= ATTEMPTS_ALONE:
                    yield i, Failure(_died(alone[i]))
                else:
                    (suspects if deaths[i] > 1 else queue).append(i)
    finally:
        close()


def _died(times):
    return (
        f"the worker process died {times} times while it computed this unit and nothing else: killed by the system "
        "(out of memory?) or a crash in native code. Try it with engine='serial' to see it happen."
    )


def _dask(scheduler_file, function, items):
    distributed = extras.needed("distributed", "engine='dask:...'")
    if not os.path.exists(scheduler_file):  # a notebook runs in its own folder, its user in the repository's
        scheduler_file = os.fspath(paths.resolve(scheduler_file))
    if not os.path.exists(scheduler_file):
        raise FileNotFoundError(
            f"no scheduler file {scheduler_file!r}; start one with: dask scheduler --scheduler-file {scheduler_file}"
        )
    with distributed.Client(scheduler_file=scheduler_file, set_as_default=False) as client:
        numbers = {client.submit(guarded, function, item, pure=False): i for i, item in enumerate(items)}
        try:
            for future in distributed.as_completed(list(numbers), loop=client.loop, raise_errors=False):
                error = future.exception() if future.status == "error" else None
                result = future.result() if error is None else Failure("".join(traceback.format_exception(error)))
                yield numbers[future], result
        finally:
            client.cancel(list(numbers))
