"""The measures of 06_flipping: what is done to the images, what it costs, how data and NADs align, and the verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
import xarray as xr

from anisotropy.directions import fourier
from anisotropy.images import arms, class_energy, interventions
from anisotropy.images.class_energy import Alignment
from anisotropy.nads import Nads
from anisotropy.paper import claims, image_studies, plotting

FLIPPED, SIGNS, ROTATED, PIXELS = "NADs flipped", "random signs", "rotated", "flipped, then normalised"

INDIFFERENT = "logreg"
"""The network without a preferred direction: no rotation of the images changes what it can learn."""

LEADING = (1, 10, 50, 200)
"""Numbers of leading NADs whose share of the class energy is told; the last, a fifth of all, is judged."""


@lru_cache(maxsize=1)
def waves() -> torch.Tensor:
    """The Fourier basis of pictures of 32 x 32 pixels, from low to high frequency, (1024, 1, 32, 32)."""
    return fourier(32, 32).vectors[:, None].float()


def conditions(rows: torch.Tensor, draw: int, *, every: bool) -> dict[str, arms.Arm]:
    """What is done to the images of a network, by name.

    Args:
        rows: (1024, 1, 32, 32), its NADs.
        draw: seed of the signs, the rotation and the permutation.
        every: all controls; otherwise those that the claims need.
    """
    few = {
        "original": arms.clean(),
        FLIPPED: arms.flipped(rows),
        SIGNS: arms.signed(rows, seed=draw),
        ROTATED: arms.rotated(1024, seed=draw),
    }
    more = {
        "NADs permuted": arms.permuted(rows, seed=draw),
        "Fourier flipped": arms.flipped(waves(), label="Fourier flipped"),
        PIXELS: arms.flipped_pixels(rows),
    }
    return few | more if every else few


def lost(found: xr.Dataset) -> dict[str, np.ndarray]:
    """Accuracy lost against the original by each condition, (seeds,), fractions, paired by seed."""
    test = found.test_accuracy
    original = test.sel(arm="original").values
    return {arm: original - test.sel(arm=arm).values for arm in test.arm.values if arm != "original"}


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


def verdicts(plan: image_studies.Plan, found: xr.Dataset, images: str) -> Iterator[claims.Claim]:
    """The claims of Fig. 8 and its controls for one network.

    Args:
        plan: how it was trained.
        found: its table, an arm for each of `conditions`.
        images: "digits" or "cifar10".
    """
    _, digits = image_studies.rounding(images)
    cost = lost(found)
    if plan.name == INDIFFERENT:
        text = f"{plan.title}, accuracy changed by flipping"
        numbers = {"expected": 0, "tolerance": 0.05, "digits": digits, **claims.mean(cost[FLIPPED])}
        yield claims.within(text, "Sec. 4.2", **numbers)
        return
    if images == image_studies.DIGITS:
        yield claims.undecided(f"{plan.title}, flipping", "Fig. 8", "a small network on digits; see the figure")
        return
    text = f"{plan.title}, accuracy lost by flipping"
    yield claims.at_least(text, "Fig. 8", bound=0.05, digits=digits, **claims.mean(cost[FLIPPED]))
    for arm in ("original", FLIPPED):
        error = 1 - found.train_accuracy.sel(arm=arm).values
        fits = f"{plan.title}, training error, {arm}"
        yield claims.at_most(fits, "Sec. 4.2", bound=0.05, digits=digits, **claims.mean(error))
    for arm, words in ((ROTATED, "a random rotation"), (SIGNS, "random signs, which keep the alignment")):
        beyond = claims.mean(cost[FLIPPED] - cost[arm])
        yield claims.at_least(f"{text} beyond that lost by {words}", "Sec. 4.2", bound=0, digits=digits, **beyond)


def aligned(
    measured: Mapping[str, tuple[Alignment, Alignment]], images: str, count: int, k: int = LEADING[-1]
) -> Iterator[claims.Claim]:
    """The claim, for each network but the indifferent one, that class energy lies in the leading NADs.

    Args:
        measured: network -> `alignment`.
        images: "digits" or "cifar10".
        count: number of images.
        k: number of leading NADs.
    """
    for name, both in measured.items():
        text = f"{plotting.LABELS.get(name, name)}, share of class energy in {k} NADs"
        if name == INDIFFERENT:
            continue
        if images == image_studies.DIGITS:
            yield claims.undecided(text, "Sec. 4.2", "digits are no natural images; the figure shows them")
            continue
        before, after = (which.leading(k) for which in both)
        numbers = {"spread": float(np.hypot(*(which.leading_error(k) for which in both))), "n": count, "digits": 2}
        yield claims.at_least(f"{text}, before minus after", "Sec. 4.2", before - after, 0.3, **numbers)


def numbers(found: Mapping[str, xr.Dataset]) -> dict[str, np.ndarray]:
    """Accuracies of each network under each condition, (seeds,): of the test set, then of the training set."""
    test = {f"{n}, {arm}": t.test_accuracy.sel(arm=arm).values for n, t in found.items() for arm in t.arm.values}
    train = {
        f"{n}, {arm}, train": t.train_accuracy.sel(arm=arm).values for n, t in found.items() for arm in t.arm.values
    }
    return test | train


def told(shares: Alignment, leading: Sequence[int] = LEADING) -> list[str]:
    """Shares of the class energy in the leading NADs, to a digit."""
    return [f"{shares.leading(k):.1f}" for k in leading]
