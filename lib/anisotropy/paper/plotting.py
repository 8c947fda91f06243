"""Arrays in, Axes out: pictures of directions, spectra and curves in one style.

The same network has the same colour in every figure (Okabe and Ito's palette, safe for colour-blind readers).
"""

import colorsys
import hashlib
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from anisotropy._util import checks

COLOURS = {
    "logreg": "#000000",
    "lenet": "#E69F00",
    "vgg11": "#009E73",
    "resnet18": "#0072B2",
    "densenet121": "#CC79A7",
}
"""Colour of each network of the paper."""

OTHERS = {
    "blurpool:lenet": "#D55E00",
    "patchtransformer": "#56B4E9",
    "mlp": "#F0E442",
    "pooled_logistic_regression": "#8C6BB1",
}
"""Colours of networks of this package that are not the paper's: what is left of the palette, and one more."""

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


def looks(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Colour and label of each network, as matplotlib takes them.

    Args:
        names: the paper's networks, or any of yours: those are called what they are called.

    Example:
        >>> looks(["lenet", "mine:network"])["lenet"]
        {'color': '#E69F00', 'label': 'LeNet'}
    """
    return {name: {"color": colour(name), "label": LABELS.get(name, name)} for name in names}


def colour(name: str) -> str:
    """Colour of a network, which its name alone decides: the same in every figure and in the explorer.

    The paper's networks and those of this package have their own (`COLOURS`, `OTHERS`); any other has a hue and a
    lightness that a hash of its name gives, whatever module it comes from.

    Example:
        >>> colour("anisotropy.variants:mlp") == colour("mlp") != colour("mine:network") == colour("network")
        True
    """
    if name in COLOURS:
        return COLOURS[name]
    module, _, own = name.casefold().replace(" ", ":").rpartition(":")
    word = f"{module.rpartition('.')[2]}:{own}" if own in COLOURS else own  # a variant of one of the paper's
    if word in OTHERS:
        return OTHERS[word]
    number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    hue, light = number % 359 / 359, (0.32, 0.5, 0.65)[number // 359 % 3]
    return to_hex(colorsys.hls_to_rgb(hue, light, 0.65)).upper()


def titles(names: Iterable[str]) -> dict[str, str]:
    """Short name of each network, for the titles of panels; with its module where two would read alike.

    Example:
        >>> titles(["lenet", "anisotropy.blurpool:lenet", "mine:network"])
        {'lenet': 'LeNet', 'anisotropy.blurpool:lenet': 'blurpool:lenet', 'mine:network': 'network'}
    """
    labels = {name: LABELS.get(name, name) for name in names}
    short = {name: label.rpartition(":")[2] for name, label in labels.items()}
    words = [word.lower() for word in short.values()]  # some file systems take "LeNet" and "lenet" for one
    return {
        name: word if words.count(word.lower()) == 1 else labels[name].removeprefix("anisotropy.")
        for name, word in short.items()
    }


def percent(table: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Accuracies of several seeds as heights and bars: `ax.errorbar(x, *percent(table), fmt="o")`.

    Args:
        table: fractions, with a dimension `seed`.

    Returns:
        Mean and standard deviation over the seeds in per cent; None for the second where there is one seed, so that no
        bar is drawn.
    """
    mean = 100 * table.mean("seed")
    return mean, 100 * table.std("seed", ddof=1) if table.sizes["seed"] > 1 else None


def _array(values) -> np.ndarray:
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)


def _bare(ax: Axes) -> Axes:
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax


def direction(ax: Axes, v) -> Axes:
    """Picture of one direction in pixels, (H, W) or (C, H, W).

    One channel: a diverging map, symmetric about 0. Three: red, green and blue about a middle grey, which is 0. Any
    other number: the channels side by side.
    """
    channels = _channels(v)
    if not np.isfinite(channels).all():
        raise ValueError("expected a direction of finite numbers, got NaN or infinity among them")
    limit = float(np.abs(channels).max()) or 1.0
    if len(channels) == 3:
        ax.imshow(0.5 + 0.5 * channels.transpose(1, 2, 0) / limit)
    else:
        ax.imshow(np.hstack(channels), cmap="PuOr", vmin=-limit, vmax=limit)
    return _bare(ax)


def spectrum_picture(ax: Axes, v) -> Axes:
    """Energy |FFT(v)|^2 of one direction (H, W) or (C, H, W), summed over channels, with frequency 0 in the centre."""
    energy = np.square(np.abs(np.fft.fftshift(np.fft.fft2(_channels(v)), axes=(-2, -1)))).sum(0)
    ax.imshow(energy, cmap="magma", vmin=0, vmax=float(energy.max()) or 1.0)
    return _bare(ax)


def _channels(v) -> np.ndarray:
    """A direction as an array (C, H, W)."""
    picture = _array(v)
    if picture.ndim not in (2, 3) or not picture.size:
        raise ValueError(f"expected one direction of shape (H, W) or (C, H, W), got {picture.shape}")
    return picture[None] if picture.ndim == 2 else picture


def gallery(rows: dict[str, np.ndarray], indices, *, scale: float = 1.1) -> Figure:
    """Directions of several networks in pixels (upper) and Fourier domain (lower), as in Fig. 5.

    Args:
        rows: name of the network -> directions (K, H, W) or (K, C, H, W).
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
                f"expected directions of {name!r} as an array (K, H, W) or (K, C, H, W) that has the indices "
                f"{indices}, got {checks.described(rows[name])}"
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
    picture = _array(accuracies)
    if picture.ndim != 2:
        raise ValueError(f"expected a map of accuracies (H, W), got shape {picture.shape}")
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
