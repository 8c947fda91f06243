"""Directions of input space: the real Fourier basis, random directions, and completing a basis.

A direction is a unit vector of R^D, D = C*H*W. Directions are rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from anisotropy._util import checks

PHASES = ("cos", "sin", "real")


@dataclass(frozen=True)
class FourierBasis:
    """The real orthonormal Fourier basis of H x W pictures, ordered from low to high frequency.

    The frequency (ky, kx) and its conjugate (-ky, -kx) span the same two real directions, a cosine and a sine of
    phase 2 pi (ky r / H + kx c / W) at row r and column c. The frequencies that are their own conjugate (0, and half
    the size of an even side) leave one direction, whose phase is called "real". So there are D = H W directions.

    Attributes:
        vectors: (D, H, W) float64, orthonormal rows.
        frequencies: (D, 2) integers (ky, kx), each in [-n/2, n/2) like `np.fft.fftfreq`; of a conjugate pair, the
            member with kx > 0 stands for both (ky > 0 where kx is its own conjugate).
        phases: (D,) strings "cos", "sin" or "real".
    """

    vectors: torch.Tensor
    frequencies: np.ndarray
    phases: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return tuple(self.vectors.shape[-2:])

    def index(self, ky: int, kx: int, phase: str = "cos") -> int:
        """Return the row that holds a frequency, given as either member of its conjugate pair.

        Args:
            ky: vertical frequency, in cycles per height; any integer, taken modulo the height.
            kx: horizontal frequency, in cycles per width, likewise.
            phase: "cos" or "sin"; "real", and equally "cos", for a frequency that is its own conjugate.

        Returns:
            The row of `vectors`. The sine of (-ky, -kx) is minus that of (ky, kx) and has the same row.

        Raises:
            KeyError: if the frequency has no such phase.
        """
        if phase not in PHASES:
            raise KeyError(f"expected a phase out of {PHASES}, got {phase!r}")
        wanted = representative(ky, kx, self.shape)
        rows = np.flatnonzero((self.frequencies == wanted).all(axis=1))
        accepted = {"cos": ("cos", "real"), "sin": ("sin",), "real": ("real",)}[phase]
        for row in rows:
            if self.phases[row] in accepted:
                return int(row)
        has = [str(self.phases[row]) for row in rows]
        raise KeyError(f"frequency ({ky}, {kx}) of {self.shape} has no direction of phase {phase!r}; it has {has}")

    def pictures(self, colour=(1.0,)) -> torch.Tensor:
        """Return the directions as pictures with channels, each channel with its share of the same wave.

        Args:
            colour: (C,) numbers, one per channel, not all 0; only their ratios count. `(1, 1, 1)` gives grey waves in
                three channels, `(1, -1, 0)` waves of red against green.

        Returns:
            (D, C, H, W) float64, orthonormal. Orthogonal colours give directions orthogonal to each other: those of C
            of them together are a basis of the pictures with C channels.

        Raises:
            ValueError: if the numbers are not finite, or all 0.
        """
        return _colour(colour).view(1, -1, 1, 1) * self.vectors[:, None]

    def subgrid(self, step: int, phase: str = "cos") -> np.ndarray:
        """Return the rows on the coarser grid of every `step`-th frequency, one phase each, once per conjugate pair.

        Args:
            step: distance of neighbouring frequencies; must divide half of each side, so that 0 is on the grid.
            phase: "cos" or "sin"; a frequency that is its own conjugate gives its only direction in both cases.

        Returns:
            (K,) integers, increasing. With step 2 of a 32 x 32 basis K = 130: the 16 x 16 grid of the authors'
            published maps.

        Raises:
            ValueError: if the step does not divide half of each side, or the phase is unknown.
        """
        if step < 1 or any(n % (2 * step) for n in self.shape if step > 1):
            raise ValueError(f"expected a step that divides half of each side of {self.shape}, got {step}")
        if phase not in ("cos", "sin"):
            raise ValueError(f"expected phase 'cos' or 'sin', got {phase!r}")
        on_grid = (self.frequencies % step == 0).all(axis=1)
        return np.flatnonzero(on_grid & ((self.phases == phase) | (self.phases == "real")))

    def picture(self, values) -> np.ndarray:
        """Place one value per direction on the grid of frequencies, frequency 0 in the centre.

        Args:
            values: (D,) numbers, in the order of `vectors`; NaN where there is none.

        Returns:
            (H, W) float64: row ky + H // 2, column kx + W // 2. Both members of a conjugate pair show the mean of the
            values that their cosine and sine have; NaN where neither has one.

        Raises:
            ValueError: if there is not exactly one value per direction.
        """
        values = np.asarray(values, dtype=float)
        if values.shape != (len(self.frequencies),):
            raise ValueError(
                f"expected one value for each of the {len(self.frequencies)} directions, got {values.shape}"
            )
        height, width = self.shape
        total, count = np.zeros((2, height, width))
        present = ~np.isnan(values)
        for sign in (1, -1):
            ky, kx = _wrap(sign * self.frequencies[present], self.shape).T
            np.add.at(total, (ky + height // 2, kx + width // 2), values[present])
            np.add.at(count, (ky + height // 2, kx + width // 2), 1.0)
        with np.errstate(invalid="ignore"):
            return total / count


def _wrap(frequencies, shape):
    """Bring integer frequencies (..., 2) into [-n/2, n/2) of each side."""
    n = np.asarray(shape)
    return (np.asarray(frequencies) + n // 2) % n - n // 2


def representative(ky: int, kx: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the member of the conjugate pair of (ky, kx) that stands for both, of pictures of height and width."""
    pair = [tuple(int(k) for k in _wrap((sign * ky, sign * kx), shape)) for sign in (1, -1)]
    return max(pair, key=lambda frequency: frequency[::-1])


