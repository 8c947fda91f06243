"""Figures of 04_accuracy_along_nads: spectra, accuracies and responses in, a figure out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from anisotropy.experiments.prediction_measures import FAMILIES
from anisotropy.nads import Nads
from anisotropy.paper import plotting
from anisotropy.paper.nad_accuracy import Answer, Question

MARKS = dict(zip(FAMILIES, "o^s", strict=True))
WORDS = {"secant": "NADs, secant", "gradient": "NADs, gradient", "Fourier": "Fourier"}


def along(
    bases: Mapping[str, Nads],
    accuracy: Mapping[str, np.ndarray],
    indices: Sequence[int],
    authors: xr.Dataset | None,
) -> Figure:
    """Fig. 6: spectra, and accuracies along the NADs.

    Args:
        bases: network -> its NADs.
        accuracy: network -> (indices, seeds).
        indices: of the NADs.
        authors: `published.nad_accuracies`, where their folder is there: LeNet's curve is drawn.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    for name, look in plotting.looks(accuracy).items():
        left.loglog(1 + np.arange(len(bases[name].eigenvalues)), bases[name].eigenvalues, **look)
        middle, spread = 100 * accuracy[name].mean(1), 100 * accuracy[name].std(1, ddof=accuracy[name].shape[1] > 1)
        right.errorbar(1 + np.array(indices), middle, spread, fmt="o-", capsize=3, **look)
    if authors is not None and "lenet" in accuracy:
        theirs = authors.accuracy.sel(network="lenet")[authors.measured.values]
        text = "LeNet, published\n(noise, samples, epochs not stated)"
        right.plot(1 + theirs.index, 100 * theirs, ":", color=plotting.COLOURS["lenet"], label=text)
    left.set(xlabel="index $i + 1$", ylabel="eigenvalue")
    right.set(xscale="log", xlabel="index $i + 1$", ylabel="test accuracy in %", ylim=(45, 102))
    right.legend(fontsize=8)
    return figure


def responses(asked: Mapping[Question, Answer]) -> Figure:
    """Accuracy against the response that each definition expects; a row for each network. Whiskers: least to greatest
    response of the measurements of C.
    """
    columns = len(next(iter(asked.values())).energies)
    size = (2.1 * columns, 2.5 * len(asked))
    figure, axes = plt.subplots(len(asked), columns, figsize=size, sharey="row", squeeze=False)
    for line, (question, answer) in zip(axes, asked.items(), strict=True):
        for ax, (definition, energies) in zip(line, answer.energies.items(), strict=True):
            for family, mark in MARKS.items():
                mine = answer.family == family
                middle = energies[:, mine].mean(0)
                bars = [middle - energies[:, mine].min(0), energies[:, mine].max(0) - middle]
                look = {"fmt": mark, "label": WORDS[family], "alpha": 0.8, "elinewidth": 0.8}
                ax.errorbar(middle, 100 * answer.accuracy.mean(1)[mine], xerr=bars, **look)
            ax.set_xscale("log")
            ax.tick_params(axis="x", which="minor", labelbottom=False)
            ax.set_title(f"{definition}\nrank corr. {answer.score(definition).mean():.2f}", fontsize=8)
        line[0].set_ylabel(f"accuracy of\n{question.label} in %", fontsize=8)
    for ax in axes[-1]:
        ax.set_xlabel(r"$v^T C v$")
    axes[0, 0].legend(fontsize=6)
    return figure


def which_step(asked: Mapping[Question, Answer]) -> Figure:
    """Rank correlation of response and accuracy against the definition, over all directions and over waves alone.

    Whiskers: from the least to the greatest of all pairs of a measurement of C and a training seed. Dotted: how well
    one seed of the training ranks another.
    """
    first = next(iter(asked.values()))
    figure, axes = plt.subplots(1, len(first.sets), figsize=(9, 3.2), sharey=True)
    looks = plotting.looks([question.name for question in asked])
    for ax, words in zip(axes, first.sets, strict=True):
        for k, (question, answer) in enumerate(asked.items()):
            table = np.array([answer.score(definition, words).ravel() for definition in answer.energies])
            middle = table.mean(1)
            places = np.arange(len(table)) + 0.12 * (k - (len(asked) - 1) / 2)
            look = {"color": looks[question.name]["color"], "capsize": 3, "label": question.label}
            ax.errorbar(places, middle, [middle - table.min(1), table.max(1) - middle], fmt="o-", **look)
            ax.axhline(answer.ceiling(words), ls=":", color=look["color"])
        ticks = [definition.removeprefix("secant, ") for definition in first.energies]
        ax.set(xticks=range(len(ticks)), xticklabels=ticks, title=words)
    axes[0].set(ylabel="rank corr. with accuracy", ylim=(-1.05, 1.05))
    axes[0].legend(fontsize=8)
    return figure


def settings(fits: Mapping[str, Sequence[float]], indices: Sequence[int], authors: xr.Dataset | None) -> Figure:
    """LeNet's accuracy along the authors' NADs at several settings, beside the published one where it is there."""
    figure, ax = plt.subplots(figsize=(5, 3))
    for (label, values), look in zip(fits.items(), ("o-", "s--", "^-.", "D:", "v-"), strict=False):
        ax.plot(indices, 100 * np.array(values), look, label=label)
    if authors is not None:
        theirs = 100 * authors.accuracy.sel(network="lenet", index=list(indices))
        ax.plot(indices, theirs, "k:", marker="x", label="published")
    ax.set(xlabel="index", ylabel="test accuracy of LeNet in %")
    ax.legend(fontsize=8)
    return figure
