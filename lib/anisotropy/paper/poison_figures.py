"""Figures of 05_poisoning: pictures and tables in, a figure out; nothing is trained here."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anisotropy.paper import plotting, poisoning
from anisotropy.paper.poisoning import Places, Prediction

FAMILIES = {
    "NAD": ("o-", "black", "NADs (secants)"),
    "gradient": ("^--", "#D55E00", "NADs from gradients"),
    "Fourier": ("s--", "#56B4E9", "Fourier"),
    "random": ("D", "#8C6BB1", "a random direction"),
}
"""Basis of a carrier -> how it is drawn, and what it is called."""


def scene() -> torch.Tensor:
    """A picture (1, 3, 32, 32) in [0, 1] to show poison on: an orange disc before a sky."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 32), torch.linspace(0, 1, 32), indexing="ij")
    disc = torch.sigmoid(40 * (0.28 - ((x - 0.6) ** 2 + (y - 0.45) ** 2).sqrt()))
    return torch.stack([0.35 + 0.55 * disc, 0.55 + 0.2 * y - 0.2 * disc, 0.85 - 0.3 * y - 0.5 * disc])[None]


def carriers(
    picture: torch.Tensor, poisoned: Mapping[int, tuple[torch.Tensor, torch.Tensor]], label: int, title: str
) -> Figure:
    """A picture, the carrier of its class, what poison makes of it, and the difference; one row for each index.

    Args:
        picture: (1, 3, H, W) in [0, 1].
        poisoned: index -> what `interventions.poison` returned for it.
        label: its class.
        title: of the network whose NADs carry.
    """
    figure, axes = plt.subplots(len(poisoned), 4, figsize=(7.2, 2.05 * len(poisoned)), squeeze=False)
    for row, (i, (changed, pictures)) in zip(axes, poisoned.items(), strict=True):
        for ax, values in ((row[0], picture[0]), (row[2], changed[0])):
            ax.imshow(values.clamp(0, 1).permute(1, 2, 0))
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        for ax, values in ((row[1], pictures[label]), (row[3], (changed - picture)[0])):
            scale = 0.5 / float(values.abs().max())
            plotting.direction(ax, values).set_xlabel(f"grey is 0; × {scale:.2g}", fontsize=8)
        row[0].set_ylabel(f"{title}, NAD {i}")
    for ax, head in zip(axes[0], ("image", "its class's carrier", "poisoned", "difference"), strict=True):
        ax.set_title(head)
    return figure


