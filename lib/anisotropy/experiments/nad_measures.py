"""What notebook 03 measures of NADs: numbers that are looked up, else computed (`results.measures`).

The NADs that the package carries stand for "the secant": step 100, as the released code.
"""

import hashlib
import warnings

import numpy as np
import torch

from anisotropy import directions, nads
from anisotropy._util import checks, paths
from anisotropy.models import architectures, networks
from anisotropy.nads import loading, naming
from anisotropy.nads.symmetry import spatial
from anisotropy.results import measures
from anisotropy.theory import dipole_bounds

VERSIONS = (1, networks.NUMERICS, naming.NUMERICS)
"""Of the numbers of this module, of the paper's networks, and of the NADs that the package carries."""

PUBLISHED = {
    "lenet": "58bb4ca8d28dd73ea380f7c864557b0f48bf9d25d9632076e813ffea058de2bc",
    "vgg11": "53b9a78554972ff73bf2828795a60d667b17ccd8687f5b81a5dbf77d6ecb6a4d",
    "resnet18": "3d432df94b4f1a67d502d9fcabab222a55aa902bde5fef0d45aad16bc8c5d459",
    "densenet121": "2434b5bd8670b93ac07d4489b50350314567aa377f47552043f56dfa12ac4bb1",
}
"""SHA-256 of the authors' files of directions, `NADs/*_NADs.npy`, as in their repository."""

TOP = 10
"""Leading directions whose subspaces are compared."""


def _paper_network(name: str) -> architectures.Factory:
    """Only the paper's networks: a name of others does not say what they are."""
    if name not in architectures.BUILTIN:
        raise ValueError(f"expected a network of the paper, one of {', '.join(architectures.BUILTIN)}, got {name!r}")
    return architectures.factory(name)


@measures.kept("nads.symmetries", version=VERSIONS, bound=0.0)
def symmetries(architecture: str, *, seed: int = 0) -> dict[str, int]:
    """Which of the eight symmetries of the pixel grid random networks have, by test: 1 or 0 of each."""
    make = _paper_network(architecture)
    found = spatial.verified(make, make.input_shape, seed=seed)
    return {name or "identity": int(name in found) for name in spatial.SQUARE}


@measures.kept("nads.effort", version=VERSIONS, bound=0.05)
def effort(
    architecture: str, *, networks: int, integrate_readout: bool = True, symmetry: str = "auto", seed: int = 0
) -> dict[str, list[float]]:
    """Overlap of the top 10 of two halves as networks are added: `networks` and `overlaps`, lists of one length."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the top-10 overlap")  # the curve is wanted up to its end
        found = nads.estimate(
            _paper_network(architecture),
            response=nads.Secant(integrate_readout=integrate_readout),
            symmetry=symmetry,
            networks=nads.Until(TOP, 1.0, networks),
            seed=seed,
        )
    return {"networks": [n for n, _, _ in found.curve], "overlaps": [overlap for _, _, overlap in found.curve]}


@measures.kept("nads.definitions", version=VERSIONS, bound=0.05, digits=4)
def definitions(architecture: str, *, networks: int, seed: int = 0) -> dict[str, float | list]:
    """Three definitions of one network's NADs against each other: gradient, mixed derivative, and the secant.

    Returns:
        `gradient_and_mixed`, `gradient_and_secant`, `mixed_and_secant`: [alignment, overlap of the top 10];
        `halves`: overlap of the top 10 of two halves of each of the three; `gradient`, `mixed`, `secant`: maps (H, W)
        of v'Cv over spatial frequencies, in units of its mean, frequency 0 in the centre.
    """
    make = _paper_network(architecture)
    checks.whole(networks, "networks, which make two halves,", 2)
    found = {
        "gradient": nads.estimate(make, response=nads.Gradient(), networks=networks, seed=seed),
        "mixed": nads.estimate(make, response=nads.Mixed(), networks=networks, seed=seed),
        "secant": nads.load(architecture),
    }
    pairs = (("gradient", "mixed"), ("gradient", "secant"), ("mixed", "secant"))
    answer = {f"{a}_and_{b}": _compared(found[a], found[b]) for a, b in pairs}
    answer["halves"] = [basis.split_half[TOP] for basis in found.values()]
    return answer | {name: _fourier_energies(basis).tolist() for name, basis in found.items()}


def _compared(first: nads.Nads, second: nads.Nads) -> list[float]:
    return [first.alignment(second), first.overlap(second, TOP)]


def _fourier_energies(found: nads.Nads) -> np.ndarray:
    """v'Cv over its mean for a wave v of every frequency (H, W), the mean of its phases, frequency 0 in the centre."""
    waves = np.abs(np.fft.fft2(found.directions[:, 0].double().numpy(), norm="ortho")) ** 2
    energy = np.einsum("i,ihw->hw", found.eigenvalues.numpy(), waves)
    return np.fft.fftshift(energy / energy.mean())


