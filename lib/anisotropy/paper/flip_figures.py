"""Figures of 06_flipping: pictures, tables and measures in, a figure out."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from anisotropy.experiments import image_measures
from anisotropy.images import arms, interventions
from anisotropy.paper import plotting

SHADES = {
    "original": "0.25",
    image_measures.FLIPPED: "#D55E00",
    image_measures.SIGNS: "#009E73",
    image_measures.ROTATED: "#56B4E9",
    "NADs permuted": "#F0E442",
    "Fourier flipped": "0.65",
    image_measures.PIXELS: "#8C6BB1",
}
"""Condition -> colour of its bar."""

MARKS = dict(zip(SHADES, "oXPs^Dv", strict=True))
"""Condition -> its mark."""


def scene() -> torch.Tensor:
    """A centred picture (1, 3, 32, 32), to show maps on: a disc on a slope."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    disc = torch.sigmoid(20 * (0.5 - ((x - 0.2) ** 2 + (y + 0.1) ** 2).sqrt()))
    return torch.stack([2 * disc - 0.6, 0.7 * y - 0.4 * disc + 0.1, 0.5 - 0.8 * y - disc])[None]


def moved(conditions: Mapping[str, Mapping[str, arms.Arm]]) -> dict[str, torch.Tensor]:
    """The scene, and what becomes of it: flipped and with random signs in each network's NADs, flipped, rotated.

    Args:
        conditions: network -> `image_measures.conditions`; one without preferred directions has no panel.

    Returns:
        Title -> (1, 3, 32, 32).
    """
    found = {"a picture": scene()}
    shown = {name: chosen for name, chosen in conditions.items() if name != image_measures.INDIFFERENT}
    for arm, word in ((image_measures.FLIPPED, "flipped"), (image_measures.SIGNS, "signs")):
        for name, chosen in shown.items():
            found[f"{word},\n{plotting.LABELS.get(name, name)}"] = chosen[arm].normalised(scene())
    found["flipped,\nFourier"] = interventions.flip(scene(), image_measures.waves())
    found["rotated"] = next(iter(conditions.values()))[image_measures.ROTATED].normalised(scene())
    return found


def pictures(panels: Mapping[str, torch.Tensor]) -> Figure:
    """Centred pictures (1, 3, H, W) side by side, 0 in grey."""
    figure, axes = plt.subplots(1, len(panels), figsize=(1.45 * len(panels), 1.9), squeeze=False)
    for ax, (title, values) in zip(axes[0], panels.items(), strict=True):
        ax.imshow((0.5 + values[0] / 4).clamp(0, 1).permute(1, 2, 0))
        ax.set_title(title, fontsize=9)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
    return figure


def accuracy(found: Mapping[str, xr.Dataset]) -> Figure:
    """Fig. 8: accuracy of each network on test and training set, a bar for each condition.

    Args:
        found: network -> its table, an arm for each of `image_measures.conditions`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.4), sharey=True)
    titles = [look["label"] for look in plotting.looks(found).values()]
    for ax, result in zip(axes, ("test_accuracy", "train_accuracy"), strict=True):
        for place, (arm, shade) in enumerate(SHADES.items()):
            have = [(k, table) for k, table in enumerate(found.values()) if arm in table.arm]
            if have:
                values = xr.concat([table[result].sel(arm=arm) for _, table in have], "network")
                # the bars of each network about its tick
                at = [k + 0.12 * place - 0.06 * (table.sizes["arm"] - 1) for k, table in have]
                means, spreads = plotting.percent(values)
                ax.bar(at, means, 0.11, yerr=spreads, capsize=2, color=shade, alpha=0.85, label=arm)
        ax.set_xticks(range(len(found)), titles, fontsize=8)
        ax.set(ylabel=f"{result.split('_')[0]} accuracy in %", ylim=(0, 102))
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def alignment(measured: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Share of the class energy in the leading NADs, as the data are (full) and flipped (dashed).

    Args:
        measured: network -> `image_measures.aligned`.
    """
    figure, ax = plt.subplots(figsize=(5.2, 3.3))
    for name, look in plotting.looks(measured).items():
        for style, label, which in (("-", look["label"], "original"), ("--", None, "flipped")):
            share = 100 * np.array(measured[name][which])
            ax.semilogx(measured[name]["k"], share, style, color=look["color"], label=label)
    for style, which in (("-", "the data as they are"), ("--", "flipped")):
        ax.plot([], [], style, color="0.5", label=which)
    ax.set(xlabel="leading NADs", ylabel="class-discriminating energy in %", ylim=(0, 102))
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def scores(measured: Mapping[str, Mapping[str, float]], found: Mapping[str, xr.Dataset]) -> Figure:
    """Test accuracy against the alignment score, a mark for each condition, a colour for each network.

    Args:
        measured: network -> score of each condition, see `image_measures.scores`.
        found: network -> its table.
    """
    figure, ax = plt.subplots(figsize=(4.8, 3.3))
    for name, look in plotting.looks(measured).items():
        for arm, score in measured[name].items():
            height = 100 * float(found[name].test_accuracy.sel(arm=arm).mean("seed"))
            ax.semilogx(score, height, MARKS[arm], color=look["color"], mfc="none")
        ax.plot([], [], lw=4, **look)
    for arm in dict.fromkeys(arm for each in measured.values() for arm in each):
        ax.plot([], [], MARKS[arm], color="0.4", mfc="none", label=arm)
    ax.set(xlabel="alignment score of data and network", ylabel="test accuracy in %")
    ax.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
