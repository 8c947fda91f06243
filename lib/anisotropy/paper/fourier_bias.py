"""What 01_fourier_bias trains for each figure, and how its map of LeNet is laid beside the authors'."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from anisotropy import directions
from anisotropy.directions import FourierBasis
from anisotropy.models import architectures
from anisotropy.paper import agreement, plotting, wide_tables
from anisotropy.paper import published as reference
from anisotropy.training import Recipe

FIGURES = {"Fig. 1": "", "Fig. 2": "time_", "Fig. 3": "pool_", "A.3": "random_"}
"""What is trained, in the order of the lists of the notebook; and how `named` begins the names of its sizes."""

SMALL_LOSS = 0.1
"""Training loss that counts as small in Fig. 2. Ours: the paper gives no number."""

BLIND = 0.6
"""Test accuracy under which a network counts as blind to a frequency; 0.5 is chance."""


@dataclass(frozen=True)
class Amount:
    """How much each network of a figure is trained.

    Attributes:
        samples: of its training set.
        epochs: passes over them.
        sigma: standard deviation of the noise.
    """

    samples: int
    epochs: int
    sigma: float

    @property
    def steps(self) -> int:
        """Steps of training in all epochs, with the batches of the released code."""
        return self.epochs * -(-self.samples // Recipe().batch_size)


PAPER = Amount(samples=10_000, epochs=20, sigma=3.0)
"""That of the paper's Fig. 1."""


def amounts(samples: Sequence[int], epochs: Sequence[int], sigma: Sequence[float]) -> dict[str, Amount]:
    """The amount of each of `FIGURES`, from lists with one element for each.

    Raises:
        ValueError: a list of another length.

    Example:
        >>> amounts([2000, 2000, 1000, 4000], [6, 12, 8, 10], [1.0, 0.5, 1.0, 0.5])["A.3"]
        Amount(samples=4000, epochs=10, sigma=0.5)
    """
    for name, values in (("samples", samples), ("epochs", epochs), ("sigma", sigma)):
        if len(values) != len(FIGURES):
            raise ValueError(
                f"expected {len(FIGURES)} numbers, one for each of {', '.join(FIGURES)}, got {name}={list(values)}"
            )
    return {figure: Amount(*values) for figure, *values in zip(FIGURES, samples, epochs, sigma, strict=True)}


RESNETS = {
    "resnet18": {"size": 32, "width": 1.0, "axis": (0, 1, 2, 3, 4, 6, 8, 12, 16)},
    "small_resnet18": {"size": 16, "width": 0.125, "axis": (1, 2, 3, 4), "samples": 2000, "epochs": 8},
}
"""ResNet-18 in Fig. 3: the paper's, and one that two cores train, with an eighth of the channels, on 16 x 16 pixels.

Its frequencies are its own, odd ones among them: strides of 2 fold the spectrum, and may tell odd from even.
"""

POOLING = ("lenet", "vgg11", "densenet121", *RESNETS)
"""Networks of Fig. 3: those of the paper that have pooling layers."""


@dataclass(frozen=True)
class Arm:
    """One curve of Fig. 3: an architecture with or without its pooling layers, along some frequencies.

    Attributes:
        label: how it is printed.
        network: the paper's name of the architecture.
        options: of `architectures.factory`.
        size: pixels a side.
        axis: horizontal frequencies; the vertical one is 0.
        amount: of its training.
    """

    label: str
    network: str
    options: Mapping[str, object]
    size: int
    axis: tuple[int, ...]
    amount: Amount

    def factory(self) -> architectures.Factory:
        """Factory of its networks, with two outputs."""
        return architectures.factory(self.network, num_outputs=2, image_size=self.size, **self.options)

    def waves(self) -> torch.Tensor:
        """Directions to train along (K, 1, size, size), cosines."""
        basis = directions.fourier(self.size, self.size)
        return basis.pictures()[[basis.index(0, kx) for kx in self.axis]]


