r"""Subsampling and its aliases, in pixel space and in frequency: the matrix A and Eq. (1) of Sec. 2.1, in 1-D and 2-D.

Pooling is a circular convolution with a prefilter followed by subsampling. Conventions: DFTs of signals are unitary,
`prefilters.response` is not normalised, S divides D and M = D / S. Frequencies are integers modulo D, so -3 and
D - 3 are the same.
"""

import math
import operator
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from anisotropy import directions


def strides_of(shape: Sequence[int], stride: int | Sequence[int]) -> tuple[int, ...]:
    """Stride per dimension.

    Raises:
        ValueError: if the number of strides is wrong, or one does not divide its dimension.
    """
    strides = tuple(stride) if isinstance(stride, Sequence) else (stride,) * len(shape)
    if len(strides) != len(shape) or any(int(s) != s or s < 1 for s in strides):
        raise ValueError(f"expected one positive stride or one for each of {len(shape)} dimensions, got {stride!r}")
    for size, s in zip(shape, strides, strict=True):
        if size % s:
            raise ValueError(
                f"stride {s} does not divide the signal's length {size}. Eq. (1) folds the spectrum into S blocks of "
                f"D / S entries, which needs whole blocks: pad or crop the signal to a multiple of {s}."
            )
    return strides


def impulse_response(prefilter: Tensor) -> Tensor:
    """The prefilter as a float64 tensor (D,) or (H, W).

    Raises:
        ValueError: for any other shape, complex numbers, or numbers that are not finite.
    """
    taps = torch.as_tensor(prefilter)
    if taps.ndim not in (1, 2) or taps.numel() == 0:
        raise ValueError(f"expected a prefilter of shape (D,) or (H, W), got shape {tuple(taps.shape)}")
    if taps.is_complex():
        raise ValueError("expected the real impulse response of a prefilter, got complex numbers: its response?")
    if not bool(torch.isfinite(taps).all()):
        raise ValueError("expected a prefilter of finite numbers, got NaN or infinity")
    return taps.to(torch.float64)


