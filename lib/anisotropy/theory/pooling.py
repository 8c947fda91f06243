r"""What linear pooling leaves of a direction: gamma(l) and the Bayes accuracy of Theorem 1 (Sec. 2.1), in 1-D and 2-D.

For a *real* signal x = epsilon y v + w along a real Fourier vector v of frequency l, w ~ N(0, sigma^2 (I - v v^T)), the
derivation is short. Pooling z = P x commutes with shifts by S, so P v is an eigenvector of P P^T, and the Bayes
classifier is sign <P v, z>. With Lambda = sum_{k=0}^{S-1} |m[l + kM]|^2 and c = S |P v|^2 its accuracy is

    1 - Q(epsilon / sigma * sqrt(c / (Lambda - c))).

For a generic l, c = |m[l]|^2 and Lambda - c = sum_{k=1}^{S-1} |m[l + kM]|^2. Where l and -l fall on one another
(2 l = 0 modulo M: `self_aliased`) the halves of the real vector interfere: c = 2 Re(m[l])^2 for the cosine,
2 Im(m[l])^2 for the sine, and the other phase joins the noise. Theorem 1 as printed is a third formula;
`bayes_accuracy` has all of them.

The prefilters, the aliasing matrix and Eq. (1) come from `prefilters` and `aliasing` and can be used from here.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from scipy.special import ndtr
from torch import Tensor

from anisotropy.theory.aliasing import (
    alias,
    aliasing_matrix,
    fourier_direction,
    frequency_of,
    impulse_response,
    pool,
    pooling_matrix,
    self_aliased,
    strides_of,
)
from anisotropy.theory.prefilters import (
    average,
    binomial,
    compose,
    gaussian,
    ideal_low_pass,
    outer,
    response,
    subsampling,
)

__all__ = [
    "CONVENTIONS",
    "alias",
    "aliasing_matrix",
    "average",
    "bayes_accuracy",
    "bayes_curve",
    "binomial",
    "compose",
    "fourier_direction",
    "gamma",
    "gaussian",
    "ideal_low_pass",
    "monte_carlo",
    "outer",
    "pool",
    "pooling_matrix",
    "response",
    "self_aliased",
    "subsampling",
]

METHODS = ("closed_form", "pixel_space", "printed")

CONVENTIONS = {
    "literal": lambda stride: math.sqrt(stride / 2),  # sqrt(2) epsilon / (2 sigma) gamma with gamma^2 as printed
    "without_stride": lambda stride: math.sqrt(1 / 2),  # the same, gamma^2 without its factor S
    "real": lambda stride: 1.0,  # real signals, a frequency that is not self-aliased: exact there
    "circular": lambda stride: math.sqrt(2),  # complex exponential, circular complex noise of E|w_i|^2 = sigma^2: exact
}
"""Ways to read Theorem 1: c(S) in 1 - Q(c(S) epsilon / sigma |m[l]| / sqrt(sum_{k>=1} |m[l + kM]|^2)).

