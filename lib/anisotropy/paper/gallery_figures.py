"""The gallery's figure, `figures/readme/gallery.png`: what networks of today answer to before they are trained.

`python -m anisotropy gallery-figure` draws it from the lines of `results/gallery.jsonl`.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from anisotropy._util import paths
from anisotropy.experiments import gallery
from anisotropy.nads.energies import Energies
from anisotropy.paper import passports, plotting
from anisotropy.results import record

INK = {"grey": "0.25", "red-green": "#D55E00", "blue-yellow": "#0072B2"}
"""Colour of each curve."""

LATTICE = (0, 14, 28, 56, 112)
"""Frequencies that are written at the axes."""

DECADES = (-3, 1)
"""Range of log10(energy / mean) in maps and curves; bfloat16 knows nothing below."""


def recorded(response: str = "dipole") -> dict[str, dict[str, Any]]:
    """Lines of the record's gallery by what the networks are called; of several the one with the most networks."""
    rows = record.read(record.folder() / "gallery.jsonl").rows.values()
    found = {}
    for name, title in gallery.NETWORKS.items():
        same = [r for r in rows if r["architecture.name"] == name and r["response.name"] == response]
        if same:
            found[title] = max(same, key=lambda r: r["networks"])
    return found


def plane(row: Mapping[str, Any]) -> np.ndarray:
    """Energies of grey waves in units of their mean, (2n - 1, 2n - 1): the ladder and its mirror, 0 in the centre."""
    frequencies, found = gallery.samples(row, "grey")
    values = dict(zip(frequencies, Energies(found).relative()[0].tolist(), strict=True))
    ladder = [-k for k in reversed(row["axis"][1:])] + list(row["axis"])
    return np.array([[values[tuple(sorted((abs(ky), abs(kx))))] for kx in ladder] for ky in ladder])


def rank_correlations(rows: Mapping[str, Mapping[str, Any]]) -> np.ndarray:
    """Spearman's correlation (n, n) of what each two networks answer to, over the grey waves."""
    from scipy import stats

    energies = np.array([gallery.samples(row, "grey")[1].mean(0).numpy() for row in rows.values()])
    return np.corrcoef(stats.rankdata(energies, axis=1))


def on_lattice(row: Mapping[str, Any]) -> float:
    """Median energy of grey waves of multiples of 14, over that of waves with a frequency that is none of 7."""
    frequencies, found = gallery.samples(row, "grey")
    values = found.mean(0).numpy()
    on = np.array([ky % 14 == 0 and kx % 14 == 0 for ky, kx in frequencies])
    off = np.array([ky % 7 != 0 or kx % 7 != 0 for ky, kx in frequencies])
    return float(np.median(values[on]) / np.median(values[off]))


