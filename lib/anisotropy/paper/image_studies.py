"""What 05_poisoning and 06_flipping train: for each network its images, its recipe and its factories."""

from collections.abc import Sequence
from dataclasses import dataclass

import xarray as xr

from anisotropy.images import cifar
from anisotropy.models import architectures
from anisotropy.paper import plotting
from anisotropy.training import Recipe

BFLOAT16 = ("vgg11", "resnet18", "densenet121")
"""Networks that are trained in bfloat16 at full width, since they take long; small and narrow ones, a reader's, and
those on digits are not: a processor without bfloat16 arithmetic takes twelve times as long in it as in float32."""

DIGITS = "digits"
"""Images that need no download and say nothing about natural images: much of the paper stays undecided on them."""


@dataclass(frozen=True)
class Plan:
    """How one network is trained on images.

    Attributes:
        name: as `architectures.factory` takes it.
        width: share of the network's channels; 1 is the paper's.
        source: images to train and to test on; all test images.
        recipe: the released recipe with the epochs, the learning rate and the precision of this network.
    """

    name: str
    width: float
    source: cifar.Source
    recipe: Recipe

    @property
    def title(self) -> str:
        """Name in print."""
        return plotting.LABELS.get(self.name, self.name)

    def own(self, random_networks: int) -> dict[str, float]:
        """How its NADs are measured, from that many networks, where the package has none: a narrow network's."""
        stands = self.width == 1.0 or self.source.name == DIGITS
        return {} if stands else {"width": self.width, "random_networks": random_networks}

    @property
    def single(self) -> architectures.Factory:
        """Factory of networks of a grey image with one output, whose NADs are measured."""
        return architectures.factory(self.name, width=self.width)

    @property
    def classifier(self) -> architectures.Factory:
        """Factory of networks of a colour image with ten outputs, which are trained."""
        return architectures.factory(self.name, in_channels=3, num_outputs=10, width=self.width)


def plans(
    images: str,
    networks: Sequence[str],
    widths: Sequence[float],
    train_images: Sequence[int],
    epochs: Sequence[int],
    learning_rates: Sequence[float],
) -> dict[str, Plan]:
    """Plans by the name of the network; each list but the first has one element for each network.

    Raises:
        ValueError: no network or one twice, lists of different lengths, or images that are unknown.
    """
    if not networks or len(set(networks)) < len(networks):
        raise ValueError(f"expected at least one network and none twice, got networks={list(networks)}")
    found = {}
    for name, width, count, length, rate in zip(networks, widths, train_images, epochs, learning_rates, strict=True):
        large = name in BFLOAT16 and width == 1.0 and images != DIGITS
        dtype = "bfloat16" if large else "float32"
        recipe = Recipe.cifar(epochs=length, learning_rate=rate, dtype=dtype)
        found[name] = Plan(name, width, cifar.Source(images, train=count), recipe)
    return found


def rounding(images: str) -> tuple[str, int]:
    """What claims on these images are marked with, and the decimals that another processor leaves unchanged."""
    return (" (on digits)", 1) if images == DIGITS else ("", 3)


def means(table: xr.DataArray) -> dict[str, float]:
    """Means over seeds by arm, as fractions."""
    return {str(arm): float(mean) for arm, mean in zip(table.arm.values, table.mean("seed").values, strict=True)}


def percent(table: xr.DataArray, images: str) -> dict[str, float] | str:
    """Means over seeds by arm, in percent; of small networks on digits, which another processor moves, words."""
    if images == DIGITS:
        return "see the figure"
    return {arm: round(100 * mean, 1) for arm, mean in means(table).items()}