S is the total subsampling factor (the product of the strides in two dimensions). "literal" is the printed formula.
"""


def _others(energy: Tensor, strides: Sequence[int]) -> Tensor:
    """Energy of the other S - 1 aliases of each frequency: added up, since a difference would lose small ones."""
    total = torch.zeros_like(energy)
    for shift in itertools.product(*(range(s) for s in strides)):
        if any(shift):
            steps = [-k * (size // s) for k, size, s in zip(shift, energy.shape, strides, strict=True)]
            total += energy.roll(steps, dims=list(range(energy.ndim)))
    return total


def gamma(prefilter: Tensor, stride: int | Sequence[int], *, with_stride: bool = True) -> Tensor:
    """gamma(l) of Theorem 1, Eq. (2), for every frequency: gamma^2 = S |m[l]|^2 / sum_{k=1}^{S-1} |m[l + kM]|^2.

    Args:
        prefilter: impulse response (D,) or (H, W).
        stride: S, or one per dimension.
        with_stride: keep the factor S as printed; without it epsilon / sigma * gamma is the exact argument of the
            normal distribution function for real signals, except at the self-aliased frequencies.

    Returns:
        Tensor of the prefilter's shape, entry l for frequency l modulo D: 0 where the prefilter has a zero, infinite
        where only the aliases have.

    Example:
        >>> gamma(average(2, 8), 2, with_stride=False)[:5]  # |cot(pi l / D)|
        tensor([   inf, 2.4142, 1.0000, 0.4142, 0.0000], dtype=torch.float64)
    """
    taps = impulse_response(prefilter)
    strides = strides_of(taps.shape, stride)
    energy = response(taps).abs() ** 2
    ratio = torch.where(energy == 0, 0.0, energy / _others(energy, strides))
    return torch.sqrt(ratio * (math.prod(strides) if with_stride else 1))


def bayes_accuracy(
    prefilter: Tensor,
    stride: int | Sequence[int],
    frequency: int | Sequence[int],
    *,
    epsilon: float,
    sigma: float,
    phase: str = "cos",
    method: str = "closed_form",
    convention: str = "literal",
) -> float:
    """Best accuracy of any classifier of the pooled samples of D(v), v the real Fourier vector of a frequency (Thm. 1).

    Args:
        prefilter: impulse response (D,) or (H, W), as from `average`, `binomial`, `gaussian`, `ideal_low_pass`,
            `subsampling` or `outer`.
        stride: S, or one per dimension; must divide the signal's length.
        frequency: l in -D/2..D-1, or a pair.
        epsilon: margin, x = epsilon y v + w.
        sigma: standard deviation of the noise orthogonal to v. At 0 the limit: 1 if v survives pooling, else 1/2.
        phase: "cos" or "sin"; matters at the `self_aliased` frequencies only.
        method: "closed_form" (the module's derivation), "pixel_space" (Gaussian algebra with the D x D covariance, no
            Fourier transform of anything; slower, independent), or "printed" (Theorem 1).
        convention: how "printed" is read, a key of `CONVENTIONS`; "literal" is the formula as it stands.

    Returns:
        Accuracy, a fraction in [1/2, 1]; exactly 1 where pooling removes all noise from the direction, exactly 1/2
        where it removes the direction.

    Raises:
        ValueError: for a stride that does not divide the length, a frequency out of range, the sine of frequency 0 or
            D/2, a negative epsilon or sigma, an unknown method, phase or convention.

    Example:
        >>> round(bayes_accuracy(average(4, 128), 4, 10, epsilon=1.0, sigma=3.0), 4)
        0.7091
    """
    taps = impulse_response(prefilter)
    strides = strides_of(taps.shape, stride)
    index = frequency_of(taps.shape, frequency)
    v = fourier_direction(tuple(taps.shape), index, phase)
    for name, value in {"epsilon": epsilon, "sigma": sigma}.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"expected {name} as a finite number of at least 0, got {value!r}")
    if method not in METHODS:
        raise ValueError(f"expected method out of {METHODS}, got {method!r}")
    if convention not in CONVENTIONS:
        raise ValueError(f"expected convention out of {tuple(CONVENTIONS)}, got {convention!r}")
    if method == "pixel_space":
        return _pixel_space(pooling_matrix(taps, strides), v.flatten(), epsilon, sigma)
    m = response(taps)
    noise = float(_others(m.abs() ** 2, strides)[index])
    signal = float(m[index].abs() ** 2)
    if method == "printed":
        signal *= CONVENTIONS[convention](math.prod(strides)) ** 2
    elif index in _self_aliased_indices(taps.shape, strides) and not _self_conjugate(taps.shape, index):
        kept, lost = float(m[index].real) ** 2, float(m[index].imag) ** 2
        if phase == "sin":
            kept, lost = lost, kept
        conjugate = tuple(-i % size for i, size in zip(index, taps.shape, strict=True))
        noise = float(_others(_without(m.abs() ** 2, conjugate), strides)[index]) + 2 * lost
        signal = 2 * kept
    return _accuracy(signal * epsilon**2, noise * sigma**2)


def bayes_curve(prefilter: Tensor, stride: int | Sequence[int], frequencies: Sequence, **setting) -> Tensor:
    """`bayes_accuracy` at several frequencies.

    Args:
        prefilter: impulse response (D,) or (H, W).
        stride: S, or one per dimension.
        frequencies: K frequencies, or pairs.
        **setting: keywords of `bayes_accuracy`.

    Returns:
        (K,) float64.
    """
    values = [bayes_accuracy(prefilter, stride, frequency, **setting) for frequency in frequencies]
    return torch.tensor(values, dtype=torch.float64)


def _self_aliased_indices(shape: Sequence[int], strides: Sequence[int]) -> set:
    found = self_aliased(tuple(shape), strides)
    return {f if isinstance(f, tuple) else (f,) for f in found}


def _self_conjugate(shape: Sequence[int], index: Sequence[int]) -> bool:
    return all(2 * i % size == 0 for i, size in zip(index, shape, strict=True))


def _without(energy: Tensor, index: Sequence[int]) -> Tensor:
    energy = energy.clone()
    energy[tuple(index)] = 0.0
    return energy


def _accuracy(signal: float, noise: float) -> float:
    """1 - Q(sqrt(signal / noise)), with the limits: no signal 1/2, no noise 1."""
    if signal == 0:
        return 0.5
    return 1.0 if noise == 0 else float(ndtr(math.sqrt(signal / noise)))


def _pixel_space(pooling: Tensor, v: Tensor, epsilon: float, sigma: float) -> float:
    """Bayes accuracy of N(+-epsilon P v, sigma^2 W W^T), W = P (I - v v^T), from the singular vectors of W.

    Part of the mean in the null space of the covariance separates the classes without error; singular values count as
    zero below the rounding of the D-term sums behind them.
    """
    mean = pooling @ v
    rounding = len(v) * torch.finfo(torch.float64).eps * float(torch.linalg.matrix_norm(pooling, ord=2))
    if epsilon == 0 or float(mean.norm()) <= rounding:
        return 0.5
    left, scale, _ = torch.linalg.svd(pooling - torch.outer(mean, v), full_matrices=False)
    noisy = scale > rounding
    along = left[:, noisy].T @ mean
    outside = mean - left[:, noisy] @ along
    if sigma == 0 or float(outside.norm()) > rounding:
        return 1.0
    return float(ndtr(epsilon / sigma * float((along / scale[noisy]).norm())))


def monte_carlo(
    prefilter: Tensor,
    stride: int | Sequence[int],
    frequency: int | Sequence[int],
    *,
    epsilon: float,
    sigma: float,
    phase: str = "cos",
    samples: int,
    generator: torch.Generator,
    noise: str = "real",
) -> tuple[int, int]:
    """Draw samples of D(v), pool them in pixel space, classify each by the sign of <P v, z>, count the correct ones.

    That matched filter is the Bayes classifier because P v is an eigenvector of the covariance of the pooled noise.

    Args:
        prefilter: impulse response (D,) or (H, W).
        stride: S, or one per dimension.
        frequency: l, or a pair.
        epsilon: margin.
        sigma: standard deviation of the noise.
        phase: "cos" or "sin".
        samples: number of samples.
        generator: source of randomness, on the CPU.
        noise: "real", or "circular" for the reading in which v is the complex exponential exp(2 pi i l n / D) / sqrt(D)
            and the noise complex with E|w_i|^2 = sigma^2 (phase is then ignored).

    Returns:
        Number of correct answers, number of samples: what a binomial confidence interval needs. A sample with no trace
        of the class (<P v, z> = 0 up to rounding) gets a fair coin.

    Raises:
        ValueError: for bad arguments as in `bayes_accuracy`, fewer than 1 sample, an unknown noise.
    """
    taps = impulse_response(prefilter)
    index = frequency_of(taps.shape, frequency)
    if samples < 1 or noise not in ("real", "circular"):
        raise ValueError(f'expected samples >= 1 and noise "real" or "circular", got {samples} and {noise!r}')
    shape, dtype = tuple(taps.shape), torch.float64
    if noise == "real":
        v = fourier_direction(shape, index, phase)
    else:
        dtype = torch.complex128
        spike = torch.zeros(shape, dtype=dtype)
        spike[index] = 1.0
        v = torch.fft.ifftn(spike, norm="ortho")
    labels = torch.randint(2, (samples,), generator=generator) * 2 - 1
    w = sigma * torch.randn(samples, taps.numel(), generator=generator, dtype=dtype)
    w = w - torch.outer(w @ v.flatten().conj(), v.flatten())
    x = epsilon * torch.outer(labels.to(dtype), v.flatten()) + w
    template = pool(v, taps, stride).flatten()
    score = (pool(x.unflatten(1, shape), taps, stride).flatten(1) @ template.conj()).real
    coin = torch.randint(2, (samples,), generator=generator) * 2 - 1
    blind = float(template.norm()) <= taps.numel() * torch.finfo(torch.float64).eps * float(taps.abs().sum())
    guess = coin if blind else torch.sign(score)
    return int((guess == labels).sum()), samples
