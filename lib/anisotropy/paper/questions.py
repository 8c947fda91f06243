"""The questions of 07_your_architecture: what fits them, whether training follows, the figures, and the verdicts."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from anisotropy.directions import FourierBasis
from anisotropy.images import class_energy
from anisotropy.paper import claims, plotting

GAP = 0.1
"""Accuracies that differ by less are called equal."""


def fitting(networks: Sequence[str], size: int, axis: Sequence[int], indices: Sequence[int]) -> None:
    """Refuse what cannot be measured, before anything is.

    Raises:
        ValueError: no network or one twice, or frequencies or indices that pictures of this size do not have.
    """
    if not networks or len(plotting.titles(networks)) < len(networks):
        raise ValueError(f"expected at least one network and none twice, got networks={networks}")
    for word, values, most in (("axis", axis, size // 2), ("indices", indices, size**2 - 1)):
        if not values or min(values) < 0 or max(values) > most:
            raise ValueError(
                f"expected numbers from 0 to {most} for images of size={size}, got {word}={values}: set both"
            )


def pictures_fit(pictures, labels, size: int) -> None:
    """Refuse images of another size, or too few for the classes' energy.

    Raises:
        ValueError: either.
    """
    class_energy.check(pictures, labels)
    if pictures.shape[-2:] != (size, size):
        raise ValueError(
            f"expected images of {size} x {size} pixels, as size={size} says, got {tuple(pictures.shape)}: set size, "
            'or give your own, images="module:callable"'
        )


def over_frequencies(basis: FourierBasis, rows: np.ndarray, values) -> np.ndarray:
    """Values (K,) of some rows of a Fourier basis as a map (H, W) over frequencies, in units of their mean."""
    every = np.full(len(basis.frequencies), np.nan)
    every[rows] = np.asarray(values) / np.mean(np.asarray(values))
    return basis.picture(every)


def in_order(energy: np.ndarray, accuracy: np.ndarray, gap: float = GAP) -> float:
    """Of all pairs of directions whose accuracies differ by more than `gap`, the share that their energies order.

    Half of them by chance; NaN where no two accuracies differ.

    Example:
        >>> in_order(np.array([3.0, 2.0, 1.0]), np.array([0.9, 0.5, 0.52]))
        1.0
    """
    i, j = np.triu_indices(len(energy), 1)
    better = accuracy[i] - accuracy[j]
    clear = np.abs(better) > gap
    return float((np.sign(better) == np.sign(energy[i] - energy[j]))[clear].mean()) if clear.any() else float("nan")


def training(energies: Mapping[str, np.ndarray], accuracies: Mapping, kinds: Sequence[str]) -> Figure:
    """Trained accuracy against what fresh networks answer, a panel for each network.

    Args:
        energies: title -> (K,) in units of their mean over all directions.
        accuracies: title -> table of fractions with a dimension `seed`.
        kinds: (K,) what each direction is; each kind has its own mark.
    """
    count = len(energies)
    figure, axes = plt.subplots(1, count, figsize=(1.5 + 2.7 * count, 3.0), sharey=True, squeeze=False)
    kinds = np.asarray(kinds)
    for ax, (title, energy) in zip(axes[0], energies.items(), strict=True):
        means, bars = plotting.percent(accuracies[title])
        for kind, mark in zip(dict.fromkeys(kinds), "os^", strict=False):
            chosen = kinds == kind
            bar = None if bars is None else bars[chosen]
            at = np.maximum(energy[chosen], 1e-3)
            ax.errorbar(at, means[chosen], bar, fmt=mark, mfc="none", capsize=2, label=kind)
        ax.set(xscale="log", xlim=(5e-4, 300), ylim=(40, 102), title=title, xlabel="energy / mean, before training")
    axes[0, 0].set(ylabel="test accuracy in %")
    axes[0, 0].legend()
    return figure


def shares(measured: Mapping[str, class_energy.Alignment], colours: Mapping[str, str]) -> Figure:
    """How much of what tells classes apart lies along the leading directions of each network."""
    figure, ax = plt.subplots(figsize=(6, 3.2))
    for title, found in measured.items():
        share = np.cumsum(found.energy) / found.energy.sum()
        ax.semilogx(1 + np.arange(len(share)), 100 * share, color=colours[title], label=title)
    ax.set(xlabel="leading NADs", ylabel="class-discriminating energy in %", ylim=(0, 102))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def beyond_pixels(curves: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], xlabels: Sequence[str]) -> Figure:
    """Energies along directions that have an order but no picture: a panel for each kind of input.

    Args:
        curves: title of the panel -> network -> (what directions are ordered by, energies in units of their mean).
        xlabels: what they are ordered by.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(3.9 * len(curves), 3.2), squeeze=False)
    for ax, (title, networks), xlabel in zip(axes[0], curves.items(), xlabels, strict=True):
        for (name, (at, energy)), mark in zip(networks.items(), "os^vD", strict=False):
            ax.semilogy(at, np.maximum(energy, 1e-6), mark, ms=4, mfc="none", label=name)
        ax.set(title=title, xlabel=xlabel, ylabel="energy / mean")
        ax.legend()
    return figure


def verdicts(title: str, common: float, anisotropy: float, follows: np.ndarray, scores: Sequence[float], where: str):
    """The paper's claims as they read for one network, three of them.

    Args:
        title: of the network.
        common: alignment of two estimates of its NADs.
        anisotropy: of the two.
        follows: share of pairs of directions that training leaves in order, for each seed.
        scores: of images, from each estimate.
        where: which images.
    """
    text = f"{title}: fresh networks prefer directions (alignment of two estimates)"
    if common < 0.5 and anisotropy > 1.1:
        yield claims.undecided(text, "Sec. 3", "there is too much noise in them: raise random_networks")
    else:
        yield claims.at_least(text, "Sec. 3", common, 0.5, digits=1)
    text = f"{title}: training follows (share of pairs of directions)"
    if common < 0.5:
        yield claims.undecided(text, "Sec. 4.1", "no preference was found to follow")
    elif np.isnan(follows).any():
        yield claims.undecided(text, "Sec. 4.1", f"no two accuracies differ by more than {GAP}")
    else:
        yield claims.at_least(text, "Sec. 4.1", bound=0.75, digits=1, **claims.mean(follows))
    text = f"{title}: classes of {where} lie where it answers (score)"
    if common < 0.5:
        yield claims.undecided(text, "Sec. 4.2", "no preference was found")
    else:
        yield claims.at_least(text, "Sec. 4.2", bound=1, digits=1, **claims.mean(scores))
