"""Arrays in, Axes out: pictures of directions, spectra and curves in one style.

The same network has the same colour in every figure (Okabe and Ito's palette, safe for colour-blind readers).
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from anisotropy import checks

COLOURS = {
    "logreg": "#000000",
    "lenet": "#E69F00",
    "vgg11": "#009E73",
    "resnet18": "#0072B2",
    "densenet121": "#CC79A7",
}
"""Colour of each network of the paper."""

LABELS = {
    "logreg": "logistic regression",
    "lenet": "LeNet",
    "vgg11": "VGG-11",
    "resnet18": "ResNet-18",
    "densenet121": "DenseNet-121",
}
"""Name of each network in print."""


def use_style() -> None:
    """Apply the companion's style sheet to every figure made from now on."""
    plt.style.use(Path(__file__).with_name("anisotropy.mplstyle"))


def _as_picture(values, what: str) -> np.ndarray:
    picture = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)
    if picture.ndim == 3 and picture.shape[0] == 1:
        picture = picture[0]
    if picture.ndim != 2:
        raise ValueError(f"{what} is a picture of shape (H, W) or (1, H, W), got {picture.shape}")
    return picture


def _bare(ax: Axes) -> Axes:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def direction(ax: Axes, v) -> Axes:
    """Picture of one direction (H, W) in pixels: a diverging map, symmetric about 0."""
    picture = _as_picture(v, "a direction")
    if not np.isfinite(picture).all():
        raise ValueError("expected a direction of finite numbers, got NaN or infinity among them")
    limit = float(np.abs(picture).max()) or 1.0
    ax.imshow(picture, cmap="PuOr", vmin=-limit, vmax=limit)
    return _bare(ax)


def spectrum_picture(ax: Axes, v) -> Axes:
    """Energy |FFT(v)|^2 of one direction (H, W), with frequency 0 in the centre."""
    energy = np.abs(np.fft.fftshift(np.fft.fft2(_as_picture(v, "a direction")))) ** 2
    ax.imshow(energy, cmap="magma", vmin=0, vmax=float(energy.max()) or 1.0)
    return _bare(ax)


def gallery(rows: dict[str, np.ndarray], indices, *, scale: float = 1.1) -> Figure:
    """Directions of several networks in pixels (upper) and Fourier domain (lower), as in Fig. 5.

    Args:
        rows: name of the network -> directions (K, H, W) or (K, 1, H, W).
        indices: which directions to show, one column each.
        scale: inches per picture.

    Returns:
        The figure.
    """
    names, indices = list(rows), list(indices)
    if not names or not indices:
        raise ValueError(f"expected at least one network and one index, got {names} and {indices}")
    for name in names:
        if not hasattr(rows[name], "shape") or not -len(rows[name]) <= min(indices) <= max(indices) < len(rows[name]):
            raise ValueError(
                f"expected directions of {name!r} as an array (K, H, W) that has the indices {indices}, got "
                f"{checks.described(rows[name])}"
            )
    size = (scale * len(indices) + 1.0, 2 * scale * len(names) + 0.3)
    figure, axes = plt.subplots(2 * len(names), len(indices), figsize=size, squeeze=False)
    for r, name in enumerate(names):
        for c, index in enumerate(indices):
            direction(axes[2 * r, c], rows[name][index])
            spectrum_picture(axes[2 * r + 1, c], rows[name][index])
            if r == 0:
                axes[0, c].set_title(f"$u_{{{index}}}$")
        axes[2 * r, 0].set_ylabel(f"{LABELS.get(name, name)}\npixels", fontsize=8)
        axes[2 * r + 1, 0].set_ylabel("Fourier", fontsize=8)
    return figure


def accuracy_map(ax: Axes, accuracies, frequencies=None) -> Axes:
    """Map of accuracies (H, W) over the frequencies, frequency 0 in the centre, 50 to 100 % as in Fig. 1.

    Args:
        ax: where to draw.
        accuracies: (H, W), fractions.
        frequencies: those of the rows and of the columns, ascending, for the axes; None: no axes.

    Returns:
        The axes.
    """
    picture = _as_picture(accuracies, "a map of accuracies")
    if np.nanmin(picture, initial=0.0) < 0 or np.nanmax(picture, initial=0.0) > 1:
        raise ValueError(
            f"expected accuracies as fractions from 0 to 1, got up to {np.nanmax(picture):.4g}; divide by 100"
        )
    ax.imshow(100 * picture, cmap="magma", vmin=50, vmax=100)
    if frequencies is None:
        return _bare(ax)
    if picture.shape != (len(frequencies), len(frequencies)):
        raise ValueError(f"expected one frequency for each of {picture.shape} rows and columns, got {len(frequencies)}")
    places = [i for i, k in enumerate(frequencies) if k % 8 == 0]
    names = [f"{frequencies[i]:d}" for i in places]
    ax.set(xticks=places, xticklabels=names, yticks=places, yticklabels=names, xlabel="$k_x$", ylabel="$k_y$")
    ax.grid(False)
    return ax
