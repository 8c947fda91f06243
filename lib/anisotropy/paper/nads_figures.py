"""Figures of 03_nads: arrays in, a figure out; nothing is measured here."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from anisotropy.nads import Nads
from anisotropy.paper import plotting
from anisotropy.theory.dipole_bounds import Bound

BLUE, RED, SKY = "#0072B2", "#D55E00", "#56B4E9"


def responses(pictures: Sequence) -> Figure:
    """Responses (H, W) of random networks side by side."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(1.6 * len(pictures), 1.9))
    for number, (ax, picture) in enumerate(zip(axes, pictures, strict=True)):
        plotting.direction(ax, picture).set_title(f"network {number}")
    figure.suptitle("responses $\\mathbf{s}$ of random LeNets to a dipole along each pixel")
    return figure


def effort(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Overlap of two halves against networks, one curve for each way of estimating (`nad_measures.effort`)."""
    figure, ax = plt.subplots(figsize=(7.5, 3))
    for (way, curve), colour in zip(curves.items(), ["0.6", SKY, RED], strict=True):
        ax.plot(curve["networks"], curve["overlaps"], "o-", color=colour, label=way, markersize=3)
    ax.set_xscale("log", base=2)
    ax.set(xlabel="random networks", ylabel="overlap of two halves, $k = 10$", ylim=(0, 1))
    ax.set_title("LeNet: accuracy against effort")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def control(sampled, isotropic, band: tuple[float, float], count: int) -> Figure:
    """Eigenvalues of logistic regression in units of the true one: sampled, in their band, and averaged over."""
    figure, ax = plt.subplots(figsize=(5.5, 2.8))
    ax.axhspan(*band, color=SKY, alpha=0.25, label=f"Marchenko-Pastur band, n = {count}")
    ax.plot(sampled, color="0.4", label=f"sampled, n = {count}")
    ax.plot(isotropic, color=plotting.COLOURS["lenet"], label="read-out integrated out")
    ax.set(xlabel="index $i$", ylabel="eigenvalue $\\times\\; 3D$", title="logistic regression", ylim=(0, 3.6))
    ax.legend()
    return figure


def steps(at: Sequence[float], aligned: Mapping[str, Sequence[float]], networks: int) -> Figure:
    """Alignment of LeNet's secants with two other covariances (`nad_measures.steps`) against the step."""
    figure, ax = plt.subplots(figsize=(7, 3))
    ends = {"with_secant": (RED, "secant, $h = 100$"), "with_gradient": (SKY, "gradient")}
    for name, (colour, end) in ends.items():
        ax.plot(at, aligned[name], "o-", color=colour, label=f"with: {end}")
    ax.set(xscale="log", xlabel="step $h$ (pixels of $\\mathbf{x}$ have size 1)", ylabel="alignment", ylim=(0, 1.05))
    ax.set_title(f"LeNet, {networks} networks per step")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def spectra(found: Mapping[str, Nads]) -> Figure:
    """Eigenvalues of several networks over their largest, with a band of one standard error."""
    figure, ax = plt.subplots(figsize=(6, 3.4))
    for name, basis in found.items():
        index, largest = np.arange(1, len(basis.eigenvalues) + 1), float(basis.eigenvalues[0])
        values, look = basis.eigenvalues.numpy() / largest, plotting.looks([name])[name]
        ax.plot(index, values, **look)
        if basis.eigenvalue_errors is not None:
            error = basis.eigenvalue_errors.numpy() / largest
            ax.fill_between(index, values - error, values + error, color=look["color"], alpha=0.25, lw=0)
    ax.set(xscale="log", yscale="log", xlabel="index $i + 1$", ylabel="$\\lambda_i / \\lambda_0$", ylim=(None, 2))
    ax.legend()
    return figure


def ratios(bounds: Sequence[Bound], which: str) -> tuple[np.ndarray, np.ndarray]:
    """Left side of Lemma 2 over a bound, "printed" or "corrected", and twice its standard error, both (n,)."""
    sizes = np.array([getattr(bound, which) for bound in bounds])
    left, error = (np.array([getattr(bound, name) for bound in bounds]) for name in ("left", "left_error"))
    return left / sizes, 2 * error / sizes


def lemma2(alphas: np.ndarray, cases: Mapping[str, Sequence[Bound]]) -> Figure:
    """Left side of Lemma 2 over its bounds against alpha, a panel for each case, bands of two standard errors."""
    figure, axes = plt.subplots(1, len(cases), figsize=(4.25 * len(cases), 3.2), sharey=True, squeeze=False)
    for ax, (name, bounds) in zip(axes[0], cases.items(), strict=True):
        for which, colour in (("printed", RED), ("corrected", BLUE)):
            ratio, error = ratios(bounds, which)
            ax.loglog(alphas, ratio, color=colour, label=f"bound as {which}")
            ax.fill_between(alphas, ratio - error, ratio + error, color=colour, alpha=0.2, lw=0)
        ax.axhline(1, color="0.3", lw=1)
        ax.set(title=name, xlabel=r"$\alpha$ in $g(t) = \alpha t^2/2$")
    axes[0, 0].set_ylabel("left side / bound, violated above 1")
    axes[0, 0].legend()
    return figure


def markov(levels: np.ndarray, exact: np.ndarray, measured: Mapping[str, np.ndarray]) -> Figure:
    """Markov's bound, the exact probability of the deep linear model, and measured ones, against the level."""
    figure, ax = plt.subplots(figsize=(6.5, 3.2))
    ax.loglog(levels, np.minimum(1, 1 / levels), color="0.3", label="Markov's bound, Eq. (6)")
    ax.loglog(levels, exact, color=BLUE, label="deep linear model, exact")
    for (name, share), colour in zip(measured.items(), (BLUE, plotting.COLOURS["lenet"]), strict=True):
        seen = share > 0
        ax.loglog(levels[seen], share[seen], "o", ms=4, mfc="white", color=colour, label=f"{name}, measured")
    ax.set(xlabel=r"$\eta\, /\, E[s^2]$", ylabel=r"$P(s^2 \geq \eta)$", ylim=(3e-4, 1.3))
    ax.legend()
    return figure


def energies(maps: Mapping[str, np.ndarray]) -> Figure:
    """Energies (H, W) over spatial frequencies side by side, frequency 0 in the centre, each on a scale of its own."""
    figure, axes = plt.subplots(1, len(maps), figsize=(2.9 * len(maps), 2.8), squeeze=False)
    for ax, (title, picture) in zip(axes[0], maps.items(), strict=True):
        low = -(len(picture) // 2) - 0.5
        extent = (low, low + len(picture), low + len(picture), low)
        figure.colorbar(ax.imshow(picture, extent=extent, cmap="magma"), ax=ax, shrink=0.75)
        ax.set(title=title, xticks=(-16, 0, 15), yticks=(-16, 0, 15), xlabel="horizontal frequency")
        ax.grid(False)
    axes[0, 0].set_ylabel("vertical frequency")
    figure.suptitle("energy along waves, over its mean")
    return figure