def arms(networks: Sequence[str], axis: Sequence[int], amount: Amount) -> list[Arm]:
    """The curves of Fig. 3: each network as it is and without pooling, ResNet-18 without its strides as well.

    Args:
        networks: of `POOLING`.
        axis: horizontal frequencies; ResNet-18 has its own (`RESNETS`).
        amount: of training; `small_resnet18` has its own samples and epochs.

    Raises:
        ValueError: another network, or one twice, as ResNet-18 in both sizes would be.
    """
    known = {"resnet18" if name in RESNETS else name for name in networks}
    if not networks or not {*networks} <= {*POOLING} or len(known) < len(networks):
        raise ValueError(
            f"expected networks with pooling layers out of {', '.join(POOLING)}, none twice and ResNet-18 in one size, "
            f"got {list(networks)}"
        )
    found = []
    for name in networks:
        own = RESNETS.get(name, {})
        network, width = ("resnet18", {"width": own["width"]}) if own else (name, {})
        kinds = {"": {}, ", no pooling": {"pooling": False}}
        if own:
            kinds[", no pooling, no strides"] = {"pooling": False, "strides": False}
        trained = Amount(own.get("samples", amount.samples), own.get("epochs", amount.epochs), amount.sigma)
        for words, options in kinds.items():
            label = f"{plotting.LABELS[network]}{words}"
            place = own.get("size", 32), tuple(own.get("axis", axis))
            found.append(Arm(label, network, {**width, **options}, *place, trained))
    return found


def named(parameters: Mapping[str, object]) -> dict[str, object]:
    """Parameters of a run of the notebook with a name for each size, as statements about it use them.

    A run from before the notebook had lists for its figures has such names already; A.3 then took those of Fig. 1.

    Example:
        >>> sizes = {"samples": [2000, 2000, 1000, 4000], "epochs": [6, 12, 8, 10], "sigma": [1.0, 0.5, 1.0, 0.5]}
        >>> found = named(sizes)
        >>> found["samples"], found["time_epochs"], found["random_samples"]
        (2000, 12, 4000)
    """
    found = dict(parameters)
    if not isinstance(found["samples"], list):
        return {"random_samples": found["samples"], "random_epochs": found["epochs"]} | found
    for figure, amount in amounts(found["samples"], found["epochs"], found["sigma"]).items():
        found |= {f"{FIGURES[figure]}{name}": value for name, value in vars(amount).items()}
    found["loss_threshold"] = SMALL_LOSS
    for resnet in (RESNETS[name] for name in found.get("pool_networks", ()) if name in RESNETS):
        own = {"samples": found["pool_samples"], "epochs": found["pool_epochs"]} | resnet
        found |= {f"resnet_{name}": value for name, value in own.items()}
    return found


def on_grid(basis: FourierBasis, rows: np.ndarray, values, step: int) -> np.ndarray:
    """Values (K,) of the rows of `basis.subgrid(step)` as a map over every `step`-th frequency, 0 in the centre.

    Both members of a conjugate pair show the value of the one that stands for them.
    """
    full = np.full(len(basis.vectors), np.nan)
    full[rows] = values
    return basis.picture(full)[::step, ::step]


def published(folder: str, networks: Sequence[str], frequencies: np.ndarray) -> dict[str, xr.DataArray]:
    """The authors' maps, at those frequencies of ours that they have: every second of 32.

    Args:
        folder: of the authors' tables, as the notebook names it; "" for none.
        networks: of which they may have a map.
        frequencies: (n,) of our maps.

    Returns:
        Network -> accuracies (ky, kx), fractions; empty where the folder is not given.
    """
    table = reference.where_given(reference.fourier_accuracies, folder)
    if table is None:
        return {}
    shared = frequencies[np.isin(frequencies, table.ky)]
    here = [name for name in networks if name in table.network]
    return {name: table.accuracy.sel(network=name, ky=shared, kx=shared) for name in here}


