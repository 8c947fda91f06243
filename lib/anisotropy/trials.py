"""A few steps of the very work that a run would do, timed: what a rehearsal foretells times from."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from anisotropy import architectures, dipoles, readouts, resumable, stacked
from anisotropy.running import Response, number
from anisotropy.training import MEASURED_AT_ONCE
from anisotropy.workloads import Counter, Workload

BUDGET = 1.0
"""Seconds that one trial aims at; a large network whose smallest pass takes longer needs more."""

FEW = 16
"""Pixels, read-outs or samples of the first, warming pass."""


@dataclass(frozen=True)
class Trial:
    """What was measured of a training.

    Attributes:
        fixed: seconds of a unit besides the rest, such as making its network.
        step: of a training step.
        sample: of measuring one sample.
        drawn: of making one sample.
        gpu_bytes: memory that a GPU needed beyond the samples of the trial, for each network; None on a CPU.
        remark: what was scaled, empty where nothing was.
    """

    fixed: float
    step: float
    sample: float
    drawn: float
    gpu_bytes: int | None
    remark: str

    def seconds(self, workload: Workload) -> float:
        """Return the time that a unit is expected to take, to the end of its epochs."""
        return self.fixed + workload.measured * (self.drawn + self.sample) + workload.steps * self.step


def here(device: str) -> bool:
    """Return whether torch finds a device on this machine."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        return False
    return True


