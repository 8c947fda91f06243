"""The verdicts of 06_flipping: what flipping and its controls cost, and how data and NADs align."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from anisotropy.experiments.image_measures import FLIPPED, INDIFFERENT, LEADING, ROTATED, SIGNS
from anisotropy.paper import claims, image_studies, plotting


def lost(found: xr.Dataset) -> dict[str, np.ndarray]:
    """Accuracy lost against the original by each condition, (seeds,), fractions, paired by seed."""
    test = found.test_accuracy
    original = test.sel(arm="original").values
    return {arm: original - test.sel(arm=arm).values for arm in test.arm.values if arm != "original"}


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


def aligned(measured: Mapping[str, Mapping[str, Any]], images: str, count: int) -> Iterator[claims.Claim]:
    """The claim, for each network but the indifferent one, that class energy lies in the leading NADs.

    Args:
        measured: network -> `image_measures.aligned`.
        images: "digits" or "cifar10".
        count: number of images.
    """
    for name, found in measured.items():
        text = f"{plotting.LABELS.get(name, name)}, share of class energy in {LEADING[-1]} NADs"
        if name == INDIFFERENT:
            continue
        if images == image_studies.DIGITS:
            yield claims.undecided(text, "Sec. 4.2", "digits are no natural images; the figure shows them")
            continue
        before, after = (shares[-1] for shares in found["leading"])
        numbers = {"spread": float(np.hypot(*(errors[-1] for errors in found["leading_error"]))), "n": count}
        yield claims.at_least(f"{text}, before minus after", "Sec. 4.2", before - after, 0.3, digits=2, **numbers)


def numbers(found: Mapping[str, xr.Dataset]) -> dict[str, np.ndarray]:
    """Accuracies of each network under each condition, (seeds,): of the test set, then of the training set."""
    test = {f"{n}, {arm}": t.test_accuracy.sel(arm=arm).values for n, t in found.items() for arm in t.arm.values}
    train = {
        f"{n}, {arm}, train": t.train_accuracy.sel(arm=arm).values for n, t in found.items() for arm in t.arm.values
    }
    return test | train
