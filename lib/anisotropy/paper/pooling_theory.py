"""The checks of 02_pooling_theory: settings, what is compared with the formulas, and the verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from anisotropy import training
from anisotropy.experiments import pooling_measures
from anisotropy.experiments.pooling_measures import NEVER, PREFILTERS
from anisotropy.models import blurpool
from anisotropy.paper import claims
from anisotropy.theory import deep_linear, pooling

LENGTH, STRIDE, STRIDES = 128, 4, (2, 4, 8)
"""D and S of Fig. 4, and the strides at which Theorem 1 is checked."""

EPSILON, SIGMA = 1.0, 3.0
"""Margin and noise of Fig. 4a."""

SETTING = {"epsilon": EPSILON, "sigma": SIGMA}

CURVATURE = {"length": 32, "stride": STRIDE, "frequency": 3}
"""Of the simulations of Lemma 1, which form whole Hessians."""

NOISES = (0.5, 0.02)
"""Of the trainings behind Fig. 4b: at the second zeta is over 1 nearly everywhere."""

RATES = (0.02, 0.1)
"""Their learning rates. Larger ones come near the limit of stability, where noise does matter."""

SHOWN = [0, 12, 20, 24, 28]
"""Frequencies whose curves are drawn."""

KINDS = ("average", "blur")
"""Poolings that are compared: Zhang (2019) blurs before subsampling."""

STAGES = 2
"""Poolings by 2 in a row, as in LeNet: one prefilter with stride 4."""


def folding_error(seed: int = 0) -> float:
    """Largest difference between Eq. (1) and pooling in pixel space, of a signal and of a picture."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(LENGTH, generator=generator, dtype=torch.float64)
    image = torch.randn(32, 32, generator=generator, dtype=torch.float64)
    worst = []
    one, two = pooling.average(STRIDE, LENGTH), pooling.outer(pooling.binomial(2, 32), pooling.average(4, 32))
    for signal, taps, stride, transform in ((x, one, STRIDE, torch.fft.fft), (image, two, (2, 4), torch.fft.fft2)):
        pixels = transform(pooling.pool(signal, taps, stride), norm="ortho")
        spectrum = pooling.response(taps) * transform(signal, norm="ortho")
        worst.append(float((pixels - pooling.alias(spectrum, stride, dims=signal.ndim)).abs().max()))
    return max(worst)


@dataclass(frozen=True)
class ThreeWays:
    """Theorem 1 in our form, in pixel space, and simulated, of one stride and prefilter.

    Attributes:
        apart: largest difference between the first two.
        off: largest deviation of the simulation, in standard errors.
        cases: frequencies and phases that were compared.
    """

    apart: float
    off: float
    cases: int


def three_ways(prefilter: str, stride: int, hits: Sequence[int], samples: int) -> ThreeWays:
    """Compare the closed form with Gaussian algebra that uses no Fourier transform, and with drawn samples.

    Args:
        prefilter: of `PREFILTERS`.
        stride: S.
        hits: of `pooling_measures.hits`.
        samples: drawn for each.
    """
    taps, cases = PREFILTERS[prefilter](stride, LENGTH), pooling_measures.cases(LENGTH)
    ours = np.array([pooling.bayes_accuracy(taps, stride, k, phase=p, **SETTING) for k, p in cases])
    how = {"method": "pixel_space", **SETTING}
    gauss = np.array([pooling.bayes_accuracy(taps, stride, k, phase=p, **how) for k, p in cases])
    error, off = np.sqrt(ours * (1 - ours) / samples), np.abs(np.array(hits) / samples - ours)
    sure = np.where(off > 0, np.inf, 0)  # where the answer is certain, no deviation is chance
    return ThreeWays(
        float(np.abs(ours - gauss).max()),
        float(np.where(error > 0, off / np.where(error > 0, error, 1), sure).max()),
        len(cases),
    )


def chance(ways: Sequence[ThreeWays]) -> float:
    """Standard errors that the largest of all deviations exceeds in one of a hundred repetitions."""
    return float(stats.norm.isf(0.005 / sum(way.cases for way in ways)))