def blind(accuracies) -> float:
    """Share of the frequencies of a map that a network is blind to, see `BLIND`."""
    return float((np.asarray(accuracies) < BLIND).mean())


ROWS = {
    "raw": "rank correlation, raw",
    "ceiling": "its ceiling",
    "attained": "share of its ceiling",
    "predicted": "chance tied in the first",
    "predicted_ceiling": "its ceiling",
    "tied": "chance tied in both",
    "learnt": "above chance only",
    "difference": "mean difference",
}
"""Numbers of `agreement.Agreement` in the table of `Beside`, and what they are called there."""


@dataclass(frozen=True)
class Beside:
    """LeNet's map beside the authors'.

    Attributes:
        found: agreement of ours with theirs.
        errors: standard error over cells of each of its numbers that `agreement.errors` gives.
        itself: agreement of theirs with itself: its upper and its lower half were trained apart.
        alone: `found.predicted` where nothing is averaged over mirror images and transposes.
        level: mean accuracy of the cells at chance, of ours and of theirs.
        blind: share of the frequencies under `BLIND`, of ours and of theirs.
    """

    found: agreement.Agreement
    errors: Mapping[str, float]
    itself: agreement.Agreement
    alone: float
    level: tuple[float, float]
    blind: tuple[float, float]

    def __str__(self) -> str:
        rows = []
        for name, words in ROWS.items():
            error = f"{self.errors[name]:.3f}" if name in self.errors else ""
            rows.append((words, f"{getattr(self.found, name):.3f}", error, f"{getattr(self.itself, name):.3f}"))
        table = wide_tables.table(("", "ours and theirs", "standard error", "theirs and itself"), rows)
        found, (ours, theirs) = self.found, self.level
        return (
            f"at chance in both maps, under {found.threshold:.3f}: {found.at_chance:.2f} of {found.cells} cells\n"
            f"mean accuracy at chance: ours {ours:.3f}, theirs {theirs:.3f}\n{table}\n"
            f"chance tied in ours, not averaged over mirror images and transposes: {self.alone:.3f}\n"
            f"share of frequencies under {BLIND:.0%}: ours {self.blind[0]:.2f}, theirs {self.blind[1]:.2f}"
        )


def beside(ours: np.ndarray, networks: np.ndarray, theirs: xr.DataArray, *, test_samples: int) -> Beside:
    """Lay LeNet's map beside the authors'.

    Of theirs one half counts: cells with kx < 0 are copies. The other half holds (ky, kx) and (-ky, kx), which are
    alike and were both trained: so their map can be compared with itself.

    Args:
        ours: (n, n) accuracies over every (32 / n)-th frequency, 0 in the centre.
        networks: (n, n), which network is behind each cell.
        theirs: (m, m), from `published`: the frequencies that both have.
        test_samples: behind each of our accuracies; theirs have 10,000.
    """
    frequencies = np.arange(-16, 16, 32 // len(ours))
    shared = theirs.ky.values
    once = (shared >= 0) | (shared == shared.min())
    cells = np.ix_(np.isin(frequencies, shared), np.isin(frequencies, shared[once]))
    half = theirs.values[:, once]
    mine, *repeated = [values[cells] for values in (ours, *agreement.over_symmetries(ours, networks))]
    count = {"test_samples": min(test_samples, 10_000)}
    found = agreement.compare(mine, half, repeated=repeated, **count)
    up, down = half[shared > 0], half[(shared < 0) & (shared > shared.min())][::-1]
    return Beside(
        found=found,
        errors=agreement.errors(mine, half, repeated=repeated, **count),
        itself=agreement.compare(up, down, **count),
        alone=agreement.compare(mine, half, **count).predicted,
        level=tuple(float(values[values < found.threshold].mean()) for values in (mine, half)),
        blind=(blind(ours), blind(theirs)),
    )