@measures.kept("nads.steps", version=VERSIONS, bound=0.05)
def steps(
    architecture: str, *, steps: list[float], networks: int, gradient_networks: int, seed: int = 0
) -> dict[str, list[float]]:
    """Alignment of secants of several steps with the secant of step 100, `with_secant`, and the gradient."""
    make = _paper_network(architecture)
    gradient = nads.estimate(make, response=nads.Gradient(), networks=gradient_networks, seed=seed)
    found = [nads.estimate(make, response=nads.Secant(step), networks=networks, seed=seed) for step in steps]
    secant = nads.load(architecture)
    return {
        "with_secant": [basis.alignment(secant) for basis in found],
        "with_gradient": [basis.alignment(gradient) for basis in found],
    }


@measures.kept("nads.gradient", version=VERSIONS, bound=0.05)
def gradient(architecture: str, *, networks: int, draws: int = 4, seed: int = 0) -> dict[str, list[float]]:
    """The gradient against the secant: `compared`, [alignment, overlap of the top 10], and `halves` of each.

    Args:
        architecture: of the paper.
        networks: random networks of the gradient.
        draws: read-outs of each network.
        seed: of networks and evaluation point.
    """
    make = _paper_network(architecture)
    checks.whole(networks, "networks, which make two halves,", 2)
    found = nads.estimate(make, response=nads.Gradient(draws=draws), networks=networks, seed=seed)
    secant = nads.load(architecture)
    return {"compared": _compared(found, secant), "halves": [found.split_half[TOP], secant.split_half[TOP]]}


@measures.kept("nads.published", version=VERSIONS, bound=1e-3, apart=("folder",))
def published(architecture: str, *, sha256: str, folder: str = "") -> dict[str, list]:
    """Overlap of the NADs that the package carries with the authors': `overlaps` of the top `k`.

    Args:
        architecture: of the paper.
        sha256: of the authors' file of directions, see `PUBLISHED`.
        folder: checkout of the authors' repository; needed only where the record does not hold the numbers.

    Raises:
        ValueError: no folder was given, or it holds another file.
    """
    if not folder:
        raise ValueError("it needs the authors' repository, whose folder was not given")
    theirs, ours = nads.load_published(paths.resolve(folder), architecture), nads.load(architecture)
    path = paths.resolve(folder) / "NADs" / f"{loading.PUBLISHED[architecture]}_NADs.npy"
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"expected the authors' directions of {architecture}, got a file of another checksum: {path}")
    counts = [10, 50, 100]
    return {"k": counts, "overlaps": [ours.overlap(theirs, k) for k in counts]}


@measures.kept("nads.dipoles", version=VERSIONS, bound=0.05, digits=5)
def dipoles(
    architecture: str, *, frequencies: list[list[int]], lengths: list[float], networks: int, seed: int = 0
) -> dict[str, list]:
    """Slopes, mixed derivatives and finite dipoles of random networks at one x ~ N(0, I), along Fourier directions.

    Returns:
        `slopes`, s = v'grad f, and `mixed`, |d2f/dtheta dx v|: a list over the networks for each frequency; `ratios`,
        E[(f(x + h v) - f(x))^2] / (h^2 E s^2): a list over the frequencies for each length h.
    """
    make = _paper_network(architecture)
    basis = directions.fourier(*make.input_shape[1:])
    v = torch.stack([basis.vectors[basis.index(*k)] for k in frequencies])[:, None].float()
    x = torch.randn(make.input_shape, generator=torch.Generator().manual_seed(seed))
    ratios = []
    for length in lengths:  # s and h grow with v: all lengths give the same
        slopes, mixed, finite = dipole_bounds.dipole_samples(
            lambda i: architectures.build(make, seed, i), length * v, x, networks=networks
        )
        ratios.append((finite.square().mean(0) / slopes.square().mean(0)).tolist())
    return {"slopes": (slopes.T / length).tolist(), "mixed": (mixed.T / length).tolist(), "ratios": ratios}