def accuracy(found: Mapping[str, xr.Dataset], where: Places) -> Figure:
    """Fig. 7, accuracy on clean test images against the carrier's index; and test images that follow their carrier.

    Args:
        found: network -> table of `poisoning.along`.
        where: see `poisoning.places`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))
    for name, look in plotting.looks(found).items():
        ours = found[name].sel(arm=[f"NAD {i}" for i in where.along])
        for ax, measure in ((left, ours.test_accuracy), (right, ours.probe_accuracy)):
            ax.errorbar(1 + np.array(where.along), *plotting.percent(measure), fmt="o-", capsize=3, **look)
        test = found[name].test_accuracy
        left.axhline(100 * float(test.sel(arm="clean").mean()), color=look["color"], linestyle=":")
        drawn = plotting.percent(test.sel(arm=[f"scrambled {i}" for i in where.scrambled]))
        left.errorbar(1 + np.array(where.scrambled), *drawn, fmt="x", ms=8, color=look["color"])
    left.plot([], [], "k:", label="clean training set")
    left.plot([], [], "kx", ms=8, label="carriers of random classes")
    for ax, measure in ((left, "test accuracy in %"), (right, "test images classified\nby their carrier, %")):
        ax.set(xscale="log", xlabel="index of the carrier + 1", ylabel=measure, ylim=(-2, 102))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2 + len(found), fontsize=8)
    return figure


def controls(found: Mapping[str, xr.Dataset], others: Mapping[str, xr.Dataset], where: Places) -> Figure:
    """Accuracy against a carrier's place in each basis, a panel for each network; a random direction is a line.

    Args:
        found: network -> table of `poisoning.along`.
        others: network -> table of `poisoning.elsewhere`.
        where: see `poisoning.places`.
    """
    figure, axes = plt.subplots(1, len(found), figsize=(4.4 * len(found), 3.8), sharey=True, squeeze=False)
    for ax, (name, look) in zip(axes[0], plotting.looks(found).items(), strict=True):
        for family, (style, colour, words) in FAMILIES.items():
            table = (found if family == "NAD" else others)[name].test_accuracy
            drawn = plotting.percent(table.sel(arm=[f"{family} {i}" for i in where.families[family]]))
            how = {"color": colour, "label": f"{words}, {_seeds(table)}"}
            if family == "random":
                ax.axhline(float(drawn[0][0]), linestyle="-.", **how)
            else:
                at = 1 + np.array(where.families[family])
                ax.errorbar(at, *drawn, fmt=style, mfc="none", ms=8, capsize=3, **how)
        clean = found[name].test_accuracy.sel(arm="clean")
        ax.axhline(100 * float(clean.mean()), color="0.5", linestyle=":", label=f"clean, {_seeds(clean)}")
        ax.set(xscale="log", xlabel="position in the basis + 1", title=look["label"], ylim=(-2, 102))
    axes[0, 0].set_ylabel("test accuracy in %")
    _legend(figure, axes[0, 0], 2 if len(found) == 1 else 3)
    return figure


def prediction(predictions: Mapping[tuple[str, str], Prediction], where: Places) -> Figure:
    """Accuracy against the response that a covariance expects; a row for each network, a column for each covariance.

    Args:
        predictions: (network, "secant" or "gradient") -> `poisoning.foretold`.
        where: see `poisoning.places`.
    """
    names = list(dict.fromkeys(name for name, _ in predictions))
    columns = len(predictions) // len(names)
    size = (3.6 * columns, 2.7 * len(names) + 0.5)
    figure, axes = plt.subplots(len(names), columns, figsize=size, sharey=True, squeeze=False)
    for ax, ((name, label), found) in zip(axes.flat, predictions.items(), strict=True):
        for family, (style, colour, words) in FAMILIES.items():
            mine = [k for k, (f, _) in enumerate(where.every) if f == family]
            heights = 100 * found.accuracy[mine].mean(1)
            ax.semilogx(found.response[mine], heights, style[0], color=colour, mfc="none", ms=7, label=words)
        title, seeds = plotting.LABELS.get(name, name), _many(found.accuracy.shape[1])
        ax.set_title(f"{title}, C from {label}s\nrank corr. {found.correlation.mean():.2f}, {seeds}", fontsize=9)
        ax.set(xlabel=r"$v^T C v$", ylim=(-2, 102))
    for ax in axes[:, 0]:
        ax.set_ylabel("test accuracy in %")
    _legend(figure, axes[0, 0], 4)
    return figure


def apart(found: xr.DataArray, parts: xr.DataArray, where: Places, title: str) -> Figure:
    """Accuracy against the carrier's place: as released, and with what is written and what is erased taken apart.

    Args:
        found: accuracies of `poisoning.along`.
        parts: accuracies of `poisoning.apart`.
        where: see `poisoning.places`.
        title: of the network.
    """
    looks = {"NAD": ("o-", poisoning.RELEASED)}
    looks |= {name: (mark, words) for (name, (_, words)), mark in zip(poisoning.APART.items(), "^s", strict=True)}
    looks |= {poisoning.UNTOLD: ("x", poisoning.UNTOLD_WORDS)}
    figure, ax = plt.subplots(figsize=(8, 3.3))
    for name, (style, words) in looks.items():
        table = (found if name == "NAD" else parts).sel(arm=[f"{name} {i}" for i in where.along])
        line = {"fmt": style if name == "NAD" else style + "--", "mfc": "none", "ms": 8, "capsize": 3}
        ax.errorbar(1 + np.array(where.along), *plotting.percent(table), label=f"{words}, {_seeds(table)}", **line)
    ax.axhline(100 * float(found.sel(arm="clean").mean()), color="0.5", linestyle=":", label="clean training set")
    ax.set(xscale="log", xlabel="index of the carrier + 1", ylabel="test accuracy in %", title=title, ylim=(-2, 102))
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def strengths(tables: Mapping[int, xr.DataArray], values: Sequence[float], clean: xr.DataArray, title: str) -> Figure:
    """Accuracy against the carriers' strength, a curve for each index.

    Args:
        tables: index -> accuracies, one for each strength, with a dimension `seed`.
        values: the strengths.
        clean: accuracies without poison.
        title: of the network.
    """
    figure, ax = plt.subplots(figsize=(5.4, 3))
    for k, (i, table) in enumerate(tables.items()):
        colour = plt.get_cmap("viridis")(k / len(tables))
        look = {"color": colour, "fmt": "os^Dv"[k % 5] + "-", "mfc": "none", "label": f"NAD {i}"}
        ax.errorbar(values, *plotting.percent(table), ms=9, capsize=3, **look)
    ax.axhline(100 * float(clean.mean()), color="0.5", linestyle=":", label="clean")
    ax.set(xscale="log", xlabel=r"$\epsilon$", ylabel="test accuracy in %", ylim=(-2, 102))
    ax.set_title(f"{title}, {_seeds(clean)}")
    ax.set_xticks(values, labels=[f"{value:g}" for value in values])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure


def numbers(found: Mapping[str, xr.Dataset]) -> dict:
    """The numbers behind `accuracy`: the arms, and every measure of every network by arm and seed."""
    kept = ("test_accuracy", "train_accuracy", "probe_accuracy")
    arm = next(iter(found.values())).arm.values
    return {"arm": list(arm), **{f"{name}_{m}": table[m].values for name, table in found.items() for m in kept}}


def _legend(figure: Figure, ax: Axes, columns: int) -> None:
    handles = ax.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, fontsize=8)


def _seeds(table: xr.DataArray) -> str:
    return _many(table.sizes["seed"])


def _many(count: int) -> str:
    return f"{count} seed" + "s" * (count > 1)