def fourier(height: int, width: int) -> FourierBasis:
    """Return the real Fourier basis of height x width pictures: the directions of Fig. 1, 2 and 3.

    Args:
        height: number of rows, at least 1.
        width: number of columns, at least 1.

    Returns:
        The basis, D = height * width directions, ordered by distance from frequency 0.

    Raises:
        ValueError: if a side is not a positive integer.

    Example:
        >>> basis = fourier(4, 4)
        >>> basis.index(0, 0), basis.index(0, -1, "sin") == basis.index(0, 1, "sin")
        (0, True)
    """
    try:
        wrong = min(height, width) < 1 or int(height) != height or int(width) != width
    except (TypeError, ValueError):
        wrong = True
    if wrong:
        raise ValueError(f"expected two positive integer sides, got {height!r} and {width!r}")
    shape = (int(height), int(width))
    grid = [(ky, kx) for ky in range(shape[0]) for kx in range(shape[1])]
    distinct = {representative(ky, kx, shape) for ky, kx in grid}
    ordered = sorted(distinct, key=lambda k: (k[0] ** 2 / shape[0] ** 2 + k[1] ** 2 / shape[1] ** 2, k))
    named = [(ky, kx, phase) for ky, kx in ordered for phase in phases(ky, kx, shape)]
    vectors = torch.stack([wave(*shape, *name) for name in named])
    return FourierBasis(vectors, np.array([n[:2] for n in named]), np.array([n[2] for n in named]))


def phases(ky: int, kx: int, shape: tuple[int, int]) -> tuple[str, ...]:
    """Return the phases that a frequency has: "cos" and "sin", or "real" alone where it is its own conjugate."""
    wrapped = [tuple(_wrap((sign * ky, sign * kx), shape)) for sign in (1, -1)]
    return ("real",) if wrapped[0] == wrapped[1] else ("cos", "sin")


def wave(height: int, width: int, ky: int, kx: int, phase: str) -> torch.Tensor:
    """Return one Fourier direction (height, width), float64, unit norm: a row of `fourier(height, width).vectors`.

    Args:
        height: of the picture.
        width: likewise.
        ky: vertical frequency, cycles per height.
        kx: horizontal frequency, cycles per width.
        phase: "cos" or "real" for a cosine, "sin" for a sine.
    """
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (height, width)), indexing="ij")
    # whole turns are removed in integers first, so that the argument of cos is as exact as float64 allows
    turns = (ky * rows * width + kx * columns * height) % (height * width) / (height * width)
    values = (torch.sin if phase == "sin" else torch.cos)(2 * torch.pi * turns)
    return values / values.norm()


