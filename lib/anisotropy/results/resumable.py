"""Compute what is missing of a set of units: on any engine, each result stored as it ends, failures reported."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from tqdm import tqdm

from anisotropy._util import checks, provenance
from anisotropy.results import engines, record, stores


class Job(Protocol):
    """What the units of a sweep have in common, and how they are computed. It is sent to worker processes."""

    store: str

    @property
    def name(self) -> str:
        """Shown beside the progress bar."""

    def fields(self, unit: Any) -> dict:
        """Return all that the numbers of a unit depend on, as plain values: not the engine, the device or the place."""

    def together(self) -> bool:
        """Return whether the units of a block are better computed at once."""

    def compute(self, units: list) -> list[dict]:
        """Return the result of each unit, as plain values that JSON can hold."""


@dataclass(frozen=True)
class Unstored:
    """A block whose results could be computed but not be stored: there is no point in going on.

    Attributes:
        error: errno and message, of an `OSError`.
    """

    error: tuple[int, str]


class Compute:
    """The function that an engine applies to a block of units."""

    def __init__(self, job: Job):
        self.job = job

    def __call__(self, block: list) -> list[dict | engines.Failure] | Unstored:
        """Return the stored or new result of each unit, or a `Failure` in its place; or that the store is full."""
        job, store = self.job, stores.Store(self.job.store)
        fields = [job.fields(unit) for unit in block]
        # another sweep on the same store may have been here since the block was made
        results = [store.read(stores.digest(f)) for f in fields]
        todo = [i for i, result in enumerate(results) if result is None]
        groups = [todo] if len(todo) > 1 and job.together() else [[i] for i in todo]
        for group in groups:
            outcome = engines.guarded(job.compute, [block[i] for i in group])
            for position, i in enumerate(group):
                if isinstance(outcome, engines.Failure):
                    results[i] = outcome
                else:
                    results[i] = outcome[position]
                    try:
                        store.write(fields[i], results[i], provenance.made(getattr(job, "device", "cpu")))
                    except OSError as error:
                        return Unstored((error.errno, error.strerror))
        return results


def complete(
    job: Job,
    units: list,
    *,
    engine: str,
    block: int = 1,
    progress: bool = True,
    first: Callable[[], Any] = lambda: None,
) -> tuple[dict[int, dict], dict[int, str]]:
    """Return the results of all units: from the store, else from the record, else computed now.

    Args:
        job: see `Job`.
        units: what is to be computed.
        engine: see `engines.parse`.
        block: units per task of the engine.
        progress: show a bar on stderr with the time left, if it is a terminal.
        first: called before the first unit is computed, where one is missing: it raises what all of them would.

    Returns:
        results: number of the unit -> its result.
        failures: number of the unit -> traceback, of those that could not be computed.

    Raises:
        ValueError: if the engine is unknown.
        FileNotFoundError: if the scheduler file does not exist.
        OSError: if the store cannot be written. Looked for before the first unit is computed; if the disk fills up
            later, the sweep stops at the first result that it cannot keep.
    """
    place = stores.Store(job.store)
    place.clean()
    keys = [stores.digest(job.fields(unit)) for unit in units]
    recorded = record.results(keys)
    found = {i: place.read(key) or recorded.get(key) for i, key in enumerate(keys)}
    results = {i: result for i, result in found.items() if result is not None}
    failures = {}
    missing = [i for i in found if i not in results]
    if missing:
        place.check()
        first()
    blocks = [missing[i : i + block] for i in range(0, len(missing), block)]
    hidden = None if progress else True  # None: tqdm shows itself only on a terminal
    with tqdm(
        total=len(units), initial=len(results), disable=hidden, unit="network", desc=checks.printable(job.name)
    ) as bar:
        tasks = [[units[i] for i in part] for part in blocks]
        for number, outcome in engines.run(engine, Compute(job), tasks):
            if isinstance(outcome, Unstored):
                code, text = outcome.error
                raise OSError(
                    code,
                    f"the sweep stopped, because its results can no longer be kept: {text}. {len(results)} of "
                    f"{len(units)} units are done and stored; the same call computes only the others",
                )
            if isinstance(outcome, engines.Failure):  # the whole block: its worker died
                outcome = [outcome] * len(blocks[number])
            for i, result in zip(blocks[number], outcome, strict=True):
                if isinstance(result, engines.Failure):
                    stored = place.read(keys[i])  # done before its worker died?
                    if stored is None:
                        failures[i] = result.traceback
                        continue
                    result = stored
                results[i] = result
            bar.update(len(blocks[number]))
    if missing:
        place.clean()  # of what a worker was writing when it, or its pool with it, was killed
    stores.USED.update((keys[i], result) for i, result in results.items())
    return results, failures


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Compute on one CPU thread, as worker processes do: the number of threads changes how sums are rounded."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clock(device: str) -> float:
    """Return seconds that this process has computed, on the CPU, where others may share it; else those of the clock."""
    return time.process_time() if device == "cpu" else time.perf_counter()


def plain(value):
    """Return a result as JSON can hold it: numbers that are not finite become None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def losses(outcome: Any) -> dict:
    """Return the training losses that a result keeps: the mean of each epoch, those of the steps `loop.EARLY`."""
    return {"history": [plain(loss) for loss in outcome.history], "early": [plain(loss) for loss in outcome.early]}
