"""What 05_poisoning and 06_flipping do to images, and what they measure of them before any network is trained.

What is measured of CIFAR-10 is kept (`results.measures`), so that a reader without the images sees the same numbers.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch

from anisotropy.directions import FourierBasis, fourier
from anisotropy.images import arms, cifar, class_energy, interventions
from anisotropy.images.class_energy import Alignment
from anisotropy.models import architectures, networks
from anisotropy.nads import Nads, naming, shipped
from anisotropy.results import measures

NAMED = {"architecture": architectures.BUILTIN}
"""Networks whose names say what they are."""

VERSIONS = (1, networks.NUMERICS, naming.NUMERICS)
"""Of the numbers of this module, of the paper's networks, and of the NADs that the package carries."""

FLIPPED, SIGNS, ROTATED, PIXELS = "NADs flipped", "random signs", "rotated", "flipped, then normalised"

INDIFFERENT = "logreg"
"""The network without a preferred direction: no rotation of the images changes what it can learn."""

LEADING = (1, 10, 50, 200)
"""Numbers of leading NADs whose share of the class energy is told; the last, a fifth of all, is judged."""


@lru_cache(maxsize=1)
def waves() -> FourierBasis:
    """The Fourier basis of pictures of 32 x 32 pixels, from low to high frequency."""
    return fourier(32, 32)


def conditions(basis: Nads, draw: int, *, every: bool) -> dict[str, arms.Arm]:
    """What is done to the images of a network, by name.

    Args:
        basis: its NADs, of 32 x 32 pixels.
        draw: seed of the signs, the rotation and the permutation.
        every: all controls; otherwise those that the claims need.
    """
    few = {
        "original": arms.clean(),
        FLIPPED: arms.flipped(basis),
        SIGNS: arms.signed(basis, seed=draw),
        ROTATED: arms.rotated(1024, seed=draw),
    }
    more = {
        "NADs permuted": arms.permuted(basis, seed=draw),
        "Fourier flipped": arms.flipped(waves(), label="Fourier flipped"),
        PIXELS: arms.flipped_pixels(basis),
    }
    return few | more if every else few


def alignment(pictures: torch.Tensor, labels: torch.Tensor, rows: torch.Tensor) -> tuple[Alignment, Alignment]:
    """Class energy along NADs of the pictures as they are, and flipped.

    Args:
        pictures: (n, C, H, W), normalised.
        labels: (n,).
        rows: (D, 1, H, W), the NADs.
    """
    flipped = interventions.flip(pictures, rows)
    return class_energy.measure(pictures, labels, rows), class_energy.measure(flipped, labels, rows)


def cumulated(found: Alignment) -> np.ndarray:
    """Share of the class energy in the first 1, 2, ... NADs, (D,)."""
    return np.cumsum(found.energy) / found.energy.sum()


def scores(
    chosen: Mapping[str, arms.Arm], pictures: torch.Tensor, labels: torch.Tensor, basis: Nads
) -> dict[str, float]:
    """Score of network and data under each condition, see `Alignment.score`.

    Images that are flipped before they are normalised are left out: their mean would dominate the score.

    Args:
        chosen: of `conditions`.
        pictures: (n, C, H, W), normalised.
        labels: (n,).
        basis: NADs of the network.
    """
    found = {}
    for name, arm in chosen.items():
        if name != PIXELS:
            moved = arm.normalised(pictures) if arm.normalised else pictures
            found[name] = class_energy.measure(moved, labels, basis.directions).score(basis.eigenvalues)
    return found


def separable(pictures, labels, rows: torch.Tensor, indices: Sequence[int], epsilon: float) -> list[int]:
    """Indices at which the carriers alone separate the poisoned pictures, see `interventions.separable`.

    Args:
        pictures: (n, C, H, W) in [0, 1].
        labels: (n,).
        rows: (K, 1, H, W), the NADs.
        indices: of the carriers to try.
        epsilon: strength of the carriers.
    """
    found = []
    for i in indices:
        changed, carriers = interventions.poison(pictures, labels, rows, i, epsilon)
        if interventions.separable(changed.flatten(1) @ carriers.flatten(1).T, labels):
            found.append(i)
    return found


def _curve() -> list[int]:
    """Numbers of leading NADs at which a curve of shares is kept, about evenly spaced on a logarithmic axis."""
    return np.unique(np.geomspace(1, 1024, 64).round().astype(int)).tolist()


def _nads(architecture: str, images: str, width: float, random_networks: int, seed: int) -> Nads:
    """NADs of a network: those of the package, for a full one and for any on digits; else from random networks."""
    options = {"networks": random_networks, "seed": seed} if random_networks else {}
    return shipped.or_measured(architecture, width=width, stand_in=images == "digits", **options)


@measures.kept("images.alignment", version=VERSIONS, bound=0.01, digits=5, apart=("root",), known=NAMED)
def aligned(
    architecture: str,
    *,
    images: str,
    count: int,
    width: float = 1.0,
    random_networks: int = 0,
    seed: int = 0,
    root: str = "data/cifar10",
) -> dict[str, list]:
    """Where the classes of training images differ, in terms of a network's NADs: as they are and flipped.

    Args:
        architecture: as `architectures.factory` takes it.
        images: "cifar10" or "digits".
        count: number of training images, the same of each class.
        width: share of its channels.
        random_networks: that the NADs of a narrow network are measured from.
        seed: of these, and of the signs, the rotation and the permutation.
        root: folder of CIFAR-10.

    Returns:
        `k`: numbers of leading NADs; `original`, `flipped`: share of the class energy in the first k;
        `leading`, `leading_error`: two lists, original and flipped, of these shares at `LEADING` and their standard
        errors; `scores`: of all `conditions` in their order, the few first, but for `PIXELS`.
    """
    pictures, labels = arms.prepare(arms.clean(), cifar.Source(images, root, train=count)).train
    basis = _nads(architecture, images, width, random_networks, seed)
    both = alignment(pictures, labels, basis.directions)
    at = _curve()
    chosen = conditions(basis, seed, every=True)
    return {
        "k": at,
        "original": cumulated(both[0])[np.array(at) - 1],
        "flipped": cumulated(both[1])[np.array(at) - 1],
        "leading": [[which.leading(k) for k in LEADING] for which in both],
        "leading_error": [[which.leading_error(k) for k in LEADING] for which in both],
        "scores": list(scores(chosen, pictures, labels, basis).values()),
    }


@measures.kept("images.separable", version=VERSIONS, bound=0.0, apart=("root",), known=NAMED)
def separated(
    architecture: str,
    *,
    images: str,
    indices: list[int],
    epsilon: float,
    count: int = 400,
    width: float = 1.0,
    random_networks: int = 0,
    seed: int = 0,
    root: str = "data/cifar10",
) -> dict[str, list[int]]:
    """Whether the carriers alone separate `count` poisoned training images, by carrier: 1 or 0 for each of `indices`.

    The other arguments are as for `aligned`; `epsilon` is the carriers' strength.
    """
    some, labels = cifar.Source(images, root, train=count).load("train")
    rows = _nads(architecture, images, width, random_networks, seed).directions
    found = separable(cifar.to_unit(some), labels, rows, indices, epsilon)
    return {"separable": [int(i in found) for i in indices]}