class Waves(Sequence):
    """Fourier directions that are made when they are asked for: of large pictures a whole basis fits no memory.

    Args:
        height: of the pictures.
        width: likewise.
        names: (ky, kx, phase) of each, as `wave` takes them.
        colour: (C,) shares of the channels, as for `FourierBasis.pictures`.

    Example:
        >>> waves = Waves(224, 224, [(0, 8, "cos"), (16, 0, "sin")], colour=(1, 1, 1))
        >>> len(waves), tuple(waves[0].shape), round(float(waves[1].norm()), 6)
        (2, (3, 224, 224), 1.0)
    """

    def __init__(self, height: int, width: int, names: Iterable[tuple[int, int, str]], colour=(1.0,)):
        self.height, self.width = checks.whole(height, "height"), checks.whole(width, "width")
        self.names = [(int(ky), int(kx), str(phase)) for ky, kx, phase in names]
        for ky, kx, phase in self.names:
            has = phases(ky, kx, (self.height, self.width))
            if phase not in has and not (phase == "cos" and has == ("real",)):
                raise ValueError(f"expected for the frequency ({ky}, {kx}) a phase out of {has}, got {phase!r}")
        self.colour = _colour(colour)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Direction (C, H, W) of this number, float64, unit norm."""
        return self.colour.view(-1, 1, 1) * wave(self.height, self.width, *self.names[index])


def _colour(colour) -> torch.Tensor:
    """Shares of the channels (C,), of unit norm."""
    weights = torch.as_tensor(colour, dtype=torch.float64)
    norm = float(weights.norm())
    if weights.ndim != 1 or not 0 < norm < float("inf"):
        raise ValueError(f"expected one finite number per channel, not all of them 0, got {colour!r}")
    return weights / norm


def random(count: int, shape: tuple[int, ...], *, generator: torch.Generator) -> torch.Tensor:
    """Draw directions uniformly on the unit sphere (supplement A.3), independent of each other.

    Args:
        count: how many, K.
        shape: of an input, such as (C, H, W).
        generator: source of randomness; its device is where the result lies.

    Returns:
        (K, *shape) float64, unit norm.

    Raises:
        TypeError: if the generator is none.
        ValueError: if the count is no whole number of at least 0.
    """
    count = checks.whole(count, "count", 0)
    home = checks.generator(generator).device
    draws = torch.randn(count, *shape, generator=generator, device=home, dtype=torch.float64)
    return draws / draws.flatten(1).norm(dim=1).view(-1, *[1] * len(shape))


def complete(rows: torch.Tensor, *, tolerance: float = 1e-3) -> torch.Tensor:
    """Complete orthonormal rows to an orthonormal basis of R^D.

    Args:
        rows: (K, D), orthonormal, K <= D. The released NADs have K = 1,023 rows for D = 1,024 directions.
        tolerance: largest entry by which rows @ rows.T may differ from the identity.

    Returns:
        (D, D), in the dtype of `rows`: the given rows, unchanged, then D - K rows orthonormal to them (which ones is
        arbitrary but fixed).

    Raises:
        ValueError: if the rows are not a matrix with K <= D, or not orthonormal.
    """
    checks.tensor(rows, "rows (K, D)")
    if rows.ndim != 2 or rows.shape[0] > rows.shape[1]:
        raise ValueError(f"expected rows of shape (K, D) with K <= D, got {tuple(rows.shape)}")
    count, size = rows.shape
    exact = rows.double()
    error = (
        float((exact @ exact.T - torch.eye(count, dtype=torch.float64, device=rows.device)).abs().max())
        if count
        else 0.0
    )
    if not error <= tolerance:
        raise ValueError(f"expected orthonormal rows; rows @ rows.T differs from the identity by {error:.2g}")
    if count == size:
        return rows.clone()
    # the first K columns of the complete QR factor span the given rows, the others their orthogonal complement
    complement = torch.linalg.qr(exact.T, mode="complete").Q[:, count:].T
    return torch.cat([rows, complement.to(rows.dtype)])


def random_rotation(size: int, *, generator: torch.Generator) -> torch.Tensor:
    """Draw an orthogonal matrix (size, size), float64, uniformly (Haar): QR of a Gaussian matrix, signs made unique."""
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))
    return q * r.diagonal().sign()


@dataclass(frozen=True)
class RandomBasis:
    """Orthonormal grey pictures drawn at random, to compare NADs with; to be given wherever a basis is.

    Attributes:
        height: of the pictures.
        width: of the pictures.
        seed: of the draw.
    """

    height: int
    width: int
    seed: int = 0

    @cached_property
    def directions(self) -> torch.Tensor:
        """(H W, 1, H, W) float32."""
        generator = torch.Generator().manual_seed(checks.seed(self.seed))
        size = checks.whole(self.height, "height") * checks.whole(self.width, "width")
        rows = random_rotation(size, generator=generator)
        return rows.view(-1, 1, self.height, self.width).float()
