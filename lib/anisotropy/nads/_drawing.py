"""Quick looks at NADs, for a notebook or a terminal; the figures of the paper are drawn by `paper.plotting`."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from anisotropy._util import checks, extras

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as an HTML table, escaped; the first one is its head."""
    lines = [
        "".join(f"<{tag}>{html.escape(checks.printable(str(cell)))}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * len(rows)], rows, strict=False)
    ]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def gallery(directions: Tensor, indices: Sequence[int]) -> "Figure":
    """Directions (K, *shape), eight in a row, each by its largest entry.

    Images (C, H, W) are pictures, three channels in colour. Inputs of one or two axes are lines along the longer axis,
    one for each place on the shorter; where both have more than `LINES` places, a map.
    """
    columns = min(8, len(indices))
    lines = -(-len(indices) // columns)
    figure, axes = pyplot().subplots(
        lines, columns, figsize=(1.3 * columns, 1.5 * lines), squeeze=False, layout="constrained"
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, index in zip(axes.flat, indices, strict=False):
        ax.set_title(str(index), fontsize="small")
        picture = directions[index]
        if picture.dim() < 3:
            _lines(ax, picture)
            continue
        picture = (0.5 + 0.5 * picture / picture.abs().max()).permute(1, 2, 0).numpy()
        colour = picture.shape[2] == 3
        ax.imshow(picture if colour else picture.mean(2), cmap="gray", vmin=0, vmax=1)
    return figure


LINES = 8
"""Lines that one drawing can hold."""


def _lines(ax: "Axes", direction: Tensor) -> None:
    """Draw one direction (length,) or (a, b)."""
    values = direction[None] if direction.dim() == 1 else direction
    values = values.T if values.shape[0] > values.shape[1] else values
    limit = 1.1 * float(values.abs().max()) or 1.0
    if len(values) > LINES:
        ax.imshow(values.numpy(), cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
        return
    ax.plot(values.T.numpy(), lw=0.9)
    ax.axhline(0, color="0.8", lw=0.5, zorder=0)
    ax.set_ylim(-limit, limit)


def spectrum(ax: "Axes", eigenvalues: Tensor, errors: Tensor | None, mean: float | None, **look: Any) -> "Axes":
    """Eigenvalues, over their mean where it is known, against their place, with standard errors."""
    values = eigenvalues.numpy() / (mean or 1.0)
    places = np.arange(1, len(values) + 1)
    (line,) = ax.plot(places, values, **look)
    if errors is not None:
        error = errors.numpy() / (mean or 1.0)
        ax.fill_between(places, np.maximum(values - error, 0), values + error, color=line.get_color(), alpha=0.3, lw=0)
    ax.set(xscale="log", yscale="log", xlabel="NAD", ylabel="eigenvalue / mean" if mean else "eigenvalue")
    return ax


def pyplot() -> Any:
    """Matplotlib, which the core does without."""
    return extras.needed("matplotlib.pyplot", "drawing")