def training(workload: Workload, together: int = 1) -> Trial:
    """Time a few steps of a training on noise of the right shape, after a warm-up.

    Args:
        workload: of a unit.
        together: networks per task, trained as one stack where the sweep would do so.

    Returns:
        Seconds of one network, with all of the stack at work.
    """
    together, gpu = together if workload.stacked else 1, workload.device.startswith("cuda")
    full = min(workload.train, workload.recipe.batch_size)
    recipe = replace(workload.recipe, learning_rate=1e-6, loss_threshold=1e-30, stop_at_threshold=False)
    with resumable.one_thread(workload.device):
        small = min(full, FEW)
        _train(workload, recipe, together, small, 1)
        warm = _train(workload, recipe, together, small, 1)
        batch = full if warm * full / small * 4 < BUDGET else max(small, int(full * BUDGET / (4 * warm * full / small)))
        recipe = replace(recipe, batch_size=batch)
        batches = max(1, min(8, workload.train // batch, int(BUDGET / 8 / (warm * batch / small))))
        count = batch * batches
        if gpu:
            torch.cuda.reset_peak_memory_stats(workload.device)
        once = _train(workload, recipe, together, count, 1)
        epochs = max(1, min(50, int(BUDGET / 2 / once)))
        longer = _train(workload, recipe, together, count, 1 + epochs)
        tests = min(MEASURED_AT_ONCE, workload.measured) if once < BUDGET / 8 else count
        tested = _train(workload, recipe, together, count, 1, tests)
        held = torch.cuda.max_memory_allocated(workload.device) if gpu else 0
        step = max(0.0, longer - once) / (epochs * batches)
        sample = (
            (tested - once) / tests if tested > once else step / batch / 3
        )  # about what a step does without gradients
        begin = time.perf_counter()
        drawn = workload.draw(min(1000, workload.train))
        drawing = (time.perf_counter() - begin) / drawn
    data = (count + tests) * workload.data_bytes // max(1, workload.measured)
    return Trial(
        max(0.0, once - batches * step - count * sample) / together,
        step / together * full / batch,
        sample / together,
        drawing / min(together, torch.get_num_threads()) if gpu else drawing,
        max(0, held - data) // together if gpu else None,
        f"tried with {batch} of {full} samples a step" if batch < full else "",
    )


def _train(workload: Workload, recipe, together: int, count: int, epochs: int, tests: int = 0) -> float:
    """Seconds that training and measuring `together` networks on `count` samples takes."""
    make = torch.Generator().manual_seed(0)
    sets = []
    for n in (count, tests):
        x = torch.randn(n, *workload.shape, generator=make).to(workload.device)
        y = (torch.arange(n) % workload.classes).to(workload.device)
        sets += [x.expand(together, *x.shape), y.expand(together, -1)] if n else [None, None]
    _wait(workload.device)
    begin = time.perf_counter()
    networks = [architectures.build(workload.factory, i) for i in range(together)]
    stacked.train_many(
        networks, sets[0], sets[1], replace(recipe, epochs=epochs),
        generators=[torch.Generator().manual_seed(i) for i in range(together)],
        test_inputs=sets[2], test_labels=sets[3], method="auto" if workload.stacked else "single",
    )  # fmt: skip
    _wait(workload.device)
    return time.perf_counter() - begin


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def network(
    factory: Callable[[], nn.Module], response: Response, averaged: bool, covariance: Any, threads: int | None
) -> tuple[float, float, str]:
    """Time one random network of an estimate of NADs, or some of its pixels or read-outs, and an eigendecomposition.

    Args:
        factory: makes the networks.
        response: as the estimate makes it, without the read-out.
        averaged: whether the read-out is integrated out where there is one.
        covariance: an empty one of the estimate's kind; it is filled.
        threads: of torch, None for as many as there are.

    Returns:
        tuple: seconds of one network, of one eigendecomposition, and what was scaled.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        begin = time.perf_counter()
        made = dipoles.prepare(architectures.build(factory, response.seed), response.dtype, response.device)
        making = time.perf_counter() - begin
        work, whole, rows, what = _responses(made, factory, response, averaged)
        few = min(whole, FEW // 4)
        warm = _timed(work, few, response.device)
        least = 32 if warm < 1 else FEW if warm < 2 else few  # a pass of a few wastes what more of them share
        most = min(whole, max(least, int(2 * BUDGET / warm * few)))
        took = _timed(work, most, response.device) if most > few else warm
        begin = time.perf_counter()
        covariance.add(torch.randn(rows, response.point.numel()))
        adding = time.perf_counter() - begin
        begin = time.perf_counter()
        covariance.eigen()
        eigen = time.perf_counter() - begin
    finally:
        torch.set_num_threads(before)
    return making + took * whole / most + adding, eigen, f"tried with {most} of {whole} {what}" if most < whole else ""


def network_operations(factory: Callable[[], nn.Module], response: Response, averaged: bool) -> int:
    """Floating-point operations of one random network of an estimate, counted on the CPU on some of its pixels.

    Args:
        factory: makes the networks.
        response: as the estimate makes it, without the read-out.
        averaged: whether the read-out is integrated out where there is one.
    """
    response = replace(response, device="cpu")
    made = dipoles.prepare(architectures.build(factory, response.seed), torch.float32, "cpu")
    work, whole, _, _ = _responses(made, factory, response, averaged)
    few = min(whole, FEW // 4)
    with Counter() as counter:
        work(few)
    return counter.total * whole // few


def _responses(made, factory, response: Response, averaged: bool) -> tuple[Callable[[int], None], int, int, str]:
    """What computes some parts of a network's response; how many there are, how many rows, what they are called."""
    readout = None
    if averaged and (name := readouts.find(architectures.build(factory, response.seed), response.point)) is not None:
        features = made.get_submodule(name).in_features
        readout = readouts.Readout(name, features, 1 / (3 * features))
    point, size = response.point.to(response.device), response.point.numel()
    generator = torch.Generator().manual_seed(number(response.seed, 0, 1))
    rows = 1 if readout is None else readout.features

    def secant(some: int) -> None:
        options = {"readout": readout, "chunk": response.chunk, "pixels": range(some)}
        dipoles.secant_rows(made, point, step=response.step, **options)

    def gradient(some: int) -> None:
        draws = some if readout is not None else None
        dipoles.gradient_rows(made, point, readout=readout, draws=draws, generator=generator, chunk=response.chunk)

    def mixed(some: int) -> None:
        dipoles.mixed_rows(made, point, probes=some, generator=generator)

    if response.method == "secant":
        return secant, size, rows, "pixels"
    if response.method == "gradient":
        rows = min(rows, response.draws or rows)
        return gradient, rows, rows, "read-outs"
    return mixed, response.probes, response.probes, "probes"


def _timed(work: Callable[[int], None], some: int, device: str) -> float:
    begin = time.perf_counter()
    work(some)
    _wait(device)
    return time.perf_counter() - begin