def printed_gap(stride: int, convention: str) -> float:
    """Largest difference of a reading of the printed Theorem 1 from the exact accuracy of real signals.

    Over all frequencies that folding does not map onto themselves; average pooling.
    """
    taps = pooling.average(stride, LENGTH)
    generic = [k for k in range(LENGTH) if k not in pooling.self_aliased(LENGTH, stride)]
    reading = pooling.bayes_curve(taps, stride, generic, method="printed", convention=convention, **SETTING)
    return float((reading - pooling.bayes_curve(taps, stride, generic, **SETTING)).abs().max())


def shapes(stride: int) -> dict[str, torch.Tensor]:
    """Prefilters by name: average, binomial of two lengths, the ideal low-pass, and none."""
    return {
        "average": pooling.average(stride, LENGTH),
        "binomial, 3 taps": pooling.binomial(2, LENGTH),
        "binomial, 7 taps": pooling.binomial(6, LENGTH),
        "ideal": pooling.ideal_low_pass(stride, LENGTH),
        "none": pooling.subsampling(LENGTH),
    }


def response() -> np.ndarray:
    """m, the response of Fig. 4's average pooling, (D,)."""
    return pooling.response(pooling.average(STRIDE, LENGTH)).abs().numpy()


def zeta() -> np.ndarray:
    """zeta(l) at the larger of the two noises, (D,)."""
    return deep_linear.zeta(torch.as_tensor(response()), epsilon=EPSILON, sigma=NOISES[0]).numpy()


def steps(runs: Sequence[Mapping[str, Sequence[int]]]) -> np.ndarray:
    """Steps of several runs of `pooling_measures.learnt`, (runs, D); infinite where a training did not get there."""
    found = np.array([run["steps"] for run in runs], dtype=float)
    return np.where(found == NEVER, np.inf, found)


def with_zeta(found: np.ndarray) -> np.ndarray:
    """Rank correlation of steps (runs, D) with zeta, for each run."""
    return np.array([stats.spearmanr(each, zeta()).statistic for each in found])


