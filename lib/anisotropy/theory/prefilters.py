"""Linear prefilters of a pooling layer, as impulse responses of the length of the signal.

A pooling layer is a circular convolution with a prefilter followed by subsampling (Sec. 2.1 of the paper). Functions
here return the impulse response h of a prefilter as a float64 tensor (D,), h[n] at position n modulo D, so that the
centre of a symmetric filter sits at index 0. All low-pass filters have unit sum: a constant signal passes unchanged.
"""

import math

import torch
from torch import Tensor

_RESOLUTION = 64 * torch.finfo(torch.float64).eps  # a float64 FFT does not tell smaller responses from zero


def _check_length(length: int, taps: int, what: str) -> None:
    if int(length) != length or length < 1:
        raise ValueError(f"expected a positive whole number as length of the signal, got {length!r}")
    if taps > length:
        raise ValueError(
            f"a {what} has {taps} taps and the signal only {length}: expected at most {length} taps. "
            "Give a longer signal or a shorter prefilter."
        )


def average(width: int, length: int) -> Tensor:
    """Mean of `width` neighbours: with stride = width, `torch.nn.AvgPool1d(width)` exactly.

    The taps sit at 0, -1, ..., -(width - 1), so that convolving and keeping every S-th value averages the block that
    *starts* at each kept position.

    Args:
        width: number of taps, at least 1.
        length: D, length of the signal.

    Returns:
        Impulse response (D,), unit sum.

    Raises:
        ValueError: if the width is not in 1..length.

    Example:
        >>> average(2, 4)
        tensor([0.5000, 0.0000, 0.0000, 0.5000], dtype=torch.float64)
    """
    if int(width) != width or width < 1:
        raise ValueError(f"expected a positive whole number as width of the average, got {width!r}")
    _check_length(length, width, f"average of width {width}")
    taps = torch.zeros(length, dtype=torch.float64)
    taps[-torch.arange(width) % length] = 1.0 / width
    return taps


def binomial(order: int, length: int) -> Tensor:
    """Binomial blur with order + 1 taps: order 2 is [1, 2, 1] / 4, order 4 is [1, 4, 6, 4, 1] / 16.

    The blur of anti-aliased pooling (Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019, which is
    the paper's reference 24). Its response has magnitude |cos(pi l / D)|^order.

    Args:
        order: number of taps minus one; order 0 is the identity.
        length: D, length of the signal.

    Returns:
        Impulse response (D,), unit sum, centred at 0 (an odd order is centred half a sample before 0).

    Raises:
        ValueError: if the order is negative or the filter longer than the signal.

    Example:
        >>> binomial(2, 5)
        tensor([0.5000, 0.2500, 0.0000, 0.0000, 0.2500], dtype=torch.float64)
    """
    if int(order) != order or order < 0:
        raise ValueError(f"expected a whole number of at least 0 as order of the binomial blur, got {order!r}")
    _check_length(length, order + 1, f"binomial blur of order {order}")
    taps = torch.zeros(length, dtype=torch.float64)
    for tap in range(order + 1):
        taps[(tap - (order + 1) // 2) % length] = math.comb(order, tap) / 2**order
    return taps


def gaussian(std: float, length: int) -> Tensor:
    """Gaussian of standard deviation `std` samples, wrapped around the circle and normalised to unit sum.

    Args:
        std: standard deviation in samples, positive.
        length: D, length of the signal.

    Returns:
        Impulse response (D,), unit sum, centred at 0.

    Raises:
        ValueError: if std is not positive and finite.
    """
    if not (math.isfinite(std) and std > 0):
        raise ValueError(f"expected a positive, finite standard deviation in samples, got {std!r}")
    _check_length(length, 1, "gaussian")
    wraps = math.ceil(8 * std / length)  # beyond eight standard deviations nothing is left in float64
    turns = torch.arange(-wraps, wraps + 1, dtype=torch.float64)[:, None] * length
    taps = torch.exp(-0.5 * ((torch.arange(length, dtype=torch.float64) + turns) / std) ** 2).sum(0)
    return taps / taps.sum()


def ideal_low_pass(stride: int, length: int) -> Tensor:
    """The filter that removes exactly what `stride` would alias: 1 for |l| < D / 2S, else 0.

    The boundary |l| = D / 2S folds onto itself and is removed too.

    Args:
        stride: S, the subsampling factor that follows.
        length: D, length of the signal.

    Returns:
        Impulse response (D,), unit sum, centred at 0.

    Raises:
        ValueError: if stride is not in 1..length.
    """
    if int(stride) != stride or not 1 <= stride <= length:
        raise ValueError(f"expected a stride from 1 to the length of the signal ({length}), got {stride!r}")
    frequency = torch.fft.fftfreq(length, d=1.0 / length, dtype=torch.float64).abs()
    return torch.fft.ifft((2 * stride * frequency < length).to(torch.complex128)).real


def subsampling(length: int) -> Tensor:
    """No prefilter at all: plain subsampling, as a strided convolution's own stride does.

    Args:
        length: D, length of the signal.

    Returns:
        Impulse response (D,): 1 at 0.
    """
    return binomial(0, length)


def outer(vertical: Tensor, horizontal: Tensor | None = None) -> Tensor:
    """Separable prefilter in two dimensions.

    Args:
        vertical: impulse response (H,).
        horizontal: impulse response (W,); the vertical one again if left out.

    Returns:
        Impulse response (H, W).
    """
    return torch.outer(vertical, vertical if horizontal is None else horizontal)


def response(prefilter: Tensor) -> Tensor:
    """Frequency response m of a prefilter, Sec. 2.1: the DFT without normalisation, so that (h * x)^ = m x^.

    Real and imaginary parts below the resolution of the transform (64 float64 roundings of the sum of |h|) are set to
    exactly zero: zeros of a prefilter decide whether pooling loses everything or nothing, so they must be zeros.

    Args:
        prefilter: impulse response (D,) or (H, W).

    Returns:
        Complex response of the same shape, entry l belongs to frequency l modulo D.
    """
    taps = torch.as_tensor(prefilter, dtype=torch.float64)
    m = torch.view_as_real(torch.fft.fftn(taps)).clone()
    m[m.abs() <= _RESOLUTION * taps.abs().sum()] = 0.0
    return torch.view_as_complex(m)


def compose(first: Tensor, stride: int, second: Tensor) -> Tensor:
    """The one prefilter that two pooling layers in a row amount to (noble identity).

    Filtering by `first`, keeping every `stride`-th value, then filtering by `second` and subsampling again equals
    filtering once by the result and subsampling by the product of the strides; its response is m1[l] m2[l mod D/S].

    Args:
        first: impulse response (D,).
        stride: S, subsampling after the first filter; must divide D.
        second: impulse response (D/S,).

    Returns:
        Impulse response (D,).

    Raises:
        ValueError: if the lengths do not fit together.
    """
    if len(first) != stride * len(second):
        raise ValueError(
            f"a signal of {len(first)} samples has {len(first) / stride:g} after stride {stride}, "
            f"but the second prefilter has {len(second)}: expected {len(first)} / {stride}"
        )
    spread = torch.zeros_like(first)
    spread[::stride] = second
    return torch.fft.ifft(torch.fft.fft(first) * torch.fft.fft(spread)).real
