"""Figures of 01_fourier_bias: arrays in, a figure out; nothing is computed here."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from anisotropy.directions import FourierBasis
from anisotropy.paper import plotting
from anisotropy.paper.fourier_bias import Arm

LINES = {"": ("-", "o"), "no pooling": ("--", "s"), "no pooling, no strides": (":", "^")}
"""Line and mark of a network, by what was taken out of it."""


def waves(basis: FourierBasis, frequencies: Sequence[tuple[int, int]]) -> Figure:
    """Cosines of some frequencies (ky, kx): as pictures, and their spectra below with frequency 0 in the centre."""
    figure, axes = plt.subplots(2, len(frequencies), figsize=(1.2 * len(frequencies), 2.6), squeeze=False)
    for (upper, lower), (ky, kx) in zip(axes.T, frequencies, strict=True):
        v = basis.vectors[basis.index(ky, kx)]
        upper.set_title(f"({ky}, {kx})")
        plotting.direction(upper, v)
        plotting.spectrum_picture(lower, v)
    return figure


def accuracy_maps(maps: Mapping[str, np.ndarray], frequencies, published: Mapping[str, xr.DataArray]) -> Figure:
    """Accuracies over frequencies, one network a column, the authors' below where they are there.

    Args:
        maps: network -> (n, n) fractions, frequency 0 in the centre.
        frequencies: (n,) of rows and columns.
        published: network -> (ky, kx) fractions; may be empty.
    """
    count, looks = 1 + bool(published), plotting.looks(maps)
    figure, axes = plt.subplots(count, len(maps), figsize=(3 * len(maps), 3 * count), squeeze=False)
    for column, (name, picture) in zip(axes.T, maps.items(), strict=True):
        label = looks[name]["label"]
        plotting.accuracy_map(column[0], picture, frequencies).set_title(label)
        if name in published:
            theirs = published[name]
            plotting.accuracy_map(column[1], theirs, theirs.ky.values).set_title(f"{label}, published")
        elif published:
            column[1].set_axis_off()
    figure.colorbar(axes[0, 0].images[0], ax=axes, label="test accuracy in %", shrink=0.8)
    return figure


def training_time(steps: Mapping[str, np.ndarray], axis: Sequence[int], limit: int) -> Figure:
    """Steps to a small training loss: bars are means over seeds, whiskers their extremes.

    Args:
        steps: network -> (frequencies, seeds); NaN where the loss did not get small.
        axis: horizontal frequencies.
        limit: steps after which training was cut off: those that are NaN count as many, and their bar is hatched.
    """
    figure, ax = plt.subplots(figsize=(3.2 + 1.4 * len(steps), 2.8))
    wide, looks = 0.8 / len(steps), plotting.looks(steps)
    for number, (name, values) in enumerate(steps.items()):
        heights = np.where(np.isnan(values), limit, values)
        middle = heights.mean(1)
        whiskers = np.abs([heights.min(1) - middle, heights.max(1) - middle])
        places = np.arange(len(axis)) + wide * (number - (len(steps) - 1) / 2)
        bars = ax.bar(places, middle, wide, yerr=whiskers, ecolor="0.3", capsize=2, edgecolor="white", **looks[name])
        for bar, missed in zip(bars, np.isnan(values).any(1), strict=True):
            bar.set_hatch("////" if missed else None)
    ax.set(xticks=np.arange(len(axis)), xticklabels=axis, xlabel="horizontal frequency $k_x$", ylabel="steps")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(steps))
    return figure


def without_pooling(arms: Sequence[Arm], accuracies: Mapping[str, np.ndarray]) -> Figure:
    """Accuracy against frequency with and without pooling: means over seeds and their extremes, a panel a network.

    Args:
        arms: from `fourier_bias.arms`.
        accuracies: label of an arm -> (frequencies, seeds), fractions.
    """
    networks = list(dict.fromkeys(arm.network for arm in arms))
    figure, axes = plt.subplots(1, len(networks), figsize=(4.5 * len(networks), 3), sharey=True, squeeze=False)
    for ax, network in zip(axes[0], networks, strict=True):
        mine = [arm for arm in arms if arm.network == network]
        for number, arm in enumerate(mine):
            line, mark = LINES[arm.label.partition(", ")[2]]
            middle, low, high = (100 * f(accuracies[arm.label], axis=1) for f in (np.mean, np.min, np.max))
            places = np.array(arm.axis) + 0.03 * np.ptp(arm.axis) * (number - (len(mine) - 1) / 2)  # beside each other
            look = {"ls": line, "marker": mark, "ms": 5, "color": plotting.colour(network), "label": arm.label}
            ax.errorbar(places, middle, [middle - low, high - middle], capsize=3, **look)
        ax.set(xlabel="horizontal frequency $k_x$", xticks=mine[0].axis, ylim=(45, 101))
        ax.legend(fontsize=7, handlelength=4)
    axes[0, 0].set_ylabel("test accuracy in %")
    return figure


def strips(values: Mapping[str, np.ndarray], network: str) -> Figure:
    """Accuracies of a network as marks on a line, one line for each kind of direction.

    Args:
        values: kind -> (K,) fractions; the first is the lowest line.
        network: gives colour and name.
    """
    look = plotting.looks([network])[network]
    figure, ax = plt.subplots(figsize=(6, 2.2))
    for height, accuracies in enumerate(values.values()):
        ax.plot(100 * accuracies, np.full(len(accuracies), height), "|", ms=18, color=look["color"])
    label = f"test accuracy of {look['label']} in %"
    ax.set(yticks=range(len(values)), yticklabels=list(values), ylim=(-0.6, len(values) - 0.4), xlabel=label)
    return figure
