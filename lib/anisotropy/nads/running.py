"""Adding up one random network after another: in one process or several, saved as it goes, resumed where it stopped."""

import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from anisotropy._util import extras, processes
from anisotropy.models.architectures import build
from anisotropy.nads import definitions, readouts, responses
from anisotropy.nads.definitions import Gradient, Mixed, Secant
from anisotropy.nads.result import read_tensors, write_tensors

LONG = 60.0
"""Seconds that an estimate may take without a word about what it will cost."""

SAVE_EVERY, SAVING = 20.0, 0.05
"""Seconds between two saved states, at least, and the share of the time that saving may take."""


@dataclass(frozen=True)
class Rows:
    """How one network's rows are made; the same for every network of an estimate.

    `copy` is False where each network is made anew, with nothing of the one before: it need not be kept as it was.
    """

    response: Secant | Gradient | Mixed
    point: Tensor
    readout: readouts.Readout | None
    device: str
    seed: int
    copy: bool = True

    def rows(self, make: Callable[[], nn.Module], index: int) -> Tensor:
        """Rows (R, D) of network number `index`."""
        asked, readout, point = self.response, self.readout, self.point.to(self.device)
        network = build(make, self.seed, index)
        network = responses.prepare(network, definitions.precision(asked), self.device, copy=self.copy)
        generator = torch.Generator().manual_seed(definitions.number(self.seed, index, 1))
        try:
            if isinstance(asked, Secant):
                return responses.secant_rows(network, point, step=asked.step, readout=readout, chunk=asked.chunk)
            if isinstance(asked, Gradient):
                return responses.gradient_rows(
                    network, point, readout=readout, draws=asked.draws, generator=generator, chunk=asked.chunk
                )
            return responses.mixed_rows(network, point, probes=asked.probes, generator=generator)
        except FloatingPointError as error:
            raise FloatingPointError(f"network {index} of seed {self.seed}: {error}") from None


def stream(factory, rows: Rows, indices: range, workers: int) -> Iterator[Tensor]:
    """Rows of the networks in order, from this process or from several with one thread each."""
    if workers == 1 or len(indices) < 2:
        yield from (rows.rows(factory, index) for index in indices)
        return

    joblib = extras.needed("joblib", "an estimate with several workers")

    def work(index: int) -> np.ndarray:
        torch.set_num_threads(1)
        return rows.rows(factory, index).cpu().numpy()

    mortal = {"initializer": processes.die_with, "initargs": (os.getpid(),)}
    pool = joblib.Parallel(workers, return_as="generator", pre_dispatch="2*n_jobs", max_nbytes=None, **mortal)
    for found in pool(joblib.delayed(work)(index) for index in indices):
        yield torch.from_numpy(found)


@contextmanager
def _held_back_interrupt() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: in the main thread, where Python handles it, unless it is ignored."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came = []
    signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        handler(signal.SIGINT, None)


class Run:
    """The running sums of one estimate, with their state on disk.

    Attributes:
        count: networks added so far.
        seconds: spent on them, over all calls.
        curve: what `Until` saw at its checkpoints.
    """

    def __init__(self, covariance, rows: Rows, settings: dict[str, Any], state: Path | None):
        self.covariance, self.rows, self.settings, self.state = covariance, rows, settings, state
        self.count, self.seconds, self.curve = 0, 0.0, []
        self._whole = True  # what is summed is what is counted
        self._told = not sys.stderr or not sys.stderr.isatty()

    def advance(self, factory, goal: int, workers: int, begin: float) -> None:
        """Add networks until there are `goal` of them."""
        saved, cost = time.monotonic(), 0.0
        first, started = self.count + workers, saved
        bar = tqdm(total=goal, initial=self.count, unit="network", disable=None, leave=False)
        rows = stream(factory, self.rows, range(self.count, goal), workers)
        try:
            with warnings.catch_warnings():
                # A worker whose memory has grown is replaced, and says so; networks of changing size make it grow.
                warnings.filterwarnings("ignore", message="A worker stopped while some jobs were given")
                for new in rows:
                    with _held_back_interrupt():  # half of an addition must not be saved
                        self._whole = False
                        self.covariance.add(new)
                        self.count += 1
                        self._whole = True
                    self.seconds = time.monotonic() - begin
                    bar.update()
                    if not self._told and self.count == first:
                        self._tell(factory, (time.monotonic() - started) / workers, goal)
                    if self.state and time.monotonic() - saved > max(SAVE_EVERY, cost / SAVING):
                        before = time.monotonic()
                        self.save()
                        saved = time.monotonic()
                        cost = saved - before
        finally:  # an interrupt or a failing network leaves what was computed
            bar.close()
            rows.close()
            if self.state and self.count and self._whole:
                self.save()

    def _tell(self, factory, each: float, goal: int) -> None:
        """Say on the terminal what a long estimate costs, once, and what its gradients would, from one network."""
        if each * (goal - self.count) < LONG:
            return
        self._told = True
        line = f"{_duration(each)} a network, {goal} take {_duration(each * goal)}"
        if isinstance(self.rows.response, Secant):
            gradient = Gradient(at=self.rows.point, dtype=self.rows.response.dtype)
            begin = time.monotonic()
            with suppress(ValueError, RuntimeError, FloatingPointError):  # not every network has one
                replace(self.rows, response=gradient).rows(factory, 0)
                line += f"; Gradient(): {_duration((time.monotonic() - begin) * goal)}"
        tqdm.write(line, file=sys.stderr)

    def save(self) -> None:
        """Write the state; a disk that refuses it is warned about."""
        known = {"settings": self.settings, "count": self.count, "seconds": self.seconds, "curve": self.curve}
        try:
            write_tensors(self.state, {**self.covariance.state(), "probe": self.probe}, known)
        except OSError as error:  # a full disk must not stop the measurement itself
            warnings.warn(f"the state could not be saved to {self.state} ({error}); the run goes on", stacklevel=2)

    def resume(self, factory, point: Tensor) -> None:
        """Go on from the state on disk, if it is of this estimate: the same settings and the same first network."""
        with torch.no_grad():
            self.probe = torch.cat([point.flatten(), build(factory, self.rows.seed)(point[None]).flatten()])
        if self.state is None or not self.state.exists():
            return
        try:
            tensors, known = read_tensors(self.state)
        except ValueError as error:
            warnings.warn(f"{error}; starting afresh", stacklevel=3)
            return
        if "probe" not in tensors or "settings" not in known:
            raise ValueError(
                f"{self.state} holds finished NADs, or something else, and no run to go on with: nads.load opens the "
                "former; name another state file"
            )
        theirs, ours = known["settings"], json.loads(json.dumps(self.settings))  # as they are written: no tuples
        different = [k for k in ours if theirs.get(k) != ours[k]]
        same = tensors["probe"].shape == self.probe.shape and torch.allclose(tensors["probe"], self.probe, rtol=1e-4)
        if different or not same:
            what = ", ".join(f"{k} (there {theirs.get(k)!r}, here {ours[k]!r})" for k in different)
            raise ValueError(
                f"{self.state} holds another estimate: it differs in {what or 'the network or the evaluation point'}. "
                "Name another state file, or delete this one"
            )
        self.covariance.restore(tensors)
        self.count, self.seconds = known["count"], known["seconds"]
        self.curve = [tuple(c) for c in known["curve"]]


def _duration(seconds: float) -> str:
    """Seconds as people say them: 0.3 s, 12 s, 10 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
