"""What marks an architecture's Fourier map: how strongly it answers on a lattice, on the axes, at low frequencies.

Numbers are multiples of the mean over all directions: 1 everywhere is a network without preference.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anisotropy.directions.bases import FourierBasis


@dataclass(frozen=True)
class Fingerprint:
    """Mean energy of kinds of frequencies, as multiples of the mean over all directions; each belongs to one kind.

    Attributes:
        constant: frequency 0.
        lattice: multiples of size / period, both ways, but 0: what subsampling by `period` takes for frequency 0.
        axes: of the others those with a vertical or horizontal frequency of 0: pictures of stripes along a border.
        low: of the others those of at most an eighth of the size, both ways.
        elsewhere: all others.
    """

    constant: float
    lattice: float
    axes: float
    low: float
    elsewhere: float

    def __str__(self) -> str:
        values = (0.0 if abs(value) < 1e-9 else value for value in vars(self).values())  # rounding is no energy
        return "".join(f"{value:10.3g}" for value in values)


def kinds(basis: FourierBasis, period: int) -> dict[str, np.ndarray]:
    """Rows of a basis of each kind of `Fingerprint`, as masks (D,) that cover every direction once.

    Args:
        basis: of square pictures.
        period: pixels from one sample to the next; divides the size.

    Raises:
        ValueError: the pictures are not square, or the period does not divide their side.
    """
    height, width = basis.shape
    if height != width or period < 1 or height % period:
        raise ValueError(f"expected square pictures whose side {period} divides, got {height} x {width}")
    size = np.abs(basis.frequencies)
    zero = (size == 0).all(1)
    lattice = (size % (height // period) == 0).all(1) & ~zero
    axes = (size == 0).any(1) & ~zero & ~lattice
    low = (size <= height // 8).all(1) & ~zero & ~lattice & ~axes
    return {"constant": zero, "lattice": lattice, "axes": axes, "low": low, "elsewhere": ~(zero | lattice | axes | low)}


def fingerprint(energies, basis: FourierBasis, period: int) -> Fingerprint:
    """Mean energies of the kinds of frequencies.

    Args:
        energies: (D,) along the rows of `basis`; NaN where none is known.
        basis: of square pictures.
        period: see `kinds`.

    Example:
        >>> from anisotropy.directions import fourier
        >>> fingerprint(np.ones(64), fourier(8, 8), 4).lattice
        1.0
    """
    values = np.asarray(energies, dtype=float)
    values = values / np.nanmean(values)
    means = {name: values[rows] for name, rows in kinds(basis, period).items()}
    known = {name: found[~np.isnan(found)] for name, found in means.items()}
    return Fingerprint(**{name: float(found.mean()) if len(found) else float("nan") for name, found in known.items()})


def half(eigenvalues: Tensor) -> int:
    """How many directions hold half of the energy, eigenvalues in decreasing order.

    Example:
        >>> half(torch.tensor([3.0, 2.0, 1.0]))
        1
    """
    return int((eigenvalues.cumsum(0) < eigenvalues.sum() / 2 * (1 - 1e-9)).sum()) + 1


def edge(covariance: Tensor, shape: tuple[int, int]) -> float:
    """How strongly pixels of the border are heard: mean of C_ii over the outermost ring, as a multiple of all pixels'.

    Args:
        covariance: (D, D), of one channel.
        shape: (H, W).
    """
    heard = covariance.diagonal().view(shape)
    ring = torch.ones(shape, dtype=torch.bool)
    ring[1:-1, 1:-1] = False
    return float(heard[ring].mean() / heard.mean())
