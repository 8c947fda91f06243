"""Formulas of Sec. 2 and 3 as printed, against closed forms and simulations; every function is a measure.

A formula is judged as it stands in the paper. Where another one is right, that is listed apart as our correction. All
simulations use the paper's own example, linear pooling with S = 4, unless they say otherwise, and take seconds.
"""

import functools
import math

import numpy as np
import torch
from scipy import stats
from torch.func import grad, jacrev, vmap

from anisotropy.images import interventions
from anisotropy.models import architectures
from anisotropy.paper.evidence import Measured, exact, from_error, resampled, student
from anisotropy.paper.sources import NAMES, Sources, loaded
from anisotropy.theory import deep_linear, deep_linear_training, dipole_bounds, pooling

LENGTH, STRIDE = 128, 4
"""D and S of Fig. 4."""

SMALL, DRAWS = 32, 4_000
"""Length and draws of simulations that form whole Jacobians."""


def _formula(found: Measured, size: str) -> Measured:
    return found.at(size=size, full=True, minutes=0.1)


def _response(length: int = LENGTH, stride: int = STRIDE) -> torch.Tensor:
    return pooling.response(pooling.average(stride, length)).abs()


def aliasing_error(sources: Sources) -> Measured:
    """Largest error of Eq. 1 against convolution and subsampling of random signals in pixel space."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, LENGTH, generator=generator, dtype=torch.float64)
    taps = pooling.average(STRIDE, LENGTH)
    blurred = sum(float(taps[k]) * x.roll(k, 1) for k in range(LENGTH))
    spectrum = torch.fft.fft(blurred[:, ::STRIDE], norm="ortho")
    folded = torch.fft.fft(x, norm="ortho") * torch.fft.fft(taps)
    printed = folded.unflatten(1, (STRIDE, -1)).sum(1) / math.sqrt(STRIDE)
    return _formula(exact((spectrum - printed).abs().max()), "64 random signals, D = 128, S = 4")


def energy_off_the_alias(sources: Sources) -> Measured:
    """Largest share of a pooled Fourier vector's energy that is not at frequency l mod M."""
    places = torch.arange(LENGTH, dtype=torch.float64)
    taps, worst = pooling.average(STRIDE, LENGTH).to(torch.complex128), 0.0
    for frequency in range(LENGTH):
        if frequency % (LENGTH // STRIDE) == 0 and frequency:
            continue  # zeros of the prefilter: nothing is left to be anywhere
        wave = torch.exp(2j * torch.pi * frequency * places / LENGTH)
        blurred = torch.fft.ifft(torch.fft.fft(wave) * torch.fft.fft(taps))
        energy = torch.fft.fft(blurred[::STRIDE]).abs().square()
        worst = max(worst, 1 - float(energy[frequency % len(energy)] / energy.sum()))
    return _formula(exact(worst), "complex Fourier vectors, D = 128, S = 4, average pooling")


def bayes_printed(sources: Sources, stride: int, noise: str) -> Measured:
    """Largest error of Theorem 1 as printed, in accuracy, over frequencies that pooling does not fold onto themselves.

    Args:
        sources: not used.
        stride: S.
        noise: "circular" for complex signals as in the spectral domain of the paper, "real" for the samples of D(v).
    """
    taps = pooling.average(stride, LENGTH)
    folded = set(pooling.self_aliased(LENGTH, stride))
    worst = 0.0
    for frequency in (f for f in range(1, LENGTH // 2) if f not in folded):
        known = {"epsilon": 1.0, "sigma": 1.0}
        printed = pooling.bayes_accuracy(taps, stride, frequency, method="printed", convention="literal", **known)
        if noise == "real":
            true = pooling.bayes_accuracy(taps, stride, frequency, **known)
        else:
            true = pooling.bayes_accuracy(taps, stride, frequency, method="printed", convention=noise, **known)
        worst = max(worst, abs(printed - true))
    return _formula(exact(worst), f"closed form, D = 128, S = {stride}, {noise} noise, epsilon = sigma = 1")


def bayes_range(sources: Sources) -> Measured:
    """Best minus worst Bayes accuracy over frequencies, points, by Gaussian algebra in pixel space."""
    taps = pooling.average(STRIDE, LENGTH)
    curve = pooling.bayes_curve(taps, STRIDE, range(LENGTH // 2 + 1), epsilon=1.0, sigma=3.0, method="pixel_space")
    return _formula(exact(100 * (curve.max() - curve.min())), "closed form, D = 128, S = 4, epsilon = 1, sigma = 3")


def deep_linear_best(sources: Sources) -> Measured:
    """Share of frequencies at which the deep linear model can be as accurate as without pooling, percent."""
    m = _response()
    reachable = float((m > 1e-9).double().mean())
    note = f"not at the {int((m <= 1e-9).sum())} zeros of the prefilter, where 1 / m is not finite"
    return _formula(exact(100 * reachable).at(note=note), "closed form, D = 128, S = 4, average pooling")


@functools.cache
def _draws(quantity: str, sigma: float = 1.0, epsilon: float = 1.0, draws: int = DRAWS) -> torch.Tensor:
    return deep_linear.simulate(
        quantity, _response(SMALL), STRIDE, draws=draws, generator=torch.Generator().manual_seed(0),
        frequency=3, epsilon=epsilon, sigma=sigma,
    )  # fmt: skip


def simulated_over_formula(sources: Sources, quantity: str, printed: bool = True) -> Measured:
    """Ratio of a simulated expectation to its formula, as printed or as we derive it.

    Args:
        sources: not used.
        quantity: "hessian_phi" (Lemma 1), "gradient_covariance" (Eq. 4) or "mixed_derivatives" (Eq. 5).
        printed: the paper's formula; False for ours.
    """
    m = _response(SMALL)
    if quantity == "hessian_phi":
        parts = deep_linear.hessian_phi(m, STRIDE, 3, epsilon=1.0, sigma=1.0, printed=printed)
        formula = parts[0] + parts[1]
    else:
        formula = getattr(deep_linear, quantity)(m, STRIDE, printed=printed)
    value, error = deep_linear.ratio(_draws(quantity), formula)
    return _formula(from_error(value, error, DRAWS), f"simulation, {DRAWS:,} draws, D = {SMALL}, S = {STRIDE}")


def curvature_ratio(sources: Sources) -> Measured:
    """Simulated signal curvature over largest noise curvature, as a multiple of zeta."""
    m, groups, draws = _response(SMALL), 20, 6 * DRAWS
    signal = _draws("hessian_phi", sigma=0.0, draws=draws)[:, 3].reshape(groups, -1).mean(1)
    noise = _draws("hessian_phi", epsilon=0.0, draws=draws)
    largest = noise[:, int(m.argmax())].reshape(groups, -1).mean(1)
    zeta = float(deep_linear.zeta(m, epsilon=1.0, sigma=1.0)[3])
    found = student((signal / largest / zeta).numpy())
    return _formula(found, f"simulation, {groups} groups of {draws // groups:,} draws, D = {SMALL}, S = {STRIDE}")


def rank_with_prefilter(sources: Sources, quantity: str) -> Measured:
    """Rank correlation of a simulated diagonal with m^2, over frequencies where m^2 differs by more than the noise."""
    m = _response(SMALL)
    chosen = range(0, SMALL // 2 + 1, 2)
    value = stats.spearmanr(_draws(quantity).mean(0)[chosen], (m**2)[chosen])[0]
    return _formula(exact(value), f"simulation, {DRAWS:,} draws, D = {SMALL}, S = {STRIDE}")


def off_diagonal(sources: Sources, quantity: str) -> Measured:
    """Largest entry off the diagonal of a simulated D x D matrix, in standard errors.

    Args:
        sources: not used.
        quantity: "gradient" for E grad f grad f^T, "mixed" for E H^T H.
    """
    m, generator = _response(SMALL), torch.Generator().manual_seed(0)
    theta, phi, x = (
        torch.randn(DRAWS, n, generator=generator, dtype=torch.float64) for n in (SMALL // STRIDE, SMALL, SMALL)
    )

    def f(theta, phi, x):
        return deep_linear.output(theta, phi, x, m, STRIDE)

    if quantity == "gradient":
        slope = vmap(grad(f, argnums=2))(theta, phi, x)
        products = slope[:, :, None] * slope[:, None, :]
    else:
        mixed = vmap(jacrev(grad(f, argnums=(0, 1)), argnums=2))(theta, phi, x)
        products = sum(h.transpose(1, 2) @ h for h in mixed)
    mean, error = products.mean(0), products.std(0) / math.sqrt(DRAWS)
    off = ~torch.eye(SMALL, dtype=torch.bool) & (error > 1e-12)
    largest = float((mean[off].abs() / error[off]).max()) if bool(off.any()) else 0.0
    exact_zeros = float(mean[~torch.eye(SMALL, dtype=torch.bool) & (error <= 1e-12)].abs().max())
    found = exact(max(largest, exact_zeros * 1e9))
    return _formula(found, f"simulation, {DRAWS:,} draws, D = {SMALL}, S = {STRIDE}")


@functools.cache
def _steps(sigma: float, rate: float, seeds: int = 5) -> np.ndarray:
    """Steps to half of the excess risk (seeds, 65 frequencies); infinite where that takes over 30 / rate steps."""
    return np.array(
        [
            deep_linear_training.train(
                _response(), STRIDE, range(LENGTH // 2 + 1), epsilon=1.0, sigma=sigma, learning_rate=rate, batch=64,
                steps=round(30 / rate), record=5, seed=seed,
            ).steps.numpy()
            for seed in range(seeds)
        ]
    )  # fmt: skip


def _zeta(sigma: float) -> np.ndarray:
    return deep_linear.zeta(_response(), epsilon=1.0, sigma=sigma)[: LENGTH // 2 + 1].numpy()


def steps_follow_zeta(sources: Sources) -> Measured:
    """Rank correlation of steps to convergence with zeta, over 65 frequencies, per seed."""
    found = student([stats.spearmanr(steps, _zeta(0.5))[0] for steps in _steps(0.5, 0.02)])
    return _formula(found, "training, D = 128, S = 4, sigma = 0.5, learning rate 0.02, 5 seeds").at(minutes=0.5)


def order_without_noise(sources: Sources, rate: float) -> Measured:
    """Slope of log steps over log zeta with 625 times less noise, over that slope with it: 1 where noise is no cause.

    Over frequencies that are learnt within the run with both, one quotient a seed.
    """
    shares = []
    for noisy, quiet in zip(_steps(0.5, rate), _steps(0.02, rate), strict=True):
        known = np.isfinite(noisy) & np.isfinite(quiet)
        size = np.log(_zeta(0.5)[known])
        slopes = [np.polyfit(size, np.log(np.maximum(steps[known], 1)), 1)[0] for steps in (quiet, noisy)]
        shares.append(slopes[0] / slopes[1])
    size = f"training, D = 128, S = 4, sigma 0.02 and 0.5, learning rate {rate}, 5 seeds"
    return _formula(student(shares), size).at(minutes=0.5)


def lemma2_ratio(sources: Sources, alpha: float, network: str = "deep linear model") -> Measured:
    """Left side of Lemma 2 over its right side as printed, g(t) = alpha t^2 / 2: over 1 where the bound fails."""
    generator = torch.Generator().manual_seed(0)
    if network == "lenet":
        slopes, mixed, _ = _lenet_dipoles(1.0)
        count = len(slopes)
    else:
        count = 20_000
        slopes, mixed = dipole_bounds.deep_linear_samples(_response(), STRIDE, 3, networks=count, generator=generator)

    def ratio(s, h):
        found = dipole_bounds.lemma2(s, h, alpha=alpha)
        return found.left / found.printed

    chosen = (torch.randint(count, (count,), generator=generator) for _ in range(200))
    draws = [ratio(slopes[k], mixed[k]) for k in chosen]
    name = NAMES.get(network, network)
    return _formula(
        resampled(ratio(slopes, mixed), draws, count), f"{count:,} random networks, {name}, alpha = {alpha}"
    )


@functools.cache
def _lenet_dipoles(length: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Slopes, mixed derivatives, and differences over a dipole of this length, of 200 random LeNets along (3, 3)."""
    make = architectures.factory("lenet")
    wave = pooling.fourier_direction((32, 32), (3, 3))[None, None].float()
    x = torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(0))

    def fresh(i: int):
        return architectures.build(make, i)

    slopes, mixed, _ = dipole_bounds.dipole_samples(fresh, wave, x, networks=200)
    _, _, finite = dipole_bounds.dipole_samples(fresh, length * wave, x, networks=200)
    return slopes[:, 0], mixed[:, 0], finite[:, 0]


def markov_ratio(sources: Sources, length: float) -> Measured:
    """Probability of Eq. 6 for dipoles of a length, over its bound from the gradient covariance; largest over levels.

    Levels are 1 to 30 times the bound's numerator, the mean squared slope along the dipole.
    """
    slopes, _, finite = _lenet_dipoles(length)

    def ratio(s, q):
        mean = float((length * s).square().mean())
        levels = [float(level) for level in np.geomspace(1, 30, 12)]
        return max(float((q.square() >= level * mean).double().mean()) * level for level in levels)

    generator = torch.Generator().manual_seed(0)
    chosen = (torch.randint(len(slopes), (len(slopes),), generator=generator) for _ in range(500))
    found = resampled(ratio(slopes, finite), [ratio(slopes[k], finite[k]) for k in chosen], len(slopes))
    return _formula(found, f"200 random LeNets, direction (3, 3), a dipole of length {length:g}")


def without_pooling_parameters(sources: Sources, network: str) -> Measured:
    """Parameters of a network without pooling over those with it."""
    with torch.device("meta"):
        sizes = [
            sum(p.numel() for p in architectures.factory(network, num_outputs=2, pooling=kept)().parameters())
            for kept in (False, True)
        ]
    note = f"{sizes[0]:,} and {sizes[1]:,}"
    return _formula(exact(sizes[0] / sizes[1]).at(note=note), f"{NAMES[network]}, 32 x 32, counted")


def flip_is_a_rotation(sources: Sources, network: str) -> Measured:
    """Largest entry of T T^T - I for the flip T in a network's NADs; infinite where T turns the space inside out."""
    found = loaded(network)
    eye = torch.eye(1024, dtype=torch.float64).view(1024, 1, 32, 32)
    turned = interventions.flip(eye, found.directions.double()).flatten(1)
    error = float((turned @ turned.T - torch.eye(1024, dtype=torch.float64)).abs().max())
    sign = float(torch.linalg.slogdet(turned).sign)
    return _formula(exact(error if sign > 0 else math.inf), f"NADs of {NAMES[network]}, 1,024 directions")
