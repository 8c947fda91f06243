"""Several estimates of NADs side by side: how close their leading subspaces are, and what noise leaves open."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from anisotropy._util import checks
from anisotropy.nads import _drawing
from anisotropy.nads.compare import alignment
from anisotropy.nads.result import Nads

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        nads: what was compared, by name.
        k: dimension of the subspaces.
        table: dataset with `overlap`, `overlap_low`, `overlap_high` and `alignment` over the dimensions (first, second)
            and `anisotropy` and `networks` over `first`.
    """

    nads: dict[str, Nads]
    k: int
    table: xr.Dataset

    def __repr__(self) -> str:
        lines = [f"leading {self.k} directions: overlap (range), alignment"]
        names = list(self.nads)
        for i, one in enumerate(names):
            row = self.table.sel(first=one)
            lines.append(f"{one}: anisotropy {float(row.anisotropy):.3g}, {int(row.networks)} networks")
            lines += [f"  {other}: {self._pair(one, other)}" for other in names[i + 1 :]]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        names = list(self.nads)
        cells = [[f"leading {self.k}", *names, "anisotropy", "networks"]]
        for one in names:
            row = self.table.sel(first=one)
            pairs = [self._pair(one, other) for other in names]
            cells.append([one, *pairs, f"{float(row.anisotropy):.3g}", str(int(row.networks))])
        return _drawing.html_table(cells)

    def _pair(self, one: str, other: str) -> str:
        found = self.table.sel(first=one, second=other)
        low, high = float(found.overlap_low), float(found.overlap_high)
        known = "unknown" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        return f"{float(found.overlap):.2f} ({known}), {float(found.alignment):.2f}"

    def plot(self) -> "matplotlib.figure.Figure":
        """Overlaps of all pairs as a map, spectra beside it."""
        figure, (left, right) = _drawing.pyplot().subplots(
            1, 2, figsize=(4 + 0.8 * len(self.nads), 3.4), layout="constrained"
        )
        overlaps = self.table.overlap.values
        left.imshow(overlaps, vmin=0, vmax=1, cmap="viridis")
        for (row, column), value in np.ndenumerate(overlaps):
            left.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
        left.set_xticks(range(len(self.nads)), list(self.nads), rotation=45, ha="right")
        left.set_yticks(range(len(self.nads)), list(self.nads))
        left.set_title(f"overlap of the leading {self.k}")
        for name, each in self.nads.items():
            each.spectrum(right, label=name)
        right.legend()
        return figure


def compare(nads: Mapping[str, Nads], *, k: int = 20) -> Comparison:
    """Compare estimates of NADs of inputs of one shape.

    * overlap of the leading k directions, with the range in which that of the *true* subspaces lies. With distances
      d = sqrt(1 - overlap), which obey the triangle inequality, d_true is within e + e' of the measured d, where
      e = sqrt(1 - s) bounds how far an estimate is from the truth, and s is the overlap of its two halves. NaN where s
      was not measured at this k (at 1, 2, 5, 10, 20, 50, ...). On the diagonal: an estimate with itself.
    * alignment of the covariances (`compare.alignment`), NaN where one is not known as a whole or has no preference.
    * anisotropy, D sum_i lambda_i^2 / (sum_i lambda_i)^2: 1 where no direction is preferred. Noise of few networks adds
      to it; from truncated estimates it is at least this. NaN where their trace is not known.

    Args:
        nads: name -> NADs, at least two.
        k: how many leading directions.

    Returns:
        A table that prints itself, and `.plot()`.

    Raises:
        ValueError: fewer than two, inputs of different shapes, k out of range.
        TypeError: one of them is no `Nads`.

    Example:
        >>> from anisotropy import nads
        >>> compare({"LeNet": nads.load("lenet"), "VGG-11": nads.load("vgg11")}, k=10)
        leading 10 directions: overlap (range), alignment
        LeNet: anisotropy ...
    """
    if not isinstance(nads, Mapping) or len(nads) < 2:
        raise ValueError(f'expected at least two NADs by name, {{"mine": a, "lenet": b}}, got {checks.described(nads)}')
    for name, each in nads.items():
        if not isinstance(each, Nads):
            raise TypeError(f"expected NADs for {name!r}, got {checks.described(each)}")
    names, count = list(nads), len(nads)
    overlaps, low, high, aligned = (np.full((count, count), math.nan) for _ in range(4))
    for i, one in enumerate(nads.values()):
        for j, other in enumerate(nads.values()):
            overlaps[i, j] = one.overlap(other, k)
            if i != j and k in one.split_half and k in other.split_half:
                unsure = sum(math.sqrt(max(0.0, 1 - each.split_half[k])) for each in (one, other))
                distance = math.sqrt(max(0.0, 1 - overlaps[i, j]))
                low[i, j] = 1 - min(1.0, distance + unsure) ** 2
                high[i, j] = 1 - max(0.0, distance - unsure) ** 2
            if one.whole and other.whole:
                with warnings.catch_warnings():  # no preference: NaN says it
                    warnings.filterwarnings("ignore", message="one of the covariances is a multiple")
                    aligned[i, j] = alignment(one.covariance(), other.covariance())
    pairs = ("first", "second")
    table = xr.Dataset(
        {
            "overlap": (pairs, overlaps),
            "overlap_low": (pairs, low),
            "overlap_high": (pairs, high),
            "alignment": (pairs, aligned),
            "anisotropy": ("first", [_anisotropy(each) for each in nads.values()]),
            "networks": ("first", [each.networks for each in nads.values()]),
        },
        coords={"first": names, "second": names},
        attrs={"k": k},
    )
    return Comparison(dict(nads), k, table)


def _anisotropy(nads: Nads) -> float:
    size, kept = nads.rows.shape[1], nads.eigenvalues
    if not nads.trace:
        return math.nan
    squares = float(kept.square().sum()) + (0.0 if nads.whole else nads.rest**2 / (size - len(kept)))
    return size * squares / nads.trace**2
