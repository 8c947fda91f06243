"""Two redundant signals: which of two directions does a network use that tell the classes equally well? (Sec. 4.2)

The paper's explanation of poisoning is that of all solutions training finds one that uses the lowest NADs which
suffice. So networks are trained on x = y (u + r v) + w, where either direction suffices, and then asked about
x = y (u - r v) + w, where their answer tells which one they use; see `separable.redundant`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from anisotropy.directions import separable
from anisotropy.experiments.units import seed_of
from anisotropy.models import architectures, networks
from anisotropy.nads import naming
from anisotropy.results import resumable, stores
from anisotropy.training import loop
from anisotropy.training.recipes import Recipe

NUMERICS = [1, naming.NUMERICS, networks.NUMERICS, separable.NUMERICS, loop.NUMERICS]
"""Versions of the numbers that the code makes, see `units.NUMERICS`."""

Unit = tuple[torch.Tensor, float, int]
"""Two orthogonal directions (2, C, H, W), rounded by `units.rounded`; amplitude of the second, that of the first being
1; seed. Initialisation and noise follow from directions and seed, so that amplitudes are compared network by network.
"""


@dataclass(frozen=True)
class Job:
    """What such trainings have in common; see `resumable.Job`. In a result, `probe_accuracy` is the share of answers
    that follow the first direction where the two disagree."""

    factory: Callable[[], nn.Module]
    architecture: dict
    recipe: Recipe
    sigma: float
    train_samples: int
    test_samples: int
    store: str
    device: str = "cpu"

    @property
    def name(self) -> str:
        """Name of the architecture."""
        return self.architecture["name"]

    def fields(self, unit: Unit) -> dict[str, Any]:
        """Return all that the numbers of a unit depend on."""
        pair, ratio, seed = unit
        return {
            "architecture": self.architecture,
            "recipe": self.recipe.as_dict(),
            "sigma": self.sigma,
            "train_samples": self.train_samples,
            "test_samples": self.test_samples,
            "first": naming.identity(pair[0]),
            "second": naming.identity(pair[1]),
            "ratio": float(ratio),
            "shape": list(pair.shape[1:]),
            "seed": seed,
            "numerics": NUMERICS,
        }

    def together(self) -> bool:
        """Return False: each network is trained by itself."""
        return False

    def sample(self, role: str, unit: Unit, count: int, agree: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and labels of a unit, on the job's device."""
        pair, ratio, seed = unit
        generator = torch.Generator().manual_seed(seed_of(role, pair, seed))
        settings = {"amplitudes": (1.0, ratio), "sigma": self.sigma, "generator": generator, "agree": agree}
        inputs, labels = separable.redundant(*pair, count, **settings)
        return inputs.to(self.device, self.recipe.stored), labels.to(self.device)

    def compute(self, units: list[Unit]) -> list[dict]:
        """Train and measure the networks of some units, one after the other."""
        return [self._one(unit) for unit in units]

    def first_steps(self, unit: Unit) -> list[float | None]:
        """Return the losses of the steps `loop.EARLY` of a unit."""
        with resumable.one_thread(self.device):
            return self._trained(unit, at_most=max(loop.EARLY))[1].early

    def _trained(self, unit: Unit, **settings: Any) -> tuple[nn.Module, loop.Outcome]:
        pair, _, seed = unit
        network = architectures.build(self.factory, seed_of("network", pair, seed))
        order = torch.Generator().manual_seed(seed_of("order", pair, seed))
        data = self.sample("train", unit, self.train_samples)
        return network, loop.train(network, *data, self.recipe, generator=order, **settings)

    def _one(self, unit: Unit) -> dict:
        start = resumable.clock(self.device)
        with resumable.one_thread(self.device):
            x, y = self.sample("test", unit, self.test_samples)
            path = stores.Store(self.store).checkpoint(stores.digest(self.fields(unit)))
            network, outcome = self._trained(unit, test_inputs=x, test_labels=y, checkpoint=path)
            disagreeing = self.sample("disagreeing", unit, self.test_samples, agree=False)
            follows = loop.evaluate(network, *disagreeing, self.recipe)[0]
        names = ("test_accuracy", "train_accuracy", "test_loss", "train_loss", "diverged")
        found = {name: getattr(outcome, name) for name in names} | {"probe_accuracy": follows}
        found["seconds"] = round(resumable.clock(self.device) - start, 3)
        return {name: resumable.plain(value) for name, value in found.items()} | resumable.losses(outcome)
