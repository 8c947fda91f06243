"""The unit of work of a sweep, one network trained for one direction and seed, and what its result depends on."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from anisotropy import architectures, engines, separable, stacked, stores, training
from anisotropy.training import Recipe

NUMERICS = [1, separable.NUMERICS, training.NUMERICS]
"""Versions of the code that the stored numbers come from: of this module, of the data, of the training."""

RESULTS = ("test_accuracy", "train_accuracy", "test_loss", "train_loss", "steps_to_threshold", "diverged", "seconds")


@dataclass(frozen=True)
class Job:
    """What the units of a sweep have in common; see `run`."""

    factory: Callable[[], nn.Module]
    architecture: dict
    recipe: Recipe
    epsilon: float
    sigma: float
    convention: str
    train_samples: int
    test_samples: int
    store: str
    device: str

    def fields(self, direction: torch.Tensor, seed: int) -> dict:
        """Return all that the numbers of a unit depend on: not the engine, not the device, not the place."""
        return {
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "epsilon": self.epsilon,
            "sigma": self.sigma,
            "convention": self.convention,
            "train_samples": self.train_samples,
            "test_samples": self.test_samples,
            "direction": _hash(direction),
            "shape": list(direction.shape),
            "seed": seed,
            "numerics": NUMERICS,
        }


class Compute:
    """The function that an engine applies to a block of units."""

    def __init__(self, job: Job):
        self.job = job

    def __call__(self, block: list[tuple[int, torch.Tensor, int]]) -> list[dict | engines.Failure]:
        """Return the stored or new result of each (number, direction, seed), or a `Failure` in its place."""
        job, store = self.job, stores.Store(self.job.store)
        fields = [job.fields(direction, seed) for _, direction, seed in block]
        # another sweep on the same store may have been here since the block was made
        results = [store.read(stores.digest(f)) for f in fields]
        todo = [i for i, result in enumerate(results) if result is None]
        groups = [todo] if len(todo) > 1 and job.device.startswith("cuda") and stacks(job) else [[i] for i in todo]
        for group in groups:
            outcome = engines.guarded(_train_units, (job, [block[i][1:] for i in group]))
            for position, i in enumerate(group):
                if isinstance(outcome, engines.Failure):
                    results[i] = outcome
                else:
                    results[i] = outcome[position]
                    store.write(fields[i], results[i])
        return results


def _train_units(arguments) -> list[dict]:
    """Train the networks of some units, stacked if there are several, and return plain results."""
    job, units = arguments
    start = time.perf_counter()
    with _one_thread(job.device):
        networks, train_sets, test_sets, generators = [], [], [], []
        for direction, seed in units:
            networks.append(architectures.build(job.factory, seed_of("network", direction, seed)))
            for sets, role, count in ((train_sets, "train", job.train_samples), (test_sets, "test", job.test_samples)):
                generator = torch.Generator().manual_seed(seed_of(role, direction, seed))
                sets.append(
                    separable.sample(
                        direction,
                        count,
                        epsilon=job.epsilon,
                        sigma=job.sigma,
                        convention=job.convention,
                        generator=generator,
                        device=job.device,
                        dtype=torch.float64 if job.recipe.dtype == "float64" else torch.float32,
                    )
                )
            generators.append(torch.Generator().manual_seed(seed_of("order", direction, seed)))
        (x, y), (test_x, test_y) = (
            [torch.stack(part) for part in zip(*sets, strict=True)] for sets in (train_sets, test_sets)
        )
        del train_sets, test_sets
        outcomes = stacked.train_many(
            networks, x, y, job.recipe, generators=generators, test_inputs=test_x, test_labels=test_y
        )
    seconds = (time.perf_counter() - start) / len(units)
    return [
        {name: _plain(getattr(outcome, name)) for name in RESULTS if name != "seconds"}
        | {"history": [_plain(loss) for loss in outcome.history], "seconds": round(seconds, 3)}
        for outcome in outcomes
    ]


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    """Compute on one CPU thread, as worker processes do: the number of threads changes how sums are rounded."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def stacks(job: Job) -> bool:
    """Return whether networks of this sweep can be trained as one stack."""
    return stacked.can_stack([architectures.build(job.factory, 0)], job.recipe)


def rounded(directions: torch.Tensor) -> torch.Tensor:
    """Round to multiples of 2^-30 in float64: what is hashed is what is used, whatever the platform's cosine."""
    if directions.ndim != 4 or not len(directions):
        raise ValueError(f"expected directions of shape (K, C, H, W) with K >= 1, got {tuple(directions.shape)}")
    return torch.round(directions.detach().double().cpu() * 2**30) / 2**30 + 0.0  # + 0.0 turns -0 into 0


def _hash(direction: torch.Tensor) -> str:
    return hashlib.sha256(direction.numpy().tobytes()).hexdigest()[:32]


def seed_of(role: str, direction: torch.Tensor, seed: int) -> int:
    """Return a 63-bit seed for one use of randomness in a unit."""
    text = f"{role} {seed} {list(direction.shape)} {_hash(direction)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _plain(value):
    """Turn a result into JSON: numbers that are not finite become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