def frequency_of(shape: Sequence[int], frequency: int | Sequence[int]) -> tuple[int, ...]:
    """Frequency per dimension, as indices 0..D-1.

    Raises:
        ValueError: if a frequency is outside -D/2..D-1.
    """
    wanted = tuple(operator.index(f) for f in (frequency if isinstance(frequency, Sequence) else (frequency,)))
    if len(wanted) != len(shape):
        raise ValueError(f"expected one frequency for each of {len(shape)} dimensions, got {frequency!r}")
    for size, f in zip(shape, wanted, strict=True):
        if not -(size // 2) <= f < size:
            raise ValueError(f"frequency {f} is out of range: expected -{size // 2}..{size - 1} for {size} samples")
    return tuple(f % size for size, f in zip(shape, wanted, strict=True))


def aliasing_matrix(length: int, stride: int) -> Tensor:
    """The aliasing matrix A = [I_M ... I_M] / sqrt(S) of Sec. 2.1; its rows are orthonormal.

    Args:
        length: D.
        stride: S, a divisor of D.

    Returns:
        A, (M, D) float64.
    """
    strides_of((length,), stride)
    return torch.eye(length // stride, dtype=torch.float64).repeat(1, stride) / math.sqrt(stride)


def alias(spectrum: Tensor, stride: int | Sequence[int], *, dims: int = 1) -> Tensor:
    """Fold a spectrum as subsampling does, Eq. (1); in two dimensions both axes fold, with 1 / sqrt(S_y S_x).

    Args:
        spectrum: unitary DFT, already multiplied by the prefilter's response; the last `dims` axes are frequencies.
        stride: S, or one per axis.
        dims: 1 or 2.

    Returns:
        The unitary DFT of the subsampled signal, last axes of M = D / S entries.
    """
    strides = strides_of(spectrum.shape[spectrum.ndim - dims :], stride)
    for offset, s in enumerate(strides):
        axis = spectrum.ndim - dims + offset
        spectrum = spectrum.unflatten(axis, (s, -1)).sum(axis) / math.sqrt(s)
    return spectrum


def pooling_matrix(prefilter: Tensor, stride: int | Sequence[int]) -> Tensor:
    """Pooling as a matrix P in pixel space, without any Fourier transform: P[t, n] = h[S t - n].

    Args:
        prefilter: impulse response (D,) or (H, W).
        stride: S, or one per dimension.

    Returns:
        P, (M, D) float64; in two dimensions pixels are flattened row by row.
    """
    taps = impulse_response(prefilter)
    strides = strides_of(taps.shape, stride)
    lags = [
        (torch.arange(0, size, s)[:, None] - torch.arange(size)) % size
        for size, s in zip(taps.shape, strides, strict=True)
    ]
    if taps.ndim == 1:
        return taps[lags[0]]
    return taps[lags[0][:, None, :, None], lags[1][None, :, None, :]].flatten(2).flatten(0, 1)


def pool(signals: Tensor, prefilter: Tensor, stride: int | Sequence[int]) -> Tensor:
    """Pool real or complex signals in pixel space.

    Args:
        signals: (..., D) or (..., H, W).
        prefilter: impulse response of the same trailing shape.
        stride: S, or one per dimension.

    Returns:
        (..., M) or (..., M_y, M_x).

    Raises:
        ValueError: if prefilter and signals differ in length, or the stride does not divide it.
    """
    taps = impulse_response(prefilter)
    if signals.shape[signals.ndim - taps.ndim :] != taps.shape:
        raise ValueError(
            f"the prefilter has shape {tuple(taps.shape)} and the signals {tuple(signals.shape)}: expected an impulse "
            "response of the signals' own length; build it with that length, e.g. average(4, length)"
        )
    strides = strides_of(taps.shape, stride)
    matrix = pooling_matrix(taps, strides).to(signals)
    pooled = signals.flatten(signals.ndim - taps.ndim) @ matrix.mT
    return pooled.unflatten(-1, [size // s for size, s in zip(taps.shape, strides, strict=True)])


def self_aliased(shape: int | Sequence[int], stride: int | Sequence[int]) -> list:
    """Frequencies l whose alias is their own conjugate: 2 l = 0 modulo M in every dimension.

    Args:
        shape: D, or (H, W).
        stride: S, or one per dimension.

    Returns:
        Sorted list of integers, or of pairs in two dimensions.
    """
    sizes = tuple(shape) if isinstance(shape, Sequence) else (operator.index(shape),)
    strides = strides_of(sizes, stride)
    axes = [[f for f in range(size) if 2 * f % (size // s) == 0] for size, s in zip(sizes, strides, strict=True)]
    return axes[0] if len(axes) == 1 else [(y, x) for y in axes[0] for x in axes[1]]


@lru_cache(maxsize=8)
def _basis(height: int, width: int) -> directions.FourierBasis:
    return directions.fourier(height, width)


def fourier_direction(shape: int | Sequence[int], frequency: int | Sequence[int], phase: str = "cos") -> Tensor:
    """Unit-norm real Fourier vector of one or two dimensions, a row of `directions.fourier`.

    Args:
        shape: D, or (H, W).
        frequency: l, or (l_y, l_x).
        phase: "cos" or "sin".

    Returns:
        float64 tensor of that shape.

    Raises:
        ValueError: for an unknown phase, a frequency out of range, or the sine of a frequency that has none (0, D/2).
    """
    sizes = tuple(shape) if isinstance(shape, Sequence) else (operator.index(shape),)
    wanted = frequency_of(sizes, frequency)
    if phase not in ("cos", "sin"):
        raise ValueError(f'expected phase "cos" or "sin", got {phase!r}')
    if phase == "sin" and all(2 * f % size == 0 for size, f in zip(sizes, wanted, strict=True)):
        raise ValueError(f"frequency {frequency} is its own conjugate and has no sine: expected phase='cos'")
    basis = _basis(*(1,) * (2 - len(sizes)), *sizes)
    row = basis.index(*(0,) * (2 - len(sizes)), *wanted, phase)
    return basis.vectors[row].reshape(sizes).clone()  # the basis is kept, and is not the caller's to change