def colour_over_grey(row: Mapping[str, Any]) -> tuple[float, float]:
    """Energy in the two opposite colours over that in grey, along the same waves, and its standard error."""
    where, found = gallery.samples(row, "grey")
    grey = found[:, [where.index(k) for k in gallery.rim(row["axis"])]].mean(1)
    colour = (gallery.samples(row, "red-green")[1].mean(1) + gallery.samples(row, "blue-yellow")[1].mean(1)) / 2
    ratio = float(colour.mean() / grey.mean())
    return ratio, float((colour - ratio * grey).std() / grey.mean()) / len(grey) ** 0.5


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What the record says of each architecture, as a table in Markdown (docs/record.md)."""
    lines = [
        "| | networks | multiples of 14 over the rest | colour over grey | median error | networks for 5 % | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, row in rows.items():
        spectrum = gallery.radial(row, gallery.octant(row["axis"]), ["grey"])
        values, errors = spectrum.relative()
        ratio, unsure = colour_over_grey(row)
        cells = (
            f"{on_lattice(row):.1f}" if on_lattice(row) < 10 else f"{on_lattice(row):.0f}",
            f"{ratio:.2f} ± {unsure:.2f}",
            f"{100 * float((errors / values).median()):.1f} %",
            gallery.needed(spectrum),
            f"{row['seconds']:.0f}",
        )
        lines.append(f"| {title} | {row['networks']} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def draw(rows: Mapping[str, Mapping[str, Any]], *, columns: int = 4) -> Figure:
    """For each network a map over the frequencies, and below it the radial spectrum in grey and in opposite colours.

    Args:
        rows: title -> line of the gallery, with the gallery's ladder.
        columns: panels a row.
    """
    columns = min(columns, len(rows))
    blocks = -(-len(rows) // columns)
    figure = plt.figure(figsize=(2.45 * columns + 0.7, 4.05 * blocks), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.03, w_pad=0.03, hspace=0.02, wspace=0.02)
    grid = figure.subplots(2 * blocks, columns, squeeze=False, height_ratios=[1.55, 1] * blocks)
    for ax in grid.flat[len(rows) :]:
        ax.set_visible(False)
    for number, (title, row) in enumerate(rows.items()):
        above, below = (grid[2 * (number // columns) + part, number % columns] for part in (0, 1))
        for ax in (above, below):
            ax.set_visible(True)
        image = _map(above, row)
        above.set_title(title)
        _spectrum(below, row)
        if number % columns:
            below.tick_params(labelleft=False)
            above.tick_params(labelleft=False)
        else:
            above.set(ylabel="cycles per picture")
            below.set(ylabel="energy / mean")
    bar = figure.colorbar(image, ax=grid[::2], ticks=range(DECADES[0], DECADES[1] + 1), shrink=0.5, aspect=30, pad=0.01)
    bar.ax.set_yticklabels(["0.001", "0.01", "0.1", "1", "10"])
    bar.set_label("energy / mean")
    bar.outline.set_visible(False)
    figure.legend(*grid[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _map(ax, row: Mapping[str, Any]):
    with np.errstate(divide="ignore"):
        picture = np.log10(plane(row))
    colours = matplotlib.colormaps["magma"]
    image = ax.imshow(np.maximum(picture, DECADES[0]), vmin=DECADES[0], vmax=DECADES[1], cmap=colours)
    ladder = [-k for k in reversed(row["axis"][1:])] + list(row["axis"])
    places = [i for i, k in enumerate(ladder) if abs(k) in (0, 14, 28, 112)]
    names = [f"{ladder[i]}".replace("-", "−") for i in places]
    ax.set(xticks=places, yticks=places)
    ax.set_xticklabels(names, fontsize=7)
    ax.set_yticklabels(names, fontsize=7)
    ax.tick_params(length=2)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return image


def _spectrum(ax, row: Mapping[str, Any]) -> None:
    colours = [c for c in INK if c in row["colours"]]
    values, errors = (v.numpy() for v in gallery.radial(row, gallery.rim(row["axis"]), colours).relative())
    count = len(row["axis"])
    for number, colour in enumerate(colours):
        part = slice(number * count, (number + 1) * count)
        at = np.arange(count) + 0.12 * (number - 1)
        bars = np.stack([np.minimum(errors[part], 0.9 * values[part]), errors[part]])
        on = np.array([k % 7 == 0 for k in row["axis"]])
        for chosen, line, face in ((on, "o-", INK[colour]), (~on, "o:", "white")):
            style = {"ms": 3, "lw": 0.8, "elinewidth": 0.8, "color": INK[colour], "mfc": face}
            label = colour if chosen is on else None
            ax.errorbar(at[chosen], values[part][chosen], bars[:, chosen], fmt=line, label=label, **style)
    ax.set(yscale="log", ylim=(10.0 ** DECADES[0] / 2, 20), xticks=range(count))
    ax.set_xticklabels([str(k) if k in LATTICE else "" for k in row["axis"]], fontsize=7)
    ax.tick_params(axis="y", labelsize=7)
    for k in (k for k in row["axis"] if k % 14 == 0):
        ax.axvline(list(row["axis"]).index(k), color="0.88", lw=3, zorder=0)
    ax.grid(False)


def main(arguments: list[str] | None = None) -> int:
    """Draw the gallery from the record into `figures/readme/`."""
    argparse.ArgumentParser(prog="python -m anisotropy gallery-figure", description=main.__doc__).parse_args(arguments)
    rows = recorded()
    if not rows:
        print("the record has no line of the gallery: python -m anisotropy gallery", file=sys.stderr)
        return 1
    plotting.use_style()
    counts = {title: row["networks"] for title, row in rows.items()}
    run = passports.Run("gallery", {"preset": "readme", "seed": 0, "networks": counts, "response": "dipole"})
    run.folder = paths.committed() / "readme"
    run.save(draw(rows), "gallery", {"keys": {title: row["key"] for title, row in rows.items()}})
    return 0


if __name__ == "__main__":
    sys.exit(main())
