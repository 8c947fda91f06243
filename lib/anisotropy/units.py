"""The unit of work of a sweep over D(v): one network trained for one direction and seed; what its result depends on."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from anisotropy import architectures, checks, resumable, separable, stacked, training
from anisotropy.training import Recipe

NUMERICS = [1, separable.NUMERICS, training.NUMERICS]
"""Versions of the code that the stored numbers come from: of this module, of the data, of the training."""

RESULTS = ("test_accuracy", "train_accuracy", "test_loss", "train_loss", "steps_to_threshold", "diverged", "seconds")

Unit = tuple[int, torch.Tensor, int]
"""Number of the direction in the sweep, the direction (C, H, W), seed."""


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
            "direction": _hash(direction),
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
            dtype=torch.float64 if self.recipe.dtype == "float64" else torch.float32,
        )

    def compute(self, units: list[Unit]) -> list[dict]:
        """Train the networks of some units, stacked if there are several, and return plain results."""
        start = time.perf_counter()
        with resumable.one_thread(self.device):
            keys = [(direction, seed) for _, direction, seed in units]
            networks = [architectures.build(self.factory, seed_of("network", *key)) for key in keys]
            generators = [torch.Generator().manual_seed(seed_of("order", *key)) for key in keys]
            x, y = _stack([self.sample("train", *key, self.train_samples) for key in keys])
            test_x, test_y = _stack([self.sample("test", *key, self.test_samples) for key in keys])
            outcomes = stacked.train_many(
                networks, x, y, self.recipe, generators=generators, test_inputs=test_x, test_labels=test_y
            )
        seconds = (time.perf_counter() - start) / len(units)
        return [
            {name: resumable.plain(getattr(outcome, name)) for name in RESULTS if name != "seconds"}
            | {"history": [resumable.plain(loss) for loss in outcome.history], "seconds": round(seconds, 3)}
            for outcome in outcomes
        ]


def _stack(sets: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, labels = zip(*sets, strict=True)
    return torch.stack(inputs), torch.stack(labels)


def rounded(directions: torch.Tensor) -> torch.Tensor:
    """Round to multiples of 2^-30 in float64: what is hashed is what is used, whatever the platform's cosine."""
    checks.tensor(directions, "directions (K, C, H, W)")
    if directions.ndim != 4 or not len(directions):
        raise ValueError(f"expected directions of shape (K, C, H, W) with K >= 1, got {tuple(directions.shape)}")
    return torch.round(directions.detach().double().cpu() * 2**30) / 2**30 + 0.0  # + 0.0 turns -0 into 0


def _hash(direction: torch.Tensor) -> str:
    return hashlib.sha256(direction.numpy().tobytes()).hexdigest()[:32]


def seed_of(role: str, direction: torch.Tensor, seed: int) -> int:
    """Return a 63-bit seed for one use of randomness in a unit."""
    text = f"{role} {seed} {list(direction.shape)} {_hash(direction)}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
