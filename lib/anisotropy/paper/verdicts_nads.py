"""What the NADs themselves say: ours against the authors', their pictures in the Fourier domain, their definitions."""

import functools
import itertools

import numpy as np
import torch
from scipy import stats

from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import compare
from anisotropy.paper.evidence import Measured, Missing, exact, student
from anisotropy.paper.sources import CNNS, NAMES, Sources, loaded
from anisotropy.paper.verdicts_tables import FIG1, LEARNT

SIZE = 32
PLAIN = 10_000
"""Random networks behind the authors' NADs."""

TAILS = 4
"""Responses are products of random layers, with heavier tails than a Gaussian: a squared product of two independent
normal numbers varies four times as much (variance 8 against 2). So the authors' 10,000 networks are counted as a
fourth of as many Gaussian ones when the noise of their estimate is simulated."""


FILES = ("NADs/*_NADs.npy", "NADs/*_eigenvals.npy")


def _theirs(found: Measured, *networks: str) -> Measured:
    size = "the authors' NADs, " + ", ".join(NAMES[n] for n in networks) if len(networks) < 4 else "the authors' NADs"
    command = "make statements PUBLISHED=data/published"
    return found.at(size=size, full=True, files=FILES, command=command)


@functools.cache
def _noisy(network: str) -> torch.Tensor:
    """Eigenvectors (columns) of a sample covariance of Gaussian responses, in the basis of the true ones."""
    root = loaded(network).eigenvalues.sqrt()
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(PLAIN // TAILS, len(root), generator=generator, dtype=torch.float64) * root
    return torch.linalg.eigh(sample.T @ sample)[1].flip(1)


def expected_overlap(network: str, k: int) -> float:
    """Least overlap of the top k directions to expect of our estimate and the authors' if both are of one covariance.

    The lower end of our own overlap with the truth (`Nads.overlap_range`), times that of a sample covariance of
    10,000 / `TAILS` Gaussian responses with our eigenvalues, simulated.
    """
    theirs = float(_noisy(network)[:k, :k].square().sum() / k)
    return loaded(network).overlap_range(k)[0] * theirs


def same_subspace(sources: Sources, network: str, k: int) -> Measured:
    """Overlap of our top k NADs with the authors', over the least to expect of two estimates of one covariance."""
    ours, theirs = loaded(network), sources.their_nads(network)
    value, least = ours.overlap(theirs, k), expected_overlap(network, k)
    captured = compare.energy_captured(ours.rows, theirs.covariance(), k)
    best = float(theirs.eigenvalues[:k].sum() / theirs.trace)
    note = f"overlap {value:.3f}, expected at least {least:.3f}; our {k} hold {captured / best:.3f} of their energy"
    size = f"our NADs of {NAMES[network]}, full width, {ours.networks} networks, against the authors' of {PLAIN:,}"
    found = _theirs(exact(value / least), network)
    return found.at(size=size, note=note)


def spectrum_of_noise(sources: Sources) -> Measured:
    """Largest over smallest eigenvalue of the authors' logistic regression, over what noise alone gives."""
    values = sources.their_nads("logreg").eigenvalues[:1023]
    low, high = compare.marchenko_pastur_band(PLAIN, 1024)
    return _theirs(exact(float(values[0] / values[-1]) / (high / low)), "logreg")


def own_against_others(sources: Sources, k: int = 10) -> Measured:
    """Least overlap of our and the authors' top k of one network, minus the largest of two networks."""
    theirs = {n: sources.their_nads(n) for n in CNNS}
    same = {n: loaded(n).overlap(theirs[n], k) for n in CNNS}
    others = {(a, b): theirs[a].overlap(theirs[b], k) for a, b in itertools.combinations(CNNS, 2)}
    nearest = max(others, key=others.get)
    note = f"one network at least {min(same.values()):.2f}, two at most {others[nearest]:.2f}"
    found = exact(min(same.values()) - max(others.values()))
    return _theirs(found, *CNNS).at(note=note, size="the authors' NADs of four CNNs, and ours, full width")


def own_against_others_ours(sources: Sources, k: int = 10) -> Measured:
    """The same from the NADs that the package carries: halves of one estimate, minus the largest of two networks."""
    ours = {n: loaded(n) for n in CNNS}
    same = min(found.split_half[k] for found in ours.values())
    other = max(ours[a].overlap(ours[b], k) for a, b in itertools.combinations(CNNS, 2))
    counts = ", ".join(f"{NAMES[n]} {ours[n].networks}" for n in CNNS)
    note = f"halves of one at least {same:.2f}, two at most {other:.2f}"
    return exact(same - other).at(size=f"our NADs, full width, networks: {counts}", full=True, note=note)


def _spectra(rows: torch.Tensor) -> np.ndarray:
    """Share of each direction's energy at every frequency (K, 32, 32), frequency 0 in the centre."""
    spectrum = np.fft.fftshift(np.fft.fft2(rows[:, 0].double().numpy(), norm="ortho"), axes=(-2, -1))
    energy = np.abs(spectrum) ** 2
    return energy / energy.sum((1, 2), keepdims=True)


def support_is_learnt(sources: Sources, network: str, first: int = 3) -> Measured:
    """Share of the energy of the first NADs at frequencies that Fig. 1 shows as learnt, or beside such a cell."""
    learnt = sources.fourier.accuracy.sel(network=network).values > LEARNT
    wide = np.zeros((SIZE, SIZE), dtype=bool)
    wide[::2, ::2] = learnt
    near = np.any([np.roll(wide, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)], axis=0)
    share = float((_spectra(sources.their_nads(network).directions[:first]) * near).sum((1, 2)).mean())
    found = _theirs(exact(share).at(note=f"such frequencies are {near.mean():.2f} of all"), network)
    return found.at(files=(*found.files, FIG1))


def on_a_comb(sources: Sources, network: str, first: int = 4, spacing: int = 4) -> Measured:
    """Share of the energy of the first NADs at frequencies that are multiples of `spacing` both ways, 1/16 of all."""
    spectra = _spectra(sources.their_nads(network).directions[:first])
    return _theirs(exact(spectra[:, ::spacing, ::spacing].sum((1, 2)).mean()), network)


def frequencies_in_one(sources: Sources, network: str, first: int = 4) -> Measured:
    """Frequencies that share the energy of one of the first NADs: participation ratio, the mean of them."""
    spectra = _spectra(sources.their_nads(network).directions[:first])
    return _theirs(exact((1 / (spectra**2).sum((1, 2))).mean()), network)


def order_of_frequencies(sources: Sources, network: str, first: int = 100) -> Measured:
    """Rank correlation of a NAD's index and its mean radial frequency, among the first."""
    radius = np.hypot(*np.meshgrid(np.arange(-16, 16), np.arange(-16, 16), indexing="ij"))
    spectra = _spectra(sources.their_nads(network).directions[:first])
    return _theirs(exact(stats.spearmanr(range(first), (spectra * radius).sum((1, 2)))[0]), network)


def steadier_gradient(sources: Sources, network: str, k: int = 10) -> Measured:
    """Overlap of the top k of two halves of one set of random networks, gradients minus mixed derivatives.

    Raises:
        Missing: the record has no such measurement of the network.
    """
    kept = [r for r in sources.rows("measures") if r["measure"] == "nads.definitions"]
    kept = [r for r in kept if r["arguments.architecture"] == network]
    if not kept:
        raise Missing(f"a line nads.definitions of {NAMES[network]} in the record")
    row = max(kept, key=lambda r: r["arguments.networks"])
    gradient, mixed, _ = row["found.halves"]
    return exact(gradient - mixed).at(
        size=f"{NAMES[network]}, full width, {row['arguments.networks']} random networks for both",
        full=True,
        files=("results/measures.jsonl",),
        command=f"make audit ROW={row['key'][:12]}",
        minutes=row["seconds"] / 60,
        note=f"gradient {gradient:.2f}, mixed {mixed:.2f}, top {k}",
    )


@functools.cache
def _gradient_covariances(network: str, networks: int) -> list[torch.Tensor]:
    """Covariances of gradients of four groups of random networks.

    Plain samples: averaging over the read-out would need a backward pass for each feature.
    """
    make, response = architectures.factory(network), nads.Gradient(integrate_readout=False)
    return [nads.estimate(make, networks=networks, response=response, seed=k).covariance() for k in range(4)]


def gradients_prefer_them(sources: Sources, network: str, k: int, networks: int = 50) -> Measured:
    """How far gradients, by which the text defines NADs, prefer the top k NADs of the released long step.

    The share of the gradients' energy in that subspace above k / D, over the share of the long dipoles' energy above
    k / D: 1 where both have one covariance, 0 where gradients do not prefer the subspace. Unlike an overlap of
    estimated subspaces it is a mean over networks, which few of them know well.
    """
    ours, chance = loaded(network), k / 1024
    known = float(ours.eigenvalues[:k].sum() / ours.trace) - chance
    covariances = _gradient_covariances(network, networks)
    shares = [(compare.energy_captured(ours.rows, c, k) - chance) / known for c in covariances]
    gradients = f"4 times {networks} random networks for gradients"
    size = f"{NAMES[network]}, full width, {gradients}, {ours.networks} for secants"
    return student(shares).at(size=size, full=True, minutes=1.0)
