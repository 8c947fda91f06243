"""Figures of 02_pooling_theory: formulas, simulations and trainings in, a figure out."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from anisotropy.paper import pooling_theory
from anisotropy.paper.pooling_theory import EPSILON, LENGTH, NOISES, RATES, SIGMA, STRIDE

BLUE, RED = "#0072B2", "#D55E00"
COLOURS = {"average": BLUE, "blur": RED, "max": "0.3", "max_blur": "#CC79A7"}
SHAPES = dict(zip(["average", "binomial, 3 taps", "binomial, 7 taps", "ideal", "none"],
                  [BLUE, RED, "#CC79A7", "#009E73", "0.3"], strict=True))  # fmt: skip


def theorem1(
    hits: Sequence[int], samples: int, closed: np.ndarray, printed: np.ndarray, sine: Mapping[int, float]
) -> Figure:
    """Fig. 4a: Bayes accuracy after average pooling against the frequency, cosine.

    Args:
        hits: right answers of so many `samples`, for each frequency from 0 to half of the length; 95 % intervals.
        samples: drawn for each.
        closed: our formula.
        printed: the paper's.
        sine: our formula for the sine, by frequency, where it differs.
    """
    figure, ax = plt.subplots(figsize=(7.5, 3.4))
    ells, points = np.arange(len(closed)), np.array(hits) / samples
    bounds = np.array([stats.binomtest(int(count), samples).proportion_ci(method="exact") for count in hits])
    ax.errorbar(ells, points, abs(bounds.T - points), fmt=".", ms=4, lw=0.8, color="0.45", label="simulation, 95 %")
    ax.plot(ells, closed, color=BLUE, label="our formula, cosine")
    label = "our formula, sine, where it differs"
    ax.plot(list(sine), list(sine.values()), "D", mfc="white", color=BLUE, label=label)
    ax.plot(ells, printed, "--", color=RED, label="Theorem 1 as printed")
    ax.set(xlabel=r"frequency $\ell$", ylabel="Bayes accuracy", xlim=(0, ells[-1]), xticks=ells[:: LENGTH // 16])
    title = f"average pooling, D = {LENGTH}, S = {STRIDE}, $\\epsilon$ = {EPSILON:g}, $\\sigma$ = {SIGMA:g}"
    ax.set_title(f"{title}, {samples:,} samples a point")
    ax.legend(loc="upper right")
    return figure


def prefilters(curves: Mapping[int, Mapping[str, np.ndarray]]) -> Figure:
    """Bayes accuracy against the frequency behind several prefilters, a panel for each stride."""
    figure, ((*axes,),) = plt.subplots(1, len(curves), figsize=(9.5, 3.0), sharey=True, squeeze=False)
    for ax, (stride, each) in zip(axes, curves.items(), strict=True):
        for name, curve in each.items():
            ax.plot(np.arange(len(curve)), curve, color=SHAPES[name], label=name)
        ticks = np.arange(0, LENGTH // 2 + 1, LENGTH // 8)
        ax.set(title=f"S = {stride}", xlabel=r"frequency $\ell$", xlim=(0, LENGTH // 2), xticks=ticks)
    axes[0].set_ylabel("Bayes accuracy")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(SHAPES))
    return figure


def lemma1(curves: Mapping[str, Mapping[str, list]], signal: int) -> Figure:
    """Simulated diagonal of the mean Hessian over the formula, entry by entry, with 95 % intervals.

    Args:
        curves: block -> `pooling_measures.curvature`; that of phi is drawn over the printed formula, S times ours.
        signal: entry of phi that carries the class.
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.0), sharey=True)
    for ax, (block, scale) in zip(axes, (("hessian_phi", STRIDE), ("hessian_theta", 1)), strict=True):
        ratio, error = (np.array(curves[block][name]) / scale for name in ("simulated", "error"))
        ax.errorbar(curves[block]["entry"], ratio, 2 * error, fmt=".", color=BLUE)
        ax.axhline(1, ls="--", color=RED, label="simulated = formula")
    axes[0].axhline(1 / STRIDE, color="0.3", lw=1, label=f"1/S = {1 / STRIDE:g}")
    axes[0].axvline(signal, color="0.8", zorder=0, label=rf"entry of the signal, $\ell$ = {signal}")
    title = r"Lemma 1 as printed, $\phi$"
    axes[0].set(xlabel=r"entry of $\phi$", ylabel="simulated / formula", title=title, ylim=(0, 1.4))
    axes[1].set(xlabel=r"entry of $\theta$", title=r"our formula for $\theta$")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def learning(
    curves: Mapping[str, list], shown: Sequence[int], found: Mapping[tuple[float, float], np.ndarray]
) -> Figure:
    """Fig. 4b: excess risk against the steps, and steps until half is learnt against m^2.

    Args:
        curves: `at` and `risk` of one run, see `pooling_measures.learnt`.
        shown: their frequencies.
        found: steps (runs, D) for each learning rate and noise; medians are drawn.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    zeta, squared = pooling_theory.zeta(), pooling_theory.response() ** 2
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(shown)))
    for k, risk, colour in zip(shown, curves["risk"], colours, strict=True):
        left.plot(curves["at"], risk, color=colour, label=rf"$\ell$ = {k}, $\zeta$ = {zeta[k]:.2f}")
    left.set(xlabel="SGD steps", ylabel="excess risk (1 = nothing learnt)", ylim=(0, 1.2))
    left.set_title(rf"$\sigma$ = {NOISES[0]}, learning rate {RATES[0]:g}")
    left.legend()
    for rate, colour in zip(RATES, (BLUE, RED), strict=True):
        for noise, marker in zip(NOISES, "ox", strict=True):
            middle = np.median(found[rate, noise], axis=0)
            there = np.isfinite(middle)
            label = rf"rate {rate:g}, $\sigma$ = {noise}"
            right.loglog(squared[there], middle[there], marker, ms=4, mfc="none", color=colour, label=label)
    guide = np.array([0.01, 1])
    right.loglog(guide, 100 / np.sqrt(guide), color="0.5", lw=1, label=r"$\propto 1/m$")
    right.set(xlabel=r"$m[\ell]^2$, proportional to $\zeta(\ell)$", ylabel="steps until half is learnt")
    right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def two_mechanisms(gammas: Mapping[str, np.ndarray], gains: Mapping[str, np.ndarray]) -> Figure:
    """gamma (information) and m^2 (conditioning) along the horizontal frequencies, for both poolings."""
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 2.9))
    for kind, gamma in gammas.items():
        shown = np.where((gamma > 0) & (gamma < 1e3), gamma, np.nan)
        axes[0].semilogy(np.arange(len(shown)), shown, "o-", ms=4, color=COLOURS[kind], label=kind)
        axes[1].plot(np.arange(len(shown)), gains[kind], "o-", ms=4, color=COLOURS[kind], label=kind)
    axes[0].set(title="information", ylabel=r"$\gamma$ without its $S$", xlabel="horizontal frequency, of 32")
    axes[1].set(title="conditioning", ylabel="$m^2$", xlabel="horizontal frequency, of 32")
    axes[0].legend()
    return figure


def bound_and_trained(
    bound: Mapping[str, np.ndarray], measured: Mapping[str, np.ndarray], frequencies: Sequence[int]
) -> Figure:
    """Theorem 1's bound and accuracies (frequencies, seeds) of the pooled logistic regression, for both poolings."""
    figure, ax = plt.subplots(figsize=(6.5, 3.6))
    for kind, shift in zip(measured, (-0.08, 0.08), strict=True):
        at, colour = np.array(frequencies) + shift, COLOURS[kind]
        ax.hlines(bound[kind], at - 0.3, at + 0.3, color=colour, label=f"{kind}: bound of Theorem 1 (ours)")
        look = {"ms": 4, "mfc": "white", "color": colour, "label": f"{kind}: trained"}
        ax.plot(np.repeat(at, measured[kind].shape[1]), measured[kind].ravel(), "o", **look)
    ax.set(xlabel="horizontal frequency, of 32", ylabel="test accuracy", ylim=(0.45, 1.02), xticks=frequencies)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def waits(
    found: Mapping[str, np.ndarray], frequencies: Sequence[int], gains: Mapping[str, np.ndarray], loss: float
) -> Figure:
    """Steps of LeNets with several poolings until the loss is small, (directions, seeds); bars are medians."""
    figure, ax = plt.subplots(figsize=(max(6.5, 1.1 * len(frequencies)), 3.8))
    for n, (kind, steps) in enumerate(found.items()):
        at = np.arange(len(frequencies)) + 0.16 * (n - (len(found) - 1) / 2)
        look = {"color": COLOURS[kind]}
        ax.semilogy(np.repeat(at, steps.shape[1]), steps.ravel(), "o", ms=4, mfc="white", **look)
        ax.plot(at, np.median(steps, axis=1), "_", ms=14, label=kind, **look)
    names = [f"{k}\n{gains['average'][k]:.2f}\n{gains['blur'][k]:.2f}" for k in frequencies]
    ax.set_xticks(range(len(frequencies)), names)
    below = "horizontal frequency, of 32; below it $m^2$ of average, of blur"
    ax.set(xlabel=below, ylabel=f"steps until loss {loss:g}")
    ax.yaxis.set(major_locator=plt.LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}", minor_locator=plt.NullLocator())
    figure.legend(title="LeNet with pooling", loc="outside lower center", ncols=4)
    return figure
