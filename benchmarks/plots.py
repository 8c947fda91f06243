"""Plots of the results, each as PNG and SVG, from the files of results; each carries a fingerprint of its file."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from anisotropy._util import files, provenance
from anisotropy.paper import plotting
from matplotlib.figure import Figure
from measuring import ORDER, read

NAIVE, OURS = "0.75", "#0072B2"


def costs(content: dict) -> Figure:
    """Core-hours of each network and method, naive and ours, with the factor between them."""
    rows = [{"method": "secant", **row} for row in content["rows"]]
    methods = [m for m in ("secant", "gradient", "mixed") if any(r["method"] == m for r in rows)]
    figure, axes = plt.subplots(1, len(methods), figsize=(1.2 + 3.2 * len(methods), 3.4), sharey=True, squeeze=False)
    for ax, method in zip(axes[0], methods, strict=True):
        chosen = [r for r in rows if r["method"] == method]
        places = np.arange(len(chosen))
        naive = np.array([r["core_hours_naive"] for r in chosen])
        ours = np.array([r["core_minutes"] / 60 for r in chosen])
        ax.bar(places - 0.2, naive, 0.4, color=NAIVE, label="naive, multiplied out")
        ax.bar(places + 0.2, ours, 0.4, color=OURS, label="ours")
        for place, height, row in zip(places, np.maximum(naive, ours), chosen, strict=True):
            text = f"{row['factor']:,.0f}×" if row["factor"] >= 10 else f"{row['factor']:.1f}×"
            ax.annotate(text, (place, height), (0, 2), textcoords="offset points", ha="center", fontsize=8)
        ax.set(yscale="log", title=method)
        ax.set_xticks(places, [plotting.LABELS[r["network"]] for r in chosen], rotation=35, ha="right", fontsize=8)
        ax.grid(False, axis="x")
    axes[0, 0].set_ylabel("core-hours")
    axes[0, 0].margins(y=0.12)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def sweeps(content: dict) -> Figure:
    """Samples per second relative to the plain float32 loop: median and every repetition; solid: in bfloat16."""
    names = [n for n in ORDER if n in content["networks"]]
    figure, ax = plt.subplots(figsize=(5.2, 2.8))
    for place, name in enumerate(names):
        repetitions, colour = content["networks"][name]["repetitions"], plotting.COLOURS[name]
        for shift, label, alpha in ((-0.2, "ours", 0.35), (0.2, "bfloat16", 0.9)):
            if label in repetitions:
                ratios = np.array(repetitions[label]) / np.array(repetitions["loader"])
                ax.bar(place + shift, np.median(ratios), 0.36, color=colour, alpha=alpha)
                ax.plot(np.full(len(ratios), place + shift), ratios, "o", color="0.2", markersize=2.5)
    ax.axhline(1, color="0.3", linewidth=1)
    ax.set(ylabel="samples/s over a float32 loop;\npale: float32, full: bfloat16")
    ax.set_xticks(range(len(names)), [plotting.LABELS[n] for n in names], rotation=20, ha="right", fontsize=8)
    ax.grid(False, axis="x")
    return figure


def scaling(content: dict) -> Figure:
    """Seconds and memory against D, the number of networks and that of directions."""
    axis = {
        "image": ("D", lambda r: r["in_channels"] * r["image_size"] ** 2),
        "networks": ("networks", lambda r: r["networks"]),
        "directions": ("directions", lambda r: r["rank"]),
    }
    tables = {k: v for k, v in content["tables"].items() if k in axis} or {"networks": content["tables"]["tiny"]}
    figure, axes = plt.subplots(2, len(tables), figsize=(1 + 2.8 * len(tables), 4.4), sharex="col", squeeze=False)
    for column, (name, rows) in zip(axes.T, tables.items(), strict=True):
        what, value = axis[name]
        places = [value(row) for row in rows]
        for ax, key in zip(column, ("seconds", "memory_gib"), strict=True):
            ax.plot(places, [row[key] for row in rows], "o-", color=OURS, markersize=4)
            ax.set(xscale="log", ylim=(0, 1.08 * max(row[key] for row in rows)))
        column[1].set_xticks(places, [f"{place:,}" for place in places], rotation=30, ha="right")
        column[1].minorticks_off()
        column[0].set_title({"image": "4 networks", "networks": "D = 3,072", "directions": "D = 12,288"}[name])
        column[1].set_xlabel(what)
    axes[0, 0].set_ylabel("seconds")
    axes[1, 0].set_ylabel("GiB above libraries")
    return figure


PLOTS: dict[str, tuple[str, Callable[[dict], Figure]]] = {
    "costs": ("nads.json", costs),
    "sweeps": ("sweeps-cpu.json", sweeps),
    "scaling": ("scaling-cpu.json", scaling),
}
"""Name of the plot -> file that it is drawn from, and how."""


def fingerprint(path: Path) -> str:
    """What a plot carries to say which numbers it shows."""
    return f"drawn from {path.name}, sha256 {provenance.fingerprint(path.read_bytes())[:16]}"


def draw(folder: Path) -> None:
    """Draw the plots of the files that are in a folder, into it."""
    plotting.use_style()
    for name, (source, make) in PLOTS.items():
        content = read(folder / source)
        if not content:
            continue
        figure = make(content)
        for kind, extra in (("png", {}), ("svg", {"Date": None})):
            picture = io.BytesIO()
            figure.savefig(picture, format=kind, metadata={"Description": fingerprint(folder / source), **extra})
            files.write(folder / f"{name}.{kind}", picture.getvalue())
        plt.close(figure)
