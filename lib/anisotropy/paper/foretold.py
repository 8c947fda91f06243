"""The README's figure: what fresh networks answer to, beside what the authors' trained networks learnt (Fig. 1).

`python -m anisotropy foretold --published FOLDER` draws it into `figures/readme/`, with its numbers and passport. The
authors' accuracies are drawn and not written.
"""

import argparse
import sys

import matplotlib
import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from anisotropy import directions
from anisotropy._util import paths
from anisotropy.paper import discrimination, passports, plotting, published

NETWORKS = {"logreg": 1} | {name: max(counts) for name, counts in discrimination.COUNTS.items()}
"""Random networks of each architecture, none of them trained."""

DIPOLE = discrimination.Predictor("dipole", 1.0, "zero")


def boundary(learnt: np.ndarray, values: np.ndarray) -> float:
    """Energy above which as many cells lie as were learnt: the geometric mean of its two neighbours.

    A tenth of the least energy where all cells were learnt.

    Example:
        >>> boundary(np.array([True, False, False]), np.array([8.0, 2.0, 1.0]))
        4.0
    """
    ordered = np.sort(values)[::-1]
    count = int(np.sum(learnt))
    return float(np.sqrt(ordered[count - 1] * ordered[count]) if count < len(ordered) else ordered[-1] / 10)


def picture(values: np.ndarray, frequencies: np.ndarray, size: int) -> np.ndarray:
    """Place values (n,) of frequencies (n, 2) of size x size pictures on the grid of every second one, 0 in the centre.

    Both members of a conjugate pair show the value, which is the same direction's.
    """
    basis = directions.fourier(size, size)
    every = np.full(size * size, np.nan)
    every[[basis.index(*k) for k in frequencies]] = values
    return basis.picture(every)[size // 2 % 2 :: 2, size // 2 % 2 :: 2]


def draw(there: discrimination.Cells, table: xr.Dataset, values: dict[str, np.ndarray]) -> Figure:
    """Draw two maps for each network: energies of fresh networks, and the published accuracies of trained ones.

    Args:
        there: the cells of Fig. 1 that were trained.
        table: of `published.fourier_accuracies`.
        values: network -> energy (n,) of each cell.
    """
    colours = matplotlib.colormaps["magma"].with_extremes(bad="black")
    figure = Figure(figsize=(8.6, 3.75), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.02, w_pad=0.03, hspace=0)
    axes = figure.subplots(2, len(values))
    for column, (name, energies) in enumerate(values.items()):
        above, below = axes[:, column]
        learnt = there.accuracies[name] > discrimination.LEARNT
        with np.errstate(divide="ignore"):
            strength = np.log10(picture(energies, there.frequencies, 2 * len(table.ky)) / boundary(learnt, energies))
        answers = above.imshow(np.maximum(strength, -9), cmap=colours, vmin=-1, vmax=1)
        plotting.accuracy_map(below, table.accuracy.sel(network=name))
        for ax in (above, below):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        above.set_title(plotting.LABELS[name])
        if learnt.all():
            below.set_xlabel("all learnt")
        else:
            right = discrimination.told(learnt, energies, there.orbits).right
            below.set_xlabel(f"{100 * right:.0f} % foretold", weight="bold")
    axes[0, 0].set_ylabel("fresh networks\nanswer to")
    axes[1, 0].set_ylabel("trained networks\nlearnt (published)")
    bars = (answers, axes[0], [-1, 0, 1], ["weak", "", "strong"]), (axes[1, 0].images[0], axes[1], [50, 100], None)
    for image, row, ticks, names in bars:
        bar = figure.colorbar(image, ax=row, ticks=ticks, shrink=0.9, aspect=14, pad=0.01)
        bar.ax.set_yticklabels(names or [f"{tick} %" for tick in ticks])
        bar.outline.set_visible(False)
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Draw what fresh networks answer to beside what trained ones learnt, the README's figure."""
    parser = argparse.ArgumentParser(prog="python -m anisotropy foretold", description=main.__doc__)
    parser.add_argument("--published", required=True, metavar="FOLDER", help="checkout of the authors' repository")
    parser.add_argument("--seed", type=int, default=0, help="of the random networks")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    plotting.use_style()
    parameters = {"preset": "readme", "seed": chosen.seed, "networks": NETWORKS, "step": DIPOLE.step, "at": DIPOLE.at}
    run = passports.Run("foretold", parameters)
    run.folder = paths.committed() / "readme"
    there = discrimination.cells(chosen.published)
    values = {}
    for name, count in NETWORKS.items():
        values[name] = discrimination.samples(name, DIPOLE, there, count, chosen.seed).mean(0).numpy()[there.rows]
    table = published.fourier_accuracies(chosen.published)
    numbers = {"energies": values, "ky": there.frequencies[:, 0], "kx": there.frequencies[:, 1]}
    run.save(draw(there, table, values), "foretold", numbers | {"published_accuracies": there.accuracies})
    return 0


if __name__ == "__main__":
    sys.exit(main())