def of_both_noises(large: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Steps with little noise over steps with much, for each run: geometric mean over what is learnt with both."""
    both = np.isfinite(large) & np.isfinite(small)
    return np.array([np.exp(np.log(b[k] / a[k]).mean()) for a, b, k in zip(large, small, both, strict=True)])


def power_of_m(found: np.ndarray) -> float:
    """Exponent of m in the steps: slope of their logarithms, medians of runs (runs, D), where all is learnt."""
    middle, m = np.median(found, axis=0), response()
    some = np.isfinite(middle) & (m > 1e-12)
    return float(np.polyfit(np.log(m[some]), np.log(middle[some]), 1)[0])


def two_stages() -> dict[str, torch.Tensor]:
    """Prefilters (32, 32) of two poolings by 2 in a row, for each of `KINDS`."""
    return {kind: pooling.outer(blurpool.prefilter(kind, 32, stages=STAGES)) for kind in KINDS}


def gammas() -> dict[str, np.ndarray]:
    """gamma without its S, along the horizontal frequencies 0 to 16, for each of `KINDS`."""
    return {kind: pooling.gamma(t, 4, with_stride=False)[0, :17].numpy() for kind, t in two_stages().items()}


def gains() -> dict[str, np.ndarray]:
    """m^2 along the horizontal frequencies 0 to 16, for each of `KINDS`."""
    return {kind: pooling.response(taps).abs()[0, :17].numpy() ** 2 for kind, taps in two_stages().items()}


def bounds(frequencies: Sequence[int]) -> dict[str, np.ndarray]:
    """Bayes accuracy behind both poolings, at horizontal frequencies, for each of `KINDS`."""
    at = [(0, k) for k in frequencies]
    return {kind: pooling.bayes_curve(taps, 4, at, **SETTING).numpy() for kind, taps in two_stages().items()}


def until_small(samples: int) -> training.Recipe:
    """Recipe of LeNets that are trained until the loss is small: smaller batches and a larger loss for few samples."""
    few = samples < 4000
    small = {"loss_threshold": 0.1 if few else 0.05, "stop_at_threshold": True}
    return training.Recipe(epochs=20, batch_size=64 if few else 128, schedule="constant", **small)


def slower(waits: Mapping[str, np.ndarray]) -> np.ndarray:
    """Logarithm of the steps with the blur over those without, (directions, seeds); NaN where one did not finish."""
    return np.log(waits["blur"] / waits["average"])


def verdicts(
    folding: float, ways: Sequence[ThreeWays], gaps: Mapping[int, float], curves: Mapping[str, Mapping]
) -> Iterator[claims.Claim]:
    """The claims on Eq. (1), Theorem 1 and Lemma 1.

    Args:
        folding: `folding_error`.
        ways: `three_ways` of all strides and prefilters.
        gaps: stride -> `printed_gap` of the literal reading.
        curves: block -> `pooling_measures.curvature`.
    """
    ours = "Thm. 1, ours"
    yield claims.at_most("folding equals pixel space, 1-D and 2-D", "Eq. (1)", folding, 1e-12, digits=12)
    apart, off = max(way.apart for way in ways), max(way.off for way in ways)
    yield claims.at_most("closed form equals Gaussian algebra in pixel space", ours, apart, 1e-9, digits=9)
    yield claims.at_most("largest deviation of simulation, standard errors", ours, off, chance(ways), digits=1)
    for stride, gap in gaps.items():
        exact = (1e-9, 9) if stride == 2 else (0, 3)
        yield claims.at_most(f"printed formula exact at S = {stride}", "Thm. 1", gap, exact[0], digits=exact[1])
    (phi, error), (theta, other) = (curves[block]["ratio"] for block in ("hessian_phi", "hessian_theta"))
    printed = {"measured": phi / STRIDE, "spread": error / STRIDE}
    for text, reference, number in (
        ("Hessian in phi, simulated / printed", "Lemma 1", printed),
        ("Hessian in phi, simulated / ours", "Lemma 1, ours", {"measured": phi, "spread": error}),
        ("Hessian in theta, simulated / ours", "Lemma 1, ours", {"measured": theta, "spread": other}),
    ):
        yield claims.within(text, reference, expected=1, tolerance=0.05, **number)


def training_verdicts(found: Mapping[tuple[float, float], np.ndarray]) -> Iterator[claims.Claim]:
    """The claims on Fig. 4b; `found` has steps (runs, D) for each learning rate and noise."""
    first = found[RATES[0], NOISES[0]]
    text = "rank correlation of steps with zeta"
    yield claims.at_most(text, "Fig. 4b", bound=-0.9, **claims.mean(with_zeta(first)))
    for rate in RATES:
        text = f"steps with 25 times less noise over steps with it, learning rate {rate:g}"
        measured = claims.mean(of_both_noises(*(found[rate, noise] for noise in NOISES)))
        yield claims.within(text, "after Lemma 1, ours", expected=1, tolerance=0.1, **measured)


def practice_verdicts(
    bound: Mapping[str, np.ndarray],
    measured: Mapping[str, np.ndarray],
    waits: Mapping[str, np.ndarray],
    accuracy: Mapping[str, np.ndarray],
) -> Iterator[claims.Claim]:
    """The claims on anti-aliased pooling.

    Args:
        bound: `bounds`.
        measured: accuracies of the pooled logistic regression, (frequencies, seeds), by kind.
        waits: steps of LeNet, likewise.
        accuracy: accuracies of LeNet, likewise; empty where it was not trained.
    """
    short = np.stack([bound[kind][:, None] - measured[kind] for kind in KINDS])
    text = "bound minus trained, logistic regression"
    yield claims.within(text, "Thm. 1, ours", short.mean(), 0.02, 0.02, n=short.size)
    same = (bound["blur"] - bound["average"])[:, None] * (measured["blur"] - measured["average"]) > 0
    text = "share of effects of the predicted sign"
    yield claims.at_least(text, "Thm. 1, ours", same.mean(), 0.9, n=same.size, digits=1)
    text = "LeNet: log ratio of steps, blur to average"
    yield claims.at_least(text, "Sec. 2.2", bound=0, digits=1, **claims.mean(np.nanmean(slower(waits), axis=0)))
    text = "LeNet: accuracy, blur minus average"
    if accuracy:
        change = (accuracy["blur"] - accuracy["average"]).mean(0)
        yield claims.at_most(text, "Sec. 2.2", bound=0, **claims.mean(change))
    else:
        yield claims.undecided(text, "Sec. 2.2", "not trained here")
