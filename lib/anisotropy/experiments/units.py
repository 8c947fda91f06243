"""The unit of work of a sweep over D(v): one network trained for one direction and seed; what its result depends on."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from anisotropy._util import checks
from anisotropy.directions import separable
from anisotropy.models import architectures, memory, networks
from anisotropy.nads import naming
from anisotropy.results import resumable, stores
from anisotropy.training import loop, stacked
from anisotropy.training.recipes import Recipe

NUMERICS = [1, naming.NUMERICS, networks.NUMERICS, separable.NUMERICS, loop.NUMERICS]
"""Versions of the numbers that the code makes: of this module, directions, networks, data, training.

Results are filed under them, and under no name of a module or file: code that moves keeps its results, and whoever
changes what it computes raises the version. A test computes small units again and compares (tests/test_golden.py).
"""

RESULTS = ("test_accuracy", "train_accuracy", "test_loss", "train_loss", "steps_to_threshold", "diverged", "seconds")

STACK = 64
"""Networks trained at once on a GPU, where they can be stacked: more of them train hardly faster."""

Unit = tuple[int, torch.Tensor, int]
"""Number of the direction in the sweep, the direction (*shape), seed."""


@dataclass(frozen=True)
class Job:
    """What the units of a sweep have in common; see `sweeps.run` and `resumable.Job`."""

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

    @property
    def name(self) -> str:
        """Name of the architecture."""
        return self.architecture["name"]

    def fields(self, unit: Unit) -> dict:
        """Return all that the numbers of a unit depend on."""
        _, direction, seed = unit
        return {
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "epsilon": self.epsilon,
            "sigma": self.sigma,
            "convention": self.convention,
            "train_samples": self.train_samples,
            "test_samples": self.test_samples,
            "direction": naming.identity(direction),
            "shape": list(direction.shape),
            "seed": seed,
            "numerics": NUMERICS,
        }

    def together(self) -> bool:
        """Return whether networks of this sweep are better trained as one stack: on a GPU, where they can be."""
        if not self.device.startswith("cuda"):
            return False
        return stacked.can_stack([architectures.build(self.factory, 0)], self.recipe)

    def sample(self, role: str, direction: torch.Tensor, seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the "train" or "test" set of a unit."""
        return separable.sample(
            direction,
            count,
            epsilon=self.epsilon,
            sigma=self.sigma,
            convention=self.convention,
            generator=torch.Generator().manual_seed(seed_of(role, direction, seed)),
            device=self.device,
            dtype=self.recipe.stored,
        )

    def compute(self, units: list[Unit]) -> list[dict]:
        """Train the networks of some units, stacked if there are several, and return plain results.

        Where the memory of a GPU does not hold them all, each half of them gets its turn.
        """
        return memory.in_halves(self._compute, units)

    def _compute(self, units: list[Unit]) -> list[dict]:
        start = resumable.clock(self.device)
        with resumable.one_thread(self.device):
            keys = [(direction, seed) for _, direction, seed in units]
            networks = [architectures.build(self.factory, seed_of("network", *key)) for key in keys]
            generators = [torch.Generator().manual_seed(seed_of("order", *key)) for key in keys]
            x, y = self._samples("train", keys, self.train_samples)
            test_x, test_y = self._samples("test", keys, self.test_samples)
            outcomes = stacked.train_many(
                networks, x, y, self.recipe, generators=generators, test_inputs=test_x, test_labels=test_y,
                checkpoints=[self._checkpoint(unit) for unit in units],
            )  # fmt: skip
        seconds = (resumable.clock(self.device) - start) / len(units)
        return [
            {name: resumable.plain(getattr(outcome, name)) for name in RESULTS if name != "seconds"}
            | resumable.losses(outcome)
            | {"seconds": round(seconds, 3)}
            for outcome in outcomes
        ]

    def first_steps(self, unit: Unit) -> list[float | None]:
        """Return the losses of the steps `loop.EARLY` of a unit: seconds of work, where the whole takes hours."""
        _, *key = unit
        with resumable.one_thread(self.device):
            network = architectures.build(self.factory, seed_of("network", *key))
            order = torch.Generator().manual_seed(seed_of("order", *key))
            data = self.sample("train", *key, self.train_samples)
            return loop.train(network, *data, self.recipe, generator=order, at_most=max(loop.EARLY)).early

    def _checkpoint(self, unit: Unit) -> Path:
        return stores.Store(self.store).checkpoint(stores.digest(self.fields(unit)))

    def _samples(
        self, role: str, keys: list[tuple[torch.Tensor, int]], count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (N, n, *shape) and labels (N, n) of the units with these directions and seeds.

        Each set is drawn on the CPU by one thread, whatever the device, so that results do not depend on it; a GPU
        would wait longer for 64 sets than it trains on them, so that as many are drawn at a time as there are cores.
        """
        if len(keys) == 1:
            inputs, labels = self.sample(role, *keys[0], count)
            return inputs[None], labels[None]
        inputs = torch.empty(len(keys), count, *keys[0][0].shape, dtype=self.recipe.stored, device=self.device)
        labels = torch.empty(len(keys), count, dtype=torch.int64, device=self.device)

        def draw(i: int) -> None:
            inputs[i], labels[i] = self.sample(role, *keys[i], count)

        with ThreadPoolExecutor(min(len(keys), os.cpu_count() or 1)) as pool:
            list(pool.map(draw, range(len(keys))))  # the list raises what a thread raised
        return inputs, labels


def rounded(directions: torch.Tensor) -> torch.Tensor:
    """Round to multiples of 2^-30 in float64: what is hashed is what is used, whatever the platform's cosine."""
    directions = checks.several(checks.directions(directions, "directions (K, *shape)"))
    return torch.round(directions.detach().double().cpu() * 2**30) / 2**30 + 0.0  # + 0.0 turns -0 into 0


def seed_of(role: str, direction: torch.Tensor, seed: int) -> int:
    """Return a 63-bit seed for one use of randomness in a unit."""
    text = f"{role} {seed} {list(direction.shape)} {naming.content(direction)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
