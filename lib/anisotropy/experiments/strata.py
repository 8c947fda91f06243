"""Frequencies drawn at random from strata of what a network's NADs foretell: the sample of a campaign."""

import itertools

import numpy as np

from anisotropy import nads
from anisotropy.directions import bases


def orbits(network: str, step: int = 2) -> list[tuple[float, list[tuple[int, int, str]]]]:
    """Frequencies that a network's symmetries make alike, and what its NADs foretell of them, strongest first.

    Args:
        network: one of those whose NADs the package carries; the symmetries are those found in it (its settings).
        step: of the grid, 2 for that of the published maps.

    Returns:
        (v'Cv as a multiple of its mean over all directions, averaged over the orbit; its frequencies) per orbit.
    """
    found, basis = nads.load(network), bases.fourier(32, 32)
    energy = found.energy(basis.pictures())
    energy = energy / energy.mean()
    together: dict[tuple, list[int]] = {}
    for k in basis.subgrid(step):
        ky, kx = (int(n) for n in basis.frequencies[k])
        alike = [(ky, kx), (-ky, kx)] if "h" in found.settings["symmetry"] else [(ky, kx)]
        alike += [(b, a) for a, b in alike] if "t" in found.settings["symmetry"] else []
        together.setdefault(min(bases.representative(*f, (32, 32)) for f in alike), []).append(int(k))
    ranked = [
        (float(energy[ks].mean()), [(*map(int, basis.frequencies[k]), str(basis.phases[k])) for k in ks])
        for ks in together.values()
    ]
    return sorted(ranked, reverse=True)


def drawn(network: str, strata: list[list[int]], seed: int) -> list[list]:
    """Frequencies drawn from ranks of `orbits`: for each stratum [first, last, count], `count` orbits, one member each.

    Args:
        network: see `orbits`.
        strata: ranks from 0, `last` excluded.
        seed: of the draw.

    Returns:
        [ky, kx, phase] each, strata in turn, so that a campaign that is cut off has some of each.
    """
    ranked, generator = orbits(network), np.random.default_rng(seed)
    chosen = []
    for first, last, count in strata:
        ranks = generator.choice(np.arange(first, min(last, len(ranked))), count, replace=False)
        members = [ranked[rank][1] for rank in ranks]
        chosen.append([list(frequencies[generator.integers(len(frequencies))]) for frequencies in members])
    return [f for turn in itertools.zip_longest(*chosen) for f in turn if f]
