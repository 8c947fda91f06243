"""Figures of 08_where_nads_come_from: arrays in, a figure out; nothing is computed here."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from anisotropy.paper import plotting

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
"""Okabe and Ito's palette, in the order in which curves take it."""

DECADES = (-2.0, 2.0)
"""Range of log10(energy / mean) in every Fourier map."""


def errors(curves: Mapping[str, Mapping[int, object]]) -> Figure:
    """Error against width, one panel each: the error, its part from sampling, and the bias that is left.

    Args:
        curves: title -> width -> `widths.Distance`.
    """
    figure, axes = plt.subplots(1, len(curves), figsize=(2.1 * len(curves) + 0.6, 2.9), sharey=True, squeeze=False)
    for ax, (title, curve) in zip(axes[0], curves.items(), strict=True):
        at = list(curve)
        ax.loglog(at, [d.error for d in curve.values()], "o-", color=COLOURS[0], label="error")
        ax.loglog(at, [d.noise for d in curve.values()], "--", color="0.45", label="its part from sampling")
        seen = {w: d for w, d in curve.items() if d.seen}
        ax.loglog(list(seen), [d.offset for d in seen.values()], "x", ms=8, color=COLOURS[1], label="bias, where seen")
        ax.set(title=title, xlabel="channels", xticks=at, xticklabels=[str(w) for w in at])
        ax.minorticks_off()
    axes[0, 0].set(ylabel="relative to the\nanisotropic part of $C$", yticks=(0.1, 0.2, 0.5, 1, 2))
    axes[0, 0].set_yticklabels(["0.1", "0.2", "0.5", "1", "2"])
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def maps(pictures: Mapping[str, np.ndarray], *, columns: int = 6, width: float = 9.5) -> Figure:
    """Fourier maps of energies, frequency 0 in the centre, all with one scale.

    Args:
        pictures: title -> (n, n) energies as multiples of their mean.
        columns: panels a row.
        width: of the figure, inches.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(width, rows * width / columns + 0.35 * rows), squeeze=False)
    for ax in axes.flat[len(pictures) :]:
        ax.set_visible(False)
    for number, (ax, (title, picture)) in enumerate(zip(axes.flat, pictures.items(), strict=False)):
        image = energy_map(ax, picture)
        ax.set_title(title, fontsize=9)
        ax.tick_params(labelleft=number % columns == 0, labelsize=8)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01, ticks=range(-2, 3))
    bar.set_label("$\\log_{10}$ (energy / mean)", fontsize=8)
    return figure


def energy_map(ax, picture: np.ndarray):
    """One map of log10 energies into given axes; NaN stays blank."""
    size = len(picture)
    low = -(size // 2) - 0.5
    values = np.log10(np.clip(np.asarray(picture, float), 10 ** DECADES[0], None))
    extent = (low, low + size, low + size, low)
    image = ax.imshow(values, extent=extent, vmin=DECADES[0], vmax=DECADES[1], cmap="PuOr_r")
    ax.set(xticks=[-(size // 4), 0, size // 4], yticks=[-(size // 4), 0, size // 4])
    ax.grid(False)
    return image


def spectra(curves: Mapping[str, np.ndarray]) -> Figure:
    """Eigenvalues over their mean, in decreasing order, one curve a network."""
    figure, ax = plt.subplots(figsize=(6.2, 3.2))
    for number, (name, values) in enumerate(curves.items()):
        values = np.clip(np.asarray(values), 1e-12, None)
        values = values / values.mean()
        style = "-" if number < len(COLOURS) else "--"
        ax.loglog(np.arange(1, len(values) + 1), values, style, color=COLOURS[number % len(COLOURS)], label=name)
    ax.set(xlabel="index $i + 1$", ylabel="eigenvalue / mean", ylim=(1e-4, None))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return figure


def lines(profiles: Mapping[str, tuple[Sequence[float], Sequence[float]]], dark: Sequence[int]) -> Figure:
    """Energy along the horizontal frequencies of several networks.

    Args:
        profiles: name -> (frequencies, energies as multiples of the mean).
        dark: frequencies to mark.
    """
    figure, ax = plt.subplots(figsize=(5.2, 2.9))
    for (name, (at, energy)), colour in zip(profiles.items(), COLOURS, strict=False):
        ax.semilogy(at, energy, "o-", ms=3.5, color=colour, label=name)
    for k in dark:
        ax.axvline(k, color="0.7", lw=1, zorder=0)
    ax.set(xlabel="horizontal frequency (vertical frequency 0)", ylabel="energy / mean")
    ax.legend()
    return figure


def predictions(
    pictures: Mapping[str, np.ndarray], frequencies: Mapping[str, Sequence[int]], published: Mapping[str, np.ndarray]
) -> Figure:
    """Exact maps, one column a network, and the accuracies of the authors' networks below where they are there.

    Args:
        pictures: network -> (n, n) energies as multiples of their mean.
        frequencies: network -> (n,) of rows and columns.
        published: network -> (16, 16) accuracies, fractions; empty where the authors' table is not given.
    """
    rows, columns = 2 if published else 1, len(pictures)
    figure, axes = plt.subplots(rows, columns, figsize=(4.4 * columns, 3.3 * rows), squeeze=False)
    for column, (title, picture) in zip(axes.T, pictures.items(), strict=True):
        values = np.log10(np.clip(picture, 1e-3, None))
        panels = [(values, frequencies[title], {"cmap": "PuOr_r", "vmin": -2, "vmax": 2}, "log10 (energy / mean)")]
        if published:
            style = {"cmap": "magma", "vmin": 50, "vmax": 100}
            panels.append((100 * published[title], range(-16, 16, 2), style, "test accuracy, %"))
        name = plotting.LABELS.get(title, title)
        titles = (f"{name}, exact: none drawn, none trained", f"{name}, trained by the authors (Fig. 1)")
        for ax, (shown, at, style, label), heading in zip(column, panels, titles, strict=False):
            step = at[1] - at[0]
            low, high = at[0] - step / 2, at[-1] + step / 2
            image = ax.imshow(shown, extent=(low, high, high, low), **style)
            figure.colorbar(image, ax=ax, label=label, shrink=0.85)
            ax.set_title(heading, fontsize=9)
            ax.set(xticks=[-16, -8, 0, 8], yticks=[-16, -8, 0, 8], ylabel="vertical frequency")
            ax.grid(False)
    for ax in axes[-1]:
        ax.set(xlabel="horizontal frequency")
    return figure


def clouds(groups: Mapping[str, np.ndarray], threshold: float, marks: Mapping[str, float]) -> Figure:
    """Energies of cells as two clouds, a threshold between them, and single frequencies under them.

    Args:
        groups: name -> energies as multiples of the mean; may be empty.
        threshold: drawn as a line.
        marks: label -> energy of a frequency that was foretold.
    """
    rows = len(groups) + len(marks)
    figure, ax = plt.subplots(figsize=(7.2, 0.27 * len(marks) + 0.5 * len(groups) + 0.9))
    ticks, random = {}, np.random.default_rng(0)
    for at, (name, values) in enumerate(groups.items()):
        scatter = rows - at + 0.25 * random.uniform(-1, 1, len(values))
        ax.plot(values, scatter, ".", ms=5, alpha=0.5, color=COLOURS[at % 2])
        ticks[f"{name} ({len(values)} cells)"] = rows - at
    for at, (name, value) in enumerate(marks.items()):
        place = rows - len(groups) - at
        ax.plot(value, place, "D", ms=5, color=COLOURS[2])
        ticks[name] = place
    ax.axvline(threshold, color="0.3", ls="--", lw=1.2)
    ax.set(xscale="log", xlabel="exact energy / mean", yticks=list(ticks.values()), yticklabels=list(ticks))
    ax.tick_params(axis="y", labelsize=8)
    return figure


def depth(energies: Mapping[int, np.ndarray], fading: Mapping[int, np.ndarray], rates: Mapping[int, float]) -> Figure:
    """What layers do to each Fourier mode.

    Args:
        energies: number of layers -> energy at horizontal frequencies 0, 1, ... as multiples of the mean.
        fading: mode -> its amplitude after 1, 2, ... layers.
        rates: mode -> factor a layer by which theory lets it fade.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.1))
    shades = plt.cm.viridis(np.linspace(0, 0.9, len(energies)))
    for (count, values), shade in zip(energies.items(), shades, strict=True):
        left.semilogy(range(len(values)), values, "o-", ms=3.5, color=shade, label=f"{count}")
    left.set(xlabel="horizontal frequency", ylabel="energy / mean")
    left.legend(title="layers", fontsize=8, title_fontsize=8)
    for (mode, values), colour in zip(fading.items(), COLOURS, strict=False):
        at = np.arange(1, len(values) + 1)
        right.semilogy(at, values, "o", ms=4.5, color=colour, label=f"mode {mode}")
        right.semilogy(at, values[0] * rates[mode] ** (at - 1), "-", lw=1, color=colour)
    right.set(xlabel="layers before the subsampling", ylabel="amplitude in $C_{ii}$ / mean")
    right.legend(fontsize=8)
    return figure
